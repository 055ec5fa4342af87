"""Each metric against a plain loop, and what trivial predictions get."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hyperperturb.evaluation.energy import CellSample, energy_distance
from hyperperturb.evaluation.metrics import METRICS, Cases, significant_genes, squared_errors

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
    significant = rng.random((len(row), R)) < 0.4
    significant[:, -1] = True
    cells = CellSample(
        columns=np.arange(R),
        control=rng.normal(size=(30, R)),
        perturbed={p: rng.normal(size=(20, R)) + candidates[p] for p in range(P)},
    )
    return Cases(
        predicted=candidates[row] + rng.normal(size=(len(row), R)),
        measured=candidates[row],
        reference=np.repeat(rng.normal(size=(1, R)), len(row), axis=0),
        own=own[row],
        candidates=candidates,
        candidate_own=own,
        row=row,
        significant=significant & ~own[row],
        cells=cells,
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
    order = np.argsort(-np.abs(np.where(cases.own, 0.0, cases.measured)), axis=1)
    largest = np.zeros_like(cases.own)
    np.put_along_axis(largest, order[:, :4], True, axis=1)
    perfect = replace(cases, predicted=cases.measured, significant=largest)
    for metric in METRICS.values():
        if metric.name == "energy_distance":
            continue  # even the true mean leaves the spread of the cells
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
    spoiled[0, R - 1] *= -100.0
    if name not in ("cosine_discrimination", "centroid_accuracy", "significant_overlap"):
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


def test_overlap_counts_the_n_largest_changes(cases):
    for q, got in enumerate(score("significant_overlap", cases)):
        genes = kept(cases, q)
        true = {r for r in genes if cases.significant[q, r]}
        largest = sorted(genes, key=lambda r: -abs(cases.predicted[q, r]))[: len(true)]
        assert got == pytest.approx(len(true & set(largest)) / len(true))


def test_overlap_of_predictions_that_are_all_alike_is_chance(cases):
    flat = score("significant_overlap", replace(cases, predicted=np.zeros_like(cases.predicted)))
    for q, got in enumerate(flat):
        assert got == pytest.approx(cases.significant[q].sum() / len(kept(cases, q)))


def test_overlap_shares_the_places_left_among_ties():
    """Three significant genes; one is predicted largest, four alike share the two places left."""
    predicted = np.array([[5.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    significant = np.array([[True, True, False, False, False, True]])
    own = np.zeros((1, 6), dtype=bool)
    case = Cases(predicted, predicted, predicted, own, predicted, own, np.array([0]), significant)
    assert score("significant_overlap", case)[0] == pytest.approx((1 + 2 / 4) / 3)


def test_sign_agreement(cases):
    for q, got in enumerate(score("sign_agreement", cases)):
        genes = [r for r in kept(cases, q) if cases.significant[q, r]]
        right = sum(cases.predicted[q, r] * cases.measured[q, r] > 0 for r in genes)
        assert got == pytest.approx(right / len(genes))
    zero = replace(cases, predicted=np.zeros_like(cases.predicted))
    assert score("sign_agreement", zero).tolist() == [0.5] * len(cases.row)


@pytest.mark.parametrize("name", ["significant_overlap", "sign_agreement"])
def test_without_a_significant_gene_there_is_no_score(cases, name):
    none = cases.significant.copy()
    none[2] = False
    got = score(name, replace(cases, significant=none))
    assert np.isnan(got).tolist() == [q == 2 for q in range(len(cases.row))]
    assert np.isnan(score(name, replace(cases, significant=None))).all()


def test_significant_genes_against_the_step_up_procedure():
    """Benjamini & Hochberg 1995: the largest k with p(k) ≤ k/m · q, and all up to it."""
    rng = np.random.default_rng(4)
    effect, error = rng.normal(size=(5, 40)) * 3, rng.uniform(0.5, 2, size=(5, 40))
    own = rng.random((5, 40)) < 0.1
    error[0, :3] = np.nan
    error[1, 0] = 0.0
    p = np.full(effect.shape, np.nan)
    there = error > 0
    p[there] = [math.erfc(abs(z) / math.sqrt(2)) for z in effect[there] / error[there]]
    got = significant_genes(p, own)
    assert got.any(axis=1).all()
    for row in range(5):
        tested = [r for r in range(40) if not own[row, r] and error[row, r] > 0]
        order = sorted(tested, key=p[row].__getitem__)
        last = max((k for k, r in enumerate(order, 1) if p[row, r] < k / len(order) * 0.05), default=0)
        assert set(np.flatnonzero(got[row])) == set(order[:last])


def test_energy_distance_is_that_of_the_shifted_controls(cases):
    for q, got in enumerate(score("energy_distance", cases)):
        genes = kept(cases, q)
        x = (cases.cells.control + cases.predicted[q])[:, genes]
        y = cases.cells.perturbed[int(cases.row[q])][:, genes]
        want = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
        assert got == pytest.approx(want, abs=1e-9)
        assert energy_distance(x, y) == pytest.approx(want, abs=1e-9)


def test_the_true_shift_comes_nearer_than_none(cases):
    near = score("energy_distance", replace(cases, predicted=cases.measured))
    far = score("energy_distance", replace(cases, predicted=np.zeros_like(cases.predicted)))
    assert (near < far).all()


def test_energy_distance_needs_cells(cases):
    assert np.isnan(score("energy_distance", replace(cases, cells=None))).all()
    few = replace(cases.cells, perturbed={0: cases.cells.perturbed[0][:9], 1: cases.cells.perturbed[1]})
    got = score("energy_distance", replace(cases, cells=few))
    assert np.isfinite(got).tolist() == [row == 1 for row in cases.row]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_where_most_genes_are_targets_only_the_two_compared_are_left_out(dtype):
    cases = make_cases(3)
    own = np.zeros((P, R), dtype=bool)
    own[np.arange(P), np.arange(P)] = True
    own[2, [0, 5]] = own[7, 13] = True
    cases = replace(cases, candidate_own=own, own=own[cases.row], candidates=cases.candidates.astype(dtype))
    for name in ("cosine_discrimination", "centroid_accuracy"):
        got = score(name, cases)
        for q, row in enumerate(cases.row):
            far = []
            for c in range(P):
                keep = ~own[row] & ~own[c]
                a, b = cases.predicted[q, keep], cases.candidates[c, keep]
                if name == "centroid_accuracy":
                    far.append(np.sum((a - b) ** 2))
                else:
                    far.append(-(a @ b) / np.linalg.norm(a) / np.linalg.norm(b))
            rank = 1 + sum(other < far[row] for other in far)
            assert got[q] == pytest.approx(1 - (rank - 1) / (P - 1)), (name, q)
    nothing = replace(cases, predicted=np.zeros_like(cases.predicted))
    assert score("cosine_discrimination", nothing) == pytest.approx(np.full(len(cases.row), 0.5))
