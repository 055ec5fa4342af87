"""Guides of a screen: the column that names them, cells with more of them than was planned, and whether they agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hyperperturb.data.assignment import Assignment
from hyperperturb.data.labels import is_unassigned, normalise_label
from hyperperturb.data.opening import Screen
from hyperperturb.data.quality_measures import cross_agreement

GUIDE_COLUMNS = (
    "guide",
    "guide_id",
    "guide_ids",
    "guide_name",
    "guide_identity",
    "sgrna",
    "sgrna_id",
    "sgrna_name",
    "grna",
    "grna_id",
    "grna_name",
    "feature_call",
    "guide_call",
    "guide_assignment",
)
"""Columns in which guides are looked for, in this order, compared without case, dash, underscore or space."""

COUNT_COLUMNS = frozenset(
    ("nperts", "nguides", "numguides", "guidecount", "numfeatures", "numberofguides", "nsgrna")
)
"""Columns that count the guides of a cell."""

MIN_GUIDE_CELLS = 5
_NESTED = 0.9  # share of the cells of a guide column that carry the guide's usual perturbation
_MOST_GUIDES = 10  # of a perturbation: more would be thousands of pairs
_MOST_PAIRS = 2000
_SEPARATORS = re.compile(r"[|;,+]")
_DOUBLET_LABELS = frozenset(("multi", "multiple", "multiplet", "multiplets", "doublet", "doublets"))


@dataclass(frozen=True)
class Units:
    """Cells by perturbation and guide.

    Attributes
    ----------
    codes
        (n_cells,) int32: unit of each cell, −1 left out. Units 0 and 1 are two halves of the controls.
    perturbation
        (U,) number of the perturbation of each unit, as in the codes of the assignment: 0 for the controls.
    guide
        (U,) its guide; empty where the screen names none.
    n_cells
        (U,) cells of each unit.
    """

    codes: np.ndarray
    perturbation: np.ndarray
    guide: tuple[str, ...]
    n_cells: np.ndarray


def find_guide_column(screen: Screen, column: str, assigned: Assignment) -> str | None:
    """Name the column that holds the guides of the cells; None where none does.

    A column of a known name counts when almost every guide belongs to one perturbation and some perturbation has
    several.

    Parameters
    ----------
    screen
        An open screen.
    column
        The column of labels.
    assigned
        What the labels say.
    """
    rank = {normalise_label(name): i for i, name in enumerate(GUIDE_COLUMNS)}
    named = [c for c in screen.obs_columns if c != column and normalise_label(c) in rank]
    for name in sorted(named, key=lambda c: rank[normalise_label(c)]):
        if screen.obs.kind(name) not in ("string", "categorical"):
            continue
        labels = screen.label_codes(name)
        there = (assigned.codes > 0) & (labels.codes >= 0)
        if not there.any():
            continue
        pairs, counts = np.unique(
            np.stack([labels.codes[there], assigned.codes[there]]), axis=1, return_counts=True
        )
        best = np.zeros(len(labels.categories), dtype=np.int64)
        np.maximum.at(best, pairs[0], counts)
        several = np.bincount(pairs[1][counts >= MIN_GUIDE_CELLS]).max(initial=0) > 1
        if best.sum() >= _NESTED * there.sum() and several:
            return name
    return None


def make_units(screen: Screen, assigned: Assignment, guide_column: str | None, *, seed: int) -> Units:
    """Split the cells by perturbation and guide, and the controls at random in two halves.

    Parameters
    ----------
    screen
        An open screen.
    assigned
        Which cell belongs to which perturbation.
    guide_column
        Where the guides are named; None makes one unit of each perturbation.
    seed
        Of the halves.
    """
    codes = assigned.codes
    guides, names = np.full(len(codes), -1, dtype=np.int64), ()
    if guide_column is not None:
        labels = screen.label_codes(guide_column)
        guides, names = labels.codes.astype(np.int64), labels.categories
    key = np.where(codes > 0, codes.astype(np.int64) * (len(names) + 1) + guides + 1, -1)
    known, unit = np.unique(key, return_inverse=True)
    start = int(known[0] == -1)  # controls and cells that are left out come first
    unit = np.where(codes > 0, unit - start + 2, -1).astype(np.int32)
    controls = np.random.default_rng(seed).permutation(np.flatnonzero(codes == 0))
    unit[controls[::2]], unit[controls[1::2]] = 0, 1
    known = known[start:]
    return Units(
        codes=unit,
        perturbation=np.concatenate([[0, 0], known // (len(names) + 1)]).astype(np.int64),
        guide=("", "", *(names[g - 1] if g else "" for g in (known % (len(names) + 1)).tolist())),
        n_cells=np.bincount(unit[unit >= 0], minlength=len(known) + 2),
    )


@dataclass(frozen=True)
class Agreement:
    """How far guides agree.

    Attributes
    ----------
    by_perturbation
        Number of a perturbation → mean correlation of the effects of its guides.
    expected
        Number of a perturbation → the mean correlation that noise would leave if its guides did the same.
    by_guide
        (U,) mean correlation of each guide with its siblings; NaN without any.
    within, between
        Medians over perturbations, and over pairs of guides of different perturbations; NaN without any.
    """

    by_perturbation: dict[int, float]
    expected: dict[int, float]
    by_guide: np.ndarray
    within: float
    between: float


def guide_agreement(
    effects: Sequence[np.ndarray],
    perturbation: Sequence[int],
    n_cells: Sequence[int],
    own: Sequence[np.ndarray],
    *,
    noise: Sequence[float],
    signal: Sequence[float],
    seed: int,
) -> Agreement:
    """Correlate the effects of guides of the same perturbation, and of different ones for comparison.

    Parameters
    ----------
    effects
        Of each guide (2, G): its mean minus that of either half of the controls.
    perturbation
        The perturbation of each guide.
    n_cells
        Its cells; guides of fewer than five are left out.
    own
        Of each guide the positions of the perturbation's own targets, which are left out of the correlation.
    noise
        Of each guide the mean squared standard error of its effect.
    signal
        Of each guide the variance over genes of its perturbation's effect that is not noise.
    seed
        Of the pairs of different perturbations.

    Returns
    -------
    Agreement
    """
    n_genes = effects[0].shape[1] if len(effects) else 0
    usable = [u for u in range(len(effects)) if n_cells[u] >= MIN_GUIDE_CELLS]

    def pair(a: int, b: int) -> float:
        keep = np.ones(n_genes, dtype=bool)
        keep[own[a]] = keep[own[b]] = False
        return cross_agreement(effects[a], effects[b], keep) if keep.sum() > 2 else float("nan")

    siblings: dict[int, list[int]] = {}
    for u in usable:
        siblings.setdefault(perturbation[u], []).append(u)
    each = np.full(len(effects), np.nan)
    found: dict[int, float] = {}
    expected: dict[int, float] = {}
    for number, guides in siblings.items():
        guides = sorted(guides, key=lambda u: -n_cells[u])[:_MOST_GUIDES]
        values = {(a, b): pair(a, b) for a, b in combinations(guides, 2)}
        if not values:
            continue
        known = [v for v in values.values() if np.isfinite(v)]
        found[number] = float(np.mean(known)) if known else float("nan")
        size = signal[guides[0]]
        left = [size / np.sqrt((size + noise[a]) * (size + noise[b])) for a, b in values if size > 0]
        expected[number] = float(np.mean(left)) if left else 0.0
        for u in guides:
            mine = [v for ab, v in values.items() if u in ab and np.isfinite(v)]
            each[u] = np.mean(mine) if mine else np.nan
    rng = np.random.default_rng(seed)
    others = []
    if len(siblings) > 1:
        drawn = rng.choice(usable, size=(_MOST_PAIRS, 2))
        targets = [frozenset(own[u].tolist()) for u in range(len(effects))]
        for a, b in drawn.tolist():
            if perturbation[a] != perturbation[b] and not targets[a] & targets[b]:
                others.append(pair(a, b))
    return Agreement(found, expected, each, _median(list(found.values())), _median(others))


def _median(values: Sequence[float]) -> float:
    values = [value for value in values if np.isfinite(value)]
    return float(np.median(values)) if values else float("nan")


def count_doublets(
    screen: Screen, column: str, guide_column: str | None, assigned: Assignment
) -> tuple[int, int]:
    """Count cells that carry more guides than was planned.

    What was planned for a perturbation is the number of guides that most of its cells carry.

    Parameters
    ----------
    screen
        An open screen.
    column, guide_column
        Labels and guides.
    assigned
        What the labels say.

    Returns
    -------
    tuple of int
        Cells that are used all the same, and cells that are left out because their label says so.
    """
    codes = assigned.codes
    n_guides = _guides_of_cells(screen, guide_column)
    used = 0
    if n_guides is not None:
        there = (codes > 0) & (n_guides > 0)
        most = int(n_guides[there].max(initial=0))
        if most > 1:
            table = np.zeros((len(assigned.n_cells), most + 1), dtype=np.int64)
            np.add.at(table, (codes[there], n_guides[there]), 1)
            planned = table.argmax(axis=1)
            used = int((n_guides[there] > planned[codes[there]]).sum())
    labels = screen.label_codes(column)
    names = [c for c in labels.categories if is_unassigned(c) and normalise_label(c) in _DOUBLET_LABELS]
    counts = labels.counts()
    return used, sum(counts.get(name, 0) for name in names)


def _guides_of_cells(screen: Screen, guide_column: str | None) -> np.ndarray | None:
    """(n_cells,) number of guides of each cell, 0 where it is not known."""
    for name in screen.obs_columns:
        if normalise_label(name) in COUNT_COLUMNS and screen.obs.kind(name) in (
            "integer",
            "categorical",
            "string",
        ):
            labels = screen.label_codes(name)
            if all(c.isdecimal() and len(c) < 5 for c in labels.categories):
                return np.array([*(int(c) for c in labels.categories), 0])[labels.codes]
    if guide_column is None:
        return None
    labels = screen.label_codes(guide_column)
    parts = [len([p for p in _SEPARATORS.split(c) if p.strip()]) for c in labels.categories]
    return np.array([*parts, 0])[labels.codes]
