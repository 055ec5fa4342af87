"""The geometry and what Keras needs of it on the JAX backend: compiled, with gradients, with and without float64."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed"),
]

PROGRAM = """
import sys
import jax
import numpy as np
import keras
from hyperperturb.manifolds import Euclidean, Lorentz, NormalCoordinates, PoincareBall

dtype = sys.argv[1]
assert jax.config.jax_enable_x64 == (dtype == "float64")
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules

OPERATIONS = {
    "dist": lambda m, x, y, u, v: m.dist(x, y),
    "dist0": lambda m, x, y, u, v: m.dist0(x),
    "pairwise_dist": lambda m, x, y, u, v: m.pairwise_dist(x, y),
    "inner": lambda m, x, y, u, v: m.inner(x, u, v),
    "norm": lambda m, x, y, u, v: m.norm(x, u),
    "expmap": lambda m, x, y, u, v: m.expmap(x, u),
    "logmap": lambda m, x, y, u, v: m.logmap(x, y),
    "expmap0": lambda m, x, y, u, v: m.expmap0(m.logmap0(x)),
    "ptransp": lambda m, x, y, u, v: m.ptransp(x, y, u),
    "ptransp0": lambda m, x, y, u, v: m.ptransp0(y, m.logmap0(x)),
    "retr": lambda m, x, y, u, v: m.retr(x, 0.1 * u),
    "projx": lambda m, x, y, u, v: m.projx(x),
    "proju": lambda m, x, y, u, v: m.proju(x, u + v),
    "egrad2rgrad": lambda m, x, y, u, v: m.egrad2rgrad(x, u),
    "centroid": lambda m, x, y, u, v: m.centroid(x),
    "midpoint": lambda m, x, y, u, v: m.midpoint(x),  # in normal coordinates only: the others call it
    "mobius_add": lambda m, x, y, u, v: m.mobius_add(x, y),
    "mobius_scalar_mul": lambda m, x, y, u, v: m.mobius_scalar_mul(0.5, x),
    "geodesic": lambda m, x, y, u, v: m.geodesic(0.3, x, y),
}
# Compiled and differentiated together: what the others are made of. The mean is the same code for all models.
COMPILED = ("dist", "expmap", "logmap", "ptransp", "pairwise_dist")


def check(dtype, tol, gradient_tol):
    spaces = [Euclidean(), PoincareBall(0.7), Lorentz(0.7), NormalCoordinates(0.7)]
    for space in spaces if dtype == "float32" else spaces[1::2]:
        d = space.ambient_dim(3)
        x, y, z, w = (space.random(6, d, seed=i, scale=0.5, dtype="float64") for i in range(4))
        arrays = [x, y, space.logmap(x, z), space.logmap(x, w)]
        # NumPy computes in float64 with the numbers that JAX is given.
        arrays = [a.astype(dtype).astype("float64") for a in arrays]
        inputs = [jax.numpy.asarray(a, dtype) for a in arrays]
        wanted = {name: operation(space, *arrays) for name, operation in OPERATIONS.items()}
        normal = isinstance(space, NormalCoordinates)
        for name, operation in OPERATIONS.items():
            if name == "midpoint" and not (normal and dtype == "float32"):  # compiled below in float64
                continue
            value = operation(space, *inputs)
            assert str(value.dtype) == dtype, (space, name)
            np.testing.assert_allclose(value, wanted[name], rtol=tol, atol=tol, err_msg=f"{space} {name}")

        if dtype == "float64" and not normal:
            continue
        names = (*COMPILED, "midpoint") if dtype == "float64" else COMPILED
        rng = np.random.default_rng(9)
        weights = {name: rng.standard_normal(np.shape(wanted[name])) for name in names}

        def total(*inputs):
            return sum((weights[n].astype(dtype) * OPERATIONS[n](space, *inputs)).sum() for n in names)

        def exact_total(*inputs):
            return sum(float(np.sum(weights[n] * OPERATIONS[n](space, *inputs))) for n in names)

        slopes = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
        value, gradients = slopes(*inputs)
        assert abs(float(value) - exact_total(*arrays)) < 100 * tol, space
        for k, gradient in enumerate(gradients):
            gradient = np.asarray(gradient, "float64")
            assert np.isfinite(gradient).all(), (space, k)
            direction = rng.standard_normal(gradient.shape)
            ahead, behind = (
                exact_total(*(a + sign * 1e-6 * direction if i == k else a for i, a in enumerate(arrays)))
                for sign in (1, -1)
            )
            size = np.linalg.norm(gradient) * np.linalg.norm(direction)
            error = abs((gradient * direction).sum() - (ahead - behind) / 2e-6)
            assert error < gradient_tol * size, (space, k, error, size)
        # Finite where formulas break: the origin, coincident points.
        zero = jax.numpy.asarray(space.origin(6, d, dtype=dtype))
        for first, second in ((zero, zero), (zero, inputs[1]), (inputs[0], zero), (inputs[0], inputs[0])):
            for gradient in slopes(first, second, *inputs[2:])[1]:
                assert np.isfinite(np.asarray(gradient)).all(), space


check(dtype, *{"float32": (3e-5, 1e-3), "float64": (1e-10, 1e-6)}[dtype])
if dtype == "float64":
    print("well")
    sys.exit()

# The layer and the optimizer that trains it, as a model is trained.
from hyperperturb.nn import HyperbolicEmbedding, RiemannianAdam

for name in ("NormalCoordinates",):
    layer = HyperbolicEmbedding(5, 3, manifold=name)
    space = layer.manifold
    target = space.random(1, 3, seed=1, scale=0.5)

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.points = layer

        def call(self, rows):
            return space.dist(self.points(rows), target)

    model = Model()
    model.compile(optimizer=RiemannianAdam(0.1), loss="mse", jit_compile=True)
    rows = np.arange(5)
    before = float(model(rows).max())
    model.fit(rows, np.zeros(5, "float32"), batch_size=5, epochs=30, verbose=0)
    after = float(model(rows).max())
    assert after < 0.3 * before, (name, before, after)
    assert space.check_point(layer.embeddings)

print("well")
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_runs_on_jax(root: Path, dtype: str) -> None:
    """In processes of their own, because Keras chooses its backend once and JAX whether it has float64."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": str(int(dtype == "float64")),
        "PYTHONPATH": str(root),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROGRAM, dtype],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.stdout.strip() == "well", done.stderr
