"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import glob
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperperturb.errors import HyperPerturbError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def atomic_path(path: str | Path, *, room: int = 0) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the name `path` only when the block ends well.

    The temporary name starts with a dot and keeps the suffixes of `path`, because writers choose compression
    and format by them. A file or a folder may be written. When the block raises, whatever it wrote is removed
    and an earlier `path` stays untouched.

    Parameters
    ----------
    path
        Where the finished file goes; missing parent folders are made.
    room
        Bytes that must be free. HDF5 ends the whole process some time after it ran out of room in the middle of a
        file, so its writers say how large the file may become.

    Yields
    ------
    Path
        A path in the same folder that does not exist yet.

    Raises
    ------
    HyperPerturbError
        The folder cannot be made or written to, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder) / "a.txt"
    ...     with atomic_path(target) as temporary:
    ...         _ = temporary.write_text("whole")
    ...         before = target.exists()
    ...     before, target.read_text()
    (False, 'whole')
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    free = shutil.disk_usage(path.parent).free if room else 0
    if free < room:
        raise HyperPerturbError(
            f"Cannot write '{path}': it may take {file_size(room)}, and {file_size(free)} of the disk are free.",
            hint="Free some space, or choose a folder that has room.",
        )
    suffixes = "".join(path.suffixes[-2:])
    temporary = path.parent / f".{path.name.removesuffix(suffixes)[:60]}.{secrets.token_hex(6)}.tmp{suffixes}"
    try:
        try:
            yield temporary
        except OSError as error:
            # other files may be open inside the block: only trouble with this one, or with room, is ours
            if error.errno in _NO_ROOM or str(error.filename) == str(temporary):
                raise _cannot_write(path, error) from error
            raise
        if temporary.is_file():
            with temporary.open("rb+") as handle:  # data on disk before the name points at them
                os.fsync(handle.fileno())
        elif path.is_dir():  # a folder cannot be renamed over a folder that has content
            shutil.rmtree(path)
        try:
            temporary.replace(path)
        except OSError as error:
            raise _cannot_write(path, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        # a process that was asked to write there, by this very function, and was ended leaves its own temporary file
        stem = temporary.name.removesuffix("".join(temporary.suffixes[-2:]))
        for left in path.parent.glob(f".{glob.escape(stem)}.*"):
            left.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> HyperPerturbError:
    reason = error.strerror or str(error) or type(error).__name__
    return HyperPerturbError(
        f"Cannot write '{path}': {reason}.",
        hint="Choose a folder that exists, that you may write to, and that has room.",
    )


def write_json(path: str | Path, obj: Any) -> None:
    """Write an object as JSON, atomically.

    Parameters
    ----------
    path
        Where to write.
    obj
        A pydantic model, or anything :mod:`json` takes; paths and dates are written as text. NaN and
        infinities are refused, because other readers of JSON refuse them.

    Raises
    ------
    HyperPerturbError
        The file cannot be written.
    ValueError
        `obj` contains NaN or an infinity.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a.json", {"cells": 3})
    ...     read_json(Path(folder) / "a.json")
    {'cells': 3}
    """
    if hasattr(obj, "model_dump"):
        obj = obj.model_dump(mode="json")
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"Cannot write {type(value).__name__} as JSON.")


def finite(value: float) -> float | None:
    """A number as JSON knows it: None for NaN and infinities.

    Examples
    --------
    >>> finite(0.5), finite(float("nan"))
    (0.5, None)
    """
    return float(value) if math.isfinite(value) else None


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Any
        What the file holds.

    Raises
    ------
    HyperPerturbError
        The file is missing, cannot be read, or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HyperPerturbError(f"There is no file '{path}'.", hint="Check the path.") from None
    except OSError as error:
        raise HyperPerturbError(f"Cannot read '{path}': {error.strerror or error}.") from error
    except ValueError as error:  # json.JSONDecodeError and UnicodeDecodeError
        raise HyperPerturbError(f"The file '{path}' is not JSON ({error}).") from error


class FolderLock:
    """A folder that one process at a time may hold; the system lets go of it when the process ends, however it ends.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: int | None = None

    def take(self) -> bool:
        """Hold the folder; False when another process holds it. True also where the system cannot say."""
        if fcntl is None or self._held is not None:
            return True
        opened = None
        try:
            opened = os.open(self.path, os.O_RDONLY)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(opened)
            return False
        except OSError:  # some network file systems lock no folders
            if opened is not None:
                os.close(opened)
            return True
        self._held = opened
        return True

    def give_back(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


def file_size(n_bytes: float) -> str:
    """Write a number of bytes the way a person says it, in powers of 1,000.

    Examples
    --------
    >>> file_size(512), file_size(698_680_199), file_size(8_805_466_154)
    ('512 bytes', '699 MB', '8.81 GB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        n_bytes /= 1000
        if n_bytes < 999.5 or unit == "TB":
            break
    return f"{n_bytes:.{2 if n_bytes < 9.995 else 1 if n_bytes < 99.95 else 0}f} {unit}"
