"""What the labels of cells mean: which are controls, which genes a perturbation targets.

Conventions read here: scPerturb (``A_B``, ``control``), GEARS and CPA (``A+ctrl``, ``A+B``, ``ctrl``, a 0/1
``control`` column), 10x guide calls (``A|B``, ``Non-Targeting``) and labels of single guides (``NTC_1``,
``Non-Targeting-0023``, ``STAT1g2``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

import numpy as np

CONTROL_SPELLINGS = (
    "nontargeting",
    "control",
    "ctrl",
    "nontargetingcontrol",
    "nontargetcontrol",
    "controlnontargeting",
    "nontargetinggrna",
    "nontargetingsgrna",
    "nontarget",
    "nontargetting",
    "ntc",
    "nt",
    "nts",
    "ntctrl",
    "ntcontrol",
    "ctrlnt",
    "negctrl",
    "negcontrol",
    "negativecontrol",
    "negativectrl",
    "controlguide",
    "ctrlguide",
    "safetargeting",
    "safetarget",
    "safeharbor",
    "safeharbour",
    "intergenic",
    "scramble",
    "scrambled",
    "scr",
    "unperturbed",
    "nopert",
    "noperturbation",
    "mock",
    "untreated",
    "wildtype",
    "wt",
    "aavs1",
    "rosa26",
    "luciferase",
    "luc",
    "lacz",
    "egfp",
    "gfp",
)
"""Spellings of control labels without case, dash, underscore and space, the surest first."""

UNASSIGNED_SPELLINGS = frozenset(
    (
        "unassigned",
        "unassignable",
        "notassigned",
        "unknown",
        "undetermined",
        "ambiguous",
        "none",
        "negative",
        "noguide",
        "noguides",
        "nosgrna",
        "multi",
        "multiple",
        "multiplet",
        "multiplets",
        "doublet",
        "doublets",
        "filtered",
    )
)
"""Labels of cells whose perturbation is not known: neither perturbation nor control."""

_RANK = {spelling: rank for rank, spelling in enumerate(CONTROL_SPELLINGS)}
_GENE_LIKE = frozenset(("nt", "scr", "luc", "wt", "aavs1", "gfp"))  # also written for genes in some organism
_NUMBER = re.compile(r"([\s_\-.#]*)\d+[a-z]?$", re.IGNORECASE)  # at the end of a guide's name
_GUIDE_WORD = re.compile(r"[\s_\-.#]*(?:sgRNA|gRNA|[Gg]uide|sg|g)$")  # lower case: ATG12 is no guide of AT
_GUIDE_NUMBER = re.compile(
    r"^(?:(?:sgRNA|gRNA|[Gg]uide|sg|g)?[\s\-.#]*\d+[a-z]?"  # 2, g2, sg2, guide2
    r"|[PS][12](?:[PS][12])*"  # P1P2: promoters, as Replogle names transcripts
    r"|ENS[A-Z]*[GT]\d{6,}(?:\.\d+)?)$"  # an Ensembl id beside its symbol
)
_LONG = 1_000  # characters; no label that a person gave is longer, and patterns need not look at it
_STRONG = re.compile(r"\s*[+,|;&/]\s*")


@lru_cache(maxsize=65_536)
def normalise_label(label: object) -> str:
    """Write a label without case, dash, underscore, dot and space, to recognise control spellings.

    Parameters
    ----------
    label
        Any label.

    Returns
    -------
    str
        The bare label.

    Examples
    --------
    >>> normalise_label("Non-Targeting"), normalise_label("NEG_CTRL")
    ('nontargeting', 'negctrl')
    """
    return re.sub(r"[\s_\-–.]+", "", str(label).casefold())


def guide_stems(label: str) -> Iterator[tuple[str, bool]]:
    """List what a guide's name may be a guide of.

    Parameters
    ----------
    label
        For example ``"STAT1g2"``, ``"NTC_1"``, ``"sgSTAT1-2"``.

    Yields
    ------
    tuple
        The name without its number, and whether a separator or a word such as ``sg`` set the number apart.

    Examples
    --------
    >>> list(guide_stems("STAT1g2"))
    [('STAT1g', False), ('STAT1', True)]
    """
    for name in (label, label[2:]) if label[:2].casefold() == "sg" else (label,):
        if name != label:
            yield name, True
        found = _NUMBER.search(name)
        if found is None or found.start() == 0:
            continue
        stem = name[: found.start()]
        yield stem, bool(found[1])
        word = _GUIDE_WORD.search(stem)
        if word and word.start() > 0:
            yield stem[: word.start()], True


@lru_cache(maxsize=65_536)
def control_stem(label: str) -> str | None:
    """Give the control spelling at the root of a label.

    Parameters
    ----------
    label
        A label of cells, or one part of it.

    Returns
    -------
    str or None
        The spelling as it is written in the label, without a guide's number and repeated parts; None when the
        label is no known control.

    Examples
    --------
    >>> control_stem("Non-Targeting-0023"), control_stem("NTg4"), control_stem("ctrl+ctrl"), control_stem("STAT1")
    ('Non-Targeting', 'NT', 'ctrl', None)
    """
    label = label.strip()
    if len(label) > _LONG:
        return None
    if normalise_label(label) in _RANK:
        return label
    for stem, _ in guide_stems(label):
        if normalise_label(stem) in _RANK:
            return stem
    parts = [part for part in re.split(r"[+,|;&/]|__", label) if part]
    if len(parts) < 2 and "_" in label:
        parts = [part for part in label.split("_") if part]
    if len(parts) < 2:
        return None
    stems = [control_stem(part) for part in parts]
    if None in stems or len({normalise_label(stem) for stem in stems}) > 1:
        return None
    return stems[0]


def control_rank(label: str) -> int | None:
    """Place of a label among the known control spellings, 0 the surest; None when it is none of them."""
    return _RANK.get(normalise_label(label))


def is_unassigned(label: str) -> bool:
    """Say whether a label means that a cell's perturbation is not known.

    Examples
    --------
    >>> is_unassigned("Unassigned"), is_unassigned("JAK2")
    (True, False)
    """
    return normalise_label(label) in UNASSIGNED_SPELLINGS


def parse_targets(label: str, *, control: str, known_genes: Collection[str] | None = None) -> tuple[str, ...]:
    """Give the target genes of a perturbation's label.

    Separators are ``+ , | ; & /``, a double and a single underscore; a dash separates only a control (``A-ctrl``)
    or two known genes. Parts that are controls, and numbers of guides, are dropped.

    Parameters
    ----------
    label
        The label of a perturbation.
    control
        The control label of the screen.
    known_genes
        Gene symbols (a set is fastest). A label or part that is one of them is never cut (``HLA-A``, ``Y_RNA``);
        with them ``STAT1g2`` and ``STAT1-2`` are read as guides of ``STAT1``.

    Returns
    -------
    tuple of str
        Targets, sorted, each once; empty for a control and for cells that are not assigned.

    Examples
    --------
    >>> parse_targets("B_A", control="control"), parse_targets("A+ctrl", control="ctrl")
    (('A', 'B'), ('A',))
    >>> parse_targets("HLA-A-ctrl", control="ctrl"), parse_targets("ctrl", control="ctrl")
    (('HLA-A',), ())
    """
    label = label.strip()
    known = known_genes if known_genes is not None else frozenset()
    if not label or label == control:
        return ()
    if label in known or len(label) > _LONG:
        return (label,)
    if is_unassigned(label) or control_stem(label) is not None:
        return ()
    targets: set[str] = set()
    for part in _STRONG.split(label):
        targets.update(_part_targets(part, control, known))
    if not targets and not any(_is_control(part, control, known) for part in re.split(r"[+,|;&/_]", label)):
        return (label,)  # only numbers: still a name
    return tuple(sorted(targets))


def _is_control(part: str, control: str, known: Collection[str]) -> bool:
    if part == control:
        return True
    stem = control_stem(part)
    return stem is not None and not (part in known and normalise_label(stem) in _GENE_LIKE)


def _part_targets(part: str, control: str, known: Collection[str]) -> list[str]:
    """Targets of a part that holds no strong separator."""
    part = part.strip()
    if not part or _is_control(part, control, known):
        return []
    if part in known:
        return [part]
    for separator in ("__", "_"):
        if separator in part:
            pieces = _join_known([piece for piece in part.split(separator) if piece], separator, known)
            named = [piece for piece in pieces if not _GUIDE_NUMBER.match(piece) or piece in known]
            if len(pieces) > 1 and named:
                return [gene for piece in named for gene in _part_targets(piece, control, known)]
    if "-" in part:
        pieces = part.split("-")
        for cut in range(1, len(pieces)):
            left, right = "-".join(pieces[:cut]), "-".join(pieces[cut:])
            for one, other in ((left, right), (right, left)):
                if _is_control(other, control, known):
                    return _part_targets(one, control, known)
            if left in known and right in known:
                return [left, right]
    if known:
        for stem, apart in guide_stems(part):
            if (
                apart and stem in known
            ):  # without a mark, GATA12 might be GATA1 or a gene that was not measured
                return [stem]
    return [part]


def _join_known(pieces: list[str], separator: str, known: Collection[str]) -> list[str]:
    """Put pieces together again where the longer name is a known gene."""
    if not known:
        return pieces
    out: list[str] = []
    at = 0
    while at < len(pieces):
        for stop in range(min(len(pieces), at + 4), at, -1):
            name = separator.join(pieces[at:stop])
            if stop == at + 1 or name in known:
                out.append(name)
                at = stop
                break
    return out


def control_codes(categories: Iterable[str], control: str) -> np.ndarray:
    """Say which labels are the chosen control.

    Parameters
    ----------
    categories
        The labels of a column.
    control
        The chosen control: a label that occurs, or the stem of numbered control guides.

    Returns
    -------
    np.ndarray
        One bool for each label.

    Examples
    --------
    >>> control_codes(["NTC_1", "NTC_2", "A_1"], "NTC").tolist()
    [True, True, False]
    """
    categories = list(categories)
    if control in categories:
        return np.array([label == control for label in categories], dtype=bool)
    wanted = normalise_label(control)
    if wanted not in _RANK:
        return np.zeros(len(categories), dtype=bool)
    stems = (control_stem(label) for label in categories)
    return np.array([stem is not None and normalise_label(stem) == wanted for stem in stems], dtype=bool)
