"""Starting and stopping the process that trains."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.process import is_alive
from hyperperturb.runs.queue import at_once, join

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class Launcher(Protocol):
    """Something that can train a run somewhere; the run directory is how everybody watches it."""

    def submit(self, run: RunDirectory) -> None:
        """Start the training and return at once."""

    def resume(self, run: RunDirectory) -> None:
        """Go on with a training that stopped, and return at once."""

    def cancel(self, run: RunDirectory) -> None:
        """Stop the training; returns when it has stopped."""


class LocalLauncher:
    """Trains in a process of its own on this machine, which outlives the process that started it.

    The process begins at once, and waits for its turn (:mod:`hyperperturb.runs.queue`) before it loads anything.

    Parameters
    ----------
    command
        What to run; the run's path is appended.
    grace
        Seconds a cancelled process has to end by itself before it is killed.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = (sys.executable, "-m", "hyperperturb.runs.worker"),
        grace: float = 8.0,
    ) -> None:
        self.command = tuple(command)
        self.grace = grace

    def submit(self, run: RunDirectory) -> None:
        """Start the process that trains when it is the run's turn, and return at once.

        Raises
        ------
        HyperPerturbError
            When the run was started before, or the process cannot be made.
        """
        at_once()  # a number of trainings that is none is told here, not in the log of a process
        status = run.status
        if status.state != "queued" or run.process()[0] is not None:
            raise HyperPerturbError(f"The run '{run.name}' was started already.", hint="Start a new run.")
        path = os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", ""))))
        environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            with run.file("log.txt").open("ab") as log:
                process = subprocess.Popen(
                    [*self.command, str(run.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a closed terminal or a stopped server must not take it along
                    env=environment,
                )
        except OSError as error:
            sentence = f"The training process cannot be started: {error.strerror or error}."
            run.fail(sentence)
            raise HyperPerturbError(sentence) from error
        join(run, process.pid)
        # collect it when it ends, or it stays in the process table as long as this process lives
        threading.Thread(target=process.wait, name=f"wait for {run.name}", daemon=True).start()

    def resume(self, run: RunDirectory) -> None:
        """Go on with a run that failed, was cancelled or was killed; returns at once.

        Raises
        ------
        HyperPerturbError
            When the run cannot be resumed (it is finished or running, its files changed), or the process cannot be
            made.
        """
        run.requeue()
        self.submit(run)

    def cancel(self, run: RunDirectory) -> None:
        """Stop the training and its children; returns when they have stopped."""
        if run.status.done:
            return
        run.file("cancel").touch()  # whoever looks after the process has died knows why
        pid, started = run.process()
        if pid is not None and is_alive(pid, started):
            _signal(os.kill, pid, signal.SIGTERM)
            deadline = time.monotonic() + self.grace
            while is_alive(pid, started) and time.monotonic() < deadline:
                time.sleep(0.05)
            if pid == _group_of(pid, pid):  # children first had the chance to be ended by their parent
                _signal(os.killpg, pid, signal.SIGKILL)
            elif is_alive(pid, started):
                _signal(os.kill, pid, signal.SIGKILL)
            while is_alive(pid, started):
                time.sleep(0.02)
        reader = RunDirectory(run.path)
        if not reader._stored().done:
            reader.cancelled()


def _group_of(pid: int, fallback: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return fallback  # the leader has been collected; what is left of its group still has its number


def _signal(send, pid: int, which: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(pid, which)
