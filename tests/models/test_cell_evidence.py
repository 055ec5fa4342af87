"""Linear rules about cells: they are what they should be, and their weights make held-out cells likely."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from hyperperturb.models.cell_evidence import (
    candidate_inputs,
    choose_discriminants,
    choose_logistic,
    combine,
    fit_discriminants,
    fit_logistic,
    naming_scores,
    shrink_means,
)

P, H = 8, 12


def gaussian(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cells of Gaussian classes with one known covariance: inputs, labels, means, covariance."""
    rng = np.random.default_rng(1)
    root = np.eye(H) + 0.4 * rng.normal(size=(H, H))
    covariance, mean = root @ root.T, rng.normal(size=(P, H))
    rng = np.random.default_rng(seed)
    label = rng.choice(P, size=n, p=np.arange(1, P + 1) / np.arange(1, P + 1).sum())
    return mean[label] + rng.normal(size=(n, H)) @ root.T, label, mean, covariance


def bayes(x, mean, covariance) -> np.ndarray:
    """Log-likelihoods with the truth known."""
    offset = x[:, None] - mean[None]
    prior = np.log(np.arange(1, P + 1) / np.arange(1, P + 1).sum())
    return prior - 0.5 * np.einsum("nph,hk,npk->np", offset, np.linalg.inv(covariance), offset)


def test_discriminants_come_near_the_best_rule_there_is():
    x, label, _, _ = gaussian(4000)
    there, truth, mean, covariance = gaussian(4000, seed=5)
    best = naming_scores(bayes(there, mean, covariance), truth)
    rule = fit_discriminants(x, label, P, diagonals=[0.0])[0]
    mine = naming_scores(rule(there), truth)
    assert mine["top1"] > best["top1"] - 0.02
    assert mine["ece"] < 0.03
    np.testing.assert_allclose(rule(there), there @ rule.kernel + rule.bias)


def test_logistic_regression_comes_near_it_too_and_moves_from_where_it_starts():
    x, label, _, _ = gaussian(4000)
    there, truth, mean, covariance = gaussian(4000, seed=5)
    best = naming_scores(bayes(there, mean, covariance), truth)
    start = fit_discriminants(x, label, P, diagonals=[0.9])[0]
    kernel, bias = fit_logistic(x, label, start, ridge=1.0)
    mine = naming_scores(there @ kernel + bias, truth)
    assert mine["top1"] > best["top1"] - 0.02
    assert mine["surprise"] < naming_scores(start(there), truth)["surprise"]


def test_a_perturbation_without_training_cells_keeps_a_finite_score():
    x, label, _, _ = gaussian(800)
    seen = label != 3
    rule = fit_discriminants(x[seen], label[seen], P)[0]
    kernel, bias = fit_logistic(x[seen], label[seen], rule, ridge=0.1)
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(kernel[:, 3], 0.3 * rule.kernel[:, 3])


def test_means_are_drawn_in_by_their_noise():
    precision, mean = np.eye(2), np.array([[10.0, 0.0], [-10.0, 0.0], [0.1, 0.0]])
    drawn = shrink_means(mean, np.array([100, 100, 1]), precision)
    assert np.abs(drawn[:2] - mean[:2]).max() < 0.01
    common = np.average(mean, axis=0, weights=[100, 100, 1])
    np.testing.assert_allclose(drawn[2], common)


def test_the_presentation_is_the_one_that_names_held_out_cells_best():
    """Counts whose means differ by little where they are high: on the scale of roots that is plain to see."""
    rng = np.random.default_rng(0)
    rate = np.concatenate([[400.0, 300.0], np.full(10, 0.3)])
    means = np.tile(rate, (3, 1))
    means[0, 0] *= 1.1
    means[1, 1] *= 1.1
    label = rng.integers(3, size=3000)
    counts = rng.poisson(means[label]).astype(float)
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    train, tune = np.arange(0, 3000, 2), np.arange(1, 3000, 2)
    control = values[label == 2]
    candidates = candidate_inputs(values[train], control.mean(axis=0), control.std(axis=0) + 0.05)
    inputs, share, rule = choose_discriminants(candidates, values, label, train, tune, 3)
    losses = {}
    for each in candidates:
        fits = fit_discriminants(each(values[train]), label[train], 3)
        losses[each.presentation] = min(combine([f(each(values[tune]))], label[tune])[1] for f in fits)
    assert inputs.presentation == min(losses, key=losses.get)
    shift = inputs(values)
    again = fit_discriminants(shift[train], label[train], 3, diagonals=[share])[0]
    np.testing.assert_allclose(rule.centroid, again.centroid)
    ridge, (kernel, bias) = choose_logistic(rule, shift, label, train, tune)
    same = fit_logistic(shift[train], label[train], rule, ridge=ridge)
    np.testing.assert_array_equal(kernel, same[0])
    assert combine([shift[tune] @ kernel + bias], label[tune])[1] < np.log(3)
    assert np.abs(candidates[1](values[train]).mean(axis=0)).max() < 1e-4


def test_weights_make_held_out_cells_likely():
    """Scores that are twice too sure are halved; evidence that is pure noise gets no weight."""
    rng = np.random.default_rng(0)
    honest = rng.normal(scale=2.0, size=(20_000, 5))
    label = np.array([rng.choice(5, p=p) for p in np.exp(log_softmax(honest, axis=1))])
    weights, _ = combine([2.0 * honest, rng.normal(size=honest.shape)], label)
    assert weights[0] == pytest.approx(0.5, rel=0.05)
    assert weights[1] < 0.05
    sure, right = naming_scores(2.0 * honest, label), naming_scores(honest, label)
    assert right["ece"] < 0.015 < sure["ece"]
    assert right["surprise"] < sure["surprise"]
    assert right["top1"] == sure["top1"]
    assert right["top5"] == 1.0
