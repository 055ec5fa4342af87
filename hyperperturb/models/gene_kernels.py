"""What the process knows about genes: similarities, their weights, and perturbations as sums of genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from hyperperturb.models.links import Links


@dataclass(frozen=True)
class KernelParameters:
    """The few numbers the effect head learns besides its coefficients.

    ``mean``, ``diffusion``, ``hyperbolic``, ``own`` and ``noise`` are variances relative to the mean squared
    effect of the training perturbations; ``factor`` is s, the shrinkage of a sum of single effects;
    ``leave_one_gene_out`` is the squared error relative to no change that the search reached. ``pair`` is the
    variance of the interaction of two genes and ``pair_own`` the share of it that is a pair's own
    (:mod:`hyperperturb.models.interactions`).
    """

    mean: float
    diffusion: float
    hyperbolic: float
    own: float
    noise: float
    factor: float
    leave_one_gene_out: float = float("nan")
    pair: float = 0.0
    pair_own: float = 0.0


@dataclass(frozen=True)
class GeneKernels:
    """What the process knows about genes: two similarities over the same ordered genes.

    Parameters
    ----------
    genes
        The N genes.
    diffusion
        Array (N, M): diffusion similarity of all genes with the M ``columns``.
    hyperbolic
        Array (N, M): exp(−distance) of the gene points, or None for a process without the space.
    columns
        The M genes of the columns; all genes when None (then the arrays are square).
    links
        Edges of genes with response genes, or None for a process without them.
    """

    genes: tuple[str, ...]
    diffusion: np.ndarray
    hyperbolic: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    links: Links | None = None
    _row: dict[str, int] = field(init=False, repr=False, compare=False)
    _column: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {g: i for i, g in enumerate(self.genes)})
        columns = self.genes if self.columns is None else self.columns
        object.__setattr__(self, "_column", {g: i for i, g in enumerate(columns)})

    def __contains__(self, gene: str) -> bool:
        return gene in self._row

    def between(self, a: Sequence[str], b: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The two similarity blocks of genes ``a`` with ``b``, each (len(a), len(b)), float64.

        A gene outside the kernels is similar to itself only.
        """
        out = []
        rows = np.array([self._row.get(g, -1) for g in a])
        columns = np.array([self._column.get(g, -1) for g in b])
        known = (rows[:, None] >= 0) & (columns[None, :] >= 0)
        same = np.array(a, dtype=object)[:, None] == np.array(b, dtype=object)[None, :]
        for matrix in (self.diffusion, self.hyperbolic):
            if matrix is None:
                out.append(np.zeros((len(a), len(b))))
                continue
            if not known.any():
                out.append(same.astype(np.float64))
                continue
            block = np.asarray(matrix[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))], dtype=np.float64)
            out.append(np.where(known, block, same.astype(np.float64)))
        return out[0], out[1]

    def connection(self, genes: Sequence[str], others: Sequence[str]) -> np.ndarray:
        """How alike genes are to others on average, (len(genes),): mean diffusion similarity, a gene itself left out.

        Examples
        --------
        >>> similar = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.25], [0.0, 0.25, 1.0]])
        >>> GeneKernels(("A", "B", "C"), similar).connection(["A", "B", "D"], ["A", "B"]).tolist()
        [0.5, 0.5, 0.0]
        """
        alike = self.between(genes, others)[0]
        same = np.array(genes, dtype=object)[:, None] == np.array(others, dtype=object)[None, :]
        return np.where(same, 0.0, alike).sum(axis=1) / np.maximum((~same).sum(axis=1), 1)

    def renamed(self, names: Mapping[str, str]) -> GeneKernels:
        """The same similarities with other names for some genes."""
        return replace(
            self,
            genes=tuple(names.get(g, g) for g in self.genes),
            columns=None if self.columns is None else tuple(names.get(g, g) for g in self.columns),
            links=None if self.links is None else self.links.renamed(names),
        )

    def restricted_to(self, columns: Sequence[str]) -> GeneKernels:
        """The same similarities, keeping only these columns: what a saved run needs."""
        keep = tuple(g for g in columns if g in self._column)
        index = [self._column[g] for g in keep]
        return GeneKernels(
            self.genes,
            np.ascontiguousarray(self.diffusion[:, index], dtype=np.float32),
            None
            if self.hyperbolic is None
            else np.ascontiguousarray(self.hyperbolic[:, index], dtype=np.float32),
            keep,
            self.links,
        )


def gene_kernel(
    kernels: GeneKernels, parameters: KernelParameters, a: Sequence[str], b: Sequence[str]
) -> np.ndarray:
    """The covariance k(a, b) of the process between two lists of genes, (len(a), len(b)), float64."""
    diffusion, hyperbolic = kernels.between(a, b)
    same = np.array(a, dtype=object)[:, None] == np.array(b, dtype=object)[None, :]
    return (
        parameters.mean
        + parameters.diffusion * diffusion
        + parameters.hyperbolic * hyperbolic
        + parameters.own * same
    )


def sparse_design(targets: Sequence[Sequence[str]], genes: Sequence[str], factor: float) -> sparse.csr_array:
    """Perturbations as sums of genes, (P, T): 1 for a single target, ``factor`` for each of several."""
    column = {g: i for i, g in enumerate(genes)}
    entries = {
        (row, column[gene]): 1.0 if len(target) == 1 else factor
        for row, target in enumerate(targets)
        for gene in target
    }
    rows, columns = zip(*entries, strict=True) if entries else ((), ())
    return sparse.csr_array((list(entries.values()), (rows, columns)), shape=(len(targets), len(genes)))


def design_matrix(targets: Sequence[Sequence[str]], genes: Sequence[str], factor: float) -> np.ndarray:
    """:func:`sparse_design` as a dense array."""
    return sparse_design(targets, genes, factor).toarray()


def gene_groups(targets: Sequence[Sequence[str]], genes: Sequence[str]) -> list[np.ndarray]:
    members: dict[str, list[int]] = {g: [] for g in genes}
    for row, target in enumerate(targets):
        for gene in target:
            members[gene].append(row)
    return [np.array(rows) for rows in members.values() if rows]
