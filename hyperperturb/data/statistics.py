"""Sums of log1p(CP10k), of its square and of the cells that have it, by label; streamed from the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.matrix import Buffers, DenseMatrix, SparseMatrix
from hyperperturb.data.opening import Screen
from hyperperturb.data.prefetch import prefetch
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, RateMeter


@dataclass
class CellTally:
    """What the reading that adds up a screen tells of its cells.

    Attributes
    ----------
    sample
        ``(n,)`` cells whose values are kept, rising. Not those of CSC files, where cells are scattered.
    depth
        ``(n_cells,)`` counts of each cell (sums of the values where they are log-normalised).
    n_detected
        ``(n_cells,)`` stored values of each cell: genes.
    disordered
        Where blocks begin that are not in order.
    kept
        The sample's stored values, ``(some cells, n_genes)`` CSR float32 each, in order.
    """

    sample: np.ndarray
    depth: np.ndarray
    n_detected: np.ndarray
    disordered: set[int] = field(default_factory=set)
    kept: list[sp.csr_matrix] = field(default_factory=list)
    _pieces: list[sp.csr_matrix] = field(default_factory=list)

    @classmethod
    def of(cls, screen: Screen, sample: np.ndarray) -> CellTally:
        """An empty one, that will keep the values of these cells."""
        return cls(sample, np.zeros(screen.n_cells), np.zeros(screen.n_cells, dtype=np.int64))

    def _inside(self, start: int, stop: int) -> np.ndarray:
        first, last = np.searchsorted(self.sample, [start, stop])
        return self.sample[first:last] - start

    def add_rows(
        self, start: int, values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n: int
    ) -> None:
        """Keep what the sample has in a block of rows of CSR that begins with cell `start`."""
        self.n_detected[start : start + len(indptr) - 1] = np.diff(indptr)
        inside = self._inside(start, start + len(indptr) - 1)
        if len(inside):  # fancy indexing copies: the buffers are used again
            block = sp.csr_matrix((values, indices, indptr), shape=(len(indptr) - 1, n), copy=False)
            self.kept.append(block[inside])

    def add_tile(self, rows: slice, tile: np.ndarray, *, last: bool) -> None:
        """Keep what the sample has in a tile of a dense matrix; tiles of a cell come one after the other."""
        self.n_detected[rows] += np.count_nonzero(tile, axis=1)
        inside = self._inside(rows.start, rows.stop)
        if len(inside):
            self._pieces.append(sp.csr_matrix(tile[inside]))
            if last:
                self.kept.append(sp.hstack(self._pieces, format="csr"))
                self._pieces = []


def label_sums(
    screen: Screen,
    codes: np.ndarray,
    n_labels: int,
    *,
    tally: CellTally | None = None,
    progress: Progress | None = None,
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
    tally
        Filled with what the reading tells of the cells; None does without.
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
    sums = empty_sums(n_labels, screen.n_genes)
    if screen.storage != "csc":
        meter = RateMeter(progress, screen.n_cells, "Adding up cells", "cells")
        add_cells(screen, codes, sums, 0, screen.n_cells, meter, tally)
        return sums
    meter = RateMeter(progress, 2 * screen.n_genes, "Adding up genes, read twice", "genes")
    totals, disordered = total_genes(screen, 0, screen.n_genes, meter, tally)
    add_genes(
        screen, codes, totals, disordered, sums, 0, screen.n_genes, lambda done: meter(screen.n_genes + done)
    )
    return sums


def empty_sums(n_labels: int, n_genes: int) -> np.ndarray:
    """Make room for sums, ``(n_labels, n_genes, 3)`` float64; refused where there is none."""
    try:
        return np.zeros((n_labels, n_genes, 3))
    except MemoryError:
        size = n_labels * n_genes * 24 / 1e9
        raise HyperPerturbError(
            f"The sums of {n_labels:,} labels x {n_genes:,} genes need {size:,.0f} GB of memory.",
            hint="Choose a column with fewer labels, or fewer genes.",
        ) from None


def add_cells(
    screen: Screen,
    codes: np.ndarray,
    sums: np.ndarray,
    first: int,
    last: int,
    done: Callable[[int], None] = lambda _: None,
    tally: CellTally | None = None,
) -> None:
    """Add cells `first` to `last` of a CSR or dense screen.

    Parameters
    ----------
    screen
        An open screen.
    codes
        ``(last - first,)`` int32, the labels of these cells.
    sums
        What :func:`empty_sums` gives; added to.
    first, last
        The cells.
    done
        Told the number of the cell that comes next.
    tally
        As in :func:`label_sums`.
    """
    factor = screen.log_factor if screen.is_log else 0.0
    matrix = screen.matrix
    if isinstance(matrix, DenseMatrix):
        _dense(screen, matrix, codes, sums, factor, first, last, done, tally)
    else:
        _csr(screen, matrix, codes, sums, factor, first, last, done, tally)


def _csr(
    screen: Screen,
    matrix: SparseMatrix,
    codes: np.ndarray,
    sums: np.ndarray,
    factor: float,
    first: int,
    last: int,
    done: Callable[[int], None],
    tally: CellTally | None,
) -> None:
    from hyperperturb.data import kernels

    for start, stop, (values, indices, indptr) in read_blocks(matrix, first, last):
        part = codes[start - first : stop - first]
        totals = np.empty(stop - start)
        status, at = kernels.total_csr(values, indices, indptr, screen.n_genes, totals)
        if status == kernels.UNSORTED:
            if tally is not None:
                tally.disordered.add(start)
            values, indices, indptr = in_order(matrix, values, indices, indptr)
            status, at = kernels.total_csr(values, indices, indptr, screen.n_genes, totals)
        if status != kernels.OK:
            row = start + int(np.searchsorted(indptr, at, side="right")) - 1
            _refuse(screen, matrix, status, row, int(indices[at]), float(values[at]))
        if tally is not None:
            tally.depth[start:stop] = totals
            tally.add_rows(start, values, indices, indptr, screen.n_genes)
        order = np.argsort(part, kind="stable")
        kernels.add_csr(values, indices, indptr, totals, part, order, sums, factor)
        done(stop)


def total_genes(
    screen: Screen,
    first: int,
    last: int,
    done: Callable[[int], None] = lambda _: None,
    tally: CellTally | None = None,
) -> tuple[np.ndarray, set[int]]:
    """Add up the counts that each cell has in genes `first` to `last` of a CSC screen.

    Parameters
    ----------
    screen
        An open screen.
    first, last
        The genes.
    done
        Told the number of the gene that comes next.
    tally
        As in :func:`label_sums`.

    Returns
    -------
    tuple
        ``(n_cells,)`` float64, and where blocks begin that are not in order: for :func:`add_genes`.
    """
    from hyperperturb.data import kernels

    matrix = _sparse(screen)
    totals = np.zeros(screen.n_cells)
    disordered = set()
    for start, stop, (values, indices, indptr) in read_blocks(matrix, first, last):
        status, at = kernels.total_csc(values, indices, indptr, totals)
        if status == kernels.UNSORTED:
            disordered.add(start)
        elif status != kernels.OK:
            gene = start + int(np.searchsorted(indptr, at, side="right")) - 1
            _refuse(screen, matrix, status, int(indices[at]), gene, float(values[at]))
        if tally is not None:
            if start in disordered:
                _, indices, _ = in_order(matrix, values, indices, indptr)
            tally.n_detected += np.bincount(indices, minlength=screen.n_cells)
        done(stop)
    if tally is not None:
        tally.depth[:] = totals
        tally.disordered = disordered
    return totals, disordered


def add_genes(
    screen: Screen,
    codes: np.ndarray,
    totals: np.ndarray,
    disordered: set[int],
    sums: np.ndarray,
    first: int,
    last: int,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Add genes `first` to `last` of a CSC screen.

    Parameters
    ----------
    screen
        An open screen.
    codes
        ``(n_cells,)`` int32, the labels of the cells.
    totals, disordered
        Of :func:`total_genes`, over all genes.
    sums
        ``(n_labels, last - first, 3)``, of these genes alone; added to.
    first, last
        The genes, cut as they were for the totals.
    done
        Told the number of the gene that comes next.
    """
    from hyperperturb.data import kernels

    factor = screen.log_factor if screen.is_log else 0.0
    matrix = _sparse(screen)
    for start, stop, (values, indices, indptr) in read_blocks(matrix, first, last):
        if start in disordered:
            values, indices, indptr = in_order(matrix, values, indices, indptr)
        kernels.add_csc(values, indices, indptr, totals, codes, sums, start - first, factor)
        done(stop)


