"""Which cells of a screen seem to be the controls: a proposal with every candidate, for a person to confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.frames import Labels
from hyperperturb.data.labels import control_rank, control_stem, normalise_label

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

CONTROL_COLUMNS = frozenset(("control", "iscontrol", "ctrl", "isctrl", "controlcell", "nperts0"))
"""0/1 columns that mark control cells (GEARS' ``control``)."""


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
        if control_rank(label) is not None:
            exact = {"non-targeting": 0, "control": 1}.get(label, 2)
            why = {
                0: "it is written 'non-targeting'",
                1: "it is written 'control'",
                2: f"'{label}' is a known spelling of a control",
            }[exact]
            rank = (exact, control_rank(label) or 0, -n)
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
        found.append(((3, control_rank(bare) or 0, -n), _candidate(column, stem, n, len(counts), why)))
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
    label_columns: Mapping[str, Mapping[str, int]],
    flags: Mapping[str, Mapping[str, Labels]] | None = None,
    *,
    first: Sequence[str] = (),
) -> ControlProposal | None:
    """Propose the control column and label.

    Parameters
    ----------
    label_columns
        Column → label → number of cells.
    flags
        For each 0/1 control column, the columns it may be read against: flag column → ``{"flag": its labels,
        column: labels…}``. Used where no label of a known column is a known spelling.
    first
        Columns that come before all others, in this order: what a person gave beside the file.

    Returns
    -------
    ControlProposal or None
        None when nothing looks like a control.

    Examples
    --------
    >>> propose_control({"condition": {"ctrl": 90, "A+ctrl": 40}}).label
    'ctrl'
    """
    given = [column for column in first if column in label_columns]
    known = sorted((c for c in label_columns if column_rank(c) < len(COLUMN_ORDER)), key=column_rank)
    known = [*given, *(column for column in known if column not in given)]
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
