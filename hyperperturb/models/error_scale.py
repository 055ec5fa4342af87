"""How wide the effect head's intervals are: variances that follow the errors of genes that are left out.

A Gaussian process is as unsure of a strong effect as of a weak one, and the less sure of a gene the fewer tested genes
are near it. Left-out genes say otherwise: a strong prediction misses by more, and genes with few tested neighbours have
weak effects, so that they are missed by less. The variance of a perturbation is therefore

    v = min(V, cap · W) · h(|mean|² / (size · W))^growth · h(c / connection)^reach + combination · |mean|² / Σ scale,
    h(x) = (0.3 + x) / 1.3,

relative to the ``scale`` of each response gene: V the variance of the process, W the squared shares of the targets in
the perturbation (1 for a single gene), ``cap`` the 5 % quantile of V among single genes that are left out, so that V
counts only where a gene itself was measured; ``size`` the mean |mean|² of single genes that are left out, c the
targets' mean similarity with the tested genes and ``connection`` its mean. The last term is for combinations alone: the
sum over their genes is not quite what they do. Then one number stretches all intervals so that nine tenths of the
measured effects of left-out genes lie inside the 90 % intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from hyperperturb.models.measurements import Missed, looked_at

LEVEL = 0.9
_REST = 0.3
_FLOOR = 0.05
# The exponents are learned from a few dozen errors and drawn towards this, as if by some ten perturbations.
_EXPONENT, _PULL = 0.5, 5.0
# Of combinations where fewer than so many can be left out by themselves: what a combination factor may be, 0.9 ± 0.22
_MIN_COMBINATIONS, _COMBINATION = 3, 0.06


@dataclass(frozen=True)
class ErrorScale:
    """How the variance of a prediction follows from that of the process; what is not given changes nothing.

    Attributes
    ----------
    size
        Typical summed squares of a single gene's prediction, in squared effect units; 0 for a variance that does not
        grow.
    growth
        Exponent with which the variance grows with the prediction's squares.
    cap
        Largest variance of the process that counts, for a single gene.
    connection, reach
        Typical mean similarity of a gene with the tested ones, and the exponent with which the variance grows with it;
        0 for a variance that does not.
    combination
        Variance of a combination beyond that of its genes, in shares of the prediction's squares.
    """

    size: float = 0.0
    growth: float = 1.0
    cap: float = np.inf
    connection: float = 0.0
    reach: float = 0.0
    combination: float = 0.0

    def variance(
        self,
        variance: np.ndarray,
        square: np.ndarray,
        weight: np.ndarray,
        connected: np.ndarray,
        several: np.ndarray,
        total: float,
    ) -> np.ndarray:
        """Variances of Q predictions, relative to the scale of each response gene, (Q,).

        Parameters
        ----------
        variance
            (Q,) of the process.
        square
            (Q,) summed squares of the predicted effects.
        weight
            (Q,) summed squared shares of the targets.
        connected
            (Q,) mean similarity of the targets with the tested genes.
        several
            (Q,) bool: has more than one target.
        total
            Summed scale of the response genes.

        Examples
        --------
        >>> one = np.ones(2)
        >>> scale = ErrorScale(size=2.0, combination=0.1)
        >>> scale.variance(one, np.array([2.0, 8.0]), one, one, np.array([False, True]), 4.0).round(2).tolist()
        [1.0, 3.51]
        """
        out = np.minimum(variance, self.cap * weight)
        exponents = np.array([self.growth, self.reach])
        out = out * np.exp(self._logarithms(square, weight, connected) @ exponents)
        return out + np.where(several, self.combination * square / total, 0.0)

    def _logarithms(self, square: np.ndarray, weight: np.ndarray, connected: np.ndarray) -> np.ndarray:
        """(Q, 2): logarithms of what the exponents belong to; 0 where the typical value is not known."""
        shares = [
            values / typical if typical > 0 else np.ones(len(values))
            for values, typical in ((square / weight, self.size), (connected, self.connection))
        ]
        return np.log((_REST + np.column_stack(shares)) / (_REST + 1.0))


def combinations_alone(groups: Sequence[np.ndarray], n_perturbations: int) -> list[np.ndarray]:
    """Combinations that can be left out by themselves, their genes being part of others; none where these are few.

    Parameters
    ----------
    groups
        For each gene the perturbations that are left out with it.

    Examples
    --------
    >>> genes = [np.array([0, 3]), np.array([1, 3, 4]), np.array([2, 4, 5]), np.array([5, 6])]
    >>> combinations_alone(genes, 7)
    [array([3]), array([4]), array([5])]
    """
    targets = np.bincount(np.concatenate([*groups]), minlength=n_perturbations)
    shared = np.bincount(
        np.concatenate([g for g in groups if len(g) > 1] or [[]]).astype(int), minlength=n_perturbations
    )
    alone = np.flatnonzero((targets > 1) & (shared == targets))
    return list(alone[:, None]) if len(alone) >= _MIN_COMBINATIONS else []


def fit_error_scale(
    genes: Missed,
    combinations: Missed,
    *,
    noise: np.ndarray,
    weight: np.ndarray,
    connected: np.ndarray,
    scale: np.ndarray,
    standard_error: np.ndarray | None,
) -> tuple[ErrorScale, float]:
    """How the variance grows, and how much all variances are stretched.

    Parameters
    ----------
    genes
        How the perturbations are predicted that are left out with each gene.
    combinations
        The same of :func:`combinations_alone`.
    noise
        (P,) variance of the measurements that is no signal.
    weight
        (P,) summed squared shares of the targets.
    connected
        (P,) mean similarity of the targets with the tested genes.
    scale
        (R,) signal variance of each response gene before it is stretched.
    standard_error
        (P, R) of the effects, NaN where unknown.

    Returns
    -------
    error, stretch
        ``stretch`` multiplies ``scale``.
    """
    error, stretch = shape_and_stretch(
        genes.square,
        genes.variance - noise[genes.rows],
        genes.errors,
        rows=genes.rows,
        weight=weight,
        connected=connected,
        scale=scale,
        standard_error=standard_error,
    )
    alone = combinations.rows
    if not len(alone):
        return error, stretch
    columns = looked_at(len(scale))
    expected = error.variance(
        np.maximum(combinations.variance - noise[alone], 1e-9),
        combinations.square,
        weight[alone],
        connected[alone],
        np.zeros(len(alone), dtype=bool),
        1.0,
    )
    beyond = _beyond(
        combinations.errors,
        np.outer(expected, stretch * scale[columns]),
        np.outer(combinations.square, scale[columns]) / scale.sum(),
        _measured(standard_error, alone, columns),
    )
    return replace(error, combination=beyond), stretch


def _beyond(
    missed: np.ndarray, expected: np.ndarray, unit: np.ndarray, measured: np.ndarray | float
) -> float:
    """How many units of variance are missing for nine tenths to lie inside and the squares to be right on average."""
    needed = np.maximum(missed / norm.ppf(0.5 + LEVEL / 2) ** 2 - measured - expected, 0.0) / np.maximum(
        unit, np.finfo(float).tiny
    )
    on_average = np.sum(missed - measured - expected) / max(np.sum(unit), np.finfo(float).tiny)
    return float(max(np.quantile(needed, LEVEL), on_average, 0.0))


def shape_and_stretch(
    square: np.ndarray,
    variance: np.ndarray,
    missed: np.ndarray,
    *,
    rows: np.ndarray,
    weight: np.ndarray,
    connected: np.ndarray,
    scale: np.ndarray,
    standard_error: np.ndarray | None,
) -> tuple[ErrorScale, float]:
    """The numbers of :func:`fit_error_scale`, of left-out perturbations that somebody has solved for.

    Parameters
    ----------
    square, variance
        (n,) summed squares of their predictions, and the signal's variance.
    missed
        (n, columns) squared errors of the response genes
        :func:`~hyperperturb.models.measurements.looked_at`.
    rows
        (n,) which of the P perturbations each is; one with several targets is there several times.
    weight, connected, scale, standard_error
        See :func:`fit_error_scale`.
    """
    columns = looked_at(len(scale))
    weight, connected, variance = weight[rows], connected[rows], np.maximum(variance, 1e-9)
    several = np.bincount(rows)[rows] > 1
    single = ~several if not several.all() else several
    error = ErrorScale(
        size=float(np.mean(square / weight)),
        cap=float(np.quantile(variance[single] / weight[single], _FLOOR)),
        connection=float(np.mean(connected)),
        combination=_COMBINATION,
    )
    measured = _measured(standard_error, rows, columns)
    noise = np.broadcast_to(measured, missed.shape).mean(axis=1)
    base = np.minimum(variance, error.cap * weight) * scale[columns].mean()
    logarithms = error._logarithms(square, weight, connected)
    growth, reach = _exponents(base, logarithms, missed.mean(axis=1), noise)
    error = replace(error, growth=growth, reach=reach)
    expected = error.variance(variance, square, weight, connected, np.zeros(len(rows), dtype=bool), 1.0)
    needed = np.maximum(missed / norm.ppf(0.5 + LEVEL / 2) ** 2 - measured, 0.0)
    needed /= np.outer(expected, scale[columns])
    return error, max(float(np.quantile(needed, LEVEL)), 1e-6)


def _exponents(
    base: np.ndarray, logarithms: np.ndarray, actual: np.ndarray, noise: np.ndarray
) -> list[float]:
    """The exponents under which the left-out errors are likeliest (gamma, mean v), drawn towards the usual one."""
    actual = np.maximum(actual, np.finfo(float).tiny)

    def loss(theta: np.ndarray) -> float:
        grown = np.exp(np.clip(theta[0] + logarithms @ theta[1:], -30.0, 30.0))
        expected = base * grown + noise
        return float(
            np.sum(np.log(expected) + actual / expected) + _PULL * np.sum((theta[1:] - _EXPONENT) ** 2)
        )

    level = np.log(max(np.mean(actual - noise), 0.1 * np.mean(actual)) / np.mean(base))
    start = np.array([level, *np.full(logarithms.shape[1], _EXPONENT)])
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6})
    return np.clip(found.x[1:], 0.0, 2.0).tolist()


def _measured(standard_error: np.ndarray | None, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | float:
    """Squared standard errors, 0 where unknown."""
    if standard_error is None:
        return 0.0
    return np.nan_to_num(np.asarray(standard_error)[np.ix_(rows, columns)].astype(np.float64)) ** 2


def relative_noise(standard_error: np.ndarray | None, mean_square: float, n: int) -> np.ndarray:
    """Measurement variance of each perturbation, (P,), over the mean squared effect; 0 where unknown."""
    if standard_error is None:
        return np.zeros(n)
    total = np.full(n, np.nan)
    for i, row in enumerate(standard_error):
        known = row[np.isfinite(row)]
        if len(known):
            total[i] = np.mean(np.square(known, dtype=np.float64))
    # A perturbation of one cell has no standard error; the worst that is known is the least it deserves.
    worst = np.nanmax(total) if np.isfinite(total).any() else 0.0
    return np.where(np.isfinite(total), total, worst) / mean_square
