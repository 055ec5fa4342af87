"""How accurate the manifold operations are: errors against a 50-digit oracle, as a Markdown table.

Points lie at all combinations of distance from the origin and from each other between 1e-6 and 12 in random directions,
for c in {1e-4, 0.1, 1, 10}. They are rounded to the dtype first and then taken as exact: the table shows what
the operations add to the rounding of their input. What matters is the distance in units of the curvature
radius, ``sqrt(c) d``; the columns are bands of the larger ``sqrt(c) d`` from the origin of the two points. The
same pairs are used for both models: those within the reach of the ball, whose points end at
``sqrt(c) d = 14.5`` (float32) and 28.3 (float64).

Run: ``python benchmarks/geometry_accuracy.py [--points N] [--backend keras]``
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import geometry_oracle as oracle  # noqa: E402  (the path above comes first)
from hyperperturb.manifolds import Lorentz, PoincareBall, safe  # noqa: E402

CURVATURES = (1e-4, 0.1, 1.0, 10.0)
DISTANCES = (1e-6, 1e-3, 0.1, 1.0, 3.0, 6.0, 9.0, 12.0)
BANDS = (1.0, 4.0, 8.0, 12.0, 28.0)
OPERATIONS = ("dist", "expmap", "logmap", "ptransp")


def cases(c: float, dtype: str, repeats: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of points of the ball, rounded to the dtype, within its reach."""
    rng = np.random.default_rng(seed)
    ball = PoincareBall(c)
    limit = 1.0 - 2.0 * safe.boundary_eps(dtype)
    for radius in DISTANCES:
        for separation in DISTANCES:
            for _ in range(repeats):
                u, v = rng.standard_normal((2, 4))
                x = ball.expmap0(0.5 * radius * u / np.linalg.norm(u))
                y = ball.expmap(x, separation * v / ball.norm(x, v))
                if np.sqrt(c) * max(np.linalg.norm(x), np.linalg.norm(y)) < limit:
                    x, y = x.astype(dtype), y.astype(dtype)
                    if not np.array_equal(x, y):
                        yield x, y


def relative(got: np.ndarray, true: np.ndarray, scale: float | None = None) -> float:
    """Return the Euclidean error relative to ``scale``, the true vector's length if not given."""
    return float(np.linalg.norm(np.asarray(got, np.float64) - true) / (scale or np.linalg.norm(true)))


def errors(model: str, c: float, x: np.ndarray, y: np.ndarray, as_input: Any) -> dict[str, float]:
    """Return the relative error of each operation for one pair of points of the ball."""
    space = PoincareBall(c) if model == "ball" else Lorentz(c)
    true = oracle.Ball(c) if model == "ball" else oracle.Hyperboloid(c)
    if model == "hyperboloid":
        x, y = (PoincareBall(c).to_lorentz(p.astype(np.float64)).astype(x.dtype) for p in (x, y))
    exact_x, exact_y = oracle.exact(x), oracle.exact(y)
    distance = true.dist(exact_x, exact_y)
    if distance == 0:  # rounded onto each other
        return {}
    v = oracle.floats(true.logmap(exact_x, exact_y)).astype(x.dtype)
    exact_v = true.tangent(exact_x, oracle.exact(v))
    along = oracle.floats(true.expmap(exact_x, exact_v))
    carried = oracle.floats(true.ptransp(exact_x, exact_y, exact_v))
    back = oracle.floats(true.logmap(exact_x, exact_y))
    a, b, w = as_input(x), as_input(y), as_input(v)
    size = max(np.linalg.norm(along), np.linalg.norm(x.astype(np.float64)))
    return {
        "dist": abs(float(space.dist(a, b)) / float(distance) - 1.0),
        "expmap": relative(space.expmap(a, w), along, size),
        "logmap": relative(space.logmap(a, b), back),
        "ptransp": relative(space.ptransp(a, b, w), carried),
    }


def measure(dtype: str, model: str, repeats: int, as_input: Any) -> dict[tuple[str, float], float]:
    """Return the largest error of each operation in each band."""
    worst: dict[tuple[str, float], float] = defaultdict(float)
    for c in CURVATURES:
        for x, y in cases(c, dtype, repeats):
            far = max(float(PoincareBall(c).dist0(p.astype(np.float64))) for p in (x, y)) * np.sqrt(c)
            band = next(b for b in BANDS if far <= b * 1.001 or b == BANDS[-1])
            for operation, error in errors(model, c, x, y, as_input).items():
                worst[operation, band] = max(worst[operation, band], error)
    return worst


def gram_table() -> None:
    """Print the error of all-pairs distances for near points, as a share of the true distance."""
    separations = (1e-1, 1e-3, 1e-5, 1e-7)
    print("\n| `pairwise_dist`, 16-d, c = 1 | " + " | ".join(f"apart {s:g}" for s in separations) + " |")
    print("|---" * (1 + len(separations)) + "|")
    rng = np.random.default_rng(0)
    for dtype in ("float64", "float32"):
        for model in ("ball", "hyperboloid"):
            cells = []
            for separation in separations:
                ball, x = (
                    PoincareBall(1.0),
                    PoincareBall(1.0).random(200, 16, seed=0, scale=0.5, dtype="float64"),
                )
                direction = rng.standard_normal(x.shape)
                step = direction * (separation / ball.norm(x, direction, keepdims=True))
                x, y = x.astype(dtype), ball.expmap(x, step).astype(dtype)
                space: Any = ball
                if model == "hyperboloid":
                    space, x, y = Lorentz(1.0), ball.to_lorentz(x), ball.to_lorentz(y)
                true = space.dist(x.astype("float64"), y.astype("float64"))
                seen = true > 0
                error = np.abs(np.diag(space.pairwise_dist(x, y)) - true)[seen] / true[seen]
                cells.append(f"{error.max():.0e}")
            print(f"| {model}, {dtype} | " + " | ".join(cells) + " |")


def machine() -> str:
    """Return one line on when, where and with what this was measured."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"{today}, {model}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--points", type=int, default=4, help="random directions for each combination of distances"
    )
    parser.add_argument("--backend", choices=["numpy", "keras"], default="numpy")
    arguments = parser.parse_args()
    as_input: Any = np.asarray
    label = "NumPy"
    if arguments.backend == "keras":
        import keras

        as_input, label = (
            keras.ops.convert_to_tensor,
            f"Keras {keras.__version__} on {keras.backend.backend()}",
        )

    print(f"`python benchmarks/geometry_accuracy.py {' '.join(sys.argv[1:])}`".replace(" `", "`"))
    print(f"({machine()}; {label})\n")
    print("| model | dtype | operation | " + " | ".join(f"√c·d ≤ {band:g}" for band in BANDS) + " |")
    print("|---" * (3 + len(BANDS)) + "|")
    for model in ("ball", "hyperboloid"):
        for dtype in ("float64", "float32"):
            worst = measure(dtype, model, arguments.points, as_input)
            for operation in OPERATIONS:
                cells = [f"{worst[operation, b]:.0e}" if (operation, b) in worst else "–" for b in BANDS]
                print(f"| {model} | {dtype} | {operation} | " + " | ".join(cells) + " |")
    gram_table()


if __name__ == "__main__":
    main()
