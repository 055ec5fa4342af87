#!/usr/bin/env python3
"""Simulated screens, whose true effects are known: what size of screen, wrong edges and epistasis do to predictions.

Networks: screens of 20, 100 and 400 perturbations (70 % singles, 20 % doubles, 10 % triples), with the network they
were made from, with 30 and 60 % of its edges wrong, and with its genes dealt out at random. Held out are genes (five
folds; scored: singles) and combinations whose genes were seen (five folds; doubles, triples). The score is 1 − squared
error over that of the training mean, both against the true effects: 0 is the mean, 1 the truth.

Epistasis: half of 120 doubles interact, or none. The head against the same head without interactions, on doubles that
were measured, doubles and triples that were left out; and whether the interaction score tells which doubles interact.

Gene points are trained as in the quick preset. Intervals: 95 %, over seeds (Student), paired where two methods meet.

Run: python benchmarks/simulated.py [--seeds 5] [--part networks|epistasis] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from _report import half_width, header
from sklearn.metrics import roc_auc_score

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.data.effects import Effects
from hyperperturb.data.network import Network
from hyperperturb.data.network_noise import with_permuted_genes, with_wrong_edges
from hyperperturb.data.simulate import SimulatedScreen
from hyperperturb.evaluation.splits import Split, combination_folds, gene_folds
from hyperperturb.models.baselines import training_mean
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.interactions import interaction_score
from hyperperturb.models.predictor import fit_head
from hyperperturb.models.settings import PRESETS, TrainingSettings
from hyperperturb.models.universe import build_universe
from hyperperturb.models.variants import trained_kernels

NETWORKS: dict[str, Callable[[Network, int], Network]] = {
    "true": lambda network, seed: network,
    "30 % wrong": lambda network, seed: with_wrong_edges(network, 0.3, seed=seed),
    "60 % wrong": lambda network, seed: with_wrong_edges(network, 0.6, seed=seed),
    "useless": lambda network, seed: with_permuted_genes(network, seed=seed),
}
KINDS = {1: "singles of unseen genes", 2: "doubles of seen genes", 3: "triples of seen genes"}
# Perturbations -> genes and regulators: singles are mostly regulators, so a larger screen needs more of them.
SIZES = {20: (600, 60), 100: (600, 60), 400: (800, 240)}
CELLS_EACH = 120


def screen_of(perturbations: int, seed: int) -> SimulatedScreen:
    """A simulated screen of so many perturbations."""
    n_genes, n_regulators = SIZES[perturbations]
    n_double, n_triple = perturbations // 5, perturbations // 10
    return simulate_screen(
        seed=seed,
        n_genes=n_genes,
        n_regulators=n_regulators,
        n_single=perturbations - n_double - n_triple,
        n_double=n_double,
        n_triple=n_triple,
        n_cells=CELLS_EACH * perturbations,
    )


def measured(screen: SimulatedScreen) -> tuple[Effects, np.ndarray, np.ndarray]:
    """Measured effects, and in the same order the true ones (P, R) and the entries that are no target's own."""
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    true = screen.true_effects
    row = {p: i for i, p in enumerate(true.perturbations)}
    column = {g: i for i, g in enumerate(true.genes)}
    truth = true.effect[
        np.ix_([row[p] for p in effects.perturbations], [column[g] for g in effects.genes])
    ].astype(np.float64)
    others = np.array([~np.isin(effects.genes, target) for target in effects.targets])
    return effects, truth, others


def knowledge(network: Network, effects: Effects, settings: TrainingSettings, seed: int) -> GeneKernels:
    """What the head knows about genes after training the points on a network."""
    targets = sorted({g for target in effects.targets for g in target})
    universe = build_universe(
        [network], targets=targets, response_genes=effects.genes, max_genes=settings.max_genes
    )
    return trained_kernels(universe, targets, settings, seed=seed)


