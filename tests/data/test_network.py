"""The network type: building, combining, coverage, keeping on disk."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hyperperturb.data.network import (
    Network,
    combine_networks,
    coverage,
    load_network,
    network_from_adjacency,
    network_from_edges,
    save_network,
)
from hyperperturb.data.network_terms import shared_neighbours
from hyperperturb.errors import HyperPerturbError

GENES = [f"G{k}" for k in range(8)]
EDGES = st.lists(st.tuples(st.sampled_from(GENES), st.sampled_from(GENES), st.floats(0.01, 900)), min_size=1)


def check(network: Network) -> None:
    """What every network promises."""
    a = network.adjacency
    assert isinstance(a, sparse.csr_array)
    assert a.dtype == np.float32
    assert a.has_canonical_format
    assert (a != a.T).nnz == 0
    assert a.diagonal().sum() == 0
    assert a.data.min() > 0
    assert a.data.max() <= 1
    assert len(set(network.genes)) == network.n_genes
    if network.signs is not None:
        assert set(np.unique(network.signs.data)) <= {-1, 1}
        assert (a.toarray()[network.signs.toarray() != 0] > 0).all()  # a sign needs an edge


@settings(max_examples=60, deadline=None)
@given(EDGES)
def test_edges_make_a_network(edges):
    source, target, weight = zip(*edges, strict=True)
    if all(a == b for a, b, _ in edges):
        with pytest.raises(HyperPerturbError, match="no edge between two different genes"):
            network_from_edges(source, target, weight, name="toy")
        return
    network = network_from_edges(source, target, weight, name="toy")
    check(network)
    largest = {}
    for a, b, w in edges:
        if a != b:
            largest[frozenset((a, b))] = max(w, largest.get(frozenset((a, b)), 0))
    scale = max(1.0, *largest.values())
    assert network.n_edges == len(largest)
    for pair, w in largest.items():
        i, j = network.index(sorted(pair))
        assert network.adjacency[i, j] == pytest.approx(w / scale, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(EDGES)
def test_listing_both_directions_changes_nothing(edges):
    edges = [(a, b, w) for a, b, w in edges if a != b]
    if not edges:
        return
    source, target, weight = map(list, zip(*edges, strict=True))
    once = network_from_edges(source, target, weight, name="toy")
    twice = network_from_edges(source + target, target + source, weight + weight, name="toy")
    assert once.genes == twice.genes
    assert (once.adjacency != twice.adjacency).nnz == 0


def test_self_loops_and_repeats_are_counted():
    network = network_from_edges(["A", "A", "B", "C"], ["A", "B", "A", "C"], name="toy")
    entry = network.provenance[0]
    assert network.genes == ("A", "B")
    assert (entry.n_edges, entry.n_genes) == (1, 2)
    assert "2 self loops dropped" in entry.note
    assert "1 repeated edges" in entry.note


def test_signs_are_directed_and_conflicts_are_unknown():
    network = network_from_edges(
        ["A", "B", "A", "A", "D"], ["B", "A", "C", "C", "A"], sign=[1, -1, 1, -1, 0], name="toy"
    )
    check(network)
    a, b, c, d = network.index(["A", "B", "C", "D"])
    assert network.signs[a, b] == 1
    assert network.signs[b, a] == -1
    assert network.signs[a, c] == network.signs[d, a] == 0
    assert network.adjacency[a, c] == 1


def test_given_genes_keep_their_order_and_may_be_alone():
    network = network_from_edges(["B"], ["A"], name="toy", genes=["C", "B", "A"])
    assert network.genes == ("C", "B", "A")
    assert network.degree.tolist() == [0, 1, 1]
    assert network.strength.tolist() == [0, 1, 1]


def test_restrict():
    network = network_from_edges(["A", "B", "C"], ["B", "C", "A"], [1, 0.5, 0.2], sign=[1, -1, 1], name="toy")
    part = network.restrict(["C", "Z", "B", "C"])
    check(part)
    assert part.genes == ("C", "B")
    assert part.adjacency.toarray() == pytest.approx(np.array([[0, 0.5], [0.5, 0]]))
    assert part.signs.toarray().tolist() == [[0, 0], [-1, 0]]
    with pytest.raises(
        HyperPerturbError, match=r"none of the 2 genes .* like A, B, C, the data like ENSG1, ENSG2"
    ):
        network.restrict(["ENSG1", "ENSG2"])


@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix, sparse.coo_array])
def test_from_adjacency(make):
    matrix = make(np.array([[9.0, 4.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 3.0]]))
    network = network_from_adjacency(matrix, ["B", "A", "C"], name="mine")
    check(network)
    assert network.genes == ("B", "A", "C")
    assert network.adjacency.toarray().tolist() == [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]]


@pytest.mark.parametrize(
    ("matrix", "genes", "sentence"),
    [
        (np.ones((2, 3)), "AB", "is 2 x 3, but 2 gene names"),
        (np.ones((2, 2)), "AA", "'A' stands for more than one row"),
        (np.array([[0, -1], [0, 0]]), "AB", "negative or non-finite"),
        (np.array([[0, np.nan], [0, 0]]), "AB", "negative or non-finite"),
        (np.eye(2), "AB", "has no edges"),
    ],
)
def test_from_bad_adjacency(matrix, genes, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        network_from_adjacency(matrix, list(genes), name="mine")


def test_combining_adds_and_scales():
    one = network_from_edges(["A", "B"], ["B", "C"], [1.0, 0.4], sign=[1, 1], name="one")
    two = network_from_edges(["B", "D"], ["A", "A"], [0.6, 0.8], name="two")
    three = network_from_edges(["A"], ["B"], [0.4], sign=[-1], name="three")
    both = combine_networks([one, two, three])
    check(both)
    assert both.genes == ("A", "B", "C", "D")
    a, b, c, d = range(4)
    assert both.adjacency[a, b] == 1  # 1 + 0.6 + 0.4 = 2, the largest
    assert both.adjacency[b, c] == pytest.approx(0.2)
    assert both.adjacency[a, d] == pytest.approx(0.4)
    assert both.signs[a, b] == 0
    assert both.signs[b, c] == 1
    assert [entry.name for entry in both.provenance] == ["one", "two", "three"]
    turned = combine_networks([three, two, one])
    assert turned.genes == both.genes
    assert (turned.adjacency != both.adjacency).nnz == 0
    assert combine_networks([two], name="x").name == "x"
    with pytest.raises(HyperPerturbError, match="No network"):
        combine_networks([])


def test_coverage():
    network = network_from_edges(["A", "B"], ["B", "C"], name="toy")
    effects = SimpleNamespace(targets=(("A",), ("Z", "A"), ("Y",)), genes=("A", "C", "X"))
    found = coverage(network, effects)
    assert found.model_dump() == {
        "n_targets": 3,
        "n_targets_in_network": 1,
        "missing_targets": ("Y", "Z"),
        "n_response_genes_in_network": 2,
        "n_genes": 3,
        "n_edges": 2,
    }


@pytest.mark.parametrize("sign", [None, [1, -1]])
def test_saved_network_comes_back(tmp_path, sign):
    network = network_from_edges(
        ["A", "Bβ"], ["Bβ", "C"], [1, 0.3], sign=sign, name="my 'net'", path="/x/y.csv", notes=["a note"]
    )
    path = save_network(network, tmp_path / "network.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["network.npz"]
    again = load_network(path)
    check(again)
    assert (again.genes, again.name, again.provenance) == (network.genes, network.name, network.provenance)
    assert (again.adjacency != network.adjacency).nnz == 0
    if sign is None:
        assert again.signs is None
    else:
        assert (again.signs != network.signs).nnz == 0


def test_loading_what_is_no_network(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no network file"):
        load_network(tmp_path / "none.npz")
    for name, content in (("text.npz", b"A,B\n"), ("empty.npz", b""), ("cut.npz", b"PK\x03\x04 and no more")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HyperPerturbError, match=f"'{name}' is not a network saved by HyperPerturb"):
            load_network(tmp_path / name)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(HyperPerturbError, match="is not a network"):
        load_network(tmp_path / "other.npz")


def test_wrong_shape_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match=r"adjacency must be \(1, 1\)"):
        Network(("A",), sparse.csr_array((2, 2)), "toy")


def test_shared_neighbours_are_compared_over_all_networks():
    """Against cosines written out: closed neighbourhoods, rare neighbours first, unit length for each network."""
    rng = np.random.default_rng(0)
    networks, names = [], [f"G{i}" for i in range(12)]
    for k in range(2):
        pairs = [(a, b) for a in names[: 10 + 2 * k] for b in names if a < b and rng.random() < 0.25]
        weight = rng.uniform(0.2, 1.0, len(pairs))
        networks.append(network_from_edges(*zip(*pairs, strict=True), weight, name=f"n{k}"))
    genes = [*names, "ELSEWHERE"]
    vectors = []
    for network in networks:
        closed = network.adjacency.toarray().astype(float) + np.eye(network.n_genes)
        closed *= np.maximum(np.log(network.n_genes / (closed > 0).sum(axis=0)), 0.1)
        closed /= np.linalg.norm(closed, axis=1, keepdims=True)
        rows = dict(zip(network.genes, closed, strict=True))
        vectors.append([rows.get(g, np.zeros(network.n_genes)) for g in genes])
    v = np.hstack(vectors)
    v /= np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
    cosine = v @ v.T
    np.fill_diagonal(cosine, 0.0)
    assert shared_neighbours(networks, genes).toarray() == pytest.approx(cosine, abs=1e-6)
    kept = np.zeros_like(cosine, dtype=bool)
    np.put_along_axis(kept, np.argsort(-cosine, axis=1)[:, :2], True, axis=1)
    want = np.where(kept | kept.T, cosine, 0.0)
    assert shared_neighbours(networks, genes, neighbours=2).toarray() == pytest.approx(want, abs=1e-6)
