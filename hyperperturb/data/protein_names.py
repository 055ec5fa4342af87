"""Cells of two files, matched by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Literal

import numpy as np

from hyperperturb.errors import HyperPerturbError

Rename = Literal["", "suffix", "prefix", "both"]

RENAMES: dict[Rename, str] = {
    "": "as they are",
    "suffix": "without the number at their end (-1)",
    "prefix": "without what stands before the barcode (SAMPLE_)",
    "both": "without what stands before the barcode and without the number at its end",
}
"""How names of cells can be mended on both sides, in words."""

_SUFFIX = re.compile(r"[-_.]\d+$")
_PREFIX = re.compile(r"^.*[_:#|](?=[^_:#|]*[A-Za-z])")

_MENDS: dict[Rename, Callable[[str], str]] = {
    "": lambda name: name,
    "suffix": lambda name: _SUFFIX.sub("", name),
    "prefix": lambda name: _PREFIX.sub("", name),
    "both": lambda name: _PREFIX.sub("", _SUFFIX.sub("", name)),
}


def mended(name: str, rename: Rename) -> str:
    """A cell's name, mended.

    Examples
    --------
    >>> mended("lane2_AAACCTGA-1", "suffix"), mended("lane2_AAACCTGA-1", "both")
    ('lane2_AAACCTGA', 'AAACCTGA')
    """
    return _MENDS[rename](name)


def match_cells(
    cells: np.ndarray, others: np.ndarray, rename: Rename = "", *, screen: str, proteins: str
) -> np.ndarray:
    """Find cells by name among others.

    Parameters
    ----------
    cells, others
        Names of the screen's cells and of the file's.
    rename
        How to mend both.
    screen, proteins
        What to call the two in messages.

    Returns
    -------
    np.ndarray
        ``(len(cells),)`` int64: the place of each cell among the others, −1 where it is not there.

    Raises
    ------
    HyperPerturbError
        A name stands twice on one side; none matches: the hint offers the mend after which most would.
    """
    mine, theirs = ([mended(str(n), rename) for n in names] for names in (cells, others))
    for names, where in ((mine, screen), (theirs, proteins)):
        twice = _twice(names)
        if twice is not None:
            raise HyperPerturbError(
                f"The cell '{twice}' is in {where} more than once"
                + (f", once its names are taken {RENAMES[rename]}." if rename else "."),
                hint="Proteins are joined by the names of cells: choose another way to match them."
                if rename
                else "Proteins are joined by the names of cells: make them unique.",
            )
    place = {name: i for i, name in enumerate(theirs)}
    rows = np.array([place.get(name, -1) for name in mine], dtype=np.int64)
    if not (rows >= 0).any():
        offered = offers(cells, others)
        hint = "Give the same cells the same names."
        if offered:
            best, n = offered[0]
            hint = f"Taken {RENAMES[best]}, {n:,} of {len(cells):,} match: choose '{best}' for the names."
        raise HyperPerturbError(
            f"No cell of {screen} is in {proteins}: the screen's cells are called {_few(cells)}, those of the proteins "
            f"{_few(others)}.",
            hint=hint,
        )
    return rows


def offers(cells: np.ndarray, others: np.ndarray) -> list[tuple[Rename, int]]:
    """The mends after which names match and are still unique, with how many match; the best first.

    Examples
    --------
    >>> offers(np.array(["AAAC-1", "AAAG-1"]), np.array(["AAAC", "AAAG", "AAAT"]))
    [('suffix', 2)]
    """
    found = []
    for rename in ("suffix", "prefix", "both"):
        mine, theirs = ([mended(str(n), rename) for n in names] for names in (cells, others))
        if _twice(mine) is None and _twice(theirs) is None:
            found.append((rename, len(set(mine) & set(theirs))))
    most = max((n for _, n in found), default=0)
    # of mends that match equally many the gentlest is enough
    best = [(rename, n) for rename, n in found if n == most and n > 0][:1]
    rest = [(rename, n) for rename, n in found if 0 < n < most]
    return best + sorted(rest, key=lambda offer: -offer[1])


def _twice(names: list[str]) -> str | None:
    if len(set(names)) == len(names):
        return None
    return next(name for name, n in Counter(names).items() if n > 1)


def _few(names: np.ndarray) -> str:
    return " and ".join(f"'{name}'" for name in names[:2]) or "nothing"
