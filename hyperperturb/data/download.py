"""Downloading the files of the catalogue: resumed where they stopped, checked, and given their name only when whole.

What has been received stands in a hidden folder beside the target (``.NAME.download``) and nowhere else, so nothing
that is half there can be taken for whole; the next call goes on with it.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import zipfile
import zlib
from pathlib import Path

from hyperperturb.data.catalogue import CatalogueEntry, RemoteFile
from hyperperturb.data.transfer import Transfer, require_room
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import FolderLock
from hyperperturb.progress import Progress, scaled

_PAGE = re.compile(rb"\s*<(!doctype html|html|\?xml[^>]*>\s*<!doctype html)", re.IGNORECASE)


def fetch_entry(
    entry: CatalogueEntry, folder: Path | str, *, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Download the files of an entry; what is there already is checked and kept.

    Parameters
    ----------
    entry
        What to download.
    folder
        Where the files go.
    progress
        Called with the fraction done and what is being done; an exception raised by it stops the download, and what
        was received is kept for the next time.

    Returns
    -------
    tuple of Path
        The files, in the entry's order.

    Raises
    ------
    HyperPerturbError
        No connection, no such file, too little room, another size or checksum than published. The message says
        what to do by hand.
    """
    folder = Path(folder)
    sizes = [file.size or file.size_about or 0 for file in entry.files]
    shares = [size / sum(sizes) if all(sizes) else 1 / len(sizes) for size in sizes]
    paths, done = [], 0.0
    for file, share in zip(entry.files, shares, strict=True):
        paths.append(_fetch(file, folder, entry.name, scaled(progress, done, done + share)))
        done += share
    return tuple(paths)


def is_here(file: RemoteFile, folder: Path) -> bool:
    """Whether a file of that name lies in the folder, with the published size if there is one (a quick look)."""
    path = folder / file.name
    return path.is_file() and (file.size is None or path.stat().st_size == file.size)


def _fetch(file: RemoteFile, folder: Path, entry: str, progress: Progress) -> Path:
    import pooch

    target = folder / file.name
    if is_here(file, folder):
        progress(0.0, f"Checking {file.name}")
        if _is_whole(target, file):
            progress(1.0, f"{file.name} is there")
            return target
    parts = folder / f".{file.name}.download"
    require_room(folder, file.size)
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    lock = FolderLock(parts)
    if not lock.take():
        raise HyperPerturbError(
            f"'{file.name}' is being downloaded into '{folder}' already.", hint="Wait for that download."
        )
    pooch.get_logger().setLevel("ERROR")  # it reports to the terminal, we to whoever asked
    try:
        for left in parts.iterdir():  # of a process that was killed while it checked
            if left.name not in (Transfer.PART, Transfer.NOTE):
                left.unlink()
        transfer = Transfer(file, parts, folder, entry, progress)
        try:
            received = pooch.retrieve(
                file.url, file.checksum, fname=file.name, path=parts, downloader=transfer
            )
        except HyperPerturbError:
            raise
        except ValueError as error:  # pooch: the hash is another one; what was received is removed
            raise HyperPerturbError(
                f"What {file.url} sent is not the published file: '{file.name}' has another checksum than "
                f"{file.checksum}. It was removed.",
                hint="Try again later; when it happens again, the file at that address has been replaced.",
            ) from error
        complaint = "" if file.checksum else _complaint(Path(received))
        if complaint:
            Path(received).unlink()
            raise HyperPerturbError(
                f"What {file.url} sent is not the file that was asked for: {complaint}. It was removed.",
                hint="Try again later, or look at the address in a browser.",
            )
        Path(received).replace(target)
        shutil.rmtree(parts, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        lock.give_back()
        with contextlib.suppress(OSError):
            parts.rmdir()  # only when nothing of the file is in it
    progress(1.0, f"{file.name} is there")
    return target


def _is_whole(path: Path, file: RemoteFile) -> bool:
    import pooch

    if file.checksum is None:
        return not _complaint(path)
    algorithm, _, digest = file.checksum.partition(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest


def _complaint(path: Path) -> str:
    """Why a file cannot be what its name says, of the kinds that are downloaded; empty when it can."""
    name = path.name.lower()
    try:
        with path.open("rb") as handle:
            start = handle.read(512)
        if not start:
            return "it is empty"
        if name.endswith((".h5ad", ".h5")):
            import h5py

            with h5py.File(path, "r"):  # refuses a file that is shorter than it says
                pass
        elif name.endswith(".gz"):
            with gzip.open(path) as handle:
                while handle.read(1 << 20):
                    pass
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    return f"'{damaged}' in it is damaged"
        elif _PAGE.match(start):
            return "it is a web page"
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return f"it is damaged, or no {path.suffix.lstrip('.')} file"
    return ""


def _cannot_write(folder: Path, error: OSError) -> HyperPerturbError:
    reason = error.strerror or str(error) or type(error).__name__
    return HyperPerturbError(
        f"Cannot write to '{folder}': {reason}. What was received so far is kept.",
        hint="Free some space, or choose a folder that you may write to.",
    )
