"""What RiemannianAdam and RiemannianSGD share, and the latter's own rule."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from benchmarks import geometry_oracle
from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, NormalCoordinates, PoincareBall

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients are taken with tf.GradientTape"
)

from hyperperturb.nn import RiemannianAdam, RiemannianSGD, set_manifold  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BOTH = [RiemannianAdam, RiemannianSGD]
Loss = Callable[[Any], Any]


def marked(points: np.ndarray, space: Manifold, dtype: str = "float64") -> Any:
    return set_manifold(keras.Variable(points, dtype=dtype), space)


def attraction(space: Manifold, targets: np.ndarray) -> Loss:
    """Sum over rows of half the mean squared distance to the targets."""
    targets = tf.constant(targets)
    return lambda x: tf.reduce_sum(tf.reduce_mean(tf.square(space.pairwise_dist(x, targets)), axis=-1) / 2)


def take(optimizer: Any, variable: Any, loss: Loss, steps: int, *, watch: Any = None) -> tuple[Any, Any]:
    """Take steps inside one loop compiled by XLA; return the last value and the greatest of what is watched."""
    optimizer.build([variable])
    watch = watch or (lambda x: tf.zeros((), x.dtype))

    @tf.function(jit_compile=True)
    def loop() -> Any:
        worst = watch(variable.value)
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                value = loss(variable.value)
            optimizer.apply([tape.gradient(value, variable.value)], [variable])
            worst = tf.maximum(worst, watch(variable.value))
        return worst

    worst = loop()
    return variable.numpy(), worst.numpy()


def walk(optimizer: Any, variable: Any, loss: Loss, steps: int) -> np.ndarray:
    """Return the points after every step, the start included."""
    optimizer.build([variable])

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            value = loss(variable.value)
        optimizer.apply([tape.gradient(value, variable.value)], [variable])

    path = [variable.numpy()]
    for _ in range(steps):
        step()
        path.append(variable.numpy())
    return np.stack(path)


# -- the rule of RiemannianSGD ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.8, False), (0.8, True)])
def test_sgd_takes_the_path_worked_out_in_50_digits(momentum: float, nesterov: bool) -> None:
    c, rate = 0.7, 0.25
    space, ball = PoincareBall(c), geometry_oracle.Ball(c)
    start, target = space.random(2, 3, seed=1, scale=1.5, dtype="float64")
    x, a = geometry_oracle.exact(start), geometry_oracle.exact(target)
    m, by_hand = [mpmath.mpf(0)] * 3, [start]
    for _ in range(15):
        # The Riemannian gradient of d(x, a)²/2 is -log_x(a).
        descent = geometry_oracle.scale(rate, ball.logmap(x, a))
        m = geometry_oracle.plus(geometry_oracle.scale(momentum, m), descent)
        ahead = geometry_oracle.plus(geometry_oracle.scale(momentum, m), descent) if nesterov else m
        y = ball.expmap(x, ahead)
        x, m = y, ball.ptransp(x, y, m)
        by_hand.append(geometry_oracle.floats(x))
    optimizer = RiemannianSGD(rate, momentum=momentum, nesterov=nesterov)
    ours = walk(optimizer, marked(start[None], space), attraction(space, target[None]), 15)
    np.testing.assert_allclose(ours[:, 0], by_hand, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {"clipnorm": 0.05}],
    ids=str,
)
def test_unmarked_variables_follow_keras_sgd(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    start, features = rng.standard_normal((4, 3)), tf.constant(rng.standard_normal((5, 4)))
    loss = lambda w: tf.reduce_mean(tf.square(features @ w - 1.0))  # noqa: E731
    ours, theirs = (
        walk(kind(0.05, **options), keras.Variable(start, dtype="float64"), loss, 20)
        for kind in (RiemannianSGD, keras.optimizers.SGD)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_weight_decay_and_moving_averages_are_for_flat_variables_only() -> None:
    ball = PoincareBall(1.0)
    start, loss = ball.random(5, 3, seed=0, dtype="float64"), attraction(ball, np.zeros((1, 3)))
    with_decay, without = (
        walk(RiemannianSGD(0.1, weight_decay=decay), marked(start, ball), loss, 5) for decay in (0.5, None)
    )
    np.testing.assert_array_equal(with_decay, without)
    with pytest.raises(ValueError, match="use_ema"):
        RiemannianSGD(use_ema=True).build([marked(start, ball)])


def test_sgd_configuration_round_trip() -> None:
    optimizer = RiemannianSGD(
        0.3, momentum=0.5, nesterov=True, exact=False, clip_riemannian_norm=2.0, weight_decay=0.1
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, RiemannianSGD)
    assert copy.get_config() == optimizer.get_config()
    assert (copy.momentum, copy.exact, copy.clip_riemannian_norm) == (0.5, False, 2.0)


# -- sparse gradients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [PoincareBall(1.0), Lorentz(1.0), Euclidean()], ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sparse_rows_of_sgd_take_the_dense_path_and_leave_the_others(
    space: Manifold, momentum: float
) -> None:
    start = space.random(6, space.ambient_dim(3), seed=0)
    target = tf.constant(space.random(1, space.ambient_dim(3), seed=1))
    items, count = tf.constant([4, 1, 2, 4, 4]), tf.constant([0.0, 1.0, 1.0, 0.0, 3.0, 0.0])
    how = {"momentum": momentum, "clip_riemannian_norm": 1.0}

    def sparse(x: Any) -> Any:
        return tf.reduce_sum(tf.square(space.dist(tf.gather(x, items), target)))

    def dense(x: Any) -> Any:
        return tf.reduce_sum(count * tf.square(space.dist(x, target)))

    one, other = (
        walk(RiemannianSGD(0.05, **how), marked(start, space, "float32"), loss, 10)[-1]
        for loss in (sparse, dense)
    )
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)
    assert np.array_equal(one[[0, 3, 5]], start[[0, 3, 5]])
    assert np.all(np.any(one != start, axis=1)[[1, 2, 4]])


@pytest.mark.parametrize("make", [RiemannianAdam, lambda rate: RiemannianSGD(rate, momentum=0.9)])
@pytest.mark.parametrize("space", [PoincareBall(1.0), Euclidean()], ids=repr)
def test_nothing_of_the_size_of_the_table_is_formed(make: Any, space: Manifold) -> None:
    size = 54_321
    variable = marked(np.zeros((size, 2)), space, "float32")
    optimizer = make(0.1)
    optimizer.build([variable])

    @tf.function
    def step(items: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(variable.value, items) ** 2)
        optimizer.apply([tape.gradient(loss, variable.value)], [variable])

    graph = step.get_concrete_function(tf.constant([3, 1])).graph
    large = [
        (op.type, out.shape)
        for op in graph.get_operations()
        for out in op.outputs
        if out.dtype != tf.resource and out.shape.rank and size in out.shape.as_list()
    ]
    assert len(graph.get_operations()) > 20
    assert not large


# -- clipping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [PoincareBall(0.3), Lorentz(1.0), Euclidean()], ids=repr)
def test_no_point_moves_further_than_the_clipped_gradient_says(space: Manifold) -> None:
    """A pull of 1 000 d²/2 is far too strong; points nearer than the limit, and other rows, are not touched."""
    points = space.random(40, space.ambient_dim(3), seed=0, scale=1.0, dtype="float64")
    origin = space.origin(1, space.ambient_dim(3), dtype="float64")
    strength = np.where(np.arange(40) % 2, 1000.0, 1e-3)
    strength = tf.constant(strength)

    def loss(x: Any) -> Any:
        return tf.reduce_sum(strength * tf.square(space.dist(x, tf.constant(origin))) / 2)

    clipped, free = (
        walk(RiemannianSGD(0.1, clip_riemannian_norm=clip), marked(points, space), loss, 1)
        for clip in (0.5, None)
    )
    moved = space.dist(clipped[0], clipped[1])
    np.testing.assert_allclose(moved[1::2], 0.05, rtol=1e-6)
    np.testing.assert_allclose(clipped[1][::2], free[1][::2], atol=1e-14)
    towards = space.logmap(points, np.broadcast_to(origin, points.shape))
    np.testing.assert_allclose(
        space.inner(points, towards, space.logmap(points, clipped[1])),
        space.norm(points, towards) * moved,
        rtol=1e-6,
    )


@pytest.mark.parametrize("make", BOTH, ids=lambda make: make.__name__)
@pytest.mark.parametrize("model", [PoincareBall, Lorentz])
def test_clipping_measures_in_the_metric_so_isometries_keep_the_path(make: Any, model: Any) -> None:
    """Moved by an isometry, start and targets give the moved path; Keras' ``clipnorm`` does not."""
    space = model(1.0)
    ambient = space.ambient_dim(3)
    points = space.random(6, ambient, seed=2, scale=0.7, dtype="float64")
    moved = space.mobius_add(space.random(1, ambient, seed=5, scale=1.0, dtype="float64"), points)

    def distances(points: np.ndarray, **options: Any) -> np.ndarray:
        loss = attraction(space, points[2:])
        # Two rows; the second weighs little, so that one is clipped and the other is not.
        weights = tf.constant([[3.0], [0.05]], tf.float64)
        path = walk(
            make(0.1, **options),
            marked(points[:2], space),
            lambda x: loss(weights * x + (1.0 - weights) * tf.stop_gradient(x)),
            20,
        )
        return space.dist(path[:, :, None], points[None, None, 2:])

    one, other = (distances(p, clip_riemannian_norm=0.5) for p in (points, moved))
    np.testing.assert_allclose(one, other, atol=1e-7)
    assert np.abs(one - distances(points)).max() > 0.01, "nothing was clipped"
    if make is RiemannianSGD and model is PoincareBall:
        one, other = (distances(p, clipnorm=0.1) for p in (points, moved))
        assert np.abs(one - other).max() > 0.02


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_clip_norm_must_be_positive(value: float) -> None:
    with pytest.raises(ValueError, match="Received: clip_riemannian_norm"):
        RiemannianAdam(clip_riemannian_norm=value)


