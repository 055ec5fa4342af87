"""What every benchmark prints above its table (command, date, machine, versions), and a mean over seeds in it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np


def machine() -> str:
    """Return the processor and the number of cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{(models or [platform.machine()])[0]}, {cores} cores, Python {platform.python_version()}"


def header(*packages: str, note: str = "") -> str:
    """Return the command and, in brackets, date, machine, the versions of ``packages`` and a note, in Markdown."""
    script = Path(sys.argv[0]).resolve().relative_to(Path(__file__).resolve().parents[1])
    command = " ".join([f"python {script}", *sys.argv[1:]])
    about = [f"{datetime.now(UTC):%Y-%m-%d}", machine(), *(f"{name} {version(name)}" for name in packages)]
    return f"`{command}`\n({', '.join(about)}{'; ' if note else ''}{note})\n"


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean by Student's t; NaN for a single value."""
    from scipy.stats import t

    if len(values) < 2:
        return float("nan")
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def mean_of(values: Sequence[float], digits: int = 3, scale: float = 1.0) -> str:
    """A mean, and half of its 95 % interval where there is one, times `scale`."""
    values = np.asarray(values, dtype=np.float64) * scale
    half = half_width(values) if len(values) > 1 else 0.0
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"
