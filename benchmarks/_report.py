"""What every benchmark prints above its table: the command, the date, the machine, the versions."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


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