# -- convergence, and far too large a learning rate --------------------------------------------------------------


def karcher_mean(space: Manifold, points: np.ndarray) -> np.ndarray:
    """The Fréchet mean by its own fixed-point iteration, without an optimizer (H. Karcher 1977)."""
    mean = points[:1]
    for _ in range(500):
        step = space.logmap(np.broadcast_to(mean, points.shape), points).mean(axis=0, keepdims=True)
        mean = space.expmap(mean, 0.5 * step)  # far apart points: the curvature of the sum exceeds 2
    assert space.norm(mean, step).max() < 1e-12
    return mean


@pytest.mark.slow
@pytest.mark.parametrize("make", BOTH, ids=lambda make: make.__name__)
@pytest.mark.parametrize("space", [PoincareBall(1.0), Lorentz(0.5)], ids=repr)
def test_finds_the_frechet_mean_of_a_thousand_points(make: Any, space: Manifold) -> None:
    targets = space.random(1000, space.ambient_dim(5), seed=0, dtype="float64")
    start = space.random(3, space.ambient_dim(5), seed=1, scale=1.5, dtype="float64")
    decay = keras.optimizers.schedules.CosineDecay(0.2, 500)
    optimizer = make(decay) if make is RiemannianAdam else make(decay, momentum=0.5)
    found, _ = take(optimizer, marked(start, space), attraction(space, targets), 500)
    assert space.dist(found, karcher_mean(space, targets)).max() < 1e-6


