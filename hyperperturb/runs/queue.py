"""Whose turn it is: the trainings of one folder go one after another, in the order in which they were started.

There is no server. A training that has to wait is a process already, which holds some 30 MB because TensorFlow comes
later; it looks at the run directories beside its own. A short lock makes "nothing trains and I am the first: I begin"
one step, so that of two that look at the same moment one begins. Nothing has to be tidied up: a process that is gone,
however it went, neither waits nor trains.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import FolderLock, read_json, write_json
from hyperperturb.runs.directory import PROCESS, RunDirectory
from hyperperturb.runs.process import start_time
from hyperperturb.runs.status import State
from hyperperturb.runs.workspace import visible_folders

AT_ONCE = "HYPERPERTURB_TRAININGS"
"""Environment variable: how many trainings of a folder run at the same time; 1 where it is not set."""

_LOCK = ".queue"
_EVERY = 0.5  # seconds between two looks


def at_once() -> int:
    """How many trainings of a folder may run at the same time.

    Raises
    ------
    HyperPerturbError
        When the environment variable is not a positive whole number.
    """
    text = os.environ.get(AT_ONCE, "1").strip()
    if not text.isdecimal() or int(text) < 1:
        raise HyperPerturbError(
            f"{AT_ONCE} is '{text}', which is not a number of trainings.", hint="Set it to 1, 2, …"
        )
    return int(text)


def join(run: RunDirectory, pid: int) -> None:
    """Write down which process waits to train a run, and since when.

    Parameters
    ----------
    run
        A queued run.
    pid
        Id of a living process of this machine.
    """
    now = datetime.now(UTC)
    write_json(run.file(PROCESS), {"pid": pid, "pid_started": start_time(pid), "since": now})


def training(runs_dir: Path | str) -> list[RunDirectory]:
    """The runs of a folder that train now."""
    return _in_state(Path(runs_dir), "running")


def waiting(runs_dir: Path | str) -> list[RunDirectory]:
    """The runs of a folder whose process waits for its turn, the next one first."""
    found = [(since, run.name, run) for run in _in_state(Path(runs_dir), "queued") if (since := _since(run))]
    return [run for *_, run in sorted(found, key=lambda entry: entry[:2])]


def place(run: RunDirectory) -> int | None:
    """The place of a run in the line, 1 for the next one; None where it does not wait."""
    names = [other.name for other in waiting(run.path.parent)]
    return names.index(run.name) + 1 if run.name in names else None


def begin_in_turn(run: RunDirectory) -> None:
    """Wait until it is this run's turn, and begin it (:meth:`RunDirectory.begin`) in this process.

    Parameters
    ----------
    run
        A queued run; every run in the folder that holds it counts.

    Raises
    ------
    HyperPerturbError
        When the run was cancelled, finished or begun by another process meanwhile.
    """
    most = at_once()
    if run.process()[0] != os.getpid():
        join(run, os.getpid())
    lock = FolderLock(_lock_folder(run))
    said: list[str] = []
    while True:
        run.require_queued()
        if lock.take():
            try:
                busy = training(run.path.parent)
                ahead = waiting(run.path.parent)
                if len(busy) < most and (not ahead or ahead[0].name == run.name):
                    run.begin()
                    return
            finally:
                lock.give_back()
            before = [r.name for r in (*busy, *ahead) if r.name != run.name]
            if not said and before:
                title = busy[0].config.title if busy else ahead[0].config.title
                run.log(f"Waiting for another training{f' ({title})' if title else ''} to end.")
                said = before
        time.sleep(_EVERY)


def _lock_folder(run: RunDirectory) -> Path:
    folder = run.path.parent / _LOCK
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HyperPerturbError(
            f"Cannot write in '{run.path.parent}': {error.strerror or error}.",
            hint="Choose a folder you may write to.",
        ) from error
    return folder


def _in_state(runs_dir: Path, state: State) -> list[RunDirectory]:
    found = []
    for folder in visible_folders(runs_dir):
        run = RunDirectory(folder)
        try:
            if run.status.state == state:
                found.append(run)
        except HyperPerturbError:
            continue  # not a run
    return found


def _since(run: RunDirectory) -> str | None:
    """When the run's process was started, in a form that sorts; None where it has none yet."""
    try:
        return str(read_json(run.file(PROCESS))["since"])
    except (HyperPerturbError, KeyError, TypeError):
        return None
