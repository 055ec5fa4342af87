"""Toy graphs, and effects drawn from the process that the effect head assumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.models.gene_kernels import GeneKernels, design_matrix
from hyperperturb.models.universe import diffusion_similarity


def growing_graph(n: int, seed: int = 0) -> sparse.csr_array:
    """A connected graph with hubs: each node joins two earlier ones, mostly well-connected ones."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n, n))
    for node in range(1, n):
        degree = (weights[:node] > 0).sum(axis=1) + 1.0
        for other in set(rng.choice(node, size=min(node, 2), p=degree / degree.sum()).tolist()):
            weights[node, other] = weights[other, node] = rng.uniform(0.3, 1.0)
    return sparse.csr_array(weights)


@dataclass(frozen=True)
class Drawn:
    """Effects drawn from an additive process over genes on a graph, and the truth behind them."""

    genes: tuple[str, ...]
    kernels: GeneKernels
    targets: tuple[tuple[str, ...], ...]
    response: tuple[str, ...]
    single: np.ndarray
    effect: np.ndarray
    standard_error: np.ndarray

    @property
    def unseen(self) -> list[str]:
        """Genes that no perturbation targets."""
        hit = {g for target in self.targets for g in target}
        return [g for g in self.genes if g not in hit]

    def truth(self, targets, factor: float = 0.9) -> np.ndarray:
        """Noise-free effects."""
        return design_matrix(targets, self.genes, factor) @ self.single


def draw_effects(
    seed: int, *, n_genes=150, n_hit=60, n_double=12, n_response=60, on_graph=0.8, noise=0.3
) -> Drawn:
    """Draw single effects with covariance 0.3 + on_graph · diffusion + (1 − on_graph) · identity."""
    rng = np.random.default_rng(seed)
    similarity = diffusion_similarity(growing_graph(n_genes, seed))
    covariance = 0.3 + on_graph * similarity + (1.0 - on_graph) * np.eye(n_genes)
    single = np.linalg.cholesky(covariance + 1e-6 * np.eye(n_genes)) @ rng.normal(size=(n_genes, n_response))
    genes = tuple(f"G{i:03d}" for i in range(n_genes))
    hit = [genes[i] for i in rng.permutation(n_genes)[:n_hit]]
    doubles = [tuple(sorted(hit[2 * i : 2 * i + 2])) for i in range(n_double)]
    targets = (*((g,) for g in hit), *doubles)
    truth = design_matrix(targets, genes, 0.9) @ single
    error = noise * rng.uniform(0.5, 1.5, size=(len(targets), 1)) * np.ones(truth.shape)
    return Drawn(
        genes=genes,
        kernels=GeneKernels(genes, similarity),
        targets=targets,
        response=tuple(f"R{i}" for i in range(n_response)),
        single=single,
        effect=truth + error * rng.normal(size=truth.shape),
        standard_error=error,
    )


@pytest.fixture(scope="session")
def make_graph():
    """The graph maker."""
    return growing_graph


@pytest.fixture(scope="session")
def draw():
    """The maker of drawn effects."""
    return draw_effects


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """One such draw."""
    return draw_effects(0)
