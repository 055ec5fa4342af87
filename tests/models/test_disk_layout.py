"""The picture keeps every radius, and the distances better than it started."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.manifolds import poincare
from hyperperturb.models.disk import _first_angles, _stress_gradient, disk_layout


def ball(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, dim))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * np.tanh(rng.uniform(0.1, 3.0, size=n) / 2)[:, None]


def stress(points: np.ndarray, layout: np.ndarray) -> float:
    true = poincare.pairwise_dist(points, c=1.0)
    flat = poincare.pairwise_dist(layout, c=1.0)
    weight = np.exp(-true)
    np.fill_diagonal(weight, 0.0)
    return float(np.sum(weight * (true - flat) ** 2))


@pytest.mark.parametrize(("n", "dim"), [(1, 16), (2, 16), (40, 2), (300, 16)])
def test_radii_are_kept_exactly(n, dim):
    points = ball(n, dim)
    layout = disk_layout(points, steps=30)
    assert layout.shape == (n, 2)
    assert np.linalg.norm(layout, axis=1) == pytest.approx(np.linalg.norm(points, axis=1), abs=1e-12)


@pytest.mark.parametrize(("n", "steps"), [(60, 500), (280, 120)])
def test_the_stress_becomes_smaller(n, steps):
    """With all genes in every block, and with blocks of some of them."""
    points = ball(n, 3)
    norm = np.linalg.norm(points, axis=1)
    angle = _first_angles(points, norm)
    start = norm[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    anywhere = np.random.default_rng(0).uniform(0, 2 * np.pi, n)
    chance = norm[:, None] * np.column_stack([np.cos(anywhere), np.sin(anywhere)])
    found = stress(points, disk_layout(points, steps=steps))
    assert found < 0.95 * stress(points, start) < stress(points, chance)


def test_points_of_a_plane_keep_their_distances():
    points = np.zeros((50, 6))
    points[:, [1, 4]] = ball(50, 2, seed=2)
    layout = disk_layout(points, steps=800)
    true, flat = poincare.pairwise_dist(points, c=1.0), poincare.pairwise_dist(layout, c=1.0)
    assert np.corrcoef(true.ravel(), flat.ravel())[0, 1] > 0.99


def test_groups_stay_together():
    rng = np.random.default_rng(1)
    centres = np.array([[0.7, 0, 0], [-0.7, 0, 0], [0, 0.7, 0]])
    points = np.concatenate([c + 0.03 * rng.normal(size=(20, 3)) for c in centres])
    flat = poincare.pairwise_dist(disk_layout(points), c=1.0)
    group = np.repeat(np.arange(3), 20)
    same = group[:, None] == group
    assert flat[same].max() < flat[~same].min()


def test_the_gradient_is_that_of_the_stress():
    points = ball(9, 5)
    norm = np.linalg.norm(points, axis=1)
    radius, distance = 2 * np.arctanh(norm), poincare.pairwise_dist(points, c=1.0)
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 9)

    def value(a):
        return 0.5 * stress(points, norm[:, None] * np.column_stack([np.cos(a), np.sin(a)]))

    step = 1e-6
    numeric = [(value(angle + step * e) - value(angle - step * e)) / (2 * step) for e in np.eye(9)]
    assert _stress_gradient(angle, radius, distance) == pytest.approx(np.array(numeric), rel=1e-4, abs=1e-6)


def test_the_seed_decides():
    points = ball(300, 6)
    assert (disk_layout(points, steps=20, seed=1) == disk_layout(points, steps=20, seed=1)).all()
    assert not (disk_layout(points, steps=20, seed=1) == disk_layout(points, steps=20, seed=2)).all()


def test_points_at_the_origin_at_the_rim_and_twice_are_no_trouble():
    points = np.array(
        [[0, 0, 0], [0, 0, 0], [1 - 1e-9, 0, 0], [1 - 1e-9, 0, 0], [0.2, 0.1, 0], [0.2, 0.1, 0]]
    )
    layout = disk_layout(points, steps=50)
    assert np.isfinite(layout).all()
    assert (np.linalg.norm(layout, axis=1) < 1.0).all()
