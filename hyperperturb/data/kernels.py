"""Compiled loops that add up log1p(CP10k) by label. One signature each, compiled once and kept on disk.

Every kernel adds, for each value x of a cell with total T, ``v = log(1 + 10⁴ x / T)`` to ``sums[..., 0]``, v² to
``sums[..., 1]`` and, where x > 0, 1 to ``sums[..., 2]`` of the cell's label and gene, in float64. With ``factor > 0``
values are logarithms already and ``v = factor · x``. A code < 0 leaves the cell out (it is still checked).

They return ``(status, position)``: status 0 is well; otherwise `position` is the place in the block of the value
(or row) that is wrong.
"""

from __future__ import annotations

from math import log1p

import numpy as np

from hyperperturb.compiled import compiled

SCALE = 10_000.0
OK, NOT_FINITE, NEGATIVE, OUTSIDE, UNSORTED = 0, 1, 2, 3, 4
_TABLE = 24  # logarithms of small counts are taken once a cell: nine values in ten of a screen are below this


@compiled("UniTuple(int64, 2)(float32[::1], int32[::1], int64[::1], int64, float64[::1])")
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


@compiled(
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


@compiled("UniTuple(int64, 2)(float32[:, ::1], float64[::1])")
def total_dense(tile, totals):
    """Check a tile of a dense matrix and add its rows to the totals of their cells."""
    n = tile.shape[1]
    whole = n - n % 4
    for row in range(tile.shape[0]):
        line = tile[row]
        a = b = c = d = 0.0  # four sums at a time do not wait for each other
        negative = False
        for at in range(0, whole, 4):
            w, x, y, z = line[at], line[at + 1], line[at + 2], line[at + 3]
            a += w
            b += x
            c += y
            d += z
            negative |= (w < 0.0) | (x < 0.0) | (y < 0.0) | (z < 0.0)
        for at in range(whole, n):
            a += line[at]
            negative |= line[at] < 0.0
        total = (a + b) + (c + d)
        if negative or not np.isfinite(total):
            for at in range(n):
                if not np.isfinite(line[at]):
                    return NOT_FINITE, row * n + at
                if line[at] < 0.0:
                    return NEGATIVE, row * n + at
        totals[row] += total
    return OK, 0


@compiled("void(float32[:, ::1], float64[::1], int32[::1], float64[:, :, ::1], int64, float64)")
def add_dense(tile, totals, codes, sums, first, factor):
    """Add a checked tile of a dense matrix whose first column is gene `first`."""
    table = np.empty(_TABLE)
    found = np.empty(tile.shape[1], np.int32)
    for row in range(tile.shape[0]):
        code = codes[row]
        if code < 0 or totals[row] <= 0.0:
            continue
        line = tile[row]
        n = 0
        for column in range(
            line.shape[0]
        ):  # without a branch: nine values in ten are zero, nobody can guess which
            found[n] = column
            n += line[column] != 0.0
        scale = SCALE / totals[row]
        target = sums[code]
        ready = 0
        for place in range(n):
            column = found[place]
            x = line[column]
            small = int(x) if x < _TABLE else _TABLE
            if factor > 0.0:
                v = factor * x
            elif small < _TABLE and small == x:
                while ready <= small:
                    table[ready] = log1p(ready * scale)
                    ready += 1
                v = table[small]
            else:
                v = log1p(x * scale)
            here = target[first + column]
            here[0] += v
            here[1] += v * v
            here[2] += 1.0


@compiled("UniTuple(int64, 2)(float32[::1], int32[::1], int64[::1], float64[::1])")
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


@compiled(
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


@compiled(
    "void(float32[::1], int32[::1], int64[::1], float64[::1], int32[::1], int32[::1], float64[:, ::1], "
    "float64[:, ::1], float64)"
)
def place_csr(values, indices, indptr, totals, place, axis, axes, out, factor):
    """Add v · axes[axis[gene]] to ``out[place[row]]`` for every value of the rows that have a place."""
    for row in range(indptr.shape[0] - 1):
        if place[row] < 0 or totals[row] <= 0.0:
            continue
        target = out[place[row]]
        scale = SCALE / totals[row]
        for at in range(indptr[row], indptr[row + 1]):
            which = axis[indices[at]]
            if which >= 0:
                v = factor * values[at] if factor > 0.0 else log1p(values[at] * scale)
                line = axes[which]
                for k in range(line.shape[0]):
                    target[k] += v * line[k]


@compiled(
    "void(float32[::1], int32[::1], int64[::1], float64[::1], int32[::1], int32[::1], float64[:, ::1], "
    "float64[:, ::1], float64)"
)
def place_csc(values, indices, indptr, totals, place, axis, axes, out, factor):
    """The same for the columns of a CSC block, of which `axis` are the axes."""
    for column in range(indptr.shape[0] - 1):
        if axis[column] < 0:
            continue
        line = axes[axis[column]]
        for at in range(indptr[column], indptr[column + 1]):
            cell = indices[at]
            if place[cell] >= 0 and totals[cell] > 0.0:
                v = factor * values[at] if factor > 0.0 else log1p(values[at] * SCALE / totals[cell])
                target = out[place[cell]]
                for k in range(line.shape[0]):
                    target[k] += v * line[k]


@compiled(
    "void(float32[:, ::1], float64[::1], int32[::1], int32[::1], float64[:, ::1], float64[:, ::1], float64)"
)
def place_dense(tile, totals, place, axis, axes, out, factor):
    """The same for a tile of a dense matrix."""
    for row in range(tile.shape[0]):
        if place[row] < 0 or totals[row] <= 0.0:
            continue
        target = out[place[row]]
        scale = SCALE / totals[row]
        for column in range(tile.shape[1]):
            x = tile[row, column]
            if x != 0.0 and axis[column] >= 0:
                v = factor * x if factor > 0.0 else log1p(x * scale)
                line = axes[axis[column]]
                for k in range(line.shape[0]):
                    target[k] += v * line[k]


@compiled("void(float32[:, ::1], float64[::1], int64, int64, float64[:, ::1])")
def permuted_sums(distance, row_sums, n, seed, out):
    """Draw `n` of the rows at random, once for each row of `out`; write what energy distances of the draw need.

    ``out[b, 0]`` is the sum of the distances within draw b (each pair once), ``out[b, 1]`` that of its row sums. All
    draws are gone through row by row of the distances, so that a row is read once and stays in the cache.
    """
    np.random.seed(seed)  # noqa: NPY002 - numba compiles this one
    total = distance.shape[0]
    order = np.arange(total)
    draws = np.empty((out.shape[0], n), np.uint32)
    drawn = np.zeros(total, np.bool_)
    for b in range(out.shape[0]):
        drawn[:] = False
        for place in range(n):  # the first steps of a shuffle; any order to start from will do
            other = np.random.randint(place, total)  # noqa: NPY002
            order[place], order[other] = order[other], order[place]
            drawn[order[place]] = True
        at = 0
        rows = 0.0
        for i in range(total):
            if drawn[i]:
                draws[b, at] = i
                at += 1
                rows += row_sums[i]
        out[b, 0] = 0.0
        out[b, 1] = rows
    reached = np.zeros(out.shape[0], np.int64)
    for i in range(total):
        line = distance[i]
        for b in range(out.shape[0]):
            at = reached[b]
            if at == n or draws[b, at] != np.uint32(i):
                continue
            draw = draws[b]
            even = odd = third = fourth = 0.0  # four sums at a time do not wait for each other
            stop = at - at % 4
            for j in range(0, stop, 4):
                even += line[draw[j]]
                odd += line[draw[j + 1]]
                third += line[draw[j + 2]]
                fourth += line[draw[j + 3]]
            for j in range(stop, at):
                even += line[draw[j]]
            out[b, 0] += (even + odd) + (third + fourth)
            reached[b] = at + 1
