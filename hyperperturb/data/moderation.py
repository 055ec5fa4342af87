"""Variances of few cells, shrunk towards those of their genes, and tests that know how skewed such means are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_WELL_MEASURED = 8.0  # degrees of freedom from which the logarithm of a variance is told by its approximation
_ENTRIES = 100  # well-measured variances that prior degrees of freedom take; with fewer, everything is pooled
_NORMAL = 1e-3  # skewness below which the gamma distribution is the normal one
_DOUBTLESS = 1.0  # standard errors within which nothing is significant, and the normal p-value does


def shape_of_levels(
    mean: np.ndarray, variance: np.ndarray, detected: np.ndarray, n_cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Skewness and kurtosis of a gene's levels over cells, from three numbers that one pass over a file gives.

    Levels are taken to be zero in the cells that do not show the gene, and normal in those that do.

    Parameters
    ----------
    mean, variance, detected
        ``(R,)``: mean and variance of the levels, share of cells above zero.
    n_cells
        Cells they were measured on. A gene that none of them showed is taken as seen in a single one.

    Returns
    -------
    tuple
        ``(R,)`` skewness and kurtosis (3 for a normal distribution).

    Examples
    --------
    >>> skewness, kurtosis = shape_of_levels(np.array([0.1]), np.array([0.09]), np.array([0.1]), 100)
    >>> skewness.round(3).tolist(), kurtosis.round(3).tolist()  # a coin that shows 1 in a tenth of the cells
    ([2.667], [8.111])
    """
    q = np.clip(np.asarray(detected, dtype=np.float64), 1.0 / max(n_cells, 2), 1.0)
    seen = np.asarray(variance > 0) & np.isfinite(variance)
    mean = np.where(seen, mean, q).astype(np.float64)
    variance = np.where(seen, variance, q * (1 - q)).astype(np.float64)
    variance = np.maximum(variance, 1e-30)
    level = mean / q
    spread = np.maximum((variance + mean**2) / q - level**2, 0.0)
    second = variance + mean**2
    third = q * (level**3 + 3 * level * spread)
    fourth = q * (level**4 + 6 * level**2 * spread + 3 * spread**2)
    skewness = (third - 3 * mean * second + 2 * mean**3) / variance**1.5
    kurtosis = (fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4) / variance**2
    return skewness, np.maximum(kurtosis, 1.0 + skewness**2)


@dataclass(frozen=True)
class Moderation:
    """What variances are shrunk towards (Smyth 2004, *Linear models and empirical Bayes methods*).

    A variance of n cells counts as many degrees of freedom as its own sampling error leaves it (Satterthwaite): n − 1
    for normal levels, far fewer for a gene that few cells show, whose variance is mostly luck.

    Attributes
    ----------
    variance
        ``(R,)`` each gene's pooled variance within labels.
    kurtosis
        ``(R,)`` of its levels.
    freedom
        Prior degrees of freedom: how many the pooled variance is worth. Infinite where the variances of the labels
        differ by no more than chance makes them.
    """

    variance: np.ndarray
    kurtosis: np.ndarray
    freedom: float

    def own_freedom(self, n: int) -> np.ndarray:
        """Degrees of freedom of the variance of n cells, ``(R,)``: twice its square over its sampling variance."""
        if n < 2:
            return np.zeros_like(self.kurtosis)
        return 2.0 / np.maximum((self.kurtosis - 3.0) / n + 2.0 / (n - 1), 2.0 / n)

    def __call__(self, variance: np.ndarray, n: int) -> np.ndarray:
        """Shrink the variance of n cells, ``(R,)``; that of a single cell, which is not known, is the pooled one."""
        own = self.own_freedom(n)
        known = np.where(own > 0, variance, 0.0)
        if not np.isfinite(self.freedom):
            return self.variance.copy()
        return (self.freedom * self.variance + own * known) / (self.freedom + own)

    @classmethod
    def fit(
        cls,
        variances: Iterable[np.ndarray],
        n_cells: np.ndarray,
        pooled: np.ndarray,
        kurtosis: np.ndarray,
    ) -> Moderation:
        """Estimate the prior degrees of freedom from how the labels' variances differ.

        The spread of log(s²/s₀²) is trigamma(d/2) by chance and trigamma(d₀/2) beyond it; only variances with eight or
        more degrees of freedom are looked at.

        Parameters
        ----------
        variances
            ``(R,)`` of each label.
        n_cells
            Cells of each label.
        pooled, kurtosis
            ``(R,)``, as above.
        """
        from scipy.special import digamma, polygamma

        prior = cls(pooled, kurtosis, np.inf)
        count, centre, square, chance = 0, 0.0, 0.0, 0.0
        for variance, n in zip(variances, n_cells, strict=True):
            own = prior.own_freedom(int(n))
            there = (own >= _WELL_MEASURED) & (pooled > 0) & (variance > 0)
            if not there.any():
                continue
            half = own[there] / 2
            ratio = np.log(variance[there] / pooled[there]) - digamma(half) + np.log(half)
            count += len(ratio)
            centre += ratio.sum()
            square += ratio @ ratio
            chance += polygamma(1, half).sum()
        if count < _ENTRIES:
            return prior
        excess = (square - centre**2 / count) / (count - 1) - chance / count
        return cls(pooled, kurtosis, 2 * _inverse_trigamma(excess) if excess > 0 else np.inf)


def _inverse_trigamma(value: float) -> float:
    """The x > 0 whose trigamma is `value`, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value < 1e-6:
        return 1.0 / value
    x = 0.5 + 1.0 / value
    for _ in range(50):
        three = float(polygamma(1, x))
        step = three * (1 - three / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x


def skewness_of_difference(skewness: np.ndarray, n: int, other_n: int) -> np.ndarray:
    """Skewness of a difference of the means of n and of other_n cells with levels of one shape.

    Examples
    --------
    >>> skewness_of_difference(np.array([2.0]), 100, 10**9).round(3).tolist()
    [0.2]
    """
    if n < 1 or other_n < 1:
        return np.zeros_like(skewness)
    return skewness * (1 / n**2 - 1 / other_n**2) / (1 / n + 1 / other_n) ** 1.5


def two_sided(z: np.ndarray, skewness: np.ndarray | float = 0.0) -> np.ndarray:
    """P-values of standardised differences whose sum of cells is skewed.

    The mean of few cells of a rare gene is a count, not a normal number: a single cell that shows it lies many standard
    errors from zero. The heavy tail is that of the gamma distribution of the same skewness (Pearson's type III), the
    light one is left normal, which is cautious.

    Parameters
    ----------
    z
        Differences over standard errors.
    skewness
        Of the differences, of a shape that fits `z`.

    Returns
    -------
    numpy.ndarray
        Of the shape of both; NaN where `z` is.

    Examples
    --------
    >>> two_sided(np.array([1.96, 4.0, -4.0]), np.array([0.0, 1.0, 1.0])).round(5).tolist()
    [0.05, 0.00458, 6e-05]
    """
    from scipy.special import gammaincc, ndtr

    z, skewness = np.broadcast_arrays(np.asarray(z, dtype=np.float64), np.asarray(skewness, dtype=np.float64))
    p = 2 * ndtr(-np.abs(z))
    heavy = (np.abs(skewness) > _NORMAL) & (z * skewness > 0) & (np.abs(z) > _DOUBTLESS)
    if heavy.any():
        shape = 4.0 / skewness[heavy] ** 2
        p[heavy] = np.minimum(1.0, 2 * gammaincc(shape, shape + np.abs(z[heavy]) * np.sqrt(shape)))
    return p
