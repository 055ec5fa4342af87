"""How alike the nodes of a graph are, exactly for small graphs and in memory linear in the nodes for large ones.

Both forms answer the same questions (:class:`Similarity`); nobody who asks needs to know which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

RESTART = 0.5
"""Restart probability of the random walks: half of a walk stays within one step of its node."""

EXACT_UP_TO = 4096
"""Number of nodes up to which similarities are computed exactly and kept as one dense matrix."""

KEEP = 256
"""Largest visiting probabilities kept of each node's walk beyond that."""

_TOLERANCE = 1e-5
_CHUNK = 2048


class Similarity(ABC):
    """A symmetric similarity of N nodes in [0, 1], 1 on the diagonal."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of nodes."""

    @abstractmethod
    def block(self, rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """Similarities of some nodes with others (by default with each other), float32 ``(rows, columns)``."""

    @abstractmethod
    def connection(self, others: np.ndarray) -> np.ndarray:
        """Mean similarity of each node with some nodes (without itself where it is one of them), ``(N,)`` float64."""

    @abstractmethod
    def relatives(self, k: int) -> np.ndarray:
        """Numbers of the (about) k most similar nodes of each node and of itself, ``(N, k + 1)``."""

    @abstractmethod
    def variance(self) -> float:
        """Variance of the similarities of all pairs of different nodes (of a sample of nodes with all, if sparse)."""

    @abstractmethod
    def matrix(self) -> np.ndarray | sparse.csr_array:
        """The dense matrix K, or the sparse factor S with K = S Sᵀ."""


class DenseSimilarity(Similarity):
    """A similarity kept as a matrix.

    Parameters
    ----------
    values
        ``(N, N)`` float32.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.asarray(values)

    def __len__(self) -> int:
        return len(self.values)

    def block(self, rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """See :class:`Similarity`."""
        return self.values[np.ix_(rows, rows if columns is None else columns)]

    def connection(self, others: np.ndarray) -> np.ndarray:
        """See :class:`Similarity`."""
        return _without_itself(self.values[:, others].sum(axis=1, dtype=np.float64), others)

    def relatives(self, k: int) -> np.ndarray:
        """See :class:`Similarity`."""
        k = min(k, len(self) - 1)
        return np.argpartition(-self.values, k, axis=1)[:, : k + 1]

    def variance(self) -> float:
        """See :class:`Similarity`."""
        n = len(self)
        if n < 2:
            return 0.0
        return float(np.var(self.values[~np.eye(n, dtype=bool)]))

    def matrix(self) -> np.ndarray:
        """The values."""
        return self.values


class SparseSimilarity(Similarity):
    """A similarity K = S Sᵀ kept as its sparse factor.

    Parameters
    ----------
    factor
        S, ``(N, F)`` float32 CSR array with rows of length 1.
    walks
        ``(N, N)`` CSR array whose row g holds the nodes that are considered as relatives of g.
    """

    def __init__(self, factor: sparse.csr_array, walks: sparse.csr_array) -> None:
        self.factor, self.walks = _int32(factor), walks

    def __len__(self) -> int:
        return self.factor.shape[0]

    def block(self, rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """See :class:`Similarity`."""
        rows = np.asarray(rows)
        columns = rows if columns is None else np.asarray(columns)
        out = (self.factor[rows] @ self.factor[columns].T).toarray()
        np.clip(out, 0.0, 1.0, out=out)
        out[rows[:, None] == columns] = 1.0
        return out

    def connection(self, others: np.ndarray) -> np.ndarray:
        """See :class:`Similarity`; by the sum of the others' profiles."""
        profile = self.factor[others].sum(axis=0, dtype=np.float64)
        return _without_itself(self.factor @ profile, others)

    def relatives(self, k: int) -> np.ndarray:
        """See :class:`Similarity`; chosen among the nodes that a node's walks visit most."""
        from hyperperturb.models.diffusion_kernels import best_of

        out = np.empty((len(self), k + 1), np.int32)
        factor, walks = self.factor, self.walks
        degree = np.diff(walks.indptr)
        width = int(degree.max(initial=1))
        for start in range(0, len(self), _CHUNK):
            stop = min(start + _CHUNK, len(self))
            candidates = np.full((stop - start, width), -1, np.int32)
            of = np.repeat(np.arange(stop - start), degree[start:stop])
            place = np.arange(walks.indptr[start], walks.indptr[stop]) - np.repeat(
                walks.indptr[start:stop], degree[start:stop]
            )
            candidates[of, place] = walks.indices[walks.indptr[start] : walks.indptr[stop]]
            rows = np.arange(start, stop)
            best_of(
                factor.indptr, factor.indices, factor.data, rows, factor.shape[1], candidates, out[start:stop]
            )
        return out

    def variance(self) -> float:
        """See :class:`Similarity`."""
        n = len(self)
        rows = np.random.default_rng(0).choice(n, min(n, 512), replace=False)
        values = self.block(rows, np.arange(n))
        return float(np.var(values[rows[:, None] != np.arange(n)]))

    def matrix(self) -> sparse.csr_array:
        """The factor S."""
        return self.factor


def _without_itself(total: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Means of sums of similarities with others, in which a node that is one of them is counted with 1."""
    itself = np.zeros(len(total), dtype=bool)
    itself[others] = True
    return np.maximum(total - itself, 0.0) / np.maximum(len(others) - itself, 1)


def _int32(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same array with the index type of the compiled loops."""
    matrix = sparse.csr_array(matrix, dtype=np.float32)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def diffusion_similarity(adjacency: sparse.sparray, *, restart: float = RESTART) -> np.ndarray:
    """Cosine similarity of the square roots of random walks with restart.

    The walk of node g visits node h with probability R[g, h], R = r (I − (1 − r) P)⁻¹ with the row-stochastic
    P (Tong, Faloutsos & Pan 2006, eq. 4); the square root makes the cosine a Bhattacharyya coefficient, which
    many small overlaps count towards, not only the hubs.

    Parameters
    ----------
    adjacency
        (N, N) symmetric non-negative weights.
    restart
        Probability r in (0, 1) of jumping home at each step.

    Returns
    -------
    numpy.ndarray
        (N, N) float32, symmetric, in [0, 1], ones on the diagonal.

    Examples
    --------
    >>> path = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0.0]]))
    >>> similarity = diffusion_similarity(path)
    >>> bool(similarity[0, 1] > similarity[0, 2] > 0)
    True
    """
    n = adjacency.shape[0]
    system = np.eye(n, dtype=np.float32) - (1.0 - restart) * _steps(adjacency).toarray().astype(np.float32)
    walk = np.linalg.inv(system)
    np.maximum(walk, 0.0, out=walk)
    np.sqrt(walk, out=walk)
    walk /= np.linalg.norm(walk, axis=1, keepdims=True)
    similarity = walk @ walk.T
    np.clip(similarity, 0.0, 1.0, out=similarity)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def _steps(adjacency: sparse.sparray) -> sparse.csr_array:
    """The row-stochastic matrix; a node without neighbours goes nowhere."""
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1.0 / np.where(degree > 0, degree, 1.0)) @ adjacency)


