"""Which genes are in the universe, how alike the networks find them, how central they are."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.data.network import network_from_adjacency, network_from_edges
from hyperperturb.data.network_terms import shared_neighbours
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.universe import build_universe, centralities, diffusion_similarity


def brute_force(adjacency: np.ndarray, restart: float) -> np.ndarray:
    """Walk every gene's walker step by step until it rests, then compare the square roots."""
    n = len(adjacency)
    walk = np.zeros((n, n))
    for home in range(n):
        start = np.eye(n)[home]
        where = start.copy()
        for _ in range(400):
            step = np.zeros(n)
            for here in range(n):
                total = adjacency[here].sum()
                if total > 0:
                    step += where[here] * adjacency[here] / total
            where = restart * start + (1 - restart) * step
        walk[home] = where
    root = np.sqrt(walk)
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return root @ root.T


@pytest.mark.parametrize("restart", [0.3, 0.5])
def test_diffusion_similarity_equals_walking(make_graph, restart):
    graph = sparse.block_diag([make_graph(12), make_graph(4, seed=3), sparse.csr_array((1, 1))]).tocsr()
    got = diffusion_similarity(sparse.csr_array(graph), restart=restart)
    assert got == pytest.approx(brute_force(graph.toarray(), restart), abs=2e-6)


def test_diffusion_similarity_is_a_correlation_of_genes(make_graph):
    similarity = diffusion_similarity(make_graph(40))
    assert similarity.dtype == np.float32
    assert (similarity == similarity.T).all()
    assert (np.diag(similarity) == 1.0).all()
    assert similarity.min() >= 0.0
    assert similarity.max() <= 1.0
    assert np.linalg.eigvalsh(similarity.astype(float)).min() > -1e-5, "it is used as a kernel"


def test_genes_in_different_components_are_not_alike(make_graph):
    graph = sparse.csr_array(sparse.block_diag([make_graph(9), make_graph(5)]))
    similarity = diffusion_similarity(graph)
    assert (similarity[:9, 9:] == 0.0).all()
    assert (similarity[:9, :9] > 0.0).all()


def test_scale_of_the_weights_does_not_matter(make_graph):
    graph = make_graph(15)
    assert diffusion_similarity(graph * 7.0) == pytest.approx(diffusion_similarity(graph), abs=1e-5)


@pytest.fixture(scope="module")
def network(make_graph):
    return network_from_adjacency(make_graph(60), [f"G{i:02d}" for i in range(60)], name="grown")


def test_all_targets_are_kept_and_the_limit_holds(network):
    targets = ["G59", "G03", "LONELY"]
    universe = build_universe([network], targets=targets, response_genes=["G10", "G11"], max_genes=20)
    assert len(universe.genes) == 20
    assert set(targets) <= set(universe.genes)
    assert list(universe.genes) == sorted(universe.genes)
    assert universe.n_left_out == 60 - 19
    row = universe.genes.index("LONELY")
    assert universe.adjacency[[row]].nnz == 0
    assert universe.diffusion[row].sum() == 1.0


def test_what_is_nearest_to_targets_and_response_genes_is_kept_first(network):
    graph = network.adjacency.toarray()
    universe = build_universe([network], targets=["G40"], response_genes=["G50"], max_genes=12)
    for gene in ("G40", "G50"):
        neighbours = np.argsort(-graph[int(gene[1:])])[:1]
        assert f"G{neighbours[0]:02d}" in universe.genes
    everything = build_universe([network], targets=["G40"], response_genes=[], max_genes=4000)
    assert len(everything.genes) == 60
    assert everything.n_left_out == 0


def test_genes_that_no_walk_reaches_stay_outside(make_graph):
    two = sparse.csr_array(sparse.block_diag([make_graph(8), make_graph(6)]))
    names = [f"A{i}" for i in range(8)] + [f"B{i}" for i in range(6)]
    network = network_from_adjacency(two, names, name="islands")
    universe = build_universe([network], targets=["A0", "A5"], response_genes=["A1"], max_genes=100)
    assert set(universe.genes) == set(names[:8])


def test_the_network_of_the_universe_is_the_given_one(network):
    universe = build_universe([network], targets=["G01"], response_genes=["G02"], max_genes=30)
    index = [network.genes.index(g) for g in universe.genes]
    want = network.adjacency.toarray()[np.ix_(index, index)]
    assert universe.adjacency.toarray() == pytest.approx(want)
    assert universe.diffusion == pytest.approx(diffusion_similarity(sparse.csr_array(want)), abs=1e-6)


