"""The STDP rule and the layer that follows it: window, traces, proximal step, off is a plain Dense."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import ops  # noqa: E402

from hyperperturb.nn import STDP, PlasticDense  # noqa: E402
from hyperperturb.nn.plasticity import soft_threshold  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)


def pulses(rule: STDP, lag: int) -> float:
    """Sum of the changes when the input is active once, and the unit once, ``lag`` steps later."""
    first = 0 if lag >= 0 else -lag
    pre_trace = post_trace = ops.zeros((1,))
    total = 0.0
    for t in range(20):
        pre = ops.convert_to_tensor([[float(t == first)]])
        post = ops.convert_to_tensor([[float(t == first + lag)]])
        change, pre_trace, post_trace = rule.change(pre, post, pre_trace, post_trace)
        total += float(change[0, 0])
    return total


@pytest.mark.parametrize("lag", [0, 1, 3, 7, -1, -3, -7])
def test_the_window_is_the_textbooks(lag):
    rule = STDP(0.1, tau_plus=3.0, tau_minus=5.0)
    want = np.exp(-lag / 3.0) if lag >= 0 else -rule.amplitude_minus * np.exp(lag / 5.0)
    assert pulses(rule, lag) == pytest.approx(want, rel=1e-5)
    assert rule.window(lag) == pytest.approx(want, rel=1e-12)
    assert (pulses(rule, lag) > 0) == (lag >= 0)


def test_the_window_is_balanced():
    """Its halves have the same area: activity that goes on all the time leaves nothing behind."""
    rule = STDP(0.1, tau_plus=3.0, tau_minus=5.0)
    assert sum(rule.window(k) for k in range(-200, 200)) == pytest.approx(0.0, abs=1e-9)
    assert sum(STDP(0.1, balance=0.0).window(k) for k in range(-9, 0)) == 0.0
    pre_trace = post_trace = ops.zeros((2,))
    ones = ops.ones((4, 2))
    for _ in range(120):
        change, pre_trace, post_trace = rule.change(ones, ones, pre_trace, post_trace)
    assert np.abs(ops.convert_to_numpy(change)).max() < 1e-4


def test_several_pulses_add_up():
    """All-to-all: the change of trains of pulses is the sum of the window over all their pairs."""
    rng = np.random.default_rng(0)
    rule = STDP(0.1, tau_plus=4.0, tau_minus=2.0)
    pre, post = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    pre_trace, post_trace = np.zeros(3, dtype=np.float32), np.zeros(2, dtype=np.float32)
    total = 0.0
    for x, y in zip(pre.astype(np.float32), post.astype(np.float32), strict=True):
        change, pre_trace, post_trace = rule.change(
            ops.convert_to_tensor(x[None]), ops.convert_to_tensor(y[None]), pre_trace, post_trace
        )
        total = total + ops.convert_to_numpy(change)
    window = np.array([[rule.window(t - s) for t in range(30)] for s in range(30)])
    np.testing.assert_allclose(total, pre.T @ window @ post, atol=2e-4)


def test_causal_weights_are_let_off_and_anti_causal_ones_shrink_twice():
    rule = STDP(0.1, protection=1.0)
    weight = ops.convert_to_tensor([[5.0, -5.0, 5.0, -5.0, 0.0, 1e-4]])
    memory = ops.convert_to_tensor([[1.0, -1.0, -1.0, 1.0, 1.0, 1.0]])
    got = ops.convert_to_numpy(rule.exposure(weight, memory))[0]
    strong = np.tanh(np.sqrt(6 / 4))
    np.testing.assert_allclose(
        got, [1 - strong, 1 - strong, 1 + strong, 1 + strong, 1.0, 1.0], rtol=1e-3, atol=1e-3
    )
    plain = ops.convert_to_numpy(STDP(0.1, protection=0.0).exposure(weight, memory))
    assert (plain == 1.0).all()
    assert (ops.convert_to_numpy(rule.exposure(weight, ops.zeros((1, 6)))) == 1.0).all()


def test_soft_threshold_is_the_proximal_operator():
    """It minimises ½(x − w)² + t|x|, found here on a grid."""
    grid = np.linspace(-3, 3, 60_001)
    for w in (-2.0, -0.3, 0.0, 0.4, 1.7):
        best = grid[np.argmin(0.5 * (grid - w) ** 2 + 0.5 * np.abs(grid))]
        assert float(soft_threshold(ops.convert_to_tensor(w), 0.5)) == pytest.approx(best, abs=2e-4)


def steps(layer: keras.layers.Dense, optimizer, n: int = 5, *, seed: int = 0) -> None:
    """A few training steps towards random outputs, through a model."""
    model = keras.Sequential([layer])
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n * 16, 6)).astype(np.float32)
    y = rng.normal(size=(n * 16, layer.units)).astype(np.float32)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=False)
    if isinstance(layer, PlasticDense):
        layer.follow(model.optimizer)
    model.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)


def test_without_a_rule_it_is_a_plain_dense_bit_for_bit():
    start = keras.initializers.GlorotUniform(seed=3)
    results = []
    for make in (keras.layers.Dense, PlasticDense):
        layer = make(4, activation="tanh", kernel_initializer=start)
        steps(layer, keras.optimizers.Adam(0.01))
        assert len(layer.weights) == 2
        results.append([w.numpy() for w in layer.weights])
    for a, b in zip(*results, strict=True):
        assert (a == b).all()


def test_the_layer_is_gradient_step_then_threshold_and_its_traces_are_the_rules():
    """Plain SGD by hand, with a learning rate schedule; the threshold follows it."""
    rule = STDP(0.5, tau_plus=3.0, tau_minus=6.0, memory=4.0, protection=0.8)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    layer = PlasticDense(3, stdp=rule, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    layer.build((None, 6))
    w, b = layer.kernel.numpy().astype(float), np.zeros(3)
    steps(layer, keras.optimizers.SGD(schedule))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 6)).astype(np.float32), rng.normal(size=(80, 3)).astype(np.float32)
    p, q, memory = np.zeros(6), np.zeros(3), np.zeros((6, 3))
    for t in range(5):
        xb, yb = x[16 * t : 16 * t + 16].astype(float), y[16 * t : 16 * t + 16].astype(float)
        out = xb @ w + b
        change = (
            xb.T @ out / 16
            + np.outer(p, out.mean(axis=0))
            - rule.amplitude_minus * np.outer(xb.mean(axis=0), q)
        )
        p, q = np.exp(-1 / 3) * (p + xb.mean(axis=0)), np.exp(-1 / 6) * (q + out.mean(axis=0))
        memory += (change - memory) / 4
        slope, rate = 2 * (out - yb) / yb.size, 0.1 * 0.5**t
        w, b = w - rate * xb.T @ slope, b - rate * slope.sum(axis=0)
        r = w * memory
        phi = 1 - 0.8 * np.tanh(r / np.sqrt(np.mean(r**2)))
        w = np.sign(w) * np.maximum(np.abs(w) - rate * 0.5 * phi, 0)
    np.testing.assert_allclose(layer.memory.numpy(), memory, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.pre_trace.numpy(), p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.post_trace.numpy(), q, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.kernel.numpy(), w, rtol=1e-4, atol=1e-5)


def test_useless_inputs_lose_their_weights_exactly_and_useful_ones_keep_them():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2048, 8)).astype(np.float32)
    y = (x[:, :2] @ np.array([[1.0], [-2.0]])).astype(np.float32)
    layer = PlasticDense(1, stdp=STDP(0.5))
    model = keras.Sequential([layer])
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse", jit_compile=True)
    layer.follow(model.optimizer)
    model.fit(x, y, batch_size=64, epochs=8, verbose=0)
    kernel = layer.kernel.numpy()[:, 0]
    assert (kernel[2:] == 0).all()
    assert 0.5 < kernel[0] <= 1.02
    assert -2.02 <= kernel[1] < -1.5
    assert layer.active() == 0.25


def test_traces_move_in_training_only_and_stay_float32():
    layer = PlasticDense(3, activation="tanh", stdp=STDP(0.1), dtype="mixed_float16")
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32))
    out = layer(x, training=False)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    assert not layer.memory.numpy().any()
    layer(x, training=True)
    assert layer.memory.numpy().any()
    assert layer.pre_trace.numpy().any()
    assert {str(w.dtype) for w in layer.weights} == {"float32"}
    assert len(layer.trainable_weights) == 2


def test_saving_keeps_rule_and_traces(tmp_path):
    rule = STDP(0.2, tau_plus=5.0, tau_minus=7.0, balance=0.5, memory=10.0, protection=0.9)
    model = keras.Sequential([keras.Input((4,)), PlasticDense(3, activation="tanh", stdp=rule)])
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[0].stdp.get_config() == rule.get_config()
    for a, b in zip(model.weights, again.weights, strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert again.layers[0].memory.numpy().any()


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from hyperperturb.nn import STDP, PlasticDense

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(128, 6)).astype("float32"), rng.normal(size=(128, 3)).astype("float32")
got = []
for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    with tf.distribute.MirroredStrategy(devices).scope():
        start = keras.initializers.GlorotUniform(seed=1)
        layer = PlasticDense(3, activation="tanh", stdp=STDP(0.5, memory=3.0), kernel_initializer=start)
        model = keras.Sequential([keras.Input((6,)), layer])
        model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse", jit_compile=False)
        layer.follow(model.optimizer)
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    got.append([[v.numpy() for v in w.value.values] for w in layer.weights])
for one, two in zip(*got, strict=True):
    assert len(one) == 1 and len(two) == 2
    assert (two[0] == two[1]).all(), "replicas differ"
    np.testing.assert_allclose(two[0], one[0], atol=1e-5)
assert (got[0][0][0] == 0).any() and got[0][4][0].any()
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")
def test_two_replicas_keep_the_traces_of_one(root):
    """Each sees half of the batch; kernel and traces are those of one device with the whole.

    In a process of its own, because TensorFlow divides its devices once.
    """
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], cwd=root, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": -1.0},
        {"strength": 1.0, "tau_plus": 0.0},
        {"strength": 1.0, "tau_minus": -1.0},
        {"strength": 1.0, "memory": 0.5},
        {"strength": 1.0, "protection": 1.5},
    ],
)
def test_senseless_rules_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        STDP(**wrong)
    with pytest.raises(ValueError, match="must be an STDP rule"):
        PlasticDense(3, stdp="yes")
