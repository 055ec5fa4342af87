#!/usr/bin/env python3
"""Effects on proteins of simulated screens: planted effects recovered, held-out genes against the baselines.

Each seed makes another screen of 12,000 cells and 100 perturbations with that many antibodies, which follow their
genes with noise of their own. The effect head for proteins knows the screen's true network (its diffusion similarity,
without gene points) and is fitted fold by fold (five folds by gene) on measured effects. Prints a Markdown table.

Run: python benchmarks/proteins.py [--seeds 3]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from _report import header

from hyperperturb.data import compute_effects, compute_protein_effects, simulate_screen
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.protein_training import train_proteins
from hyperperturb.models.universe import build_universe

LABELS = {"column": "perturbation", "control": "non-targeting", "mode": "knockdown"}
METHODS = {
    MODEL: "HyperPerturb",
    "no_change": "no change",
    "training_mean": "training mean",
    "network_kernel_ridge": "network kernel ridge",
}


def one(seed: int, n_proteins: int) -> dict[str, float]:
    """Simulate, measure, cross-validate by gene."""
    screen = simulate_screen(seed=seed, n_proteins=n_proteins)
    measured, _ = compute_protein_effects(screen.adata, screen.proteins.adata, **LABELS)
    effects = compute_effects(screen.adata, **LABELS)
    targets = sorted({g for target in effects.targets for g in target})
    universe = build_universe([screen.network], targets=targets, response_genes=effects.genes, max_genes=4000)
    kernels = GeneKernels(universe.genes, universe.diffusion)
    found = train_proteins(measured, effects, kernels, folds=5, seed=seed)
    truth = screen.proteins.true_effects.effect
    z = (measured.effect - truth) / measured.standard_error
    scores = {row["name"]: row["error"] for row in found.scores.summary()}
    coverage = found.scores.calibration()
    permuted = np.random.default_rng(seed).permutation(len(universe.genes))
    shuffled = replace(kernels, diffusion=universe.diffusion[np.ix_(permuted, permuted)])
    without = train_proteins(measured, effects, shuffled, folds=5, seed=seed).scores.summary()
    return {
        **{name: scores[name] for name in METHODS},
        "permuted": next(row["error"] for row in without if row["name"] == MODEL),
        "z": float(np.sqrt(np.mean(z**2))),
        "recovered": float(np.corrcoef(measured.effect.ravel(), truth.ravel())[0, 1]),
        "covered": float("nan") if coverage is None else coverage.coverage,
    }


def main() -> None:
    """Run seeds and sizes and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(header())
    columns = [*METHODS.values(), "HyperPerturb, genes permuted", "inside 90 %", "measured–planted r", "z"]
    print(f"| antibodies | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for n in (4, 12, 40):
        rows = [one(seed, n) for seed in range(args.seeds)]
        mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        errors = " | ".join(f"{mean[name]:.3f}" for name in (*METHODS, "permuted"))
        print(
            f"| {n} | {errors} | {100 * mean['covered']:.0f} % | {mean['recovered']:.3f} | {mean['z']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
