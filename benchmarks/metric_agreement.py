#!/usr/bin/env python3
"""Our metrics against independent implementations on the same predictions. Prints a Markdown table.

A simulated screen is held out by gene and predicted by kernel ridge on its network. The measured and predicted effects,
significance and cells are given to cell-eval (discrimination by cosine, overlap of significant genes, agreement of
directions) and to pertpy (E-distance) in another Python that has them installed; where definitions differ, what follows
from the difference is compared as well.

Run: python benchmarks/metric_agreement.py --peer-python PYTHON  (pip install cell-eval pertpy)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from _report import header
from scipy.stats import false_discovery_control

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.evaluation.energy import CellSample, energy_distance
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.scoring import Judged
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.models.baselines import NetworkKernelRidge
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.judging import sample_cells
from hyperperturb.models.sources import CellSource
from hyperperturb.models.universe import build_universe

PEER = Path(__file__).with_name("metric_agreement_peer.py")


def predictions(seed: int):
    """Effects of single genes, out-of-fold predictions of all of them, and cells."""
    screen = simulate_screen(seed=seed, n_genes=300, n_regulators=40, n_single=60, n_double=0, n_cells=6000)
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    targets = sorted({g for t in effects.targets for g in t})
    universe = build_universe([screen.network], targets=targets, response_genes=effects.genes, max_genes=400)
    ridge = NetworkKernelRidge(GeneKernels(universe.genes, universe.diffusion))
    predicted = np.zeros(effects.effect.shape)
    for split in gene_folds(effects.targets, folds=5, seed=seed):
        training = effects.select([effects.perturbations[i] for i in split.train])
        predicted[split.test] = ridge(training, [effects.targets[i] for i in split.test])
    cells = sample_cells(
        CellSource(screen.adata, "perturbation"), effects, control="non-targeting", seed=seed
    )
    return effects, predicted, cells


def ours(
    effects, predicted: np.ndarray, cells: CellSample
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Our values, and what the peers are given."""
    judged = Judged.of(effects)
    everything = np.arange(len(predicted))
    cases = judged.cases(predicted, everything, np.zeros(predicted.shape[1]))
    p = effects.p_values()
    fdr = np.ones_like(p)
    for row in everything:
        tested = ~judged.own[row] & np.isfinite(p[row])
        fdr[row, tested] = false_discovery_control(p[row, tested])
    quiet = ~judged.own.any(
        axis=0
    )  # genes that are no targets: there it does not matter whose target is left out
    few = replace(effects.restrict_genes([g for g, q in zip(effects.genes, quiet, strict=True) if q]))
    again = Judged.of(few).cases(predicted[:, quiet], everything, np.zeros(int(quiet.sum())))
    values = {
        "discrimination": METRICS["cosine_discrimination"].score(again),
        "overlap": METRICS["significant_overlap"].score(cases),
        "direction": METRICS["sign_agreement"].score(cases),
        "edistance": np.array(
            [
                energy_distance(cells.control + predicted[row, cells.columns], cells.perturbed[row])
                for row in everything
            ]
        ),
    }
    given = {
        "labels": np.array(effects.perturbations),
        "genes": np.array(few.genes),
        "measured": Judged.of(few).effect,
        "predicted": predicted[:, quiet],
        "all_genes": np.array(effects.genes),
        "all_measured": np.where(judged.own, 0.0, judged.effect),
        "all_predicted": np.where(judged.own, 0.0, predicted),
        "fdr": fdr,
        "control": cells.control.astype(np.float64),
        "predicted_cells": predicted[:, cells.columns],
        **{f"cells_{row}": cells.perturbed[row].astype(np.float64) for row in everything},
    }
    return values, given


def main() -> None:
    """Ask the peers and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", required=True, help="A Python that has cell-eval and pertpy.")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    effects, predicted, cells = predictions(args.seed)
    values, given = ours(effects, predicted, cells)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.npz"
        np.savez(path, **given)
        done = subprocess.run(
            [args.peer_python, str(PEER), str(path)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr.strip().splitlines()[-1])
    peers = json.loads(done.stdout.strip().splitlines()[-1])
    n = len(effects.perturbations)
    theirs = {name: np.array(v, dtype=float) for name, v in peers["values"].items()}
    rows = [
        ("discrimination (cosine)", "cell-eval", "as printed", "discrimination", theirs["discrimination"]),
        (
            "discrimination (cosine)",
            "cell-eval",
            "rank over P − 1 instead of P",
            "discrimination",
            1 - (1 - theirs["discrimination"]) * n / (n - 1),
        ),
        ("overlap of significant genes", "cell-eval", "as printed", "overlap", theirs["overlap"]),
        ("agreement of signs", "cell-eval", "as printed", "direction", theirs["direction"]),
        ("energy distance", "pertpy", "as printed", "edistance", theirs["edistance"]),
    ]
    print(header(note=", ".join(f"{name} {version}" for name, version in peers["versions"].items())))
    print("| metric | peer | compared | perturbations | ours, mean | theirs, mean | largest difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |")

    for name, peer, how, key, other in rows:
        mine = values[key]
        both = np.isfinite(mine) & np.isfinite(other)
        gap = np.abs(mine - other)[both].max()
        means = f"{mine[both].mean():.6f} | {other[both].mean():.6f}"
        print(f"| {name} | {peer} | {how} | {both.sum()} | {means} | {gap:.1e} |")


if __name__ == "__main__":
    main()
