"""What the geometry costs: every operation beside geoopt's, all-pairs distances, one optimizer step.

Operations: 100,000 points of 16 dimensions (17 coordinates on the hyperboloid), float32, c = 1, forwards. Ours
and geoopt's run in a process each (``geometry_worker.py``), on the same points and as many threads, and take turns:
some calls of the one, some of the other, several rounds. A cell is the median of all calls in milliseconds;
``times`` is geoopt / ours under XLA. ``nothing`` is the same call on one point, ``copy`` reads the array and writes
it once: no operation that reads and writes such an array can be faster than that. Memory is the rise of the resident
memory during a call, result included. The error is the largest of a row of the result against our formulas in float64,
relative to its length. ``near`` are points 0.001 apart. Where a GPU is visible, the table is printed for it too.

All-pairs distances: ``broadcast`` is ``dist`` on an (n, m, d) temporary; ``float32 Gram`` is the same matrix product
formed in float32, which is wrong for near points (see ``docs/geometry.md``). Shortest of N calls in milliseconds
(other work only adds to it), forwards and with the gradient, as a TensorFlow graph and compiled by XLA. The optimizer
likewise.

Run: ``python benchmarks/geometry_speed.py [--peer-python PYTHON] [--rounds N] [--calls N] [--repeats N]
[--only TEXT]``, where PYTHON is an interpreter with geoopt and PyTorch (``pip install geoopt torch``); without it
our side alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._report import header  # noqa: E402  (the path above comes first)
from benchmarks.geometry_worker import our_operations  # noqa: E402
from hyperperturb.manifolds import Lorentz, PoincareBall, poincare, safe  # noqa: E402

BALL = PoincareBall(1.0)
POINTS, DIM = 100_000, 16


class Worker:
    """A process of one side, with its standard input and output."""

    def __init__(self, python: str, side: str, points: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "geometry_worker.py"), side, str(points)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def make_points() -> dict[str, np.ndarray]:
    """Return the arrays that both sides work on: small letters on the ball, capitals on the hyperboloid."""
    rng, hyperboloid = np.random.default_rng(0), Lorentz(1.0)
    x, y = BALL.random(2, POINTS, DIM, seed=rng, scale=0.5)
    v = 0.1 * rng.standard_normal((POINTS, DIM)).astype("float32")
    big_x, big_y = BALL.to_lorentz(x), BALL.to_lorentz(y)
    ambient = 0.1 * rng.standard_normal((2, POINTS, DIM + 1)).astype("float32")
    sets = POINTS // 100
    near = BALL.expmap(x, v * (1e-3 / BALL.norm(x, v, keepdims=True)))
    return {
        "one": x[:1],
        "x": x,
        "y": y,
        "v": v,
        "near": near,
        "X": big_x,
        "Y": big_y,
        "V": hyperboloid.proju(big_x, ambient[0]),
        "W": hyperboloid.proju(big_x, ambient[1]),
        "V0": hyperboloid.from_space(v),
        "NEAR": BALL.to_lorentz(near),
        "matrix": 0.2 * rng.standard_normal((DIM, DIM)).astype("float32"),
        "sets": x.reshape(sets, 100, DIM),
        "weights": rng.random((sets, 100), dtype=np.float32),
    }


def largest_error(path: Path, operation: str, points: dict[str, np.ndarray]) -> float:
    """Return the largest error of a row of a result against float64, relative to its length (or the median row's)."""
    function, names = our_operations()[operation]
    true = np.asarray(function(*(points[name].astype(np.float64) for name in names.split())))
    got = np.load(path).astype(np.float64).reshape(true.shape)
    rows = (-1, true.shape[-1] if true.ndim > 1 else 1)
    error, length = (np.linalg.norm(a.reshape(rows), axis=-1) for a in (got - true, true))
    return float(np.max(error / np.maximum(length, np.median(length))))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the table of operations, ours beside geoopt's, for each device."""
    points = make_points()
    np.savez(folder / "points.npz", **points)
    threads = str(arguments.threads)
    limits = {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
    sides = {
        "ours": Worker(
            sys.executable,
            "ours",
            folder / "points.npz",
            {"KERAS_BACKEND": arguments.backend, "JAX_ENABLE_X64": "1", **limits},
        )
    }
    if arguments.peer_python:
        sides["geoopt"] = Worker(arguments.peer_python, "geoopt", folder / "points.npz", limits)
    hello = {name: worker.ask(do="hello") for name, worker in sides.items()}
    for name, reply in hello.items():
        if "error" in reply:
            raise SystemExit(f"{name}: {reply['error']}")
    print(
        "Operations: "
        + "; ".join(reply["label"] for reply in hello.values())
        + f"; {POINTS:,} x {DIM} points, float32, {threads} threads each"
        + ", processor time" * arguments.processor_time
    )
    ways = [("ours", "eager"), ("ours", "xla")]
    ways += [
        ("geoopt", way) for way in ("eager", "compiled")[: 1 + arguments.torch_compile] if "geoopt" in sides
    ]
    for device in hello["ours"]["devices"]:
        ratios = []
        heads = [f"{name}, {way}" for name, way in ways]
        heads += ["times", "MB, ours", "MB, geoopt", "error, ours", "error, geoopt"]
        print(f"\n| {device.upper()} | " + " | ".join(heads) + " |")
        print("|---" * (len(heads) + 1) + "|")
        for operation in hello["ours"]["operations"]:
            if arguments.only not in operation:
                continue
            row = measure(
                sides, [w for w in ways if device in hello[w[0]]["devices"]], operation, device, arguments
            )
            errors = {}
            for name, worker in sides.items():
                request = {"operation": operation, "way": "eager", "device": device}
                if "error" not in worker.ask(do="save", path=str(folder / "result.npy"), **request):
                    errors[name] = largest_error(folder / "result.npy", operation, points)
                else:
                    print(f"{name}, {operation}: failed", file=sys.stderr)
            for name, way in ways:
                sides[name].ask(do="forget", operation=operation, way=way, device=device)
            ratio = row.get(("geoopt", "eager"), 0.0) / row.get(("ours", "xla"), np.inf)
            if ratio and operation not in ("nothing", "copy"):
                ratios.append(ratio)
            cells = [f"{row[way]:.2f}" if way in row else "–" for way in ways]
            cells += [f"{ratio:.1f}" if ratio else "–"]
            cells += [f"{row[name, 'MB']:.0f}" if (name, "MB") in row else "–" for name in ("ours", "geoopt")]
            cells += [f"{errors[name]:.0e}" if name in errors else "–" for name in ("ours", "geoopt")]
            print(f"| {operation} | " + " | ".join(cells) + " |", flush=True)
        if ratios:
            reached = sum(ratio >= 3.0 for ratio in ratios)
            print(
                f"\n{device.upper()}: {reached} of {len(ratios)} operations at least 3 times as fast under XLA,"
                f" {sum(r >= 1.0 for r in ratios)} at least as fast; median {statistics.median(ratios):.1f} times."
            )
    for worker in sides.values():
        worker.close()


def measure(
    sides: dict[str, Worker],
    ways: list[tuple[str, str]],
    operation: str,
    device: str,
    arguments: argparse.Namespace,
) -> dict[tuple[str, str], float]:
    """Return the median milliseconds of each way to run an operation, and the megabytes of each side."""
    times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    row: dict[tuple[str, str], float] = {}
    for _ in range(arguments.rounds):
        for name, way in ways:
            request = {"do": "time", "operation": operation, "way": way, "device": device}
            reply = sides[name].ask(**request, calls=arguments.calls, processor=arguments.processor_time)
            if "error" in reply:
                print(f"{name}, {way}, {operation}: {reply['error']}", file=sys.stderr)
            times[name, way] += reply.get("ms", [])
    for name in sides:
        way = "xla" if name == "ours" else "eager"
        if device == "cpu" and times.get((name, way)):
            peaks = [
                sides[name].ask(do="memory", operation=operation, way=way, device=device) for _ in range(3)
            ]
            row[name, "MB"] = statistics.median(reply.get("bytes", 0) for reply in peaks) / 1e6
    return row | {way: statistics.median(values) for way, values in times.items() if values}


def gram_in_float32(x: Any, y: Any) -> Any:
    """Return all distances from a Gram matrix formed in float32."""
    import tensorflow as tf

    scale = safe.sum_squares(x) + tf.transpose(safe.sum_squares(y))
    square = safe.exact_zero(scale - 2.0 * tf.matmul(x, y, transpose_b=True), scale, "float32")
    one = tf.constant(1.0)
    ratio = safe.sqrt(square / safe.gap(x, one) / tf.transpose(safe.gap(y, one)))
    return 2.0 * safe.arsinh_scaled(ratio, one)


def best_ms(function: Callable[[], Any], repeats: int) -> float:
    """Return the shortest time of a call in milliseconds, after two calls to warm up."""
    import tensorflow as tf

    times = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        np.asarray(tf.nest.flatten(function())[0])
        times += [time.perf_counter() - start] if i > 1 else []
    return 1e3 * min(times)


def pairwise_table(repeats: int) -> None:
    """Print the times of the ways to all distances."""
    import tensorflow as tf

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
    import keras
    import tensorflow as tf

    from hyperperturb.nn import RiemannianAdam, set_manifold

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
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="an interpreter that has geoopt and PyTorch")
    parser.add_argument(
        "--backend", choices=["tensorflow", "jax"], default="tensorflow", help="of the operations"
    )
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="of each side in the operations"
    )
    parser.add_argument(
        "--processor-time", action="store_true", help="not wall time: for a busy machine, with --threads 1"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=8, help="of one side before it is the other's turn")
    parser.add_argument("--repeats", type=int, default=30, help="calls in the other tables")
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations whose name contains it")
    parser.add_argument(
        "--torch-compile", action="store_true", help="geoopt under torch.compile as well (slow)"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(header("numpy", note="milliseconds"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))
    if not arguments.only:
        import tensorflow as tf

        print(f"\nAll pairs and optimizers: TensorFlow {tf.__version__}\n")
        pairwise_table(arguments.repeats)
        optimizer_table(arguments.repeats)


if __name__ == "__main__":
    main()
