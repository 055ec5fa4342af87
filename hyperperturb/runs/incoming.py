"""Files that come in: what they are by their names, and copying them whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

from hyperperturb.data.formats import SCREEN_SUFFIXES
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.runs.config import existing_file

UPLOAD_LIMIT = 500 * 1024 * 1024
"""Largest upload in bytes; larger files are registered by their path on the server."""

EFFECTS_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_CHUNK = 1 << 20
_PARTS = ("barcodes.tsv", "cells.tsv", "features.tsv", "genes.tsv")


def file_kind(filename: str) -> Literal["screen", "effects"]:
    """Tell a screen from a table of effects by the file's name.

    Raises
    ------
    HyperPerturbError
        When the suffix belongs to neither.

    Examples
    --------
    >>> file_kind("a.h5ad"), file_kind("A.CSV.GZ")
    ('screen', 'effects')
    """
    lower = filename.lower()
    if lower.endswith(SCREEN_SUFFIXES):
        return "screen"
    if lower.endswith(EFFECTS_SUFFIXES):
        return "effects"
    raise HyperPerturbError(
        f"'{Path(filename).name}' is neither a screen nor a table of effects by its name.",
        hint=f"A screen ends in {', '.join(SCREEN_SUFFIXES)}, a table of effects in {', '.join(EFFECTS_SUFFIXES)}.",
    )


def existing_data(path: Path | str) -> tuple[Path, Literal["screen", "effects"]]:
    """Resolve a path a person gave, and tell a screen from a table of effects.

    Parameters
    ----------
    path
        A file, or a folder that is a screen.

    Returns
    -------
    tuple
        The absolute path, and what it is.

    Raises
    ------
    HyperPerturbError
        Nothing is there, or its name says neither.
    """
    full = Path(path).expanduser().resolve()
    if full.is_dir():
        return full, "screen"
    full = existing_file(path, what="screen or effects table")
    return full, file_kind(full.name)


def file_suffix(filename: str) -> str:
    """The suffix that tells the kind, in lower case (``".csv.gz"`` as a whole)."""
    lower = filename.lower()
    return max((s for s in SCREEN_SUFFIXES + EFFECTS_SUFFIXES if lower.endswith(s)), key=len, default="")


def file_stem(filename: str) -> str:
    """The file's name without folders and suffix.

    Examples
    --------
    >>> file_stem("C:\\\\data\\\\My screen.h5ad")
    'My screen'
    """
    name = Path(filename.replace("\\", "/")).name
    suffix = file_suffix(name)
    return name.removesuffix(name[len(name) - len(suffix) :]) or name


def safe_name(filename: str) -> str:
    """A name of a sender's file that can be used here: no folders, no leading dot, only plain characters.

    Examples
    --------
    >>> safe_name("../../etc/GSM1 matrix.mtx.gz")
    'GSM1_matrix.mtx.gz'
    """
    name = Path(filename.replace("\\", "/")).name
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".")[-120:] or "file"


def sort_uploads(names: Sequence[str]) -> tuple[int, set[int]]:
    """Tell which of several files is the screen or the table of effects.

    Parameters
    ----------
    names
        Names of the files.

    Returns
    -------
    tuple
        Number of the main file, and the numbers of the files that make a 10x folder with it; the others are tables.

    Raises
    ------
    HyperPerturbError
        There are several main files, or a file of no known kind.

    Examples
    --------
    >>> sort_uploads(["calls.csv", "matrix.h5"]), sort_uploads(["barcodes.tsv", "matrix.mtx", "genes.tsv"])
    ((1, set()), (1, {0, 2}))
    """
    kinds = [file_kind(name) for name in names]
    screens = [number for number, kind in enumerate(kinds) if kind == "screen"]
    if len(screens) > 1 or (not screens and len(names) > 1):
        shown = ", ".join(f"'{Path(name).name}'" for name in names[:4])
        raise HyperPerturbError(
            f"These files are {'several screens' if screens else 'several tables of effects'} ({shown}).",
            hint="Bring one at a time; with a screen, the tables that belong to it.",
        )
    main = screens[0] if screens else 0
    lower = [name.lower() for name in names]
    parts = set()
    if lower[main].endswith((".mtx", ".mtx.gz")):
        parts = {n for n, name in enumerate(lower) if name.removesuffix(".gz").endswith(_PARTS)}
        if not parts:
            raise HyperPerturbError(
                f"'{names[main]}' comes without its barcodes and features.",
                hint="Choose matrix.mtx, barcodes.tsv and features.tsv (or genes.tsv) together.",
            )
    return main, parts


def copy_incoming(fileobj: IO[bytes], target: Path, *, filename: str, limit: int | None) -> None:
    """Copy a file object from its beginning, in pieces, atomically.

    Parameters
    ----------
    fileobj
        The bytes.
    target
        Where they go; nothing is there when this raises.
    filename
        What a person calls the file, for the sentences.
    limit
        Largest size in bytes; None for any.

    Raises
    ------
    HyperPerturbError
        Too large, or empty.
    """
    if fileobj.seekable():
        fileobj.seek(0)
    size = 0
    with atomic_path(target) as temporary, temporary.open("wb") as handle:
        while chunk := fileobj.read(_CHUNK):
            size += len(chunk)
            if limit is not None and size > limit:
                raise HyperPerturbError(
                    f"'{filename}' is larger than {limit / 1024**2:,.0f} MB.",
                    hint="Put it on the server and register it by its path.",
                )
            handle.write(chunk)
    if size == 0:
        raise HyperPerturbError(f"'{filename}' is empty (0 bytes).", hint="Choose another file.")
