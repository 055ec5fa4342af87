"""Compiled loops over a graph's random walks and over their sparse profiles. Compiled once and kept on disk."""

from __future__ import annotations

import numpy as np

from hyperperturb.compiled import compiled


@compiled(
    "void(int32[::1], int32[::1], float32[::1], float64, float64, int64, int64, int32[:, ::1], float32[:, ::1],"
    " int64[::1])"
)
def push_walks(indptr, indices, step, restart, tolerance, first, keep, out_node, out_value, out_count):
    """Visiting probabilities of walks with restart from the nodes ``first`` …, the ``keep`` largest of each.

    Forward push (Andersen, Chung & Lang 2006, section 3): probability that has not walked on yet waits as a residual
    and is pushed to the neighbours while a node holds more than ``tolerance`` times its number of neighbours; so
    the work for one start is bounded by 1 / (restart · tolerance), whatever the size of the graph. What is still
    waiting counts where it waits.

    ``step`` are the entries of the row-stochastic matrix. One row of the outputs is written for each start.
    """
    n = indptr.shape[0] - 1
    arrived = np.zeros(n)
    waiting = np.zeros(n)
    queued = np.zeros(n, dtype=np.bool_)
    touched = np.zeros(n, dtype=np.bool_)
    queue = np.empty(n + 1, dtype=np.int32)
    seen = np.empty(n, dtype=np.int32)
    for row in range(out_count.shape[0]):
        start = first + row
        n_seen = 1
        seen[0] = start
        touched[start] = True
        waiting[start] = 1.0
        head, tail = 0, 0
        if indptr[start + 1] > indptr[start]:
            queue[0] = start
            queued[start] = True
            tail = 1
        while head != tail:
            node = queue[head]
            head = 0 if head == n else head + 1
            queued[node] = False
            mass = waiting[node]
            waiting[node] = 0.0
            arrived[node] += restart * mass
            mass *= 1.0 - restart
            for at in range(indptr[node], indptr[node + 1]):
                other = indices[at]
                if not touched[other]:
                    touched[other] = True
                    seen[n_seen] = other
                    n_seen += 1
                waiting[other] += mass * step[at]
                if not queued[other] and waiting[other] > tolerance * (indptr[other + 1] - indptr[other]):
                    queued[other] = True
                    queue[tail] = other
                    tail = 0 if tail == n else tail + 1
        value = np.empty(n_seen, dtype=np.float32)
        for i in range(n_seen):
            value[i] = arrived[seen[i]] + waiting[seen[i]]
            arrived[seen[i]] = 0.0
            waiting[seen[i]] = 0.0
            touched[seen[i]] = False
        least = np.float32(0.0)
        if n_seen > keep:
            least = np.partition(value, n_seen - keep)[n_seen - keep]
        # Those above the least first, then as many equal to it as there is room for.
        count = 0
        for i in range(n_seen):
            if value[i] > least and count < keep:
                out_node[row, count] = seen[i]
                out_value[row, count] = value[i]
                count += 1
        for i in range(n_seen):
            if value[i] == least and value[i] > 0.0 and count < keep:
                out_node[row, count] = seen[i]
                out_value[row, count] = value[i]
                count += 1
        out_count[row] = count


@compiled("void(int32[::1], int32[::1], float32[::1], int64[::1], int64, int32[:, ::1], int32[:, ::1])")
def best_of(indptr, indices, values, rows, width, candidates, out):
    """The candidates (−1: none) of each of ``rows`` with the largest product, best first; itself where too few."""
    scratch = np.zeros(width, dtype=np.float32)
    product = np.empty(candidates.shape[1], dtype=np.float32)
    for place in range(rows.shape[0]):
        row = rows[place]
        for at in range(indptr[row], indptr[row + 1]):
            scratch[indices[at]] = values[at]
        for j in range(candidates.shape[1]):
            product[j] = -1.0
            node = candidates[place, j]
            if node >= 0:
                product[j] = 0.0
                for at in range(indptr[node], indptr[node + 1]):
                    product[j] += scratch[indices[at]] * values[at]
        order = np.argsort(-product)
        for j in range(out.shape[1]):
            out[place, j] = row
            if j < order.shape[0] and product[order[j]] > 0.0:
                out[place, j] = candidates[place, order[j]]
        for at in range(indptr[row], indptr[row + 1]):
            scratch[indices[at]] = 0.0
