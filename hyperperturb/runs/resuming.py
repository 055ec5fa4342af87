"""Taking up a run that failed, was cancelled or was killed, where it stopped.

The trainings keep checkpoints in the run directory (:func:`hyperperturb.nn.fitting.fit`); everything between them is a
function of the configuration and the files, and is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.inputs import check_inputs

if TYPE_CHECKING:
    from hyperperturb.runs.directory import RunDirectory

CHECKPOINTS = ("checkpoint-genes.npz", "checkpoint-cells.npz")
"""State of the two trainings at the end of their last whole epoch; removed when the run is finished."""


def check_resumable(run: RunDirectory) -> None:
    """Check that a run can be taken up.

    Raises
    ------
    HyperPerturbError
        When it is finished, running or waiting; was trained from data in memory; or its files are gone or changed.
    """
    state = run.status.state
    if state == "finished":
        raise HyperPerturbError(
            f"The run '{run.name}' is finished: there is nothing to resume.", hint="Start a new run."
        )
    if state == "running":
        raise HyperPerturbError(f"The run '{run.name}' is still training.", hint="Wait for it or cancel it.")
    if state == "queued":
        raise HyperPerturbError(f"The run '{run.name}' has not begun yet: it waits to be started.")
    config = run.config
    if config.screen is None and config.effects is None:
        raise HyperPerturbError(
            f"The run '{run.name}' was trained from data in memory, which nobody can read again.",
            hint="Start a new run.",
        )
    config.checked()
    check_inputs(config.inputs)


def clean_up(run: RunDirectory, *, checkpoints: bool) -> None:
    """Remove what a killed process left half-written; the checkpoints too, when the run is finished."""
    for path in run.path.glob(".*.tmp*"):
        path.unlink(missing_ok=True)
    if checkpoints:
        for name in CHECKPOINTS:
            run.file(name).unlink(missing_ok=True)
