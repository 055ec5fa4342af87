#!/usr/bin/env python3
"""Kill a training at random moments, many times, and see that nothing of it is left: the bits of the run are the same.

One training of a small simulated screen is left alone; another, with the same configuration (dropout, annealing noise,
STDP and curriculum on), is killed with signal 9 after a random time and resumed until it ends, and so on with
the next until the kills asked for are done. Every array, score and row of the history is compared.

Run: python benchmarks/resume_soak.py [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from hyperperturb.data.simulate import simulate_screen, write_simulation  # noqa: E402
from hyperperturb.models.settings import TrainingSettings  # noqa: E402
from hyperperturb.runs.config import RunConfig  # noqa: E402
from hyperperturb.runs.directory import RunDirectory  # noqa: E402
from hyperperturb.runs.launcher import LocalLauncher  # noqa: E402


def wait(run: RunDirectory, seconds: float) -> bool:
    """Wait until the run has ended or the time is over; tells whether it has ended."""
    deadline = time.monotonic() + seconds
    while not run.status.done and time.monotonic() < deadline:
        time.sleep(0.01)
    return run.status.done


def main() -> int:
    """Run it; 0 when not a bit differs."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how often to kill it (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: %(default)s)")
    args = parser.parse_args()
    rng, launcher = random.Random(args.seed), LocalLauncher()
    with tempfile.TemporaryDirectory() as folder:
        screen = Path(folder) / "screen.h5ad"
        sim = simulate_screen(
            seed=3, n_genes=120, n_regulators=18, n_single=20, n_double=4, n_cells=1500, n_batches=2
        )
        write_simulation(sim, screen)
        config = RunConfig(
            screen=screen,
            column="perturbation",
            control="non-targeting",
            settings=TrainingSettings(
                epochs=40, max_cells=1200, batch_size=64, annealing=0.3, stdp=0.01, curriculum=True
            ),
        )
        whole = RunDirectory.create(folder, config, name="whole")
        started = time.monotonic()
        launcher.submit(whole)
        if not wait(whole, 3600) or whole.status.state != "finished":
            raise SystemExit(whole.status.error)
        seconds = time.monotonic() - started
        kills, runs, where, differing, same = 0, 0, [], set(), True
        while kills < args.kills:
            broken = RunDirectory.create(folder, config, name=f"broken-{kills}")
            launcher.submit(broken)
            # Anywhere between its start and its end; one that ends unhurt is compared too, and another one begins.
            while not wait(broken, rng.uniform(0.0, 0.9) * seconds if kills < args.kills else 3600):
                pid, _ = broken.process()
                if kills >= args.kills or pid is None:
                    continue
                os.kill(pid, signal.SIGKILL)
                wait(broken, 60)
                kills += 1
                where.append(broken.status.stage or "start")
                launcher.resume(broken)
            if broken.status.state != "finished":
                raise SystemExit(broken.status.error)
            runs += 1
            with np.load(whole.file("arrays.npz")) as expected, np.load(broken.file("arrays.npz")) as found:
                differing |= {n for n in expected.files if expected[n].tobytes() != found[n].tobytes()}
            histories = [pd.read_csv(r.file("history.csv")).drop(columns="time") for r in (whole, broken)]
            same = same and histories[0].equals(histories[1]) and whole.metrics() == broken.metrics()
    print(
        "| killed | trainings | in the stages | arrays that differ | history and scores |\n"
        "| --- | --- | --- | --- | --- |"
    )
    print(
        f"| {kills} times | {runs} | {', '.join(f'{s} {where.count(s)}' for s in dict.fromkeys(where))} | "
        f"{', '.join(sorted(differing)) or 'none'} | {'the same' if same else 'differ'} |"
    )
    return 0 if same and not differing else 1


if __name__ == "__main__":
    sys.exit(main())
