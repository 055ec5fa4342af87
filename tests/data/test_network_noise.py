"""Networks that are spoilt on purpose: by exactly as much as was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.network import network_from_adjacency, network_from_edges
from hyperperturb.data.network_noise import with_permuted_genes, with_wrong_edges
from hyperperturb.errors import HyperPerturbError


@pytest.fixture(scope="module")
def network(small_simulation):
    return small_simulation.network


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.6, 1.0])
def test_exactly_the_fraction_is_wrong(network, fraction):
    wrong = with_wrong_edges(network, fraction, seed=4)
    assert wrong.genes == network.genes
    assert wrong.n_edges == network.n_edges
    kept = ((wrong.adjacency > 0).multiply(network.adjacency > 0)).nnz // 2
    assert network.n_edges - kept == round(fraction * network.n_edges)
    assert np.sort(wrong.adjacency.data) == pytest.approx(np.sort(network.adjacency.data))
    assert (wrong.adjacency != wrong.adjacency.T).nnz == 0
    assert not wrong.adjacency.diagonal().any()


def test_hubs_stay_hubs(network):
    wrong = with_wrong_edges(network, 0.6, seed=1)
    hub = int(np.argmax(network.degree))
    assert wrong.degree[hub] > 4 * wrong.degree.mean()


def test_the_seed_decides(network):
    one, two, other = (with_wrong_edges(network, 0.3, seed=seed) for seed in (1, 1, 2))
    assert (one.adjacency != two.adjacency).nnz == 0
    assert (one.adjacency != other.adjacency).nnz > 0


def test_a_gene_that_is_connected_with_all_others_ends_too():
    star = network_from_edges(["A"] * 4, list("BCDE"), name="star")
    assert with_wrong_edges(star, 0.75, seed=0).n_edges == 4


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_a_fraction_that_is_none(network, fraction):
    with pytest.raises(HyperPerturbError, match="must be 0 to 1"):
        with_wrong_edges(network, fraction)


def test_no_room_for_wrong_edges():
    full = network_from_adjacency(np.ones((5, 5)) - np.eye(5), list("ABCDE"), name="full")
    with pytest.raises(HyperPerturbError, match="leave no room for 5 wrong ones"):
        with_wrong_edges(full, 0.5)


def test_permuted_genes_keep_the_graph(network):
    dealt = with_permuted_genes(network, seed=2)
    assert sorted(dealt.genes) == sorted(network.genes)
    assert (dealt.adjacency != network.adjacency).nnz == 0
    same = np.mean([a == b for a, b in zip(dealt.genes, network.genes, strict=True)])
    assert same < 0.1
    assert with_permuted_genes(network, seed=2).genes == dealt.genes