def walk_profiles(
    adjacency: sparse.sparray, *, restart: float = RESTART, keep: int = KEEP, tolerance: float = _TOLERANCE
) -> sparse.csr_array:
    """Square roots of the visiting probabilities of random walks with restart, the largest of each walk.

    The rows have length 1, because probabilities add up to 1, and their products are the similarities of
    :func:`diffusion_similarity` up to what was cut off. What is cut off of a walk becomes one further entry, in a
    column that all nodes of a connected component share: far from home walks forget where they began, so their
    tails are alike.

    Parameters
    ----------
    adjacency
        (N, N) symmetric non-negative weights.
    restart
        Probability r in (0, 1) of jumping home at each step.
    keep
        Entries kept of each walk.
    tolerance
        Probability per neighbour that may stay where it is (see
        :func:`hyperperturb.models.diffusion_kernels.push_walks`).

    Returns
    -------
    scipy.sparse.csr_array
        (N, N + components) float32.

    Examples
    --------
    >>> path = sparse.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0.0]]))
    >>> profiles = walk_profiles(path)
    >>> bool(np.allclose((profiles @ profiles.T).toarray(), diffusion_similarity(path), atol=1e-3))
    True
    """
    from hyperperturb.models.diffusion_kernels import push_walks

    n = adjacency.shape[0]
    keep = min(keep, n)
    step = _int32(_steps(sparse.csr_array(adjacency)))
    n_parts, part = connected_components(step, directed=False)
    rows, columns, values = [], [], []
    for start in range(0, n, _CHUNK):
        size = min(_CHUNK, n - start)
        node, value = np.zeros((size, keep), np.int32), np.zeros((size, keep), np.float32)
        count = np.zeros(size, np.int64)
        push_walks(step.indptr, step.indices, step.data, restart, tolerance, start, keep, node, value, count)
        filled = np.arange(keep) < count[:, None]
        tail = np.maximum(1.0 - value.sum(axis=1, dtype=np.float64), 0.0)
        rows += [
            np.repeat(np.arange(start, start + size, dtype=np.int32), count),
            np.arange(start, start + size),
        ]
        columns += [node[filled], (n + part[start : start + size]).astype(np.int32)]
        values += [np.sqrt(value[filled]), np.sqrt(tail).astype(np.float32)]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    profiles = sparse.csr_array(entries, shape=(n, n + n_parts), dtype=np.float32)
    profiles.eliminate_zeros()
    profiles.sort_indices()
    return profiles


