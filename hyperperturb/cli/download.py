"""The command that brings public screens and networks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperperturb.cli.console import json_only, note, print_json, print_table, show_progress
from hyperperturb.cli.options import Debug, Json
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.data.catalogue import CatalogueEntry
    from hyperperturb.runs.downloads import Download


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(epilog="Example: hyperperturb download norman-2019 string-human")(download)


def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Entries of the catalogue.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the catalogue.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder for the files.", show_default="data/raw of the workspace"),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Download public screens and networks by name, check them, and register them.

    An interrupted download goes on where it stopped when the command is run again. A file gets its name only when it is
    whole and, where a checksum is published, equal to it. Screens are then among the datasets and networks among the
    networks of the workspace; which cells are the controls stays for a person to confirm.
    """
    if show or not names:
        if names:
            raise HyperPerturbError(
                "--list shows the whole catalogue.", hint="Give names or --list, not both."
            )
        if not show:
            raise HyperPerturbError("Say what to download.", hint="See: hyperperturb download --list")
        _list(as_json=as_json)
        return
    from hyperperturb.data.catalogue import find_entry
    from hyperperturb.runs.downloads import download as bring
    from hyperperturb.runs.workspace import Workspace

    for name in names:
        find_entry(name)  # a mistyped name is told before an hour of downloading
    brought, failed = [], []
    for name in names:
        start = time.monotonic()
        try:
            with json_only(as_json), show_progress() as progress:
                found = bring(Workspace(), name, to=to, progress=progress)
        except HyperPerturbError as error:
            if len(names) == 1:
                raise
            note(f"{name}: {error}")
            failed.append(name)
            continue
        brought.append(_summary(found, time.monotonic() - start))
        if not as_json:
            _tell(found)
    if as_json:
        print_json({"downloads": brought, "failed": failed})
    if failed:
        raise HyperPerturbError(
            f"{len(failed)} of {len(names)} could not be downloaded: {', '.join(failed)}."
        )


def _summary(found: Download, seconds: float) -> dict[str, Any]:
    dataset = found.dataset
    proposal = dataset.report.proposal if dataset is not None and dataset.report is not None else None
    return {
        "name": found.entry.name,
        "kind": found.entry.kind,
        "files": [str(path) for path in found.files],
        "bytes": sum(path.stat().st_size for path in found.files),
        "seconds": round(seconds, 2),
        "dataset": dataset.name if dataset is not None else None,
        "proposed": {"column": proposal.column, "control": proposal.label} if proposal is not None else None,
        "network": str(found.network) if found.network is not None else None,
    }


def _tell(found: Download) -> None:
    from hyperperturb.files import file_size

    entry = found.entry
    print(f"{entry.name}: {entry.title}")
    for path in found.files:
        print(f"  {path}, {file_size(path.stat().st_size)}")
    if entry.attribution:
        print(f"  cite: {entry.attribution}")
    if entry.kind == "protein":
        attached = found.dataset
        print(
            "  proteins of a screen's cells: give the file with --protein_path, or attach it on the page Data"
            if attached is None
            else f"  attached to the dataset '{attached.name}': {attached.protein_report.sentence}"
        )
    elif found.dataset is not None:
        report = found.dataset.report
        proposal = report.proposal if report is not None else None
        what = (
            f"proposed controls: '{proposal.label}' in column '{proposal.column}', {proposal.n_control_cells:,} cells"
            if proposal is not None
            else "nothing in it looks like a control"
        )
        print(
            f"  dataset '{found.dataset.name}'; {what}; confirm them on the page Controls (hyperperturb app)"
        )
    else:
        print(f"  network {found.network}")
    if entry.note:
        print(f"  note: {entry.note}")


def _list(*, as_json: bool) -> None:
    from hyperperturb.data.catalogue import catalogue
    from hyperperturb.files import file_size
    from hyperperturb.runs.downloads import missing_files
    from hyperperturb.runs.workspace import Workspace

    workspace = Workspace()
    entries = catalogue()
    here = {entry.name: not missing_files(workspace, entry) for entry in entries}
    if as_json:
        print_json([entry.model_dump(mode="json") | {"here": here[entry.name]} for entry in entries])
        return

    def size(entry: CatalogueEntry) -> str | None:
        if entry.size is None:
            return None
        return file_size(entry.size) if entry.exact else f"about {file_size(entry.size)}"

    for kind, head in (("screen", "Screens"), ("protein", "Proteins of screens"), ("network", "Networks")):
        chosen = [entry for entry in entries if entry.kind == kind]
        print(f"{head}:")
        columns = ["  name", "what", "size", "licence", "here"]
        rows = [[f"  {e.name}", e.title, size(e), e.licence, "yes" if here[e.name] else ""] for e in chosen]
        if kind == "screen":
            columns[2:2] = ["cells", "perturbations"]
            for row, entry in zip(rows, chosen, strict=True):
                row[2:2] = [entry.cells, entry.perturbations]
        print_table(columns, rows)
        print()
