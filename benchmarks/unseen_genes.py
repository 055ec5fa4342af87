#!/usr/bin/env python3
"""Genes that were never perturbed: the model beside every baseline, and with one component at a time switched off.

Norman 2019 (a table of effects in 69 components; perturbations with a squared effect above 0.3) and Papalexi 2021, with
eight networks, and the demo screen with its own. Norman: five folds by gene, five seeds; single genes are scored,
combinations teach. Papalexi: every perturbation left out once; counts scaled to the median depth and to ten thousand
(as the package does). Demo: five folds by gene, five seeds.

Error is the squared error over that of no change; the lead is the other method's error minus the model's, with the
paired 95 % interval over genes. The targets' own responses are left out everywhere.

Run: python benchmarks/unseen_genes.py DATA [--part score|ablation] [--case norman|papalexi|demo] [--max-genes 2000]
with the folders ``effects``, ``screens`` and ``networks`` in DATA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _report import header

from hyperperturb.data import compute_effects, read_network, simulate_screen
from hyperperturb.data.effects import Effects, read_effects
from hyperperturb.data.network import Network
from hyperperturb.evaluation.cross_validation import CrossValidation, Predictor, cross_validate
from hyperperturb.evaluation.splits import Split, gene_folds
from hyperperturb.evaluation.verdict import LABELS, MODEL
from hyperperturb.models.baselines import NetworkKernelRidge, simple_baselines
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.predictor import fit_head, model_predictor
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.similarity import network_similarity
from hyperperturb.models.universe import Universe, build_universe, induced
from hyperperturb.models.variants import trained_kernels

NETWORKS = (
    "string_high_confidence.csv",
    "reactome_pairs.csv",
    "ReactomePathways.gmt",
    "humap.csv",
    "signor.csv",
    "collectri.csv",
    "trrust_rawdata.human.tsv",
    "gene_go.csv.gz",
)
STRONG = 0.3
SEEDS = 5


@dataclass(frozen=True)
class Case:
    """A screen's effects and how its perturbations are held out."""

    name: str
    effects: Effects
    splits: Sequence[Split]
    networks: Sequence[Network]

    @property
    def targets(self) -> list[str]:
        """All target genes, sorted."""
        return sorted({gene for target in self.effects.targets for gene in target})


def norman(data: Path, networks: Sequence[Network]) -> Case:
    """Strong perturbations; held-out single genes, five folds by gene and five seeds."""
    effects = read_effects(data / "effects" / "norman2019_effects.csv.gz")
    size = np.sum(effects.effect.astype(float) ** 2, axis=1)
    effects = effects.select([p for p, s in zip(effects.perturbations, size, strict=True) if s > STRONG])
    splits = []
    for seed in range(SEEDS):
        for split in gene_folds(effects.targets, folds=5, seed=seed):
            test = np.array([i for i in split.test if len(effects.targets[i]) == 1], dtype=int)
            if len(test):
                splits.append(replace(split, test=test))
    return Case("Norman 2019", effects, splits, networks)


def papalexi(data: Path, networks: Sequence[Network], *, median_depth: bool) -> Case:
    """Every perturbation left out once."""
    import anndata
    from scipy import sparse

    screen = anndata.read_h5ad(data / "screens" / "papalexi2021_thp1_299genes.h5ad")
    if median_depth:
        counts = sparse.csr_array(screen.X, dtype=np.float64)
        depth = np.asarray(counts.sum(axis=1)).ravel()
        scaled = sparse.csr_array(sparse.diags_array(np.median(depth) / np.maximum(depth, 1)) @ counts)
        scaled.data = np.log1p(scaled.data)
        screen = anndata.AnnData(sparse.csr_matrix(scaled, dtype=np.float32), obs=screen.obs, var=screen.var)
    effects = compute_effects(screen, column="perturbation", control="non-targeting")
    n = len({gene for target in effects.targets for gene in target})
    name = "Papalexi 2021, " + ("median depth" if median_depth else "ten thousand")
    return Case(name, effects, gene_folds(effects.targets, folds=n, seed=0), networks)


def demo() -> Case:
    """The simulated screen of seed 0 with its own network."""
    screen = simulate_screen(seed=0)
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    splits = [split for seed in range(SEEDS) for split in gene_folds(effects.targets, folds=5, seed=seed)]
    return Case("Demo screen", effects, splits, [screen.network])


def cases(data: Path, only: str | None, *, median_only: bool) -> Iterator[Case]:
    """The screens to score, one after the other."""
    networks = [] if only == "demo" else [read_network(data / "networks" / name) for name in NETWORKS]
    if only in (None, "norman"):
        yield norman(data, networks)
    if only in (None, "papalexi"):
        yield papalexi(data, networks, median_depth=True)
        if not median_only:
            yield papalexi(data, networks, median_depth=False)
    if only in (None, "demo"):
        yield demo()


