#!/usr/bin/env python3
"""The demo screen over five seeds: held-out single genes against the training mean, and hubs against radius.

Each seed makes another screen and another network. Points are trained with the quick preset's epochs; the effect head
is fitted fold by fold (five folds by gene) on measured effects. Prints a Markdown table.

Run: python benchmarks/demo_held_out.py [--seeds 5]
"""

from __future__ import annotations

import argparse

import numpy as np
from _report import header
from scipy.stats import rankdata, spearmanr, ttest_rel

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.evaluation.cross_validation import cross_validate
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.baselines import NetworkKernelRidge, training_mean
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.export import hyperbolic_similarity
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.gene_space import fit_gene_space, fit_quality
from hyperperturb.models.settings import PRESETS
from hyperperturb.models.universe import build_universe


def one_seed(seed: int) -> dict[str, float]:
    """Simulate, place the genes, cross-validate by gene."""
    screen = simulate_screen(seed=seed)
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    singles = effects.select(
        [p for p, t in zip(effects.perturbations, effects.targets, strict=True) if len(t) == 1]
    )
    targets = sorted({g for t in singles.targets for g in t})
    universe = build_universe([screen.network], targets=targets, response_genes=effects.genes, max_genes=4000)
    degree = np.diff(universe.adjacency.indptr)
    settings = PRESETS["quick"]
    space = fit_gene_space(
        universe.diffusion,
        (rankdata(degree) - 1) / (len(degree) - 1),
        dim=settings.embedding_dim,
        epochs=settings.epochs,
        learning_rate=settings.point_learning_rate,
        curvature=settings.curvature,
        validation_split=settings.validation_split,
        seed=seed,
    )
    points, curvature = space.points.embeddings.numpy(), float(space.curvature)
    kernels = GeneKernels(
        universe.genes,
        universe.diffusion,
        hyperbolic_similarity(points, curvature, slice(None), slice(None)),
        links=universe.links,
    )

    def model(training, wanted):
        head = EffectHead.fit(
            training.targets,
            training.genes,
            training.effect,
            kernels=kernels,
            standard_error=training.standard_error,
            control_mean=training.control_mean,
        )
        return head.predict(wanted, standard_error=False)[0]

    scores = cross_validate(
        singles,
        {MODEL: model, "training_mean": training_mean, "network_kernel_ridge": NetworkKernelRidge(kernels)},
        seed=seed,
    ).summary()
    connected = degree > 0
    rho, _ = spearmanr(np.linalg.norm(points, axis=1)[connected], degree[connected])
    return {
        **{row["name"]: row["error"] for row in scores},
        "rho": float(rho),
        "fit": fit_quality(points, curvature, universe.diffusion),
        "curvature": curvature,
    }


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    rows = [one_seed(seed) for seed in range(args.seeds)]
    print(header())
    print(
        "| seed | HyperPerturb | training mean | network kernel ridge | radius–degree rank correlation | fit | c |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for seed, row in enumerate(rows):
        print(
            f"| {seed} | {row[MODEL]:.3f} | {row['training_mean']:.3f} | {row['network_kernel_ridge']:.3f} | "
            f"{row['rho']:.3f} | {row['fit']:.3f} | {row['curvature']:.2f} |"
        )
    for name in ("training_mean", "network_kernel_ridge"):
        gap = np.array([row[name] - row[MODEL] for row in rows])
        test = ttest_rel([row[name] for row in rows], [row[MODEL] for row in rows])
        low, high = test.confidence_interval(0.95)
        print(
            f"\n{name} − HyperPerturb: {gap.mean():.3f} (95 % interval {low:.3f} to {high:.3f}, paired over seeds)"
        )


if __name__ == "__main__":
    main()
