#!/usr/bin/env python3
"""What trainings take, beside what the page Train says they will: presets on the demo and on the Papalexi screen.

Each training is a worker process, started as the page starts it, one after another, in a workspace made for this; time
from the start of the process to the usable run, memory at the peak of that process. The estimate is given twice: as the
first training on a machine has it, and corrected by the trainings before it in this table. Prints a Markdown table.

Run: python benchmarks/training_cost.py [--presets quick standard thorough] [--screens demo papalexi]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from _report import header

from hyperperturb.data.effects import Effects
from hyperperturb.data.network import read_network
from hyperperturb.models.settings import PRESETS
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.cost import Cost, Workload, cost_of, estimate
from hyperperturb.runs.datasets import Dataset, add_demo, confirm_controls, load_effects, register_dataset
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.workspace import Workspace

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAPALEXI = DATA / "screens" / "papalexi2021_thp1_299genes.h5ad"
STRING = DATA / "networks" / "string_high_confidence.csv"


def dataset(ws: Workspace, screen: str) -> tuple[Dataset, Effects, list[Path]]:
    """Register a screen with its controls confirmed; its effects and networks."""
    if screen == "demo":
        made = add_demo(ws)
        mode, networks = "knockdown", list(made.networks)
    else:
        made = register_dataset(ws, PAPALEXI)
        mode, networks = "knockout", [STRING]
    made = confirm_controls(ws, made.name, column="perturbation", control="non-targeting", mode=mode)
    return made, load_effects(ws, made.name), networks


def train(ws: Workspace, config: RunConfig) -> tuple[float, Cost]:
    """Train in a worker process; seconds from its start to the usable run, and what the run says it took."""
    run = RunDirectory.create(ws.runs_dir, config)
    started = time.monotonic()
    LocalLauncher().submit(run)
    while not run.status.done:
        time.sleep(0.1)
    seconds = time.monotonic() - started
    cost = cost_of(run)
    if not run.usable or cost is None:
        raise SystemExit(run.status.error or f"The run '{run.name}' does not say what it took.")
    return seconds, cost


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--screens", nargs="+", default=["demo", "papalexi"], choices=["demo", "papalexi"])
    args = parser.parse_args()
    rows, earlier, misses = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        ws = Workspace(Path(folder))
        for screen in args.screens:
            made, effects, files = dataset(ws, screen)
            networks = [read_network(path) for path in files]
            for preset in args.presets:
                settings = PRESETS[preset]
                work = Workload.of(settings, effects, networks, cells=True)
                first, corrected = estimate(work), estimate(work, earlier)
                config = RunConfig.for_dataset(made, settings=settings, networks=files).checked()
                seconds, cost = train(ws, config)
                earlier.insert(0, cost)
                misses += [max(said / seconds, seconds / said) for said in (first.seconds, corrected.seconds)]
                peak = cost.peak_memory or np.nan
                misses += [max(first.memory / peak, peak / first.memory)]
                rows.append(
                    f"| {screen}, {preset} | {work.genes:,} | {work.cells:,} | {seconds:.0f} | {first.seconds:.0f} | "
                    f"{corrected.seconds:.0f} | {peak / 1e6:,.0f} | {first.memory / 1e6:,.0f} | "
                    f"{corrected.memory / 1e6:,.0f} |"
                )
                print(rows[-1], flush=True)
    print()
    print(header("tensorflow", "keras"))
    print(
        "| training | genes | cells | took, s | estimated as the first, s | after those above, s | peak memory, MB | "
        "estimated as the first, MB | after those above, MB |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    print("\n".join(rows))
    print(f"\nThe worst estimate was off by a factor of {max(misses):.2f}.")


if __name__ == "__main__":
    main()