def outside(space: Manifold) -> Callable[[Any], Any]:
    """A number that is at most 1 while all rows are points of the manifold, and NaN spreads."""
    if isinstance(space, PoincareBall):
        return lambda x: tf.reduce_max(tf.sqrt(space.c * tf.reduce_sum(tf.square(x), axis=-1)))
    if not isinstance(space, Lorentz):
        return lambda x: 0.0 * tf.reduce_sum(x)

    def off(x: Any) -> Any:
        x = tf.cast(x, tf.float64)
        time = tf.sqrt(1.0 / space.c + tf.reduce_sum(tf.square(x[:, 1:]), axis=-1))
        return tf.cast(tf.reduce_max(tf.abs(x[:, 0] / time - 1.0)) / 4e-6, tf.float32)

    return off


@pytest.mark.slow
@pytest.mark.parametrize("make", BOTH, ids=lambda make: make.__name__)
@pytest.mark.parametrize("space", [PoincareBall(1.0), Lorentz(1.0), NormalCoordinates(1.0)], ids=repr)
def test_never_leaves_the_manifold_in_ten_thousand_steps_ten_times_too_large(
    make: Any, space: Manifold
) -> None:
    """Thrown across the space at every step and, half of the points, also pushed outwards; in float32."""
    targets = space.random(20, space.ambient_dim(3), seed=1)
    start = space.random(20, space.ambient_dim(3), seed=0)
    inner = attraction(space, targets)
    # Descent on half the squared distance is stable below 2 (SGD); Adam's steps are as long as the rate.
    optimizer = make(3.0) if make is RiemannianAdam else make(20.0, momentum=0.9)
    variable = marked(start, space, "float32")
    found, worst = take(
        optimizer,
        variable,
        lambda x: inner(x[:10]) - tf.reduce_sum(space.dist0(x[10:])),
        10_000,
        watch=outside(space),
    )
    assert worst <= 1.0
    assert space.check_point(found)
    assert np.isfinite(np.concatenate([v.numpy().ravel() for v in optimizer.variables])).all()
    assert space.dist0(found[10:]).min() > 10.0


