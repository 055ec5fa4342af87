"""A screen: what is in a file, which cells seem to be the controls, what needs mending.

:func:`inspect_screen` looks (seconds, whatever the size); :func:`open_screen` gives uniform access to the cells of
files of every format and AnnData objects, CSR, CSC or dense, without loading the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from hyperperturb.data.controls import (
    COLUMN_ORDER,
    CONTROL_COLUMNS,
    ControlProposal,
    LabelCandidate,
    column_rank,
    propose_control,
)
from hyperperturb.data.frames import Labels
from hyperperturb.data.h5ad import reading
from hyperperturb.data.labels import control_codes, normalise_label, parse_targets
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.repairs import (
    Repair,
    empty_cell_repairs,
    gene_repairs,
    label_repairs,
    size_repairs,
    value_repairs,
)
from hyperperturb.data.repairs_names import cell_name_repairs, gene_name_repairs, label_name_repairs
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = [
    "ControlProposal",
    "LabelCandidate",
    "Repair",
    "Screen",
    "ScreenReport",
    "inspect_screen",
    "normalise_label",
    "open_screen",
    "parse_targets",
]

MAX_LABELS = 20_000
_MAX_LENGTH = 1_000  # characters
_MAX_NUMBERS = 50  # a column of whole numbers with more different values holds measurements, not labels
BATCH_COLUMNS = (
    "batch",
    "replicate",
    "gem_group",
    "gemgroup",
    "lane",
    "donor",
    "library",
    "sample",
    "orig.ident",
    "channel",
    "run",
    "plate",
)
"""Columns in which batches are looked for, in this order, compared without case."""
MAX_BATCHES = 1000


class ScreenReport(BaseModel):
    """What a look at a screen shows.

    Attributes
    ----------
    path
        The file; None for an object in memory.
    format
        Its format in words.
    n_cells, n_genes
        Size of the screen.
    storage
        How the values are stored.
    layer
        Where the values are taken from: a layer's name, ``"raw"`` for ``adata.raw``, None for ``X``.
    values
        ``"counts"`` are normalised to log1p(CP10k); ``"log-normalised"`` values are used as they are.
    proposal
        The proposed controls; None when nothing looks like a control (the repair list then holds ``no-control``).
    label_columns
        Column → label → number of cells, most frequent first; columns with up to 20,000 labels.
    obs_columns
        All columns of ``obs``.
    batch_column
        The column that seems to name batches.
    repairs
        The repair list.
    log_base, target_sum
        Of log-normalised values: base of the logarithm and depth the cells were brought to, where they show.
    other_features
        What the file holds beside the genes, such as ``Antibody Capture``.
    """

    model_config = ConfigDict(frozen=True)

    path: str | None
    format: str = "AnnData (.h5ad)"
    n_cells: int
    n_genes: int
    storage: Literal["csr", "csc", "dense"]
    layer: str | None
    values: Literal["counts", "log-normalised"]
    proposal: ControlProposal | None
    label_columns: dict[str, dict[str, int]]
    obs_columns: tuple[str, ...]
    batch_column: str | None
    repairs: tuple[Repair, ...]
    log_base: float | None = None
    target_sum: float | None = None
    other_features: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether effects can be computed as proposed: no entry of the repair list is an error."""
        return not any(repair.severity == "error" for repair in self.repairs)

    def require_usable(self) -> ControlProposal:
        """Give the proposal, or say in one sentence what stands against it.

        Returns
        -------
        ControlProposal
            The proposed controls.

        Raises
        ------
        HyperPerturbError
            The repair list holds an error.
        """
        for repair in self.repairs:
            if repair.severity == "error":
                raise HyperPerturbError(repair.what, hint=repair.mend)
        assert self.proposal is not None  # label_repairs has an error otherwise
        return self.proposal

    def n_control_cells(self, column: str, control: str) -> int:
        """Count the control cells of a choice, numbered control guides included.

        Parameters
        ----------
        column, control
            The choice; `control` may stand for numbered guides (``NTC`` for ``NTC_1``, ``NTC_2``).

        Returns
        -------
        int
            Cells; 0 for a column or label that does not occur.
        """
        counts = self.label_columns.get(column, {})
        chosen = control_codes(counts, control)
        return sum(n for n, is_control in zip(counts.values(), chosen, strict=True) if is_control)


