#!/usr/bin/env python3
"""Sparsity at equal held-out loss: the STDP rule beside proximal L1, and how steady the set of active weights is.

The cell heads are trained on a simulated screen and on Papalexi 2021 from several seeds (another simulated screen,
another draw and split of cells) with a row of strengths. The methods share one code path, a proximal step after each
step of Adam, and differ in what protects a weight from it:

- ``L1``: nothing;
- ``STDP``: the rule, as the layer has it by default;
- ``size``: the same with the weight's own size in the place of the rule's memory (a reweighted L1), which tells what
  the timing adds.

Cells are split 60/20/20. The held-out loss to be equalled is that of the training without penalty, at its best epoch,
plus 1 %, on the *tuning* cells. The strength at which a method's loss rises through it is interpolated there; loss
at that strength is reported on the *test* cells. The pruned share is the smallest to which any of a method's models
can be cut by size after training without passing that loss on the tuning cells. The overlap is the Jaccard index of
the sets of non-zero weights before and after a step, mean over the second half of the training.

Run: python benchmarks/stdp.py [--seeds 5] [--figures docs/figures]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  (the backend is chosen first)

from benchmarks._heads import BATCH, DROPOUT, PAPALEXI, Screen, Together, save  # noqa: E402
from benchmarks._report import header, mean_of  # noqa: E402
from hyperperturb.models.curriculum import CellBatches  # noqa: E402
from hyperperturb.nn import STDP  # noqa: E402

STRENGTHS = {
    "L1": (0.4, 0.6, 0.8, 1.1),
    "STDP": (0.7, 1.0, 1.5, 2.2),
    "size": (0.7, 1.0, 1.5, 2.2),
}
SHARES = (0.5, 0.35, 0.25, 0.18, 0.13, 0.09, 0.06, 0.045, 0.03, 0.02, 0.015, 0.01, 0.005)
TITLES = {"demo": "simulated screen", "papalexi": "Papalexi 2021"}
COLOURS = {"L1": "#c2571a", "STDP": "#1f6f8b", "size": "#8a8a8a"}


def one_seed(name: str, seed: int, *, epochs: int, cells: int, papalexi: Path) -> dict:
    """Train every method with every strength; return what each reaches at equal loss, and the curves."""
    screen = Screen(name, seed, cells=cells, papalexi=papalexi)
    plan = [("none", 0.0), *((m, s) for m, row in STRENGTHS.items() for s in row)]
    protection = STDP(1.0).protection
    data = CellBatches(
        screen.shift, screen.wanted, screen.train, batch_size=BATCH, seed=seed, dropout=DROPOUT
    )
    total = epochs * len(data)
    heads = Together(
        screen,
        seed,
        steps=total,
        strength=[s for _, s in plan],
        protection=[protection * (m in ("STDP", "size")) for m, _ in plan],
        by_size=[float(m == "size") for m, _ in plan],
    )
    overlaps, tune, test = [], [], []
    for epoch in range(epochs):
        data.set_epoch(epoch)
        for i in range(len(data)):
            overlap = heads.step(data[i])
            overlaps += [overlap] if heads.at > total // 2 else []
        tune.append(heads.losses(screen.tune))
        test.append(heads.losses(screen.test)[0])
    best = int(np.argmin([row[0] for row in tune]))
    reference, reference_test = float(tune[best][0]), float(test[best])
    kernels = heads.kernels()
    measured = {
        "share": np.mean(kernels != 0, axis=(1, 2)),
        "tune": tune[-1] / reference,
        "test": heads.losses(screen.test) / reference_test,
        "overlap": np.mean(overlaps, axis=0),
    }
    pruned = np.array([heads.losses(screen.tune, _prune(kernels, s)) for s in SHARES]) / reference
    result = {"curves": {}, "equal": {}}
    for method, strengths in STRENGTHS.items():
        rows = [i for i, (m, _) in enumerate(plan) if m == method]
        curve = {k: v[rows] for k, v in measured.items()}
        fits = np.array(SHARES)[(pruned[:, rows] <= 1.01).any(axis=1)]
        result["curves"][method] = curve
        result["equal"][method] = _at_equal_loss(np.array(strengths), curve) | {
            "pruned": float(fits.min()) if len(fits) else np.nan
        }
    return result


def _prune(kernels: np.ndarray, share: float) -> np.ndarray:
    flat = np.sort(np.abs(kernels).reshape(len(kernels), -1), axis=1)[:, ::-1]
    least = flat[:, max(round(share * flat.shape[1]), 1) - 1]
    return np.where(np.abs(kernels) >= least[:, None, None], kernels, 0.0)


def _at_equal_loss(
    strengths: np.ndarray, curve: dict[str, np.ndarray], target: float = 1.01
) -> dict[str, float]:
    """Everything at the strength where the tuning loss last rises through the target."""
    below = np.flatnonzero(curve["tune"] <= target)
    if not len(below):
        return dict.fromkeys((*curve, "strength"), np.nan)
    i = below[-1]
    j = min(i + 1, len(strengths) - 1)
    gap = curve["tune"][j] - curve["tune"][i]
    part = 0.0 if i == j else (target - curve["tune"][i]) / gap
    out = {k: float(v[i] + part * (v[j] - v[i])) for k, v in curve.items()}
    least = 0.5 / 10_000  # a share of zero has no logarithm
    logs = np.log(np.maximum(curve["share"], least))
    out["share"] = float(np.exp(logs[i] + part * (logs[j] - logs[i])))
    return out | {"strength": float(strengths[i] + part * (strengths[j] - strengths[i]))}


def table(results: dict[str, list[dict]]) -> None:
    """Print means over the seeds with the half width of their 95 % interval."""
    print(
        "| screen | method | strength | non-zero weights, % | test loss / no penalty | step-to-step overlap | "
        "after pruning, % |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, seeds in results.items():
        for method in STRENGTHS:
            cells = [s["equal"][method] for s in seeds]
            print(
                f"| {TITLES[name]} | {method} | {mean_of([c['strength'] for c in cells], 2)} "
                f"| {mean_of([c['share'] for c in cells], 1, 100)} | {mean_of([c['test'] for c in cells])} "
                f"| {mean_of([c['overlap'] for c in cells])} | {mean_of([c['pruned'] for c in cells], 1, 100)} |"
            )
    for name, seeds in results.items():
        for other in ("L1", "size"):
            ratio = [np.log(s["equal"]["STDP"]["share"] / s["equal"][other]["share"]) for s in seeds]
            gain = [s["equal"]["STDP"]["overlap"] - s["equal"][other]["overlap"] for s in seeds]
            middle, half = (float(v) for v in mean_of(ratio).split(" ± "))
            low, at, high = np.exp([middle - half, middle, middle + half])
            print(
                f"\n{TITLES[name]}: non-zero weights, STDP / {other}: {at:.2f} (95 % interval {low:.2f} to "
                f"{high:.2f}, paired over seeds); overlap, STDP − {other}: {mean_of(gain)}."
            )


def plot(results: dict[str, list[dict]], folder: Path) -> None:
    """Draw loss and overlap against the share of non-zero weights."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(results), figsize=(4.6 * len(results), 6), squeeze=False, sharex="col")
    for column, (name, seeds) in zip(axes.T, results.items(), strict=True):
        for method in STRENGTHS:
            curves = [s["curves"][method] for s in seeds]
            share = 100 * np.exp(np.mean([np.log(np.maximum(c["share"], 5e-5)) for c in curves], axis=0))
            for axis, key in zip(column, ("test", "overlap"), strict=True):
                rows = np.array([c[key] for c in curves])
                axis.plot(share, rows.mean(axis=0), "o-", ms=3.5, color=COLOURS[method], label=method)
                axis.fill_between(
                    share, rows.min(axis=0), rows.max(axis=0), color=COLOURS[method], alpha=0.15
                )
        column[0].axhline(1.01, color="black", lw=0.8, ls="--")
        column[0].set(title=TITLES[name], ylim=(0.97, 1.05), xscale="log")
        column[1].set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
        column[1].minorticks_off()
        column[1].set_xlim(min(axis.dataLim.x0 for axis in column) * 0.8, 100)
        column[1].set(xlabel="non-zero hidden weights, %")
    axes[0, 0].set_ylabel("test loss / without penalty")
    axes[1, 0].set_ylabel("step-to-step overlap")
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    save(figure, folder / "stdp.png")


def main() -> None:
    """Train, print the table, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "--cells", type=int, default=4000, help="of the simulated screen; twice as many of Papalexi"
    )
    parser.add_argument("--screens", nargs="+", default=list(TITLES))
    parser.add_argument("--papalexi", type=Path, default=PAPALEXI)
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
                )
            )
            print(f"{name} {seed}: {results[name][-1]['equal']}", file=sys.stderr, flush=True)
    print(header("jax", "keras"))
    table(results)
    if args.figures is not None:
        plot(results, args.figures)


if __name__ == "__main__":
    main()
