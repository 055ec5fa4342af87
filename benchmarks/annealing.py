#!/usr/bin/env python3
"""Quantum-inspired annealing against plain descent: finding the deepest well on the ball, and training a gene space.

Wells: on landscapes with several minima on the Poincaré ball, started in a wrong one, how often does the *last* point
lie in the deepest? Every method makes the same number of gradient evaluations (four replicas make a quarter of the
steps each) with a learning rate that falls along the same cosine to 1 %; rate, field and coupling of each method are
chosen on other landscapes than it is judged on. Intervals are Wilson's, 95 %; differences are paired by landscape
(bootstrap).

Training: the gene space of the demo screen and of Papalexi's screen with STRING, with and without the field.

Run: python benchmarks/annealing.py [--part wells|training|all] [--seeds 200] [--figures docs/figures] [--results FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from benchmarks._report import header  # noqa: E402
from hyperperturb.manifolds import PoincareBall  # noqa: E402
from hyperperturb.nn import (  # noqa: E402
    QuantumAnnealing,
    RiemannianAdam,
    RiemannianSGD,
    replicate_points,
    set_manifold,
)

BALL = PoincareBall(1.0)
WELLS = 6
REPLICAS = 4
FALL = 0.9  # share of the steps after which the field is zero
GOOD = 0.15  # half of what the second deepest minimum has at least: below it lies only the deepest well
TUNING = range(10_000, 10_030)


# -- landscapes ------------------------------------------------------------------------------------------------


def wells(seed: int, dim: int) -> tuple[np.ndarray, ...]:
    """Return centres of six wells at distance 0.5 … 3 from the origin and 2 from each other, depths, and the start.

    The value at the deepest is 0, at the others 0.3 … 1; the start is in the shallowest, 0.1 from its centre.
    """
    rng = np.random.default_rng((seed, dim, 0))
    centres: list[np.ndarray] = []
    while len(centres) < WELLS:
        direction = rng.standard_normal(dim)
        centre = np.tanh(rng.uniform(0.5, 3.0) / 2.0) * direction / np.linalg.norm(direction)
        if all(BALL.dist(centre, other) > 2.0 for other in centres):
            centres.append(centre)
    heights = np.concatenate([[0.0], np.sort(rng.uniform(0.3, 1.0, WELLS - 1))])
    start = replicate_points(BALL, centres[-1], 1, spread=0.1, seed=seed)[0]
    return np.array(centres), heights, start


def wells_value(x: Any, centres: Any, heights: Any) -> Any:
    """Return the soft minimum over the wells of height + sqrt(1 + d²) − 1, ``(...)``."""
    distance = BALL.dist(x[..., None, :], centres)
    rise = tf.sqrt(1.0 + tf.square(distance)) - 1.0
    return -0.1 * tf.reduce_logsumexp(-(rise + heights) / 0.1, axis=-1)


def ripples(seed: int, dim: int) -> tuple[np.ndarray, ...]:
    """Return the bottom of a funnel at distance up to 1.5 from the origin, and a start at distance 3 from it."""
    rng = np.random.default_rng((seed, dim, 1))
    bottom, away = rng.standard_normal((2, dim))
    bottom = np.tanh(rng.uniform(0.0, 1.5) / 2.0) * bottom / np.linalg.norm(bottom)
    start = BALL.expmap(bottom, BALL.ptransp0(bottom, 1.5 * away / np.linalg.norm(away)))
    return bottom, start


def ripples_value(x: Any, bottom: Any) -> Any:
    """Return sqrt(1 + d²) − 1 + 0.3 Σ (1 − cos(2π uᵢ / 0.8)), u the normal coordinates of ``x`` about the bottom."""
    u = 2.0 / (1.0 - tf.reduce_sum(tf.square(bottom), axis=-1, keepdims=True)) * BALL.logmap(bottom, x)
    rise = tf.sqrt(1.0 + tf.reduce_sum(tf.square(u), axis=-1)) - 1.0
    return rise + 0.3 * tf.reduce_sum(1.0 - tf.cos(2.0 * np.pi / 0.8 * u), axis=-1)


LANDSCAPES = {"wells": (wells, wells_value), "ripples": (ripples, ripples_value)}


# -- methods ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """What is tried: a name, the field's schedule (None: no noise), replicas, and the grid of its settings."""

    name: str
    schedule: str | None
    replicas: int
    rates: tuple[float, ...]
    fields: tuple[float, ...]
    couplings: tuple[float, ...] = (0.0,)

    @property
    def grid(self) -> np.ndarray:
        """All settings: rate, field, coupling."""
        return np.array(list(itertools.product(self.rates, self.fields, self.couplings)))


