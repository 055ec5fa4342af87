"""Cells for the cell heads: expression over a few response genes, and which perturbation each cell had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from hyperperturb.data.effects import Effects
from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

Presentation = Literal["log", "root"]

MAX_HEAD_GENES = 2000
_MIN_SPREAD = 0.05  # log units: keeps genes that never vary in the controls from dominating


@dataclass(frozen=True)
class Cells:
    """Perturbed cells.

    Attributes
    ----------
    genes
        The H genes of ``values``.
    values
        (n, H) float32, log1p(CP10k).
    perturbation
        (n,) row numbers of the effects' perturbations.
    """

    genes: tuple[str, ...]
    values: np.ndarray
    perturbation: np.ndarray


@dataclass(frozen=True)
class CellInputs:
    """How the cell heads see a cell: (values − centre) / spread, of logarithms or of square roots.

    Attributes
    ----------
    presentation
        ``"log"``: log1p(CP10k), each gene in control standard deviations; ``"root"``: the square root of CP10k, all
        genes in one unit. The root has the same sampling noise at every level, which suits shallow cells.
    centre, spread
        (H,) each.
    """

    presentation: Presentation
    centre: np.ndarray
    spread: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Inputs (n, H) of cells given as log1p(CP10k), (n, H)."""
        return (present(values, self.presentation) - self.centre) / self.spread


def present(values: np.ndarray, presentation: Presentation) -> np.ndarray:
    """log1p(CP10k) as it is, or as the square root of CP10k; same shape and type.

    Examples
    --------
    >>> present(np.log1p(np.array([[0.0, 9.0]])), "root").round(6).tolist()
    [[0.0, 3.0]]
    """
    return values if presentation == "log" else np.sqrt(np.maximum(np.expm1(values), 0.0))


def screen_values(screen: Screen, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """log1p(CP10k) of some cells and genes of a screen, dense (len(rows), len(columns)) float32.

    Parameters
    ----------
    rows
        Increasing cell numbers.
    columns
        Gene numbers.
    """
    out = np.zeros((len(rows), len(columns)), dtype=np.float32)
    for here, block in value_blocks(screen, rows, columns):
        out[here] = block
    return out


def value_blocks(screen: Screen, rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The values of :func:`screen_values` block by block, each with its place among the rows.

    Parameters
    ----------
    rows
        Increasing cell numbers.
    columns
        Gene numbers.
    """
    done = 0
    for cells, block in screen.blocks():
        last = int(np.searchsorted(rows, cells.stop))
        if last == done:
            continue
        chosen = sparse.csr_matrix(block)[rows[done:last] - cells.start]
        chosen = chosen * screen.log_factor if screen.is_log else log_normalise(chosen)
        yield slice(done, last), chosen[:, columns].toarray()
        done = last


def head_genes(effects: Effects) -> tuple[str, ...]:
    """The response genes that tell perturbations apart best, at most 2,000, in the effects' order.

    Ranked by the variance of the effect over perturbations relative to its mean squared standard error.
    """
    if len(effects.genes) <= MAX_HEAD_GENES:
        return effects.genes
    noise = np.nanmean(effects.standard_error.astype(np.float64) ** 2, axis=0)
    ratio = effects.effect.astype(np.float64).var(axis=0) / np.maximum(np.nan_to_num(noise, nan=np.inf), 1e-8)
    best = np.sort(np.argsort(-ratio, kind="stable")[:MAX_HEAD_GENES])
    return tuple(effects.genes[i] for i in best)


def control_spread(effects: Effects, genes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the control cells for these genes, (H,) float32 each."""
    chosen = effects.restrict_genes(genes)
    if chosen.control_mean is None or chosen.control_variance is None:
        raise HyperPerturbError(
            "The effects do not say what the control cells look like, so cells cannot be compared with them.",
            hint="Compute the effects from the screen, or train without the cell heads.",
        )
    return chosen.control_mean, np.sqrt(np.maximum(chosen.control_variance, _MIN_SPREAD**2))


def read_cells(
    source: Path | AnnData,
    effects: Effects,
    *,
    column: str,
    layer: str | None = None,
    tables: Sequence[Path] = (),
    max_cells: int,
    seed: int,
) -> Cells:
    """Draw perturbed cells, as evenly over the perturbations as their numbers allow.

    Parameters
    ----------
    source
        The screen the effects were computed from.
    effects
        Whose perturbations are wanted.
    column
        The label column.
    layer, tables
        As in :func:`~hyperperturb.data.screen.open_screen`.
    max_cells
        At most so many cells.
    seed
        Of the draw.

    Returns
    -------
    Cells

    Raises
    ------
    HyperPerturbError
        When no cell carries one of the perturbations' labels.
    """
    genes = head_genes(effects)
    with open_screen(source, layer=layer, tables=tables) as screen:
        number = {label: i for i, label in enumerate(effects.perturbations)}
        labels = screen.label_codes(column)
        of_category = np.array([number.get(str(c), -1) for c in labels.categories] + [-1])
        perturbation = of_category[labels.codes]
        chosen = _even_draw(perturbation, max_cells, np.random.default_rng(seed))
        if not len(chosen):
            raise HyperPerturbError(
                f"No cell of {screen.name} has one of the perturbations as its label in column '{column}'.",
                hint="Choose the column that the effects were computed from.",
            )
        position = {g: i for i, g in enumerate(screen.genes)}
        missing = [g for g in genes if g not in position]
        if missing:
            raise HyperPerturbError(
                f"{len(missing)} response genes (such as {missing[0]}) are not in {screen.name}.",
                hint="Compute the effects from this screen.",
            )
        values = screen_values(screen, chosen, np.array([position[g] for g in genes]))
    return Cells(genes, values, perturbation[chosen])


def _even_draw(group: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of members of the groups ≥ 0: all, or an even number of each under ``limit``; increasing."""
    members = np.flatnonzero(group >= 0)
    if len(members) <= limit:
        return members
    sizes = np.bincount(group[members])
    quota, left, remaining = 0, limit, np.sort(sizes[sizes > 0])
    for i, size in enumerate(remaining):
        share = left // (len(remaining) - i)
        quota = share
        if size > share:
            break
        left -= size
    order = rng.permutation(members)
    rank = np.zeros(len(order), dtype=np.int64)
    seen = np.zeros(len(sizes), dtype=np.int64)
    for i, g in enumerate(group[order]):
        rank[i] = seen[g]
        seen[g] += 1
    # With fewer places than groups, one cell each of some of them.
    return np.sort(order[rank < max(quota, 1)][:limit])
