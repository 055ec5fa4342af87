"""The covariance of very many genes: features of landmarks, and what they leave within blocks of the network.

See :mod:`hyperperturb.models.local_process` for what it is good for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular

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