def held_out(
    effects: Effects, splits: Sequence[Split], predictors: dict[str, Callable], order: Callable[[int], bool]
) -> dict[str, dict[int, np.ndarray]]:
    """Predictor -> perturbation -> prediction while it was held out, of those whose number of targets counts."""
    out: dict[str, dict[int, np.ndarray]] = {name: {} for name in predictors}
    for split in splits:
        test = [i for i in split.test if order(len(effects.targets[i]))]
        if not test:
            continue
        training = effects.select([effects.perturbations[i] for i in split.train])
        for name, predict in predictors.items():
            answers = predict(training, [effects.targets[i] for i in test])
            out[name] |= dict(zip(test, answers, strict=True))
    return out


def against_networks(
    perturbations: int, seed: int, settings: TrainingSettings
) -> dict[tuple[str, str], float]:
    """Scores of one screen by (network, kind of perturbation)."""
    screen = screen_of(perturbations, seed)
    effects, truth, others = measured(screen)
    schemes = [
        (gene_folds(effects.targets, folds=5, seed=seed), lambda n: n == 1),
        (combination_folds(effects.targets, folds=5, seed=seed), lambda n: n > 1),
    ]
    squares: dict[tuple[str, int], float] = {}

    def add(name: str, predictor: Callable) -> None:
        for splits, order in schemes:
            for i, answer in held_out(effects, splits, {name: predictor}, order)[name].items():
                key = name, len(effects.targets[i])
                squares[key] = squares.get(key, 0.0) + float(np.sum((answer - truth[i])[others[i]] ** 2))

    add("mean", training_mean)
    for name, spoil in NETWORKS.items():
        kernels = knowledge(spoil(screen.network, seed), effects, settings, seed)
        add(name, lambda training, asked, k=kernels: fit_head(training, k, seed).predict(asked)[0])
    return {
        (name, kind): 1.0 - squares[name, n] / squares["mean", n]
        for name in NETWORKS
        for n, kind in KINDS.items()
    }


def without_interactions(effects: Effects, kernels: GeneKernels, head: EffectHead) -> EffectHead:
    """The same head with the same parameters, but additive."""
    return fit_head(effects, kernels, parameters=replace(head.parameters, pair=0.0))


