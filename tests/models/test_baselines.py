"""What a model has to beat: baselines that are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.models.baselines import _RIDGE, NetworkKernelRidge, no_change, training_mean


def effects_of(drawn) -> Effects:
    return Effects(
        perturbations=tuple("_".join(t) for t in drawn.targets),
        targets=drawn.targets,
        genes=drawn.response,
        effect=drawn.effect.astype(np.float32),
        standard_error=drawn.standard_error.astype(np.float32),
        n_cells=np.full(len(drawn.targets), 50),
        control="control",
    )


@pytest.fixture(scope="module")
def effects(drawn) -> Effects:
    return effects_of(drawn)


def test_no_change_and_the_mean(effects):
    asked = [("G000",), ("NOWHERE", "G001")]
    assert (no_change(effects, asked) == np.zeros((2, len(effects.genes)))).all()
    mean = training_mean(effects, asked)
    assert mean.shape == (2, len(effects.genes))
    assert mean[0] == pytest.approx(effects.effect.astype(float).mean(axis=0), rel=1e-6)
    assert (mean[0] == mean[1]).all()


def ridge_by_hand(drawn, effects, asked):
    """Every ridge, every perturbation really left out (around the mean of all), the best refitted."""

    def alike(a, b):
        index = [[drawn.genes.index(g) for g in t] for t in (a, b)]
        return np.mean([[drawn.kernels.diffusion[i, j] for j in index[1]] for i in index[0]])

    Y = effects.effect.astype(float)
    mean = Y.mean(axis=0)
    K = np.array([[alike(a, b) for b in effects.targets] for a in effects.targets])
    errors = []
    for ridge in _RIDGE:
        error = 0.0
        for out in range(len(Y)):
            rest = np.arange(len(Y)) != out
            weights = np.linalg.solve(K[np.ix_(rest, rest)] + ridge * np.eye(rest.sum()), (Y - mean)[rest])
            error += ((mean + K[out, rest] @ weights - Y[out]) ** 2).sum()
        errors.append(error)
    ridge = _RIDGE[int(np.argmin(errors))]
    cross = np.array([[alike(a, b) for b in effects.targets] for a in asked])
    return mean + cross @ np.linalg.solve(K + ridge * np.eye(len(Y)), Y - mean)


def test_kernel_ridge_equals_leaving_each_perturbation_out(draw):
    drawn = draw(7, n_genes=40, n_hit=14, n_double=3, n_response=6)
    effects = effects_of(drawn)
    asked = [(drawn.unseen[0],), (drawn.unseen[1], drawn.unseen[2]), drawn.targets[0], drawn.targets[-1]]
    got = NetworkKernelRidge(drawn.kernels)(effects, asked)
    assert got == pytest.approx(ridge_by_hand(drawn, effects, asked), abs=1e-6)


def test_kernel_ridge_is_ahead_of_the_mean_where_effects_follow_the_network(draw):
    drawn = draw(1, on_graph=0.9)
    effects = effects_of(drawn)
    asked = [(g,) for g in drawn.unseen]
    truth = drawn.truth(asked)
    ridge = NetworkKernelRidge(drawn.kernels)(effects, asked)
    assert np.sum((ridge - truth) ** 2) < 0.9 * np.sum((training_mean(effects, asked) - truth) ** 2)


def test_kernel_ridge_knows_nothing_about_strangers(drawn, effects):
    ridge = NetworkKernelRidge(drawn.kernels)(effects, [("ELSEWHERE",)])
    assert ridge == pytest.approx(training_mean(effects, [("ELSEWHERE",)]), abs=1e-9)


def test_the_order_of_targets_is_irrelevant(drawn, effects):
    predict = NetworkKernelRidge(drawn.kernels)
    a, b = drawn.unseen[:2]
    assert predict(effects, [(a, b)]) == pytest.approx(predict(effects, [(b, a)]), abs=1e-12)
