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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from hyperperturb.models.error_scale import ErrorScale, looked_at, shape_and_stretch
from hyperperturb.models.gene_kernels import KernelParameters, sparse_design
from hyperperturb.models.local_prior import Prior, make_prior
from hyperperturb.models.neighbourhoods import Neighbourhoods

_TOGETHER = 100


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

    def nearest(self, gene: str, k: int) -> list[str]:
        """The target genes with the largest prior covariance with a gene."""
        row = self.prior.rows([gene])
        between = self.prior.features_of(row) @ self.prior.features_of(self._targets).T
        between += self.prior.residual_between(row, self._targets).toarray()
        return [self.target_genes[i] for i in np.argsort(-between[0], kind="stable")[:k]]


def fit(
    neighbourhoods: Neighbourhoods,
    parameters: KernelParameters,
    targets: Sequence[Sequence[str]],
    target_genes: Sequence[str],
    Y: np.ndarray,
    noise: np.ndarray,
    standard_error: np.ndarray | None,
) -> tuple[LocalProcess, np.ndarray, ErrorScale]:
    """Solve the effect head's process, and calibrate it on the genes that are left out, each with all it takes part in.

    Parameters
    ----------
    targets, target_genes
        Targets of the P perturbations, and the T genes among them.
    Y, noise
        (P, R) effects and (P,) variances of their measurement, relative to the mean squared effect.
    standard_error
        (P, R) of ``Y``, NaN where unknown.

    Returns
    -------
    process, scale, error
        ``scale`` (R,): signal variance of every response gene, in squared effect units; ``error``: how variances follow
        from those of the process.
    """
    design = sparse_design(targets, target_genes, parameters.factor)
    prior = make_prior(neighbourhoods, parameters)
    noise = noise + parameters.noise
    process, left = solve(arrange(prior, target_genes, design), Y, noise, _by_gene)
    scale = np.maximum(left.likely, 1e-12)
    error, stretch = shape_and_stretch(
        left.square,
        left.variance - noise[left.rows],
        left.missed,
        rows=left.rows,
        weight=np.asarray((design * design).sum(axis=1)).ravel(),
        connected=np.zeros(len(Y)),
        scale=scale,
        standard_error=standard_error,
    )
    return process, stretch * scale, error


def _by_gene(design: sparse.csr_array) -> list[np.ndarray]:
    columns = design.tocsc()
    return [columns.indices[i:j] for i, j in pairwise(columns.indptr)]


@dataclass(frozen=True)
class LeftOut:
    """What leaving out says about a solution.

    Attributes
    ----------
    likely
        (R,) yᵀ C⁻¹ y / P of each response gene: the maximum-likelihood scale of its variance.
    observed
        Sum of the squared residuals of the groups that were left out, each entry by itself in closed form.
    rows
        (n,) the measurements that were left out; one that is in several groups is there several times.
    square, variance
        (n,) summed squares of their predictions, and the variance of the errors, with noise, for a scale of 1.
    missed
        (n, columns) their squared errors in the response genes :func:`~hyperperturb.models.error_scale.looked_at`.
    """

    likely: np.ndarray
    observed: float
    rows: np.ndarray
    square: np.ndarray
    variance: np.ndarray
    missed: np.ndarray


@dataclass(frozen=True)
class System:
    """What is measured of which genes, apart by what has to be solved together; made by :func:`arrange`.

    Attributes
    ----------
    prior
        Covariance of the genes.
    target_genes
        T of its genes.
    shape
        (P, T) of the whole design.
    parts
        For each part: numbers of its target genes; numbers of its measurements; their design (sparse); the genes'
        residual covariance D and features U.
    """

    prior: Prior
    target_genes: tuple[str, ...]
    shape: tuple[int, int]
    parts: tuple[tuple[np.ndarray, np.ndarray, sparse.csr_array, np.ndarray, np.ndarray], ...]


def arrange(prior: Prior, target_genes: Sequence[str], design: sparse.csr_array) -> System:
    """Take measured sums of genes apart.

    Parameters
    ----------
    prior
        Covariance of the genes.
    target_genes
        T genes, all of the prior.
    design
        (P, T) sparse A; every row and every column has an entry.
    """
    target_genes = tuple(target_genes)
    rows = prior.rows(target_genes)
    by_gene = design.T.tocsr()
    parts = []
    for part in _joined(prior, rows, design):
        measured = np.unique(by_gene[part].indices)
        D = prior.residual_between(rows[part], rows[part]).toarray()
        parts.append((part, measured, design[measured][:, part], D, prior.features_of(rows[part])))
    return System(prior, target_genes, design.shape, tuple(parts))


