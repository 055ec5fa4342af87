"""The network that a screen brings along: which genes go together in its control cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.data.normalise import log_normalise
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, scaled

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.data.screen import Screen

MAX_GENES = 5000
MIN_CELLS = 20
_ROWS = 1000
_CHANCE = 4.0  # standard errors: with 5,000 genes about 60 of 10⁶ pairs exceed it by chance


def coexpression_network(
    source: Path | str | AnnData | Screen,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    genes: Sequence[str] | None = None,
    max_cells: int = 5000,
    neighbours: int = 10,
    max_genes: int = MAX_GENES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Network:
    """Join each gene to those whose expression varies with it across control cells.

    Weight = absolute Pearson correlation of log1p(CP10k). Each gene keeps its strongest `neighbours` among the
    correlations that exceed four standard errors of chance; an edge stays if either end keeps it. Only control cells
    are looked at, so that the network knows nothing of what any perturbation does.

    Parameters
    ----------
    source
        A file or folder of any format, an AnnData, or an open screen.
    column, control
        The ``obs`` column of labels, and the control label in it.
    layer, tables
        As in :func:`~hyperperturb.data.screen.open_screen`; an open screen has its own.
    genes
        Genes to look at; default: all measured ones. Genes found in fewer than 1 % of the control cells are left
        out.
    max_cells
        Control cells that are used; more are sampled at random.
    neighbours
        Edges kept for each gene.
    max_genes
        If `genes` is None, at most this many, the most variable ones.
    seed
        For the sample of cells.
    progress
        Told the fraction done.

    Returns
    -------
    Network
        The genes that have an edge, sorted by name.

    Raises
    ------
    HyperPerturbError
        Fewer than 20 control cells, none of the genes measured, or no correlation beyond chance.
    """
    from hyperperturb.data.screen import Screen, open_screen

    if isinstance(source, Screen):
        if layer is not None:
            raise HyperPerturbError("A layer cannot be chosen for a screen that is already open.")
        values, names, n_control = _control_values(source, column, control, genes, max_cells, seed, progress)
    else:
        with open_screen(source, layer=layer, tables=tables) as screen:
            values, names, n_control = _control_values(
                screen, column, control, genes, max_cells, seed, progress
            )
    detected = np.diff(sparse.csc_array(values).indptr)
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray((values * values).mean(axis=0)).ravel() - mean**2
    use = np.flatnonzero((detected >= max(3, 0.01 * values.shape[0])) & (variance > 1e-8))
    if genes is None and use.size > max_genes:
        use = np.sort(use[np.argsort(-variance[use], kind="stable")[:max_genes]])
    if use.size < 2:
        raise HyperPerturbError(
            f"Only {use.size} genes vary among the {values.shape[0]:,} control cells, too few for co-expression.",
            hint="Use another network, or check the control label.",
        )
    z = values[:, use].toarray().astype(np.float32)
    z -= z.mean(axis=0)
    z /= np.sqrt((z * z).sum(axis=0))
    i, j, weight = _strongest(z, neighbours, scaled(progress, 0.6, 1.0))
    if i.size == 0:
        raise HyperPerturbError(
            f"No two genes correlate beyond chance in {values.shape[0]:,} control cells.",
            hint="Use another network, or check the control label.",
        )
    sampled = "" if values.shape[0] == n_control else f" sampled from {n_control:,}"
    note = f"{values.shape[0]:,} control cells{sampled}, {use.size:,} genes, {neighbours} neighbours each"
    network = network_from_codes(
        i,
        j,
        np.minimum(weight, 1.0),
        [names[k] for k in use],
        name="co-expression in controls",
        kind="coexpression",
    )
    entry = network.provenance[0].model_copy(update={"note": note})
    return Network(network.genes, network.adjacency, network.name, (entry,))


def _control_values(
    screen: Screen,
    column: str,
    control: str,
    genes: Sequence[str] | None,
    max_cells: int,
    seed: int,
    progress: Progress | None,
) -> tuple[sparse.csr_array, list[str], int]:
    """log1p(CP10k) of a sample of control cells, the names of the genes, the number of control cells."""
    from hyperperturb.data.labels import control_codes

    labels = screen.label_codes(column)
    chosen = np.append(control_codes(labels.categories, control), False)
    cells = np.flatnonzero(chosen[labels.codes])
    n_control = cells.size
    if n_control < MIN_CELLS:
        raise HyperPerturbError(
            f"Column '{column}' has {n_control} cells with the control label '{control}'; "
            f"co-expression needs at least {MIN_CELLS}.",
            hint="Choose the control label again, or another network.",
        )
    if n_control > max_cells:
        cells = np.sort(np.random.default_rng(seed).choice(cells, size=max_cells, replace=False))
    columns, names = _gene_columns(screen.genes, genes)
    report = scaled(progress, 0.0, 0.6)
    parts = []
    for where, block in screen.blocks():
        own = cells[(cells >= where.start) & (cells < where.stop)] - where.start
        report(
            where.stop / screen.n_cells, f"Reading control cells, {where.stop:,} of {screen.n_cells:,} cells"
        )
        if own.size == 0:
            continue
        part = sparse.csr_array(block)[own].astype(np.float64)
        if screen.is_log:
            part.data *= screen.log_factor
        else:
            part = log_normalise(part)  # over all genes, before any are chosen
        parts.append(part[:, columns])
    return sparse.csr_array(sparse.vstack(parts, format="csr")), names, n_control


def _gene_columns(measured: Sequence[str], genes: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    if genes is None:
        return np.arange(len(measured)), list(measured)
    position = {gene: k for k, gene in enumerate(measured)}
    names = [gene for gene in dict.fromkeys(genes) if gene in position]
    if not names:
        raise HyperPerturbError(
            f"None of the {len(genes):,} genes asked for is measured in the screen.",
            hint=f"The screen names genes like {', '.join(measured[:3])}.",
        )
    return np.array([position[gene] for gene in names], dtype=np.int64), names


def _strongest(z: np.ndarray, k: int, report: Progress) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `k` largest absolute correlations of each gene, for standardised columns `z` ``(cells, genes)``."""
    n = z.shape[1]
    k = min(k, n - 1)
    least = _CHANCE / np.sqrt(z.shape[0])
    rows, columns, values = [], [], []
    for start in range(0, n, _ROWS):
        report(start / n, f"Correlating genes, {start:,} of {n:,}")
        block = np.abs(z[:, start : start + _ROWS].T @ z)
        own = np.arange(block.shape[0])
        block[own, own + start] = -1.0
        best = np.argpartition(-block, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(block, best, axis=1)
        keep = value > least
        rows.append(np.broadcast_to((own + start)[:, None], best.shape)[keep])
        columns.append(best[keep])
        values.append(value[keep].astype(np.float64))
    report(1.0, "Co-expression computed")
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
