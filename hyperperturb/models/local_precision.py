"""The precision of measured sums of very many genes, part by part.

See :mod:`hyperperturb.models.local_process` for the process it belongs to. With the measured sums of genes
y = A f + noise of variances n, genes f = U w + e, w ~ N(0, I), e ~ N(0, D), and G = Aᵀ n⁻¹ A,

    H = (I + G D)⁻¹ G,   t = (I + G D)⁻¹ Aᵀ n⁻¹ y,   Σ = (I + Uᵀ H U)⁻¹,   ŵ = Σ Uᵀ t,   γ = t − H U ŵ,
    C⁻¹ y = n⁻¹ (y − A (U ŵ + D γ)),

with work and memory linear in the genes. Blocks that some combination joins are solved together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse.csgraph import connected_components

from hyperperturb.models.local_prior import Prior

_TOGETHER = 100


@dataclass(frozen=True)
class Part:
    """Genes and measurements that are solved together.

    Attributes
    ----------
    genes, measured
        Numbers of its target genes and of its measurements.
    design
        A of these, sparse.
    residual, features
        D and U of the genes.
    """

    genes: np.ndarray
    measured: np.ndarray
    design: sparse.csr_array
    residual: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class System:
    """What is measured of which genes, apart by what has to be solved together; made by :func:`arrange`.

    Attributes
    ----------
    prior
        Covariance of the genes.
    target_genes
        T of its genes.
    design
        A of all, (P, T).
    parts
        Every target gene and every measurement is in one of them.
    """

    prior: Prior
    target_genes: tuple[str, ...]
    design: sparse.csr_array
    parts: tuple[Part, ...]


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
    for genes in _joined(prior, rows, design):
        measured = np.unique(by_gene[genes].indices)
        D = prior.residual_between(rows[genes], rows[genes]).toarray()
        parts.append(Part(genes, measured, design[measured][:, genes], D, prior.features_of(rows[genes])))
    return System(prior, target_genes, design, tuple(parts))


@dataclass(frozen=True)
class _Solved:
    """Of a part: Aᵀ n⁻¹, n⁻¹, the factors of I + G D, and H."""

    weighted: sparse.csr_array
    inverse_noise: np.ndarray
    factor: tuple[np.ndarray, np.ndarray]
    information: np.ndarray


class LocalPrecision:
    """The :class:`~hyperperturb.models.measurements.Precision` of a system.

    Parameters
    ----------
    system
        Which sums of genes are measured.
    noise
        (P,) variances.
    """

    def __init__(self, system: System, noise: np.ndarray) -> None:
        self.system = system
        self._solved: list[_Solved] = []
        n_features = system.prior.features.shape[1]
        total = np.eye(n_features)
        for part in system.parts:
            inverse_noise = 1.0 / noise[part.measured]
            weighted = sparse.csr_array(part.design.T @ sparse.diags_array(inverse_noise))
            G = (weighted @ part.design).toarray()
            factor = lu_factor(np.eye(len(G)) + G @ part.residual)
            H = lu_solve(factor, G)
            H = 0.5 * (H + H.T)
            total += part.features.T @ H @ part.features
            self._solved.append(_Solved(weighted, inverse_noise, factor, H))
        spread = np.linalg.inv(total)
        self.spread = 0.5 * (spread + spread.T)

    def __matmul__(self, values: np.ndarray) -> np.ndarray:
        """See :class:`~hyperperturb.models.measurements.Precision`."""
        pairs = list(zip(self.system.parts, self._solved, strict=True))
        alone = [
            lu_solve(solved.factor, solved.weighted @ np.asarray(values[part.measured], dtype=np.float64))
            for part, solved in pairs
        ]
        weights = self.spread @ sum(part.features.T @ t for (part, _), t in zip(pairs, alone, strict=True))
        out = np.empty(values.shape)
        for (part, solved), t in zip(pairs, alone, strict=True):
            shared = part.features @ weights
            own = t - solved.information @ shared
            left = values[part.measured] - part.design @ (shared + part.residual @ own)
            out[part.measured] = solved.inverse_noise[:, None] * left
        return out

    def blocks(self, groups: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`~hyperperturb.models.measurements.Precision`."""
        part_of = np.empty(self.system.design.shape[0], dtype=np.int64)
        for number, part in enumerate(self.system.parts):
            part_of[part.measured] = number
        wanted: list[list[int]] = [[] for _ in self.system.parts]
        for i, group in enumerate(groups):
            wanted[part_of[group[0]]].append(i)
        out: list[np.ndarray] = [np.empty(0)] * len(groups)
        for part, solved, numbers in zip(self.system.parts, self._solved, wanted, strict=True):
            inverse = self._inverse(part, solved) if numbers else np.empty(0)
            for i in numbers:
                place = np.searchsorted(part.measured, groups[i])
                out[i] = inverse[place[:, None], place]
        return out

    def _inverse(self, part: Part, solved: _Solved) -> np.ndarray:
        """C⁻¹ among the measurements of a part."""
        A, D, H = part.design, part.residual, solved.information
        left = part.features - D @ (H @ part.features)
        V = D - D @ H @ D + left @ self.spread @ left.T
        out = -solved.inverse_noise[:, None] * (A @ (A @ V).T) * solved.inverse_noise
        out[np.diag_indices_from(out)] += solved.inverse_noise
        return out

    @property
    def features(self) -> np.ndarray:
        """A U: what each measurement has of the features, (P, 1 + M)."""
        prior = self.system.prior
        return self.system.design @ prior.features_of(prior.rows(self.system.target_genes))

    @property
    def information(self) -> sparse.csr_array:
        """H of all parts, (T, T) sparse."""
        n = len(self.system.target_genes)
        pairs = [
            (part.genes, solved.information)
            for part, solved in zip(self.system.parts, self._solved, strict=True)
        ]
        i = np.concatenate([np.repeat(genes, len(genes)) for genes, _ in pairs])
        j = np.concatenate([np.tile(genes, len(genes)) for genes, _ in pairs])
        values = np.concatenate([values.ravel() for _, values in pairs])
        out = sparse.csr_array((values, (i, j)), shape=(n, n))
        out.eliminate_zeros()
        return out


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
