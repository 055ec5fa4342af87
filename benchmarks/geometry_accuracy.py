"""How accurate the manifold operations are: errors against a 50-digit oracle, as Markdown tables.

Points lie at all combinations of distance from the origin and from each other between 1e-6 and 12, in random
directions, for c in {1e-4, 0.1, 1, 10}, in three dimensions. What matters is the distance in units of the
curvature radius, ``sqrt(c) d``, up to 38.

The first table asks for the true answer: the points in 130 digits, the operation on their coordinates rounded
to the dtype. A pair counts as *representable* for an operation if this rounding alone, all else exact, moves
the answer by less than a quarter of the tolerance (1e-9 in float64, 1e-4 in float32), relative to its length;
the errors are the largest over those pairs, and the table says how many pairs lie beyond the reach of the dtype
and for how many the spacing of its numbers is too wide. The second table takes the rounded coordinates as
exact, whether or not they are the points that were meant. The third compares gradients with central differences
of the oracle.

Run: ``python benchmarks/geometry_accuracy.py [--points N] [--backend keras] [--no-gradients]``
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import geometry_oracle as oracle  # noqa: E402  (the path above comes first)
from benchmarks._report import header  # noqa: E402
from hyperperturb.manifolds import Lorentz, NormalCoordinates, PoincareBall, safe  # noqa: E402

CURVATURES = (1e-4, 0.1, 1.0, 10.0)
DISTANCES = (1e-6, 1e-3, 0.1, 1.0, 3.0, 6.0, 9.0, 12.0)
BANDS = (1.0, 4.0, 8.0, 12.0, 28.0, 38.0, 76.0)
OPERATIONS = ("dist", "expmap", "logmap", "ptransp")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
#: Share of the tolerance that rounding the points alone may use up.
SPARE = 0.25
DIMENSION = 3
MODELS: dict[str, tuple[Any, Any]] = {
    "ball": (PoincareBall, oracle.Ball),
    "hyperboloid": (Lorentz, oracle.Hyperboloid),
    "normal": (NormalCoordinates, oracle.Normal),
}


@dataclass
class Case:
    """Two points and a unit vector at the first, in normal coordinates, in 130 digits."""

    c: float
    radius: float
    separation: float
    x: oracle.Vector
    y: oracle.Vector
    w: oracle.Vector


def cases(c: float, repeats: int, seed: int = 0, every: int = 1) -> Iterator[Case]:
    """Yield every ``every``-th combination of distances, ``repeats`` times."""
    rng = np.random.default_rng([seed, round(1e6 * c)])
    space = oracle.Normal(c)

    def direction() -> oracle.Vector:
        u = oracle.exact(rng.standard_normal(DIMENSION))
        return oracle.scale(1 / oracle.length(u), u)

    pairs = [(r, s) for r in DISTANCES for s in DISTANCES for _ in range(repeats)]
    for radius, separation in pairs[seed % every :: every]:
        x = oracle.scale(mpmath.mpf(radius), direction())
        y = space.expmap(x, oracle.scale(mpmath.mpf(separation), direction()))
        yield Case(c, radius, separation, x, y, direction())


def coordinates(model: str, case: Case) -> tuple[oracle.Vector, oracle.Vector, oracle.Vector] | None:
    """Return the points and the vector of a case in the coordinates of a model."""
    space = oracle.Normal(case.c)
    if model == "normal":
        return case.x, case.y, case.w
    p, q = space.on_sheet(case.x), space.on_sheet(case.y)
    if model == "hyperboloid":
        return p, q, space.sheet.from_origin(p, case.w)
    x, y = (oracle.scale(1 / (1 + space.root * a[0]), a[1:]) for a in (p, q))
    return x, y, oracle.scale(1 / oracle.Ball(case.c).factor(x), case.w)


def within_reach(model: str, c: float, dtype: str, *points: np.ndarray) -> bool:
    """Tell whether rounded points are further in than where the dtype's farthest points are pulled back to."""
    sizes = [
        np.sqrt(c) * float(np.linalg.norm(p[1 if model == "hyperboloid" else 0 :].astype(np.float64)))
        for p in points
    ]
    limit = {
        "ball": 1.0 - 2.0 * safe.boundary_eps(dtype),
        "hyperboloid": 0.9 * safe.reach(dtype),
        "normal": 0.99 * safe.normal_reach(dtype),
    }[model]
    return max(sizes) < limit


def relative(got: Any, true: Any, scale: float | None = None) -> float:
    """Return the Euclidean error relative to ``scale``, the true vector's length if not given."""
    true = np.atleast_1d(true)
    difference = np.linalg.norm(np.atleast_1d(np.asarray(got, np.float64)) - true)
    return float(difference / (scale or np.linalg.norm(true)))


