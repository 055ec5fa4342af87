"""How well points of nodes tell their graph: reconstruction and distortion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.csgraph import shortest_path

from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.graph_input import Graph, read_graph

if TYPE_CHECKING:
    from hyperperturb.models.graph_embedding import GraphEmbedding

_ROWS = 256
_ALL_PAIRS_UP_TO = 4096


def _matched(embedding: GraphEmbedding, edges: Any, directed: bool | None) -> Graph:
    """The graph over the embedding's nodes, in their order."""
    graph = edges if isinstance(edges, Graph) else read_graph(edges, directed=directed)
    if graph.nodes == embedding.nodes:
        return graph
    row = embedding.rows(list(graph.nodes))
    entries = graph.adjacency.tocoo()
    source, target = (row[end] for end in entries.coords)
    n = len(embedding)
    return Graph(
        embedding.nodes,
        type(graph.adjacency)((entries.data, (source, target)), shape=(n, n)),
        graph.directed,
    )


def reconstruction(
    embedding: GraphEmbedding, edges: Any, *, directed: bool | None = None
) -> tuple[float, float]:
    """Mean rank and mean average precision of the neighbours by distance (Nickel & Kiela 2017, section 4.1).

    The rank of a neighbour b of a is 1 + the number of nodes that are no neighbours of a (and not a) and lie nearer to
    a than b; the average precision of a is that of its neighbours among all other nodes, nearest first.

    Parameters
    ----------
    embedding
        The points.
    edges, directed
        The graph, as for :func:`hyperperturb.embed_graph`.

    Returns
    -------
    tuple of float
        Mean rank over all edges (from each end, where undirected), mean average precision over the nodes with
        neighbours.
    """
    graph = _matched(embedding, edges, directed)
    adjacency, points = graph.adjacency, embedding.points.astype(np.float64)
    ranks, precisions = [], []
    for start in range(0, len(points), _ROWS):
        distances = embedding.manifold.pairwise_dist(points[start : start + _ROWS], points)
        for node, distance in enumerate(distances, start):
            neighbours = adjacency.indices[adjacency.indptr[node] : adjacency.indptr[node + 1]]
            if len(neighbours) == 0:
                continue
            other = np.ones(len(points), dtype=bool)
            other[neighbours] = other[node] = False
            near = np.sort(distance[neighbours])
            ahead = np.searchsorted(np.sort(distance[other]), near, side="left")
            order = np.arange(1, len(near) + 1)
            ranks.append(1.0 + ahead)
            precisions.append(np.mean(order / (order + ahead)))
    return float(np.mean(np.concatenate(ranks))), float(np.mean(precisions))


def distortion(embedding: GraphEmbedding, edges: Any) -> float:
    """Average relative error of the distances as lengths of shortest paths (Sala et al. 2018, section 2).

    Mean over connected pairs of |s d(a, b) − h(a, b)| / h(a, b), where h counts the edges of a shortest path and s is
    the scale that makes the mean squared relative error least.

    Raises
    ------
    HyperPerturbError
        For more than 4,096 nodes: it looks at all pairs.
    """
    graph = _matched(embedding, edges, False)
    if len(embedding) > _ALL_PAIRS_UP_TO:
        raise HyperPerturbError(f"Distortion looks at all pairs, too many of {len(embedding):,} nodes.")
    hops = shortest_path(graph.adjacency, unweighted=True, directed=False)
    upper = np.triu_indices(len(hops), 1)
    hops = hops[upper]
    ratio = embedding.distance_matrix()[upper][np.isfinite(hops)] / hops[np.isfinite(hops)]
    scale = ratio.sum() / np.square(ratio).sum()
    return float(np.mean(np.abs(scale * ratio - 1.0)))
