"""The flat picture of the policy head's space: distances from the controls are kept, directions are those of labels."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.manifolds import poincare
from hyperperturb.models.cell_places import flatten_around


def groups(seed: int = 0, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Controls around the origin, three groups out along two axes, scatter along a third."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1, 2, 3], 50)
    tangent = 0.02 * rng.normal(size=(200, dim))
    tangent[:, 2] += 0.4 * rng.normal(size=200)
    tangent[label == 1, 0] += 3.0
    tangent[label == 2, 1] += 2.0
    tangent[label == 3, 0] -= 1.0
    return poincare.expmap0(tangent / 2.0, c=1.0), label


def test_labels_choose_the_axes_and_controls_are_in_the_middle():
    points, label = groups()
    flat = flatten_around(points, label, centre=0)
    means = np.array([flat[label == k].mean(axis=0) for k in range(4)])
    assert np.linalg.norm(means[0]) < 0.1
    lengths = np.linalg.norm(means, axis=1)
    assert lengths[1] == pytest.approx(3.0, abs=0.25)
    assert lengths[2] == pytest.approx(2.0, abs=0.25)
    cosine = means[1] @ means[2] / (lengths[1] * lengths[2])
    assert abs(cosine) < 0.1
    assert means[1] @ means[3] < 0


def test_isometries_of_the_space_change_nothing():
    points, label = groups()
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    moved = poincare.mobius_add(np.full((1, 6), 0.2), points @ turn, c=1.0)
    before, after = flatten_around(points, label, centre=0), flatten_around(moved, label, centre=0)
    distance = lambda x: np.linalg.norm(x[:, None] - x[None], axis=-1)  # noqa: E731
    np.testing.assert_allclose(distance(before), distance(after), atol=0.05)


def test_without_controls_or_labels_there_is_still_a_picture():
    points, label = groups()
    for known in (label, np.where(label > 0, label, -1), np.full(200, -1), np.zeros(200, dtype=int)):
        flat = flatten_around(points, known, centre=0)
        assert flat.shape == (200, 2)
        assert np.isfinite(flat).all()
    far = np.array([[1.0 - 1e-16, 0.0], [0.0, 0.0], [0.0, 0.5], [-0.3, 0.1]])
    assert np.isfinite(flatten_around(far, np.array([0, 1, 2, 1]), centre=1)).all()