def _sparse(screen: Screen) -> SparseMatrix:
    assert isinstance(screen.matrix, SparseMatrix)
    return screen.matrix


def _dense(
    screen: Screen,
    matrix: DenseMatrix,
    codes: np.ndarray,
    sums: np.ndarray,
    factor: float,
    first: int,
    last: int,
    done: Callable[[int], None],
    tally: CellTally | None,
) -> None:
    from hyperperturb.data import kernels

    def read(
        rows: slice, piece: slice, checks: bool, adds: bool
    ) -> tuple[slice, slice, bool, bool, np.ndarray]:
        return rows, piece, checks, adds, matrix.read(rows, piece)

    def jobs() -> Iterator[Callable[[], tuple[slice, slice, bool, bool, np.ndarray]]]:
        for rows, columns in matrix.tiles(first, last):
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
            if tally is not None:
                tally.add_tile(rows, tile, last=piece.stop == screen.n_genes)
                tally.depth[rows] = totals
        if adds:
            part = codes[rows.start - first : rows.stop - first]
            kernels.add_dense(tile, totals, part, sums, piece.start, factor)
            if piece.stop == screen.n_genes:
                done(rows.stop)


def read_blocks(
    matrix: SparseMatrix, first: int, last: int
) -> Iterator[tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Read a part of a sparse matrix block by block, one ahead, in three buffers that are used in turn."""
    ranges = list(matrix.ranges(first, last))
    buffers: list[Buffers] = [matrix.buffers(ranges) for _ in range(3)]

    def read(
        start: int, stop: int, into: Buffers
    ) -> tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return start, stop, matrix.read(start, stop, into)

    def jobs() -> Iterator[Callable[[], tuple[int, int, tuple[np.ndarray, np.ndarray, np.ndarray]]]]:
        for number, (start, stop) in enumerate(ranges):
            into = buffers[number % 3]
            yield partial(read, start, stop, into)

    yield from prefetch(jobs())


def in_order(
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
