"""How long judging a screen takes, and how often it finds an effect where there is none.

Simulated screens of rising size (1,000 genes, half of the perturbations of one gene), 999 permutations each; then
control cells alone, dealt out at random to 200 perturbations that do nothing, ten times: the shares that are called
different from the controls at p < 0.05, and after adjusting for their number, are what chance gives.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from _report import header

from hyperperturb.data.quality import assess_quality
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


def false_alarms(repeats: int = 10) -> None:
    """Print how often cells of no effect are called different."""
    p, called, genes = [], 0, []
    screen = simulate_screen(n_cells=60_000, n_genes=300, n_single=4, n_double=0, seed=5).adata
    controls = screen[screen.obs["perturbation"] == "non-targeting"].copy()
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        label = np.array([f"X{k}" for k in range(200)] + ["non-targeting"] * 40)[
            rng.integers(240, size=controls.n_obs)
        ]
        controls.obs["perturbation"] = label
        found = assess_quality(controls, **BY, seed=seed)
        p += [row.energy_p for row in found.perturbations]
        called += sum(row.energy_q < 0.05 for row in found.perturbations)
        genes += [row.significant_genes for row in found.perturbations]
    p, genes = np.array(p), np.array(genes)
    print(
        f"Cells of no effect, {len(p):,} tests: p < 0.05 in {np.mean(p < 0.05):.1%}, p < 0.01 in "
        f"{np.mean(p < 0.01):.1%}; called different after adjustment: {called}; with a significant gene: "
        f"{np.mean(genes > 0):.1%}."
    )


if __name__ == "__main__":
    print(header("numpy", "scipy"))
    timings()
    false_alarms()
