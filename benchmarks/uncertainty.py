#!/usr/bin/env python3
"""Does the model know how wrong it is? Coverage of its intervals, ranking of its errors, and what refusing gains.

Real screens as in ``unseen_genes.py`` (Norman 2019, Papalexi 2021 at median depth, demo), all perturbations, five folds
by gene, five seeds; and five simulated screens of 80 singles, 120 doubles and 20 triples, half of the doubles
interacting or none, where the truth is known too. ``docs/metrics.md`` says what the figures mean.

Coverage is also given by what is asked: how many genes a perturbation has, and how many of them training had seen
(folds by gene), with combinations held out whose genes were all seen (folds by combination).

Run: python benchmarks/uncertainty.py DATA [--case norman|papalexi|demo|simulated] [--seeds 5]
with the folders ``effects``, ``screens`` and ``networks`` in DATA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _report import header
from simulated import CELLS_EACH, knowledge, measured
from unseen_genes import Case, cases, universe_of

from hyperperturb.data import simulate_screen
from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.cross_validation import CrossValidation, averaged_over_seeds, cross_validate
from hyperperturb.evaluation.resampling import Resampling
from hyperperturb.evaluation.splits import Split, combination_folds, gene_folds
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.predictor import model_predictor
from hyperperturb.models.settings import PRESETS, TrainingSettings
from hyperperturb.models.variants import trained_kernels

Z = 1.6448536269514722
Answer = tuple[str, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """One cross-validation and every answer in it: label, mean and standard error."""

    scores: CrossValidation
    answers: list[Answer]


def ask(effects: Effects, kernels: GeneKernels, splits: Sequence[Split]) -> Asked:
    """Judge the model on these splits and keep what it said."""
    model, answers = model_predictor(kernels, 0), []
    label = dict(zip(effects.targets, effects.perturbations, strict=True))

    def predict(training: Effects, targets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        mean, error = model(training, targets)
        answers.extend((label[tuple(t)], *both) for t, *both in zip(targets, mean, error, strict=True))
        return mean, error

    return Asked(cross_validate(effects, {MODEL: predict}, splits=splits), answers)


def by_seed(
    effects: Effects, kernels: GeneKernels, fold: Callable[..., Sequence[Split]], seeds: int
) -> list[Asked]:
    """The same for several deals of the folds."""
    return [ask(effects, kernels, fold(effects.targets, folds=5, seed=seed)) for seed in range(seeds)]


def several(effects: Effects) -> bool:
    """Whether there are enough combinations to hold some out."""
    return sum(len(target) > 1 for target in effects.targets) >= 10


def calibration_row(name: str, scores: CrossValidation) -> str:
    """What the judge says of the standard errors, in a row."""
    c = scores.calibration()
    quantiles = [f"{values[0]:.2f}–{values[-1]:.2f}" for values in (c.perturbation_coverage, c.gene_coverage)]
    return " | ".join(
        [
            f"| {name}",
            f"{c.coverage:.3f} ({c.coverage_low:.3f}–{c.coverage_high:.3f})",
            *quantiles,
            f"{c.rank_correlation:.2f} ({c.rank_correlation_low:.2f} to {c.rank_correlation_high:.2f})",
            f"{c.error_all:.4f} → {c.error_kept:.4f} ({c.gain_low:.4f} to {c.gain_high:.4f})",
            f"{c.relative_error_all:.3f} → {c.relative_error_kept:.3f} "
            f"({c.relative_gain_low:.3f} to {c.relative_gain_high:.3f}) |",
        ]
    )


def coverage_rows(name: str, parts: Sequence[CrossValidation]) -> Iterator[str]:
    """Coverage by number of genes and of genes seen, with the interval over genes."""
    for (n_targets, n_seen), part in averaged_over_seeds(parts).groups().items():
        table = part.table(MODEL)
        covered = table["covered"].to_numpy()[:, None]
        resampling = Resampling([part.targets[p] for p in table.index])
        value, low, high = resampling.ratio(covered, np.ones_like(covered))
        interval = f"{value[0]:.3f} ({low[0]:.3f}–{high[0]:.3f})"
        yield f"| {name} | {n_targets} | {n_seen} | {len(table)} | {interval} |"


HEAD = (
    "| screen | inside 90 % intervals | by perturbation, 5–95 % | by response gene, 5–95 % | rank correlation | "
    "error, least certain 30 % refused | relative error, least supported 30 % refused |\n"
    + "| --- " * 7
    + "|"
)


def real(case: Case, seeds: int, max_genes: int) -> tuple[str, list[str]]:
    """A row of figures, and rows of coverage."""
    universe = universe_of(case, case.networks, max_genes)
    kernels = trained_kernels(universe, universe.genes, TrainingSettings(max_genes=max_genes), seed=0)
    genes = [asked.scores for asked in by_seed(case.effects, kernels, gene_folds, seeds)]
    rows = list(coverage_rows(f"{case.name}, folds by gene", genes))
    if several(case.effects):
        combined = [asked.scores for asked in by_seed(case.effects, kernels, combination_folds, seeds)]
        rows += coverage_rows(f"{case.name}, by combination", combined)
    return calibration_row(case.name, averaged_over_seeds(genes)), rows


def inside_truth(answers: Sequence[Answer], truth: dict[str, np.ndarray]) -> list[float]:
    """Share of the true effects (NaN for a target's own) inside the intervals of the prediction alone."""
    out = []
    for label, mean, error in answers:
        keep = np.isfinite(truth[label])
        out.append(float(np.mean(np.abs(mean - truth[label])[keep] <= Z * error[keep])))
    return out


def simulated(epistasis: float, seeds: int) -> tuple[list[str], list[str]]:
    """The same of simulated screens, one deal of folds each, and coverage of the truth."""
    found, of_truth = [], {}
    for seed in range(seeds):
        screen = simulate_screen(
            seed=seed,
            n_single=80,
            n_double=120,
            n_triple=20,
            n_cells=CELLS_EACH * 220,
            epistasis=epistasis,
        )
        effects, exact, others = measured(screen)
        kernels = knowledge(screen.network, effects, PRESETS["quick"], seed)
        truth = dict(zip(effects.perturbations, np.where(others, exact, np.nan), strict=True))
        n_targets = dict(zip(effects.perturbations, map(len, effects.targets), strict=True))
        for what, fold in (("unseen", gene_folds), ("seen", combination_folds)):
            asked = ask(effects, kernels, fold(effects.targets, folds=5, seed=seed))
            if what == "unseen":
                found.append(asked.scores.calibration())
            for (label, *_), share in zip(asked.answers, inside_truth(asked.answers, truth), strict=True):
                of_truth.setdefault((n_targets[label], what), []).append(share)
    name = f"simulated, {epistasis:.0%} of the doubles interacting"
    rank = [c.rank_correlation for c in found]
    kept = [(c.relative_error_all, c.relative_error_kept) for c in found]
    lines = [
        f"{name}: inside {np.mean([c.coverage for c in found]):.3f}; rank correlation {np.mean(rank):.2f} "
        f"({min(rank):.2f} to {max(rank):.2f} in {len(rank)} screens); relative error, least supported refused, "
        "{:.3f} → {:.3f}.".format(*np.mean(kept, axis=0))
    ]
    words = {"unseen": "some or none", "seen": "all"}
    rows = [
        f"| {name}, true effects | {n} | {words[what]} | {len(shares)} | {np.mean(shares):.3f} |"
        for (n, what), shares in sorted(of_truth.items())
    ]
    return lines, rows


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--case", choices=("norman", "papalexi", "demo", "simulated"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-genes", type=int, default=2000)
    args = parser.parse_args()
    print(header("numpy", "scipy"), flush=True)
    rows, lines = [], []
    if args.case != "simulated":
        print(HEAD, flush=True)
        for case in cases(args.data, args.case, median_only=True):
            row, more = real(replace(case, splits=()), args.seeds, args.max_genes)
            print(row, flush=True)
            rows += more
    if args.case in (None, "simulated"):
        for epistasis in (0.0, 0.5):
            said, more = simulated(epistasis, args.seeds)
            lines += said
            rows += more
    print("\n" + "\n\n".join(lines))
    print(
        "\n| screen | genes | of them seen | perturbations | inside 90 % intervals |\n" + "| --- " * 5 + "|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
