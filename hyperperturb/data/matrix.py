"""The matrix of a screen in blocks: CSR, CSC and dense, on disk and in memory, behind one face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal

import h5py
import numpy as np
import scipy.sparse as sp

from hyperperturb.data.h5ad import encoding, is_group, reading, text
from hyperperturb.errors import HyperPerturbError

BLOCK_VALUES = 8 << 20  # stored values in a sparse block: 64 MB of values and indices, three blocks at a time
TILE_VALUES = 4 << 20  # values in a dense tile

Buffers = tuple[np.ndarray, np.ndarray]


class SparseMatrix:
    """A CSR or CSC matrix whose values and indices are read piece by piece.

    Parameters
    ----------
    data, indices
        ``(nnz,)``, h5py datasets or arrays.
    indptr
        ``(n_major + 1,)``, h5py dataset or array.
    shape
        Cells, genes.
    storage
        ``"csr"`` (rows are cells) or ``"csc"``.
    path, where
        The file and the place in it, for messages.

    Raises
    ------
    HyperPerturbError
        The three arrays contradict each other or the shape.
    """

    counts_rows = True  # whether the row pointers say how many values a row has

    def __init__(
        self,
        data: Any,
        indices: Any,
        indptr: Any,
        shape: tuple[int, int],
        storage: Literal["csr", "csc"],
        *,
        path: Any = None,
        where: str = "X",
    ) -> None:
        self.data, self.indices = data, indices
        self.shape = (int(shape[0]), int(shape[1]))
        self.storage = storage
        self.path, self.where = path, where
        self.n_major, self.n_minor = self.shape if storage == "csr" else self.shape[::-1]
        stored = int(data.shape[0])
        if tuple(indptr.shape) != (self.n_major + 1,):
            raise self._broken(
                f"'indptr' has {indptr.shape[0] if indptr.shape else 0} entries, not {self.n_major + 1}"
            )
        if int(indices.shape[0]) != stored:
            raise self._broken(f"it has {stored:,} values but {int(indices.shape[0]):,} indices")
        with reading(path, where):
            self.indptr = np.asarray(indptr[:], dtype=np.int64)
        if self.indptr[0] != 0 or self.indptr[-1] > stored or (np.diff(self.indptr) < 0).any():
            raise self._broken("'indptr' does not rise from 0 to the number of stored values")
        self.nnz = int(self.indptr[-1])
        for name, array in (("values", data), ("indices", indices)):
            if array.dtype.kind not in ("biuf" if name == "values" else "iu"):
                raise self._broken(f"its {name} are of type {array.dtype}, not numbers")

    def _broken(self, reason: str) -> HyperPerturbError:
        name = f"'{self.path}'" if self.path is not None else "the object"
        return HyperPerturbError(
            f"The matrix {self.where} of {name} is damaged: {reason}.",
            hint="Copy or download the file again, or write it anew with anndata's write_h5ad.",
        )

    def ranges(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
        """Cut rows (CSR) or columns (CSC), all or `first` to `last`, into ranges of about ``BLOCK_VALUES`` values.

        A dozen or more where there is enough to share, so that reading and computing overlap from early on.
        """
        target = min(BLOCK_VALUES, max(self.nnz // 12, 1 << 20))
        start, last = first, self.n_major if last is None else last
        while start < last:
            stop = int(np.searchsorted(self.indptr, self.indptr[start] + target, side="right")) - 1
            stop = min(max(stop, start + 1), last)
            yield start, stop
            start = stop

    def cuts(self, most: int) -> list[tuple[int, int]]:
        """Cut rows (CSR) or columns (CSC) into at most so many parts of about as many stored values each."""
        bounds = np.searchsorted(self.indptr, np.linspace(0, self.nnz, most + 1)[1:-1])
        bounds = np.unique([0, *bounds.tolist(), self.n_major]).tolist()
        return list(pairwise(bounds))

    def buffers(self, ranges: Iterable[tuple[int, int]]) -> Buffers:
        """Give buffers that hold any of the ranges."""
        longest = max((int(self.indptr[b] - self.indptr[a]) for a, b in ranges), default=0)
        return np.empty(longest, dtype=np.float32), np.empty(longest, dtype=np.int32)

    def read(
        self, start: int, stop: int, buffers: Buffers | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the rows (CSR) or columns (CSC) `start` to `stop`.

        Parameters
        ----------
        start, stop
            The range.
        buffers
            Where to put values and indices, from :meth:`buffers`; None makes new arrays.

        Returns
        -------
        tuple
            Values (float32), indices (int32) and the range's own indptr (int64, from 0). Not checked: indices
            may still lie outside the matrix.

        Raises
        ------
        HyperPerturbError
            The file is damaged there.
        """
        a, b = int(self.indptr[start]), int(self.indptr[stop])
        into = (None, None) if buffers is None else buffers
        with reading(self.path, f"{self.where}, values {a:,} to {b:,},"):
            values = _take(self.data, a, b, into[0], np.dtype(np.float32))
            indices = _take(self.indices, a, b, into[1], np.dtype(np.int32))
        return values, indices, self.indptr[start : stop + 1] - a

    def rows(self, start: int, stop: int) -> sp.csr_matrix:
        """Read cells `start` to `stop` as CSR, float32 (for CSC this reads the whole matrix once)."""
        if self.storage == "csr":
            values, indices, indptr = self.read(start, stop)
            self.check_indices(indices)
            out = sp.csr_matrix((values, indices, indptr), shape=(stop - start, self.shape[1]))
        else:
            parts = []
            for a, b in self.ranges():
                values, indices, indptr = self.read(a, b)
                self.check_indices(indices)
                column = np.repeat(np.arange(a, b, dtype=np.int32), np.diff(indptr))
                keep = (indices >= start) & (indices < stop)
                parts.append((values[keep], indices[keep] - start, column[keep]))
            joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
            out = sp.csr_matrix((joined[0], (joined[1], joined[2])), shape=(stop - start, self.shape[1]))
        if not out.has_canonical_format:
            out.sum_duplicates()
        return out

    def take(self, cells: np.ndarray) -> sp.csr_matrix:
        """Read some cells, rising positions, as CSR, float32."""
        place = np.full(self.shape[0], -1, dtype=np.int32)
        place[cells] = np.arange(len(cells), dtype=np.int32)
        if self.storage == "csr":
            ranges = [(a, b) for a, b in self.ranges() if (place[a:b] >= 0).any()]
            parts = [self.rows(a, b)[np.flatnonzero(place[a:b] >= 0)] for a, b in ranges]
            return (
                sp.vstack(parts, format="csr")
                if parts
                else sp.csr_matrix((0, self.shape[1]), dtype=np.float32)
            )
        found = []
        for a, b in self.ranges():
            values, indices, indptr = self.read(a, b)
            self.check_indices(indices)
            column = np.repeat(np.arange(a, b, dtype=np.int32), np.diff(indptr))
            keep = place[indices] >= 0
            found.append((values[keep], place[indices[keep]], column[keep]))
        joined = [np.concatenate(part) for part in zip(*found, strict=True)]
        return sp.csr_matrix((joined[0], (joined[1], joined[2])), shape=(len(cells), self.shape[1]))

    def check_indices(self, indices: np.ndarray) -> None:
        """Refuse indices that lie outside the matrix."""
        if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= self.n_minor):
            raise self.outside()

    def outside(self) -> HyperPerturbError:
        """The error for an index outside the matrix."""
        return self._broken(f"an index lies outside its {self.shape[0]:,} cells x {self.shape[1]:,} genes")


