#!/usr/bin/env python3
"""The adaptive curriculum beside shuffled order and hard-first: steps to a given held-out error, same budget.

The cell heads are trained on a simulated screen and on Papalexi 2021 from several seeds (another simulated screen,
another draw and split of cells), from the same first weights, with the same number of steps of the same size:

- ``shuffled``: every perturbation from the beginning;
- ``easy first``: the curriculum as training has it;
- ``hard first``: the same pace with the order turned round (a control: any narrowing, not the right one).

Cells are split 60/20/20. The pace follows the loss on the tuning cells; everything reported is on the test cells. The
error to be reached was fixed beforehand: the last loss of the shuffled training of the same seed plus 2 %. Steps are
interpolated between epochs; a training that never reaches it counts with the whole budget.

Run: python benchmarks/curriculum.py [--seeds 5] [--figures docs/figures]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import keras  # noqa: E402  (the backend is chosen first)
import numpy as np  # noqa: E402

from benchmarks._heads import BATCH, DROPOUT, PAPALEXI, Screen, Together, save  # noqa: E402
from benchmarks._report import header, mean_of  # noqa: E402
from hyperperturb.models.cell_training import _CURRICULUM_DEADLINE  # noqa: E402
from hyperperturb.models.curriculum import CellBatches, Curriculum, difficulty  # noqa: E402

ORDERS = ("shuffled", "easy first", "hard first")
TITLES = {"demo": "simulated screen", "papalexi": "Papalexi 2021"}
COLOURS = {"shuffled": "#8a8a8a", "easy first": "#1f6f8b", "hard first": "#c2571a"}


def one_seed(
    name: str,
    seed: int,
    *,
    epochs: int,
    cells: int,
    papalexi: Path,
    start: float,
    growth: float,
    deadline: float,
) -> dict:
    """Train in the three orders; return the curves and what they say."""
    screen = Screen(name, seed, cells=cells, papalexi=papalexi)
    hard = difficulty(screen.effects)
    pace = {"start": start, "growth": growth, "deadline": round(deadline * epochs)}
    paces = [None, Curriculum(hard, **pace), Curriculum(1.0 - hard, **pace)]
    data = [
        CellBatches(
            screen.shift,
            screen.wanted,
            screen.train,
            batch_size=BATCH,
            seed=seed,
            dropout=DROPOUT,
            label=screen.label,
            curriculum=pace,
        )
        for pace in paces
    ]
    per_epoch = len(data[0])
    zeros = [0.0] * len(ORDERS)
    heads = Together(screen, seed, steps=epochs * per_epoch, strength=zeros, protection=zeros, by_size=zeros)
    test, shares = [heads.losses(screen.test)], []
    for epoch in range(epochs):
        for part in data:
            part.set_epoch(epoch)
        shares.append([1.0 if p is None else p.share for p in paces])
        for step in range(per_epoch):
            parts = [part[step] for part in data]
            heads.step(keras.tree.map_structure(lambda *a: np.stack(a), *parts), shared=False)
        tune = heads.losses(screen.tune)
        test.append(heads.losses(screen.test))
        for pace, loss in zip(paces, tune, strict=True):
            if pace is not None:
                pace.on_epoch_end(epoch, {"val_loss": float(loss)})
    test = np.array(test)
    target = 1.02 * test[-1, 0]
    return {
        "test": test / test[-1, 0],
        "shares": np.array(shares),
        "steps": [_reached(test[:, i], target) * per_epoch for i in range(len(ORDERS))],
        "reached": [bool((test[:, i] <= target).any()) for i in range(len(ORDERS))],
        "final": test[-1] / test[-1, 0],
        "best": test.min(axis=0) / test[:, 0].min(),
        "budget": epochs * per_epoch,
    }


def _reached(curve: np.ndarray, target: float) -> float:
    """Epochs until the curve first falls to the target; the whole budget if it never does."""
    below = np.flatnonzero(curve <= target)
    if not len(below):
        return float(len(curve) - 1)
    i = int(below[0])
    return 0.0 if i == 0 else i - 1 + float((curve[i - 1] - target) / (curve[i - 1] - curve[i]))


def table(results: dict[str, list[dict]]) -> None:
    """Print means over the seeds with the half width of their 95 % interval."""
    print(
        "| screen | order | steps to the error | reached | last loss / shuffled | best loss / shuffled |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for name, seeds in results.items():
        for i, order in enumerate(ORDERS):
            print(
                f"| {TITLES[name]} | {order} | {mean_of([s['steps'][i] for s in seeds], 0)} of {seeds[0]['budget']} "
                f"| {sum(s['reached'][i] for s in seeds)} of {len(seeds)} | {mean_of([s['final'][i] for s in seeds])} "
                f"| {mean_of([s['best'][i] for s in seeds])} |"
            )
    for name, seeds in results.items():
        for i, order in enumerate(ORDERS[1:], start=1):
            gap = mean_of([s["steps"][i] - s["steps"][0] for s in seeds], 0)
            print(f"\n{TITLES[name]}: steps, {order} − shuffled: {gap} (95 % interval, paired over seeds).")


def plot(results: dict[str, list[dict]], folder: Path) -> None:
    """Draw the test loss and the share of perturbations admitted against the steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, len(results), figsize=(4.6 * len(results), 5.4), squeeze=False, sharex="col", height_ratios=(2, 1)
    )
    for column, (name, seeds) in zip(axes.T, results.items(), strict=True):
        steps = np.linspace(0, seeds[0]["budget"], len(seeds[0]["test"]))
        for i, order in enumerate(ORDERS):
            rows = np.array([s["test"][:, i] for s in seeds])
            column[0].plot(steps, rows.mean(axis=0), color=COLOURS[order], label=order)
            column[0].fill_between(
                steps, rows.min(axis=0), rows.max(axis=0), color=COLOURS[order], alpha=0.15
            )
            shares = 100 * np.mean([s["shares"][:, i] for s in seeds], axis=0)
            column[1].step(steps, [*shares, shares[-1]], where="post", color=COLOURS[order])
        column[0].axhline(1.02, color="black", lw=0.8, ls="--")
        column[0].set(title=TITLES[name], ylim=(0.95, 1.25))
        column[1].set(xlabel="training steps", ylim=(0, 105))
    axes[0, 0].set_ylabel("test loss / last of shuffled")
    axes[1, 0].set_ylabel("perturbations\nadmitted, %")
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    save(figure, folder / "curriculum.png")


def main() -> None:
    """Train, print the table, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--cells", type=int, default=4000, help="of the simulated screen; twice as many of Papalexi"
    )
    parser.add_argument("--screens", nargs="+", default=list(TITLES))
    parser.add_argument("--papalexi", type=Path, default=PAPALEXI)
    parser.add_argument("--start", type=float, default=0.25, help="share of perturbations at first")
    parser.add_argument("--growth", type=float, default=1.5, help="of that share at each stage")
    parser.add_argument("--deadline", type=float, default=_CURRICULUM_DEADLINE, help="share of the epochs")
    parser.add_argument("--figures", type=Path)
    args = parser.parse_args()
    results = {}
    for name in args.screens:
        results[name] = []
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            results[name].append(
                one_seed(
                    name,
                    seed,
                    epochs=args.epochs,
                    cells=args.cells * (1 + (name == "papalexi")),
                    papalexi=args.papalexi,
                    start=args.start,
                    growth=args.growth,
                    deadline=args.deadline,
                )
            )
            print(f"{name} {seed}: {results[name][-1]['steps']}", file=sys.stderr, flush=True)
    print(header("jax", "keras"))
    table(results)
    if args.figures is not None:
        plot(results, args.figures)


if __name__ == "__main__":
    main()
