"""Files that strangers made are read in a process of their own, with limits on time and memory.

A damaged HDF5 file can end the C library that reads it, and with it the server. So the app asks a helper process to
look at a file and to compute its effects; what becomes of the helper is one sentence. A helper that did well is kept
warm, so that the next file does not wait for its imports.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress

MEMORY = 2 << 30  # bytes beyond what the helper holds at its start
SECONDS = 8.0
_PER_SECOND = 20e6  # bytes of a file that a slow disk gives in a second: large files get more time
_KEPT = 2  # idle helpers
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]

_idle: list[_Helper] = []
_lock = threading.Lock()
_short = threading.BoundedSemaphore(
    2
)  # many files at once wait for each other, not for many processes to start


class _Helper:
    """A process that does one task after another, told on its stdin and answering on its stdout."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", ""))))
        lean = {  # it reads and adds up, and multiplies nothing; address space is what its memory is limited by
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hyperperturb.runs.guarded_reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | lean | {"PYTHONPATH": path},
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, name="hyperperturb-guarded", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed while reading
            for line in self.process.stdout:  # type: ignore[union-attr]
                self.lines.put(line)
        self.lines.put(None)

    def ask(self, request: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None when the helper ended, TimeoutError when none came."""
        try:
            line = self.lines.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            raise TimeoutError from None
        return None if line is None else json.loads(line)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> int | None:
        """Stop the process; its exit code, negative for a signal."""
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()  # type: ignore[union-attr]
        if self.alive:
            self.process.kill()
        code = self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            self.process.stdout.close()  # type: ignore[union-attr]
        return code


def warm() -> None:
    """Start a helper unless one is waiting, so that the first file need not wait for its imports."""
    with _lock:
        if not any(helper.alive for helper in _idle):
            _idle.append(_Helper())


def _take() -> _Helper:
    with _lock:
        while _idle:
            helper = _idle.pop()
            if helper.alive:
                return helper
            helper.end()
    return _Helper()


def _give_back(helper: _Helper) -> None:
    with _lock:
        if len(_idle) < _KEPT:
            _idle.append(helper)
            return
    helper.end()


@atexit.register
def close() -> None:
    """End the helpers that wait."""
    with _lock:
        helpers, _idle[:] = list(_idle), []
    for helper in helpers:
        helper.end()


def guarded(
    task: str,
    *,
    about: Path,
    seconds: float | None = None,
    memory: int | None = MEMORY,
    progress: Progress | None = None,
    **arguments: Any,
) -> Any:
    """Do a task of :mod:`hyperperturb.runs.guarded_reader` in a helper process.

    Parameters
    ----------
    task
        Its name.
    about
        The file it reads, for the sentences, and for the time it may take.
    seconds
        Longest time without a word; None gives 8 seconds and a second for every 20 MB of the file.
    memory
        Bytes it may take; None for as much as there is.
    progress
        Told what the task tells; an exception it raises ends the helper and reaches the caller.
    **arguments
        Of the task, as JSON can hold them.

    Returns
    -------
    Any
        What the task returns.

    Raises
    ------
    HyperPerturbError
        What the task raises; it took too long or too much memory; the helper came to an end.

    Examples
    --------
    >>> guarded("inspect", about=Path("none.h5ad"), path="none.h5ad")
    Traceback (most recent call last):
    hyperperturb.errors.HyperPerturbError: There is no file 'none.h5ad'. Check the path.
    """
    if seconds is not None:  # long work gets a helper of its own at once
        return _ask(task, about, seconds, memory, progress, arguments)
    with _short:
        return _ask(task, about, SECONDS + _size(about) / _PER_SECOND, memory, progress, arguments)


def _ask(
    task: str,
    about: Path,
    limit: float,
    memory: int | None,
    progress: Progress | None,
    arguments: dict[str, Any],
) -> Any:
    helper = _take()
    kept = False
    try:
        try:
            helper.ask({"task": task, "memory": memory, "arguments": arguments})
        except OSError:
            raise _ended(about, helper.end()) from None
        deadline = time.monotonic() + limit
        starting = True
        while True:
            try:
                answer = helper.answer(deadline - time.monotonic() + (60 if starting else 0))
            except TimeoutError:
                raise HyperPerturbError(
                    f"Reading '{about}' was given up after {limit:.0f} seconds.",
                    hint="A file of its size is read in less: it is damaged, or its disk does not answer.",
                ) from None
            if answer is None:
                raise _ended(about, helper.end())
            deadline = time.monotonic() + limit
            starting = False  # its imports are done with the first word
            if "progress" in answer and progress is not None:
                progress(*answer["progress"])
            elif "error" in answer:
                kept = not answer.get("spent", False)
                raise HyperPerturbError(answer["error"], hint=answer["hint"])
            elif "result" in answer:
                kept = True
                return answer["result"]
    finally:
        if kept:
            _give_back(helper)
        else:
            helper.end()


def _ended(about: Path, code: int | None) -> HyperPerturbError:
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return HyperPerturbError(
        f"'{about}' is damaged in a way that ended the process that read it ({how}).",
        hint="Copy or download the file again, or write it anew with anndata's write_h5ad.",
    )


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    return 0
