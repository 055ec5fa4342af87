"""Networks that a person adds to the workspace."""

from __future__ import annotations

import filecmp
from pathlib import Path
from typing import IO

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import existing_file
from hyperperturb.runs.incoming import UPLOAD_LIMIT, copy_incoming
from hyperperturb.runs.workspace import Workspace, slug, staging_folder


def add_network(ws: Workspace, source: IO[bytes] | Path | str, filename: str | None = None) -> Path:
    """Copy a network into the workspace, after a look at whether it is one.

    Parameters
    ----------
    ws
        Workspace.
    source
        An uploaded file, or a path on this machine.
    filename
        The upload's name; a path has its own.

    Returns
    -------
    Path
        Where it is now. The same contents under the same name are stored once.

    Raises
    ------
    HyperPerturbError
        Not a network, too large, or no such file. Nothing stays behind.
    """
    from hyperperturb.data.network import read_network

    if isinstance(source, Path | str):
        source = existing_file(source, what="network")
        filename = filename or source.name
    if not filename:
        raise HyperPerturbError("The network has no file name.", hint="Give one that ends in .csv or .tsv.")
    name = slug(Path(filename.replace("\\", "/")).name, fallback="network.csv")
    with staging_folder(ws.networks_dir) as staged:
        copy = staged / name
        if isinstance(source, Path):
            with source.open("rb") as handle:
                copy_incoming(handle, copy, filename=filename, limit=None)
        else:
            copy_incoming(source, copy, filename=filename, limit=UPLOAD_LIMIT)
        read_network(copy)
        return _place(copy, ws.networks_dir)


def list_networks(ws: Workspace) -> list[Path]:
    """The networks that were added, by name."""
    try:
        entries = sorted(ws.networks_dir.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [p for p in entries if p.is_file() and not p.name.startswith(".")]


def _place(copy: Path, folder: Path) -> Path:
    suffix = "".join(copy.suffixes[-2:]) if copy.name.endswith(".gz") else copy.suffix
    stem = copy.name.removesuffix(suffix)
    number = 1
    while True:
        target = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            target.hardlink_to(copy)  # never replaces: of two at once, one goes on to the next name
        except FileExistsError:
            if target.is_file() and filecmp.cmp(target, copy, shallow=False):
                return target
            number += 1
        except OSError:  # a file system without hard links
            if not target.exists():
                return copy.rename(target)
            number += 1
        else:
            return target
