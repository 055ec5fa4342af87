"""Whose turn it is: the trainings of one folder go one after another, in the order in which they were started.

Thorough evaluations of its runs and the drawing of their cells stand in the same line. There is no server: what has to
wait is a process already, which holds some 30 MB because TensorFlow comes later; it looks at the run directories beside
its own. A short lock makes "nothing works and I am the first: I begin" one step, so that of two that look at the same
moment one begins. Nothing has to be tidied up: a process that is gone, however it went, neither waits nor works.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import FolderLock, read_json, write_json
from hyperperturb.runs.directory import CELL_VIEW, EVALUATION, PROCESS, RunDirectory
from hyperperturb.runs.process import start_time
from hyperperturb.runs.status import State
from hyperperturb.runs.workspace import visible_folders

AT_ONCE = "HYPERPERTURB_TRAININGS"
"""Environment variable: how many trainings of a folder run at the same time; 1 where it is not set."""

_LOCK = ".queue"
_INSIDE = {EVALUATION: "the evaluation of", CELL_VIEW: "the drawing of the cells of"}
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
    """The runs of a folder that train now, and the folders of what works inside of one."""
    return _in_state(Path(runs_dir), "running")


def waiting(runs_dir: Path | str) -> list[RunDirectory]:
    """The runs of a folder whose process waits for its turn, the next one first."""
    found = [
        (since, str(run.path), run) for run in _in_state(Path(runs_dir), "queued") if (since := _since(run))
    ]
    return [run for *_, run in sorted(found, key=lambda entry: entry[:2])]


def before(run: RunDirectory) -> list[RunDirectory] | None:
    """What works now, and what waits ahead of a run; None where it does not wait."""
    line, at = waiting(_folder(run)), place(run)
    return None if at is None else [*training(_folder(run)), *line[: at - 1]]


def place(run: RunDirectory) -> int | None:
    """The place of a run in the line, 1 for the next one; None where it does not wait."""
    paths = [other.path for other in waiting(_folder(run))]
    return paths.index(run.path) + 1 if run.path in paths else None


def title(run: RunDirectory) -> str:
    """What a person calls the work."""
    name = run.config.title or run.name
    return f"{_INSIDE[run.path.name]} {name}" if _inside(run) else name


def begin_in_turn(run: RunDirectory) -> None:
    """Wait until it is this run's turn, and begin it (:meth:`RunDirectory.begin`) in this process.

    Parameters
    ----------
    run
        A queued run, or the folder of what works inside of one.

    Raises
    ------
    HyperPerturbError
        When the run was cancelled, finished or begun by another process meanwhile.
    """
    most = at_once()
    if run.process()[0] != os.getpid():
        join(run, os.getpid())
    folder = _folder(run)
    lock, said = FolderLock(_lock_folder(folder)), False
    while True:
        run.require_queued()
        if lock.take():
            try:
                busy, ahead = training(folder), waiting(folder)
                if len(busy) < most and (not ahead or ahead[0].path == run.path):
                    run.begin()
                    return
            finally:
                lock.give_back()
            others = [other for other in (*busy, *ahead) if other.path != run.path]
            if others and not said:
                run.log(f"Waiting until this has ended: {title(others[0])}.")
                said = True
        time.sleep(_EVERY)


def _folder(run: RunDirectory) -> Path:
    """The folder whose works take turns: that of the runs, also for what works inside of one."""
    return run.path.parents[1] if _inside(run) else run.path.parent


def _inside(run: RunDirectory) -> bool:
    return run.path.name in _INSIDE and (run.path.parent / "config.json").is_file()


def _lock_folder(runs_dir: Path) -> Path:
    folder = runs_dir / _LOCK
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HyperPerturbError(
            f"Cannot write in '{runs_dir}': {error.strerror or error}.",
            hint="Choose a folder you may write to.",
        ) from error
    return folder


def _in_state(runs_dir: Path, state: State) -> list[RunDirectory]:
    found = []
    for folder in visible_folders(runs_dir):
        for run in (RunDirectory(folder), *(RunDirectory(folder / name) for name in _INSIDE)):
            try:
                if run.status.state == state:
                    found.append(run)
            except HyperPerturbError:
                continue  # not a run, or one that nothing works inside of
    return found


def _since(run: RunDirectory) -> str | None:
    """When the run's process was started, in a form that sorts; None where it has none yet."""
    try:
        return str(read_json(run.file(PROCESS))["since"])
    except (HyperPerturbError, KeyError, TypeError):
        return None
