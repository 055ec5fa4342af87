"""Cells on principal components, placed while the file streams by: only what is chosen of it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.matrix import DenseMatrix
from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.opening import Screen
from hyperperturb.data.prefetch import prefetch
from hyperperturb.data.quality_measures import Components
from hyperperturb.data.statistics import CellTally, in_order, read_blocks
from hyperperturb.progress import Progress, RateMeter


def sampled_values(screen: Screen, tally: CellTally, genes: np.ndarray) -> sp.csr_matrix:
    """Give log1p(CP10k) of some genes in the cells that a tally kept, ``(n, H)``; once, for they are then let go.

    CSC files are read for it.

    Parameters
    ----------
    screen
        An open screen.
    tally
        Of the reading that added it up.
    genes
        ``(H,)`` positions.
    """
    pieces = [screen.matrix.take(tally.sample)] if screen.storage == "csc" else tally.kept
    values = sp.vstack([piece[:, genes] for piece in pieces], format="csr")
    pieces.clear()  # as large as everything that follows
    return values * screen.log_factor if screen.is_log else log_normalise(values, tally.depth[tally.sample])


def place_cells(
    screen: Screen,
    rows: np.ndarray,
    tally: CellTally,
    components: Components,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Place cells on principal components, in one reading.

    Parameters
    ----------
    screen
        An open screen, added up before: its values are not checked again.
    rows
        ``(n,)`` cells, rising.
    tally
        Of the reading that added it up.
    components
        Where to place them.
    progress
        Told the rate and the time left.

    Returns
    -------
    numpy.ndarray
        ``(n, K)`` coordinates.
    """
    from hyperperturb.data import kernels

    places = np.tile(-components.centre, (len(rows), 1))
    place = np.full(screen.n_cells, -1, dtype=np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    axis = np.full(screen.n_genes, -1, dtype=np.int32)
    axis[components.genes] = np.arange(len(components.genes), dtype=np.int32)
    axes = np.ascontiguousarray(components.axes, dtype=np.float64)
    factor = screen.log_factor if screen.is_log else 0.0
    depth, matrix = tally.depth, screen.matrix
    if isinstance(matrix, DenseMatrix):
        meter = RateMeter(progress, screen.n_cells, "Placing cells", "cells")
        for cells, genes, tile in _tiles(matrix):
            kernels.place_dense(tile, depth[cells], place[cells], axis[genes], axes, places, factor)
            meter(cells.stop)
        return places
    by_cell = matrix.storage == "csr"
    last = matrix.n_major
    meter = RateMeter(progress, last, "Placing cells", "cells" if by_cell else "genes")
    for start, stop, (values, indices, indptr) in read_blocks(matrix, 0, last):
        if start in tally.disordered:
            values, indices, indptr = in_order(matrix, values, indices, indptr)
        if by_cell:
            part = slice(start, stop)
            kernels.place_csr(values, indices, indptr, depth[part], place[part], axis, axes, places, factor)
        else:
            kernels.place_csc(values, indices, indptr, depth, place, axis[start:stop], axes, places, factor)
        meter(stop)
    return places


def _tiles(matrix: DenseMatrix) -> Iterator[tuple[slice, slice, np.ndarray]]:
    def read(cells: slice, genes: slice) -> tuple[slice, slice, np.ndarray]:
        return cells, genes, matrix.read(cells, genes)

    def jobs() -> Iterator[Callable[[], tuple[slice, slice, np.ndarray]]]:
        for cells, pieces in matrix.tiles():
            for genes in pieces:
                yield partial(read, cells, genes)

    yield from prefetch(jobs())
