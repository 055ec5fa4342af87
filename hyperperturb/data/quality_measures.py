"""What the quality of a screen is measured with: tests and distances on arrays, without files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

N_COMPONENTS = 50
N_VARIABLE = 2000
_MIN_DRAWN = 2  # cells on either side of an energy distance


def adjusted(p: np.ndarray) -> np.ndarray:
    """Adjust p-values for their number (Benjamini & Hochberg 1995); NaN stays NaN and does not count.

    Examples
    --------
    >>> adjusted(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    from scipy.stats import false_discovery_control

    p = np.asarray(p, dtype=np.float64)
    out = np.full(p.shape, np.nan)
    there = np.isfinite(p)
    if there.any():
        out[there] = false_discovery_control(p[there], method="bh")
    return out


def imbalance(counts: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Compare how two sets of cells are spread over batches.

    Parameters
    ----------
    counts, other
        (B,) cells of each set in each batch.

    Returns
    -------
    tuple of float
        Total variation distance of the two distributions (0: the same, 1: no batch in common), and the p-value of
        Pearson's chi-square test of homogeneity; NaN where a set is empty or there is a single batch.

    Examples
    --------
    >>> imbalance(np.array([10, 10]), np.array([30, 30]))
    (0.0, 1.0)
    """
    from scipy.stats import chi2_contingency

    table = np.array([counts, other], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return float("nan"), float("nan")
    share = table / table.sum(axis=1, keepdims=True)
    distance = 0.5 * float(np.abs(share[0] - share[1]).sum())
    return distance, float(chi2_contingency(table, correction=False).pvalue)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation of two vectors; NaN where one does not vary."""
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else float("nan")


def cross_agreement(first: Sequence[np.ndarray], second: Sequence[np.ndarray], keep: np.ndarray) -> float:
    """Correlate two effects that were measured against different halves of the controls.

    A control mean that both effects share would make them alike by itself.

    Parameters
    ----------
    first, second
        (G,) effect against the one half and against the other, of either guide.
    keep
        (G,) bool: genes to compare.
    """
    one = correlation(first[0][keep], second[1][keep])
    return 0.5 * (one + correlation(first[1][keep], second[0][keep]))


@dataclass(frozen=True)
class Components:
    """Principal components of cells.

    Attributes
    ----------
    genes
        (H,) positions of the genes they are made of.
    axes
        (H, K) orthonormal directions, the widest first.
    centre
        (K,) where the mean cell lies.
    """

    genes: np.ndarray
    axes: np.ndarray
    centre: np.ndarray


def principal_components(cells: sp.csr_matrix, genes: np.ndarray, *, k: int = N_COMPONENTS) -> Components:
    """Find the principal components of centred, unscaled values from the covariance of the genes.

    Parameters
    ----------
    cells
        (n, H) log1p(CP10k).
    genes
        (H,) which genes they are.
    k
        Components, fewer where there are fewer genes or cells.
    """
    from scipy.linalg import eigh

    dense = cells.toarray().astype(np.float32)
    mean = dense.mean(axis=0, dtype=np.float64)
    dense -= mean.astype(np.float32)
    covariance = (dense.T @ dense).astype(np.float64) / max(len(dense) - 1, 1)
    k = max(1, min(k, len(covariance), len(dense) - 1))
    last = len(covariance) - 1
    _, axes = eigh(covariance, subset_by_index=(last - k + 1, last))
    axes = axes[:, ::-1]
    return Components(np.asarray(genes), axes, mean @ axes)


@dataclass(frozen=True)
class EnergyTest:
    """An energy distance and what chance makes of it.

    Attributes
    ----------
    distance
        :func:`~hyperperturb.evaluation.energy.energy_distance` of the two sets of cells.
    chance
        Its mean over permutations of the cells: it is not 0, least of all for few cells.
    p
        Share of permutations that reach the distance (itself counted, Phipson & Smyth 2010).
    """

    distance: float
    chance: float
    p: float


class EnergyTester:
    """Energy distances of sets of cells to the same controls, tested by permutation.

    Distances of the pooled cells are computed once a set; a permutation then only adds up those within a random
    draw: with S the sum of all distances, R that of the draw's row sums and A that within the draw, the distances to
    the rest add up to R − A and those within the rest to S − 2R + A.

    Parameters
    ----------
    control
        (m, K) control cells.
    permutations
        How many.
    seed
        Of the permutations.
    """

    def __init__(self, control: np.ndarray, *, permutations: int = 999, seed: int = 0) -> None:
        self.control = np.asarray(control, dtype=np.float64)
        self.permutations = permutations
        self.seed = seed
        self._within = _distances(self.control, self.control)
        self._buffer = np.zeros((0, 0), dtype=np.float32)

    def __call__(self, cells: np.ndarray) -> EnergyTest:
        """Test one set of cells, (n, K); NaN where either side has fewer than two."""
        cells = np.asarray(cells, dtype=np.float64)
        n, m = len(cells), len(self.control)
        if min(n, m) < _MIN_DRAWN:
            return EnergyTest(float("nan"), float("nan"), float("nan"))
        if len(self._buffer) != n + m:
            self._buffer = np.empty((n + m, n + m), dtype=np.float32)
        pooled = self._buffer
        between, within = _distances(cells, self.control), _distances(cells, cells)
        pooled[n:, n:], pooled[:n, :n] = self._within, within
        pooled[:n, n:], pooled[n:, :n] = between, between.T
        distance = 2 * between.mean() - within.mean() - self._within.mean()

        from hyperperturb.data.kernels import permuted_sums

        rows = np.concatenate(
            [within.sum(axis=1) + between.sum(axis=1), between.sum(axis=0) + self._within.sum(axis=1)]
        )
        drawn = np.empty((self.permutations, 2))
        permuted_sums(pooled, rows, n, self.seed, drawn)
        inside, reached = 2 * drawn[:, 0], drawn[:, 1]
        by_chance = (
            2 * (reached - inside) / (n * m) - inside / n**2 - (rows.sum() - 2 * reached + inside) / m**2
        )
        rounding = 1e-5 * max(float(between.mean()), 1e-30)  # the pooled distances are float32
        above = int((by_chance >= distance - rounding).sum())
        return EnergyTest(float(distance), float(by_chance.mean()), (1 + above) / (1 + self.permutations))


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return cdist(x, y)
