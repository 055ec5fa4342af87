"""From the catalogue into the workspace: downloaded, checked, and registered as a dataset or a network."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hyperperturb.data.catalogue import CatalogueEntry, find_entry
from hyperperturb.data.download import fetch_entry, is_here
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, scaled
from hyperperturb.runs.datasets import Dataset, list_datasets, register_dataset
from hyperperturb.runs.proteins import attach_proteins
from hyperperturb.runs.workspace import Workspace


class Download(BaseModel):
    """What a download brought.

    Attributes
    ----------
    entry
        The entry of the catalogue.
    files
        The files as they were published.
    dataset
        Of a screen: registered, its controls proposed but not confirmed.
    network
        Of a network: the file that trainings read, among the networks of the workspace.
    """

    model_config = ConfigDict(frozen=True)

    entry: CatalogueEntry
    files: tuple[Path, ...]
    dataset: Dataset | None = None
    network: Path | None = None


def download(
    ws: Workspace, name: str, *, to: Path | str | None = None, progress: Progress | None = None
) -> Download:
    """Download an entry of the catalogue and register it; what is there already is kept.

    Parameters
    ----------
    ws
        Workspace.
    name
        The entry.
    to
        Folder for the files; by default ``data/raw`` of the workspace. They are read from there.
    progress
        Called with the fraction done and what is being done; an exception raised by it stops the download.

    Returns
    -------
    Download

    Raises
    ------
    HyperPerturbError
        No such entry; what :func:`~hyperperturb.data.download.fetch_entry` refuses; or the file is no screen, no
        network.
    """
    entry = find_entry(name)
    folder = Path(to).expanduser().resolve() if to is not None else ws.downloads_dir.resolve()
    files = fetch_entry(entry, folder, progress=scaled(progress, 0.0, 0.95))
    report = scaled(progress, 0.95, 1.0)
    report(0.0, f"Looking at {entry.title}")
    found = Download(entry=entry, files=files)
    if entry.kind == "screen":
        found = found.model_copy(update={"dataset": _register(ws, entry, files[0])})
    elif entry.kind == "network":
        found = found.model_copy(update={"network": _store(ws, entry, files[0])})
    else:
        found = found.model_copy(update={"dataset": _attach(ws, entry, files[0])})
    report(1.0, f"{entry.title} is there")
    return found


def missing_files(ws: Workspace, entry: CatalogueEntry) -> tuple[str, ...]:
    """Names of the files of an entry that are not in ``data/raw`` of the workspace yet."""
    return tuple(file.name for file in entry.files if not is_here(file, ws.downloads_dir))


def _register(ws: Workspace, entry: CatalogueEntry, path: Path) -> Dataset:
    known = next((dataset for dataset in list_datasets(ws) if dataset.source == path), None)
    if known is not None:
        return known
    proposed = (entry.label_column, entry.control) if entry.label_column and entry.control else None
    return register_dataset(
        ws,
        path,
        title=entry.title,
        mode=entry.mode or "knockout",
        proposed=proposed,
        note=". ".join(filter(None, (entry.attribution, entry.note))),
    )


def _attach(ws: Workspace, entry: CatalogueEntry, path: Path) -> Dataset | None:
    """The dataset whose cells these proteins are, with them; None where it is not there, or its cells are others."""
    if entry.of is None:
        return None
    try:
        files = {path.parent / file.name for file in find_entry(entry.of).files}
        dataset = next((dataset for dataset in list_datasets(ws) if dataset.source in files), None)
        return None if dataset is None else attach_proteins(ws, dataset.name, path)
    except HyperPerturbError:  # told when a person attaches them
        return None


def _store(ws: Workspace, entry: CatalogueEntry, path: Path) -> Path:
    """Read a network once and keep it in a form that opens at once."""
    from hyperperturb.data.network import read_network
    from hyperperturb.data.network_store import save_network

    target = ws.networks_dir / f"{entry.name}.npz"
    if target.is_file() and target.stat().st_mtime >= path.stat().st_mtime:
        return target
    return save_network(read_network(path, name=entry.name), target)
