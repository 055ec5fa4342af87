"""Values against the printed formulas in 50 digits (``benchmarks/geometry_oracle.py``)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import geometry_accuracy, geometry_oracle
from hyperperturb.manifolds import PoincareBall, poincare, safe

#: Largest relative error of an operation, where sqrt(c) d from the origin is at most 12.
LIMITS = {
    ("ball", "float64"): 1e-9,
    ("ball", "float32"): 1e-4,
    ("hyperboloid", "float64"): 1e-9,
    ("hyperboloid", "float32"): 1e-4,
}


@pytest.mark.parametrize(("model", "dtype"), LIMITS, ids="-".join)
def test_operations_against_the_oracle(model: str, dtype: str) -> None:
    worst = geometry_accuracy.measure(dtype, model, 1, np.asarray)
    assert {operation for operation, _ in worst} == {"dist", "expmap", "logmap", "ptransp"}
    limit = LIMITS[model, dtype]
    # Vectors on the hyperboloid have coordinates of size exp(sqrt(c) d): carried in from 12, float64 keeps 5 digits.
    over = {
        key: error
        for key, error in worst.items()
        if key[1] <= 12.0 and error > (1e-4 if key == ("ptransp", 12.0) and model == "hyperboloid" else limit)
    }
    assert not over


def test_the_oracle_itself() -> None:
    """The oracle's two models agree with each other, so that it is not simply our formulas with more digits."""
    ball, sheet = geometry_oracle.Ball(0.7), geometry_oracle.Hyperboloid(0.7)
    rng = np.random.default_rng(0)
    x, y = 0.4 * rng.standard_normal((2, 3))
    lifted = [poincare.to_lorentz(p, c=0.7) for p in (x, y)]
    one = ball.dist(geometry_oracle.exact(x), geometry_oracle.exact(y))
    two = sheet.dist(*(geometry_oracle.exact(p) for p in lifted))
    assert abs(one - two) < 1e-14


@pytest.mark.parametrize("function", ["tanhc", "artanhc", "sinhc", "arsinhc", "sech2"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_analytic_functions(function: str, dtype: str) -> None:
    """Series and closed form, on both sides of where they meet."""
    import mpmath

    true = {
        "tanhc": lambda t: mpmath.tanh(t) / t,
        "artanhc": lambda t: mpmath.atanh(t) / t,
        "sinhc": lambda t: mpmath.sinh(t) / t,
        "arsinhc": lambda t: mpmath.asinh(t) / t,
        "sech2": lambda t: mpmath.sech(t) ** 2,
    }[function]
    top = 0.9 if function == "artanhc" else 100.0
    z = np.concatenate([np.geomspace(1e-30, top, 400), [9.99e-4, 1.001e-3, 4.99e-2, 5.01e-2]]).astype(dtype)
    got = getattr(safe, function)(z)
    assert got.dtype == np.dtype(dtype)
    expected = np.array([float(true(mpmath.sqrt(mpmath.mpf(float(value))))) for value in z])
    np.testing.assert_allclose(got, expected, rtol=16 * np.finfo(dtype).eps)
    assert getattr(safe, function)(np.zeros(1, dtype))[0] == 1.0


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
