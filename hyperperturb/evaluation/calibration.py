"""Whether a predictor knows how wrong it is: coverage of its intervals, ranking of its errors, what refusing gains.

What is compared is a *measured* effect, which misses the truth too. Its error is known before anybody looks at the
effect, from the number of cells and the scatter of the controls (:func:`measurement_variance`), so the error that is
expected of a comparison is that of the prediction and of the measurement together.

Perturbations are ranked and refused among those that one fitted model answered, that is within a fold. Across folds a
predictor cannot rank well however good it is: the fold that holds the worst perturbation out has the best ones left to
learn its own errors from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, computed_field
from scipy.stats import norm, rankdata

from hyperperturb.data.effects import Effects
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
        Spearman correlation of the expected with the actual root mean squared error, ranked within folds.
    refused_share
        Share of the perturbations of each fold that are refused.
    error_all, error_kept
        Mean over perturbations of the root mean squared error: of all, and of those kept when the ones with the largest
        expected error are refused.
    gain, gain_low, gain_high
        ``error_all`` − ``error_kept``, with its 95 % interval over genes.
    relative_error_all, relative_error_kept
        Pooled squared error over that of no change, of all and of those kept when the least supported are refused:
        those with the largest share of expected error in what is expected to be measured.
    relative_gain, relative_gain_low, relative_gain_high
        ``relative_error_all`` − ``relative_error_kept``, with its 95 % interval over genes.
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
    relative_gain: float
    relative_gain_low: float
    relative_gain_high: float

    @computed_field
    @property
    def sentence(self) -> str:
        """One plain sentence for people."""
        by_error, by_support = (
            "falls clearly" if low > 0 else "rises clearly" if high < 0 else "does not clearly change"
            for low, high in (
                (self.gain_low, self.gain_high),
                (self.relative_gain_low, self.relative_gain_high),
            )
        )
        refused = f"{100 * self.refused_share:.0f} %"
        return (
            f"Of the measured effects {100 * self.coverage:.0f} % lie inside the {100 * self.level:.0f} % intervals; "
            f"expected and actual error of a perturbation have a rank correlation of {self.rank_correlation:.2f} "
            f"({self.rank_correlation_low:.2f} to {self.rank_correlation_high:.2f}). Without the "
            f"{refused} least certain the error {by_error} ({self.error_kept:.3g} instead of "
            f"{self.error_all:.3g}); without the {refused} least supported the error relative to no "
            f"change {by_support} ({self.relative_error_kept:.2f} instead of {self.relative_error_all:.2f})."
        ).replace("-", "−")


def measurement_variance(effects: Effects, rows: np.ndarray) -> np.ndarray:
    """How far measured effects are expected to miss the truth, squared, before anybody looks at them.

    The variance of the control cells times (1 / cells of the perturbation + 1 / control cells), so that nothing of the
    perturbed cells but their number enters. Of a table that lacks these it is the squared standard error, and 0 where
    there is none either.

    Parameters
    ----------
    effects
        P perturbations x R response genes.
    rows
        (Q,) numbers of perturbations.

    Returns
    -------
    numpy.ndarray
        (Q, R) squared natural-log units.
    """
    cells = effects.n_cells[rows]
    if effects.control_variance is None or effects.n_control_cells < 1 or (cells < 1).any():
        return np.nan_to_num(effects.standard_error[rows].astype(np.float64)) ** 2
    share = 1.0 / cells + 1.0 / effects.n_control_cells
    return share[:, None] * effects.control_variance.astype(np.float64)


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


def with_standings(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every perturbation where it stands in its fold, and which are refused there.

    Parameters
    ----------
    table
        One row a held-out perturbation of one predictor: ``fold``, ``predicted_error``, ``actual_error`` and
        ``predicted_size`` (root mean square of the predicted effect).

    Returns
    -------
    pandas.DataFrame
        The same with ``predicted_standing`` and ``actual_standing`` (rank of the error in the fold, centred and divided
        by the number of ranks), and ``kept_certain`` and ``kept_supported`` (1 where the perturbation stays when the
        least certain or least supported are refused, 0 where it goes, between where the border runs through it); NaN
        without a standard error. Folds of one perturbation are ranked together, because there is nothing else.

    Examples
    --------
    >>> table = pd.DataFrame({"fold": 0, "predicted_error": [1.0, 3.0], "actual_error": [2.0, 9.0]})
    >>> found = with_standings(table.assign(predicted_size=1.0))
    >>> found["predicted_standing"].tolist(), found["kept_certain"].tolist()
    ([-0.25, 0.25], [1.0, 0.3999999999999999])
    """
    names = ["predicted_standing", "actual_standing", "kept_certain", "kept_supported"]
    out = table.assign(**dict.fromkeys(names, np.nan))
    known = table[np.isfinite(table["predicted_error"].to_numpy(np.float64))]
    alone = known.groupby("fold")["fold"].transform("size") < 2
    for _, fold in known.groupby(known["fold"].where(~alone, -1)):
        predicted, actual, size = (
            fold[name].to_numpy(np.float64) for name in ("predicted_error", "actual_error", "predicted_size")
        )
        unsupported = predicted**2 / np.maximum(predicted**2 + size**2, np.finfo(float).tiny)
        columns = _standing(predicted), _standing(actual), _kept(predicted), _kept(unsupported)
        out.loc[fold.index, names] = np.column_stack(columns)
    return out


