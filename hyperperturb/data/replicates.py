"""Two halves of a screen, each with effects of its own: how well the experiment agrees with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperperturb.data.assignment import Assignment, assign_cells, split_controls
from hyperperturb.data.effects import Effects, Mode
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.quality_guides import find_guide_column
from hyperperturb.data.sums import effects_of_sums
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress

if TYPE_CHECKING:
    from anndata import AnnData

MIN_CELLS = 10
"""Cells that a perturbation must have in each half to be compared."""

_MOST = 0.8  # share of the perturbations that must have halves of guides for guides to be halved unasked
_NESTED = 0.9  # share of the cells of a unit that have one label, above which units are parts of labels


@dataclass(frozen=True)
class Replicates:
    """Effects of a screen and of two halves of it.

    Attributes
    ----------
    whole
        Effects over all cells.
    halves
        Effects of the perturbations with at least ten cells in each half, each against the controls of its half; None
        where nothing was halved.
    words
        What was halved: ``cells at random``, ``guides (guide)``, ``batches (batch)``; empty where nothing was.
    """

    whole: Effects
    halves: tuple[Effects, Effects] | None
    words: str


def compute_replicates(
    source: str | Path | AnnData,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    mode: Mode = "knockout",
    batch_column: str | None = None,
    by: str = "auto",
    within: tuple[str, str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Replicates:
    """Compute the effects of a screen and of two halves of it, in one streaming pass.

    Parameters
    ----------
    source, column, control, layer, tables, mode, batch_column
        As in :func:`~hyperperturb.data.effects.compute_effects`.
    by
        ``cells`` halves the cells of every label at random. An ``obs`` column halves what it names: guides, of which
        each belongs to one label, are shared out within their label, batches over the whole screen; the larger ones
        first, each to the half with fewer cells so far, in random order where they are alike. ``auto`` takes guides
        where the screen names them and four fifths of the perturbations have two or more with enough cells, else cells,
        and nothing where those are too few. ``none`` halves nothing.
    within
        An ``obs`` column and the value that cells must have there: one batch, one condition.
    seed
        Of the halving.
    progress
        Told the rate and the time left.

    Returns
    -------
    Replicates
        ``whole`` equals what :func:`~hyperperturb.data.effects.compute_effects` gives for the same cells.

    Raises
    ------
    HyperPerturbError
        What ``compute_effects`` refuses; no such column or value; no perturbation, or not the controls, with ten cells
        in each half, or no controls in a batch of one half that has perturbed cells there.
    """
    from hyperperturb.data.statistics import label_sums

    with open_screen(source, layer=layer, tables=tables) as screen:
        assigned = assign_cells(screen, column, control)
        if within is not None:
            assigned = _only(
                assigned, cells_within(screen, *within), f"'{within[1]}' in column '{within[0]}'"
            )
        strata = split_controls(screen, assigned, batch_column)
        n_labels, n_batches = sum(strata.cells.shape) - 1, strata.cells.shape[1]
        common = {"control": control, "mode": mode}
        if by == "none":
            sums = label_sums(screen, strata.codes, n_labels, progress=progress)
            return Replicates(
                effects_of_sums(sums, assigned, screen.genes, cells=strata.cells, **common), None, ""
            )
        rng = np.random.default_rng(seed)
        half, words = _halves(screen, assigned, strata.codes, column, by, rng)
        if by == "auto" and _alone(_cells(assigned, strata.batch, half, n_batches)):
            half, words = _halves(screen, assigned, strata.codes, column, "cells", rng)
        cells = _cells(assigned, strata.batch, half, n_batches)
        codes = np.where(strata.codes >= 0, 2 * strata.codes + half, -1).astype(np.int32)
        sums = label_sums(screen, codes, 2 * n_labels, progress=progress)
        sums = sums.reshape(-1, 2, *sums.shape[1:])
        whole = effects_of_sums(sums.sum(axis=1), assigned, screen.genes, cells=strata.cells, **common)
        n = cells.sum(axis=2).T
        enough = n.min(axis=1) >= MIN_CELLS
        alone = _alone(cells)
        if alone or not enough[0] or not enough[1:].any():
            if by == "auto":
                return Replicates(whole, None, "")
            lacking = f"{MIN_CELLS} cells in each half"
            who = "No perturbation has" if enough[0] else "The controls do not have"
            if alone:
                who, lacking = (
                    "The controls do not have",
                    f"cells of every batch (column '{batch_column}') in each half",
                )
            raise HyperPerturbError(
                f"{who} {lacking} of {screen.name} ({words}).", hint="Halve something else, or nothing."
            )
        enough[0] = True
        parts = []
        for side in (0, 1):
            part = replace(_subset(assigned, enough[1:]), n_cells=n[enough, side].astype(np.int64))
            there = np.flatnonzero(cells[side, 0])
            rows = [*there, *(np.flatnonzero(enough[1:]) + n_batches)]
            of_side = cells[side][enough][:, there]
            parts.append(effects_of_sums(sums[rows, side], part, screen.genes, cells=of_side, **common))
    return Replicates(whole, (parts[0], parts[1]), words)


def cells_within(screen: Screen, column: str, value: str) -> np.ndarray:
    """Which cells have a value in a column of ``obs``, (n_cells,) bool; refused where none has."""
    labels = screen.label_codes(column)
    found = [str(label) for label in labels.categories]
    if value not in found:
        raise HyperPerturbError(
            f"Column '{column}' of {screen.name} has no value '{value}'.",
            hint=f"Its values are: {', '.join(found[:8])}.",
        )
    return labels.codes == found.index(value)


def _only(assigned: Assignment, keep: np.ndarray, where: str) -> Assignment:
    """The cells that are kept, and the perturbations that then have any."""
    codes = np.where(keep, assigned.codes, -1)
    n = np.bincount(codes[codes >= 0], minlength=len(assigned.n_cells))
    if n[0] == 0 or not n[1:].any():
        raise HyperPerturbError(
            f"The cells with {where} hold {'no controls' if n[0] == 0 else 'controls only'}.",
            hint="Choose another value.",
        )
    there = n > 0
    number = np.where(there, np.cumsum(there) - 1, -1)
    codes = np.where(codes >= 0, number[codes], -1).astype(np.int32)
    return replace(_subset(assigned, there[1:]), codes=codes, n_cells=n[there].astype(np.int64))


def _cells(assigned: Assignment, batch: np.ndarray, half: np.ndarray, n_batches: int) -> np.ndarray:
    """Cells of each half by label and batch, (2, P + 1, B)."""
    out = np.zeros((2, len(assigned.n_cells), n_batches), dtype=np.int64)
    used = (assigned.codes >= 0) & (batch >= 0)
    np.add.at(out, (half[used], assigned.codes[used], batch[used]), 1)
    return out


def _alone(cells: np.ndarray) -> bool:
    """Whether a batch of a half has perturbed cells and no controls."""
    return bool(((cells[:, 0] == 0) & (cells[:, 1:].sum(axis=1) > 0)).any())


def _subset(assigned: Assignment, keep: np.ndarray) -> Assignment:
    rows = np.flatnonzero(keep)
    return replace(
        assigned,
        perturbations=tuple(assigned.perturbations[i] for i in rows),
        targets=tuple(assigned.targets[i] for i in rows),
    )


def _halves(
    screen: Screen, assigned: Assignment, strata: np.ndarray, column: str, by: str, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """0 or 1 for each cell, and what was halved in words; cells are halved within strata."""
    if by == "auto":
        guides = find_guide_column(screen, column, assigned)
        if guides is not None:
            half, words = _halves(screen, assigned, strata, column, guides, rng)
            there = assigned.codes >= 0
            n = np.bincount(
                2 * assigned.codes[there] + half[there], minlength=2 * len(assigned.n_cells)
            ).reshape(-1, 2)
            if (n[1:].min(axis=1) >= MIN_CELLS).mean() >= _MOST:
                return half, words
        by = "cells"
    codes = assigned.codes
    if by == "cells":
        return _alternate(strata, rng), "cells at random"
    unit = screen.label_codes(by).codes
    there = (codes >= 0) & (unit >= 0)
    pairs, counts = np.unique(np.stack([codes[there], unit[there]]), axis=1, return_counts=True)
    largest = np.zeros(int(unit.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, pairs[1], counts)
    nested = largest.sum() >= _NESTED * counts.sum()
    half = np.full(len(codes), -1)
    if nested:
        table = np.zeros((int(codes.max()) + 1, len(largest)), dtype=np.int8)
        for label in np.unique(pairs[0]):
            mine = pairs[0] == label
            if label == 0 and mine.sum() == 1:  # all controls under one name: their cells are halved instead
                there &= codes != 0
                continue
            table[label, pairs[1][mine]] = _share_out(counts[mine], rng)
        half[there] = table[codes[there], unit[there]]
        words = f"guides ({by})"
    else:
        size = np.bincount(unit[there], minlength=len(largest))
        half[there] = _share_out(size, rng)[unit[there]]
        words = f"batches ({by})"
    lone = half < 0  # cells without a unit
    half[lone] = _alternate(strata, rng)[lone]
    return half, words


def _alternate(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Halves of every label at random, equal but for one cell."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[order], codes[order], side="left")
    half = np.empty(len(codes), dtype=np.int64)
    half[order] = (np.arange(len(codes)) - first) % 2
    return half


def _share_out(size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Units of given sizes in two halves of about equal size, (units,) int8."""
    half = np.zeros(len(size), dtype=np.int8)
    total = [0, 0]
    shuffled = rng.permutation(len(size))
    flip = int(rng.integers(2))  # which half gets the largest
    for unit in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        side = int(total[1 - flip] < total[flip])
        side = flip ^ side
        half[unit] = side
        total[side] += int(size[unit])
    return half
