"""How wide the effect head's intervals are: a variance that grows with the predicted effect, set on genes left out.

A Gaussian process is as unsure of a strong effect as of a weak one, but a strong prediction misses by more. Its
variance is therefore multiplied by

    (ρ + |mean|² / (size · weight)) / (ρ + 1),

``size`` the mean |mean|² of single genes that are left out, ``weight`` the squared shares of the targets in a
perturbation (1 for a single gene), ρ = 0.3. Then one number stretches all intervals so that nine tenths of the measured
effects of left-out genes lie inside the 90 % intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve
from scipy.stats import norm

LEVEL = 0.9
_REST = 0.3
_COLUMNS = 500


def size_factor(square: np.ndarray, weight: np.ndarray, size: float) -> np.ndarray:
    """What the variance of each perturbation is multiplied with.

    Parameters
    ----------
    square
        (Q,) summed squares of the predicted effects.
    weight
        (Q,) summed squared shares of the targets.
    size
        Typical square of a single gene; 0 leaves the variance as it is.

    Examples
    --------
    >>> size_factor(np.array([2.0, 8.0]), np.array([1.0, 1.0]), 2.0).round(2).tolist()
    [1.0, 3.31]
    """
    if size <= 0:
        return np.ones(len(square))
    return (_REST + square / (size * weight)) / (_REST + 1.0)


def fit_error_scale(
    factor: tuple,
    solved: np.ndarray,
    Y: np.ndarray,
    groups: Sequence[np.ndarray],
    *,
    noise: np.ndarray,
    weight: np.ndarray,
    scale: np.ndarray,
    standard_error: np.ndarray | None,
) -> tuple[float, float]:
    """The typical size of a left-out prediction, and how much all variances are stretched.

    Parameters
    ----------
    factor
        Cholesky factor of the covariance C of the P perturbations.
    solved
        C⁻¹ Y, (P, R).
    Y
        (P, R) effects.
    groups
        For each gene the perturbations that are left out with it.
    noise
        (P,) diagonal of C that is no signal.
    weight
        (P,) summed squared shares of the targets.
    scale
        (R,) signal variance of each response gene before it is stretched.
    standard_error
        (P, R) of ``Y``, NaN where unknown.

    Returns
    -------
    size, stretch
        See :func:`size_factor`; ``stretch`` multiplies ``scale``.
    """
    inverse = cho_solve(factor, np.eye(len(Y)))
    columns = looked_at(Y.shape[1])
    rows = np.concatenate(list(groups))
    square, variance, missed = [], [], []
    for group in groups:
        block = np.linalg.inv(inverse[np.ix_(group, group)])
        residual = block @ solved[group]
        square.append(np.sum((Y[group] - residual) ** 2, axis=1))
        variance.append(np.diag(block) - noise[group])
        missed.append(residual[:, columns] ** 2)
    return size_and_stretch(
        np.concatenate(square),
        np.concatenate(variance),
        np.concatenate(missed),
        rows=rows,
        weight=weight,
        scale=scale,
        standard_error=standard_error,
    )


def looked_at(n_response: int) -> np.ndarray:
    """Numbers of the response genes that are looked at: one number needs no more than some of them."""
    return np.unique(np.linspace(0, n_response - 1, min(n_response, _COLUMNS)).astype(int))


def size_and_stretch(
    square: np.ndarray,
    variance: np.ndarray,
    missed: np.ndarray,
    *,
    rows: np.ndarray,
    weight: np.ndarray,
    scale: np.ndarray,
    standard_error: np.ndarray | None,
) -> tuple[float, float]:
    """The numbers of :func:`fit_error_scale`, of left-out perturbations that somebody has solved for.

    Parameters
    ----------
    square, variance
        (n,) summed squares of their predictions, and the signal's variance.
    missed
        (n, columns) squared errors of the response genes :func:`looked_at`.
    rows
        (n,) which of the P perturbations each is.
    weight, scale, standard_error
        See :func:`fit_error_scale`.
    """
    columns = looked_at(len(scale))
    variance = np.maximum(variance, 1e-9)
    size = float(np.mean(square / weight[rows]))
    expected = np.outer(variance * size_factor(square, weight[rows], size), scale[columns])
    measured = 0.0
    if standard_error is not None:
        measured = np.nan_to_num(np.asarray(standard_error)[np.ix_(rows, columns)].astype(np.float64)) ** 2
    needed = np.maximum(missed / norm.ppf(0.5 + LEVEL / 2) ** 2 - measured, 0.0) / expected
    return size, max(float(np.quantile(needed, LEVEL)), 1e-6)
