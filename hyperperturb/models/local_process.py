"""The process over very many genes: landmarks for what all genes share, neighbourhoods for what is near.

The exact process inverts a matrix over all perturbations and keeps the similarity of every gene with every target. Here
the kernel without the common mean, k, becomes (Snelson & Ghahramani 2007, "PIC")

    k(g, h) ≈ k(g, Z) k(Z, Z)⁻¹ k(Z, h) + [g and h are in one block] · (k(g, h) − k(g, Z) k(Z, Z)⁻¹ k(Z, h)):

exact within a block of the network, and between blocks what the landmarks Z know of it. So f = U w + e with features U,
w ~ N(0, I), and e ~ N(0, D) with D block by block. With H and Σ of :mod:`hyperperturb.models.local_precision` and what
the measurements y = A f + noise say, γ = Aᵀ C⁻¹ y and ŵ = Uᵀ γ,

    mean f(g) = U_g ŵ + D_g γ,
    cov(f(g), f(h)) = D_gh − D_g H D_hᵀ + (U_g − D_g H U) Σ (U_h − D_h H U)ᵀ,

with work and memory linear in the genes. With all targets among the landmarks this is the exact process.

NumPy and SciPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from hyperperturb.models.local_precision import LocalPrecision
from hyperperturb.models.local_prior import Prior


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
    connected
        (N,) how alike each gene is to the target genes on average
        (:meth:`~hyperperturb.models.gene_kernels.GeneKernels.connection`).
    """

    prior: Prior
    target_genes: tuple[str, ...]
    weights: np.ndarray
    coefficients: np.ndarray
    information: sparse.csr_array
    spread: np.ndarray
    connected: np.ndarray

    @classmethod
    def solved(
        cls, precision: LocalPrecision, coefficients: np.ndarray, weights: np.ndarray, connected: np.ndarray
    ) -> LocalProcess:
        """The posterior after the measurements of a precision."""
        return cls(
            prior=precision.system.prior,
            target_genes=precision.system.target_genes,
            weights=weights.astype(np.float32),
            coefficients=coefficients.astype(np.float32, copy=False),
            information=precision.information,
            spread=precision.spread,
            connected=connected,
        )

    @cached_property
    def _targets(self) -> np.ndarray:
        return self.prior.rows(self.target_genes)

    @cached_property
    def _coupled(self) -> np.ndarray:
        """(T, 1 + M): H U."""
        return self.information @ self.prior.features_of(self._targets)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything but the names of the genes, for a file."""
        prior, information = self.prior, self.information
        return {
            "bounds": prior.bounds,
            "features": prior.features,
            "residual": np.concatenate([block.ravel() for block in prior.residual]),
            "alone": np.array(prior.alone),
            "weights": self.weights,
            "coefficients": self.coefficients,
            "information": information.data.astype(np.float32),
            "information_columns": information.indices.astype(np.int32),
            "information_rows": information.indptr.astype(np.int64),
            "spread": self.spread,
            "connected": self.connected,
        }

    @classmethod
    def from_arrays(
        cls, genes: Sequence[str], target_genes: Sequence[str], arrays: Mapping[str, np.ndarray]
    ) -> LocalProcess:
        """What :meth:`to_arrays` gave, with the names of the N genes, block by block, and of the targets."""
        bounds = arrays["bounds"]
        sizes = np.diff(bounds)
        blocks = np.split(arrays["residual"], np.cumsum(sizes**2)[:-1])
        n = len(target_genes)
        entries = arrays["information"].astype(np.float64), arrays["information_columns"]
        return cls(
            prior=Prior(
                genes=tuple(genes),
                bounds=bounds,
                features=arrays["features"],
                residual=tuple(b.reshape(k, k) for b, k in zip(blocks, sizes, strict=True)),
                alone=float(arrays["alone"]),
            ),
            target_genes=tuple(target_genes),
            weights=arrays["weights"],
            coefficients=arrays["coefficients"],
            information=sparse.csr_array((*entries, arrays["information_rows"]), shape=(n, n)),
            spread=arrays["spread"],
            # Intervals of older runs know nothing of it.
            connected=arrays.get("connected", np.zeros(len(genes))),
        )

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

    def connection(self, genes: Sequence[str]) -> np.ndarray:
        """How alike genes are to the target genes on average, (len(genes),); 0 outside."""
        rows = self.prior.rows(genes)
        return np.where(rows >= 0, self.connected[np.maximum(rows, 0)], 0.0)

    def nearest(self, gene: str, k: int) -> list[str]:
        """The target genes with the largest prior covariance with a gene."""
        row = self.prior.rows([gene])
        between = self.prior.features_of(row) @ self.prior.features_of(self._targets).T
        between += self.prior.residual_between(row, self._targets).toarray()
        return [self.target_genes[i] for i in np.argsort(-between[0], kind="stable")[:k]]
