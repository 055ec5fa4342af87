"""Drawing the cells of a finished run, in a process of its own: ``python -m hyperperturb.runs.cell_views FOLDER``.

The work has a folder inside the run, which is written and read as a run directory is: status, progress, log, process.
The view takes its place in the run only when it is whole; one that was drawn before stays until then.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import read_json, write_json
from hyperperturb.runs import worker
from hyperperturb.runs.directory import CELL_VIEW, RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.process import stderr_into
from hyperperturb.runs.workspace import remove_folder

VIEW_FILE = "cells.h5ad"
"""The view inside its run: see :class:`hyperperturb.models.cell_view.CellView`."""

_WANTED = "wanted.json"
LAUNCHER = LocalLauncher(command=(sys.executable, "-m", "hyperperturb.runs.cell_views"))
"""Starts and cancels the work."""


class Wanted(BaseModel):
    """What is to be drawn: at most so many cells, None for all; and a seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cells: int | None = Field(default=None, ge=1)
    seed: int = 0


def view_path(run: RunDirectory) -> Path | None:
    """The view of a run's cells; None where none was drawn."""
    path = run.file(VIEW_FILE)
    return path if path.is_file() else None


def drawing_of(run: RunDirectory) -> RunDirectory | None:
    """The latest drawing of a run's cells, going on or ended; None where there was none."""
    try:
        return RunDirectory.open(run.file(CELL_VIEW))
    except HyperPerturbError:
        return None


def drawing(run: RunDirectory) -> bool:
    """Whether the cells of a run are being drawn now."""
    job = drawing_of(run)
    return job is not None and not job.status.done


def start_drawing(run: RunDirectory, *, max_cells: int | None, seed: int = 0) -> RunDirectory:
    """Begin to draw the cells of a run when it is its turn; returns at once.

    Parameters
    ----------
    run
        A finished run that was trained on a screen.
    max_cells, seed
        As in :func:`hyperperturb.models.cell_view.draw_view`.

    Returns
    -------
    RunDirectory
        Where the work reports; :meth:`LocalLauncher.cancel` stops it.

    Raises
    ------
    HyperPerturbError
        The run is not finished or has no cells, or they are being drawn already.
    """
    if not run.usable:
        raise HyperPerturbError(
            f"The run '{run.name}' is not finished, so its cells cannot be drawn.", hint="Wait for it."
        )
    if run.config.screen is None:
        raise HyperPerturbError(
            f"The run '{run.name}' was trained on a table of effects: there are no cells to draw.",
            hint="Train on the screen itself.",
        )
    if drawing(run):
        raise HyperPerturbError(
            f"The cells of '{run.name}' are being drawn already.", hint="Wait for it or stop it."
        )
    wanted = Wanted(max_cells=max_cells, seed=seed)
    remove_folder(run.file(CELL_VIEW))
    job = RunDirectory.create(run.path, run.config, name=CELL_VIEW)
    write_json(job.file(_WANTED), wanted)
    LAUNCHER.submit(job)
    return job


def _draw(job: RunDirectory) -> None:
    job.stage("drawing", "opening the model", 0.0)
    wanted = Wanted.model_validate(read_json(job.file(_WANTED)))
    run = RunDirectory.open(job.path.parent)
    with stderr_into(job.file("log.txt")):
        from hyperperturb.models.cell_view import draw_view
        from hyperperturb.models.inference import HyperPerturbInference

        draw_view(
            HyperPerturbInference(run.path),
            run.file(VIEW_FILE),
            max_cells=wanted.max_cells,
            seed=wanted.seed,
            progress=lambda done, message: job.stage("drawing", message, done),
        )


def main(arguments: list[str] | None = None) -> int:
    """Do the work of the folder that is given; exit code 0 only when it is finished."""
    return worker.main(arguments, train=_draw, usage="hyperperturb.runs.cell_views FOLDER")


if __name__ == "__main__":
    sys.exit(main())
