"""Each metric against a plain loop, and what trivial predictions get."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.evaluation.metrics import METRICS, Cases, squared_errors

P, R = 9, 14


def make_cases(seed: int = 0) -> Cases:
    """Seven of nine perturbations held out; the first genes are targets."""
    rng = np.random.default_rng(seed)
    candidates = rng.normal(size=(P, R))
    own = np.zeros((P, R), dtype=bool)
    own[np.arange(5), np.arange(5)] = True
    own[5, [0, 1]] = True
    row = np.array([0, 1, 2, 4, 5, 7, 8])
    candidates[own] = -8.0
    return Cases(
        predicted=candidates[row] + rng.normal(size=(len(row), R)),
        measured=candidates[row],
        reference=np.repeat(rng.normal(size=(1, R)), len(row), axis=0),
        own=own[row],
        candidates=candidates,
        candidate_own=own,
        row=row,
    )


@pytest.fixture
def cases() -> Cases:
    return make_cases()


def score(name: str, cases: Cases) -> np.ndarray:
    return METRICS[name].score(cases)


def kept(cases: Cases, q: int) -> list[int]:
    return [r for r in range(R) if not cases.own[q, r]]


def correlation(a: list[float], b: list[float]) -> float:
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True))
    return top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


def place(distances: list[float], true: int) -> float:
    """Share of the others that are farther, ties count half: the same as a mid-rank."""
    others = [d for i, d in enumerate(distances) if i != true]
    farther = sum(d > distances[true] for d in others) + 0.5 * sum(d == distances[true] for d in others)
    return farther / len(others)


def test_error_is_the_squared_distance_over_that_of_no_change(cases):
    for q, got in enumerate(score("error", cases)):
        genes = kept(cases, q)
        error = sum((cases.predicted[q, r] - cases.measured[q, r]) ** 2 for r in genes)
        size = sum(cases.measured[q, r] ** 2 for r in genes)
        assert got == pytest.approx(error / size, rel=1e-12)
        assert squared_errors(cases)[0][q] == pytest.approx(error, rel=1e-12)
        assert squared_errors(cases)[1][q] == pytest.approx(size, rel=1e-12)


def test_pearson_against_control(cases):
    for q, got in enumerate(score("pearson_control", cases)):
        genes = kept(cases, q)
        want = correlation(cases.predicted[q, genes].tolist(), cases.measured[q, genes].tolist())
        assert got == pytest.approx(want, rel=1e-12)


def test_pearson_beyond_the_mean(cases):
    for q, got in enumerate(score("pearson_mean", cases)):
        genes = kept(cases, q)
        a = (cases.predicted[q] - cases.reference[q])[genes].tolist()
        b = (cases.measured[q] - cases.reference[q])[genes].tolist()
        assert got == pytest.approx(correlation(a, b), rel=1e-12)


def shared_genes(cases: Cases) -> list[int]:
    return [r for r in range(R) if not any(cases.candidate_own[p, r] for p in range(P))]


def test_cosine_discrimination(cases):
    genes = shared_genes(cases)
    for q, got in enumerate(score("cosine_discrimination", cases)):
        distances = []
        for p in range(P):
            a, b = cases.predicted[q, genes].tolist(), cases.candidates[p, genes].tolist()
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            distances.append(-dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))
        assert got == pytest.approx(place(distances, cases.row[q]), abs=1e-12)


def test_centroid_accuracy(cases):
    genes = shared_genes(cases)
    for q, got in enumerate(score("centroid_accuracy", cases)):
        distances = [
            sum((cases.predicted[q, r] - cases.candidates[p, r]) ** 2 for r in genes) for p in range(P)
        ]
        assert got == pytest.approx(place(distances, cases.row[q]), abs=1e-12)


def test_the_truth_gets_the_best_of_everything(cases):
    perfect = replace(cases, predicted=cases.measured)
    for metric in METRICS.values():
        want = {"error": 0.0}.get(metric.name, 1.0)
        assert metric.score(perfect) == pytest.approx(np.full(len(cases.row), want), abs=1e-12), metric.name


@pytest.mark.parametrize("name", METRICS)
def test_a_targets_own_entry_counts_for_nothing(cases, name):
    spoiled = cases.predicted.copy()
    spoiled[cases.own] = 1e3
    column = cases.candidate_own.any(axis=0)
    if name in ("cosine_discrimination", "centroid_accuracy"):
        spoiled[:, column] = 1e3  # there all target genes are left out, for all
    assert score(name, replace(cases, predicted=spoiled)) == pytest.approx(score(name, cases), abs=1e-12)
    spoiled[0, R - 1] += 5.0
    if name not in ("cosine_discrimination", "centroid_accuracy"):
        assert score(name, replace(cases, predicted=spoiled))[0] != pytest.approx(score(name, cases)[0])


@pytest.mark.parametrize("constant", [0.0, 0.37])
def test_constant_predictions_correlate_with_nothing(cases, constant):
    flat = replace(cases, predicted=np.full_like(cases.predicted, constant))
    assert score("pearson_control", flat).tolist() == [0.0] * len(cases.row)


def test_no_change_gets_one_and_a_half(cases):
    zero = replace(cases, predicted=np.zeros_like(cases.predicted))
    assert score("error", zero) == pytest.approx(np.ones(len(cases.row)))
    assert score("cosine_discrimination", zero).tolist() == [0.5] * len(cases.row)


def test_the_training_mean_gets_nothing_beyond_itself(cases):
    noise = 1e-13 * np.random.default_rng(0).normal(size=cases.reference.shape)
    mean = replace(cases, predicted=cases.reference + noise)
    assert score("pearson_mean", mean).tolist() == [0.0] * len(cases.row)


@pytest.mark.parametrize("name", ["cosine_discrimination", "centroid_accuracy"])
def test_one_prediction_for_all_averages_to_chance(name):
    """Over all perturbations a constant answer takes every place once, so it cannot be above one half."""
    cases = make_cases(1)
    everything = np.arange(P)
    same = replace(
        cases,
        predicted=np.repeat(cases.reference[:1], P, axis=0),
        measured=cases.candidates,
        reference=np.repeat(cases.reference[:1], P, axis=0),
        own=cases.candidate_own,
        row=everything,
    )
    assert score(name, same).mean() == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("name", ["cosine_discrimination", "centroid_accuracy"])
def test_ties_take_the_middle_rank(name):
    """Three of five perturbations look exactly alike: each of them is at the middle of ranks 1 to 3."""
    effect = np.array([[1.0, 0, 0]] * 3 + [[0, 1.0, 0], [0, 0, 1.0]])
    own = np.zeros(effect.shape, dtype=bool)
    cases = Cases(effect[:1], effect[:1], 0 * effect[:1], own[:1], effect, own, np.array([1]))
    assert score(name, cases).tolist() == [1.0 - (2.0 - 1.0) / 4.0]


def test_one_perturbation_alone_cannot_be_placed():
    effect, own = np.ones((1, 3)), np.zeros((1, 3), dtype=bool)
    cases = Cases(effect, effect, effect, own, effect, own, np.array([0]))
    assert np.isnan(score("centroid_accuracy", cases)).all()


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.best in ("high", "low")
        assert metric.definition.endswith(".")
        assert metric.label
