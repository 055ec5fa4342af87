"""Quantum-inspired annealing: the field's fall, noise that is the same everywhere and every time, coupled replicas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, NormalCoordinates, PoincareBall

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="gradients are taken with tf.GradientTape"
    ),
    # Keras 3.15 itself reads its variables through np.array when it saves a model, and NumPy 2.4 objects.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

from hyperperturb.nn import (  # noqa: E402
    HyperbolicEmbedding,
    QuantumAnnealing,
    RiemannianAdam,
    RiemannianSGD,
    replicate_points,
    set_manifold,
)
from hyperperturb.nn._counter_random import normal, threefry  # noqa: E402
from hyperperturb.nn.annealing import SCHEDULES  # noqa: E402

SPACES = [PoincareBall(1.0), PoincareBall(0.2), Lorentz(3.0), NormalCoordinates(2.0), Euclidean()]


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_known_answers_of_its_authors(key: Any, counter: Any, expected: Any) -> None:
    assert tuple(int(word) for word in threefry(key, counter)) == expected


def test_numbers_are_normal_and_independent() -> None:
    def draw(seed: int = 1, stream: int = 0, step: int = 0) -> np.ndarray:
        return normal(seed=seed, stream=stream, step=step, rows=tf.range(20_000), columns=5).numpy()

    z = draw()
    assert np.abs(z.mean(axis=0)).max() < 0.03
    np.testing.assert_allclose(np.cov(z.T), np.eye(5), atol=0.04)
    assert (np.abs(z) > 3).mean() == pytest.approx(0.0027, rel=0.2)
    for other in (draw(seed=2), draw(stream=1), draw(step=1), np.roll(z, 1, axis=0)):
        assert abs(np.corrcoef(z.ravel(), other.ravel())[0, 1]) < 0.015
    np.testing.assert_array_equal(draw(), z)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_field_falls_from_its_start_to_exactly_zero(schedule: str) -> None:
    annealing = QuantumAnnealing(0.3, 50, schedule=schedule)
    values = np.array([float(annealing(step)) for step in range(70)])
    assert values[0] == pytest.approx(0.3)
    assert np.all(np.diff(values) <= 0.0)
    assert values[49] > 0.0
    assert np.all(values[50:] == 0.0)


def test_one_step_before_the_end_the_field_is_small() -> None:
    last = {schedule: float(QuantumAnnealing(1.0, 1000, schedule=schedule)(999)) for schedule in SCHEDULES}
    assert last.pop("constant") == 1.0
    assert max(last.values()) < 2e-3


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_noise_is_as_long_in_every_direction_wherever_the_point_lies(space: Manifold) -> None:
    dim, count, field = 3, 4000, 0.4
    annealing = QuantumAnnealing(field, 10)
    for radius in (0.0, 1.0, 4.0):
        unit = space._origin_unit() * radius * np.eye(dim)[:1]
        x = space.expmap0(space.from_space(unit))
        points = np.repeat(x, count, axis=0)
        v = annealing.noise(space, tf.constant(points), 0).numpy()
        assert space.check_vector(points, v)
        # Root mean square length Γ: the standard error of the mean square is sqrt(2 / (3 · 4000)), 1.3 %.
        assert np.mean(space.inner(points, v)) == pytest.approx(field**2, rel=0.06)
        frame = space.ptransp0(x, space.from_space(space._origin_unit() * np.eye(dim)))
        parts = np.stack([space.inner(points, v, np.repeat(e[None], count, axis=0)) for e in frame])
        np.testing.assert_allclose(np.cov(parts), field**2 / dim * np.eye(dim), atol=0.005)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", [(40, 3), (40, 2, 3)], ids=str)
def test_a_row_has_its_noise_whichever_rows_are_updated(shape: tuple[int, ...], jit: bool) -> None:
    ball = PoincareBall(1.0)
    annealing = QuantumAnnealing(0.5, 10, seed=3)
    x = tf.constant(ball.random(*shape, seed=0))
    rows = tf.constant([7, 7, 0, 31])

    @tf.function(jit_compile=jit)
    def some(step: Any) -> Any:
        return annealing.noise(ball, tf.gather(x, rows), step, variable=2, rows=rows)

    everything = annealing.noise(ball, x, 4, variable=2).numpy()
    np.testing.assert_allclose(some(tf.constant(4, tf.int64)), everything[rows.numpy()], rtol=1e-5, atol=1e-6)
    assert np.abs(everything[0] - annealing.noise(ball, x, 4, variable=1).numpy()[0]).max() > 1e-3
    assert np.abs(everything[0] - annealing.noise(ball, x, 5, variable=2).numpy()[0]).max() > 1e-3


def pulled(
    optimizer: Any, space: Manifold, start: np.ndarray, steps: int, *, sparse: bool = False
) -> np.ndarray:
    """Return points after some steps of a pull towards the origin; the optimizer goes on where it stopped."""
    variable = set_manifold(keras.Variable(start), space)
    plain = keras.Variable(np.ones((2, 2), "float32"))
    for v in optimizer._trainable_variables:
        variable, plain = (v, plain) if v.shape == start.shape else (variable, v)
    optimizer.build([variable, plain])
    items = tf.range(len(start))

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            points = tf.gather(variable.value, items) if sparse else tf.convert_to_tensor(variable.value)
            loss = tf.reduce_sum(tf.square(space.dist0(points))) + tf.reduce_sum(plain.value**2)
        optimizer.apply(tape.gradient(loss, [variable.value, plain.value]), [variable, plain])

    for _ in range(steps):
        step()
    return variable.numpy(), plain.numpy()


@pytest.mark.parametrize("make", [RiemannianAdam, RiemannianSGD], ids=lambda make: make.__name__)
@pytest.mark.parametrize("space", [PoincareBall(0.7), Lorentz(1.0), Euclidean()], ids=repr)
def test_points_are_shaken_and_plain_variables_are_not(make: Any, space: Manifold) -> None:
    start = space.random(400, space.ambient_dim(4), seed=0)
    still, still_plain = pulled(make(1e-6), space, start, 1)
    shaken, plain = pulled(make(1e-6, annealing=QuantumAnnealing(0.2, 5)), space, start, 1)
    sparse, _ = pulled(make(1e-6, annealing=QuantumAnnealing(0.2, 5)), space, start, 1, sparse=True)
    moved = space.dist(shaken.astype("float64"), still.astype("float64"))
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.2, rel=0.05)
    assert space.check_point(shaken)
    np.testing.assert_allclose(sparse, shaken, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(plain, still_plain)


def test_after_the_field_is_gone_the_steps_are_those_of_plain_descent() -> None:
    ball = PoincareBall(1.0)
    start = ball.random(6, 3, seed=0)
    annealed = RiemannianSGD(0.02, momentum=0.5, annealing=QuantumAnnealing(0.3, 4))
    middle, _ = pulled(annealed, ball, start, 4)
    end, _ = pulled(annealed, ball, start, 3)
    plain = RiemannianSGD(0.02, momentum=0.5)
    pulled(plain, ball, start, 0)
    for ours, theirs in zip(plain.variables, annealed.variables, strict=True):
        assert ours.shape == theirs.shape
    assert ball.dist(middle, end).max() > 1e-3
    again = RiemannianSGD(0.02, annealing=QuantumAnnealing(0.3, 1))
    pulled(again, ball, start, 1)
    shaken = again._trainable_variables[0].numpy()
    ours, _ = pulled(again, ball, start, 5)
    theirs, _ = pulled(RiemannianSGD(0.02), ball, shaken, 5)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [RiemannianAdam, RiemannianSGD], ids=lambda make: make.__name__)
def test_an_interrupted_training_draws_the_noise_it_would_have_drawn(make: Any, tmp_path: Any) -> None:
    """Saved in the middle of the field's fall and loaded, the model takes the same path to the last bit."""
    options = {} if make is RiemannianAdam else {"momentum": 0.9, "nesterov": True}

    def model() -> Any:
        keras.utils.set_random_seed(0)
        items = keras.Input((2,), dtype="int32")
        points = HyperbolicEmbedding(12, 3, manifold=PoincareBall(0.8), name="points")(items)
        net = keras.Model(items, keras.layers.Dense(1)(keras.layers.Flatten()(points)))
        annealing = QuantumAnnealing(0.05, 10, schedule="cosine", seed=5)
        net.compile(make(0.02, annealing=annealing, clip_riemannian_norm=0.5, **options), loss="mse")
        return net

    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 12, (32, 2))
    values = np.abs(pairs[:, :1] - pairs[:, 1:]).astype("float32") / 6
    how = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}
    whole, half = model(), model()
    for net in (whole, whole, half):
        net.fit(pairs, values, **how)
    half.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert loaded.optimizer.get_config() == half.optimizer.get_config()
    assert isinstance(loaded.optimizer.annealing, QuantumAnnealing)
    loaded.fit(pairs, values, **how)
    ours, theirs = whole.weights + whole.optimizer.variables, loaded.weights + loaded.optimizer.variables
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("space", [PoincareBall(1.0), Lorentz(0.5)], ids=repr)
def test_replicas_are_drawn_together_as_the_field_falls_and_let_go_at_its_end(space: Manifold) -> None:
    point = space.random(3, space.ambient_dim(2), seed=0, dtype="float64")
    start = replicate_points(space, point, 6, spread=1.0, seed=1)
    assert np.sqrt(np.mean(space.dist(start, point[None]) ** 2)) == pytest.approx(1.0, rel=0.3)
    annealing = QuantumAnnealing(0.1, 100, replicas=6, coupling=0.5)
    bonds = np.array([float(annealing.bond(step, 0.2)) for step in range(110)])
    assert bonds[0] == 0.0
    assert np.all(np.diff(bonds[:100]) > 0.0)
    assert np.all(bonds[100:] == 0.0)
    assert 0.49 < float(annealing.bond(99, 1e3)) < 0.5

    def spread(x: Any) -> float:
        return float(np.max(space.dist(x, np.roll(x, 3, axis=0))))

    np.testing.assert_allclose(annealing.couple(space, tf.constant(start), 0, 1.0), start, atol=1e-12)
    x = tf.constant(start)
    sizes = [spread(start)]
    for _ in range(60):  # as stiff as can be: alternating slices must not swap places
        x = annealing.couple(space, x, 99, 1e6)
        sizes.append(spread(x.numpy()))
    assert np.all(np.diff(sizes) < 0.0)
    assert sizes[-1] < 1e-3 * sizes[0]