def answers(true: Any, x: Any, y: Any, v: Any, w: Any) -> dict[str, Any]:
    """Return the oracle's results, rounded to float64."""
    return {
        "dist": float(true.dist(x, y)),
        "expmap": oracle.floats(true.expmap(x, v)),
        "logmap": oracle.floats(true.logmap(x, y)),
        "ptransp": oracle.floats(true.ptransp(x, y, w)),
    }


@dataclass
class Outcome:
    """What was found for one pair: the band, and for each operation two errors."""

    band: float
    by_rounding: dict[str, float]
    by_operation: dict[str, float]
    arrays: tuple[np.ndarray, ...]


def evaluate(model: str, case: Case, dtype: str, as_input: Any = np.asarray) -> Outcome | None:
    """Return the errors for one case, None if the points are beyond the reach of the dtype."""
    kind, kind_of_oracle = MODELS[model]
    space, true = kind(case.c), kind_of_oracle(case.c)
    meant = coordinates(model, case)
    v = true.logmap(*meant[:2])
    x, y, w, step = (oracle.floats(a).astype(dtype) for a in (*meant, v))
    if not within_reach(model, case.c, dtype, x, y):
        return None

    def at(x: np.ndarray, y: np.ndarray, w: np.ndarray, v: np.ndarray) -> dict[str, Any]:
        exact = [oracle.exact(a) for a in (x, y, w, v)]
        if model == "hyperboloid":  # Time follows from space, in the package as here.
            exact = [
                true.lift(exact[0]),
                true.lift(exact[1]),
                *(true.tangent(exact[0], a) for a in exact[2:]),
            ]
        return answers(true, exact[0], exact[1], exact[3], exact[2])

    wanted = answers(true, meant[0], meant[1], v, meant[2])
    rounded = at(x, y, w, step)
    # The nearest numbers may be lucky: neighbours represent the points as well.
    rng = np.random.default_rng(0)
    neighbours = at(
        *(np.nextafter(a, a.dtype.type(np.inf) * rng.choice([-1, 1], a.shape)) for a in (x, y, w, step))
    )
    a, b, u, s = (as_input(array) for array in (x, y, w, step))
    got = {
        "dist": space.dist(a, b),
        "expmap": space.expmap(a, s),
        "logmap": space.logmap(a, b),
        "ptransp": space.ptransp(a, b, u),
    }
    size = dict.fromkeys(OPERATIONS)
    size["expmap"] = max(float(np.linalg.norm(p.astype(np.float64))) for p in (x, y))
    far = np.sqrt(case.c) * max(case.radius, float(oracle.length(case.y)))
    same = rounded["dist"] == 0  # rounded onto each other
    by_operation = {} if same else {op: relative(got[op], rounded[op], size[op]) for op in OPERATIONS}
    by_rounding = {
        op: max(relative(answer[op], wanted[op], size[op]) for answer in (rounded, neighbours))
        for op in OPERATIONS
    }
    band = next((b for b in BANDS if far <= b * 1.001), np.inf)
    return Outcome(band, by_rounding, by_operation, (x, y, w, step))


@dataclass
class Summary:
    """Largest errors over many cases."""

    representable: dict[str, float]
    counts: dict[str, int]
    bands: dict[tuple[str, float], float]
    beyond_reach: int = 0
    total: int = 0


def measure(
    dtype: str,
    model: str,
    c: float,
    repeats: int = 1,
    as_input: Any = np.asarray,
    *,
    every: int = 1,
    seed: int = 0,
) -> Summary:
    """Return the largest errors of a model in a dtype at one curvature."""
    summary = Summary(defaultdict(float), defaultdict(int), defaultdict(float))
    for case in cases(c, repeats, seed, every):
        outcome = evaluate(model, case, dtype, as_input)
        summary.total += 1
        if outcome is None:
            summary.beyond_reach += 1
            continue
        for op, error in outcome.by_operation.items():
            key = op, outcome.band
            summary.bands[key] = max(summary.bands[key], error)
            # The answer wanted, not only the answer for the rounded coordinates.
            if outcome.by_rounding[op] < SPARE * TOLERANCE[dtype]:
                summary.counts[op] += 1
                summary.representable[op] = max(summary.representable[op], error)
    return summary


# -- gradients ---------------------------------------------------------------------------------------------


