"""What each operation owes, over seeds, dtypes, curvatures and models; the laws are in the properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperperturb.manifolds import (
    Euclidean,
    Lorentz,
    Manifold,
    NormalCoordinates,
    PoincareBall,
    to_lorentz,
    to_poincare,
)

CURVATURES = (0.1, 1.0, 2.0)
SPACES: list[Manifold] = [
    Euclidean(),
    *(kind(c) for kind in (PoincareBall, Lorentz, NormalCoordinates) for c in CURVATURES),
]
#: Error allowed in units of distance, and relative.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


@pytest.fixture(params=SPACES, ids=repr)
def space(request: pytest.FixtureRequest) -> Manifold:
    return request.param


@pytest.fixture(params=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[0, 1, 2])
def seed(request: pytest.FixtureRequest) -> int:
    return request.param


class Sample:
    """Random points, tangent vectors at the first of them, and a tolerance."""

    def __init__(
        self, space: Manifold, dtype: str, seed: int, *, dim: int = 4, n: int = 60, scale: float = 0.5
    ):
        rng = np.random.default_rng(seed)
        ambient = space.ambient_dim(dim)
        self.x, self.y, self.z = (
            space.random(n, ambient, seed=rng, scale=scale, dtype=dtype) for _ in range(3)
        )
        self.u, self.v = (
            space.logmap(self.x, space.random(n, ambient, seed=rng, dtype=dtype)) for _ in range(2)
        )
        self.origin = space.origin(n, ambient, dtype=dtype)
        self.tol = TOLERANCE[dtype]

    def near(self, space: Manifold, a: Any, b: Any) -> None:
        """Assert that points are the same: as near as the dtype resolves where they are."""
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype == self.x.dtype
        assert space.check_point(a)
        size = np.maximum(np.abs(b).max(axis=-1, keepdims=True), 1.0)
        assert np.max(np.abs(a - b) / size) < self.tol


@pytest.fixture
def sample(space: Manifold, dtype: str, seed: int) -> Sample:
    return Sample(space, dtype, seed)


def close(a: Any, b: Any, tol: float) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tol, atol=tol)


def test_maps_at_the_origin_are_the_general_maps(space: Manifold, sample: Sample) -> None:
    s = sample
    v = space.logmap(s.origin, s.y)
    close(space.logmap0(s.y), v, s.tol)
    s.near(space, space.expmap0(v), space.expmap(s.origin, v))
    close(space.ptransp0(s.y, v), space.ptransp(s.origin, s.y, v), 10 * s.tol)
    close(space.dist0(s.y), space.dist(s.origin, s.y), s.tol)


def test_distance_is_a_metric(space: Manifold, sample: Sample) -> None:
    s = sample
    d = space.dist(s.x, s.y)
    assert not np.any(space.dist(s.x, s.x)), "d(x, x) is exactly 0"
    np.testing.assert_allclose(d, space.dist(s.y, s.x), rtol=64 * np.finfo(d.dtype).eps)
    assert np.all(d > 0)
    assert np.all(d <= space.dist(s.x, s.z) + space.dist(s.z, s.y) + s.tol)
    close(space.norm(s.x, space.logmap(s.x, s.y)), d, s.tol)


def test_pairwise_distances_are_the_distances(space: Manifold, sample: Sample) -> None:
    s = sample
    close(space.pairwise_dist(s.x, s.y[:7]), space.dist(s.x[:, None], s.y[None, :7]), s.tol)
    own = space.pairwise_dist(s.x)
    assert own.dtype == s.x.dtype
    assert not np.any(np.diag(own))
    # Coincident points that are not on the diagonal, and a batch of sets.
    assert not np.any(np.diag(space.pairwise_dist(s.x, s.x.copy())))
    batch = space.pairwise_dist(s.x.reshape(6, 10, -1), s.y.reshape(6, 10, -1))
    close(batch[2], space.pairwise_dist(s.x[20:30], s.y[20:30]), s.tol)


def test_inner_product_and_norm(space: Manifold, sample: Sample) -> None:
    s = sample
    close(space.inner(s.x, s.u, s.v), space.inner(s.x, s.v, s.u), s.tol)
    close(space.norm(s.x, s.u) ** 2, space.inner(s.x, s.u), 10 * s.tol)
    assert space.inner(s.x, s.u, s.v, keepdims=True).shape == (60, 1)
    left = space.inner(s.x, s.u, s.v) ** 2
    assert np.all(left <= space.inner(s.x, s.u) * space.inner(s.x, s.v) * (1 + 100 * s.tol) + s.tol)


def test_centroid(space: Manifold, sample: Sample) -> None:
    s = sample
    pair = np.stack([s.x, s.y], axis=1)
    middle = space.centroid(pair)
    assert middle.dtype == s.x.dtype
    half = space.dist(s.x, s.y) / 2
    close(space.dist(middle, s.x), half, 20 * s.tol)
    close(space.dist(middle, s.y), half, 20 * s.tol)
    # Order-free, scale-free, and a set of equal points is its own midpoint.
    many = np.stack([s.x, s.y, s.z], axis=1)
    weights = np.random.default_rng(0).uniform(0.1, 2.0, (60, 3)).astype(s.x.dtype)
    turned = [2, 0, 1]
    s.near(space, space.centroid(many[:, turned], 3 * weights[:, turned]), space.centroid(many, weights))
    s.near(space, space.centroid(np.stack([s.x] * 3, axis=1)), s.x)
    # A weight of zero takes the point out.
    first = np.zeros((60, 3), s.x.dtype)
    first[:, 1] = 0.3
    s.near(space, space.centroid(many, first), s.y)
    # One set of points with many rows of weights: the same through a matrix product.
    rows = np.random.default_rng(1).uniform(0.0, 1.0, (9, 60)).astype(s.x.dtype)
    repeated = np.broadcast_to(s.x, (9, *s.x.shape))
    s.near(space, space.centroid(s.x, rows), space.centroid(repeated, rows))
    nowhere = space.centroid(many[0], np.zeros(3, s.x.dtype))
    close(space.dist0(nowhere), 0.0, s.tol)


@pytest.mark.parametrize("c", CURVATURES)
def test_gyrocommutativity_in_full(c: float) -> None:
    ball = PoincareBall(c)
    x, y, z = (ball.random(50, 3, seed=i, dtype="float64") for i in range(3))

    def gyration(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        return ball.mobius_add(-ball.mobius_add(a, b), ball.mobius_add(a, ball.mobius_add(b, v)))

    close(ball.mobius_add(x, y), gyration(x, y, ball.mobius_add(y, x)), 1e-10)
    # Gyration is the rotation in ptransp: gyr[y, -x]v scaled by the conformal factors.
    direction = ball.logmap0(z)
    short = 1e-3 * direction
    turned = gyration(y, -x, short)
    factors = (1 - c * (y**2).sum(-1, keepdims=True)) / (1 - c * (x**2).sum(-1, keepdims=True))
    close(ball.ptransp(x, y, short), factors * turned, 1e-10)


@pytest.mark.parametrize("c", CURVATURES)
def test_the_two_models_are_isometric(c: float, dtype: str, seed: int) -> None:
    ball, sheet = PoincareBall(c), Lorentz(c)
    s = Sample(ball, dtype, seed)
    x, y = (to_lorentz(p, c=c) for p in (s.x, s.y))
    assert sheet.check_point(x)
    close(sheet.dist(x, y), ball.dist(s.x, s.y), 20 * s.tol)
    s.near(ball, to_poincare(x, c=c), s.x)
    s.near(
        ball, sheet.to_poincare(sheet.midpoint(np.stack([x, y], 1))), ball.midpoint(np.stack([s.x, s.y], 1))
    )
    s.near(ball, sheet.to_poincare(sheet.mobius_add(x, y)), ball.mobius_add(s.x, s.y))
    s.near(ball, sheet.to_poincare(sheet.geodesic(0.3, x, y)), ball.geodesic(0.3, s.x, s.y))
    assert np.array_equal(ball.to_poincare(s.x), s.x)
    assert np.array_equal(sheet.to_lorentz(x), x)


def test_projections(space: Manifold, sample: Sample) -> None:
    s = sample
    assert np.array_equal(space.projx(s.x), s.x), "points on the manifold do not move"
    wild = 10.0 * np.random.default_rng(0).standard_normal(s.x.shape).astype(s.x.dtype)
    assert space.check_point(space.projx(wild))
    tangent = space.proju(s.x, wild)
    assert space.check_vector(s.x, tangent)
    assert np.max(np.abs(space.proju(s.x, tangent) - tangent)) <= 100 * s.tol * np.max(np.abs(tangent))
    assert space.check_point(space.retr(s.x, s.u))


def test_retraction_is_of_first_order(space: Manifold) -> None:
    s = Sample(space, "float64", 0)
    for step in (1e-3, 1e-4):
        apart = space.dist(space.retr(s.x, step * s.u), space.expmap(s.x, step * s.u))
        assert np.max(apart) < 200 * step**2


def test_riemannian_gradient_is_the_slope_along_geodesics(space: Manifold) -> None:
    """For f(x) = a·x the derivative along exp_x(tv) at t = 0 is <grad f, v>_x."""
    s = Sample(space, "float64", 3)
    a = np.random.default_rng(1).standard_normal(s.x.shape)
    gradient = space.egrad2rgrad(s.x, a)
    assert space.check_vector(s.x, gradient)
    h = 1e-5
    slope = ((space.expmap(s.x, h * s.u) - space.expmap(s.x, -h * s.u)) * a).sum(-1) / (2 * h)
    np.testing.assert_allclose(space.inner(s.x, gradient, s.u), slope, rtol=1e-6, atol=1e-6)


def test_distance_gradient_is_the_unit_vector_towards_the_other_point(space: Manifold) -> None:
    """-grad_x d(x, y)²/2 = log_x(y), checked by differences along random directions."""
    s = Sample(space, "float64", 4)
    h = 1e-5
    ahead, behind = (space.dist(space.expmap(s.x, sign * h * s.u), s.y) ** 2 / 2 for sign in (1, -1))
    slope = (ahead - behind) / (2 * h)
    np.testing.assert_allclose(slope, -space.inner(s.x, space.logmap(s.x, s.y), s.u), rtol=1e-5, atol=1e-5)


def test_curvature_per_point_broadcasts() -> None:
    c = np.array([[0.1], [1.0], [2.0]])
    rng = np.random.default_rng(0)
    v, w = 0.5 * rng.standard_normal((2, 3, 4))
    for kind in (PoincareBall, Lorentz, NormalCoordinates):
        many = kind(c)
        x, y = many.expmap0(many.from_space(v)), many.expmap0(many.from_space(w))
        for row in range(3):
            one = kind(float(c[row, 0]))
            close(many.dist(x, y)[row], one.dist(x[row], y[row]), 1e-12)
            close(many.logmap(x, y)[row], one.logmap(x[row], y[row]), 1e-12)
            close(
                many.ptransp(x, y, many.logmap(x, y))[row],
                one.ptransp(x[row], y[row], one.logmap(x, y)[row]),
                1e-12,
            )
        # One curvature a set of points: results have the sets' shape.
        sets = np.stack([x, y, many.expmap0(many.from_space(v + w))], axis=1)
        weights = rng.uniform(0.5, 1.0, (3, 3))
        for operation in ("centroid", "midpoint"):
            means = getattr(many, operation)(sets, weights)
            for row in range(3):
                one = kind(float(c[row, 0]))
                close(means[row], getattr(one, operation)(sets[row], weights[row]), 1e-12)
        for row in range(3):
            close(many.pairwise_dist(sets)[row], kind(float(c[row, 0])).pairwise_dist(sets[row]), 1e-12)


def test_flat_limit() -> None:
    """At c = 0 and near it the ball is flat space with twice the distances."""
    from hyperperturb.manifolds import normal, poincare

    x, y = np.random.default_rng(0).standard_normal((2, 20, 3))
    flat = np.linalg.norm(x - y, axis=-1)
    for c, tol in ((0.0, 1e-14), (1e-12, 1e-10)):
        close(poincare.dist(x, y, c=c), 2 * flat, tol)
        close(np.diag(poincare.pairwise_dist(x, y, c=c)), 2 * flat, tol)
        close(poincare.expmap(x, y, c=c), x + y, tol)
        close(poincare.logmap(x, y, c=c), y - x, tol)
        close(poincare.mobius_add(x, y, c=c), x + y, tol)
        close(poincare.ptransp(x, y, x, c=c), x, tol)
        close(poincare.midpoint(np.stack([x, y], 1), c=c), (x + y) / 2, tol)
        close(normal.dist(x, y, c=c), flat, tol)
        close(normal.expmap(x, y, c=c), x + y, tol)
        close(normal.logmap(x, y, c=c), y - x, tol)
        close(normal.ptransp(x, y, x, c=c), x, tol)
        close(normal.midpoint(np.stack([x, y], 1), c=c), (x + y) / 2, tol)
        close(normal.to_coordinates(x, y, c=c), y, tol)
