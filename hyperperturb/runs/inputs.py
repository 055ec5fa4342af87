"""Are the files that a run reads still the ones it began with?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from hyperperturb.errors import HyperPerturbError

_WHOLE = 256 << 20
_BLOCK = 1 << 20
_FOLDER_FILES = 256


class InputFile(BaseModel):
    """What a file was when a run read it.

    Parameters
    ----------
    size
        Bytes; of a folder (a ``.zarr``, 10x text files), of all its files.
    modified
        Time of the last change, nanoseconds since 1970.
    digest
        BLAKE2b of the size and the content; of files beyond 256 MB, of 256 evenly spaced blocks of 1 MB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    modified: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> InputFile:
        """Look at a file, or at all files of a folder."""
        if path.is_dir():
            return cls._of_folder(path)
        stat = path.stat()
        digest = hashlib.blake2b(str(stat.st_size).encode(), digest_size=16)
        with path.open("rb") as file:
            if stat.st_size <= _WHOLE:
                while block := file.read(_BLOCK):
                    digest.update(block)
            else:
                count = _WHOLE // _BLOCK
                for i in range(count):
                    file.seek((stat.st_size - _BLOCK) * i // (count - 1))
                    digest.update(file.read(_BLOCK))
        return cls(size=stat.st_size, modified=stat.st_mtime_ns, digest=digest.hexdigest())

    @classmethod
    def _of_folder(cls, path: Path) -> InputFile:
        """Names, sizes and contents of the files of a folder; of many, the contents of some."""
        files = sorted(p for p in path.rglob("*") if p.is_file())
        digest = hashlib.blake2b(digest_size=16)
        looked_at = set(range(0, len(files), max(1, len(files) // _FOLDER_FILES)))
        size = modified = 0
        for i, file in enumerate(files):
            stat = file.stat()
            size, modified = size + stat.st_size, max(modified, stat.st_mtime_ns)
            digest.update(f"{file.relative_to(path)} {stat.st_size} ".encode())
            if i in looked_at:
                digest.update(cls.of(file).digest.encode())
        return cls(size=size, modified=modified, digest=digest.hexdigest())

    def same(self, path: Path) -> bool:
        """Whether a file or folder still has the content it had; a copy with another date does."""
        if path.is_dir():
            return InputFile.of(path).digest == self.digest
        stat = path.stat()
        if stat.st_size != self.size:
            return False
        return stat.st_mtime_ns == self.modified or InputFile.of(path).digest == self.digest


def describe_inputs(paths: Iterable[Path]) -> dict[str, InputFile]:
    """Look at the files that a run is about to read."""
    return {str(path): InputFile.of(path) for path in paths}


def check_inputs(known: dict[str, InputFile]) -> None:
    """Refuse to go on with files that are not what they were.

    Raises
    ------
    HyperPerturbError
        Naming the first file that is gone or changed.
    """
    for name, file in known.items():
        path = Path(name)
        if not path.exists():
            raise HyperPerturbError(
                f"The file '{name}', which the run was trained from, is gone.", hint="Start a new run."
            )
        if not file.same(path):
            raise HyperPerturbError(
                f"The file '{name}' has changed since the run began, so the run cannot go on.",
                hint="Start a new run.",
            )
