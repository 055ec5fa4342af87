"""The catalogue: public screens and networks by name, with what is published about them and where they are.

The entries stand in ``catalogue.toml`` beside this file. A file of the same form that ``HYPERPERTURB_CATALOGUE`` names
adds to them, and replaces those of the same name: a mirror inside an institute, data of one's own.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hyperperturb.errors import HyperPerturbError

CATALOGUE_VARIABLE = "HYPERPERTURB_CATALOGUE"
_SHIPPED = Path(__file__).with_name("catalogue.toml")


def _plain_name(name: str) -> str:
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise ValueError(f"'{name}' is not a plain file name")
    return name


def _address(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"'{url}' is not an http(s) address")
    return url


class RemoteFile(BaseModel):
    """A file that can be downloaded.

    Attributes
    ----------
    name
        What it is called on disk.
    url
        Where it is.
    size
        Bytes, exact, where published.
    size_about
        Bytes, rounded, where only that is known.
    checksum
        Algorithm and hexadecimal digest (``md5:…``, ``sha256:…``), where published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_plain_name)]
    url: Annotated[str, AfterValidator(_address)]
    size: Annotated[int, Field(gt=0)] | None = None
    size_about: Annotated[int, Field(gt=0)] | None = None
    checksum: (
        Annotated[str, Field(pattern=r"^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64})$")] | None
    ) = None


class CatalogueEntry(BaseModel):
    """A public screen, its proteins, or a network.

    Attributes
    ----------
    name
        What one asks for.
    kind
        ``screen``; ``protein`` (proteins of a screen's cells, to be joined by cell name); or ``network``.
    title, about, note
        Words for people; `note` says what to know before using it.
    citation, doi, licence, archive
        Who made it, where it was published, under which licence, which archive keeps it.
    species
        ``human`` or ``mouse``.
    mode
        What was done to the genes.
    cells, genes, perturbations
        Size of the file; perturbations are the labels of `label_column` without the control.
    label_column, control
        Proposed to the person who confirms the controls.
    of
        The screen whose cells proteins belong to.
    files
        What is downloaded; of a network the first one is read, the others lie beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    kind: Literal["screen", "protein", "network"]
    title: str
    about: str = ""
    note: str = ""
    citation: str = ""
    doi: str | None = None
    licence: str | None = None
    archive: str = ""
    species: Literal["human", "mouse"] | None = None
    mode: Literal["knockout", "knockdown", "activation"] | None = None
    cells: int | None = None
    genes: int | None = None
    perturbations: int | None = None
    label_column: str | None = None
    control: str | None = None
    of: str | None = None
    files: tuple[RemoteFile, ...] = Field(alias="file", min_length=1)

    @property
    def size(self) -> int | None:
        """Bytes of all files, exact or rounded; None when one of them is unknown."""
        sizes = [file.size or file.size_about for file in self.files]
        return None if None in sizes else sum(sizes)

    @property
    def exact(self) -> bool:
        """Whether :attr:`size` is exact."""
        return all(file.size is not None for file in self.files)

    @property
    def attribution(self) -> str:
        """Citation, DOI and licence in one line."""
        doi = f"doi:{self.doi}" if self.doi else ""
        return ", ".join(filter(None, (self.citation, doi, self.licence)))


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every entry: the shipped ones, then those of the file that ``HYPERPERTURB_CATALOGUE`` names.

    Raises
    ------
    HyperPerturbError
        When that file is missing or is not a catalogue.

    Examples
    --------
    >>> [entry.name for entry in catalogue() if entry.kind == "network"][:2]
    ['string-human', 'string-mouse']
    """
    entries = {entry.name: entry for entry in _shipped()}
    own = os.environ.get(CATALOGUE_VARIABLE)
    if own:
        entries |= {entry.name: entry for entry in read_catalogue(Path(own).expanduser())}
    return tuple(entries.values())


@cache
def _shipped() -> tuple[CatalogueEntry, ...]:
    return read_catalogue(_SHIPPED)


def read_catalogue(path: Path) -> tuple[CatalogueEntry, ...]:
    """Read a file of entries (TOML: one ``[[entry]]`` each, with its ``[[entry.file]]``).

    Raises
    ------
    HyperPerturbError
        When it is missing, is not TOML, or an entry lacks something or has a name twice; the entry is named.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HyperPerturbError(
            f"The catalogue '{path}' cannot be read: {error.strerror or error}.",
            hint=f"Check the path in {CATALOGUE_VARIABLE}.",
        ) from error
    except ValueError as error:  # not TOML, not UTF-8
        raise HyperPerturbError(f"The catalogue '{path}' is not TOML ({error}).") from error
    listed = raw.get("entry", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise HyperPerturbError(
            f"The catalogue '{path}' has no list of entries.", hint="Write [[entry]] before each."
        )
    entries: dict[str, CatalogueEntry] = {}
    for number, item in enumerate(listed, start=1):
        name = str(item.get("name", f"number {number}"))
        try:
            entry = CatalogueEntry.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HyperPerturbError(
                f"The entry '{name}' of the catalogue '{path}' is wrong at '{where}': {first['msg']}."
            ) from error
        if entry.name in entries:
            raise HyperPerturbError(f"The catalogue '{path}' has two entries '{entry.name}'.")
        entries[entry.name] = entry
    return tuple(entries.values())


def find_entry(name: str) -> CatalogueEntry:
    """Give the entry of that name.

    Raises
    ------
    HyperPerturbError
        When there is none; similar names are told.

    Examples
    --------
    >>> find_entry("norman-2019").perturbations
    236
    """
    entries = {entry.name: entry for entry in catalogue()}
    if name in entries:
        return entries[name]
    wanted = name.lower()
    close = [known for known in entries if wanted and wanted in known]
    close = close or difflib.get_close_matches(wanted, entries, n=3, cutoff=0.5)
    hint = f"Similar: {', '.join(close[:4])}." if close else "See: hyperperturb download --list."
    raise HyperPerturbError(f"The catalogue has no entry '{name}'.", hint=hint)
