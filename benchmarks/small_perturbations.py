#!/usr/bin/env python3
"""What few cells are called: false discoveries and power, with known truth. Prints Markdown tables.

Counts of 3,000 genes (negative binomial; half of them seen in fewer than an eighth of the cells) of 3,000 controls and
of 30 perturbations each of 10, 30, 100 and 300 cells: ten of them do nothing, twenty double or halve a twentieth of the
genes. With ``--screen``, the control cells of a real screen are dealt out at random to perturbations that do nothing.

Four tests of the same cells, Benjamini-Hochberg at 5 % within a perturbation: a normal test with the perturbation's own
variance; Welch's t-test with the variance of a perturbation at least that of the controls; a normal test with moderated
variances; and what HyperPerturb does, moderated variances and a test that knows how skewed the mean of few cells is.

Run: python benchmarks/small_perturbations.py --screen FILE.h5ad --column perturbation --control non-targeting
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from _report import header
from anndata import AnnData
from scipy.stats import norm, t

from hyperperturb.data import compute_effects, open_screen
from hyperperturb.data.normalise import log_normalise
from hyperperturb.evaluation.metrics import significant_genes

N_CONTROLS, N_GENES, SIZES, SHARE = 3000, 3000, (10, 30, 100, 300), 0.05
TESTS = (
    "own variance, normal",
    "at least the controls' variance, t",
    "moderated, normal",
    "moderated, skewed",
)


def simulated(seed: int, repeats: int) -> tuple[AnnData, dict[str, np.ndarray]]:
    """Counts with labels ``<cells>-<number>``, and which genes each perturbation changes."""
    rng = np.random.default_rng(seed)
    level, dispersion = rng.lognormal(-2.0, 1.6, N_GENES), rng.gamma(2.0, 0.25, N_GENES)

    def cells(n: int, change: np.ndarray) -> sp.csr_matrix:
        size = rng.lognormal(0.0, 0.35, (n, 1))
        return sp.csr_matrix(
            rng.poisson(size * level * change * rng.gamma(1 / dispersion, dispersion, (n, N_GENES)))
        )

    blocks, labels, truth = [cells(N_CONTROLS, np.ones(N_GENES))], ["control"] * N_CONTROLS, {}
    for n in SIZES:
        for number in range(repeats):
            change = np.ones(N_GENES)
            if number % 3:
                hit = rng.choice(N_GENES, int(SHARE * N_GENES), replace=False)
                change[hit] = np.where(rng.random(len(hit)) < 0.5, 2.0, 0.5)
            name = f"{n}-{number}"
            blocks.append(cells(n, change))
            labels += [name] * n
            truth[name] = change != 1
    matrix = sp.vstack(blocks).tocsr().astype(np.float32)
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{i}" for i in range(len(labels))])
    return AnnData(matrix, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])), truth


def dealt(path: str, column: str, control: str, seed: int) -> AnnData:
    """Control cells of a real screen, half of them dealt out to perturbations that do nothing."""
    import anndata

    adata = anndata.read_h5ad(path)
    adata = adata[adata.obs[column] == control]
    labels = np.full(adata.n_obs, "control", dtype=object)
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    at, number = 0, 0
    while at + SIZES[number % len(SIZES)] <= adata.n_obs // 2:
        n = SIZES[number % len(SIZES)]
        labels[order[at : at + n]] = f"{n}-{number}"
        at, number = at + n, number + 1
    obs = pd.DataFrame({"perturbation": labels}, index=adata.obs_names)
    return AnnData(sp.csr_matrix(adata.X), obs=obs, var=pd.DataFrame(index=adata.var_names))


def p_values(adata: AnnData) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name of the test, perturbation, ``(G,)`` p-values."""
    effects = compute_effects(adata, column="perturbation", control="control")
    logs, label = log_normalise(adata.X), adata.obs["perturbation"].to_numpy()
    with open_screen(adata) as screen:
        assert screen.genes == effects.genes
    ours = effects.p_values()
    variance, n_c = effects.control_variance.astype(float), effects.n_control_cells
    for row, name in enumerate(effects.perturbations):
        own, n = logs[np.flatnonzero(label == name)], int(effects.n_cells[row])
        mean = np.asarray(own.mean(axis=0)).ravel()
        own_variance = (np.asarray(own.multiply(own).mean(axis=0)).ravel() - mean**2) * n / (n - 1)
        own_variance = np.maximum(own_variance, 0.0)
        with np.errstate(all="ignore"):
            size = np.abs(effects.effect[row].astype(float))
            z = size / np.sqrt(own_variance / n + variance / n_c)
            yield TESTS[0], name, 2 * norm.sf(z)
            a, b = np.maximum(own_variance, variance) / n, variance / n_c
            freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (n_c - 1))
            yield TESTS[1], name, 2 * t.sf(size / np.sqrt(a + b), freedom)
            yield TESTS[2], name, 2 * norm.sf(size / effects.standard_error[row])
        yield TESTS[3], name, ours[row]


def table(rows: list[dict]) -> None:
    """Print means by test and number of cells."""
    frame = pd.DataFrame(rows)
    print(
        "| test | cells | false of those called | power | idle perturbations with a gene called | genes called there |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for (test, cells), part in frame.groupby(["test", "cells"], sort=False):
        acting, idle = part[part["acting"]], part[~part["acting"]]
        cell = [f"{acting[x].mean():.1%}" if len(acting) else "–" for x in ("false", "power")]
        print(
            f"| {test} | {cells} | {cell[0]} | {cell[1]} | {(idle['called'] > 0).mean():.0%} | "
            f"{idle['called'].mean():.2f} |",
            flush=True,
        )
    print()


def judge(adata: AnnData, truth: dict[str, np.ndarray]) -> list[dict]:
    """One row a test and perturbation."""
    rows = []
    for test, name, p in p_values(adata):
        called = significant_genes(p[None], np.zeros((1, len(p)), dtype=bool))[0]
        true = truth.get(name, np.zeros(len(p), dtype=bool))
        rows.append(
            {
                "test": test,
                "cells": int(name.split("-")[0]),
                "acting": bool(true.any()),
                "called": int(called.sum()),
                "false": (called & ~true).sum() / max(called.sum(), 1),
                "power": called[true].mean() if true.any() else np.nan,
            }
        )
    return sorted(rows, key=lambda row: (TESTS.index(row["test"]), row["cells"]))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screen", help="A real screen, whose controls are dealt out as well.")
    parser.add_argument("--column", default="perturbation")
    parser.add_argument("--control", default="non-targeting")
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    print(header("numpy", "scipy"))
    rows = [row for seed in range(args.seeds) for row in judge(*simulated(seed, 30))]
    table(sorted(rows, key=lambda row: (TESTS.index(row["test"]), row["cells"])))
    if args.screen:
        print("Real control cells dealt out at random:\n")
        rows = [
            row
            for seed in range(10)
            for row in judge(dealt(args.screen, args.column, args.control, seed), {})
        ]
        table(sorted(rows, key=lambda row: (TESTS.index(row["test"]), row["cells"])))


if __name__ == "__main__":
    main()
