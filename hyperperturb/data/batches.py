"""Columns of a screen that name batches, and whether cells can be compared with the controls of their own batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.assignment import MIN_BATCH_CONTROLS, assign_cells
from hyperperturb.data.genes import short_list
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.screen import BATCH_COLUMNS, MAX_BATCHES, count_labels


class BatchColumn(BaseModel):
    """A column that may name batches.

    Attributes
    ----------
    column
        Of ``obs``.
    n_batches
        Batches with a control or a perturbed cell.
    fewest_controls
        Control cells of the batch that has fewest.
    lacking
        Batches with perturbed cells and fewer than two controls: with any, effects cannot be compared within batches.
    lacking_cells
        Perturbed cells in those.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    n_batches: int
    fewest_controls: int
    lacking: tuple[str, ...]
    lacking_cells: int

    @property
    def sentence(self) -> str:
        """Number of batches, and what there is to compare with."""
        if self.usable:
            return f"{self.n_batches:,} batches, at least {self.fewest_controls:,} control cells in each"
        few = "has" if len(self.lacking) == 1 else "have"
        return (
            f"{self.n_batches:,} batches, of which {len(self.lacking):,} ({short_list(list(self.lacking), 4)}) {few} "
            f"{self.lacking_cells:,} perturbed cells and fewer than {MIN_BATCH_CONTROLS} controls"
        )

    @property
    def usable(self) -> bool:
        """Whether every perturbed cell has controls in its batch."""
        return not self.lacking


def find_batch_columns(
    source: str | Path | Screen, *, column: str, control: str, tables: Sequence[str | Path] = ()
) -> tuple[BatchColumn, ...]:
    """Find the columns by which effects may be computed within batches; only ``obs`` is read.

    Parameters
    ----------
    source, column, control, tables
        As in :func:`~hyperperturb.data.effects.compute_effects`.

    Returns
    -------
    tuple of BatchColumn
        First those that are called as batches usually are, then other columns of text in which every batch with
        perturbed cells has at least two controls.

    Raises
    ------
    HyperPerturbError
        What :func:`~hyperperturb.data.effects.compute_effects` refuses about column and control.
    """
    if not isinstance(source, Screen):
        with open_screen(source, tables=tables) as screen:
            return find_batch_columns(screen, column=column, control=control)
    assigned = assign_cells(source, column, control)
    used = assigned.codes >= 0
    found = []
    for name, labels in count_labels(source)[0].items():
        rank = (
            BATCH_COLUMNS.index(name.casefold()) if name.casefold() in BATCH_COLUMNS else len(BATCH_COLUMNS)
        )
        known = rank < len(BATCH_COLUMNS)
        if name == column or not 1 < len(labels) <= MAX_BATCHES:
            continue
        if not known and source.obs.kind(name) not in ("string", "categorical"):
            continue
        batch = source.label_codes(name)
        names = [*batch.categories, "without a label"]
        of_cell = np.where(batch.codes < 0, len(batch.categories), batch.codes)
        table = np.zeros((2, len(names)), dtype=np.int64)  # controls, perturbed cells
        np.add.at(table, ((assigned.codes[used] > 0).astype(int), of_cell[used]), 1)
        there = np.flatnonzero(table.sum(axis=0) > 0)
        lacking = np.flatnonzero((table[0] < MIN_BATCH_CONTROLS) & (table[1] > 0))
        entry = BatchColumn(
            column=name,
            n_batches=len(there),
            fewest_controls=int(table[0, there].min()),
            lacking=tuple(names[i] for i in lacking),
            lacking_cells=int(table[1, lacking].sum()),
        )
        if len(there) > 1 and (known or entry.usable):
            found.append((rank, entry))
    return tuple(entry for _, entry in sorted(found, key=lambda pair: pair[0]))
