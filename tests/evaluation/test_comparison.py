"""Two judged runs beside each other, perturbation by perturbation."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.evaluation.comparison import differences
from hyperperturb.evaluation.report import HeldOut

NAMES = [f"G{i}" for i in range(40)]
TARGETS = {name: (name,) for name in NAMES}


def judged(square: np.ndarray, size: np.ndarray, correlation: np.ndarray, names=NAMES) -> HeldOut:
    """Scores of a run whose squared errors, squared sizes of effects and correlations are these."""
    rows = [
        {
            "perturbation": name,
            "error": s / z,
            "actual_error": float(np.sqrt(s)),
            "pearson_mean": None if np.isnan(c) else float(c),
        }
        for name, s, z, c in zip(names, square, size, correlation, strict=True)
    ]
    return HeldOut(
        verdict="",
        ahead=False,
        lead=0.0,
        lead_low=0.0,
        lead_high=0.0,
        best_baseline="training_mean",
        n_perturbations=len(rows),
        n_folds=5,
        methods=[],
        per_perturbation=rows,
    )


@pytest.fixture
def figures():
    rng = np.random.default_rng(0)
    size = rng.uniform(0.5, 5.0, len(NAMES))
    return size * rng.uniform(0.4, 1.1, len(NAMES)), size, rng.uniform(-0.2, 0.8, len(NAMES))


def test_differences_are_those_of_the_pooled_scores_and_positive_where_the_second_is_better(figures):
    square, size, correlation = figures
    found = differences(
        judged(square, size, correlation), judged(0.9 * square, size, correlation - 0.1), TARGETS
    )
    by_metric = {d.metric: d for d in found}
    assert list(by_metric) == ["error", "pearson_mean"]
    error, pearson = by_metric["error"], by_metric["pearson_mean"]
    assert error.difference == pytest.approx(0.1 * square.sum() / size.sum())
    assert 0 < error.low < error.difference < error.high
    assert error.verdict == "better than"
    assert pearson.difference == pytest.approx(-0.1)
    assert pearson.verdict == "worse than"
    assert error.n == len(NAMES)


def test_chance_tells_nothing_apart_although_pairing_narrows_the_interval(figures):
    square, size, correlation = figures
    noise = np.random.default_rng(1).normal(0, 0.05, len(NAMES))
    (error, _) = differences(
        judged(square, size, correlation), judged(square * (1 + noise), size, correlation), TARGETS
    )
    assert error.low < 0 < error.high
    assert error.verdict == "not clearly different from"
    assert error.high - error.low < 0.1  # the score itself is known to about 0.15


def test_only_common_perturbations_with_a_value_count(figures):
    square, size, correlation = figures
    first = judged(square, size, correlation)
    missing = correlation.copy()
    missing[:4] = np.nan
    part = judged(square[:20], size[:20], missing[:20], NAMES[:20])
    found = {d.metric: d for d in differences(first, part, TARGETS)}
    assert (found["error"].n, found["pearson_mean"].n) == (20, 16)
    assert found["error"].difference == 0.0
    assert differences(first, judged(square[:4], size[:4], correlation[:4], NAMES[:4]), TARGETS) == []
    assert differences(first, first.model_copy(update={"per_perturbation": []}), TARGETS) == []
    assert differences(first, first, {}) == []
