"""The laws that make the formulas a geometry, as properties: over models, curvatures, dtypes and any points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, NormalCoordinates, PoincareBall

SPACES: list[Manifold] = [
    Euclidean(),
    *(kind(c) for kind in (PoincareBall, Lorentz, NormalCoordinates) for c in (1e-4, 0.1, 1.0, 2.0)),
]
#: Error allowed in units of distance. Sums of three points of the examples end at eight curvature radii, where one
#: spacing of float32 is a distance of 1e-4 on the ball.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
DIMENSION = 3

modest = settings(max_examples=50, deadline=None, derandomize=True)
_vector = st.lists(st.floats(-1.0, 1.0, width=32), min_size=DIMENSION, max_size=DIMENSION)


@dataclass
class World:
    """A manifold, a dtype, and points and tangent vectors in it."""

    space: Manifold
    dtype: str
    vectors: np.ndarray

    @property
    def tol(self) -> float:
        return TOLERANCE[self.dtype]

    def points(self) -> list[np.ndarray]:
        """Return as many points as there are vectors, up to distance 1.7 (coordinates of 1 are the distance 1)."""
        scale = self.space._origin_unit()
        tangent = self.space.from_space((scale * self.vectors).astype(self.dtype))
        return list(self.space.expmap0(tangent))

    def tangent(self, x: np.ndarray, k: int) -> np.ndarray:
        """Return the k-th vector, carried from the origin to ``x``."""
        scale = self.space._origin_unit()
        return self.space.ptransp0(x, self.space.from_space((scale * self.vectors[k]).astype(self.dtype)))

    def same(self, a: np.ndarray, b: np.ndarray) -> None:
        """Assert that points are the same."""
        assert a.dtype == b.dtype == np.dtype(self.dtype)
        assert np.max(self.space.dist(a, b)) <= self.tol

    def near(self, a: Any, b: Any) -> None:
        """Assert that lengths are the same."""
        assert np.max(np.abs(np.asarray(a) - b)) <= self.tol * (1.0 + np.max(np.abs(b)))


def worlds(vectors: int) -> st.SearchStrategy[World]:
    """Generate worlds with so many vectors: coincident, zero, tiny, aligned and opposite ones included."""
    return st.builds(
        lambda space, dtype, rows: World(space, dtype, np.array(rows)),
        st.sampled_from(SPACES),
        st.sampled_from(["float64", "float32"]),
        st.lists(_vector, min_size=vectors, max_size=vectors),
    )


@modest
@given(world=worlds(2))
def test_left_cancellation(world: World) -> None:
    space, (x, y) = world.space, world.points()
    minus = space.mobius_scalar_mul(-1.0, x)
    world.same(space.mobius_add(minus, space.mobius_add(x, y)), y)
    origin = space.origin(*x.shape, dtype=world.dtype)
    world.same(space.mobius_add(origin, y), y)
    world.same(space.mobius_add(y, origin), y)
    world.same(space.mobius_add(minus, x), origin)


@modest
@given(world=worlds(3))
def test_gyrocommutativity(world: World) -> None:
    """x + y = gyr[x, y](y + x), with gyration as it is defined; gyrations are isometries and keep the origin."""
    space, (x, y, z) = world.space, world.points()

    def gyration(a: np.ndarray) -> np.ndarray:
        minus = space.mobius_scalar_mul(-1.0, space.mobius_add(x, y))
        return space.mobius_add(minus, space.mobius_add(x, space.mobius_add(y, a)))

    world.same(space.mobius_add(x, y), gyration(space.mobius_add(y, x)))
    world.near(space.dist0(gyration(z)), space.dist0(z))
    # Multiples of one point add like numbers.
    half, double = space.mobius_scalar_mul(0.5, x), space.mobius_add(x, x)
    world.same(space.mobius_add(half, half), x)
    world.same(space.mobius_scalar_mul(2.0, x), double)


@modest
@given(world=worlds(3))
def test_exponential_and_logarithm_are_inverse(world: World) -> None:
    space, (x, y, _) = world.space, world.points()
    w = space.logmap(x, y)
    assert space.check_vector(x, w)
    world.near(space.norm(x, w), space.dist(x, y))
    world.same(space.expmap(x, w), y)
    world.same(space.expmap0(space.logmap0(y)), y)
    v = world.tangent(x, 2)
    world.near(space.norm(x, space.logmap(x, space.expmap(x, v)) - v), 0.0)
    world.near(space.dist(x, space.expmap(x, v)), space.norm(x, v))
    assert not np.any(space.logmap(x, x)[-DIMENSION:])
    assert space.dist(x, x) == 0.0


@modest
@given(world=worlds(2), times=st.lists(st.floats(-0.5, 1.5, width=32), min_size=2, max_size=2))
def test_geodesics_have_unit_speed(world: World, times: list[float]) -> None:
    space, (x, y) = world.space, world.points()
    s, t = (space.geodesic(np.array([time], world.dtype), x, y) for time in times)
    world.near(space.dist(s, t), abs(times[0] - times[1]) * space.dist(x, y))
    # Between its ends the geodesic is the shortest way.
    middle = space.geodesic(np.array([0.5], world.dtype), x, y)
    world.near(space.dist(x, middle) + space.dist(middle, y), space.dist(x, y))


@modest
@given(world=worlds(4))
def test_transport_is_an_isometry_and_inverts(world: World) -> None:
    space, (x, y, _, _) = world.space, world.points()
    u, v = world.tangent(x, 2), world.tangent(x, 3)
    there = [space.ptransp(x, y, w) for w in (u, v)]
    assert space.check_vector(y, there[0])
    world.near(space.inner(y, *there), space.inner(x, u, v))
    world.near(space.norm(x, space.ptransp(y, x, there[0]) - u), 0.0)
    # The velocity of a geodesic is carried along it.
    ahead = space.ptransp(x, y, space.logmap(x, y))
    world.near(space.norm(y, ahead + space.logmap(y, x)), 0.0)
    world.near(space.norm(x, space.ptransp(x, x, u) - u), 0.0)


@modest
@given(world=worlds(6), weights=st.lists(st.floats(0.0, 2.0, width=32), min_size=4, max_size=4))
def test_midpoint_minimises_the_weighted_squared_distances(world: World, weights: list[float]) -> None:
    """No point nearby is better, the pull of the points cancels; neither order nor unit of the weights matters."""
    space, points = world.space, np.stack(world.points()[:4])
    w = np.array([weights[0] + 0.1, *weights[1:]], world.dtype)
    mean = space.midpoint(points, w)
    assert mean.dtype == np.dtype(world.dtype)
    assert space.check_point(mean)
    # Judged in float64: at the point that was returned.
    m, p, share = mean.astype("float64"), points.astype("float64"), (w / w.sum()).astype("float64")
    if isinstance(space, Lorentz):
        m, p = space.projx(m), space.projx(p)
    pull = (share[:, None] * space.logmap(m, p)).sum(axis=0)
    assert space.norm(m, pull) <= (1e-6 if world.dtype == "float64" else 1e-4)

    def spread(a: np.ndarray) -> float:
        return float((share * space.dist(a, p) ** 2).sum())

    for k in (4, 5):
        for step in (1e-2, -1e-2, 0.5):
            away = space.expmap(m, step * World(space, "float64", world.vectors).tangent(m, k))
            assert spread(m) <= spread(away) + 1e-9
    world.same(space.midpoint(points[[2, 0, 3, 1]], 3 * w[[2, 0, 3, 1]]), mean)
    # A geodesic's middle, and a single point.
    world.same(space.midpoint(points[:2]), space.geodesic(np.array([0.5], world.dtype), *points[:2]))
    world.same(space.midpoint(points, np.array([0, 0, 1, 0], world.dtype)), points[2])


@modest
@given(world=worlds(4), seed=st.integers(0, 2**16))
def test_isometries_preserve_distances_and_means(world: World, seed: int) -> None:
    """Möbius translations, rotations about the origin, and both; the means go with the points."""
    space, (x, y, z, by) = world.space, world.points()
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((DIMENSION, DIMENSION)))[0]
    rotation = rotation.astype(world.dtype)
    for move in (
        lambda p: space.mobius_add(by, p),
        lambda p: space.mobius_matvec(rotation, p),
        lambda p: space.mobius_add(by, space.mobius_matvec(rotation, p)),
    ):
        a, b, c = (move(p) for p in (x, y, z))
        world.near(space.dist(a, b), space.dist(x, y))
        world.near(space.pairwise_dist(np.stack([a, b, c])), space.pairwise_dist(np.stack([x, y, z])))
    for mean in (space.midpoint, space.centroid):
        world.same(mean(np.stack([a, b, c])), move(mean(np.stack([x, y, z]))))


@modest
@given(world=worlds(5))
def test_models_are_isometric(world: World) -> None:
    """The three models of hyperbolic space hold the same points, and all operations agree."""
    if isinstance(world.space, Euclidean):
        return
    start = NormalCoordinates(world.space.c)
    x, y, z = (World(start, world.dtype, world.vectors).points())[:3]
    for space, there, back in (
        (PoincareBall(start.c), start.to_poincare, lambda s, p: s.to_normal(p)),
        (Lorentz(start.c), start.to_lorentz, lambda s, p: s.to_normal(p)),
    ):
        a, b, d = (there(p) for p in (x, y, z))
        same = World(start, world.dtype, world.vectors).same
        same(back(space, a), x)
        world.near(space.dist(a, b), start.dist(x, y))
        same(back(space, space.mobius_add(a, b)), start.mobius_add(x, y))
        same(back(space, space.geodesic(0.3, a, b)), start.geodesic(0.3, x, y))
        for mean in ("midpoint", "centroid"):
            same(
                back(space, getattr(space, mean)(np.stack([a, b, d]))),
                getattr(start, mean)(np.stack([x, y, z])),
            )
        world.near(space.norm(a, space.logmap(a, b)), start.norm(x, start.logmap(x, y)))
        carried = space.ptransp(a, b, space.logmap(a, d))
        world.near(
            space.inner(b, carried, space.logmap(b, a)),
            start.inner(y, start.ptransp(x, y, start.logmap(x, z)), start.logmap(y, x)),
        )


def test_midpoint_is_what_a_minimiser_finds() -> None:
    """SciPy minimises the weighted squared distances over tangent vectors at the first point."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    for space in SPACES[1:]:
        tangent = space._origin_unit() * 1.5 * rng.standard_normal((7, DIMENSION))
        points, weights = space.expmap0(space.from_space(tangent)), rng.uniform(0.1, 1.0, 7)
        frame = space.ptransp0(points[0], space.from_space(space._origin_unit() * np.eye(DIMENSION)))

        def spread(
            v: np.ndarray,
            space: Manifold = space,
            points: Any = points,
            weights: Any = weights,
            frame: Any = frame,
        ) -> float:
            return float((weights * space.dist(space.expmap(points[0], v @ frame), points) ** 2).sum())

        found = minimize(
            spread,
            np.zeros(DIMENSION),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 4000},
        )
        mean = space.midpoint(points, weights)
        assert space.dist(space.expmap(points[0], found.x @ frame), mean) < 1e-6