def test_several_networks_are_compared_along_the_widest_and_shared_neighbours(network):
    other = network_from_edges(["G00", "NEW"], ["G59", "G59"], name="other")
    targets = ["G59", "G03", "NEW"]
    universe = build_universe([network, other], targets=targets, response_genes=[], max_genes=100)
    again = build_universe([other, network], targets=targets, response_genes=[], max_genes=100)
    assert universe.genes == again.genes
    assert universe.diffusion == pytest.approx(again.diffusion, abs=1e-6)
    g00, g59, new = (universe.genes.index(g) for g in ("G00", "G59", "NEW"))
    assert universe.adjacency[g00, g59] > 0
    # The network of sixty genes knows two of the targets, the other one too, but fewer genes.
    shared = diffusion_similarity(shared_neighbours([network, other], universe.genes))
    alone = build_universe([network], targets=["G59"], response_genes=[], max_genes=100)
    want = (alone.diffusion[0, 59] + shared[g00, g59]) / 2
    assert universe.diffusion[g00, g59] == pytest.approx(want, abs=1e-6)
    # A gene that only one of the two graphs knows is not taken for half a stranger.
    assert universe.diffusion[new, g59] == pytest.approx(shared[new, g59] / np.sqrt(2), abs=1e-6)
    assert np.diag(universe.diffusion) == pytest.approx(1.0)
    assert np.linalg.eigvalsh(universe.diffusion.astype(float)).min() > -1e-5, "it is used as a kernel"


def test_the_order_of_targets_and_sets_does_not_matter(network):
    names = ["G59", "G03", "G20", "G31"]
    first = build_universe([network], targets=names, response_genes=["G01"], max_genes=25)
    second = build_universe([network], targets=set(names), response_genes=["G01"], max_genes=25)
    assert first.genes == second.genes
    assert (first.diffusion == second.diffusion).all()


def test_no_network_no_overlap_and_too_many_targets_are_refused(network):
    with pytest.raises(HyperPerturbError, match="No gene network was given"):
        build_universe([], targets=["G01"], response_genes=[], max_genes=10)
    with pytest.raises(HyperPerturbError) as refused:
        build_universe([network], targets=["ENSG1", "ENSG2"], response_genes=["G01"], max_genes=10)
    assert "None of the 2 perturbation targets (such as ENSG1, ENSG2) is in the networks" in str(
        refused.value
    )
    assert "G00, G01, G02" in str(refused.value)
    with pytest.raises(HyperPerturbError, match="more than max_genes = 10"):
        build_universe([network], targets=network.genes[:11], response_genes=[], max_genes=10)


COLUMNS = ["degree", "strength", "pagerank", "eigenvector", "betweenness", "core", "community"]


def test_centralities_of_a_star_with_an_isolated_gene():
    star = np.zeros((6, 6))
    star[0, 1:5] = star[1:5, 0] = 0.5
    table = centralities(sparse.csr_array(star))
    assert list(table.columns) == COLUMNS
    assert table["degree"].tolist() == [4, 1, 1, 1, 1, 0]
    assert table["strength"].tolist() == [2.0, 0.5, 0.5, 0.5, 0.5, 0.0]
    assert table["core"].tolist() == [1, 1, 1, 1, 1, 0]
    # All six pairs of the four leaves meet in the middle; there are 5 · 4 / 2 pairs of other genes.
    assert table["betweenness"].tolist() == pytest.approx([0.6, 0, 0, 0, 0, 0])
    assert table["pagerank"].sum() == pytest.approx(1.0)
    assert table["pagerank"].idxmax() == 0
    assert table["pagerank"].idxmin() == 5
    assert table["eigenvector"].tolist() == pytest.approx([1, 0.5, 0.5, 0.5, 0.5, 0], abs=1e-6)
    assert table["community"].tolist() == [0, 0, 0, 0, 0, 1]
    assert np.isfinite(table.to_numpy()).all()


def test_centralities_depend_on_the_seed_alone_and_leave_the_generator(make_graph):
    graph = make_graph(80)
    random.seed(11)
    before = random.getstate()
    first = centralities(graph, seed=4)
    assert random.getstate() == before
    random.seed(99)
    assert first.equals(centralities(graph, seed=4))


def test_communities_are_numbered_by_size(make_graph):
    graph = sparse.csr_array(sparse.block_diag([make_graph(4), make_graph(30), make_graph(9)]))
    table = centralities(graph)
    sizes = table["community"].value_counts()
    assert sizes.sort_index().is_monotonic_decreasing
    assert sorted(sizes.index) == list(range(len(sizes)))
    assert not set(table["community"][:4]) & set(table["community"][4:])
