"""The process over very many genes: landmarks for what all genes share, neighbourhoods for what is near.

The exact process inverts a matrix over all perturbations and keeps the similarity of every gene with every target. Here
the kernel without the common mean, k, becomes (Snelson & Ghahramani 2007, "PIC")

    k(g, h) ≈ k(g, Z) k(Z, Z)⁻¹ k(Z, h) + [g and h are in one block] · (k(g, h) − k(g, Z) k(Z, Z)⁻¹ k(Z, h)):

exact within a block of the network, and between blocks what the landmarks Z know of it. So f = U w + e with features U,
w ~ N(0, I), and e ~ N(0, D) with D block by block. With the measured sums of genes y = A f + noise of variances n, and
G = Aᵀ n⁻¹ A,

    H = (I + G D)⁻¹ G,   t = (I + G D)⁻¹ Aᵀ n⁻¹ y,   Σ = (I + Uᵀ H U)⁻¹,   ŵ = Σ Uᵀ t,   γ = t − H U ŵ,
    mean f(g) = U_g ŵ + D_g γ,
    cov(f(g), f(h)) = D_gh − D_g H D_hᵀ + (U_g − D_g H U) Σ (U_h − D_h H U)ᵀ,

with work and memory linear in the genes. With all targets among the landmarks this is the exact process. Blocks that
some combination joins are solved together.

NumPy and SciPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse.csgraph import connected_components

from hyperperturb.models.gene_kernels import KernelParameters, gene_kernel
from hyperperturb.models.neighbourhoods import Neighbourhoods

_JITTER = 1e-6


@dataclass(frozen=True)
class Prior:
    """The approximate covariance of N genes: features, and residuals within blocks.

    Attributes
    ----------
    genes
        The N genes, block by block.
    bounds
        (B + 1,) where the blocks begin and the last ends.
    features
        (N, 1 + M); the first column is the common mean.
    residual
        One dense symmetric array for each block; a gene's own variance is on the diagonal.
    alone
        Variance, without the common mean, of a gene that no block has.
    """

    genes: tuple[str, ...]
    bounds: np.ndarray
    features: np.ndarray
    residual: tuple[np.ndarray, ...]
    alone: float
    _row: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {g: i for i, g in enumerate(self.genes)})

    @property
    def mean(self) -> float:
        """Variance of the common mean."""
        return float(self.features[0, 0] ** 2)

    def rows(self, genes: Sequence[str]) -> np.ndarray:
        """Row of each gene, −1 for those outside."""
        return np.array([self._row.get(g, -1) for g in genes], dtype=np.int64)

    def blocks_of(self, rows: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Each block that has some of the rows (all ≥ 0), and which of them."""
        block = np.searchsorted(self.bounds, rows, side="right") - 1
        order = np.argsort(block, kind="stable")
        starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        return [(int(block[part[0]]), part) for part in np.split(order, starts[1:]) if len(part)]

    def features_of(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), 1 + M) float64; of a gene outside only the common mean."""
        out = self.features[np.maximum(rows, 0)].astype(np.float64)
        out[rows < 0, 1:] = 0.0
        return out

    def residual_between(self, rows: np.ndarray, columns: np.ndarray) -> sparse.csr_array:
        """Residual covariance of some genes with others, sparse; rows and columns −1 are empty."""
        inside = np.flatnonzero(columns >= 0)
        where = dict(self.blocks_of(columns[inside]))
        i, j, values = [], [], []
        asked = np.flatnonzero(rows >= 0)
        for block, part in self.blocks_of(rows[asked]):
            if block not in where:
                continue
            here, there = asked[part], inside[where[block]]
            start = self.bounds[block]
            values.append(self.residual[block][np.ix_(rows[here] - start, columns[there] - start)].ravel())
            i.append(np.repeat(here, len(there)))
            j.append(np.tile(there, len(here)))
        shape = (len(rows), len(columns))
        if not values:
            return sparse.csr_array(shape)
        entries = np.concatenate(values).astype(np.float64), (np.concatenate(i), np.concatenate(j))
        return sparse.csr_array(entries, shape=shape)


def make_prior(neighbourhoods: Neighbourhoods, parameters: KernelParameters) -> Prior:
    """The approximate covariance of all genes of the neighbourhoods."""
    smooth = replace(parameters, mean=0.0, own=0.0)
    with_all = neighbourhoods.landmarks
    chosen = with_all.columns
    row = {g: i for i, g in enumerate(with_all.genes)}
    between = gene_kernel(with_all, smooth, with_all.genes, chosen)
    corner = between[[row[g] for g in chosen]]
    corner = 0.5 * (corner + corner.T)
    corner[np.diag_indices_from(corner)] += _JITTER * max(float(np.mean(np.diag(corner))), _JITTER)
    features = solve_triangular(cholesky(corner, lower=True), between.T, lower=True).T
    genes, residual, order = [], [], []
    for block in neighbourhoods.blocks:
        part = features[[row[g] for g in block.genes]]
        left = gene_kernel(block, smooth, block.genes, block.genes) - part @ part.T
        diagonal = np.diag_indices_from(left)
        left[diagonal] = np.maximum(left[diagonal], 0.0) + parameters.own
        residual.append(left.astype(np.float32))
        genes += block.genes
        order += [row[g] for g in block.genes]
    common = np.full((len(genes), 1), np.sqrt(parameters.mean))
    sizes = [len(block.genes) for block in neighbourhoods.blocks]
    return Prior(
        genes=tuple(genes),
        bounds=np.concatenate([[0], np.cumsum(sizes)]),
        features=np.hstack([common, features[order]]).astype(np.float32),
        residual=tuple(residual),
        alone=variance_of_a_gene(neighbourhoods, parameters),
    )


def variance_of_a_gene(neighbourhoods: Neighbourhoods, parameters: KernelParameters) -> float:
    """Prior variance of a gene's effect without the common mean."""
    hyperbolic = 0.0 if neighbourhoods.landmarks.hyperbolic is None else parameters.hyperbolic
    return parameters.diffusion + hyperbolic + parameters.own