def network_similarity(
    adjacencies: Sequence[sparse.sparray],
    *,
    restart: float = RESTART,
    exact: bool | None = None,
    keep: int = KEEP,
) -> Similarity:
    """Diffusion similarity along several networks of the same N nodes.

    The walks of a node along the networks that know it (in which it has neighbours) lie side by side, and the
    similarity of two nodes is the cosine of theirs. That is the mean over the networks for nodes that all of them
    know; and it is positive definite.

    Parameters
    ----------
    adjacencies
        (N, N) symmetric non-negative weights, one a network.
    restart
        See :func:`diffusion_similarity`.
    exact
        One dense matrix (True) or sparse profiles (False); by default dense up to ``EXACT_UP_TO`` nodes.
    keep
        Of the sparse form, see :func:`walk_profiles`.
    """
    n = adjacencies[0].shape[0]
    known = np.array([np.asarray(adjacency.sum(axis=1)).ravel() > 0 for adjacency in adjacencies])
    known |= ~known.any(axis=0)  # a node that no network knows keeps its walks, which all stay at home
    scale = (1.0 / np.sqrt(known.sum(axis=0))).astype(np.float32)
    if exact is None:
        exact = n <= EXACT_UP_TO
    if exact:
        total = np.zeros((n, n), dtype=np.float32)
        for adjacency in adjacencies:
            total += diffusion_similarity(adjacency, restart=restart)
        total *= scale
        total *= scale[:, None]
        np.fill_diagonal(total, 1.0)  # where a network does not know a node it only is its own relative
        return DenseSimilarity(total)
    parts = [walk_profiles(adjacency, restart=restart, keep=keep) for adjacency in adjacencies]
    if len(parts) == 1:
        return SparseSimilarity(parts[0], parts[0][:, :n])
    parts = [
        sparse.csr_array(sparse.diags_array(there.astype(np.float32)) @ part)
        for part, there in zip(parts, known, strict=True)
    ]
    walks = parts[0][:, :n]
    for part in parts[1:]:
        walks = walks + part[:, :n]
    factor = sparse.csr_array(sparse.diags_array(scale) @ sparse.hstack(parts, format="csr"))
    return SparseSimilarity(factor, sparse.csr_array(walks))