def balanced_tree(branching: int, depth: int) -> np.ndarray:
    """All path lengths of a balanced tree."""
    parents = [-1]
    level = [0]
    for _ in range(depth):
        level = [
            len(parents) + i
            for i in range(branching * len(level))
            if not parents.append(level[i // branching])
        ]
    lines = []
    for node in range(len(parents)):
        line = [node]
        while parents[line[-1]] >= 0:
            line.append(parents[line[-1]])
        lines.append(line)
    lengths = np.zeros((len(parents),) * 2)
    for i, one in enumerate(lines):
        for j, other in enumerate(lines):
            shared = len(set(one) & set(other))
            lengths[i, j] = len(one) + len(other) - 2 * shared
    return lengths


def mean_average_precision(distance: np.ndarray, neighbours: np.ndarray) -> float:
    """The mean over nodes of the precision at each of their neighbours, nearest first."""
    scores = []
    for row, near in zip(distance, neighbours, strict=True):
        rank = (row[near][:, None] >= row[None]).sum(axis=1) - 1  # the node itself does not count
        scores.append(np.mean(np.arange(1, near.sum() + 1) / np.sort(rank)))
    return float(np.mean(scores))


@pytest.mark.slow
@pytest.mark.parametrize("make", BOTH, ids=lambda make: make.__name__)
def test_embeds_a_tree_in_two_dimensions(make: Any) -> None:
    """A balanced tree of 40 nodes; the loss of an edge is that of picking its end among all nodes by exp(−d/0.3)."""
    lengths = balanced_tree(3, 3)
    edges = tf.constant(lengths == 1, tf.float32)
    itself = tf.constant(1e9 * np.eye(len(lengths)), tf.float32)

    def quality(space: Manifold) -> tuple[float, float]:
        """Mean average precision, and average distortion of the distances scaled to those of the tree."""

        def loss(x: Any) -> Any:
            score = -space.pairwise_dist(x) / 0.3
            return tf.reduce_sum(edges * (tf.reduce_logsumexp(score - itself, axis=1, keepdims=True) - score))

        start = space.random(len(lengths), 2, seed=0, scale=0.1)
        rate = keras.optimizers.schedules.CosineDecay(0.03, 600)
        optimizer = (
            make(rate) if make is RiemannianAdam else make(rate, momentum=0.9, clip_riemannian_norm=1.0)
        )
        found, _ = take(optimizer, marked(start, space, "float32"), loss, 600)
        distance = space.pairwise_dist(found.astype("float64"))
        off = ~np.eye(len(lengths), dtype=bool)
        scale = distance[off] / lengths[off]
        return mean_average_precision(distance, lengths == 1), float(
            np.abs(scale / scale.mean() - 1.0).mean()
        )

    precision, distortion = quality(PoincareBall(1.0))
    flat_precision, flat_distortion = quality(Euclidean())
    assert distortion < 0.8 * flat_distortion, (distortion, flat_distortion)
    if make is RiemannianAdam:
        assert precision > 0.99
        assert precision > flat_precision - 1e-9
    else:  # one rate for all points: near neighbours are told apart a little worse, in either space
        assert precision > 0.95


# -- several devices, another backend --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: Any) -> Callable[..., dict[str, np.ndarray]]:
    """Run the training script in a process of its own."""

    def run(*arguments: str, backend: str) -> dict[str, np.ndarray]:
        result = tmp_path_factory.mktemp("training") / f"{backend}.npz"
        script = Path(__file__).with_name("riemannian_training.py")
        environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, str(script), str(result), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(result) as arrays:
            return dict(arrays)

    return run


@pytest.mark.slow
def test_two_devices_and_jax_take_the_path_of_one_device(trained: Any) -> None:
    """Through ``fit``, with sparse rows, clipping, momentum and noise: tables on two manifolds and a dense layer."""
    found = trained("mirrored", backend="tensorflow")
    names = sorted({key.rpartition("/")[2] for key in found})
    assert len(names) == 5
    for optimizer in ("adam", "sgd"):
        losses = found[f"{optimizer}/single/0"]
        assert losses[-1] < 0.7 * losses[0]
        for name in names:
            single, mirrored = (found[f"{optimizer}/{kind}/{name}"] for kind in ("single", "mirrored"))
            np.testing.assert_allclose(mirrored, single, rtol=0, atol=1e-5)
    pytest.importorskip("jax")
    other = trained(backend="jax")
    for optimizer in ("adam", "sgd"):
        for name in names:
            np.testing.assert_allclose(
                other[f"{optimizer}/single/{name}"], found[f"{optimizer}/single/{name}"], rtol=0, atol=1e-4
            )
