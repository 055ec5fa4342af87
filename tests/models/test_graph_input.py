"""What may be given as a graph, and the sentences for what may not."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from hyperperturb.data.network import network_from_edges
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.graph_input import read_graph

PAIRS = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"), ("d", "d")]
TRIANGLE = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    "edges",
    [
        PAIRS,
        np.array(PAIRS),
        pd.DataFrame(PAIRS, columns=["from", "to"]),
        (pair for pair in PAIRS),
        nx.Graph(PAIRS),
    ],
    ids=["pairs", "array", "table", "generator", "networkx"],
)
def test_every_form_gives_the_same_graph(edges):
    graph = read_graph(edges)
    assert graph.nodes == ("a", "b", "c", "d")
    assert graph.adjacency.toarray()[:3, :3].tolist() == TRIANGLE
    assert graph.adjacency[[3]].nnz == 0, "a self loop makes no neighbour"
    assert graph.n_edges == 3
    assert not graph.directed


def test_matrices_and_networks_keep_their_isolated_nodes():
    matrix = sparse.coo_array(([2.0, 1.0], ([0, 1], [1, 0])), shape=(3, 3))
    graph = read_graph(matrix)
    assert graph.nodes == (0, 1, 2)
    assert graph.adjacency[0, 1] == graph.adjacency[1, 0] == 2.0, "the larger of two weights"
    assert read_graph(matrix, nodes=["x", "y", "z"]).nodes == ("x", "y", "z")
    network = network_from_edges(["G1", "G2"], ["G2", "G3"], name="toy")
    assert read_graph(network).nodes == network.genes
    assert (read_graph(network).adjacency != network.adjacency).nnz == 0
    assert read_graph([("a", "b")], nodes=["z", "a"]).nodes == ("z", "a", "b")


def test_directions_are_kept_where_they_are_asked_for():
    edges = [("a", "b"), ("b", "c")]
    graph = read_graph(edges, directed=True)
    assert graph.n_edges == 2
    assert graph.adjacency.toarray().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert read_graph(nx.DiGraph(edges)).directed
    assert not read_graph(nx.DiGraph(edges), directed=False).directed


def test_weights_of_triples_tables_and_networkx():
    triples = [(1, 2, 0.5), (2, 1, 3.0), (2, 3, 0.0)]
    weighted = nx.Graph()
    weighted.add_weighted_edges_from([(1, 2, 3.0)])
    weighted.add_edge(3, 2, weight=0.0)
    for edges in (triples, pd.DataFrame(triples, columns=["a", "b", "Weight"]), weighted):
        graph = read_graph(edges)
        assert graph.adjacency[0, 1] == 3.0
        assert graph.n_edges == 1, "an edge of weight 0 is none"
    other = pd.DataFrame(triples, columns=["a", "b", "score"])
    assert read_graph(other).n_edges == 2, "only a column called weight holds weights"


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ([], "no edge between two different nodes"),
        ([("a", "a")], "no edge between two different nodes"),
        (sparse.csr_array((4, 4)), "no edge between two different nodes"),
        ("edges.csv", "cannot be read from str"),
        (7, "cannot be read from int"),
        ([1, 2], "pairs of nodes"),
        (["ab", "cd"], "pairs of nodes"),
        ([("a", "b"), ("a", "b", 1.0)], "pairs of nodes"),
        (pd.DataFrame({"a": [1, 2]}), "two columns"),
        ([("a", "b"), (None, "c")], "Edge 2 of 2 has a missing node name"),
        ([("a", float("nan"))], "missing node name"),
        ([("a", "b", 1.0), ("a", "c", -2.0)], "Edge 2 of 2 has a weight that is not a number"),
        ([("a", "b", "heavy")], "weight that is not a number"),
        (sparse.csr_array(np.ones((2, 3))), "square"),
    ],
)
def test_what_is_no_graph_is_refused_in_a_sentence(edges, says):
    with pytest.raises(HyperPerturbError, match=says):
        read_graph(edges)


def test_node_names_must_fit():
    with pytest.raises(HyperPerturbError, match="2 node names were given for 3 rows"):
        read_graph(sparse.csr_array(TRIANGLE), nodes=["a", "b"])
    with pytest.raises(HyperPerturbError, match="'a' occurs more than once"):
        read_graph(sparse.csr_array(TRIANGLE), nodes=["a", "b", "a"])
