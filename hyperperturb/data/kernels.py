"""Compiled loops that add up log1p(CP10k) by label. One signature each, compiled once and kept on disk.

Every kernel adds, for each value x of a cell with total T, ``v = log(1 + 10⁴ x / T)`` to ``sums[..., 0]``, v² to
``sums[..., 1]`` and, where x > 0, 1 to ``sums[..., 2]`` of the cell's label and gene, in float64. With ``factor > 0``
values are logarithms already and ``v = factor · x``. A code < 0 leaves the cell out (it is still checked).

They return ``(status, position)``: status 0 is well; otherwise `position` is the place in the block of the value
(or row) that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log1p
from typing import Any

import numba
import numpy as np

SCALE = 10_000.0
OK, NOT_FINITE, NEGATIVE, OUTSIDE, UNSORTED = 0, 1, 2, 3, 4
_TABLE = 24  # logarithms of small counts are taken once a cell: nine values in ten of a screen are below this


def _compiled(signature: str) -> Callable[[Any], Any]:
    def wrap(function: Any) -> Any:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except RuntimeError:  # nowhere to keep compiled code (read-only installation and home)
            return numba.njit(signature, nogil=True)(function)

    return wrap


@_compiled("UniTuple(int64, 2)(float32[::1], int32[::1], int64[::1], int64, float64[::1])")
def total_csr(values, indices, indptr, n_genes, totals):
    """Check a CSR block and write the totals of its rows; UNSORTED where a row's genes do not rise strictly."""
    unsorted_at = -1
    for row in range(indptr.shape[0] - 1):
        total = 0.0
        last = -1
        for at in range(indptr[row], indptr[row + 1]):
            x = values[at]
            gene = indices[at]
            if gene < 0 or gene >= n_genes:
                return OUTSIDE, at
            if not np.isfinite(x):
                return NOT_FINITE, at
            if x < 0.0:
                return NEGATIVE, at
            if gene <= last:
                unsorted_at = row
            last = gene
            total += x
        totals[row] = total
    if unsorted_at >= 0:
        return UNSORTED, unsorted_at
    return OK, 0


@_compiled(
    "void(float32[::1], int32[::1], int64[::1], float64[::1], int32[::1], int64[::1], float64[:, :, ::1], float64)"
)
def add_csr(values, indices, indptr, totals, codes, order, sums, factor):
    """Add the rows of a checked CSR block in the given order: by label, so that its sums stay in the cache."""
    table = np.empty(_TABLE)
    for place in range(order.shape[0]):
        row = order[place]
        code = codes[row]
        if code < 0 or totals[row] <= 0.0:
            continue
        target = sums[code]
        start, stop = indptr[row], indptr[row + 1]
        if factor > 0.0:
            for at in range(start, stop):
                v = factor * values[at]
                here = target[indices[at]]
                here[0] += v
                here[1] += v * v
                here[2] += 1.0 if v > 0.0 else 0.0
            continue
        scale = SCALE / totals[row]
        ready = 0
        for at in range(start, stop):
            x = values[at]
            small = int(x) if x < _TABLE else _TABLE
            if small < _TABLE and small == x:
                while ready <= small:
                    table[ready] = log1p(ready * scale)
                    ready += 1
                v = table[small]
            else:
                v = log1p(x * scale)
            here = target[indices[at]]
            here[0] += v
            here[1] += v * v
            here[2] += 1.0 if x > 0.0 else 0.0


@_compiled("UniTuple(int64, 2)(float32[:, ::1], float64[::1])")
def total_dense(tile, totals):
    """Check a tile of a dense matrix and add its rows to the totals of their cells."""
    for row in range(tile.shape[0]):
        total = 0.0
        for column in range(tile.shape[1]):
            x = tile[row, column]
            if not np.isfinite(x):
                return NOT_FINITE, row * tile.shape[1] + column
            if x < 0.0:
                return NEGATIVE, row * tile.shape[1] + column
            total += x
        totals[row] += total
    return OK, 0


@_compiled("void(float32[:, ::1], float64[::1], int32[::1], float64[:, :, ::1], int64, float64)")
def add_dense(tile, totals, codes, sums, first, factor):
    """Add a checked tile of a dense matrix whose first column is gene `first`."""
    for row in range(tile.shape[0]):
        code = codes[row]
        if code < 0 or totals[row] <= 0.0:
            continue
        scale = SCALE / totals[row]
        target = sums[code]
        for column in range(tile.shape[1]):
            x = tile[row, column]
            if x != 0.0:
                v = factor * x if factor > 0.0 else log1p(x * scale)
                target[first + column, 0] += v
                target[first + column, 1] += v * v
                target[first + column, 2] += 1.0


@_compiled("UniTuple(int64, 2)(float32[::1], int32[::1], int64[::1], float64[::1])")
def total_csc(values, indices, indptr, totals):
    """Check a CSC block and add its values to the totals of their cells."""
    n_cells = totals.shape[0]
    unsorted_at = -1
    for column in range(indptr.shape[0] - 1):
        last = -1
        for at in range(indptr[column], indptr[column + 1]):
            x = values[at]
            cell = indices[at]
            if cell < 0 or cell >= n_cells:
                return OUTSIDE, at
            if not np.isfinite(x):
                return NOT_FINITE, at
            if x < 0.0:
                return NEGATIVE, at
            if cell <= last:
                unsorted_at = column
            last = cell
            totals[cell] += x
    if unsorted_at >= 0:
        return UNSORTED, unsorted_at
    return OK, 0


@_compiled(
    "void(float32[::1], int32[::1], int64[::1], float64[::1], int32[::1], float64[:, :, ::1], int64, float64)"
)
def add_csc(values, indices, indptr, totals, codes, sums, first, factor):
    """Add a checked CSC block whose first column is gene `first`."""
    part = np.zeros((sums.shape[0], 3))  # one gene of all labels stays in the cache
    for column in range(indptr.shape[0] - 1):
        part[:] = 0.0
        for at in range(indptr[column], indptr[column + 1]):
            cell = indices[at]
            code = codes[cell]
            if code < 0 or totals[cell] <= 0.0:
                continue
            v = factor * values[at] if factor > 0.0 else log1p(values[at] * SCALE / totals[cell])
            part[code, 0] += v
            part[code, 1] += v * v
            part[code, 2] += 1.0 if v > 0.0 else 0.0
        for code in range(part.shape[0]):
            sums[code, first + column, 0] += part[code, 0]
            sums[code, first + column, 1] += part[code, 1]
            sums[code, first + column, 2] += part[code, 2]


@_compiled("void(float32[:, ::1], float64[::1], int64, int64, float64[:, ::1])")
def permuted_sums(distance, row_sums, n, seed, out):
    """Draw `n` of the rows at random, once for each row of `out`; write what energy distances of the draw need.

    ``out[b, 0]`` is the sum of the distances within draw b (each pair once), ``out[b, 1]`` that of its row sums.
    """
    np.random.seed(seed)  # noqa: NPY002 - numba compiles this one
    total = distance.shape[0]
    order = np.arange(total)
    for b in range(out.shape[0]):
        for place in range(n):  # the first steps of a shuffle; any order to start from will do
            other = np.random.randint(place, total)  # noqa: NPY002
            order[place], order[other] = order[other], order[place]
        within = 0.0
        rows = 0.0
        for i in range(n):
            line = distance[order[i]]
            rows += row_sums[order[i]]
            for j in range(i):
                within += line[order[j]]
        out[b, 0] = within
        out[b, 1] = rows
