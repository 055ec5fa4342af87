"""Values and gradients against the printed formulas in 50 digits (``benchmarks/geometry_oracle.py``)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import geometry_accuracy, geometry_oracle
from hyperperturb.manifolds import PoincareBall, poincare, safe

CASES = [(model, dtype) for model in geometry_accuracy.MODELS for dtype in geometry_accuracy.TOLERANCE]


@pytest.mark.parametrize(("model", "dtype"), CASES)
def test_operations_against_the_oracle(model: str, dtype: str) -> None:
    """At a sixth of the table's combinations: right wherever the dtype represents the points, or is near enough."""
    limit = geometry_accuracy.TOLERANCE[dtype]
    for seed, c in enumerate(geometry_accuracy.CURVATURES):
        found = geometry_accuracy.measure(dtype, model, c, every=6, seed=seed)
        assert set(found.representable) == set(geometry_accuracy.OPERATIONS)
        assert max(found.representable.values()) < limit, (c, dict(found.representable))
        # The rounded coordinates taken as exact: to 12 curvature radii nothing is lost in any case.
        near = {key: error for key, error in found.bands.items() if key[1] <= 12.0}
        assert all(error < limit for error in near.values()), (c, near)
        if c <= 0.1:  # Then all is within four curvature radii, and every dtype represents most of it.
            assert min(found.counts.values()) >= 0.75 * found.total
        assert found.beyond_reach == 0 or c >= 1.0


def test_float32_represents_far_points_in_normal_coordinates() -> None:
    """At 38 curvature radii, where the other models have long ended."""
    far, model = 10.0, "normal"
    counts = {
        name: geometry_accuracy.measure("float32", name, far, every=3).counts["expmap"]
        for name in geometry_accuracy.MODELS
    }
    assert counts[model] > 1.5 * max(n for name, n in counts.items() if name != model)


@pytest.mark.slow
@pytest.mark.parametrize("model", geometry_accuracy.MODELS)
def test_gradients_against_the_oracle(model: str) -> None:
    """Finite at every point of the table, in both dtypes, and in float64 equal to central differences of the oracle."""
    pytest.importorskip("tensorflow")
    for seed, c in enumerate(geometry_accuracy.CURVATURES):
        worst, finite = geometry_accuracy.gradient_errors(model, c, every=8, seed=seed)
        assert finite
        assert {op for op, _ in worst} == set(geometry_accuracy.OPERATIONS)
        assert max(worst.values()) < 1e-6, (c, dict(worst))


def test_the_oracle_itself() -> None:
    """The oracle's models agree with each other, so that it is not simply our formulas with more digits."""
    c = 0.7
    ball, sheet, normal = geometry_oracle.Ball(c), geometry_oracle.Hyperboloid(c), geometry_oracle.Normal(c)
    rng = np.random.default_rng(0)
    x, y = 0.4 * rng.standard_normal((2, 3))
    lifted = [poincare.to_lorentz(p, c=c) for p in (x, y)]
    straight = [poincare.to_normal(p, c=c) for p in (x, y)]
    one = ball.dist(geometry_oracle.exact(x), geometry_oracle.exact(y))
    two = sheet.dist(*(geometry_oracle.exact(p) for p in lifted))
    three = normal.dist(*(geometry_oracle.exact(p) for p in straight))
    assert abs(one - two) < 1e-14
    assert abs(one - three) < 1e-14


def at_zero(function: str, dtype: str) -> np.floating:
    """Return the value at 0."""
    return np.dtype(dtype).type({"sinhc_slope": 1 / 6, "coth_slope": 1 / 3}.get(function, 1.0))


@pytest.mark.parametrize("function", ["tanhc", "sinhc", "arsinhc", "sech2", "sinhc_slope", "coth_slope"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_analytic_functions(function: str, dtype: str) -> None:
    """Series and closed form, on both sides of where they meet."""
    import mpmath

    true = {
        "tanhc": lambda t: mpmath.tanh(t) / t,
        "sinhc": lambda t: mpmath.sinh(t) / t,
        "arsinhc": lambda t: mpmath.asinh(t) / t,
        "sech2": lambda t: mpmath.sech(t) ** 2,
        "sinhc_slope": lambda t: (mpmath.sinh(t) / t - 1) / t**2,
        "coth_slope": lambda t: (t * mpmath.coth(t) - 1) / t**2,
    }[function]
    z = np.concatenate([np.geomspace(1e-30, 100.0, 400), [9.99e-4, 1.001e-3, 4.99e-2, 5.01e-2]]).astype(dtype)
    got = getattr(safe, function)(z)
    assert got.dtype == np.dtype(dtype)
    expected = np.array([float(true(mpmath.sqrt(mpmath.mpf(float(value))))) for value in z])
    eps = np.finfo(dtype).eps
    # The two slopes are small differences, of which the closed form keeps what is used of them: their product with z.
    slope = function.endswith("_slope")
    tol = 16 * eps / np.minimum(z, 1.0).clip(0.05 if dtype == "float32" else 1e-3) if slope else 16 * eps
    assert np.all(np.abs(got / expected - 1.0) < tol)
    assert getattr(safe, function)(np.zeros(1, dtype))[0] == at_zero(function, dtype)


def test_arcosh_near_one() -> None:
    import mpmath

    t = np.geomspace(1e-20, 1e3, 50)
    expected = [float(mpmath.acosh(1 + mpmath.mpf(float(value)))) for value in t]
    np.testing.assert_allclose(safe.arcosh1p(t), expected, rtol=1e-14)
    assert safe.arcosh1p(np.zeros(1))[0] == 0.0


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_pairwise_distances_of_near_points_in_float32(c: float) -> None:
    """The Gram matrix in float64 resolves what float32 points resolve; formed in float32 it would be off by 1e-3."""
    rng = np.random.default_rng(0)
    x = PoincareBall(c).random(50, 16, seed=0, scale=0.5)
    for apart, tol in ((1e-1, 1e-6), (1e-3, 1e-6), (1e-5, 1e-4)):
        y = PoincareBall(c).projx((x * (1 + apart * rng.uniform(0.5, 1.0, x.shape))).astype("float32"))
        exact = poincare.dist(x.astype("float64"), y.astype("float64"), c=c)
        np.testing.assert_allclose(np.diag(poincare.pairwise_dist(x, y, c=c)), exact, rtol=tol)
