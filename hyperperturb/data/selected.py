"""Some columns of a matrix, as if it had no others: the genes beside antibodies and guides."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperperturb.data.matrix import Buffers, DenseMatrix, Matrix, SparseMatrix


class SelectedMatrix(SparseMatrix):
    """A CSR matrix of which only some columns are used.

    Parameters
    ----------
    data, indices, indptr, path, where
        As in :class:`SparseMatrix`.
    shape
        Cells, stored columns.
    columns
        ``(stored columns,)`` bool, which to use.
    """

    counts_rows = False

    def __init__(
        self,
        data: Any,
        indices: Any,
        indptr: Any,
        shape: tuple[int, int],
        *,
        columns: np.ndarray,
        path: Any = None,
        where: str = "X",
    ) -> None:
        super().__init__(data, indices, indptr, shape, "csr", path=path, where=where)
        self.n_stored = self.n_minor
        self.lookup = np.where(columns, np.cumsum(columns) - 1, -1).astype(np.int32)
        self.n_minor = int(columns.sum())
        self.shape = (self.shape[0], self.n_minor)

    def read(
        self, start: int, stop: int, buffers: Buffers | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the rows `start` to `stop`, as :meth:`SparseMatrix.read` does."""
        values, indices, indptr = super().read(start, stop, buffers)
        if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= self.n_stored):
            raise self.outside()
        place = self.lookup[indices]
        keep = place >= 0
        kept = np.concatenate(([0], np.cumsum(keep, dtype=np.int64)))
        return values[keep], place[keep], kept[indptr]


class SelectedColumns(SparseMatrix):
    """A CSC matrix of which only some columns are used.

    Parameters
    ----------
    matrix
        CSC.
    columns
        ``(stored columns,)`` bool, which to use.
    """

    def __init__(self, matrix: SparseMatrix, columns: np.ndarray) -> None:
        lengths = np.diff(matrix.indptr)[columns]
        pointers = np.concatenate(([0], np.cumsum(lengths)))
        shape = (matrix.shape[0], len(lengths))
        super().__init__(
            matrix.data, matrix.indices, pointers, shape, "csc", path=matrix.path, where=matrix.where
        )
        self.whole, self.chosen = matrix, np.flatnonzero(columns)

    def read(
        self, start: int, stop: int, buffers: Buffers | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the columns `start` to `stop`, neighbours among the stored ones together."""
        stored = self.chosen[start:stop]
        ends = np.flatnonzero(np.diff(stored) != 1) + 1
        runs = [run for run in np.split(stored, ends) if len(run)]
        parts = [self.whole.read(int(run[0]), int(run[-1]) + 1) for run in runs]
        values = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.float32)
        indices = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int32)
        return values, indices, self.indptr[start : stop + 1] - self.indptr[start]


class SelectedArray:
    """A stored table of which only some columns are used, read piece by piece.

    Parameters
    ----------
    array
        ``(rows, columns)``, h5py dataset or array.
    columns
        ``(columns,)`` bool, which to use.
    """

    def __init__(self, array: Any, columns: np.ndarray) -> None:
        self.array, self.chosen = array, np.flatnonzero(columns)
        self.shape = (array.shape[0], len(self.chosen))
        self.dtype = array.dtype
        self.chunks = getattr(array, "chunks", None)

    def __getitem__(self, at: tuple[slice, slice]) -> np.ndarray:
        rows, columns = at
        stored = self.chosen[columns]
        if not len(stored):
            return np.empty((len(range(*rows.indices(self.shape[0]))), 0), dtype=self.dtype)
        # one slab that holds them all: reading columns one by one would decode every chunk as often
        first = int(stored[0])
        return np.asarray(self.array[rows, first : int(stored[-1]) + 1])[:, stored - first]


def select_columns(matrix: Matrix, columns: np.ndarray) -> Matrix:
    """Take some columns of a matrix, read piece by piece as before.

    Parameters
    ----------
    matrix
        Any matrix.
    columns
        ``(matrix columns,)`` bool, which to use.
    """
    about = {"path": matrix.path, "where": matrix.where}
    if isinstance(matrix, DenseMatrix):
        return DenseMatrix(SelectedArray(matrix.array, columns), **about)
    if matrix.storage == "csc":
        return SelectedColumns(matrix, columns)
    return SelectedMatrix(matrix.data, matrix.indices, matrix.indptr, matrix.shape, columns=columns, **about)
