"""How strong effects are, how strongly genes answer: noise is taken off."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.models.strength import sensitivity


def effects(effect, error, targets):
    genes = tuple(f"G{j}" for j in range(effect.shape[1]))
    names = tuple(f"P{i}" for i in range(len(effect)))
    return Effects(names, targets, genes, effect, error, np.full(len(effect), 50), "control")


def test_noise_alone_is_no_sensitivity():
    rng = np.random.default_rng(0)
    error = rng.uniform(0.1, 0.3, (400, 30))
    truth = np.zeros(30)
    truth[:10] = 0.5
    effect = truth * rng.choice([-1.0, 1.0], (400, 30)) + error * rng.normal(size=error.shape)
    found = sensitivity(effects(effect, error, (("X",),) * 400))
    assert found[:10] == pytest.approx(0.5, rel=0.1)
    assert found[10:].max() < 0.1  # the plain root mean square is 0.2
    assert np.sqrt(np.mean(effect[:, 10:] ** 2, axis=0)).min() > 0.18


def test_the_genes_own_perturbation_does_not_count():
    effect = np.array([[-5.0, 0.3], [0.1, 0.3]])
    found = sensitivity(effects(effect, np.zeros((2, 2)), (("G0",), ("OTHER",))))
    assert found == pytest.approx([0.1, 0.3])


def test_what_was_not_measured_is_missing_and_unknown_errors_count_as_none():
    effect = np.array([[np.nan, 0.4], [np.nan, 0.2]])
    error = np.full((2, 2), np.nan)
    found = sensitivity(effects(effect, error, (("X",), ("Y",))))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(np.sqrt(0.1))
