#!/usr/bin/env python3
"""How long a person waits at the start: imports, and the first page of the app. Prints a Markdown table.

Every import is timed in a process of its own, once to warm the file cache and then five times; the table has the
median and the memory. The app is started as often on a free port and timed twice: from the command to the page's
answer, and from then to the end of the first page's script, asked for over a WebSocket as a browser does.

Run: python benchmarks/startup.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _report import header
from _session import Session

from hyperperturb.testing import Server

MODULES = (
    "hyperperturb",
    "hyperperturb.cli",
    "hyperperturb.runs.datasets",
    "hyperperturb.models.inference",
    "streamlit",
    "tensorflow",
)
REPEATS = 5
_CODE = """
import resource, sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "tensorflow" in sys.modules)
"""


def import_time(module: str) -> tuple[float, float, bool]:
    """Time an import: median seconds, resident MB, whether TensorFlow came along."""
    seen = []
    for _ in range(REPEATS + 1):
        out = subprocess.run(
            [sys.executable, "-c", _CODE.format(module=module)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        ).stdout.split()
        seen.append((float(out[0]), float(out[1]), out[2] == "True"))
    warm = seen[1:]
    return statistics.median(s for s, _, _ in warm), statistics.median(m for _, m, _ in warm), warm[0][2]


def first_page() -> list[tuple[float, float, bool]]:
    """Start the app: medians of seconds, resident MB and whether TensorFlow is mapped.

    Returns
    -------
    list
        Two rows: until the server answers, and from then until the first page is drawn.
    """
    with tempfile.TemporaryDirectory() as home:
        warm = [_start_once(home) for _ in range(REPEATS + 1)][1:]
    return [
        (
            statistics.median(run[step][0] for run in warm),
            statistics.median(run[step][1] for run in warm),
            any(run[step][2] for run in warm),
        )
        for step in (0, 1)
    ]


def _start_once(home: str) -> list[tuple[float, float, bool]]:
    with Server(Path(home), None) as server:
        answered = (server.seconds, *_process(server))
        with Session(server) as session:
            drawn = session.ask("")
        return [answered, (drawn, *_process(server))]


def _process(server: Server) -> tuple[float, bool]:
    return server.memory()[0], "tensorflow" in server.maps()


def main() -> None:
    """Measure and print."""
    print(header(note=f"median of {REPEATS}"))
    print("| what | seconds | MB | TensorFlow loaded |\n| --- | --- | --- | --- |")
    rows = [(f"`import {module}`", *import_time(module)) for module in MODULES]
    answered, drawn = first_page()
    rows.append(("`hyperperturb app` until it answers", *answered))
    rows.append(("… and from there until the first page is drawn", *drawn))
    for what, seconds, memory, tensorflow in rows:
        print(f"| {what} | {seconds:.2f} | {memory:,.0f} | {'yes' if tensorflow else 'no'} |")


if __name__ == "__main__":
    main()
