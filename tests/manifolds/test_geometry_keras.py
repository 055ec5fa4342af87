"""The same formulas on Keras tensors: equal to NumPy, compiled, and with right and finite gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hyperperturb.manifolds import (
    Euclidean,
    Lorentz,
    Manifold,
    NormalCoordinates,
    PoincareBall,
    lorentz,
    normal,
    poincare,
    safe,
)

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients are taken with tf.GradientTape"
)

SPACES: list[Manifold] = [
    Euclidean(),
    *(kind(c) for kind in (PoincareBall, Lorentz, NormalCoordinates) for c in (0.1, 2.0)),
]
#: name -> call on the space with points x, y and tangent vectors u, v at x
OPERATIONS: dict[str, Callable[..., Any]] = {
    "dist": lambda m, x, y, u, v: m.dist(x, y),
    "dist0": lambda m, x, y, u, v: m.dist0(x),
    "pairwise_dist": lambda m, x, y, u, v: m.pairwise_dist(x, y),
    "inner": lambda m, x, y, u, v: m.inner(x, u, v),
    "norm": lambda m, x, y, u, v: m.norm(x, u),
    "expmap": lambda m, x, y, u, v: m.expmap(x, u),
    "logmap": lambda m, x, y, u, v: m.logmap(x, y),
    "expmap0": lambda m, x, y, u, v: m.expmap0(u),
    "logmap0": lambda m, x, y, u, v: m.logmap0(x),
    "ptransp": lambda m, x, y, u, v: m.ptransp(x, y, u),
    "ptransp0": lambda m, x, y, u, v: m.ptransp0(y, m.logmap0(x)),
    "retr": lambda m, x, y, u, v: m.retr(x, u),
    "projx": lambda m, x, y, u, v: m.projx(x),
    "proju": lambda m, x, y, u, v: m.proju(x, u + v),
    "egrad2rgrad": lambda m, x, y, u, v: m.egrad2rgrad(x, u),
    "centroid": lambda m, x, y, u, v: m.centroid(x),
    "midpoint": lambda m, x, y, u, v: m.midpoint(x),
    "mobius_add": lambda m, x, y, u, v: m.mobius_add(x, y),
    "mobius_scalar_mul": lambda m, x, y, u, v: m.mobius_scalar_mul(0.5, x),
    "mobius_matvec": lambda m, x, y, u, v: m.mobius_matvec(np.eye(4, dtype="float32")[:3], x),
    "geodesic": lambda m, x, y, u, v: m.geodesic(0.3, x, y),
}


def arguments(space: Manifold, dtype: str, scale: float = 0.5) -> list[np.ndarray]:
    ambient = space.ambient_dim(4)
    x, y, z, w = (space.random(12, ambient, seed=i, scale=scale, dtype=dtype) for i in range(4))
    return [x, y, space.logmap(x, z), space.logmap(x, w)]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keras_gives_what_numpy_gives(operation: str, dtype: str) -> None:
    # The search for the mean is slow when nothing compiles it.
    for space in SPACES if operation != "midpoint" else SPACES[:1] + SPACES[2::2]:
        arrays = arguments(space, dtype)
        expected = OPERATIONS[operation](space, *arrays)
        got = OPERATIONS[operation](space, *(keras.ops.convert_to_tensor(a) for a in arrays))
        assert keras.backend.standardize_dtype(got.dtype) == dtype == expected.dtype.name
        tol = 2e-5 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(got), expected, rtol=tol, atol=tol, err_msg=repr(space)
        )


@pytest.mark.slow
@pytest.mark.parametrize("space", [PoincareBall(0.5), Lorentz(0.5), NormalCoordinates(0.5)], ids=repr)
def test_compiled_by_xla(space: Manifold) -> None:
    arrays = arguments(space, "float32")
    # The mean is searched for in normal coordinates, whatever the model.
    names = [name for name in OPERATIONS if name != "midpoint" or isinstance(space, NormalCoordinates)]

    @tf.function(jit_compile=True)
    def everything(*tensors: Any) -> list[Any]:
        return [OPERATIONS[name](space, *tensors) for name in names]

    for name, got in zip(names, everything(*map(tf.constant, arrays)), strict=True):
        expected = OPERATIONS[name](space, *arrays)
        np.testing.assert_allclose(got.numpy(), expected, rtol=5e-5, atol=5e-5, err_msg=name)


def awkward_points(c: float, dtype: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of points of the ball where formulas break: name -> (x, y)."""
    radius = 1.0 / np.sqrt(c)
    e = np.array([[1.0, 0.0, 0.0]])
    x = 0.3 * radius * np.array([[0.5, -0.2, 0.7]])
    rim = (1.0 - 1e-5) * radius * np.array([[0.6, 0.0, 0.8]])
    pairs = {
        "both at the origin": (0.0 * x, 0.0 * x),
        "one at the origin": (0.0 * x, x),
        "other at the origin": (x, 0.0 * x),
        "coincident": (x, x),
        "nearly coincident": (x, x * (1 + 1e-7)),
        "tiny": (1e-20 * x, -3e-20 * x),
        "aligned": (x, 2.0 * x),
        "opposite": (x, -x),
        "near the rim": (rim, x),
        "coincident near the rim": (rim, rim),
        "both near the rim, opposite": (rim, -rim),
        "both near the rim, close": (rim, rim * (1 - 1e-5)),
        "outside": (1.1 * radius * e, x),
    }
    return {name: tuple(p.astype(dtype) for p in pair) for name, pair in pairs.items()}