@dataclass(frozen=True)
class LocalProcess:
    """The posterior: means and covariances of any genes.

    Attributes
    ----------
    prior
        Of N genes.
    target_genes
        The T genes that some training perturbation targets, all among the N.
    weights
        (1 + M, R) ŵ.
    coefficients
        (T, R) γ.
    information
        (T, T) sparse H.
    spread
        (1 + M, 1 + M) Σ.
    """

    prior: Prior
    target_genes: tuple[str, ...]
    weights: np.ndarray
    coefficients: np.ndarray
    information: sparse.csr_array
    spread: np.ndarray

    @cached_property
    def _targets(self) -> np.ndarray:
        return self.prior.rows(self.target_genes)

    @cached_property
    def _coupled(self) -> np.ndarray:
        """(T, 1 + M): H U."""
        return self.information @ self.prior.features_of(self._targets)

    def mean(self, genes: Sequence[str]) -> np.ndarray:
        """Posterior mean of f, (len(genes), R) float64."""
        rows = self.prior.rows(genes)
        out = (self.prior.features_of(rows).astype(np.float32) @ self.weights).astype(np.float64)
        of_block = dict(self.prior.blocks_of(self._targets))
        asked = np.flatnonzero(rows >= 0)
        for block, part in self.prior.blocks_of(rows[asked]):
            if block not in of_block:
                continue
            here, there = asked[part], of_block[block]
            start = self.prior.bounds[block]
            between = self.prior.residual[block][np.ix_(rows[here] - start, self._targets[there] - start)]
            out[here] += between @ self.coefficients[there]
        return out

    def covariance(self, genes: Sequence[str]) -> np.ndarray:
        """Posterior covariance of f over genes, (len(genes), len(genes)), relative to the scale of each response."""
        rows = self.prior.rows(genes)
        with_targets = self.prior.residual_between(rows, self._targets)
        features = self.prior.features_of(rows) - with_targets @ self._coupled
        out = features @ self.spread @ features.T
        out += (
            self.prior.residual_between(rows, rows) - with_targets @ self.information @ with_targets.T
        ).toarray()
        outside = np.flatnonzero(rows < 0)
        out[outside, outside] += self.prior.alone
        return out

    def support(self, genes: Sequence[str]) -> np.ndarray:
        """Share of a gene's own variance, without the common mean, that the training perturbations explain."""
        rows = self.prior.rows(genes)
        one = np.ones(len(self.target_genes))
        out = np.zeros(len(rows))
        known = self.information @ one
        known -= self._coupled @ (self.spread @ (self.prior.features_of(self._targets).T @ known))  # Λ 1
        shared = self.prior.features_of(self._targets).T @ known
        for start in range(0, len(rows), 1024):
            part = rows[start : start + 1024]
            features = self.prior.features_of(part)
            with_targets = self.prior.residual_between(part, self._targets)
            left = features - with_targets @ self._coupled
            explained = np.sum(features**2, axis=1) - np.sum((left @ self.spread) * left, axis=1)
            explained += (with_targets * (with_targets @ self.information)).sum(axis=1)
            # The kernel without the common mean: (k − a²) Λ (k − a²)
            across = features @ shared + with_targets @ known
            mean = self.prior.mean
            out[start : start + 1024] = explained - 2.0 * mean * across + mean**2 * known.sum()
        return np.clip(out / self.prior.alone, 0.0, 1.0)

    def nearest(self, gene: str, k: int) -> list[str]:
        """The target genes with the largest prior covariance with a gene."""
        row = self.prior.rows([gene])
        between = self.prior.features_of(row) @ self.prior.features_of(self._targets).T
        between += self.prior.residual_between(row, self._targets).toarray()
        return [self.target_genes[i] for i in np.argsort(-between[0], kind="stable")[:k]]