def solve(
    system: System,
    Y: np.ndarray,
    noise: np.ndarray,
    groups: Callable[[sparse.csr_array], list[np.ndarray]],
) -> tuple[LocalProcess, LeftOut]:
    """Solve for the posterior given measured effects.

    Parameters
    ----------
    system
        Which sums of genes they are effects of.
    Y
        (P, R) measured effects.
    noise
        (P,) variances.
    groups
        Some rows of the design, with all that share genes with them → places in these that are left out together.
    """
    n_features, n_response = system.prior.features.shape[1], Y.shape[1]
    coefficients = np.empty((system.shape[1], n_response), np.float32)
    total, pulled = np.zeros((n_features, n_features)), np.zeros((n_features, n_response))
    information = []
    for part, measured, A, D, U in system.parts:
        weighted = A.T @ sparse.diags_array(1.0 / noise[measured])  # Aᵀ n⁻¹
        G = (weighted @ A).toarray()
        y = weighted @ np.asarray(Y[measured], dtype=np.float64)
        both = np.linalg.solve(np.eye(len(part)) + G @ D, np.hstack([G, y]))
        H, t = both[:, : len(part)], both[:, len(part) :]
        H = 0.5 * (H + H.T)
        total += U.T @ H @ U
        pulled += U.T @ t
        coefficients[part] = t
        information.append((part, H))
    spread = np.linalg.inv(np.eye(n_features) + total)
    spread = 0.5 * (spread + spread.T)
    weights = spread @ pulled
    likely, observed, columns = np.zeros(n_response), 0.0, looked_at(n_response)
    left_out: list[tuple[np.ndarray, ...]] = []
    for (part, measured, A, D, U), (_, H) in zip(system.parts, information, strict=True):
        shared = U @ weights
        own = coefficients[part] - H @ shared
        coefficients[part] = own
        inverse_noise = 1.0 / noise[measured]
        y = np.asarray(Y[measured], dtype=np.float64)
        rest = inverse_noise[:, None] * (y - A @ (shared + D @ own))  # C⁻¹ y
        likely += np.sum(y * rest, axis=0)
        left = U - D @ (H @ U)
        V = D - D @ H @ D + left @ spread @ left.T
        inverse = -inverse_noise[:, None] * (A @ (A @ V).T) * inverse_noise
        inverse[np.diag_indices_from(inverse)] += inverse_noise
        found = groups(A)
        alone = np.array([group[0] for group in found if len(group) == 1], dtype=int)
        blocks = [(alone, np.diag(1.0 / np.diag(inverse)[alone]))] if len(alone) else []
        blocks += [(g, np.linalg.inv(inverse[np.ix_(g, g)])) for g in found if len(g) > 1]
        for group, block in blocks:
            residual = block @ rest[group]
            observed += float(np.sum(residual**2))
            square = np.sum((y[group] - residual) ** 2, axis=1)
            left_out.append((measured[group], square, np.diag(block), residual[:, columns] ** 2))
    process = LocalProcess(
        prior=system.prior,
        target_genes=system.target_genes,
        weights=weights.astype(np.float32),
        coefficients=coefficients,
        information=_assembled(information, system.shape[1]),
        spread=spread,
    )
    return process, LeftOut(
        likely / len(Y), observed, *(np.concatenate(x) for x in zip(*left_out, strict=True))
    )


def _joined(prior: Prior, rows: np.ndarray, design: sparse.csr_array) -> list[np.ndarray]:
    """Target numbers that are solved together: those of a block, and of blocks that combinations join.

    Small ones share a part, which changes nothing and saves time.
    """
    block = np.searchsorted(prior.bounds, rows, side="right") - 1
    shape = (len(prior.residual), len(rows))
    member = sparse.csr_array((np.ones(len(rows)), (block, np.arange(len(rows)))), shape=shape)
    shared = (design != 0).astype(np.float64) @ member.T
    _, component = connected_components(shared.T @ shared, directed=False)
    order = np.argsort(component[block], kind="stable")
    starts = np.flatnonzero(np.diff(component[block][order], prepend=-1))
    parts: list[list[np.ndarray]] = []
    for part in np.split(order, starts[1:]):
        if parts and sum(map(len, parts[-1])) + len(part) <= _TOGETHER:
            parts[-1].append(part)
        else:
            parts.append([part])
    return [np.concatenate(pieces) for pieces in parts]


def _assembled(parts: Sequence[tuple[np.ndarray, np.ndarray]], n: int) -> sparse.csr_array:
    """A sparse (n, n) array of dense parts."""
    i = np.concatenate([np.repeat(part, len(part)) for part, _ in parts])
    j = np.concatenate([np.tile(part, len(part)) for part, _ in parts])
    values = np.concatenate([values.ravel() for _, values in parts])
    out = sparse.csr_array((values, (i, j)), shape=(n, n))
    out.eliminate_zeros()
    return out
