"""How the variance of a prediction follows the errors of what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.error_scale import ErrorScale, shape_and_stretch

N, R = 400, 120


def errors(growth: float, reach: float, *, seed: int = 0, noise: float = 0.0) -> dict:
    """Left-out single genes whose errors grow with the prediction and with what is near, measured with noise."""
    rng = np.random.default_rng(seed)
    square, connected = rng.lognormal(0.0, 1.0, N), rng.lognormal(0.0, 0.7, N)
    larger, nearer = (
        (0.3 + square / square.mean()) / 1.3,
        (0.3 + connected / connected.mean()) / 1.3,
    )
    scale = rng.uniform(0.5, 2.0, R)
    variance = np.outer(0.4 * larger**growth * nearer**reach, scale) + noise**2
    return {
        "square": square,
        "variance": rng.uniform(0.8, 1.2, N),
        "missed": variance * rng.normal(size=(N, R)) ** 2,
        "rows": np.arange(N),
        "weight": np.ones(N),
        "connected": connected,
        "scale": scale,
        "standard_error": np.full((N, R), noise),
    }


@pytest.mark.parametrize(("growth", "reach"), [(1.0, 0.3), (0.2, 1.2), (0.5, 0.5)])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_exponents_of_the_errors_are_found(growth, reach, noise):
    found, _ = shape_and_stretch(**errors(growth, reach, noise=noise))
    assert found.growth == pytest.approx(growth, abs=0.2)
    assert found.reach == pytest.approx(reach, abs=0.2)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_nine_tenths_lie_inside_and_the_process_is_not_asked_among_the_unseen(noise):
    made = errors(0.6, 0.8, noise=noise)
    found, stretch = shape_and_stretch(**made)
    assert found.cap == pytest.approx(np.quantile(made["variance"], 0.05))
    asked = made["variance"], made["square"], made["weight"], made["connected"]
    variance = np.outer(found.variance(*asked, np.zeros(N, bool), 1.0), stretch * made["scale"])
    inside = made["missed"] <= 1.645**2 * (variance + noise**2)
    assert inside.mean() == pytest.approx(0.9, abs=0.005)
    for part in np.array_split(np.argsort(made["square"]), 4):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.03), "of strong and weak effects alike"


def test_a_measured_gene_is_surer_and_a_combination_less_sure():
    scale = ErrorScale(size=1.0, growth=0.5, cap=0.6, connection=1.0, reach=0.5, combination=0.1)
    one = np.ones(4)
    process = np.array([0.1, 0.6, 0.9, 0.9])
    found = scale.variance(process, one, one, one, np.array([False, False, False, True]), 2.0)
    assert found == pytest.approx([0.1, 0.6, 0.6, 0.65])


@pytest.mark.parametrize("seed", range(3))
def test_combinations_that_are_not_quite_sums_get_wider_intervals(draw, seed):
    """Doubles of tested genes that do something between nothing and more than the sum, each something else."""
    drawn = draw(seed, n_double=30, noise=0.1)
    rng = np.random.default_rng(seed)
    double = np.array([len(t) > 1 for t in drawn.targets])
    truth = drawn.truth(drawn.targets)
    truth[double] *= rng.uniform(0.0, 1.6, size=(double.sum(), 1))
    effect = truth + drawn.standard_error * rng.normal(size=truth.shape)
    held = np.flatnonzero(double)[::3]
    kept = np.setdiff1d(np.arange(len(truth)), held)
    head = EffectHead.fit(
        [drawn.targets[i] for i in kept],
        drawn.response,
        effect[kept],
        kernels=drawn.kernels,
        standard_error=drawn.standard_error[kept],
    )
    asked = [drawn.targets[i] for i in held]
    plain = replace(head, error=replace(head.error, combination=0.0))
    covered, before = (
        np.mean(np.abs(h.predict(asked)[0] - truth[held]) < 1.645 * h.predict(asked)[1])
        for h in (head, plain)
    )
    assert 0.8 <= covered <= 0.98
    assert before < covered - 0.01