def universe_of(case: Case, networks: Sequence[Network], max_genes: int) -> Universe:
    """The genes to compare, along these networks."""
    return build_universe(
        networks, targets=case.targets, response_genes=case.effects.genes, max_genes=max_genes
    )


def changed_head(
    kernels: GeneKernels,
    *,
    effects: Callable[[Effects], Effects] = lambda e: e,
    parameters: Callable[[KernelParameters], KernelParameters] | None = None,
) -> Predictor:
    """The model with changed training effects or changed parameters."""

    def predict(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        training = effects(training)
        head = fit_head(training, kernels)
        if parameters is not None:
            head = fit_head(training, kernels, parameters=parameters(head.parameters))
        return head.predict(targets, standard_error=False)[0]

    return predict


def without_errors(effects: Effects) -> Effects:
    """Every perturbation counts the same."""
    return replace(effects, standard_error=np.full_like(effects.standard_error, np.nan))


def without_own(effects: Effects) -> Effects:
    """Response genes by other names: a target's own response is one like all others."""
    return replace(effects, genes=tuple(f"{gene} " for gene in effects.genes), control_mean=None)


def ablations(case: Case, kernels: GeneKernels, max_genes: int) -> dict[str, Predictor]:
    """The model with one component at a time switched off; the networks' part without the space."""
    plain = replace(kernels, hyperbolic=None)
    out = {
        "without the hyperbolic kernel": model_predictor(plain, 0),
        "the hyperbolic kernel alone": model_predictor(
            replace(kernels, diffusion=kernels.hyperbolic, hyperbolic=None), 0
        ),
        "without edges to response genes": model_predictor(replace(kernels, links=None), 0),
        "combinations as plain sums (s = 1)": changed_head(
            kernels, parameters=lambda p: replace(p, factor=1.0)
        ),
        "every perturbation counts the same": changed_head(kernels, effects=without_errors),
        "own responses like all others": changed_head(kernels, effects=without_own),
    }
    for left_out in case.networks if len(case.networks) > 1 else ():
        universe = universe_of(case, [n for n in case.networks if n is not left_out], max_genes)
        known = GeneKernels(universe.genes, universe.diffusion, links=universe.links)
        out[f"without {left_out.name}*"] = model_predictor(known, 0)
    return out


def table(scores: CrossValidation) -> list[str]:
    """A Markdown table: error, correlation beyond the mean (mean, and weighted by effect size), lead of the model."""
    out = ["| | error | correlation beyond the mean | weighted | lead of the model |", "| --- " * 5 + "|"]
    for row in scores.summary():
        name = row["name"]
        rows = scores.table(name)
        weighted = np.average(rows["pearson_mean"], weights=rows["squared_size"])
        lead = "" if name == MODEL else "{:.3f} ({:.3f} to {:.3f})".format(*scores.lead(name))
        out.append(
            f"| {LABELS.get(name, name)} | {row['error']:.3f} ({row['error_low']:.3f}–{row['error_high']:.3f}) | "
            f"{row['pearson_mean']:.3f} | {weighted:.3f} | {lead} |"
        )
    return out


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=("score", "ablation"), default="score")
    parser.add_argument("--case", choices=("norman", "papalexi", "demo"))
    parser.add_argument("--max-genes", type=int, default=2000)
    args = parser.parse_args()
    print(header(), flush=True)
    for case in cases(args.data, args.case, median_only=args.part == "ablation"):
        universe = universe_of(case, case.networks, args.max_genes)
        kernels = trained_kernels(
            universe, universe.genes, TrainingSettings(max_genes=args.max_genes), seed=0
        )
        if args.part == "score":
            mean = np.mean(
                [network_similarity([induced(n, universe.genes)]).matrix() for n in case.networks], axis=0
            )
            predictors = {
                MODEL: model_predictor(kernels, 0),
                **simple_baselines(kernels),
                "kernel ridge, mean over networks": NetworkKernelRidge(GeneKernels(universe.genes, mean)),
                "additive process, mean over networks": model_predictor(GeneKernels(universe.genes, mean), 0),
            }
        else:
            predictors = {MODEL: model_predictor(kernels, 0)}
            predictors |= ablations(case, kernels, args.max_genes)
        scores = cross_validate(case.effects, predictors, splits=case.splits)
        print(f"**{case.name}**, {len(scores.perturbations)} held-out perturbations\n")
        print("\n".join(table(scores)), flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