def package_gradients(
    model: str, op: str, c: np.ndarray, arrays: list[np.ndarray], weights: np.ndarray
) -> Any:
    """Return the gradients of ``sum(weights * op)`` by the arrays and by ``c``, one curvature a row, on TensorFlow."""
    import tensorflow as tf

    variables = [tf.Variable(a) for a in (*arrays, c.astype(arrays[0].dtype))]
    with tf.GradientTape() as tape:
        result = getattr(MODELS[model][0](variables[-1]), op)(*variables[:-1])
        total = tf.reduce_sum(weights * (result if len(result.shape) == 2 else result[:, None]))
    return [np.asarray(g) for g in tape.gradient(total, variables)]


def oracle_gradients(
    model: str, op: str, c: float, arrays: list[np.ndarray], weights: np.ndarray
) -> list[np.ndarray]:
    """Return the same for one row by central differences of the oracle."""
    kind = MODELS[model][1]
    h = mpmath.mpf(10) ** -30

    def value(c: mpmath.mpf, vectors: list[oracle.Vector]) -> mpmath.mpf:
        space = kind(1.0)
        for part in (space, getattr(space, "sheet", space)):
            part.c, part.root = c, mpmath.sqrt(c)
        result = getattr(space, op)(*vectors)
        result = result if isinstance(result, list) else [result]
        return oracle.dot(oracle.exact(weights), result)

    def slope(move: Callable[[mpmath.mpf], mpmath.mpf]) -> float:
        return float((move(h) - move(-h)) / (2 * h))

    start, at = [oracle.exact(a) for a in arrays], mpmath.mpf(float(c))
    gradients = []
    for k, vector in enumerate(start):
        slopes = []
        for i in range(len(vector)):

            def moved(step: mpmath.mpf, k: int = k, i: int = i) -> mpmath.mpf:
                vectors = [list(a) for a in start]
                vectors[k][i] += step
                return value(at, vectors)

            slopes.append(slope(moved))
        gradients.append(np.array(slopes))
    gradients.append(np.array([slope(lambda step: value(at + step * at, start)) / c]))
    return gradients


def gradient_errors(
    model: str, c: float, *, repeats: int = 1, every: int = 1, seed: int = 0
) -> tuple[dict[tuple[str, float], float], bool]:
    """Return the largest gradient error by operation and band in float64, and whether all gradients are finite.

    The error of each gradient is relative to its length; that by ``c``, which can vanish, to the larger of its
    size and that of the result over ``c``. Pairs are compared where rounding the coordinates moves neither
    result nor gradient: representable ones. All pairs within reach, in both dtypes, count for finiteness.
    """
    rng = np.random.default_rng(seed)
    worst: dict[tuple[str, float], float] = defaultdict(float)
    finite = True
    for dtype in ("float64", "float32"):
        outcomes = [evaluate(model, case, dtype) for case in cases(c, repeats, seed, every)]
        outcomes = [outcome for outcome in outcomes if outcome is not None]
        if not outcomes:
            continue
        x, y, w, v = (np.stack([o.arrays[k] for o in outcomes]) for k in range(4))
        inputs = {"dist": [x, y], "expmap": [x, v], "logmap": [x, y], "ptransp": [x, y, w]}
        for op, arrays in inputs.items():
            size = 1 if op == "dist" else x.shape[-1]
            weights = rng.standard_normal((len(x), size)).astype(dtype)
            got = package_gradients(model, op, np.full((len(x), 1), c), arrays, weights)
            finite = finite and all(np.isfinite(g).all() for g in got)
            if dtype == "float32":
                continue
            for row, outcome in enumerate(outcomes):
                if not outcome.by_operation or outcome.by_rounding[op] > SPARE * TOLERANCE[dtype]:
                    continue
                rows = [a[row] for a in arrays]
                true = oracle_gradients(model, op, c, rows, weights[row])
                result = getattr(MODELS[model][1](c), op)(*(oracle.exact(a) for a in rows))
                total = abs(float(np.dot(weights[row], np.atleast_1d(np.array(result, dtype=float)))))
                scales = [np.linalg.norm(t) for t in true]
                scales[-1] = max(scales[-1], total / c)
                error = max(
                    np.linalg.norm(g[row] - t) / s for g, t, s in zip(got, true, scales, strict=True) if s > 0
                )
                worst[op, outcome.band] = max(worst[op, outcome.band], float(error))
    return worst, finite


# -- tables ------------------------------------------------------------------------------------------------


