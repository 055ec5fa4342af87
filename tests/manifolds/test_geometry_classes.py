"""Names, configuration, checks, and that NumPy alone is enough."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from hyperperturb import manifolds
from hyperperturb.manifolds import (
    Euclidean,
    Lorentz,
    Manifold,
    NormalCoordinates,
    PoincareBall,
    get,
    poincare,
    serialize,
)

SPACES = [Euclidean(), PoincareBall(0.5), Lorentz(2.0), NormalCoordinates(2.0)]


def test_numpy_needs_no_keras() -> None:
    code = """
import sys, numpy as np
from hyperperturb.manifolds import Euclidean, Lorentz, NormalCoordinates, PoincareBall
import hyperperturb.nn
for space in (Euclidean(), PoincareBall(0.5), Lorentz(2.0), NormalCoordinates(2.0)):
    x, y = space.random(5, 4, seed=0), space.random(5, 4, seed=1)
    v = space.logmap(x, y)
    space.expmap(x, v), space.ptransp(x, y, v), space.dist(x, y), space.pairwise_dist(x, y)
    space.midpoint(x), space.centroid(x)
    space.egrad2rgrad(x, v), space.mobius_add(x, y), space.check_vector(x, v), space.geodesic(0.5, x, y)
loaded = {name.partition('.')[0] for name in sys.modules} & {'keras', 'tensorflow', 'jax', 'torch', 'scipy', 'pandas'}
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there() -> None:
    for name in manifolds.__all__:
        assert getattr(manifolds, name) is not None
    assert set(manifolds.__all__) == set(dir(manifolds))
    with pytest.raises(AttributeError, match="no attribute 'Sphere'"):
        manifolds.Sphere  # noqa: B018


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_configuration_round_trip(space: Manifold) -> None:
    for copy in (
        get(serialize(space)),
        type(space).from_config(space.get_config()),
        pickle.loads(pickle.dumps(space)),
    ):
        assert copy == space
        assert hash(copy) == hash(space)
        assert copy is not space
    assert eval(repr(space)) == space
    assert get(space) is space
    assert get(space.name).name == space.name


def test_manifolds_differ() -> None:
    assert PoincareBall(1.0) != PoincareBall(2.0)
    assert PoincareBall(1.0) != Lorentz(1.0)
    assert PoincareBall(1.0) == PoincareBall(1)
    assert PoincareBall(1.0) != "PoincareBall"


@pytest.mark.parametrize("identifier", ["Sphere", {"name": "Sphere"}, 3, None])
def test_unknown_manifold_is_refused(identifier: object) -> None:
    with pytest.raises(ValueError, match="Received"):
        get(identifier)


@pytest.mark.parametrize("c", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_curvature_is_refused(c: float) -> None:
    with pytest.raises(ValueError, match="Received: c="):
        PoincareBall(c)


@pytest.mark.parametrize("space", SPACES, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_points_and_origin(space: Manifold, dtype: str) -> None:
    x = space.random(400, space.ambient_dim(3), seed=3, scale=0.7, dtype=dtype)
    assert x.shape == (400, space.ambient_dim(3))
    assert x.dtype == dtype
    assert space.check_point(x)
    assert np.array_equal(x, space.random(400, space.ambient_dim(3), seed=3, scale=0.7, dtype=dtype))
    # Distances are those of a normal distribution of three components: mean 0.7 * sqrt(8/pi).
    assert space.dist0(x).mean() == pytest.approx(0.7 * np.sqrt(8 / np.pi), rel=0.1)
    origin = space.origin(2, space.ambient_dim(3), dtype=dtype)
    assert space.check_point(origin)
    assert not np.any(space.dist0(origin))


def test_checks_say_what_is_wrong() -> None:
    ball, sheet = PoincareBall(1.0), Lorentz(1.0)
    assert ball.check_point(np.array([0.5, 0.5]))
    assert ball.check_point(np.array([1.0, 0.5]), explain=True) == (
        False,
        "sqrt(c)|x| must be below 1, the largest is 1.11803399",
    )
    assert not PoincareBall(4.0).check_point(np.array([0.5, 0.1]))
    ok, reason = sheet.check_point(np.array([1.0, 1.0]), explain=True)
    assert not ok
    assert "time" in reason
    x = sheet.random(1, 3, seed=0, dtype="float64")
    assert not sheet.check_vector(x, x)
    for space in (ball, sheet):
        assert not space.check_point(np.array([np.nan, 0.1]))
        assert not space.check_vector(np.array([1.0, 0.0]), np.array([0.0, 0.1, 0.2]))
        assert not space.check_vector(np.array([0.5, 0.0]), np.array([np.inf, 0.0]))


def test_points_stay_inside_however_long_the_step() -> None:
    for dtype in ("float32", "float64"):
        for space in (PoincareBall(2.0), Lorentz(2.0), NormalCoordinates(2.0)):
            x = space.random(20, space.ambient_dim(3), seed=0, dtype=dtype)
            for factor in (1e2, 1e6, 1e15):
                for end in (
                    space.expmap(x, factor * space.logmap(x, x[::-1].copy())),
                    space.expmap0(factor * space.logmap0(x)),
                    space.retr(x, factor * space.logmap(x, x[::-1].copy())),
                ):
                    assert end.dtype == dtype
                    assert space.check_point(end)


def test_numbers_and_lists_are_taken() -> None:
    assert float(poincare.dist([0, 0], [0.5, 0], c=1)) == pytest.approx(2 * np.arctanh(0.5))
    assert PoincareBall(1.0).dist(np.float16([0.1, 0.2]), np.float16([0.2, 0.1])).dtype == np.float32