def against_epistasis(
    fraction: float, seed: int, settings: TrainingSettings, n_double: int
) -> dict[str, float]:
    """Errors against the truth over those of no change, with and without interactions, and recovery."""
    screen = simulate_screen(
        seed=seed,
        n_single=80,
        n_double=n_double,
        n_triple=n_double // 6,
        n_cells=CELLS_EACH * (80 + n_double + n_double // 6),
        epistasis=fraction,
    )
    effects, truth, others = measured(screen)
    kernels = knowledge(screen.network, effects, settings, seed)
    head = fit_head(effects, kernels, seed)
    additive = without_interactions(effects, kernels, head)
    several = [i for i, target in enumerate(effects.targets) if len(target) > 1]
    doubles = [i for i in several if len(effects.targets[i]) == 2]

    def error(predictions: dict[int, np.ndarray], n: int) -> float:
        rows = [i for i in predictions if len(effects.targets[i]) == n]
        missed = sum(np.sum((predictions[i] - truth[i])[others[i]] ** 2) for i in rows)
        return float(missed / sum(np.sum(truth[i][others[i]] ** 2) for i in rows))

    def scores(mean: np.ndarray, part: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        keep = [others[i] for i in rows]
        parts = [interaction_score((m - p)[k], p[k], p[k]) for m, p, k in zip(mean, part, keep, strict=True)]
        return np.array([score for score, _ in parts])

    asked = [effects.targets[i] for i in doubles]
    found = scores(head.predict(asked)[0], head.interaction(asked)[0], doubles)
    both = {"model": head, "additive": additive}
    seen = {name: dict(zip(doubles, h.predict(asked)[0], strict=True)) for name, h in both.items()}
    left: dict[str, dict[int, np.ndarray]] = {"model": {}, "additive": {}, "interaction": {}}
    for split in combination_folds(effects.targets, folds=5, seed=seed):
        training = effects.select([effects.perturbations[i] for i in split.train])
        fitted = fit_head(training, kernels, seed)
        queries = [effects.targets[i] for i in split.test]
        plain = without_interactions(training, kernels, fitted)
        for name, answers in (
            ("model", fitted.predict(queries)[0]),
            ("additive", plain.predict(queries)[0]),
            ("interaction", fitted.interaction(queries)[0]),
        ):
            left[name] |= dict(zip(split.test.tolist(), answers, strict=True))
    out = {"variance": head.parameters.pair}
    for name in both:
        out[f"measured doubles, {name}"] = error(seen[name], 2)
        out[f"left-out doubles, {name}"] = error(left[name], 2)
        out[f"left-out triples, {name}"] = error(left[name], 3)
    if fraction:
        epistatic = {frozenset(pair) for pair in screen.epistasis}
        label = np.array([frozenset(effects.targets[i]) in epistatic for i in doubles])
        out["AUROC, measured"] = roc_auc_score(label, np.abs(found))
        guess = scores(
            np.array([left["model"][i] for i in doubles]),
            np.array([left["interaction"][i] for i in doubles]),
            doubles,
        )
        out["AUROC, left out"] = roc_auc_score(label, np.abs(guess))
    return out


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over seeds."""
    middle, half = float(np.mean(values)), half_width(values)
    return middle, middle - half, middle + half


def shown(values: Sequence[float]) -> str:
    """The mean and the interval in brackets."""
    mean, low, high = interval(values)
    return f"{mean:.3f} ({low:.3f} to {high:.3f})".replace("-", "−")


def epistasis_table(seeds: Sequence[int], settings: TrainingSettings, n_double: int) -> None:
    """Print what interactions are worth, and which of them are found."""
    print(
        "| doubles that interact | | without interactions | with | difference |\n| --- | --- | --- | --- | --- |"
    )
    recovery = []
    for fraction in (0.5, 0.0):
        runs = [against_epistasis(fraction, seed, settings, n_double) for seed in seeds]
        for what in ("measured doubles", "left-out doubles", "left-out triples"):
            with_, plain = ([run[f"{what}, {name}"] for run in runs] for name in ("model", "additive"))
            gap = [a - b for a, b in zip(with_, plain, strict=True)]
            print(f"| {fraction:.0%} | {what} | {np.mean(plain):.3f} | {np.mean(with_):.3f} | {shown(gap)} |")
        variances = ", ".join(f"{run['variance']:g}" for run in runs)
        recovery.append(
            f"\nVariance of interactions, {fraction:.0%} of the doubles interacting: {variances}."
        )
        recovery += [f"{k}: {shown([run[k] for run in runs])}." for k in runs[0] if k.startswith("AUROC")]
    print("\n".join(recovery), flush=True)


def networks_table(seeds: Sequence[int], settings: TrainingSettings, sizes: Sequence[int]) -> None:
    """Print the scores by size of the screen and by network."""
    print(f"\n| perturbations | network | {' | '.join(KINDS.values())} |")
    print("| --- " * (2 + len(KINDS)) + "|")
    for size in sizes:
        runs = [against_networks(size, seed, settings) for seed in seeds]
        for name in NETWORKS:
            cells = [shown([run[name, kind] for run in runs]) for kind in KINDS.values()]
            print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run both parts and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", choices=("networks", "epistasis"))
    parser.add_argument("--quick", action="store_true", help="two seeds, the smallest screens, one epoch")
    args = parser.parse_args()
    seeds = range(2 if args.quick else args.seeds)
    settings = PRESETS["quick"].model_copy(update={"epochs": 1} if args.quick else {})
    start = time.perf_counter()
    print(header("numpy", "scipy"))

    if args.part != "networks":
        epistasis_table(seeds, settings, 24 if args.quick else 120)
    if args.part != "epistasis":
        networks_table(seeds, settings, [20] if args.quick else list(SIZES))
    print(f"\n{time.perf_counter() - start:.0f} s in all.")


if __name__ == "__main__":
    main()
