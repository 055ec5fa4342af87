"""How true a picture is: against scikit-learn where it can, and on pictures whose answer is known."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.manifold import trustworthiness

from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.fidelity import fidelity


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(150, 6))


def test_trustworthiness_is_scikit_learns(points):
    flat = points[:, :2]
    found = fidelity(cdist(points, points), cdist(flat, flat), k=15)
    assert found.trustworthiness == pytest.approx(trustworthiness(points, flat, n_neighbors=15), abs=1e-12)
    assert 0.2 < found.neighbours_kept < 0.8


def test_a_picture_that_keeps_the_order_is_perfect(points):
    true = cdist(points, points)
    assert astuple(fidelity(true, np.exp(true) - 1)) == pytest.approx((1.0, 1.0, 1.0))


def test_chance(points):
    true = cdist(points, points)
    shuffled = np.random.default_rng(0).permutation(len(points))
    found = fidelity(true, true[np.ix_(shuffled, shuffled)])
    assert abs(found.rank_correlation) < 0.1
    assert found.trustworthiness == pytest.approx(0.5, abs=0.06)
    assert found.neighbours_kept == pytest.approx(15 / 149, abs=0.04)


def test_what_does_not_fit_together_is_refused(points):
    true = cdist(points, points)
    with pytest.raises(HyperPerturbError, match="cannot be compared"):
        fidelity(true, true[:10, :10])
    with pytest.raises(HyperPerturbError, match="at 15 neighbours"):
        fidelity(true[:20, :20], true[:20, :20])