class TransposedArray:
    """A stored table seen with rows and columns exchanged, read piece by piece.

    Parameters
    ----------
    array
        ``(columns, rows)``, h5py dataset.
    """

    def __init__(self, array: h5py.Dataset) -> None:
        self.array = array
        self.shape = tuple(array.shape[::-1])
        self.dtype = array.dtype
        self.chunks = None if array.chunks is None else tuple(array.chunks[::-1])

    def __getitem__(self, at: tuple[slice, slice]) -> np.ndarray:
        rows, columns = at
        return self.array[columns, rows].T


class DenseMatrix:
    """A dense matrix that is read in tiles.

    Parameters
    ----------
    array
        ``(cells, genes)``, h5py dataset or array.
    path, where
        The file and the place in it, for messages.

    Raises
    ------
    HyperPerturbError
        It has not two dimensions, or holds no numbers.
    """

    storage: Literal["dense"] = "dense"

    def __init__(self, array: Any, *, path: Any = None, where: str = "X") -> None:
        self.array, self.path, self.where = array, path, where
        if len(array.shape) != 2 or array.dtype.kind not in "biuf":
            name = f"'{path}'" if path is not None else "the object"
            raise HyperPerturbError(
                f"The matrix {where} of {name} is not a table of numbers "
                f"(shape {tuple(array.shape)}, type {array.dtype}).",
                hint="Put the raw counts in X as a cells x genes matrix.",
            )
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self.nnz = self.shape[0] * self.shape[1]

    def tiles(self, first: int = 0, last: int | None = None) -> Iterator[tuple[slice, list[slice]]]:
        """Cut the cells, all or `first` to `last`, into strips, each with the column pieces to read it in.

        One piece where a strip of whole cells fits in ``TILE_VALUES``; several where the file's chunks are so tall
        that whole cells of a chunk would not fit: then each chunk is still decoded only a few times.
        """
        n_genes = self.shape[1]
        last = self.shape[0] if last is None else last
        rows, wide = self._strip()
        columns = [slice(0, n_genes)]
        if rows * n_genes > 4 * TILE_VALUES:
            width = max(wide, 4 * TILE_VALUES // rows // wide * wide, 1)
            columns = [slice(a, min(a + width, n_genes)) for a in range(0, n_genes, width)]
        for start in range(first, last, rows):
            yield slice(start, min(start + rows, last)), columns

    def _strip(self) -> tuple[int, int]:
        """Cells of a strip, and genes of a chunk of the file."""
        n_genes = self.shape[1]
        chunks = getattr(self.array, "chunks", None) or (1, n_genes)
        tall, wide = (max(1, min(int(chunk), n)) for chunk, n in zip(chunks, self.shape, strict=True))
        if tall * n_genes > 4 * TILE_VALUES:
            return min(tall, 4 * TILE_VALUES), wide
        return max(tall, TILE_VALUES // max(n_genes, 1) // tall * tall, 1), wide

    def cuts(self, most: int) -> list[tuple[int, int]]:
        """Cut the cells into at most so many parts of whole strips."""
        rows, _ = self._strip()
        step = -(-self.shape[0] // rows // most) * rows
        starts = range(0, self.shape[0], max(step, rows))
        return [(start, min(start + starts.step, self.shape[0])) for start in starts]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Read one tile, float32, C order."""
        with reading(self.path, f"{self.where}, cells {rows.start:,} to {rows.stop:,},"):
            return np.ascontiguousarray(np.asarray(self.array[rows, columns]), dtype=np.float32)

    def rows(self, start: int, stop: int) -> sp.csr_matrix:
        """Read cells `start` to `stop` as CSR, float32."""
        return sp.csr_matrix(self.read(slice(start, stop), slice(0, self.shape[1])))

    def take(self, cells: np.ndarray) -> sp.csr_matrix:
        """Read some cells, rising positions, as CSR, float32."""
        parts = [sp.csr_matrix((0, self.shape[1]), dtype=np.float32)]
        for rows, _ in self.tiles():
            inside = cells[(cells >= rows.start) & (cells < rows.stop)]
            if len(inside):
                parts.append(self.rows(rows.start, rows.stop)[inside - rows.start])
        return sp.vstack(parts, format="csr")


Matrix = SparseMatrix | DenseMatrix


def open_matrix(node: Any, *, path: Any, where: str) -> Matrix:
    """Open a matrix of an ``.h5ad`` file or a zarr store.

    Parameters
    ----------
    node
        The node: a group (sparse; also the ``h5sparse`` layout of old files) or a dataset (dense).
    path, where
        The file and the place in it, for messages.

    Returns
    -------
    SparseMatrix or DenseMatrix
        Nothing but the row pointers is read.

    Raises
    ------
    HyperPerturbError
        The matrix is damaged or of a kind that is not known.
    """
    with reading(path, where):
        if not is_group(node):
            return DenseMatrix(node, path=path, where=where)
        kind = (encoding(node) or text(node.attrs.get("h5sparse_format", ""))).removesuffix("_matrix")
        shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
        if kind not in ("csr", "csc") or shape is None or len(np.atleast_1d(shape)) != 2:
            raise HyperPerturbError(
                f"The matrix {where} of '{path}' is stored in a way that is not known here ({kind or 'no encoding'}).",
                hint="Write it anew as CSR with anndata's write_h5ad.",
            )
        size = (int(shape[0]), int(shape[1]))
        return SparseMatrix(node["data"], node["indices"], node["indptr"], size, kind, path=path, where=where)


def memory_matrix(array: Any, *, where: str) -> Matrix:
    """Take the matrix of an AnnData in memory.

    Parameters
    ----------
    array
        SciPy sparse matrix or array, NumPy array or matrix.
    where
        The place, for messages.

    Returns
    -------
    SparseMatrix or DenseMatrix
        CSR, CSC and dense are used without a copy.
    """
    if sp.issparse(array):
        if array.format not in ("csr", "csc"):
            array = array.tocsr()
        return SparseMatrix(array.data, array.indices, array.indptr, array.shape, array.format, where=where)
    return DenseMatrix(np.asarray(array), where=where)


def _take(source: Any, start: int, stop: int, into: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    if isinstance(source, h5py.Dataset) and into is not None and source.dtype == dtype:
        out = into[: stop - start]
        if stop > start:
            source.read_direct(out, np.s_[start:stop])
        return out
    part = np.asarray(source[start:stop])
    if dtype.kind == "i" and part.dtype != dtype and part.size:
        limit = np.iinfo(dtype)  # a wrapped index would point at a gene that was never meant
        if int(part.max()) > limit.max or int(part.min()) < limit.min:
            raise ValueError("an index is too large")
    if dtype.kind == "f" and part.dtype.kind == "f" and part.dtype.itemsize > 4:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such where values are checked
            return part.astype(dtype)
    return part.astype(dtype, copy=False)