@dataclass(frozen=True)
class LeftOut:
    """What leaving out says about a solution.

    Attributes
    ----------
    likely
        (R,) yᵀ C⁻¹ y / P of each response gene: the maximum-likelihood scale of its variance.
    observed
        Sum of the squared residuals of the groups that were left out, each entry by itself in closed form.
    expected
        What the process expects of that sum for a scale of 1, for one response gene.
    """

    likely: np.ndarray
    observed: float
    expected: float


def solve(
    prior: Prior,
    target_genes: Sequence[str],
    design: sparse.csr_array,
    Y: np.ndarray,
    noise: np.ndarray,
    groups: Callable[[np.ndarray], list[np.ndarray]],
) -> tuple[LocalProcess, LeftOut]:
    """Solve for the posterior given measured sums of genes.

    Parameters
    ----------
    prior
        Covariance of the genes.
    target_genes
        T genes, all of the prior.
    design
        (P, T) sparse A; every row has an entry.
    Y
        (P, R) measured effects.
    noise
        (P,) variances.
    groups
        Some rows of the design, with all that share genes with them → places in these that are left out together.
    """
    target_genes = tuple(target_genes)
    rows = prior.rows(target_genes)
    weighted = sparse.csr_array(design.T @ sparse.diags_array(1.0 / noise))  # Aᵀ n⁻¹
    gram = sparse.csr_array(weighted @ design)
    parts = _joined(prior, rows, gram)
    n_features, n_response = prior.features.shape[1], Y.shape[1]
    coefficients = np.empty((len(rows), n_response), np.float32)
    total, pulled = np.zeros((n_features, n_features)), np.zeros((n_features, n_response))
    solved = []
    by_gene = design.T.tocsr()
    for part in parts:
        D = prior.residual_between(rows[part], rows[part]).toarray()
        G = gram[part][:, part].toarray()
        measured = np.unique(by_gene[part].indices)
        y = weighted[part][:, measured] @ np.asarray(Y[measured], dtype=np.float64)
        both = np.linalg.solve(np.eye(len(part)) + G @ D, np.hstack([G, y]))
        H, t = both[:, : len(part)], both[:, len(part) :]
        H = 0.5 * (H + H.T)
        U = prior.features_of(rows[part])
        total += U.T @ H @ U
        pulled += U.T @ t
        coefficients[part] = t
        solved.append((part, measured, D, H))
    spread = np.linalg.inv(np.eye(n_features) + total)
    spread = 0.5 * (spread + spread.T)
    weights = spread @ pulled
    likely, observed, expected = np.zeros(n_response), 0.0, 0.0
    for part, measured, D, H in solved:
        U = prior.features_of(rows[part])
        shared = U @ weights
        own = coefficients[part] - H @ shared
        coefficients[part] = own
        A = design[measured][:, part]
        inverse_noise = 1.0 / noise[measured]
        y = np.asarray(Y[measured], dtype=np.float64)
        rest = inverse_noise[:, None] * (y - A @ (shared + D @ own))  # C⁻¹ y
        likely += np.sum(y * rest, axis=0)
        left = U - D @ (H @ U)
        V = D - D @ H @ D + left @ spread @ left.T
        inverse = -inverse_noise[:, None] * (A @ (A @ V).T) * inverse_noise
        inverse[np.diag_indices_from(inverse)] += inverse_noise
        for group in groups(A):
            if len(group) == 1:
                block = 1.0 / inverse[group, group]
                observed += float(np.sum((block * rest[group[0]]) ** 2))
                expected += float(block[0])
            else:
                block = np.linalg.inv(inverse[np.ix_(group, group)])
                observed += float(np.sum((block @ rest[group]) ** 2))
                expected += float(np.trace(block))
    process = LocalProcess(
        prior=prior,
        target_genes=target_genes,
        weights=weights.astype(np.float32),
        coefficients=coefficients,
        information=_assembled([(part, H) for part, _, _, H in solved], len(rows)),
        spread=spread,
    )
    return process, LeftOut(likely / len(Y), observed, expected)


def _joined(prior: Prior, rows: np.ndarray, gram: sparse.csr_array) -> list[np.ndarray]:
    """Target numbers that are solved together: those of a block, and of blocks that combinations join."""
    block = np.searchsorted(prior.bounds, rows, side="right") - 1
    member = sparse.csr_array(
        (np.ones(len(rows)), (block, np.arange(len(rows)))), shape=(len(prior.residual), len(rows))
    )
    _, component = connected_components(member @ (gram != 0).astype(np.float64) @ member.T, directed=False)
    order = np.argsort(component[block], kind="stable")
    starts = np.flatnonzero(np.diff(component[block][order], prepend=-1))
    return [part for part in np.split(order, starts[1:]) if len(part)]


def _assembled(parts: Sequence[tuple[np.ndarray, np.ndarray]], n: int) -> sparse.csr_array:
    """A sparse (n, n) array of dense parts."""
    i = np.concatenate([np.repeat(part, len(part)) for part, _ in parts])
    j = np.concatenate([np.tile(part, len(part)) for part, _ in parts])
    values = np.concatenate([values.ravel() for _, values in parts])
    out = sparse.csr_array((values, (i, j)), shape=(n, n))
    out.eliminate_zeros()
    return out
