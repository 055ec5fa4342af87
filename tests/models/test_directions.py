"""Effects as directions among cells: cosines, signs, and probabilities that can be believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.models.cell_evidence import candidate_inputs, fit_discriminants, naming_scores
from hyperperturb.models.cells import Cells
from hyperperturb.models.direction_training import (
    HeldOut,
    Queries,
    calibrate,
    cell_queries,
    effects_from_cells,
    fit_directions,
    strongest,
)
from hyperperturb.models.directions import Confidence, Directions, Discriminants
from hyperperturb.models.gene_kernels import GeneKernels

P, H, N = 12, 30, 4000


def small(**parts) -> Directions:
    rule = Discriminants(np.zeros((2, 3)), np.diag([4.0, 1.0, 1.0]), np.log([0.5, 0.5]))
    return Directions(slope=np.array([0.5, 1.0, 1.0]), control=np.zeros(3), rule=rule, **parts)


def test_cosines_are_those_of_the_whitened_space():
    directions = small()
    effects = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    shifts = np.array([[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
    white, root = directions.slope * effects * [2.0, 1.0, 1.0], shifts * [2.0, 1.0, 1.0]
    lengths = np.linalg.norm(root, axis=1)
    expected = root @ white.T / lengths[:, None] / np.linalg.norm(white, axis=1)
    np.testing.assert_allclose(directions.cosines(shifts, effects), expected, atol=1e-12)
    np.testing.assert_allclose(directions.lengths(shifts), lengths)
    np.testing.assert_allclose(directions.cosines(5 * shifts, 3 * effects), expected, atol=1e-12)
    assert np.isfinite(directions.cosines(np.zeros((1, 3)), np.zeros((1, 3)))).all()


def test_the_ranking_says_right_and_wrong():
    directions = small()
    effects = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.1], [0.0, 0.0, -1.0]])
    measured = np.array([[1.0, 0.0, 0.0], [np.nan] * 3, [0.0, 0.0, -1.0]])
    confidence = Confidence(20.0, 0.01, 0.02)
    table = directions.ranking(np.array([0.0, -4.0, 0.0]), effects, measured, 50, confidence)
    assert table.index[0] == 1
    assert table["sign"].iloc[0] == "wrong"
    assert table["probability"].iloc[0] > 0.9
    assert np.isnan(table["evidence"].iloc[0])
    assert table["evidence"].drop(index=1).notna().all()
    turned = directions.ranking(np.array([0.0, 4.0, 0.0]), effects, measured, 50, confidence)
    assert turned["sign"].iloc[0] == "right"
    np.testing.assert_allclose(turned["score"].loc[table.index], -table["score"])


def test_more_cells_make_surer_but_never_surer_than_the_effects_allow():
    cosines, lengths = np.array([[0.9, 0.1, -0.3]]), np.array([1.0])
    confidence = Confidence(2.0, 0.05, 0.03)
    sure = [
        confidence.probabilities(confidence.log_odds(cosines, lengths, n))[0].max() for n in (1, 10, 1e3, 1e9)
    ]
    assert sure == sorted(sure)
    assert sure[3] - sure[2] < 0.01
    assert sure[3] < 1 - 0.03 * 5 / 6
    right, wrong = confidence.probabilities(confidence.log_odds(cosines, lengths, 10))
    assert right.sum() + wrong.sum() == pytest.approx(1.0)


def test_confidence_is_learned_from_queries():
    """Answers drawn from the probabilities of a known confidence lead back to it."""
    rng = np.random.default_rng(0)
    truth, n = Confidence(3.0, 0.05, 0.1), 6000
    cosines, lengths = rng.uniform(-1, 1, size=(n, 8)), rng.uniform(0.2, 3, size=n)
    cells = rng.choice([1.0, 10.0, 100.0], size=n)
    both = np.hstack(truth.probabilities(truth.log_odds(cosines, lengths, cells)))
    drawn = np.array([rng.choice(16, p=p) for p in both])
    # A query's right answer is the perturbation as the screen does it: turn those that drew the opposite.
    turned = np.where(drawn >= 8, -1.0, 1.0)[:, None]
    found = calibrate(Queries(cosines * turned, lengths, cells, drawn % 8))
    np.testing.assert_allclose(found, truth, rtol=0.25)
    useless = calibrate(Queries(cosines, lengths, np.full(n, np.inf), rng.integers(8, size=n)))
    assert np.hstack(useless.probabilities(useless.log_odds(cosines, lengths))).max() < 0.1


@pytest.fixture(scope="module")
def made():
    """Cells around control + effect, on logarithms; what is predicted for each fold is the effect with errors."""
    rng = np.random.default_rng(0)
    effect = 0.5 * rng.normal(size=(P, H))
    label = rng.integers(P, size=N)
    spread = rng.uniform(0.5, 2.0, size=H)
    values = 10.0 + effect[label] + spread * rng.normal(size=(N, H))
    folds = [
        HeldOut(rows, effect + 0.2 * rng.normal(size=effect.shape))
        for rows in np.array_split(np.arange(P), 4)
    ]
    inputs = candidate_inputs(values, np.full(H, 10.0), spread)[0]
    train, tune = np.arange(0, N, 2), np.arange(1, N, 2)
    rule = fit_discriminants(inputs(values[train]), label[train], P)[0]
    directions = fit_directions(
        inputs, rule, values, label, train, tune, effect, spread, folds, effect, seed=0
    )
    return directions, inputs(values), label, effect, spread, folds


def test_how_effects_show_among_cells(made):
    directions, _, _, _, spread, _ = made
    assert np.corrcoef(directions.slope, 1 / spread)[0, 1] > 0.95
    assert np.abs(directions.control).max() < 0.15


def test_held_out_perturbations_are_found_with_their_sign_and_probabilities_hold(made):
    directions, shift, label, _, _, folds = made
    queries = cell_queries(directions, shift, label, folds, np.random.default_rng(9))
    odds = directions.of_cells.log_odds(queries.cosines, queries.lengths, queries.n_cells)
    both = np.hstack(directions.of_cells.probabilities(odds))
    many = queries.n_cells >= 100
    assert naming_scores(np.log(both[many]), queries.right[many])["top1"] > 0.95
    assert naming_scores(np.log(both), queries.right)["ece"] < 0.12


def test_measured_perturbations_are_named_surer_and_just_as_honestly(made):
    """Their effects are known, where those of held-out ones are predicted with errors."""
    directions, shift, label, effect, _, _ = made
    known = [HeldOut(np.arange(P), effect)]
    queries = cell_queries(directions, shift, label, known, np.random.default_rng(9))
    asked = queries.cosines, queries.lengths, queries.n_cells
    sure, eces = [], []
    for confidence in (directions.of_measured, directions.of_cells):
        both = np.hstack(confidence.probabilities(confidence.log_odds(*asked)))
        sure.append(both.max(axis=1).mean())
        eces.append(naming_scores(np.log(both), queries.right)["ece"])
    assert sure[0] > sure[1]
    assert eces[0] < min(0.05, eces[1])


def test_effects_from_some_cells_are_those_of_these_cells_and_of_no_others(made_screen):
    effects, kernels, cells = made_screen
    rows = np.arange(len(cells.perturbation) // 2)
    known = effects_from_cells(effects, kernels, cells, rows)
    assert known.shape == effects.effect.shape
    others = np.setdiff1d(np.arange(len(cells.perturbation)), rows)
    changed = cells.values.copy()
    changed[others] += 5.0
    same = effects_from_cells(effects, kernels, replace(cells, values=changed), rows)
    np.testing.assert_array_equal(known, same)
    assert np.sum((known - effects.effect) ** 2) < 0.3 * np.sum(effects.effect**2)
    # A perturbation none of whose cells count is predicted, from the others.
    without = rows[cells.perturbation[rows] != 0]
    predicted = effects_from_cells(effects, kernels, cells, without)
    assert np.linalg.norm(predicted[0] - effects.effect[0]) > np.linalg.norm(known[0] - effects.effect[0])


@pytest.fixture(scope="module")
def made_screen():
    """Effects, what networks know (nothing), and cells of ten perturbations."""
    rng = np.random.default_rng(4)
    n, genes = 10, tuple(f"R{i}" for i in range(H))
    effect = 0.6 * rng.normal(size=(n, H)).astype(np.float32)
    label = np.arange(1200) % n
    values = (1.0 + effect[label] + rng.normal(size=(1200, H))).astype(np.float32)
    names = tuple(f"P{i}" for i in range(n))
    effects = Effects(
        perturbations=names,
        targets=tuple((name,) for name in names),
        genes=genes,
        effect=effect,
        standard_error=np.full((n, H), 1 / np.sqrt(120), dtype=np.float32),
        n_cells=np.full(n, 120),
        control="control",
        control_mean=np.ones(H, dtype=np.float32),
        control_variance=np.ones(H, dtype=np.float32),
        n_control_cells=500,
    )
    return effects, GeneKernels(names, np.eye(n)), Cells(genes, values, label)


def test_cells_of_unseen_perturbations_are_named_by_predicted_effects(made):
    directions, shift, label, effect, _, _ = made
    unseen = [3, 7]
    seen = [i for i in range(P) if i not in unseen]
    rule = directions.rule
    known = Discriminants(rule.centroid[seen], rule.precision, rule.log_prior[seen])
    partly = Directions(directions.slope, directions.control, known, unseen=directions.unseen)
    scores = partly.naming(shift, effect[unseen])
    assert scores.shape == (N, P)
    right = np.array([*seen, *unseen])[scores.argmax(axis=1)] == label
    of_unseen = np.isin(label, unseen)
    assert right[of_unseen].mean() > 5 / P
    assert right[~of_unseen].mean() > 5 / P


def test_lists_of_genes_point_where_they_say():
    directions = small()
    np.testing.assert_allclose(directions.list_shift([2], [0], np.array([2.0, 1.0, 3.0])), [[-1.0, 0.0, 3.0]])
    up, down = strongest(np.array([0.3, -5.0, 2.0, 0.1, 9.0, -1.0]), length=2)
    assert (up.tolist(), down.tolist()) == ([4, 2], [1, 5])
