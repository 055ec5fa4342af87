"""The drawing that points of the plane start from: parents, sectors, radii."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from hyperperturb.manifolds import Lorentz
from hyperperturb.models.graph_input import read_graph
from hyperperturb.models.graph_layout import plane_layout, sector_layout, spanning_parents


def closure(tree):
    """Descendant, ancestor."""
    return read_graph([(b, a) for a, b in nx.transitive_closure(tree).edges], nodes=list(tree), directed=True)


@pytest.fixture(scope="module")
def tree():
    return nx.balanced_tree(2, 4, create_using=nx.DiGraph)


def test_the_parent_in_a_closure_is_the_nearest_ancestor(tree):
    parent, is_closure = spanning_parents(closure(tree).adjacency)
    assert is_closure
    assert parent.tolist() == [-1, *[(node - 1) // 2 for node in range(1, 31)]]


def test_other_graphs_are_searched_from_their_hub(tree):
    parent, is_closure = spanning_parents(read_graph(nx.star_graph(4)).adjacency)
    assert not is_closure
    assert parent.tolist() == [-1, 0, 0, 0, 0]
    parts = nx.disjoint_union(nx.cycle_graph(5), nx.star_graph(3))
    parts.add_node(9)
    parent, _ = spanning_parents(read_graph(parts).adjacency)
    assert (parent < 0).sum() == 3
    for node in range(len(parent)):
        above, steps = node, 0
        while parent[above] >= 0:
            above, steps = parent[above], steps + 1
            assert steps < len(parent), "a node is its own ancestor"
    cycle, is_closure = spanning_parents(read_graph([(0, 1), (1, 2), (2, 0)], directed=True).adjacency)
    assert not is_closure
    assert (cycle < 0).sum() == 1


def test_sectors_are_nested_and_shared_by_leaves():
    #      0 has children 1 (three leaves) and 2 (one leaf): three quarters of the circle and one.
    angle, radius = sector_layout(np.array([-1, 0, 0, 1, 1, 1, 2]))
    assert radius[0] == 0.0
    assert angle[1] == pytest.approx(0.75 * np.pi)
    assert angle[2] == pytest.approx(1.75 * np.pi)
    assert (np.diff(np.sort(angle[[3, 4, 5]])) > 0.4 * np.pi).all()
    assert (radius[[3, 4, 5]] > radius[1]).all()
    assert radius[6] > radius[2], "an only child lies further out than its parent"


def test_the_drawing_alone_tells_most_of_a_hierarchy(tree):
    graph = closure(tree)
    vectors = plane_layout(graph.adjacency)
    assert vectors.shape == (31, 2)
    space = Lorentz()
    distance = space.pairwise_dist(space.expmap0(space.from_space(vectors)))
    np.fill_diagonal(distance, np.inf)
    for node in range(15, 31):  # the leaves: their four ancestors against everything else
        ancestors = graph.adjacency.indices[graph.adjacency.indptr[node] : graph.adjacency.indptr[node + 1]]
        nearest = np.argsort(distance[node])[: len(ancestors)]
        assert len(set(nearest) & set(ancestors)) >= 3