_RATES, _FIELDS = (0.1, 0.3, 1.0, 3.0), (0.1, 0.2, 0.4, 0.8, 1.6)
METHODS = (
    Method("cosine decay", None, 1, (0.03, 0.1, 0.3, 1.0, 3.0, 10.0), (0.0,)),
    Method("noise of constant size", "constant", 1, _RATES, _FIELDS),
    Method("annealing", "linear", 1, _RATES, _FIELDS),
    Method("annealing, 4 replicas without springs", "linear", REPLICAS, _RATES, _FIELDS),
    Method("annealing, 4 coupled replicas", "linear", REPLICAS, _RATES, _FIELDS, (0.3, 1.0)),
)


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine decay to 1 % with a rate for every row."""

    def __init__(self, rates: np.ndarray, steps: int) -> None:
        self.rates, self.steps = rates.astype(np.float32)[:, None], steps

    def __call__(self, step: Any) -> Any:
        passed = tf.minimum(tf.cast(step, tf.float32) / self.steps, 1.0)
        return self.rates * (0.01 + 0.99 * 0.5 * (1.0 + tf.cos(np.pi * passed)))


def final_values(
    landscape: str, dim: int, seeds: range, optimizer: str, method: Method, grid: np.ndarray, steps: int
) -> np.ndarray:
    """Return the value at the last point, ``(settings, seeds)``; of replicas that of the best.

    All settings and landscapes are rows of one variable and run in one loop compiled by XLA.
    """
    make, value = LANDSCAPES[landscape]
    *constants, start = (
        np.array(part, np.float32) for part in zip(*(make(s, dim) for s in seeds), strict=True)
    )
    constants = [tf.constant(np.concatenate([part] * len(grid))) for part in constants]
    start = np.concatenate([start] * len(grid))
    rate, field, coupling = np.repeat(grid, len(seeds), axis=0).T
    steps //= method.replicas
    annealing = None
    if method.schedule is not None:
        annealing = QuantumAnnealing(
            1.0, int(FALL * steps), schedule=method.schedule, replicas=method.replicas, seed=seeds[0]
        )
        # A number for every row instead of one for all: what broadcasts against (rows, 1) will do.
        annealing.field, annealing.coupling = (a.astype(np.float32)[:, None] for a in (field, coupling))
    if method.replicas > 1:
        start = replicate_points(BALL, start, method.replicas)
    points = set_manifold(keras.Variable(start), BALL)
    schedule = Rates(rate, steps)
    if optimizer == "RiemannianAdam":
        stepper = RiemannianAdam(schedule, annealing=annealing)
    else:
        stepper = RiemannianSGD(schedule, momentum=0.9, annealing=annealing)
    stepper.build([points])

    @tf.function(jit_compile=True)
    def descend() -> Any:
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(value(points.value, *constants))
            stepper.apply([tape.gradient(loss, points.value)], [points])
        return value(points.value, *constants)

    values = descend().numpy()
    values = values.min(axis=0) if method.replicas > 1 else values
    return values.reshape(len(grid), len(seeds))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z = 1.959964
    share, width = hits / n, z * np.sqrt(hits * (n - hits) / n + z * z / 4) / n
    return tuple((share + z * z / (2 * n) + np.array([-1.0, 1.0]) * width) / (1 + z * z / n))


def paired(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Return the mean paired difference and its 95 % bootstrap interval."""
    difference = one.astype(float) - other.astype(float)
    draws = np.random.default_rng(0).integers(len(difference), size=(4000, len(difference)))
    low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def compare_wells(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Tune and judge every method on every landscape; print the table as it grows."""
    print(
        f"{args.steps} gradient evaluations; {len(TUNING)} landscapes to choose settings, {args.seeds} to judge\n"
    )
    print("| landscape | optimizer | method | rate, field, κ | deepest well found | more than cosine decay |")
    print("|---|---|---|---|---|---|")
    rows = json.loads(args.results.read_text()) if args.results and args.results.exists() else []
    known = {(row["landscape"], row["optimizer"], row["method"]): row for row in rows}
    problems = [(name, int(dim)) for name, _, dim in (p.partition(":") for p in args.landscapes)]
    for (landscape, dim), optimizer in itertools.product(problems, ("RiemannianAdam", "RiemannianSGD")):
        for method in METHODS:
            key = (f"{landscape}, d = {dim}", optimizer, method.name)
            if key not in known:
                found = (
                    final_values(landscape, dim, TUNING, optimizer, method, method.grid, args.steps) < GOOD
                )
                best = method.grid[found.mean(axis=1).argmax()]
                seeds = range(args.seeds)
                hits = (
                    final_values(landscape, dim, seeds, optimizer, method, best[None], args.steps)[0] < GOOD
                )
                row = dict(zip(("landscape", "optimizer", "method"), key, strict=True))
                rows.append(row | {"settings": best.tolist(), "hits": hits.astype(int).tolist()})
                known[key] = rows[-1]
                if args.results:
                    args.results.write_text(json.dumps(rows) + "\n")
            settings, hits = known[key]["settings"], np.array(known[key]["hits"])
            base = np.array(known[*key[:2], METHODS[0].name]["hits"])
            shown = settings[: 1 if method.schedule is None else 2 if method.couplings == (0.0,) else 3]
            gain = "–" if method is METHODS[0] else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*paired(hits, base))
            low, high = wilson(int(hits.sum()), len(hits))
            print(
                f"| {key[0]} | {optimizer} | {method.name} | {', '.join(f'{v:g}' for v in shown)} | "
                f"{hits.mean():.3f} [{low:.3f}, {high:.3f}] | {gain} |",
                flush=True,
            )
    return rows


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write ``annealing.png``: the shares with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    methods = [method.name for method in METHODS]
    tried = [row["landscape"] for row in rows]
    landscapes = [name for name in dict.fromkeys(tried) if tried.count(name) == 2 * len(methods)]
    colours = ["#7f8c8d", "#c58b2b", "#2f6f9f", "#7a9e4b", "#a03d63"]
    figure, axes = plt.subplots(2, 1, figsize=(8.6, 5.6), sharex=True, sharey=True, facecolor="white")
    for axis, optimizer in zip(axes, ("RiemannianAdam", "RiemannianSGD"), strict=True):
        for k, (name, colour) in enumerate(zip(methods, colours, strict=True)):
            mine = [r for r in rows if (r["optimizer"], r["method"]) == (optimizer, name)]
            mine = [row for row in mine if row["landscape"] in landscapes]
            share = np.array([np.mean(row["hits"]) for row in mine])
            low, high = np.array([wilson(sum(row["hits"]), len(row["hits"])) for row in mine]).T
            axis.bar(
                np.arange(len(mine)) + 0.16 * (k - 2),
                share,
                0.15,
                color=colour,
                label=name,
                yerr=[np.maximum(share - low, 0.0), np.maximum(high - share, 0.0)],
                error_kw={"lw": 0.9, "ecolor": "#333333"},
            )
        axis.set_title(optimizer, loc="left", fontsize=10)
        axis.set_ylabel("deepest well found")
        axis.set_ylim(0.0, 1.02)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xticks(range(len(landscapes)), landscapes)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, ncols=3, loc="upper center")
    figure.tight_layout(rect=(0.0, 0.0, 1.0, 0.93))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "annealing.png", dpi=90)


# -- the real training -----------------------------------------------------------------------------------------


def gene_networks(max_genes: int) -> dict[str, Callable[[int], Any]]:
    """Return for each data set a function from the seed to its universe (Papalexi's is the same for all seeds)."""
    from hyperperturb.data import compute_effects, read_network, simulate_screen
    from hyperperturb.models.universe import build_universe

    def universe(effects: Any, network: Any) -> Any:
        targets = {g for t in effects.targets for g in t}
        return build_universe([network], targets=targets, response_genes=effects.genes, max_genes=max_genes)

    def demo(seed: int) -> Any:
        screen = simulate_screen(seed=seed)
        effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
        return universe(effects, screen.network)

    data = ROOT.parent / "shared" / "data"
    sources: dict[str, Callable[[int], Any]] = {"demo screen": demo}
    screen = data / "screens" / "papalexi2021_thp1_299genes.h5ad"
    if screen.exists():
        effects = compute_effects(screen, column="perturbation", control="non-targeting")
        real = universe(effects, read_network(data / "networks" / "string_high_confidence.csv"))
        sources["Papalexi 2021, STRING"] = lambda _: real
    return sources


def compare_training(args: argparse.Namespace) -> None:
    """Train gene spaces with and without the field and print the table."""
    from scipy.stats import rankdata

    from hyperperturb.models.gene_space import fit_gene_space, fit_quality

    fields = (0.0, *args.training_fields)
    print(f"\nGene space, {args.epochs} epochs, {args.training_seeds} seeds, paired differences to field 0\n")
    print("| data | genes | field | validation loss | difference | fit r | difference |")
    print("|---|---|---|---|---|---|---|")
    for name, source in gene_networks(args.max_genes).items():
        scores = np.zeros((len(fields), args.training_seeds, 2))
        for seed in range(args.training_seeds):
            universe = source(seed)
            degree = np.diff(universe.adjacency.indptr)
            for i, field in enumerate(fields):
                seen = keras.callbacks.History()
                space = fit_gene_space(
                    universe.diffusion,
                    (rankdata(degree) - 1) / (len(degree) - 1),
                    dim=16,
                    epochs=args.epochs,
                    learning_rate=0.03,
                    curvature=1.0,
                    validation_split=0.1,
                    seed=seed,
                    annealing=field,
                    jit_compile=True,
                    callbacks=[seen],
                )
                points = space.points.embeddings.numpy()
                scores[i, seed] = (
                    seen.history["val_loss"][-1],
                    fit_quality(points, float(space.curvature), universe.diffusion),
                )
        for field, mine in zip(fields, scores, strict=True):
            cells = []
            for k in range(2):
                gain = paired(mine[:, k], scores[0, :, k])
                shown = "–" if field == 0 else "{:+.4f} [{:+.4f}, {:+.4f}]".format(*gain)
                cells.append(f"{mine[:, k].mean():.4f} | {shown}")
            print(f"| {name} | {len(degree)} | {field:g} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run the chosen parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("wells", "training", "all"), default="all")
    parser.add_argument(
        "--landscapes", nargs="+", default=["wells:2", "wells:5", "wells:10", "ripples:2", "ripples:5"]
    )
    parser.add_argument("--steps", type=int, default=1000, help="gradient evaluations of each method")
    parser.add_argument("--seeds", type=int, default=200, help="landscapes that methods are judged on")
    parser.add_argument("--figures", type=Path, help="folder for annealing.png")
    parser.add_argument(
        "--results", type=Path, help="JSON file of the wells; what it holds already is not run again"
    )
    parser.add_argument("--training-seeds", type=int, default=5)
    parser.add_argument("--training-fields", type=float, nargs="+", default=[0.01, 0.03, 0.1])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--max-genes", type=int, default=1000)
    args = parser.parse_args()
    print(header("numpy", "keras", "tensorflow"))
    if args.part != "training":
        rows = compare_wells(args)
        if args.results:
            args.results.write_text(json.dumps(rows, indent=1) + "\n")
        if args.figures:
            draw(rows, args.figures)
    if args.part != "wells":
        compare_training(args)


if __name__ == "__main__":
    main()
