"""Opening an ``.h5ad`` file with h5py, and saying what is wrong with it when that fails."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hyperperturb.errors import HyperPerturbError

_CHUNK_CACHE = 32 << 20  # bytes a dataset: the chunk two neighbouring blocks share is decoded once
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FAILURES = (  # what h5py, zarr, gzip, zip and pyarrow raise on damaged files
    OSError,
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    ArithmeticError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
_MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "nat", "null"})


@contextmanager
def reading(path: str | Path | None, what: str = "the file") -> Iterator[None]:
    """Turn what libraries raise on damaged files into one sentence that names the file and the part.

    Parameters
    ----------
    path
        The file, for the sentence; None for an object in memory.
    what
        The part that is being read.

    Raises
    ------
    HyperPerturbError
        Reading failed.
    """
    try:
        yield
    except HyperPerturbError:
        raise
    except MemoryError as error:
        raise HyperPerturbError(
            f"There is not enough memory to read {what} of {_named(path)}.",
            hint="If the file should not be that large, it is damaged: copy or download it again.",
        ) from error
    except _FAILURES as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HyperPerturbError(
            f"Cannot read {what} of {_named(path)}: it is damaged or not laid out as its format wants "
            f"({reason[:200]}).",
            hint="Copy or download the file again, or write it anew with anndata's write_h5ad.",
        ) from error


def _named(path: str | Path | None) -> str:
    return f"'{path}'" if path is not None else "the object"


def open_h5(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    h5py.File
        The open file; the caller closes it.

    Raises
    ------
    HyperPerturbError
        There is no such file, it may not be read, it is not HDF5, or it is cut short.
    """
    path = Path(path)
    if not path.exists():
        raise HyperPerturbError(f"There is no file '{path}'.", hint="Check the path.")
    if path.is_dir():
        raise HyperPerturbError(f"'{path}' is a folder, not an .h5ad file.", hint="Give the file itself.")
    try:
        with path.open("rb") as handle:
            head = handle.read(64)
    except OSError as error:
        raise HyperPerturbError(
            f"Cannot read '{path}': {error.strerror or error}.", hint="Check who may read it."
        ) from error
    if not head:
        raise HyperPerturbError(f"The file '{path}' is empty.", hint="Copy or download it again.")
    if not head.startswith(_HDF5_SIGNATURE) and not h5py.is_hdf5(path):
        raise HyperPerturbError(
            f"'{path}' is not an HDF5 file, so not an .h5ad file{_looks_like(head)}.",
            hint="Write the screen with anndata's write_h5ad, or copy or download the file again.",
        )
    try:
        try:  # without locks, which network and read-only file systems may refuse
            return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE, rdcc_nslots=10_007, locking=False)
        except OSError:  # this process has the file open with locks already
            return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE, rdcc_nslots=10_007)
    except (OSError, RuntimeError, ValueError) as error:
        found = re.search(r"truncated file: eof = (\d+), .*stored_eof = (\d+)", str(error))
        if found:
            have, should = int(found[1]), int(found[2])
            raise HyperPerturbError(
                f"The file '{path}' is cut short: it has {have:,} bytes and should have {should:,}.",
                hint="Copy or download it again.",
            ) from error
        raise HyperPerturbError(
            f"The file '{path}' starts like an HDF5 file but cannot be opened: it is damaged.",
            hint="Copy or download it again.",
        ) from error


def _looks_like(head: bytes) -> str:
    if head.startswith(b"\x1f\x8b"):
        return "; it is compressed with gzip (unpack it first: gunzip FILE)"
    if head.startswith(b"PK"):
        return "; it is a zip archive (unpack it first)"
    if head.startswith(b"PAR1"):
        return "; it is a parquet table"
    if head.lstrip()[:1] == b"<":
        return "; it is a web page, perhaps an error page saved instead of the file"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return "; it is a text file"
    return ""


def text(value: Any) -> str:
    """Give a stored value as text.

    Parameters
    ----------
    value
        Bytes, text, a number, or None.

    Returns
    -------
    str
        ``""`` for what stands for nothing (None, NaN, ``"nan"``, ``"NA"``); whole numbers without ``.0``.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    out = str(value).strip()
    return "" if out.casefold() in _MISSING else out


def is_group(node: Any) -> bool:
    """Say whether a node of an HDF5 file or a zarr store is a group, not an array."""
    return hasattr(node, "keys") and not hasattr(node, "shape")


def encoding(node: Any) -> str:
    """Give the ``encoding-type`` of a node, ``""`` where it has none."""
    return text(node.attrs.get("encoding-type", ""))
