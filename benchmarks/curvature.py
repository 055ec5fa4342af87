#!/usr/bin/env python3
"""Does curvature help? Hyperbolic points against their flat twin, by dimension: fit to the networks and prediction.

The effect head sees exp(−distance) of the gene points and nothing else of the networks. The twin has the same loss,
steps, number of coordinates and hub term in flat space. Folds by gene; each seed deals the folds and trains the points
anew. Leads are the twin's minus the hyperbolic score, positive where hyperbolic space is better, with the 95 % interval
over genes (paired bootstrap) and over seeds (paired t). Prints a Markdown table for each data set.

Run: python benchmarks/curvature.py [--screen SCREEN.h5ad] [--effects TABLE.csv] --network STRING.csv [--quick]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from _report import half_width, header

from hyperperturb.data import compute_effects, read_effects, read_network
from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.cross_validation import averaged_over_seeds, cross_validate
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.baselines import no_change, training_mean
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.gene_space import fit_quality, place_genes
from hyperperturb.models.predictor import model_predictor
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.universe import Universe, build_universe
from hyperperturb.models.variants import proximity

SPACES = {MODEL: "PoincareBall", "flat_twin": "Euclidean"}


def kernels_of(
    universe: Universe, targets: list[str], settings: TrainingSettings, manifold: str, seed: int
) -> tuple[GeneKernels, float, float]:
    """The points' similarity as the only kernel, its fit to the networks' similarity, and the curvature."""
    space = place_genes(universe, settings, manifold=manifold, seed=seed)
    points, curvature = space.all_positions(), float(space.curvature)
    keras.utils.clear_session()
    row = {gene: i for i, gene in enumerate(universe.genes)}
    columns = np.array([row[gene] for gene in targets])
    near = proximity(points, space.manifold, curvature, np.arange(len(points)), columns)
    fit = fit_quality(points, curvature, universe.similarity, manifold=space.manifold)
    return GeneKernels(universe.genes, near, None, tuple(targets)), fit, curvature


def interval(values: list[float]) -> str:
    """Mean and the ends of its 95 % t interval."""
    middle, half = np.mean(values), half_width(values)
    return f"{middle - half:.3f} to {middle + half:.3f}"


def one_dimension(effects: Effects, universe: Universe, dim: int, seeds: int, epochs: int) -> str:
    """A row of the table."""
    targets = sorted({g for t in effects.targets for g in t})
    settings = TrainingSettings(embedding_dim=dim, epochs=epochs)
    parts, fits, curvatures = [], {name: [] for name in SPACES}, []
    for seed in range(seeds):
        predictors = {}
        for name, manifold in SPACES.items():
            kernels, fit, curvature = kernels_of(universe, targets, settings, manifold, seed)
            predictors[name] = model_predictor(kernels, seed)
            fits[name].append(fit)
            curvatures += [curvature] if name == MODEL else []
        predictors |= {"no_change": no_change, "training_mean": training_mean}
        parts.append(cross_validate(effects, predictors, seed=seed))
    scores = averaged_over_seeds(parts)
    rows = {row["name"]: row for row in scores.summary()}
    leads, by_seed = scores.leads("flat_twin"), scores.seed_leads("flat_twin")
    cells = [str(dim), *(f"{np.mean(fits[name]):.3f}" for name in SPACES), f"{np.mean(curvatures):.2f}"]
    for metric in ("error", "pearson_mean"):
        lead, low, high = leads[metric]
        cells += [f"{rows[name][metric]:.3f}" for name in SPACES]
        cells.append(f"{lead:+.3f} ({low:.3f} to {high:.3f}; seeds {interval(by_seed[metric])})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Go through data sets and dimensions and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screen", type=Path)
    parser.add_argument("--column", default="perturbation")
    parser.add_argument("--control", default="non-targeting")
    parser.add_argument("--effects", type=Path)
    parser.add_argument("--network", type=Path, action="append", required=True)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 5, 10, 16])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--max_genes", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="Two dimensions, two seeds, three epochs.")
    args = parser.parse_args()
    if args.quick:
        args.dims, args.seeds, args.epochs, args.max_genes = [2], 2, 3, 300
    data = {}
    if args.effects:
        data[args.effects.name] = read_effects(args.effects)
    if args.screen:
        data[args.screen.name] = compute_effects(args.screen, column=args.column, control=args.control)
    networks = [read_network(path) for path in args.network]
    print(header("keras", "tensorflow"))
    for name, effects in data.items():
        targets = {g for t in effects.targets for g in t}
        universe = build_universe(
            networks, targets=targets, response_genes=effects.genes, max_genes=args.max_genes
        )
        print(f"{name}: {len(effects.perturbations)} perturbations, {len(universe.genes):,} genes placed\n")
        print(
            "| dimensions | fit, hyperbolic | fit, flat | c | error, hyperbolic | error, flat | lead | correlation "
            "beyond the mean, hyperbolic | flat | lead |"
        )
        print("| --- |" + " --- |" * 9)
        for dim in args.dims:
            print(one_dimension(effects, universe, dim, args.seeds, args.epochs), flush=True)
        print()


if __name__ == "__main__":
    main()