def test_the_springs_step_goes_down_their_energy() -> None:
    """To first order it is the gradient step of κ/4 times the sum of the squared distances around the ring."""
    ball = PoincareBall(1.0)
    x = tf.constant(ball.random(5, 2, 3, seed=0, scale=1.0, dtype="float64"))
    annealing = QuantumAnnealing(0.1, 100, replicas=5, coupling=0.8)
    with tf.GradientTape() as tape:
        tape.watch(x)
        energy = tf.reduce_sum(tf.square(ball.dist(x, tf.roll(x, 1, axis=0)))) * (0.8 * 0.4 / 4)
    wanted = -1e-5 * ball.egrad2rgrad(x, tape.gradient(energy, x)).numpy()
    step = ball.logmap(x, annealing.couple(ball, x, 40, 1e-5)).numpy()
    np.testing.assert_allclose(step, wanted, rtol=1e-4, atol=1e-9)


def test_the_optimizer_couples_the_replicas() -> None:
    ball = PoincareBall(1.0)
    start = replicate_points(ball, ball.random(5, 2, seed=0), 4, spread=0.5)

    def width(coupling: float) -> float:
        annealing = QuantumAnnealing(1e-6, 60, replicas=4, coupling=coupling)
        x, _ = pulled(RiemannianAdam(1e-4, annealing=annealing), ball, start, 50)
        return float(ball.dist(x, x[::-1]).max())

    assert width(1e4) < 0.01 * width(0.0)


