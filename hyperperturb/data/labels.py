"""What the labels of cells mean: which are controls, which genes a perturbation targets.

Conventions read here: scPerturb (``A_B``, ``control``), GEARS and CPA (``A+ctrl``, ``A+B``, ``ctrl``, a 0/1
``control`` column), 10x guide calls (``A|B``, ``Non-Targeting``) and labels of single guides (``NTC_1``,
``Non-Targeting-0023``, ``STAT1g2``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.h5ad import Labels

COLUMN_ORDER = (
    "perturbation",
    "perturbation_type",
    "perturbation_2",
    "condition",
    "gene",
    "target",
    "guide",
    "gene_target",
    "target_gene",
    "target_gene_name",
    "gene_name",
    "perturbed_gene",
    "perturbation_name",
    "perturbation_1",
    "pert",
    "perturb",
    "guide_target",
    "guide_identity",
    "guide_id",
    "guide_name",
    "guide_ids",
    "grna",
    "grna_target",
    "grna_name",
    "sgrna",
    "sgrna_target",
    "sgrna_name",
    "feature_call",
    "gene_transcript",
    "assignment",
    "genotype",
    "knockout",
    "treatment",
    "label",
)
"""Columns in which labels are looked for, in this order, compared without case, dash, underscore or space."""

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

CONTROL_COLUMNS = frozenset(("control", "iscontrol", "ctrl", "isctrl", "controlcell", "nperts0"))
"""0/1 columns that mark control cells (GEARS' ``control``)."""

_RANK = {spelling: rank for rank, spelling in enumerate(CONTROL_SPELLINGS)}
_GENE_LIKE = frozenset(("nt", "scr", "luc", "wt", "aavs1", "gfp"))  # also written for genes in some organism
_NUMBER = re.compile(r"([\s_\-.#]*)\d+[a-z]?$", re.IGNORECASE)  # at the end of a guide's name
_GUIDE_WORD = re.compile(r"[\s_\-.#]*(?:sgRNA|gRNA|[Gg]uide|sg|g)$")  # lower case: ATG12 is no guide of AT
_GUIDE_NUMBER = re.compile(
    r"^(?:(?:sgRNA|gRNA|[Gg]uide|sg|g)?[\s\-.#]*\d+[a-z]?"  # 2, g2, sg2, guide2
    r"|[PS][12](?:[PS][12])*"  # P1P2: promoters, as Replogle names transcripts
    r"|ENS[A-Z]*[GT]\d{6,}(?:\.\d+)?)$"  # an Ensembl id beside its symbol
)
_STRONG = re.compile(r"\s*[+,|;&/]\s*")


class LabelCandidate(BaseModel):
    """One way to read the controls of a screen.

    Attributes
    ----------
    column, label
        The ``obs`` column and the control label in it. A label that does not itself occur stands for all guides
        numbered after it (``NTC`` for ``NTC_1``, ``NTC_2``).
    n_control_cells
        Cells that are controls by this reading.
    n_labels
        Distinct labels in the column.
    why
        The reason in plain words.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    label: str
    n_control_cells: int
    n_labels: int
    why: str


class ControlProposal(BaseModel):
    """Which cells seem to be the controls, for a person to confirm.

    Attributes
    ----------
    column, label, n_control_cells, why
        As in :class:`LabelCandidate`: the proposed reading.
    candidates
        Every reading that is possible, the proposed one first.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    label: str
    n_control_cells: int
    why: str
    candidates: tuple[LabelCandidate, ...]


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
    if label in known:
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


def candidates_in(column: str, counts: Mapping[str, int]) -> list[LabelCandidate]:
    """List the control labels of one column, the surest first.

    Parameters
    ----------
    column
        Name of the column.
    counts
        Label → number of cells.

    Returns
    -------
    list of LabelCandidate
        Empty when no label is a known control, or when the column has one label only.
    """
    if len(counts) < 2:
        return []
    found: list[tuple[tuple[int, ...], LabelCandidate]] = []
    stems: dict[str, list[str]] = {}
    for label, n in counts.items():
        stem = control_stem(label)
        if stem is None:
            continue
        if normalise_label(label) in _RANK:
            exact = {"non-targeting": 0, "control": 1}.get(label, 2)
            why = {
                0: "it is written 'non-targeting'",
                1: "it is written 'control'",
                2: f"'{label}' is a known spelling of a control",
            }[exact]
            rank = (exact, _RANK[normalise_label(label)], -n)
            found.append((rank, _candidate(column, label, n, len(counts), why)))
        else:
            stems.setdefault(normalise_label(stem), []).append(label)
    for bare, labels in stems.items():
        n = sum(counts[label] for label in labels)
        stem = control_stem(labels[0]) or bare
        if stem in counts or len(labels) == len(counts):
            continue
        shown = f"'{labels[0]}'" if len(labels) == 1 else f"{len(labels)} labels such as '{labels[0]}'"
        why = f"{shown} {'is a control guide' if len(labels) == 1 else 'are control guides'}, read together as '{stem}'"
        found.append(((3, _RANK[bare], -n), _candidate(column, stem, n, len(counts), why)))
    return [candidate for _, candidate in sorted(found, key=lambda pair: pair[0])]


def _candidate(column: str, label: str, n: int, n_labels: int, why: str) -> LabelCandidate:
    return LabelCandidate(column=column, label=label, n_control_cells=n, n_labels=n_labels, why=why)


def column_rank(column: str) -> int:
    """Place of a column in the order of detection; columns that are not known come last."""
    if column in COLUMN_ORDER:
        return COLUMN_ORDER.index(column)
    bare = normalise_label(column)
    for rank, name in enumerate(COLUMN_ORDER):
        if bare == normalise_label(name):
            return rank
    return len(COLUMN_ORDER)


def propose_control(
    label_columns: Mapping[str, Mapping[str, int]], flags: Mapping[str, Mapping[str, Labels]] | None = None
) -> ControlProposal | None:
    """Propose the control column and label.

    Parameters
    ----------
    label_columns
        Column → label → number of cells.
    flags
        For each 0/1 control column, the columns it may be read against: flag column → ``{"flag": its labels,
        column: labels…}``. Used where no label of a known column is a known spelling.

    Returns
    -------
    ControlProposal or None
        None when nothing looks like a control.

    Examples
    --------
    >>> propose_control({"condition": {"ctrl": 90, "A+ctrl": 40}}).label
    'ctrl'
    """
    known = sorted((c for c in label_columns if column_rank(c) < len(COLUMN_ORDER)), key=column_rank)
    other = [c for c in label_columns if c not in known]
    found = [candidate for column in known for candidate in candidates_in(column, label_columns[column])]
    found += _flag_candidates(known, label_columns, flags or {})
    found += [candidate for column in other for candidate in candidates_in(column, label_columns[column])]
    if not found:
        return None
    best = found[0]
    place = (
        f"column '{best.column}' comes first of the columns that hold labels"
        if best.column in known
        else f"column '{best.column}' is the only kind of column here that names controls"
    )
    return ControlProposal(
        column=best.column,
        label=best.label,
        n_control_cells=best.n_control_cells,
        why=f"{place} and {best.why}",
        candidates=tuple(found),
    )


def _flag_candidates(
    known: list[str],
    label_columns: Mapping[str, Mapping[str, int]],
    flags: Mapping[str, Mapping[str, Labels]],
) -> list[LabelCandidate]:
    """Labels that are exactly the cells marked 1 in a 0/1 control column."""
    out = []
    for flag_column, read in flags.items():
        flag = read["flag"]
        marked = np.isin(
            np.array([*flag.categories, ""], dtype=object)[flag.codes], ["1", "True", "true", "TRUE"]
        )
        for column in known:
            labels = read.get(column)
            if labels is None or len(label_columns[column]) < 2:
                continue
            inside = set(np.unique(labels.codes[marked]).tolist()) - {-1}
            outside = set(np.unique(labels.codes[~marked]).tolist())
            if len(inside) != 1 or inside & outside:
                continue
            label = labels.categories[inside.pop()]
            n = label_columns[column].get(label, 0)
            if control_stem(label) is None and n:
                why = f"'{label}' is the label of exactly the cells marked in column '{flag_column}'"
                out.append(_candidate(column, label, n, len(label_columns[column]), why))
    return out