def _standing(values: np.ndarray) -> np.ndarray:
    return (rankdata(values) - 0.5 * (len(values) + 1)) / len(values)


def _kept(doubt: np.ndarray) -> np.ndarray:
    """What is left of each when the most doubtful part is refused; the border may run through one."""
    kept = np.zeros(len(doubt))
    room = (1.0 - REFUSED) * len(doubt) - np.arange(len(doubt))
    kept[np.argsort(doubt, kind="stable")] = np.clip(room, 0.0, 1.0)
    return kept


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
        ``squared_size`` and what :func:`with_standings` adds.
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
    names = (
        *("covered", "actual_error", "squared_error", "squared_size"),
        *("predicted_standing", "actual_standing", "kept_certain", "kept_supported"),
    )
    covered, actual, error, size, standing, actual_standing, certain, supported = (
        table[name].to_numpy(np.float64)[known] for name in names
    )
    weights = resampling.weights()[:, known]
    coverage, low, high = _interval(_mean, (covered,), weights)
    rank, rank_low, rank_high = _interval(_correlation, (standing, actual_standing), weights)
    gain, gain_low, gain_high = _interval(_gain, (actual, np.ones(len(actual)), certain), weights)
    relative, relative_low, relative_high = _interval(_gain, (error, size, supported), weights)
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    finite = gene_coverage[np.isfinite(gene_coverage)]
    all_of_it = np.ones(len(actual))
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
        error_kept=_mean(actual, certain),
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        relative_error_all=_ratio(error, size, all_of_it),
        relative_error_kept=_ratio(error, size, supported),
        relative_gain=relative,
        relative_gain_low=relative_low,
        relative_gain_high=relative_high,
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
    return _ratio(values, np.ones(len(values)), weights)


def _ratio(over: np.ndarray, under: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sum(weights * over) / max(np.sum(weights * under), np.finfo(float).tiny))


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Weighted correlation of centred standings."""
    scale = np.sqrt(np.sum(weights * a * a) * np.sum(weights * b * b))
    return float(np.sum(weights * a * b) / scale) if scale > 0 else 0.0


def _gain(over: np.ndarray, under: np.ndarray, kept: np.ndarray, weights: np.ndarray) -> float:
    """By how much the ratio of all is above that of those kept."""
    return _ratio(over, under, weights) - _ratio(over, under, weights * kept)