def test_replicas_need_an_axis_and_a_dense_gradient() -> None:
    ball = PoincareBall(1.0)
    options = {"annealing": QuantumAnnealing(0.1, 5, replicas=3)}
    with pytest.raises(ValueError, match=r"first axis of every marked variable must be 3 long"):
        pulled(RiemannianAdam(0.1, **options), ball, ball.random(4, 2, seed=0), 1)
    with pytest.raises(ValueError, match="must be dense"):
        pulled(RiemannianSGD(0.1, **options), ball, ball.random(3, 4, 2, seed=0), 1, sparse=True)


def test_it_is_a_learning_rate_schedule_too() -> None:
    optimizer = RiemannianAdam(QuantumAnnealing(0.5, 10, schedule="exponential"))
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert copy.get_config() == optimizer.get_config()
    rates = []
    for _ in range(12):
        rates.append(float(copy.learning_rate))
        copy.apply([tf.ones((1,))], [copy._trainable_variables[0] if copy.built else keras.Variable([0.0])])
    np.testing.assert_allclose(rates, [float(copy._learning_rate(step)) for step in range(12)])
    assert rates[0] == 0.5
    assert rates[-1] == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"field": -1.0},
        {"field": float("nan")},
        {"steps": 0},
        {"steps": 1.5},
        {"schedule": "square"},
        {"replicas": 0},
        {"coupling": -0.1},
        {"seed": None},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_named(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}="):
        QuantumAnnealing(**{"field": 0.1, "steps": 10, **options})
    with pytest.raises(ValueError, match=r"`annealing` must be .*Received: 0.1"):
        RiemannianAdam(annealing=0.1)
