"""The machine this process runs on: cores, memory, graphics processors and its name; standard library only."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

CPU_DEVICES = "HYPERPERTURB_CPU_DEVICES"
"""Environment variable: how many devices ``mirrored`` makes of the CPU, where there is no GPU (to try it out)."""
SCHEDULER = "HYPERPERTURB_SCHEDULER"
"""Environment variable: address of the Dask scheduler on whose workers the app and the command line compute effects."""


def cores() -> int:
    """Processor cores that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def name() -> str:
    """Host, processor and cores: what tells one machine from another, and a machine from itself with fewer cores."""
    model = next(
        iter(_fields(Path("/proc/cpuinfo"), "model name")), platform.processor() or platform.machine()
    )
    return f"{platform.node()}, {model}, {cores()} cores"


def busy() -> float:
    """How many processes wanted a core in the last minute, for each core; 0 where the system does not say."""
    try:
        return os.getloadavg()[0] / cores()
    except (AttributeError, OSError):
        return 0.0


def free_memory() -> int | None:
    """Bytes of memory that are free for another process, within the container's limit; None where nobody says."""
    found = _fields(Path("/proc/meminfo"), "MemAvailable")
    if not found:
        return None
    free = int(found[0].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            free = min(free, int(most) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no container, or an older kind
    return max(free, 0)


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held; None where nobody says.

    The system's ``ru_maxrss`` also counts the process that started this one, so it is asked only where there is no
    ``/proc``.
    """
    found = _fields(Path("/proc/self/status"), "VmHWM")
    if found:
        return int(found[0].split()[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@lru_cache(maxsize=1)
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA graphics processors that a training may use, without loading what uses them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    found = tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return found[: sum(part.strip() not in ("", "-1") for part in visible.split(","))]


def devices() -> tuple[str, ...]:
    """What a training can be divided among: the graphics processors or, without any, the CPU.

    Examples
    --------
    >>> len(devices()) >= 1
    True
    """
    if gpus():
        return gpus()
    text = os.environ.get(CPU_DEVICES, "1")
    return (cpu(),) * (int(text) if text.isdecimal() and int(text) > 1 else 1)


def cpu() -> str:
    """The processor, in words."""
    return f"CPU ({platform.machine()}, {cores()} cores)"


def in_words(n: int, kind: str, *, gpu: bool) -> str:
    """Devices that train together, as pages and cards name them.

    Parameters
    ----------
    n
        How many.
    kind
        Name of one of them.
    gpu
        Whether they are graphics processors.

    Examples
    --------
    >>> in_words(1, "NVIDIA H100", gpu=True), in_words(2, "NVIDIA H100", gpu=True)
    ('NVIDIA H100', '2 GPUs (NVIDIA H100), mirrored')
    """
    if n == 1:
        return kind
    return f"{n} GPUs ({kind}), mirrored" if gpu else f"{n} devices made of the CPU, mirrored"


def _fields(path: Path, key: str) -> list[str]:
    """Values of ``key: value`` lines of a file of the system."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [
        value.strip() for field, _, value in (line.partition(":") for line in lines) if field.strip() == key
    ]
