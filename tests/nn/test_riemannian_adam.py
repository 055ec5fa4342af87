"""RiemannianAdam moves marked variables as the paper says, and leaves the others to Keras' Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from benchmarks import geometry_oracle
from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, PoincareBall

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="gradients are taken with tf.GradientTape"
    ),
    # Keras 3.15 itself reads its variables through np.array when it saves a model, and NumPy 2.4 objects.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


from hyperperturb.nn import HyperbolicEmbedding, RiemannianAdam, manifold_of, set_manifold  # noqa: E402

Loss = Callable[[Any], Any]


def follow(
    optimizer: Any, variables: list[Any], loss: Loss, steps: int, *, jit: bool = False
) -> list[np.ndarray]:
    """Return the first variable after every step, the start included."""
    optimizer.build(variables)

    @tf.function(jit_compile=jit)
    def step() -> None:
        with tf.GradientTape() as tape:
            value = loss(variables)
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)

    path = [variables[0].numpy()]
    for _ in range(steps):
        step()
        path.append(variables[0].numpy())
    return path


def marked(points: np.ndarray, space: Manifold, dtype: str = "float64") -> Any:
    return set_manifold(keras.Variable(points, dtype=dtype), space)


def attraction(space: Manifold, targets: np.ndarray) -> Loss:
    """Sum over rows of half the mean squared distance to the targets: its minimum is their Fréchet mean."""
    targets = tf.constant(targets)
    return lambda variables: tf.reduce_sum(
        tf.reduce_mean(tf.square(space.pairwise_dist(variables[0].value, targets)), axis=-1) / 2
    )


def reference(
    start: np.ndarray, target: np.ndarray, c: float, steps: int, rate: float, *, amsgrad: bool
) -> list[np.ndarray]:
    """Riemannian Adam for f(x) = d(x, a)²/2 by hand, in 50 digits: its Riemannian gradient is -log_x(a)."""
    ball = geometry_oracle.Ball(c)
    x, a = geometry_oracle.exact(start), geometry_oracle.exact(target)
    m, v, peak = [mpmath.mpf(0)] * len(x), mpmath.mpf(0), mpmath.mpf(0)
    rate = float(np.float32(rate))  # Keras keeps learning rates in float32
    beta_1, beta_2, path = mpmath.mpf(0.9), mpmath.mpf(0.999), [start]
    for t in range(1, steps + 1):
        gradient = geometry_oracle.scale(-1, ball.logmap(x, a))
        m = geometry_oracle.plus(
            geometry_oracle.scale(beta_1, m), geometry_oracle.scale(1 - beta_1, gradient)
        )
        v = beta_2 * v + (1 - beta_2) * ball.factor(x) ** 2 * geometry_oracle.dot(gradient, gradient)
        peak = max(peak, v) if amsgrad else v
        scale = (1 - beta_1**t) * (mpmath.sqrt(peak / (1 - beta_2**t)) + mpmath.mpf(1e-7))
        y = ball.expmap(x, geometry_oracle.scale(-rate / scale, m))
        x, m = y, ball.ptransp(x, y, m)
        path.append(geometry_oracle.floats(x))
    return path


@pytest.mark.parametrize(("c", "amsgrad"), [(0.5, False), (2.0, True)])
def test_trajectory_is_that_of_the_paper_and_not_that_of_adam(c: float, amsgrad: bool) -> None:
    ball = PoincareBall(c)
    start, target = ball.random(2, 3, seed=1, scale=1.5, dtype="float64")
    loss = attraction(ball, target[None])
    ours = follow(RiemannianAdam(0.1, amsgrad=amsgrad), [marked(start[None], ball)], loss, 25)
    by_hand = reference(start, target, c, 25, 0.1, amsgrad=amsgrad)
    np.testing.assert_allclose(np.concatenate(ours), by_hand, rtol=0, atol=1e-9)

    flat = follow(
        keras.optimizers.Adam(0.1, amsgrad=amsgrad), [keras.Variable(start[None], dtype="float64")], loss, 25
    )
    apart = ball.dist(ball.projx(np.concatenate(flat)), np.array(by_hand))
    assert np.all(apart[1:] > 0.01), "this would also pass with plain Adam on the coordinates"


@pytest.mark.parametrize("model", [PoincareBall, Lorentz])
def test_the_path_does_not_depend_on_coordinates(model: Any) -> None:
    """Moved by an isometry, start and targets give the moved path: no coordinate is special. Adam fails this."""
    space = model(1.0)
    ambient = space.ambient_dim(3)
    points = space.random(5, ambient, seed=2, scale=0.7, dtype="float64")
    by = space.random(1, ambient, seed=5, scale=0.7, dtype="float64")
    moved = space.mobius_add(by, points)

    def distances(optimizer: Any, points: np.ndarray) -> np.ndarray:
        path = follow(optimizer, [marked(points[:1], space)], attraction(space, points[1:]), 30)
        return space.dist(np.concatenate(path)[:, None], points[None, 1:])

    one, other = (distances(RiemannianAdam(0.1), p) for p in (points, moved))
    np.testing.assert_allclose(one, other, atol=1e-7)
    if model is PoincareBall:
        one, other = (distances(keras.optimizers.Adam(0.1), p) for p in (points, moved))
        assert np.abs(one - other).max() > 0.05


@pytest.mark.parametrize("space", [PoincareBall(0.3), PoincareBall(3.0), Lorentz(1.0)], ids=repr)
def test_a_step_is_as_long_as_the_learning_rate_wherever_the_point_is(space: Manifold) -> None:
    starts = space.random(50, space.ambient_dim(4), seed=0, scale=1.0, dtype="float64")
    target = space.random(1, space.ambient_dim(4), seed=1, dtype="float64")
    first, second = follow(RiemannianAdam(0.02), [marked(starts, space)], attraction(space, target), 1)
    np.testing.assert_allclose(space.dist(first, second), 0.02, rtol=1e-5)


@pytest.mark.parametrize("space", [PoincareBall(0.1), PoincareBall(1.0), Lorentz(1.0), Euclidean()], ids=repr)
@pytest.mark.parametrize("exact", [True, False])
def test_converges_to_the_frechet_mean(space: Manifold, exact: bool) -> None:
    ambient = space.ambient_dim(3)
    targets = space.random(200, ambient, seed=0, dtype="float64")
    starts = space.random(2, ambient, seed=1, dtype="float64")
    rate = keras.optimizers.schedules.CosineDecay(0.1, 300)
    path = follow(RiemannianAdam(rate, exact=exact), [marked(starts, space)], attraction(space, targets), 300)
    for mean in path[-1]:
        gradient = space.logmap(mean[None], targets).mean(axis=0)
        assert space.norm(mean, gradient) < 1e-5


@pytest.mark.parametrize("space", [PoincareBall(1.0), PoincareBall(0.1), Lorentz(1.0)], ids=repr)
@pytest.mark.parametrize("exact", [True, False])
def test_never_leaves_the_manifold(space: Manifold, exact: bool) -> None:
    """Pushed outwards with far too large a learning rate, in float32."""
    variable = marked(space.random(30, space.ambient_dim(3), seed=0), space, "float32")
    path = follow(
        RiemannianAdam(1.0, exact=exact), [variable], lambda vs: -tf.reduce_sum(space.dist0(vs[0].value)), 200
    )
    assert all(space.check_point(points) for points in path)
    assert space.dist0(path[-1]).min() > 10.0


def test_a_point_off_the_manifold_is_brought_back() -> None:
    ball = PoincareBall(1.0)
    variable = marked(np.array([[3.0, 4.0], [0.1, 0.0]]), ball)
    path = follow(RiemannianAdam(0.01), [variable], attraction(ball, np.zeros((1, 2))), 3)
    assert not ball.check_point(path[0])
    assert all(ball.check_point(points) for points in path[1:])


@pytest.mark.parametrize(
    "options", [{}, {"amsgrad": True}, {"weight_decay": 0.1}, {"clipnorm": 0.05}], ids=str
)
def test_unmarked_variables_follow_keras_adam(options: dict[str, Any]) -> None:
    def run(kind: Any) -> np.ndarray:
        rng = np.random.default_rng(0)
        weights = keras.Variable(rng.standard_normal((4, 3)).astype("float32"))
        points = keras.Variable(PoincareBall(1.0).random(5, 3, seed=0))
        if kind is RiemannianAdam:
            set_manifold(points, PoincareBall(1.0))
        features = tf.constant(rng.standard_normal((5, 4)), "float32")

        # The two variables' gradients do not depend on each other, so that the marked one cannot disturb the other.
        def loss(variables: list[Any]) -> Any:
            fit = tf.reduce_sum(tf.square(features @ variables[0].value - 1.0))
            return fit + tf.reduce_sum(variables[1].value ** 2)

        return np.stack(follow(kind(0.01, **options), [weights, points], loss, 40))

    np.testing.assert_allclose(run(RiemannianAdam), run(keras.optimizers.Adam), rtol=0, atol=1e-6)


def test_weight_decay_leaves_points_alone() -> None:
    ball = PoincareBall(1.0)
    start = ball.random(5, 3, seed=0)
    loss = attraction(ball, ball.random(3, 3, seed=1))
    with_decay, without = (
        follow(RiemannianAdam(0.01, weight_decay=decay), [marked(start, ball, "float32")], loss, 10)[-1]
        for decay in (0.5, None)
    )
    np.testing.assert_array_equal(with_decay, without)


@pytest.mark.parametrize(
    ("space", "jit"),
    [
        (PoincareBall(1.0), False),
        (Lorentz(1.0), False),
        (Euclidean(), False),
        pytest.param(PoincareBall(1.0), True, marks=pytest.mark.slow),
        (Euclidean(), True),
    ],
    ids=str,
)
def test_sparse_gradients_touch_their_rows_only(space: Manifold, jit: bool) -> None:
    layer = HyperbolicEmbedding(6, 3, manifold=space)
    layer.build()
    optimizer = RiemannianAdam(0.05, amsgrad=True)
    optimizer.build([layer.embeddings])
    target = tf.constant(space.random(1, space.ambient_dim(3), seed=0))
    before = layer.embeddings.numpy()

    @tf.function(jit_compile=jit)
    def step(items: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(space.dist(layer(items), target)))
        gradients = tape.gradient(loss, [layer.embeddings.value])
        assert isinstance(gradients[0], tf.IndexedSlices)
        optimizer.apply(gradients, [layer.embeddings])

    for _ in range(3):
        step(tf.constant([4, 1, 4, 4]))
    after = layer.embeddings.numpy()
    assert np.array_equal(after[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert np.all(after[[1, 4]] != before[[1, 4]])
    for slot in optimizer.variables[2:]:
        value = slot.numpy()
        assert not np.any(value[[0, 2, 3, 5]])
        assert np.any(value[[1, 4]], axis=-1).all()


@pytest.mark.parametrize("space", [PoincareBall(1.0), Lorentz(1.0), Euclidean()], ids=repr)
def test_sparse_and_dense_agree_when_every_row_is_used(space: Manifold) -> None:
    """Also with repeated rows, whose gradients add up."""
    start = space.random(4, space.ambient_dim(3), seed=0)
    target = tf.constant(space.random(1, space.ambient_dim(3), seed=1))
    items = tf.constant([2, 0, 3, 1, 2, 2, 0])
    count = tf.constant([2.0, 1.0, 3.0, 1.0])

    def sparse(variables: list[Any]) -> Any:
        return tf.reduce_sum(tf.square(space.dist(tf.gather(variables[0].value, items), target)))

    def dense(variables: list[Any]) -> Any:
        return tf.reduce_sum(count * tf.square(space.dist(variables[0].value, target)))

    one, other = (
        follow(RiemannianAdam(0.1), [marked(start, space, "float32")], loss, 15)[-1]
        for loss in (sparse, dense)
    )
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("space", [PoincareBall(0.7), Lorentz(0.7)], ids=repr)
def test_compiled_by_xla_takes_the_same_path(space: Manifold) -> None:
    start, targets = (space.random(7, space.ambient_dim(3), seed=i) for i in range(2))
    plain, compiled = (
        follow(
            RiemannianAdam(0.05), [marked(start, space, "float32")], attraction(space, targets), 20, jit=jit
        )[-1]
        for jit in (False, True)
    )
    np.testing.assert_allclose(plain, compiled, rtol=1e-4, atol=1e-4)


def test_variable_curvature_is_read_at_every_step() -> None:
    c = keras.Variable(1.0, dtype="float64")
    space = PoincareBall(c)
    variable = marked(PoincareBall(1.0).random(1, 3, seed=0, dtype="float64"), space)
    optimizer = RiemannianAdam(0.1)
    target = np.zeros((1, 3))
    follow(optimizer, [variable], attraction(space, target), 1)
    c.assign(0.1)
    a, b = follow(optimizer, [variable], attraction(space, target), 1)
    assert float(PoincareBall(0.1).dist(a, b)[0]) == pytest.approx(0.1, rel=0.05)


def model_of(seed: int = 0, **compile_options: Any) -> Any:
    """A small mixed model: distances between embedded items, through an ordinary dense layer."""
    keras.utils.set_random_seed(seed)
    items = keras.Input((2,), dtype="int32")
    points = HyperbolicEmbedding(12, 3, manifold=PoincareBall(0.8), name="points")(items)
    features = keras.layers.Flatten()(points)
    model = keras.Model(items, keras.layers.Dense(1)(features))
    model.compile(optimizer=RiemannianAdam(0.05), loss="mse", **compile_options)
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 12, (64, 2))
    return pairs, np.abs(pairs[:, :1] - pairs[:, 1:]).astype("float32") / 6


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_fit(jit: bool) -> None:
    model = model_of(jit_compile=jit)
    points = model.get_layer("points")
    assert manifold_of(points.embeddings) == PoincareBall(0.8)
    losses = model.fit(*data(), epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    assert PoincareBall(0.8).check_point(points.embeddings.numpy())
    shapes = [tuple(v.shape) for v in model.optimizer.variables[2:]]
    assert shapes[:2] == [(12, 3), (12, 1)], "one second moment a point"


def test_training_goes_on_exactly_after_saving_and_loading(tmp_path: Any) -> None:
    pairs, values = data()
    model = model_of()
    model.fit(pairs, values, epochs=3, batch_size=64, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, RiemannianAdam)
    assert manifold_of(loaded.get_layer("points").embeddings) == PoincareBall(0.8)
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for net in (model, loaded):
        net.fit(pairs, values, epochs=3, batch_size=64, verbose=0, shuffle=False)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_configuration_round_trip() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = RiemannianAdam(
        schedule, beta_1=0.8, beta_2=0.99, epsilon=1e-6, amsgrad=True, exact=False, clipnorm=1.0
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, RiemannianAdam)
    assert copy.get_config() == optimizer.get_config()
    assert (copy.exact, copy.amsgrad, copy.beta_1, copy.clipnorm) == (False, True, 0.8, 1.0)


def test_moving_averages_of_coordinates_are_refused() -> None:
    with pytest.raises(ValueError, match="use_ema"):
        RiemannianAdam(use_ema=True).build([marked(np.zeros((2, 2)), PoincareBall(1.0))])
    RiemannianAdam(use_ema=True).build([keras.Variable(np.zeros((2, 2)))])
