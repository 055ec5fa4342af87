"""The model with one thing taken away: what is kept, what is lost."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.network import network_from_adjacency
from hyperperturb.manifolds import Euclidean
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.gene_space import hub_radius
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.universe import build_universe
from hyperperturb.models.variants import permuted_genes, proximity, rewired, trained_kernels


@pytest.fixture(scope="module")
def network(make_graph):
    return network_from_adjacency(make_graph(60, 3), [f"G{i}" for i in range(60)], name="grown")


def test_dealt_out_genes_keep_the_similarities_and_lose_who_has_them():
    rng = np.random.default_rng(0)
    genes = tuple(f"G{i}" for i in range(30))
    matrix = np.corrcoef(rng.normal(size=(30, 6)))
    targets = genes[:20]
    kernels = GeneKernels(genes, matrix[:, :20], matrix[:, :20] ** 2, targets)
    dealt = permuted_genes(kernels, targets, seed=1)
    before, after = (k.between(targets, targets)[0] for k in (kernels, dealt))
    assert not np.allclose(before, after)
    assert np.sort(before, axis=None) == pytest.approx(np.sort(after, axis=None))
    assert np.diag(after) == pytest.approx(1.0)
    assert after == pytest.approx(after.T)
    others = genes[20:]
    assert np.sort(dealt.between(others, targets)[0], axis=1) == pytest.approx(
        np.sort(kernels.between(others, targets)[0], axis=1)
    ), "genes that are no targets keep their name"
    assert (
        permuted_genes(kernels, targets, seed=1).genes
        == dealt.genes
        != permuted_genes(kernels, targets, seed=2).genes
    )


def test_a_rewired_network_keeps_degrees_and_weights(network):
    other = rewired(network, seed=4)
    assert other.degree.tolist() == network.degree.tolist()
    assert np.sort(other.adjacency.data) == pytest.approx(np.sort(network.adjacency.data))
    difference = abs(other.adjacency - other.adjacency.T)
    assert difference.nnz == 0
    assert other.adjacency.diagonal().sum() == 0
    shared = ((other.adjacency > 0) * (network.adjacency > 0)).sum() / network.adjacency.nnz
    assert shared < 0.5
    again = rewired(network, seed=4)
    assert (again.adjacency != other.adjacency).nnz == 0


def test_a_flat_disk_is_filled_evenly_as_well():
    """The share of genes within r is the share of the area within r, in either geometry."""
    rank = np.linspace(0, 1, 1001)
    r = hub_radius(rank, flat=True)
    assert (r < 1.25).mean() == pytest.approx(0.25, abs=0.01)
    assert hub_radius(rank).max() == pytest.approx(r.max())


def test_proximity_in_flat_space():
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert proximity(points, Euclidean(), 1.0, np.array([0, 1]), [0]).ravel() == pytest.approx(
        [1.0, np.exp(-5.0)]
    )


@pytest.mark.slow
def test_the_flat_twin_is_trained_alike(network):
    """The same settings in two spaces: two similarities of the same shape that both follow the networks'."""
    targets = network.genes[:20]
    universe = build_universe([network], targets=targets, response_genes=(), max_genes=60)
    settings = TrainingSettings(embedding_dim=3, epochs=10)
    wanted = universe.similarity.block(np.arange(len(universe.genes)))
    rows = [universe.genes.index(g) for g in targets]
    for manifold in ("PoincareBall", "Euclidean"):
        kernels = trained_kernels(universe, targets, settings, manifold=manifold)
        got = kernels.hyperbolic
        assert got.shape == (len(universe.genes), 20)
        off = wanted[:, rows] < 1
        assert np.corrcoef(got[off], wanted[:, rows][off])[0, 1] > 0.5, manifold
