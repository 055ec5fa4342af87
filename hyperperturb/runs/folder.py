"""The folder of runs: what is in it, which one is meant, taking one out."""

from __future__ import annotations

from pathlib import Path

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import CELL_VIEW, EVALUATION, RunDirectory
from hyperperturb.runs.resuming import check_resumable
from hyperperturb.runs.workspace import remove_folder, visible_folders


def list_runs(runs_dir: Path | str) -> list[RunDirectory]:
    """Every run in a folder, newest first; what is not a run is passed over.

    Parameters
    ----------
    runs_dir
        The folder; it need not exist.

    Returns
    -------
    list of RunDirectory
    """
    found = []
    for folder in visible_folders(Path(runs_dir)):
        run = RunDirectory(folder)
        if run.is_run():
            found.append((run.config.created, run.name, run))
    return [run for _, _, run in sorted(found, key=lambda item: item[:2], reverse=True)]


def find_run(reference: Path | str, runs_dir: Path | str) -> RunDirectory:
    """Find the run a person means.

    Parameters
    ----------
    reference
        A run's path, its name in ``runs_dir``, or ``latest`` (the newest usable one).
    runs_dir
        The folder that holds the runs.

    Returns
    -------
    RunDirectory

    Raises
    ------
    HyperPerturbError
        When there is no such run.
    """
    text = str(reference)
    if text == "latest":
        for run in list_runs(runs_dir):
            if run.usable:
                return run
        raise HyperPerturbError(f"There is no finished run in '{runs_dir}'.", hint="Train one first.")
    if Path(text).name == text and (Path(runs_dir) / text).is_dir() and text not in ("", ".", ".."):
        return RunDirectory.open(Path(runs_dir) / text)
    return RunDirectory.open(text)


def find_resumable(reference: Path | str, runs_dir: Path | str) -> RunDirectory:
    """Find the run that a person wants to resume.

    Parameters
    ----------
    reference
        A run's path, its name in ``runs_dir``, or ``last`` (the newest that can be resumed).
    runs_dir
        The folder that holds the runs.

    Raises
    ------
    HyperPerturbError
        When there is no such run, or it cannot be resumed; the sentence says why.
    """
    if str(reference) == "last":
        for run in list_runs(runs_dir):
            if run.resumable:
                return run
        raise HyperPerturbError(
            f"There is no run to resume in '{runs_dir}': none failed, was cancelled or was killed.",
            hint="List the runs with: hyperperturb runs",
        )
    run = find_run(reference, runs_dir)
    check_resumable(run)
    return run


def delete_run(run: RunDirectory) -> None:
    """Remove a run with all its files.

    Raises
    ------
    HyperPerturbError
        When it trains or waits for its training, is being judged, or its cells are being drawn.
    """
    inside = (
        (run, "still training"),
        (RunDirectory(run.file(EVALUATION)), "being judged"),
        (RunDirectory(run.file(CELL_VIEW)), "being drawn"),
    )
    for folder, what in inside:
        # one that was never started waits for nobody and may go
        if folder.is_run() and folder.process()[0] is not None and not folder.status.done:
            raise HyperPerturbError(f"The run '{run.name}' is {what}.", hint="Cancel that first.")
    remove_folder(run.path)