def inspect_screen(
    source: str | Path | AnnData, *, layer: str | None = None, tables: Sequence[str | Path] = ()
) -> ScreenReport:
    """Look at a screen: its size, its values, the proposed controls, the repair list.

    Parameters
    ----------
    source
        A file or folder of any format, or an AnnData in memory or backed.
    layer, tables
        As in :func:`open_screen`.

    Returns
    -------
    ScreenReport
        The same for the same file, every time. Values are judged from a sample; counting the effects checks all.

    Raises
    ------
    HyperPerturbError
        The file cannot be a screen: of no known format, cut short, damaged; no ``obs``, no cells or genes, no column
        of labels, only one label; values that are negative or not finite.
    """
    with open_screen(source, layer=layer, tables=tables) as screen:
        counts, flags = count_labels(screen)
        proposal = propose_control(counts, flags, first=screen.table_columns)
        return ScreenReport(
            path=str(screen.path) if screen.path is not None else None,
            format=screen.format,
            n_cells=screen.n_cells,
            n_genes=screen.n_genes,
            storage=screen.storage,
            layer=screen.layer,
            values="log-normalised" if screen.is_log else "counts",
            proposal=proposal,
            label_columns=counts,
            obs_columns=screen.obs_columns,
            batch_column=find_batch_column(screen, counts),
            repairs=_repairs(screen, proposal, counts, chosen=layer is not None),
            log_base=screen.values.log_base,
            target_sum=screen.values.target_sum,
            other_features=screen.other_features,
        )


def count_labels(screen: Screen) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, Labels]]]:
    """Count the labels of every column that can hold labels; read 0/1 control columns beside them.

    Parameters
    ----------
    screen
        An open screen.

    Returns
    -------
    tuple
        Column → label → cells, and for each 0/1 control column what :func:`~.controls.propose_control` needs.

    Raises
    ------
    HyperPerturbError
        No column can hold labels, or every one has a single label.
    """
    counts: dict[str, dict[str, int]] = {}
    flags: dict[str, dict[str, Labels]] = {}
    kept: dict[str, Labels] = {}
    for column in screen.obs_columns:
        with reading(screen.path, f"obs column '{column}'"):
            kind = screen.obs.kind(column)
        if kind in ("float", "other"):
            continue
        labels = screen.label_codes(column)
        found = labels.counts()
        if any(len(label) > _MAX_LENGTH for label in found):
            continue  # sentences or sequences, not labels
        n_limit = _MAX_NUMBERS if kind == "integer" else MAX_LABELS
        if not found or len(found) > n_limit or (len(found) == screen.n_cells > 20):
            continue
        if normalise_label(column) in CONTROL_COLUMNS and set(found) <= {
            "0",
            "1",
            "True",
            "False",
            "TRUE",
            "FALSE",
        }:
            flags[column] = {"flag": labels}
        if column_rank(column) < len(COLUMN_ORDER):
            kept[column] = labels
        counts[column] = found
    if not counts:
        listed = ", ".join(screen.obs_columns[:20]) or "none"
        raise HyperPerturbError(
            f"{screen.name} has no column that names the perturbation of each cell (obs columns: {listed}).",
            hint="Give a table of cells and their guides, such as Cell Ranger's guide calls (on the command line with "
            "--table protospacer_calls_per_cell.csv), or add one, e.g. adata.obs['perturbation'] with gene names and "
            "'control'.",
        )
    several = [column for column, found in counts.items() if len(found) > 1]
    if not several:
        column = min(counts, key=column_rank)
        label, n = next(iter(counts[column].items()))
        raise HyperPerturbError(
            f"Column '{column}' of {screen.name} has a single label, '{label}' ({n:,} cells): "
            "there is nothing to compare.",
            hint="A screen needs control cells and perturbed cells, told apart by a column of obs.",
        )
    for read in flags.values():
        read.update(kept)
    return counts, flags


def find_batch_column(screen: Screen, counts: Mapping[str, Mapping[str, int]]) -> str | None:
    """Name the column that seems to hold batches; `counts` are the labels of the columns that can hold labels."""
    by_name = {column.casefold(): column for column in screen.obs_columns}
    for name in BATCH_COLUMNS:
        column = by_name.get(name)
        if column is not None and 1 < len(counts.get(column, {})) <= MAX_BATCHES:
            return column
    return None


def _cell_names(screen: Screen) -> list[str]:
    """The names of the cells; none where they are damaged, as nothing that is computed needs them."""
    try:
        return screen.cell_names().tolist()
    except HyperPerturbError:
        return []


def _repairs(
    screen: Screen, proposal: ControlProposal | None, counts: dict[str, dict[str, int]], *, chosen: bool
) -> tuple[Repair, ...]:
    values = screen.values
    n_empty, looked_at = values.n_empty, values.n_cells
    if screen.storage == "csr" and screen.matrix.counts_rows:  # type: ignore[union-attr] # stored row lengths say it for every cell, except for stored zeros
        stored = int(np.count_nonzero(np.diff(screen.matrix.indptr) == 0))  # type: ignore[union-attr]
        if not values.complete:
            n_empty, looked_at = stored, screen.n_cells
    found = [
        *size_repairs(screen.n_cells),
        *label_repairs(proposal, counts, n_cells=screen.n_cells, genes=frozenset(screen.genes)),
        *(label_name_repairs(proposal.column, counts[proposal.column]) if proposal else ()),
        *gene_repairs(screen.names),
        *gene_name_repairs(screen.genes),
        *cell_name_repairs(_cell_names(screen)),
        *value_repairs(values, where=screen.where, layer=screen.layer, chosen=chosen),
        *empty_cell_repairs(n_empty, screen.n_cells, looked_at=looked_at),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda repair: order[repair.severity]))
