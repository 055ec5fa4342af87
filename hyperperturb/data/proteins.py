"""Proteins beside RNA: antibody counts of the cells of a screen, and what perturbations do to them.

Levels are centred log-ratios of each cell (Stoeckius et al. 2017, CITE-seq): ln(1 + count) minus its mean over the
antibodies of the cell, in natural-log units. That takes out how deeply a cell's antibodies were sequenced; it also
makes levels relative, so that with few antibodies one that falls lifts the others a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.assignment import Assignment, assign_cells, split_controls
from hyperperturb.data.effects import Effects, Mode
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.protein_files import ProteinFile, open_proteins
from hyperperturb.data.protein_names import Rename, match_cells
from hyperperturb.data.sums import effects_of_sums
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, no_progress

if TYPE_CHECKING:
    from anndata import AnnData

_CELLS = 16_384  # cells a block


class ProteinReport(BaseModel):
    """How a file of proteins and a screen fit together.

    Attributes
    ----------
    names
        The antibodies.
    values
        ``counts``, which are made centred log-ratios, or ``levels``, normalised by whoever made the file and used as
        they are.
    n_matched, n_screen, n_file
        Cells that both have; cells of the screen; cells of the file.
    n_empty
        Matched cells in which no antibody was counted: left out, as they have no level.
    rename
        How the names of cells were mended to match.
    """

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...]
    values: Literal["counts", "levels"]
    n_matched: int
    n_screen: int
    n_file: int
    n_empty: int = 0
    rename: Rename = ""

    @property
    def sentence(self) -> str:
        """The report in one sentence.

        Examples
        --------
        >>> ProteinReport(names=("CD4", "CD8"), values="counts", n_matched=9, n_screen=10, n_file=12).sentence
        '2 antibodies in 9 of 10 cells of the screen; 1 has none, and 3 cells of the file are not in the screen.'
        """
        left, over = self.n_screen - self.n_matched, self.n_file - self.n_matched
        parts = []
        if left:
            parts.append(f"{left:,} ha{'s' if left == 1 else 've'} none")
        if over:
            parts.append(
                f"{over:,} cell{'' if over == 1 else 's'} of the file {'is' if over == 1 else 'are'} not in the screen"
            )
        told = f"; {', and '.join(parts)}" if parts else ""
        empty = f" In {self.n_empty:,} of them no antibody was counted: left out." if self.n_empty else ""
        return (
            f"{len(self.names):,} antibodies in {self.n_matched:,} of {self.n_screen:,} cells of the screen{told}."
            f"{empty}"
        )


def clr(counts: np.ndarray | sp.spmatrix) -> np.ndarray:
    """Centred log-ratios of each cell: ln(1 + count) minus its mean over the cell's antibodies.

    Parameters
    ----------
    counts
        ``(cells, antibodies)``, not negative.

    Returns
    -------
    np.ndarray
        ``(cells, antibodies)`` float64, natural-log units; every row has the mean 0.

    Examples
    --------
    >>> clr(np.array([[0.0, np.e**2 - 1]])).tolist()
    [[-1.0, 1.0]]
    """
    logs = np.log1p(np.asarray(counts.todense() if sp.issparse(counts) else counts, dtype=np.float64))
    return logs - logs.mean(axis=1, keepdims=True)


def join_proteins(
    screen: Screen, proteins: ProteinFile, rename: Rename = ""
) -> tuple[np.ndarray, ProteinFile, ProteinReport]:
    """Find the cells of a screen in a file of proteins, by name.

    Parameters
    ----------
    screen
        An open screen.
    proteins
        An open file of proteins.
    rename
        How to mend names on both sides (:data:`~hyperperturb.data.protein_names.RENAMES`).

    Returns
    -------
    tuple
        ``(screen cells,)`` row of each cell in the file, −1 where it has none; the file, turned over where its cells
        lay in columns; the report.

    Raises
    ------
    HyperPerturbError
        A name stands twice on one side; no cell matches (the hint offers a mend that would match).
    """
    names = screen.cell_names()
    proteins = proteins.turned_to(names)
    rows = match_cells(names, proteins.cells, rename, screen=screen.name, proteins=proteins.name)
    report = ProteinReport(
        names=proteins.names,
        values="counts" if proteins.is_counts else "levels",
        n_matched=int((rows >= 0).sum()),
        n_screen=len(names),
        n_file=len(proteins.cells),
        rename=rename,
    )
    return rows, proteins, report


def look_at_proteins(
    source: str | Path | AnnData | Screen,
    proteins: str | Path,
    *,
    tables: Sequence[str | Path] = (),
    rename: Rename = "",
) -> ProteinReport:
    """Say how a file of proteins and a screen fit together.

    Parameters
    ----------
    source, tables
        The screen, as in :func:`~hyperperturb.data.opening.open_screen`, or an open one.
    proteins
        As in :func:`~hyperperturb.data.protein_files.open_proteins`.
    rename
        As in :func:`join_proteins`.

    Raises
    ------
    HyperPerturbError
        As :func:`~hyperperturb.data.protein_files.open_proteins` and :func:`join_proteins`.
    """
    if isinstance(source, Screen):
        with open_proteins(proteins) as file:
            return join_proteins(source, file, rename)[2]
    with open_screen(source, tables=tables) as screen:
        return look_at_proteins(screen, proteins, rename=rename)


def compute_protein_effects(
    source: str | Path | AnnData,
    proteins: str | Path | AnnData,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    rename: Rename = "",
    mode: Mode = "knockout",
    batch_column: str | None = None,
    progress: Progress | None = None,
) -> tuple[Effects, ProteinReport]:
    """Compute what every perturbation does to every protein, over all cells that have proteins, in one pass.

    Parameters
    ----------
    source, column, control, layer, tables, mode, batch_column
        As in :func:`~hyperperturb.data.effects.compute_effects`.
    proteins, rename
        As in :func:`~hyperperturb.data.protein_files.open_proteins` and :func:`join_proteins`.
    progress
        Told how far it is.

    Returns
    -------
    effects, report
        The effects on levels (centred log-ratios, natural-log units) with the antibodies as response genes;
        perturbations without a cell with proteins are left out.

    Raises
    ------
    HyperPerturbError
        What :func:`~hyperperturb.data.effects.compute_effects` and :func:`join_proteins` raise; fewer than two
        antibodies; fewer than two control cells with proteins, or none in a batch that has perturbed ones; a value that
        is negative or not finite.
    """
    report = progress or no_progress
    with open_screen(source, layer=layer, tables=tables) as screen, open_proteins(proteins) as file:
        assigned = assign_cells(screen, column, control)
        rows, file, found = join_proteins(screen, file, rename)
        strata = split_controls(screen, assigned, batch_column)
        n_batches = strata.cells.shape[1]
        codes, label, batch = np.full((3, len(file.cells)), -1, dtype=np.int64)
        joined = rows[rows >= 0]
        codes[joined], label[joined] = strata.codes[rows >= 0], assigned.codes[rows >= 0]
        batch[joined] = strata.batch[rows >= 0]
        sums = np.zeros((sum(strata.cells.shape) - 1, len(file.names), 3))
        cells = np.zeros_like(strata.cells)
        empty = 0
        for start, levels, counted in _levels(file):
            report(start / max(len(codes), 1), "Adding up proteins")
            part = codes[start : start + len(levels)]
            measured = counted.any(axis=1)
            empty += int((~measured & (part >= 0)).sum())
            use = measured & (part >= 0)
            order = sp.csr_matrix(
                (np.ones(use.sum()), (part[use], np.flatnonzero(use))), shape=(len(sums), len(levels))
            )
            sums[:, :, 0] += order @ levels
            sums[:, :, 1] += order @ levels**2
            sums[:, :, 2] += order @ counted
            here = np.flatnonzero(use) + start
            np.add.at(cells, (label[here], batch[here]), 1)
        name = screen.name
    n = cells.sum(axis=1)
    if n[0] < 2:
        raise HyperPerturbError(
            f"{n[0]} control cell(s) of {name} have proteins in {file.name}; at least 2 are needed.",
            hint="Give proteins of the control cells too.",
        )
    kept = np.flatnonzero(n[1:])
    if not len(kept):
        raise HyperPerturbError(
            f"No perturbed cell of {name} has proteins in {file.name}.", hint="Give those of the same cells."
        )
    with_controls = np.flatnonzero(cells[0])
    alone = int(cells[1:].sum() - cells[1:, with_controls].sum())
    if alone:
        raise HyperPerturbError(
            f"{alone:,} perturbed cells of {name} have proteins in {file.name}, but no control cell of their batch "
            f"(column '{batch_column}') has.",
            hint="Compare with the controls of all batches.",
        )
    some = Assignment(
        perturbations=tuple(assigned.perturbations[i] for i in kept),
        targets=tuple(assigned.targets[i] for i in kept),
        codes=assigned.codes,
        n_cells=n[[0, *(kept + 1)]],
    )
    effects = effects_of_sums(
        sums[[*with_controls, *(kept + n_batches)]],
        some,
        file.names,
        control=control,
        mode=mode,
        cells=cells[[0, *(kept + 1)]][:, with_controls],
        zeros=False,
    )
    if found.values == "levels":  # what is no count cannot say whether anything was seen
        effects = replace(effects, detected=None, control_detected=None)
    report(1.0, "Effects on proteins computed")
    return effects, found.model_copy(update={"n_empty": empty})


def _levels(file: ProteinFile) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The levels of a file in blocks: the first cell, its levels, and where anything was counted."""
    for start, values in file.blocks(_CELLS):
        if file.is_counts:
            yield start, clr(values), values > 0
        else:
            yield start, values, np.ones(values.shape, dtype=bool)


def protein_levels(file: ProteinFile, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels and values as they lie in the file of some cells, ``(len(rows), antibodies)`` float32 each.

    ``rows`` are rows of the file in any order.
    """
    order = np.argsort(rows, kind="stable")
    values = np.empty((len(rows), len(file.names)), dtype=np.float32)
    values[order] = file.matrix.take(rows[order]).toarray()
    return (clr(values).astype(np.float32) if file.is_counts else values), values