# mobius_matvec wants four coordinates; it is the composition of expmap0 and logmap0, which are here.
@pytest.mark.parametrize(
    ("operation", "c"),
    [
        (name, c)
        for name in OPERATIONS
        for c in (1e-4, 1.0, 2.0)
        if name != "mobius_matvec" and (name, c) not in (("midpoint", 1e-4), ("midpoint", 1.0))
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_finite_everywhere(operation: str, dtype: str, c: float) -> None:
    pairs = awkward_points(c, dtype)
    ball = PoincareBall(c)
    x, y = (np.concatenate([pair[side] for pair in pairs.values()]) for side in (0, 1))
    on_ball = [ball.projx(p) for p in (x, y)]
    for model in (PoincareBall, Lorentz, NormalCoordinates):
        curvature = tf.Variable(c, dtype=dtype)
        if model is Lorentz:
            x, y = (ball.to_lorentz(p) for p in on_ball)
        if model is NormalCoordinates:
            x, y = (ball.to_normal(p) for p in on_ball)
        v = ball.random(len(x), x.shape[-1], seed=0, dtype=dtype)
        values = [tf.Variable(a) for a in (x, y, v, 0.5 * v)]
        with tf.GradientTape() as tape:
            result = OPERATIONS[operation](model(curvature), *values)
        gradients = tape.gradient(result, [*values, curvature])
        for name, array in zip(("result", "x", "y", "u", "v", "c"), [result, *gradients], strict=True):
            if array is None:
                continue
            finite = np.isfinite(array)
            by_pair = (
                finite.reshape(len(x), -1).all(-1) if finite.size % len(x) == 0 else np.ones(len(x), bool)
            )
            assert finite.all(), (model, name, np.array(list(pairs))[~by_pair])


def test_the_series_for_near_points_is_kept_off_far_ones() -> None:
    """It overflows there, and then the gradient of distances is NaN (float32 is all that JAX has by default)."""
    s, c = tf.Variable([0.0, 1e-3, 1.0, 1e10, 1e17]), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        value = safe.arsinh_scaled(s, c)
    for gradient in tape.gradient(value, [s, c]):
        assert np.isfinite(gradient).all()
    np.testing.assert_allclose(value, np.arcsinh(s.numpy().astype("float64")), rtol=1e-6)


@pytest.mark.parametrize("zero", [PoincareBall(1.0), Lorentz(1.0), NormalCoordinates(1.0)], ids=repr)
def test_maps_at_the_zero_vector_have_the_identity_as_derivative(zero: Manifold) -> None:
    """Guarding a norm with an epsilon would give 0 or NaN here."""
    v = tf.Variable(zero.from_space(np.zeros(3)))
    for function in (zero.expmap0, lambda w: zero.logmap0(zero.expmap0(w))):
        with tf.GradientTape() as tape:
            out = function(v)
        jacobian = tape.jacobian(out, v).numpy()
        np.testing.assert_allclose(jacobian[-3:, -3:], np.eye(3), atol=1e-12)


@pytest.mark.parametrize("space", [Lorentz(1.3), NormalCoordinates(1.3)], ids=repr)
def test_distance_from_the_origin_has_the_right_slope(space: Manifold) -> None:
    """The half-angle form has cusps at the origin that must cancel."""
    y = space.random(1, space.ambient_dim(3), seed=0, dtype="float64")
    x = tf.Variable(space.origin(1, space.ambient_dim(3), dtype="float64"))
    with tf.GradientTape() as tape:
        d = space.dist(x, y)
    gradient = space.egrad2rgrad(x.numpy(), tape.gradient(d, x).numpy())
    toward = space.logmap(x.numpy(), y)
    np.testing.assert_allclose(gradient, -toward / space.norm(x.numpy(), toward, keepdims=True), atol=1e-12)


@pytest.mark.parametrize(
    "operation", ["dist", "pairwise_dist", "expmap", "logmap", "ptransp", "centroid", "mobius_add"]
)
@pytest.mark.parametrize("model", [PoincareBall, Lorentz, NormalCoordinates])
def test_gradients_equal_central_differences(operation: str, model: Any) -> None:
    for c in (1e-2, 0.3, 2.0):
        arrays = arguments(model(c), "float64", scale=0.7)
        weight = np.random.default_rng(0).standard_normal(OPERATIONS[operation](model(c), *arrays).shape)

        def loss(
            curvature: Any,
            *values: Any,
            weight: np.ndarray = weight,
            ops: Any = np,
            operation: str = operation,
        ) -> Any:
            return ops.sum(weight * OPERATIONS[operation](model(curvature), *values))

        variables = [tf.Variable(c, dtype="float64"), *(tf.Variable(a) for a in arrays)]
        with tf.GradientTape() as tape:
            value = loss(*variables, ops=keras.ops)
        gradients = tape.gradient(value, variables)
        rng = np.random.default_rng(1)
        for position, gradient in enumerate(gradients):
            if gradient is None:
                continue
            point = [np.float64(c), *arrays]
            direction = rng.standard_normal(np.shape(point[position])) if position else np.float64(1.0)
            h = 1e-6 if position else 1e-4 * c
            ahead, behind = (
                loss(*(p + sign * h * direction if i == position else p for i, p in enumerate(point)))
                for sign in (1, -1)
            )
            slope = (ahead - behind) / (2 * h)
            got = np.sum(gradient.numpy() * direction)
            assert abs(got - slope) <= 5e-6 * (1.0 + abs(slope)), (model, c, position)


@pytest.mark.parametrize("model", [PoincareBall, Lorentz, NormalCoordinates])
def test_gradients_of_means_equal_central_differences(model: Any) -> None:
    """By the points, the weights and the curvature, for sets near and far from the origin; one has a repeated point."""
    rng = np.random.default_rng(0)
    normal_points = np.concatenate(
        [
            rng.standard_normal((2, 5, 3)),
            np.array([6.0, 0.0, 0.0]) + rng.standard_normal((1, 5, 3)),
            np.repeat(rng.standard_normal((1, 1, 3)), 5, axis=1),
        ]
    )
    c = 0.8
    x = getattr(
        NormalCoordinates(c),
        {"PoincareBall": "to_poincare", "Lorentz": "to_lorentz"}.get(model.__name__, "to_normal"),
    )(normal_points)
    arrays = [np.float64(c), x, rng.uniform(0.2, 1.0, (4, 5))]
    for operation in ("midpoint", "centroid"):
        cotangent = rng.standard_normal(getattr(model(c), operation)(x).shape)
        variables = [tf.Variable(a) for a in arrays]
        with tf.GradientTape() as tape:
            mean = getattr(model(variables[0]), operation)(*variables[1:])
            total = tf.reduce_sum(cotangent * mean)
        for k, gradient in enumerate(tape.gradient(total, variables)):
            direction = rng.standard_normal(np.shape(arrays[k]))
            ahead, behind = (
                np.sum(cotangent * getattr(model(moved[0]), operation)(*moved[1:]))
                for moved in (
                    [a + sign * 1e-6 * direction if i == k else a for i, a in enumerate(arrays)]
                    for sign in (1, -1)
                )
            )
            slope = (ahead - behind) / 2e-6
            got = np.sum(gradient.numpy() * direction)
            size = np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs(got - slope) <= 1e-6 * (1.0 + size), (operation, k)


def test_curvature_zero_is_differentiable() -> None:
    """The derivative in c at c = 0 is the limit of the derivatives at small c."""
    x, y = (tf.constant(np.random.default_rng(i).standard_normal((5, 3))) for i in range(2))
    for function in (
        lambda c: normal.dist(x, y, c=c),
        lambda c: normal.pairwise_dist(x, y, c=c),
        lambda c: normal.expmap(x, y, c=c),
        lambda c: normal.ptransp(x, y, x, c=c),
        lambda c: normal.midpoint(x, c=c),
        lambda c: poincare.midpoint(x, c=c),
        lambda c: poincare.dist(x, y, c=c),
        lambda c: poincare.pairwise_dist(x, y, c=c),
        lambda c: poincare.expmap(x, y, c=c),
        lambda c: poincare.logmap(x, y, c=c),
        lambda c: poincare.ptransp(x, y, x, c=c),
    ):
        slopes = []
        for value in (0.0, 1e-7):
            c = tf.Variable(value, dtype="float64")
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(function(c))
            slopes.append(float(tape.gradient(total, c)))
        assert abs(slopes[0]) > 1e-3
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-4)


def test_tensors_decide_the_dtype() -> None:
    tensor, array = keras.ops.zeros((2, 3), "float32"), np.full((2, 3), 0.1)
    assert poincare.dist(tensor, array, c=1.0).dtype == "float32"
    assert poincare.dist(keras.ops.zeros((2, 3), "float16"), array, c=1.0).dtype == "float32"
    assert poincare.dist(array, array, c=keras.Variable(1.0)).dtype == "float64"
    assert lorentz.dist0(keras.Variable(np.ones((2, 3), "float32")), c=1.0).dtype == "float32"


def test_symbolic_shapes() -> None:
    x, y = keras.KerasTensor((None, 3)), keras.KerasTensor((7, 3))
    ball = PoincareBall(1.0)
    assert ball.pairwise_dist(x, y).shape == (None, 7)
    assert ball.expmap0(x).shape == (None, 3)
    assert ball.to_lorentz(x).shape == (None, 4)
    assert ball.dist0(x).shape == (None,)


def test_variable_curvature_is_seen_by_the_class() -> None:
    c = keras.Variable(1.0)
    ball = PoincareBall(c)
    before = float(ball.dist0(np.array([[0.5, 0.0]], "float32"))[0])
    c.assign(0.25)
    after = float(ball.dist0(np.array([[0.5, 0.0]], "float32"))[0])
    assert after == pytest.approx(float(PoincareBall(0.25).dist0(np.array([0.5, 0.0]))), rel=1e-6)
    assert before != after
    assert ball.get_config() == {"c": 0.25}


def test_safe_division_and_root_have_zero_gradient_at_zero() -> None:
    zero = tf.Variable([0.0, 4.0])
    with tf.GradientTape(persistent=True) as tape:
        root = safe.sqrt(zero)
        quotient = safe.divide(tf.ones(2), zero)
        length = safe.norm(zero * 0.0)
    np.testing.assert_allclose(tape.gradient(root, zero), [0.0, 0.25])
    np.testing.assert_allclose(tape.gradient(quotient, zero), [0.0, -1 / 16])
    np.testing.assert_allclose(tape.gradient(length, zero), [0.0, 0.0])