def representable_table(repeats: int, as_input: Any) -> dict[tuple[str, str], dict[tuple[str, float], float]]:
    """Print the first table; return the largest errors by band for the second."""
    print(
        "| model | dtype | c | "
        + " | ".join(OPERATIONS)
        + " | pairs | beyond reach | too close for the spacing |"
    )
    print("|---" * (6 + len(OPERATIONS)) + "|")
    bands: dict[tuple[str, str], dict[tuple[str, float], float]] = defaultdict(lambda: defaultdict(float))
    for model in MODELS:
        for dtype in ("float64", "float32"):
            for c in CURVATURES:
                summary = measure(dtype, model, c, repeats, as_input)
                cells = [f"{summary.representable[op]:.0e} ({summary.counts[op]})" for op in OPERATIONS]
                lost = summary.total - summary.beyond_reach - summary.counts["dist"]
                print(
                    f"| {model} | {dtype} | {c:g} | "
                    + " | ".join(cells)
                    + f" | {summary.total} | {summary.beyond_reach} | {lost} |",
                    flush=True,
                )
                for key, error in summary.bands.items():
                    bands[model, dtype][key] = max(bands[model, dtype][key], error)
    return bands


def band_table(bands: dict[tuple[str, str], dict[tuple[str, float], float]]) -> None:
    """Print the second table."""
    print("\n| model | dtype | operation | " + " | ".join(f"√c·d ≤ {band:g}" for band in BANDS) + " |")
    print("|---" * (3 + len(BANDS)) + "|")
    for (model, dtype), worst in bands.items():
        for op in OPERATIONS:
            cells = [f"{worst[op, b]:.0e}" if (op, b) in worst else "–" for b in BANDS]
            print(f"| {model} | {dtype} | {op} | " + " | ".join(cells) + " |")


def gradient_table(repeats: int) -> None:
    """Print the third table."""
    print("\n| gradients, float64 | operation | " + " | ".join(f"√c·d ≤ {band:g}" for band in BANDS) + " |")
    print("|---" * (2 + len(BANDS)) + "|")
    for model in MODELS:
        worst: dict[tuple[str, float], float] = defaultdict(float)
        finite = True
        for c in CURVATURES:
            errors, all_finite = gradient_errors(model, c, repeats=repeats)
            finite = finite and all_finite
            for key, error in errors.items():
                worst[key] = max(worst[key], error)
        for op in OPERATIONS:
            cells = [f"{worst[op, b]:.0e}" if (op, b) in worst else "–" for b in BANDS]
            print(f"| {model} | {op} | " + " | ".join(cells) + " |", flush=True)
        print(
            f"| {model} | all finite, both dtypes | {'yes' if finite else 'NO'} |" + " |" * (len(BANDS) - 1)
        )


def gram_table() -> None:
    """Print the error of all-pairs distances for near points, as a share of the true distance."""
    separations = (1e-1, 1e-3, 1e-5, 1e-7)
    print("\n| `pairwise_dist`, 16-d, c = 1 | " + " | ".join(f"apart {s:g}" for s in separations) + " |")
    print("|---" * (1 + len(separations)) + "|")
    rng = np.random.default_rng(0)
    ball = PoincareBall(1.0)
    for dtype in ("float64", "float32"):
        for model, (kind, _) in MODELS.items():
            cells = []
            for separation in separations:
                x = ball.random(200, 16, seed=0, scale=0.5, dtype="float64")
                direction = rng.standard_normal(x.shape)
                y = ball.expmap(x, direction * (separation / ball.norm(x, direction, keepdims=True)))
                if model != "ball":
                    x, y = (
                        (ball.to_lorentz if model == "hyperboloid" else ball.to_normal)(p) for p in (x, y)
                    )
                x, y = x.astype(dtype), y.astype(dtype)
                space = kind(1.0)
                true = space.dist(x.astype("float64"), y.astype("float64"))
                seen = true > 0
                error = np.abs(np.diag(space.pairwise_dist(x, y)) - true)[seen] / true[seen]
                cells.append(f"{error.max():.0e}")
            print(f"| {model}, {dtype} | " + " | ".join(cells) + " |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--points", type=int, default=2, help="random directions for each combination of distances"
    )
    parser.add_argument("--backend", choices=["numpy", "keras"], default="numpy")
    parser.add_argument(
        "--no-gradients", action="store_true", help="skip the third table, which needs TensorFlow"
    )
    arguments = parser.parse_args()
    as_input: Any = np.asarray
    label = "NumPy"
    if arguments.backend == "keras":
        import keras

        as_input, label = (
            keras.ops.convert_to_tensor,
            f"Keras {keras.__version__} on {keras.backend.backend()}",
        )

    print(header("numpy", note=label))
    bands = representable_table(arguments.points, as_input)
    band_table(bands)
    if not arguments.no_gradients:
        gradient_table(max(1, arguments.points // 2))
    gram_table()


if __name__ == "__main__":
    main()
