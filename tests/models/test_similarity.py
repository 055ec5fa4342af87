"""Exact and sparse similarities answer alike; the sparse form stays small."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.similarity import (
    DenseSimilarity,
    SparseSimilarity,
    diffusion_similarity,
    network_similarity,
    walk_profiles,
)


@pytest.fixture(scope="module")
def graph(make_graph):
    """A graph with hubs, a second component and a node without edges."""
    return sparse.csr_array(
        sparse.block_diag([make_graph(300), make_graph(20, seed=2), sparse.csr_array((1, 1))])
    )


@pytest.fixture(scope="module")
def exact(graph):
    return network_similarity([graph], exact=True)


def test_sparse_profiles_without_a_cut_are_exact(graph, exact):
    profiles = walk_profiles(graph, keep=321, tolerance=1e-9)
    got = (profiles @ profiles.T).toarray()
    assert got == pytest.approx(exact.values, abs=2e-4)
    assert np.diag(got) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("keep", [16, 64])
def test_a_cut_loses_little_and_the_tail_helps(graph, exact, keep):
    profiles = walk_profiles(graph, keep=keep)
    assert np.diff(profiles.indptr).max() <= keep + 1
    off = ~np.eye(321, dtype=bool)

    def error(factor):
        return np.sqrt(np.mean(((factor @ factor.T).toarray() - exact.values)[off] ** 2))

    assert error(profiles) < 0.7 * error(profiles[:, :321])
    assert error(profiles) < 0.07


def test_components_do_not_mix(graph):
    similarity = network_similarity([graph], exact=False, keep=16)
    assert similarity.block(np.arange(300), np.arange(300, 321)).max() == 0.0
    assert similarity.block(np.array([320])).tolist() == [[1.0]]


def test_both_forms_answer_the_same_questions(graph, exact):
    other = network_similarity([graph], exact=False, keep=321)
    assert len(other) == len(exact) == 321
    rows, columns = np.array([5, 0, 310]), np.array([7, 5, 300, 310])
    assert other.block(rows, columns) == pytest.approx(exact.block(rows, columns), abs=0.01)
    assert other.block(rows) == pytest.approx(exact.block(rows), abs=0.01)
    assert other.variance() == pytest.approx(exact.variance(), rel=0.1)
    ours, theirs = other.relatives(5), exact.relatives(5)
    assert ours.shape == theirs.shape == (321, 6)
    common = [len(set(a) & set(b)) for a, b in zip(ours[:300], theirs[:300], strict=True)]
    assert np.mean(common) > 5.0
    assert set(ours[320]) == {320}


def test_several_networks_lie_side_by_side_in_both_forms(graph, make_graph):
    """A mean among nodes that both know; who is not known to one is compared by the other."""
    second = sparse.csr_array(sparse.block_diag([make_graph(100, seed=5), sparse.csr_array((221, 221))]))
    dense = network_similarity([graph, second], exact=True)
    assert isinstance(dense, DenseSimilarity)
    first = diffusion_similarity(graph)
    mean = (first + diffusion_similarity(second)) / 2
    assert dense.values[:100, :100] == pytest.approx(mean[:100, :100], abs=1e-6)
    assert dense.values[100:, 100:] == pytest.approx(first[100:, 100:], abs=1e-6)
    assert dense.values[:100, 100:] == pytest.approx(first[:100, 100:] / np.sqrt(2), abs=1e-6)
    assert np.linalg.eigvalsh(dense.values.astype(float)).min() > -1e-5
    thin = network_similarity([graph, second], exact=False, keep=321)
    assert isinstance(thin, SparseSimilarity)
    rows = np.arange(0, 321, 7)
    assert thin.block(rows) == pytest.approx(dense.block(rows), abs=0.01)
    assert thin.block(np.array([320, 5])) == pytest.approx(np.eye(2), abs=1e-6), "a node no network knows"
    assert np.asarray((thin.factor**2).sum(axis=1)).ravel() == pytest.approx(1.0, abs=1e-3)


def test_walks_of_twenty_thousand_nodes_need_memory_for_their_entries_only():
    n = 20_000
    rng = np.random.default_rng(0)
    ends = np.concatenate([np.arange(1, n), rng.integers(n, size=n)])
    other = np.concatenate([rng.integers(np.arange(1, n)), rng.integers(n, size=n)])
    graph = sparse.csr_array((np.ones(2 * n - 1, np.float32), (ends, other)), shape=(n, n))
    graph = sparse.csr_array(graph + graph.T)
    walk_profiles(graph[:10, :10])  # compiled before the memory is looked at
    tracemalloc.start()
    similarity = network_similarity([graph], keep=32)
    similarity.relatives(5)
    similarity.block(np.arange(256))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(similarity, SparseSimilarity)
    assert peak < 150e6 < 4 * n * n / 10, "a tenth of a dense matrix"


@pytest.mark.parametrize("exact", [True, False])
def test_the_connection_with_some_nodes_is_their_mean_similarity(exact):
    rng = np.random.default_rng(3)
    upper = np.triu(rng.uniform(size=(50, 50)) * (rng.uniform(size=(50, 50)) < 0.1), 1)
    found = network_similarity([sparse.csr_array(upper + upper.T)], exact=exact)
    others = np.array([0, 7, 20, 21, 49])
    genes = [f"G{i}" for i in range(50)]
    wanted = GeneKernels(tuple(genes), found.block(np.arange(50))).connection(
        genes, [genes[i] for i in others]
    )
    assert found.connection(others) == pytest.approx(wanted, abs=1e-6)
    assert found.connection(others).max() > 0.01
