#!/usr/bin/env python3
"""How long a person waits at the start: imports, and the first page of the app. Prints a Markdown table.

Every import is timed in a process of its own, once to warm the file cache and then five times; the table has the
median and the memory. The app is started as often on a free port and timed twice: from the command to the page's
answer, and from then to the end of the first page's script, asked for over a WebSocket as a browser does.

Run: python benchmarks/startup.py
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from _report import header

ROOT = Path(__file__).resolve().parents[1]
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperperturb", "app", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HYPERPERTURB_HOME": home},
    )
    try:
        while True:
            if process.poll() is not None:
                sys.exit("The app ended instead of serving.")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page,
            ):
                page.read()
                break
            time.sleep(0.02)
        answered = time.perf_counter()
        first = (answered - start, *_process(process.pid))
        _draw_first_page(port)
        return [first, (time.perf_counter() - answered, *_process(process.pid))]
    finally:
        process.terminate()
        process.wait(30)


def _process(pid: int) -> tuple[float, bool]:
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return memory, "tensorflow" in Path(f"/proc/{pid}/maps").read_text()


def _draw_first_page(port: int) -> None:
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ClientState_pb2 import ClientState
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    with connect(
        f"ws://127.0.0.1:{port}/_stcore/stream",
        subprotocols=["streamlit"],
        origin=f"http://127.0.0.1:{port}",
        max_size=None,
    ) as stream:
        stream.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(stream.recv(timeout=60))
            if message.WhichOneof("type") == "script_finished":
                return


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
