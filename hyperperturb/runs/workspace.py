"""The folder that datasets, networks and runs live in."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HOME_VARIABLE = "HYPERPERTURB_HOME"
_HIDDEN = "."


def _default_root() -> Path:
    return Path(os.environ.get(HOME_VARIABLE) or ".").expanduser().resolve()


@dataclass(frozen=True)
class Workspace:
    """Where a person's datasets, networks and runs are.

    Parameters
    ----------
    root
        The folder; by default the environment variable ``HYPERPERTURB_HOME``, else the current folder.
        Nothing is created before something is stored.

    Examples
    --------
    >>> Workspace(Path("/srv/lab")).runs_dir.as_posix()
    '/srv/lab/models/saved'
    """

    root: Path = field(default_factory=_default_root)

    @property
    def datasets_dir(self) -> Path:
        """Folder with one folder a dataset."""
        return self.root / "data" / "datasets"

    @property
    def networks_dir(self) -> Path:
        """Folder with the networks that were added."""
        return self.root / "data" / "networks"

    @property
    def downloads_dir(self) -> Path:
        """Folder with the files of the catalogue as they were published."""
        return self.root / "data" / "raw"

    @property
    def runs_dir(self) -> Path:
        """Folder with one folder a run."""
        return self.root / "models" / "saved"


def slug(text: str, *, fallback: str = "dataset") -> str:
    """Turn any title into a name that is safe as a folder and in an address.

    Parameters
    ----------
    text
        Whatever a person or a file is called.
    fallback
        What to use when nothing of ``text`` is left.

    Returns
    -------
    str
        Lower-case letters, digits, ``-``, ``_`` and ``.``; at most 60 characters; never starting with a dot.

    Examples
    --------
    >>> slug("../My Screen (2).h5ad")
    'my-screen-2-.h5ad'
    >>> slug("…")
    'dataset'
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower())
    name = re.sub(r"\.{2,}", ".", name)[:60].strip("-._")
    return name or fallback


@contextlib.contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Give a hidden folder to fill; whatever is still in it at the end is removed.

    Parameters
    ----------
    parent
        The folder it is made in, so that :func:`publish` can rename within one file system.

    Yields
    ------
    Path
        An empty folder, ignored by every listing because its name starts with a dot.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f".incoming-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(staged: Path, parent: Path, name: str) -> Path | None:
    """Give a finished staging folder its name, in one step.

    Parameters
    ----------
    staged
        The filled (not empty) folder.
    parent, name
        Where it goes.

    Returns
    -------
    Path or None
        The folder's new path; None when that name is already taken.
    """
    target = parent / name
    if target.exists():  # a plain file would otherwise raise NotADirectoryError
        return None
    try:
        staged.rename(target)  # a folder with something in it is never replaced: of two at once, one loses
    except OSError:
        if target.exists():
            return None
        raise
    return target


def publish_unique(staged: Path, parent: Path, name: str) -> Path:
    """Like :func:`publish`, with ``-2``, ``-3``, … added to the name until one is free."""
    number = 1
    while True:
        published = publish(staged, parent, name if number == 1 else f"{name}-{number}")
        if published is not None:
            return published
        number += 1


def remove_folder(folder: Path) -> None:
    """Remove a folder so that no listing ever sees it half removed (it is hidden first)."""
    hidden = folder.with_name(f".removed-{secrets.token_hex(8)}")
    try:
        folder.rename(hidden)
    except FileNotFoundError:
        return
    shutil.rmtree(hidden, ignore_errors=True)


def visible_folders(parent: Path) -> list[Path]:
    """Folders in ``parent`` that are not hidden, by name; an absent parent has none."""
    try:
        return sorted(p for p in parent.iterdir() if not p.name.startswith(_HIDDEN) and p.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
