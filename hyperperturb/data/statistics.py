"""Sums of log1p(CP10k), of its square and of the cells that have it, by label; streamed from the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.matrix import Buffers, DenseMatrix, SparseMatrix, prefetch
from hyperperturb.data.opening import Screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, RateMeter


def label_sums(
    screen: Screen, codes: np.ndarray, n_labels: int, *, progress: Progress | None = None
) -> np.ndarray:
    """Add up log1p(CP10k), its square and the cells in which it is not zero, by label.

    CSR and dense files are read once, CSC files twice (the totals of the cells are needed before the first
    logarithm). A reader thread decodes the next block while the last one is added up. Memory does not depend on the
    number of cells, apart from 12 bytes a cell for row pointers and codes.

    Parameters
    ----------
    screen
        An open screen.
    codes
        ``(n_cells,)`` int32: the label of each cell, −1 leaves it out.
    n_labels
        Number of labels.
    progress
        Told the rate and the time left; an exception it raises stops the reading.

    Returns
    -------
    np.ndarray
        ``(n_labels, n_genes, 3)`` float64: sums, sums of squares, numbers of cells above zero. Over all labels they
        give the moments of every gene, from which variable genes are chosen without reading again.

    Raises
    ------
    HyperPerturbError
        A value is negative or not finite; the file is damaged; the table does not fit in memory.
    """
    codes = np.ascontiguousarray(codes, dtype=np.int32)
    try:
        sums = np.zeros((n_labels, screen.n_genes, 3))
    except MemoryError:
        size = n_labels * screen.n_genes * 24 / 1e9
        raise HyperPerturbError(
            f"The sums of {n_labels:,} labels x {screen.n_genes:,} genes need {size:,.0f} GB of memory.",
            hint="Choose a column with fewer labels, or fewer genes.",
        ) from None
    factor = screen.log_factor if screen.is_log else 0.0
    matrix = screen.matrix
    if isinstance(matrix, DenseMatrix):
        _dense(screen, matrix, codes, sums, factor, progress)
    elif matrix.storage == "csr":
        _csr(screen, matrix, codes, sums, factor, progress)
    else:
        _csc(screen, matrix, codes, sums, factor, progress)
    return sums


def _csr(
    screen: Screen,
    matrix: SparseMatrix,
    codes: np.ndarray,
    sums: np.ndarray,
    factor: float,
    progress: Progress | None,
) -> None:
    from hyperperturb.data import kernels

    meter = RateMeter(progress, screen.n_cells, "Adding up cells", "cells")
    for start, stop, (values, indices, indptr) in _blocks(matrix):
        part = codes[start:stop]
        totals = np.empty(stop - start)
        status, at = kernels.total_csr(values, indices, indptr, screen.n_genes, totals)
        if status == kernels.UNSORTED:
            values, indices, indptr = _ordered(matrix, values, indices, indptr)
            status, at = kernels.total_csr(values, indices, indptr, screen.n_genes, totals)
        if status != kernels.OK:
            row = start + int(np.searchsorted(indptr, at, side="right")) - 1
            _refuse(screen, matrix, status, row, int(indices[at]), float(values[at]))
        order = np.argsort(part, kind="stable")
        kernels.add_csr(values, indices, indptr, totals, part, order, sums, factor)
        meter(stop)


def _csc(
    screen: Screen,
    matrix: SparseMatrix,
    codes: np.ndarray,
    sums: np.ndarray,
    factor: float,
    progress: Progress | None,
) -> None:
    from hyperperturb.data import kernels

    totals = np.zeros(screen.n_cells)
    meter = RateMeter(progress, 2 * screen.n_genes, "Adding up genes, read twice", "genes")
    disordered = set()
    for start, stop, (values, indices, indptr) in _blocks(matrix):
        status, at = kernels.total_csc(values, indices, indptr, totals)
        if status == kernels.UNSORTED:
            disordered.add(start)
        elif status != kernels.OK:
            gene = start + int(np.searchsorted(indptr, at, side="right")) - 1
            _refuse(screen, matrix, status, int(indices[at]), gene, float(values[at]))
        meter(stop)
    for start, stop, (values, indices, indptr) in _blocks(matrix):
        if start in disordered:
            values, indices, indptr = _ordered(matrix, values, indices, indptr)
        kernels.add_csc(values, indices, indptr, totals, codes, sums, start, factor)
        meter(screen.n_genes + stop)


def _dense(
    screen: Screen,
    matrix: DenseMatrix,
    codes: np.ndarray,
    sums: np.ndarray,
    factor: float,
    progress: Progress | None,
) -> None:
    from hyperperturb.data import kernels

    meter = RateMeter(progress, screen.n_cells, "Adding up cells", "cells")

    def read(
        rows: slice, piece: slice, checks: bool, adds: bool
    ) -> tuple[slice, slice, bool, bool, np.ndarray]:
        return rows, piece, checks, adds, matrix.read(rows, piece)

    def jobs() -> Iterator[Callable[[], tuple[slice, slice, bool, bool, np.ndarray]]]:
        for rows, columns in matrix.tiles():
            if len(columns) == 1:
                yield partial(read, rows, columns[0], True, True)
                continue
            for adds in (False, True):  # tall chunks: totals of the cells first, then the same tiles again
                for piece in columns:
                    yield partial(read, rows, piece, not adds, adds)

    totals = np.zeros(0)
    at_rows: slice | None = None
    for rows, piece, checks, adds, tile in prefetch(jobs()):
        if rows != at_rows:
            totals, at_rows = np.zeros(rows.stop - rows.start), rows
        if checks:
            status, at = kernels.total_dense(tile, totals)
            if status != kernels.OK:
                row, column = divmod(at, tile.shape[1])
                _refuse(
                    screen, matrix, status, rows.start + row, piece.start + column, float(tile[row, column])
                )
        if adds:
            kernels.add_dense(tile, totals, codes[rows], sums, piece.start, factor)
            if piece.stop == screen.n_genes:
                meter(rows.stop)


def _blocks(matrix: SparseMatrix) -> Iterator[tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Read a sparse matrix block by block, one ahead, in three buffers that are used in turn."""
    buffers: list[Buffers] = [matrix.buffers() for _ in range(3)]

    def read(
        start: int, stop: int, into: Buffers
    ) -> tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return start, stop, matrix.read(start, stop, into)

    def jobs() -> Iterator[Callable[[], tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
        for number, (start, stop) in enumerate(matrix.ranges()):
            into = buffers[number % 3]
            yield partial(read, start, stop, into)

    yield from prefetch(jobs())


def _ordered(
    matrix: SparseMatrix, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring a block into order; values stored twice for one cell and gene are added, as SciPy does."""
    matrix.check_indices(indices)
    part = sp.csr_matrix((values.copy(), indices.copy(), indptr), shape=(len(indptr) - 1, matrix.n_minor))
    part.sum_duplicates()
    return part.data, part.indices.astype(np.int32, copy=False), part.indptr.astype(np.int64)


def _refuse(
    screen: Screen, matrix: SparseMatrix | DenseMatrix, status: int, cell: int, gene: int, value: float
) -> None:
    from hyperperturb.data import kernels
    from hyperperturb.data.values import Values, refuse_bad_values

    if status == kernels.OUTSIDE and isinstance(matrix, SparseMatrix):
        raise matrix.outside()
    place = (cell, gene, value)
    found = (
        Values("negative", bad=place) if status == kernels.NOT_FINITE else Values("negative", negative=place)
    )
    refuse_bad_values(
        found,
        where=screen.where,
        name=screen.name,
        cell=str(screen.cell_names()[cell]),
        gene=screen.genes[gene],
    )
