"""Whether a predictor knows how wrong it is: coverage of its intervals, ranking of its errors, what refusing gains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, computed_field
from scipy.stats import norm, rankdata

from hyperperturb.evaluation.resampling import Resampling

LEVEL = 0.9
"""Nominal coverage of the intervals that are checked."""

REFUSED = 0.3
"""Share of the perturbations, the least certain, that are refused to see what is gained."""

_MIN_PERTURBATIONS = 5


class Calibration(BaseModel):
    """How far the standard errors of a predictor can be believed, on held-out perturbations.

    Attributes
    ----------
    method
        The predictor.
    level
        Nominal coverage of the intervals.
    n_perturbations
        Held-out perturbations with a predicted standard error.
    coverage, coverage_low, coverage_high
        Mean over perturbations of the share of response genes whose measured effect lies inside the interval, with
        a 95 % interval over genes.
    perturbation_coverage
        5, 25, 50, 75 and 95 % quantile over perturbations of that share.
    gene_coverage
        The same quantiles over response genes of the share of perturbations inside.
    rank_correlation, rank_correlation_low, rank_correlation_high
        Spearman correlation over perturbations of the predicted with the actual root mean squared error.
    refused_share
        Share of the perturbations that are refused.
    error_all, error_kept
        Mean over perturbations of the root mean squared error: of all, and of those kept when the least certain are
        refused.
    gain, gain_low, gain_high
        ``error_all`` − ``error_kept``, with its 95 % interval (the refused ones chosen anew in every resample).
    relative_error_all, relative_error_kept
        Pooled squared error over that of no change, of all and of those kept.
    """

    model_config = ConfigDict(frozen=True)

    method: str
    level: float
    n_perturbations: int
    coverage: float
    coverage_low: float
    coverage_high: float
    perturbation_coverage: tuple[float, ...]
    gene_coverage: tuple[float, ...]
    rank_correlation: float
    rank_correlation_low: float
    rank_correlation_high: float
    refused_share: float
    error_all: float
    error_kept: float
    gain: float
    gain_low: float
    gain_high: float
    relative_error_all: float
    relative_error_kept: float

    @computed_field
    @property
    def sentence(self) -> str:
        """One plain sentence for people."""
        helps = "does not clearly help"
        if self.gain_low > 0 or self.gain_high < 0:
            helps = "helps" if self.gain > 0 else "leaves the worse ones"
        return (
            f"Of the measured effects {self.coverage:.0%} lie inside the {self.level:.0%} intervals; predicted and "
            f"actual error of a perturbation have a rank correlation of {self.rank_correlation:.2f} "
            f"({self.rank_correlation_low:.2f} to {self.rank_correlation_high:.2f}); refusing the "
            f"{self.refused_share:.0%} least certain {helps} (root mean squared error "
            f"{self.error_kept:.3g} instead of {self.error_all:.3g}; the difference lies between "
            f"{self.gain_low:.2g} and {self.gain_high:.2g})."
        )


def inside(
    predicted: np.ndarray,
    standard_error: np.ndarray,
    measured: np.ndarray,
    measured_error: np.ndarray,
    *,
    level: float = LEVEL,
) -> np.ndarray:
    """Which measured effects lie inside the central interval around the predicted ones.

    The interval is normal; its variance is the predictor's plus that of the measurement, where that is known.

    Parameters
    ----------
    predicted, standard_error, measured
        (Q, R) each.
    measured_error
        (Q, R) standard errors of ``measured``; NaN counts as 0.
    level
        Nominal coverage.

    Returns
    -------
    numpy.ndarray
        (Q, R) bool.

    Examples
    --------
    >>> one, half = np.ones((1, 1)), np.full((1, 1), 0.5)
    >>> bool(inside(0 * one, half, one, 0 * one)[0, 0]), bool(inside(0 * one, half, one, half)[0, 0])
    (False, True)
    """
    noise = np.nan_to_num(np.asarray(measured_error, dtype=np.float64))
    width = norm.ppf(0.5 + level / 2) * np.sqrt(np.asarray(standard_error, dtype=np.float64) ** 2 + noise**2)
    return np.abs(measured - predicted) <= width


def calibration(
    method: str, table: pd.DataFrame, gene_coverage: np.ndarray, resampling: Resampling
) -> Calibration | None:
    """Sum up what a cross-validation wrote down about a predictor's standard errors.

    Parameters
    ----------
    method
        The predictor.
    table
        One row a held-out perturbation: ``covered``, ``predicted_error``, ``actual_error``, ``squared_error``,
        ``squared_size``.
    gene_coverage
        (R,) share of the held-out perturbations inside the interval of each response gene; NaN where there is none.
    resampling
        Over the perturbations of ``table``, in its order.

    Returns
    -------
    Calibration or None
        None for fewer than five perturbations with a standard error.
    """
    known = np.isfinite(table["predicted_error"].to_numpy(np.float64))
    if known.sum() < _MIN_PERTURBATIONS:
        return None
    covered, predicted, actual, error, size = (
        table[name].to_numpy(np.float64)[known]
        for name in ("covered", "predicted_error", "actual_error", "squared_error", "squared_size")
    )
    weights = resampling.weights()[:, known]
    coverage, low, high = _interval(_mean, (covered,), weights)
    rank, rank_low, rank_high = _interval(_rank_correlation, (predicted, actual), weights)
    gain, gain_low, gain_high = _interval(_gain, (predicted, actual), weights)
    kept = _kept(predicted, np.ones(len(predicted)))
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    finite = gene_coverage[np.isfinite(gene_coverage)]
    return Calibration(
        method=method,
        level=LEVEL,
        n_perturbations=int(known.sum()),
        coverage=coverage,
        coverage_low=low,
        coverage_high=high,
        perturbation_coverage=tuple(float(q) for q in np.quantile(covered, quantiles)),
        gene_coverage=tuple(float(q) for q in np.quantile(finite, quantiles)) if len(finite) else (),
        rank_correlation=rank,
        rank_correlation_low=rank_low,
        rank_correlation_high=rank_high,
        refused_share=REFUSED,
        error_all=float(actual.mean()),
        error_kept=float(actual[kept > 0].mean()),
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        relative_error_all=float(error.sum() / max(size.sum(), np.finfo(float).tiny)),
        relative_error_kept=float(error[kept > 0].sum() / max(size[kept > 0].sum(), np.finfo(float).tiny)),
    )


def _interval(
    statistic: Callable[..., float], columns: tuple[np.ndarray, ...], weights: np.ndarray
) -> tuple[float, float, float]:
    """A statistic, and the ends of its 95 % interval over resampled weights."""
    value = statistic(*columns, np.ones(len(columns[0])))
    drawn = np.array([statistic(*columns, w) for w in weights if np.count_nonzero(w) > 2])
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (value, value)
    return float(value), float(low), float(high)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights))


def _rank_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    there = weights > 0
    a, b, w = rankdata(a[there]), rankdata(b[there]), weights[there]
    a, b = a - np.average(a, weights=w), b - np.average(b, weights=w)
    scale = np.sqrt(np.sum(w * a * a) * np.sum(w * b * b))
    return float(np.sum(w * a * b) / scale) if scale > 0 else 0.0


def _kept(predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of what is left when the least certain part of the weight is refused; ties share."""
    order = np.argsort(predicted, kind="stable")
    room = (1.0 - REFUSED) * weights.sum() - np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])
    kept = np.zeros(len(predicted))
    kept[order] = np.clip(room, 0.0, weights[order])
    return kept


def _gain(predicted: np.ndarray, actual: np.ndarray, weights: np.ndarray) -> float:
    return _mean(actual, weights) - _mean(actual, _kept(predicted, weights))
