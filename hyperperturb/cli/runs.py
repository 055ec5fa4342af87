"""Commands about trainings that exist: runs, cancel."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from hyperperturb.cli.console import print_json, print_table
from hyperperturb.cli.inputs import find_run
from hyperperturb.cli.options import Debug, Json, OutputDir
from hyperperturb.errors import HyperPerturbError


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to the command line."""
    app.command(epilog="Example: hyperperturb runs --json")(runs)
    app.command(epilog="Example: hyperperturb cancel hyperperturb-20261127-101500")(cancel)


def runs(
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the runs, newest first; those that wait with their place in the line."""
    from hyperperturb.runs.folder import list_runs
    from hyperperturb.runs.workspace import Workspace

    folder = output_dir or Workspace().runs_dir
    found = list_runs(folder)
    if as_json:
        print_json([_summary(run) for run in found])
        return
    if not found:
        print(f"There are no runs in {folder}. Train one: hyperperturb train --rna_path SCREEN.h5ad")
        return
    rows = []
    for run in found:
        status = run.status
        said = status.error if status.state == "failed" else run.metrics().get("verdict") or status.message
        place = _place(run)
        state = status.state if place is None else f"{status.state} ({place} in line)"
        rows.append([run.name, state, run.config.title, textwrap.shorten(said or "", 80, placeholder=" …")])
    print_table(["run", "state", "title", "verdict"], rows)


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its path, or its name in the folder of runs.")],
    output_dir: OutputDir = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop a training, or take one that waits out of the line; train --resume goes on with it."""
    from hyperperturb.runs.launcher import LocalLauncher

    found = find_run(run, output_dir)
    state = found.status.state
    if found.status.done:
        raise HyperPerturbError(f"The run '{found.name}' is {state}: there is nothing to cancel.")
    LocalLauncher().cancel(found)
    if as_json:
        print_json(_summary(found))
        return
    print(f"Cancelled. To go on with it: hyperperturb train --resume {found.name}")


def _place(run: Any) -> int | None:
    from hyperperturb.runs import queue

    return queue.place(run) if run.status.state == "queued" else None


def _summary(run: Any) -> dict[str, Any]:
    config = run.config
    return {
        "name": run.name,
        "path": str(run.path),
        "title": config.title,
        "dataset": config.dataset,
        "created": config.created.isoformat(),
        "usable": run.usable,
        "status": run.status.model_dump(mode="json"),
        "place": _place(run),
        "verdict": run.metrics().get("verdict"),
    }
