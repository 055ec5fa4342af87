"""Which cells of a screen are controls, and which belong to which perturbation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperperturb.data.genes import short_list
from hyperperturb.data.labels import control_codes, parse_targets
from hyperperturb.data.opening import Screen
from hyperperturb.errors import HyperPerturbError

MIN_BATCH_CONTROLS = 2
"""Controls without which a batch with perturbed cells cannot be compared within."""


@dataclass(frozen=True)
class Assignment:
    """Which cells belong to which perturbation.

    Attributes
    ----------
    perturbations
        ``(P,)`` labels, in alphabetical order.
    targets
        ``(P,)`` target genes of each.
    codes
        ``(n_cells,)`` int32: 0 for control cells, 1 … P for perturbations, −1 for cells that are left out.
    n_cells
        ``(P + 1,)`` cells of the control and of each perturbation.
    """

    perturbations: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    codes: np.ndarray
    n_cells: np.ndarray


def assign_cells(screen: Screen, column: str, control: str) -> Assignment:
    """Say which cells are controls and which belong to which perturbation.

    Cells without a label, and labels that are controls of another kind or mean "not assigned", are left out.

    Parameters
    ----------
    screen
        An open screen.
    column, control
        As in :func:`~hyperperturb.data.effects.compute_effects`.

    Returns
    -------
    Assignment

    Raises
    ------
    HyperPerturbError
        No such column or control label; no perturbation beside the control.
    """
    labels = screen.label_codes(column)
    found = list(labels.categories)
    is_control = control_codes(found, control)
    n_control = int(is_control[labels.codes[labels.codes >= 0]].sum()) if found else 0
    if n_control == 0:
        listed = short_list([f"'{label}'" for label in labels.counts()], 6)
        raise HyperPerturbError(
            f"No cell of {screen.name} has the control label '{control}' in column '{column}'.",
            hint=f"The labels there are: {listed or 'none'}.",
        )
    known = frozenset(screen.genes)
    n_of = np.bincount(labels.codes[labels.codes >= 0], minlength=len(found))
    targets = {
        label: parse_targets(label, control=control, known_genes=known)
        for label, chosen, n in zip(found, is_control, n_of, strict=True)
        if not chosen and n
    }
    perturbations = sorted(label for label in targets if targets[label])
    if not perturbations:
        raise HyperPerturbError(
            f"Column '{column}' of {screen.name} has no perturbation beside the control '{control}'.",
            hint="Choose another column or another control label.",
        )
    row_of = {label: row for row, label in enumerate(perturbations, start=1)}  # row 0 is the control
    lookup = [0 if chosen else row_of.get(label, -1) for label, chosen in zip(found, is_control, strict=True)]
    codes = np.array([*lookup, -1], dtype=np.int32)[labels.codes]
    return Assignment(
        perturbations=tuple(perturbations),
        targets=tuple(targets[label] for label in perturbations),
        codes=codes,
        n_cells=np.bincount(codes[codes >= 0], minlength=len(perturbations) + 1).astype(np.int64),
    )


@dataclass(frozen=True)
class Strata:
    """Cells by perturbation, the controls by batch as well.

    Attributes
    ----------
    codes
        ``(n_cells,)`` int32: 0 … B − 1 for the controls of each batch, B … B + P − 1 for perturbations, −1 for cells
        that are left out.
    batch
        ``(n_cells,)`` the batch of each cell, 0 … B − 1; −1 where no control is.
    cells
        ``(P + 1, B)`` int64, the cells of the controls and of each perturbation in each batch.
    """

    codes: np.ndarray
    batch: np.ndarray
    cells: np.ndarray


def split_controls(screen: Screen, assigned: Assignment, column: str | None) -> Strata:
    """Tell the controls of each batch apart, so that every cell can be compared with those of its own.

    Parameters
    ----------
    screen
        An open screen.
    assigned
        Its cells.
    column
        The ``obs`` column of batches; cells without one are a batch of their own. None is a single batch.

    Returns
    -------
    Strata

    Raises
    ------
    HyperPerturbError
        No such column; a batch has perturbed cells and fewer than two controls.
    """
    if column is None:
        return Strata(assigned.codes, np.zeros(len(assigned.codes), dtype=np.intp), assigned.n_cells[:, None])
    labels = screen.label_codes(column)
    names = [*labels.categories, "without a label"]
    batch = np.where(labels.codes < 0, len(labels.categories), labels.codes)
    used = assigned.codes >= 0
    cells = np.zeros((len(assigned.n_cells), len(names)), dtype=np.int64)
    np.add.at(cells, (assigned.codes[used], batch[used]), 1)
    alone = np.flatnonzero((cells[0] < MIN_BATCH_CONTROLS) & (cells[1:].sum(axis=0) > 0))
    if len(alone):
        n = int(cells[1:, alone].sum())
        raise HyperPerturbError(
            f"In column '{column}' of {screen.name}, {short_list([names[b] for b in alone], 4)} "
            f"{'has' if len(alone) == 1 else 'have'} perturbed cells ({n:,}) but fewer than two controls.",
            hint="Leave those cells out, or compare with the controls of all batches.",
        )
    kept = np.flatnonzero(cells[0] > 0)
    place = np.full(len(names), -1)
    place[kept] = np.arange(len(kept))
    codes = np.where(assigned.codes > 0, assigned.codes - 1 + len(kept), -1)
    codes = np.where(assigned.codes == 0, place[batch], codes).astype(np.int32)
    return Strata(codes, place[batch], cells[:, kept])
