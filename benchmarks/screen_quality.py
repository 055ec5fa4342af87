"""How long judging a screen takes, and how often it finds an effect where there is none.

Simulated screens of rising size (1,000 genes, half of the perturbations of one gene), 999 permutations each; then
control cells alone, dealt out at random to 150 perturbations that do nothing, five times: the shares that are called
different from the controls at p < 0.05, and after adjusting for their number, are what chance gives.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from _report import header
from scipy.stats import ttest_ind

from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.quality import assess_quality
from hyperperturb.data.quality_measures import adjusted
from hyperperturb.data.simulate import simulate_screen

BY = {"column": "perturbation", "control": "non-targeting"}


def timings() -> None:
    """Print the seconds for screens of several sizes."""
    print("| cells | perturbations | guides | seconds |\n| --- | --- | --- | --- |")
    assess_quality(
        simulate_screen(n_cells=1500, n_genes=200, n_single=12, n_double=4).adata, **BY
    )  # compiles
    for cells, perturbations in ((12_000, 100), (25_000, 250), (50_000, 250), (100_000, 500)):
        screen = simulate_screen(
            n_cells=cells, n_single=perturbations // 2, n_double=perturbations // 2
        ).adata
        started = time.perf_counter()
        found = assess_quality(screen, **BY, mode="knockdown")
        seconds = time.perf_counter() - started
        print(f"| {cells:,} | {len(found.perturbations)} | {len(found.guides)} | {seconds:.1f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nPeak memory, the simulated screens included: {peak:.1f} GB.\n")


def false_alarms(repeats: int = 5) -> None:
    """Print how often cells of no effect are called different, and their genes significant."""
    screen = simulate_screen(n_cells=60_000, n_genes=1000, n_single=4, n_double=0, seed=5).adata
    controls = screen[screen.obs["perturbation"] == "non-targeting"].copy()
    logs = log_normalise(controls.X).toarray()
    p, called, genes, plain = [], 0, [], []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        names = np.array([f"X{k}" for k in range(150)] + ["non-targeting"] * 30)
        label = names[rng.integers(len(names), size=controls.n_obs)]
        controls.obs["perturbation"] = label
        found = assess_quality(controls, **BY, seed=seed)
        p += [row.energy_p for row in found.perturbations]
        called += sum(row.energy_q < 0.05 for row in found.perturbations)
        genes += [row.significant_genes for row in found.perturbations]
        for row in found.perturbations:
            with np.errstate(all="ignore"):
                tested = ttest_ind(
                    logs[label == row.perturbation], logs[label == "non-targeting"], equal_var=False
                )
            plain.append(int((adjusted(tested.pvalue) < 0.05).sum()))
    p, genes, plain = np.array(p), np.array(genes), np.array(plain)
    print(
        f"{len(p):,} perturbations of no effect, about {controls.n_obs // len(names)} cells each. Energy distance: "
        f"p < 0.05 in {np.mean(p < 0.05):.1%}, p < 0.01 in {np.mean(p < 0.01):.1%}; told from the controls after "
        f"adjustment: {called}.\n"
        f"Significant genes: any in {np.mean(genes > 0):.1%} of them, {genes.mean():.2f} on average; by plain Welch "
        f"tests {np.mean(plain > 0):.1%} and {plain.mean():.2f}."
    )


if __name__ == "__main__":
    print(header("numpy", "scipy"))
    timings()
    false_alarms()
