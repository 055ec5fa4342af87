"""What goes between the judge and a worker: a task folder in, an answer out. Needs NumPy and nothing else.

A task folder holds ``task.json`` (``control``, ``targets``: label → genes, ``folds``: labels to train on and labels to
predict, ``seed``), ``screen.h5ad`` (``X``: log-normalised expression, CSR; ``obs["perturbation"]``), ``terms.csv``
(gene, term: what is known about genes, for a method that reads annotations) and, perhaps, ``network.csv`` (the same
knowledge as edges). An answer is an ``.npz``: predicted effects fold by fold (expression minus the control mean),
and what they cost.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
"""Variables that keep a worker on one thread; its processor time is then what one core needs."""


def read_task(folder: Path) -> dict:
    """The task of a folder."""
    return json.loads((folder / "task.json").read_text())


class Meter:
    """Processor seconds of this process and its children, by stage, from the process's start."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._before = 0.0

    def stage(self, name: str) -> None:
        """Give what was spent since the last call to this stage."""
        used = os.times()
        now = used.user + used.system + used.children_user + used.children_system
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._before
        self._before = now
        print(f"{name}: {self.seconds[name]:.0f} s of processor time so far", file=sys.stderr, flush=True)


def write_answer(path: Path, effects: list[np.ndarray], meter: Meter, **about: object) -> None:
    """Write (test labels, genes) effects a fold, the seconds by stage, the peak memory and what else is to be told."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    cost = {"seconds": meter.seconds, "wall": time.monotonic() - meter.started, "peak_mb": peak, **about}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, cost=json.dumps(cost), **{f"fold{i}": effect for i, effect in enumerate(effects)})
    partial.replace(path)


def read_answer(path: Path) -> tuple[list[np.ndarray], dict]:
    """What :func:`write_answer` wrote."""
    with np.load(path) as file:
        folds = sorted((name for name in file.files if name != "cost"), key=lambda name: int(name[4:]))
        return [file[name] for name in folds], json.loads(str(file["cost"]))
