"""Files that come in: what they are by their names, and copying them whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Literal

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path

UPLOAD_LIMIT = 500 * 1024 * 1024
"""Largest upload in bytes; larger files are registered by their path on the server."""

SCREEN_SUFFIXES = (".h5ad",)
EFFECTS_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_CHUNK = 1 << 20


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
        hint=f"A screen ends in {SCREEN_SUFFIXES[0]}, a table of effects in {', '.join(EFFECTS_SUFFIXES)}.",
    )


def file_suffix(filename: str) -> str:
    """The suffix that tells the kind, in lower case (``".csv.gz"`` as a whole)."""
    lower = filename.lower()
    return max((s for s in SCREEN_SUFFIXES + EFFECTS_SUFFIXES if lower.endswith(s)), key=len)


def file_stem(filename: str) -> str:
    """The file's name without folders and suffix.

    Examples
    --------
    >>> file_stem("C:\\\\data\\\\My screen.h5ad")
    'My screen'
    """
    name = Path(filename.replace("\\", "/")).name
    return name[: -len(file_suffix(name))] or name


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
