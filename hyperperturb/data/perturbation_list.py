"""Reading a pasted list of perturbations: names in any case, the unknown ones beside what is like them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from hyperperturb.data.labels import parse_targets

_BETWEEN = re.compile(r"[\s,;|]+")
_QUOTES = "\"'“”‘’`"


@dataclass(frozen=True)
class PerturbationList:
    """What a list asks for.

    Attributes
    ----------
    targets
        Target genes of every perturbation that was understood, in the order of the list, each once.
    unknown
        Entries with a gene that nobody knows, and the known names most like it.
    repeated
        How many entries name what another names already.
    """

    targets: tuple[tuple[str, ...], ...]
    unknown: dict[str, tuple[str, ...]]
    repeated: int


def read_perturbations(text: str, known: Collection[str], *, control: str = "") -> PerturbationList:
    """Read perturbations from text: separated by blanks, commas, semicolons, bars or lines; ``A+B`` is a combination.

    Parameters
    ----------
    text
        Pasted from a paper, a spreadsheet or a file. Lines that start with ``#`` are passed over.
    known
        The genes that can be asked about; an exact spelling wins over one in another case.
    control
        The control label of the screen, which is dropped.

    Returns
    -------
    PerturbationList

    Examples
    --------
    >>> found = read_perturbations("jak2, STAT1+IRF1\\nSTAT11", {"JAK2", "STAT1", "IRF1"})
    >>> found.targets, found.unknown
    ((('JAK2',), ('IRF1', 'STAT1')), {'STAT11': ('STAT1',)})
    """
    known = frozenset(known)
    by_fold: dict[str, str] = {}
    for name in sorted(known):
        by_fold.setdefault(name.casefold(), name)
    found: dict[tuple[str, ...], None] = {}
    unknown: dict[str, tuple[str, ...]] = {}
    repeated = 0
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for entry in (part.strip(_QUOTES) for line in lines for part in _BETWEEN.split(line)):
        if not entry:
            continue
        genes = _targets(entry, known, by_fold, control)
        strangers = [gene for gene in genes if gene not in known]
        if strangers:
            like = get_close_matches(strangers[0].casefold(), by_fold, n=3, cutoff=0.7)
            unknown[entry] = tuple(by_fold[name] for name in like)
        elif genes in found:
            repeated += 1
        elif genes:
            found[genes] = None
    return PerturbationList(tuple(found), unknown, repeated)


def _targets(entry: str, known: frozenset[str], by_fold: dict[str, str], control: str) -> tuple[str, ...]:
    """The genes of an entry, spelled as they are known where they are."""
    if entry in known:
        return (entry,)
    if entry.casefold() in by_fold:
        return (by_fold[entry.casefold()],)
    parts = "+".join(
        by_fold.get(part.casefold(), part) if part not in known else part for part in entry.split("+")
    )
    genes = parse_targets(parts, control=control, known_genes=known)
    return tuple(sorted({gene if gene in known else by_fold.get(gene.casefold(), gene) for gene in genes}))
