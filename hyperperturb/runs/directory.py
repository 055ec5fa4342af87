"""The run directory: one training's folder, readable at every moment and usable only when whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import FolderLock, atomic_path, read_json, write_json
from hyperperturb.machine import peak_memory
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.events import append_event, last_of_each_epoch, read_events
from hyperperturb.runs.inputs import check_inputs, describe_inputs
from hyperperturb.runs.process import is_alive, start_time
from hyperperturb.runs.resuming import check_resumable, clean_up
from hyperperturb.runs.status import Pace, RunStatus, State
from hyperperturb.runs.workspace import publish_unique, slug, staging_folder

if TYPE_CHECKING:
    import pandas as pd

REQUIRED_FILES = (
    "config.json",
    "genes.parquet",
    "effects.parquet",
    "arrays.npz",
    "network.npz",
    "metrics.json",
    "card.md",
    "model.keras",
)
"""Without any one of these a run is not usable."""

PROTEIN_EFFECTS = "protein_effects.parquet"
"""The measured effects on proteins, in runs that have any."""

EVALUATION = "evaluation"
"""Folder inside a run in which a thorough evaluation reports; see :mod:`hyperperturb.runs.evaluations`."""

PROCESS = "process.json"
"""Which process was started for the run, and when."""

CELL_VIEW = "drawing"
"""Folder inside a run in which the drawing of its cells reports; see :mod:`hyperperturb.runs.cell_views`."""

ENDED_SILENTLY = (
    "The process ended without finishing. Look into the run's log.txt; often the memory was not enough."
)
ENDED_WAITING = (
    "The process ended before the training began: the machine was restarted, or somebody ended it. Look into the run's "
    "log.txt, or resume the run."
)
_EVERY = 0.3  # seconds between two status files of one stage: each costs a rename and a flush to disk


class RunDirectory:
    """One training's folder: what it was told, what it reports, what it leaves.

    One process writes (the one that trains), any number may read at the same time.

    Parameters
    ----------
    path
        An existing run folder; use :meth:`open` for a checked one and :meth:`create` for a new one.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).resolve()
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._current: RunStatus | None = None
        self._written = float("-inf")
        self._pace = Pace()
        self._lock = FolderLock(self.path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    # making and opening

    @classmethod
    def create(cls, runs_dir: Path | str, config: RunConfig, *, name: str | None = None) -> RunDirectory:
        """Make a new run with state ``queued``.

        Parameters
        ----------
        runs_dir
            Folder that holds the runs; made when missing.
        config
            What the run is told.
        name
            Folder name; ``hyperperturb-YYYYMMDD-HHMMSS`` (local time) when None. Made unique by a number.

        Returns
        -------
        RunDirectory

        Raises
        ------
        HyperPerturbError
            When the folder cannot be written.
        """
        name = slug(name, fallback="hyperperturb") if name else f"hyperperturb-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            with staging_folder(Path(runs_dir)) as staged:
                write_json(staged / "config.json", config)
                write_json(staged / "status.json", RunStatus(updated=datetime.now(UTC)))
                (staged / "events.jsonl").touch()
                return cls(publish_unique(staged, Path(runs_dir), name))
        except OSError as error:
            raise HyperPerturbError(
                f"Cannot make a run in '{runs_dir}': {error.strerror or error}.",
                hint="Choose a folder you may write to.",
            ) from error

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """Open a run, finished or not.

        Raises
        ------
        HyperPerturbError
            When the folder is not a run.
        """
        run = cls(Path(path).expanduser())
        if not run.path.is_dir():
            raise HyperPerturbError(
                f"There is no run '{path}'.", hint="List the runs with: hyperperturb runs"
            )
        if not run.is_run():
            raise HyperPerturbError(
                f"The folder '{path}' is not a run: it has no readable config.json and status.json.",
                hint="List the runs with: hyperperturb runs",
            )
        return run

    def is_run(self) -> bool:
        """Whether the folder is a run, finished or not."""
        try:
            return self.config is not None and self._stored() is not None
        except HyperPerturbError:
            return False

    # reading

    @property
    def name(self) -> str:
        """Folder name."""
        return self.path.name

    @property
    def config(self) -> RunConfig:
        """What the run was told.

        Raises
        ------
        HyperPerturbError
            When ``config.json`` is missing or of another kind.
        """
        path = self.file("config.json")
        try:
            about = path.stat()
        except OSError:
            return _parsed(RunConfig, path)  # which says what is wrong
        return _config(path, about.st_mtime_ns, about.st_size)

    def _stored(self) -> RunStatus:
        return _parsed(RunStatus, self.file("status.json"))

    @property
    def status(self) -> RunStatus:
        """Where the run is; a process that died without a word reads as failed (or cancelled)."""
        status = self._stored()
        if status.done:
            return status
        pid, started = self.process()
        if pid is None or is_alive(pid, started):
            return status
        status = self._stored()  # it may have ended well between the two looks
        if status.done:
            return status
        if self.file("cancel").exists():
            return status.model_copy(
                update={"state": "cancelled", "message": "Cancelled.", "seconds_left": None}
            )
        error = ENDED_WAITING if status.started is None else ENDED_SILENTLY
        return status.model_copy(update={"state": "failed", "error": error, "seconds_left": None})

    def process(self) -> tuple[int | None, float | None]:
        """Process id and start time of the training, as far as they are known."""
        status = self._stored()
        if status.pid is not None:
            return status.pid, status.pid_started
        try:
            launched = read_json(self.file(PROCESS))
            return int(launched["pid"]), launched["pid_started"]
        except (HyperPerturbError, KeyError, TypeError, ValueError):
            return None, None

    @property
    def usable(self) -> bool:
        """Whether the run is finished and has every file that using it needs."""
        try:
            return self.status.state == "finished" and not self.missing_files()
        except HyperPerturbError:
            return False

    @property
    def resumable(self) -> bool:
        """Whether the run stopped before its end and can be taken up again."""
        try:
            check_resumable(self)
        except (HyperPerturbError, OSError):
            return False
        return True

    def missing_files(self) -> list[str]:
        """Names of the required files that are not there."""
        return [name for name in REQUIRED_FILES if not self.file(name).is_file()]

    def file(self, name: str) -> Path:
        """Path of a file of the run."""
        return self.path / name

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read what was reported since an earlier look.

        Parameters
        ----------
        offset
            Where the earlier look ended, in bytes.

        Returns
        -------
        events : list of dict
            Whole lines only; a line that is not JSON is passed over.
        offset : int
            What to give next time.
        """
        return read_events(self.file("events.jsonl"), offset)

    def history(self) -> pd.DataFrame:
        """One row an epoch: stage, epoch, epochs, loss, val_loss, …; empty before the first epoch.

        An epoch that was reported again after an interruption has one row, the last one reported.
        """
        import pandas as pd

        rows = last_of_each_epoch(self.events()[0])
        return pd.DataFrame(
            rows, columns=None if rows else ["time", "stage", "epoch", "epochs", "loss", "val_loss"]
        )

    def metrics(self) -> dict[str, Any]:
        """Held-out scores; empty before they are there."""
        try:
            metrics = read_json(self.file("metrics.json"))
        except HyperPerturbError:
            return {}
        return metrics if isinstance(metrics, dict) else {}

    def card(self) -> str:
        """The run's card (Markdown); empty before it is there."""
        try:
            return self.file("card.md").read_text(encoding="utf-8")
        except OSError:
            return ""

    # writing (by the process that trains)

    def require_queued(self) -> None:
        """Check that nobody has trained this run yet.

        Raises
        ------
        HyperPerturbError
            When the run was started, cancelled or finished already.
        """
        state = self._stored().state
        if state != "queued":
            raise HyperPerturbError(f"The run '{self.name}' is {state} already.", hint="Start a new run.")

    def requeue(self) -> None:
        """Make a run that failed, was cancelled or was killed wait for its training again.

        Raises
        ------
        HyperPerturbError
            When it cannot be resumed; the sentence says why.
        """
        check_resumable(self)
        for name in ("cancel", PROCESS):
            self.file(name).unlink(missing_ok=True)
        self._current = RunStatus(updated=datetime.now(UTC), message="Waiting to go on.")
        write_json(self.file("status.json"), self._current)
        self._emit("state", state="queued")

    def begin(self) -> None:
        """Say that this process trains now.

        Raises
        ------
        HyperPerturbError
            When another process trains it, or it was cancelled or finished already.
        """
        if not self._lock.take():
            raise HyperPerturbError(f"The run '{self.name}' is trained by another process.")
        try:
            self.require_queued()
        except HyperPerturbError:
            self._lock.give_back()
            raise
        clean_up(self, checkpoints=False)
        pid = os.getpid()
        self._set(state="running", started=datetime.now(UTC), pid=pid, pid_started=start_time(pid))
        self._emit("state", state="running")

    def keep_inputs(self) -> None:
        """Write down what the files are that the training reads or, when it goes on, check that they still are that.

        Raises
        ------
        HyperPerturbError
            When a file has changed since the run began.
        """
        config = self.config
        if config.inputs:
            check_inputs(config.inputs)
        else:
            update = {"inputs": describe_inputs(config.checked().files())}
            write_json(self.file("config.json"), config.model_copy(update=update))

    def uses(self, device: str) -> None:
        """Report what trains: devices and strategy, in words."""
        self._emit("log", message=f"Training on {device}.")
        self._set(device=device)

    def log(self, message: str) -> None:
        """Report a line for people."""
        self._emit("log", message=message)
        self._set(message=message)

    def stage(self, name: str, message: str = "", fraction: float | None = None) -> None:
        """Report the stage of the work; calls within one stage may come as often as they like.

        Parameters
        ----------
        name
            Stage, such as ``"effects"``.
        message
            What is being done.
        fraction
            Part of the *whole* run that is done, 0 to 1; None leaves it as it is.
        """
        new = self._current is None or name != self._current.stage
        if fraction is not None:
            self._pace.at(fraction)
        if new or time.monotonic() - self._written >= _EVERY:
            values: dict[str, Any] = {"stage": name, "message": message or name}
            if new:
                values |= {"epoch": 0, "epochs": 0}
            if fraction is not None:
                values |= {"fraction": min(max(float(fraction), 0.0), 1.0)}
            self._emit("stage", stage=name, message=message or name, fraction=fraction)
            self._set(**values, seconds_left=self._pace.seconds_left())

    def epoch(self, record: dict[str, Any], *, fraction: float | None = None) -> None:
        """Report an epoch.

        Parameters
        ----------
        record
            ``stage``, ``epoch``, ``epochs``, ``loss``, ``val_loss``, ``learning_rate``, ``curvature`` and
            every part of the loss. NumPy scalars are fine; what is not finite is stored as null.
        fraction
            Part of the *whole* run that is done, 0 to 1; None leaves it as it is.
        """
        self._emit("epoch", **record)
        epoch, epochs = int(record["epoch"]), int(record.get("epochs", 0))
        values: dict[str, Any] = {"epoch": epoch, "epochs": epochs}
        if fraction is not None:
            self._pace.at(fraction)
            values["fraction"] = min(max(float(fraction), 0.0), 1.0)
        stage = str(record.get("stage", ""))
        last = epoch >= epochs
        if last or time.monotonic() - self._written >= _EVERY:
            message = f"{stage}: epoch {epoch} of {epochs}" if stage else f"epoch {epoch} of {epochs}"
            self._set(stage=stage, message=message, seconds_left=self._pace.seconds_left(), **values)

    def finish(self) -> None:
        """Say that everything is written; ``history.csv`` is added where it is missing."""
        if not self.file("history.csv").exists():
            history = self.history()
            if len(history):
                with atomic_path(self.file("history.csv")) as temporary:
                    history.to_csv(temporary, index=False)
        self._end("finished", fraction=1.0, message="Finished.")
        clean_up(self, checkpoints=True)

    def fail(self, sentence: str) -> None:
        """Say what went wrong, in one sentence for people."""
        self._end("failed", error=sentence, message=sentence)

    def cancelled(self) -> None:
        """Say that a person stopped the run."""
        self._end("cancelled", message="Cancelled.")

    def _end(self, state: State, **values: Any) -> None:
        self._set(state=state, seconds_left=0.0 if state == "finished" else None, **values)
        self._emit("state", state=state, message=values.get("error") or values["message"])
        self._lock.give_back()

    def _set(self, **values: Any) -> None:
        current = self._current or self._stored()
        values["updated"] = datetime.now(UTC)
        if (
            values.get("pid", current.pid) == os.getpid()
        ):  # the page that cancels a run is not what trained it
            values["memory"] = peak_memory()
        self._current = current.model_copy(update=values)
        write_json(self.file("status.json"), self._current)
        self._written = time.monotonic()

    def _emit(self, kind: str, **values: Any) -> None:
        event = append_event(self.file("events.jsonl"), kind, values)
        for listener in self.listeners:
            listener(event)


@lru_cache(maxsize=1024)
def _config(path: Path, modified: int, size: int) -> RunConfig:
    """A configuration is written once or twice, and read at every look at a list of runs."""
    return _parsed(RunConfig, path)


def _parsed(model: type[Any], path: Path) -> Any:
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HyperPerturbError(
            f"'{path}' is not what a run writes ({where}: {first['msg']}).",
            hint="It may come from another version of HyperPerturb.",
        ) from error
