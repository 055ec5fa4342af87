"""What the hot path costs: ``pairwise_dist`` beside what it replaces, and one step of RiemannianAdam beside Adam.

``broadcast`` is ``dist`` on an (n, m, d) temporary; ``float32 Gram`` is the same matrix product formed in float32,
which is wrong for near points (see ``docs/geometry.md``). Shortest of N calls in milliseconds (other work
only adds to it), float32, 16 dimensions, forwards and with the gradient, as a TensorFlow graph and compiled by XLA.

Run: ``python benchmarks/geometry_speed.py [--repeats N]``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import keras  # noqa: E402  (the path above comes first)
import tensorflow as tf  # noqa: E402

from benchmarks.geometry_accuracy import machine  # noqa: E402
from hyperperturb.manifolds import Lorentz, PoincareBall, poincare, safe  # noqa: E402
from hyperperturb.nn import RiemannianAdam, set_manifold  # noqa: E402

BALL = PoincareBall(1.0)


def gram_in_float32(x: Any, y: Any) -> Any:
    """Return all distances from a Gram matrix formed in float32."""
    scale = safe.sum_squares(x) + tf.transpose(safe.sum_squares(y))
    square = safe.exact_zero(scale - 2.0 * tf.matmul(x, y, transpose_b=True), scale, "float32")
    one = tf.constant(1.0)
    ratio = safe.sqrt(square / safe.gap(x, one) / tf.transpose(safe.gap(y, one)))
    return 2.0 * safe.arsinh_scaled(ratio, one)


def best_ms(function: Callable[[], Any], repeats: int) -> float:
    """Return the shortest time of a call in milliseconds, after two calls to warm up."""
    times = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        np.asarray(tf.nest.flatten(function())[0])
        times += [time.perf_counter() - start] if i > 1 else []
    return 1e3 * min(times)


def pairwise_table(repeats: int) -> None:
    """Print the times of the ways to all distances."""
    methods: dict[str, Callable[[Any, Any], Any]] = {
        "ball, `pairwise_dist`": BALL.pairwise_dist,
        "ball, learnable c": lambda x, y: poincare.pairwise_dist(x, y, c=tf.constant(1.0)),
        "ball, float32 Gram": gram_in_float32,
        "ball, broadcast": lambda x, y: BALL.dist(x[:, None], y[None]),
        "hyperboloid, `pairwise_dist`": Lorentz(1.0).pairwise_dist,
    }
    print("| points | method | graph | with gradient | XLA | with gradient |\n|---|---|---|---|---|---|")
    for n, m in ((512, 512), (4000, 300)):
        for name, method in methods.items():
            points = [BALL.random(k, 16, seed=k, scale=0.5) for k in (n, m)]
            if name.startswith("hyper"):
                points = [BALL.to_lorentz(p) for p in points]
            x, y = (tf.Variable(p) for p in points)
            cells = []
            for jit in (False, True):

                @tf.function(jit_compile=jit)
                def forward(method: Any = method, x: Any = x, y: Any = y) -> Any:
                    return method(tf.convert_to_tensor(x), tf.convert_to_tensor(y))

                @tf.function(jit_compile=jit)
                def backward(method: Any = method, x: Any = x, y: Any = y) -> Any:
                    with tf.GradientTape() as tape:
                        loss = tf.reduce_mean(method(tf.convert_to_tensor(x), tf.convert_to_tensor(y)))
                    return tape.gradient(loss, [x, y])

                cells += [f"{best_ms(f, repeats):.1f}" for f in (forward, backward)]
            print(f"| {n} x {m} | {name} | " + " | ".join(cells) + " |", flush=True)


def optimizer_table(repeats: int) -> None:
    """Print the time of one optimizer step on a table of points with a given gradient."""
    print("\n| optimizer, 10,000 x 16 points | graph | XLA |\n|---|---|---|")
    kinds = {
        "`keras.optimizers.Adam`": lambda: keras.optimizers.Adam(1e-3),
        "`RiemannianAdam`": lambda: RiemannianAdam(1e-3),
        "`RiemannianAdam(exact=False)`": lambda: RiemannianAdam(1e-3, exact=False),
    }
    gradient = tf.constant(np.random.default_rng(0).standard_normal((10_000, 16)), "float32")

    def step_of(make: Callable[[], Any], jit: bool) -> Callable[[], Any]:
        variable = set_manifold(keras.Variable(BALL.random(10_000, 16, seed=0)), BALL)
        optimizer = make()
        optimizer.build([variable])

        @tf.function(jit_compile=jit)
        def step() -> Any:
            optimizer.apply([gradient], [variable])
            return variable.value[0]

        return step

    for name, make in kinds.items():
        cells = [f"{best_ms(step_of(make, jit), repeats):.1f}" for jit in (False, True)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    print(f"`python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}`".replace(" `", "`"))
    print(f"({machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}; milliseconds)\n")
    pairwise_table(repeats)
    optimizer_table(repeats)


if __name__ == "__main__":
    main()
