"""What may be given as a graph, and the one form that it is turned into."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from hyperperturb.errors import HyperPerturbError


@dataclass(frozen=True)
class Graph:
    """Named nodes and their weighted neighbours.

    Attributes
    ----------
    nodes
        The N names, in order of their first appearance.
    adjacency
        ``(N, N)`` float32 CSR array of positive weights, empty diagonal; symmetric unless ``directed``, otherwise row
        ``a`` holds what ``a`` points to.
    directed
        Whether directions count.
    """

    nodes: tuple[Hashable, ...]
    adjacency: sparse.csr_array
    directed: bool

    @property
    def n_edges(self) -> int:
        """Number of edges; an undirected edge counts once."""
        return self.adjacency.nnz if self.directed else self.adjacency.nnz // 2


def read_graph(edges: Any, *, nodes: Sequence[Hashable] | None = None, directed: bool | None = None) -> Graph:
    """Turn whatever describes a graph into a :class:`Graph`.

    Parameters
    ----------
    edges
        One of

        - a table (``pandas.DataFrame``): the first two columns are the ends, a column ``weight`` the weights;
        - an array or a sequence of pairs, or of triples whose third entry is the weight;
        - a square ``scipy.sparse`` matrix of weights;
        - a ``networkx`` graph (edge attribute ``weight``);
        - a :class:`~hyperperturb.data.network.Network`.

        Self loops and edges of weight 0 are left out; of repeated edges the largest weight counts.
    nodes
        For a matrix, the names of its rows (by default their numbers); otherwise names to put first, of which some may
        have no edge.
    directed
        Keep directions. By default only those of a directed ``networkx`` graph.

    Returns
    -------
    Graph

    Raises
    ------
    HyperPerturbError
        When there is no edge, a name is missing, a weight is negative or not finite, or the input is nothing of the
        above.

    Examples
    --------
    >>> graph = read_graph([("a", "b"), ("b", "c"), ("c", "b")])
    >>> graph.nodes, graph.n_edges
    (('a', 'b', 'c'), 2)
    """
    if hasattr(edges, "adjacency") and hasattr(edges, "genes"):  # a Network
        nodes, edges = edges.genes if nodes is None else nodes, edges.adjacency
    if sparse.issparse(edges):
        names, source, target, weight = _from_matrix(edges, nodes)
    else:
        if hasattr(edges, "is_directed") and callable(getattr(edges, "edges", None)):  # a networkx graph
            directed = edges.is_directed() if directed is None else directed
            nodes = list(edges.nodes) if nodes is None else list(nodes)
            edges = [(a, b, 1.0 if w is None else w) for a, b, w in edges.edges(data="weight")]
        source, target, weight = _columns(edges)
        names, source, target = _number(source, target, nodes)
    directed = bool(directed)
    _check_weights(weight)
    keep = (source != target) & (weight > 0)
    if not keep.any():
        raise HyperPerturbError(
            "The graph has no edge between two different nodes.", hint="Give at least one such edge."
        )
    adjacency = _largest(source[keep], target[keep], weight[keep], len(names), both=not directed)
    return Graph(tuple(names), adjacency, directed)


def _from_matrix(matrix: Any, nodes: Sequence[Hashable] | None) -> tuple:
    if matrix.shape[0] != matrix.shape[1]:
        raise HyperPerturbError(
            f"A matrix of edges must be square; this one has {matrix.shape[0]:,} rows and {matrix.shape[1]:,} columns."
        )
    names = list(range(matrix.shape[0])) if nodes is None else list(nodes)
    if len(names) != matrix.shape[0]:
        raise HyperPerturbError(f"{len(names):,} node names were given for {matrix.shape[0]:,} rows.")
    _check_unique(names)
    entries = sparse.coo_array(matrix)
    source, target = entries.coords
    return names, source.astype(np.int64), target.astype(np.int64), entries.data.astype(np.float64)


def _columns(edges: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ends and weights of an edge table or of pairs."""
    if isinstance(edges, str | bytes | dict) or not hasattr(edges, "__iter__"):
        raise HyperPerturbError(
            f"A graph cannot be read from {type(edges).__name__} '{edges!s:.40}'.",
            hint="Give a table of edges, pairs of nodes, a sparse matrix or a networkx graph.",
        )
    if isinstance(edges, pd.DataFrame):
        table = edges
        weight_column = next((c for c in table.columns[2:] if str(c).lower() == "weight"), None)
    else:
        try:
            rows = [(row,) if isinstance(row, str | bytes) else tuple(row) for row in edges]
        except TypeError:  # an entry that is no sequence
            rows = [()]
        if len({len(row) for row in rows}) > 1 or any(len(row) not in (2, 3) for row in rows):
            raise HyperPerturbError(
                "Edges must all be pairs of nodes, or all be triples of two nodes and a weight.",
                hint="Give each as (a, b) or (a, b, weight).",
            )
        table = pd.DataFrame(rows)
        weight_column = 2 if table.shape[1] == 3 else None
    if table.shape[1] < 2:
        if len(table) == 0 and table.shape[1] == 0:
            return np.array([], object), np.array([], object), np.array([])
        raise HyperPerturbError("A table of edges needs two columns of nodes; this one has only one.")
    if weight_column is None:
        weight = np.ones(len(table))
    else:
        weight = pd.to_numeric(table[weight_column], errors="coerce").to_numpy(np.float64)
    return table.iloc[:, 0].to_numpy(), table.iloc[:, 1].to_numpy(), weight


def _number(source: np.ndarray, target: np.ndarray, nodes: Sequence[Hashable] | None) -> tuple:
    """Names in order of first appearance, and the edges in their numbers."""
    for end in (source, target):
        missing = np.flatnonzero(pd.isna(end))
        if len(missing):
            raise HyperPerturbError(
                f"Edge {missing[0] + 1:,} of {len(end):,} has a missing node name.",
                hint="Remove it or name the node.",
            )
    first = [] if nodes is None else list(nodes)
    _check_unique(first)
    both = np.empty(len(first) + 2 * len(source), dtype=object)
    both[: len(first)] = first
    both[len(first) :: 2], both[len(first) + 1 :: 2] = source, target
    codes, names = pd.factorize(both)
    codes = codes[len(first) :]
    return list(names), codes[::2].astype(np.int64), codes[1::2].astype(np.int64)


def _check_unique(names: Sequence[Hashable]) -> None:
    if len(set(names)) == len(names):
        return
    twice = pd.Series(list(names), dtype=object)
    twice = twice[twice.duplicated()].iloc[0]
    raise HyperPerturbError(f"The node name '{twice}' occurs more than once among the given nodes.")


def _check_weights(weight: np.ndarray) -> None:
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(wrong):
        raise HyperPerturbError(
            f"Edge {wrong[0] + 1:,} of {len(weight):,} has a weight that is not a number from 0 upwards "
            f"({len(wrong):,} such edges).",
            hint="Weights say how strongly two nodes are linked.",
        )


def _largest(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, n: int, *, both: bool
) -> sparse.csr_array:
    """CSR array with the largest weight of each pair."""
    if both:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
        weight = np.concatenate([weight, weight])
    order = np.lexsort((-weight, target, source))
    source, target, weight = source[order], target[order], weight[order]
    new = np.ones(len(source), dtype=bool)
    new[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    matrix = sparse.csr_array(
        (weight[new].astype(np.float32), (source[new], target[new])), shape=(n, n), dtype=np.float32
    )
    matrix.sort_indices()
    return matrix
