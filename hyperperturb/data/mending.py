"""Mending a screen: what a button of the repair list does, on a copy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperperturb.data.assignment import assign_cells
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.preprocess import write_h5ad
from hyperperturb.data.repairs import FEW_PERTURBATION_CELLS
from hyperperturb.data.repairs_names import alike_labels, strip_genome
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, no_progress

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_VALUES = 400_000_000  # stored values; a copy of so many takes some 7 GB
_Keep = Callable[[Screen, str, str], np.ndarray]
_Edit = Callable[["AnnData", str], None]


@dataclass(frozen=True)
class Mend:
    """How an entry of the repair list is mended by a button.

    Attributes
    ----------
    button
        What the button says.
    done
        What was done, for the note of the dataset.
    keep
        Which cells stay, from the screen, the label column and the control label; None keeps all.
    edit
        What is changed in the copy, given the label column; None changes nothing beyond what every copy has: the values
        that are used in ``X``, and the gene names that are used, each once.
    """

    button: str
    done: str
    keep: _Keep | None = None
    edit: _Edit | None = None


def _labelled(screen: Screen, column: str, control: str) -> np.ndarray:
    return screen.label_codes(column).codes >= 0


def _assigned(screen: Screen, column: str, control: str) -> np.ndarray:
    return (assign_cells(screen, column, control).codes >= 0) | ~_labelled(screen, column, control)


def _of_enough_cells(screen: Screen, column: str, control: str) -> np.ndarray:
    assigned = assign_cells(screen, column, control)
    enough = assigned.n_cells >= FEW_PERTURBATION_CELLS
    enough[0] = True  # the controls
    return np.append(enough, True)[
        assigned.codes
    ]  # −1, what is left out for another reason, is another entry's


def _not_empty(screen: Screen, column: str, control: str) -> np.ndarray:
    keep = np.zeros(screen.n_cells, dtype=bool)
    for cells, block in screen.blocks():
        keep[cells] = np.asarray(block.sum(axis=1)).ravel() > 0
    return keep


def _merge_labels(adata: AnnData, column: str) -> None:
    labels = adata.obs[column].astype(object)
    alike = alike_labels(labels.value_counts().to_dict())
    adata.obs[column] = labels.map(lambda label: alike.get(label, label)).astype("category")


def _strip_genomes(adata: AnnData, column: str) -> None:
    adata.var_names = [strip_genome(name) for name in adata.var_names]
    adata.var_names_make_unique()


def _unique_cells(adata: AnnData, column: str) -> None:
    adata.obs_names_make_unique()


MENDS: dict[str, Mend] = {
    "duplicate-genes": Mend("Make the gene names unique", "gene names made unique"),
    "gene-symbols-used": Mend("Name the genes by symbol", "genes named by symbol"),
    "counts-in-layer": Mend("Put the counts in X", "the counts put in X"),
    "missing-labels": Mend(
        "Leave out cells without a label", "cells without a label left out", keep=_labelled
    ),
    "labels-left-out": Mend("Leave these cells out", "cells that are not assigned left out", keep=_assigned),
    "few-perturbation-cells": Mend(
        "Leave these perturbations out",
        f"perturbations of fewer than {FEW_PERTURBATION_CELLS} cells left out",
        keep=_of_enough_cells,
    ),
    "empty-cells": Mend("Leave out empty cells", "cells without counts left out", keep=_not_empty),
    "labels-alike": Mend("Give them one spelling", "labels given one spelling", edit=_merge_labels),
    "genome-prefix": Mend(
        "Take the genome's name off", "names of genomes taken off the genes", edit=_strip_genomes
    ),
    "duplicate-cells": Mend("Make the cell names unique", "cell names made unique", edit=_unique_cells),
}
"""Entry of the repair list → what its button does. Only where mending loses nothing that could be used."""


def mend_screen(
    source: str | Path | AnnData,
    code: str,
    target: str | Path,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Path:
    """Write a copy of a screen in which one entry of its repair list is mended.

    Parameters
    ----------
    source, layer, tables
        As in :func:`~hyperperturb.data.screen.open_screen`; what the tables say about cells is in the copy.
    code
        The entry, one of :data:`MENDS`.
    target
        Where to write, ``.h5ad``; atomically.
    column, control
        The labels that the entry is about.
    progress
        Told what is being done.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    HyperPerturbError
        No button mends that entry; nothing would be left; the screen is too large for a copy in memory.
    """
    mend = MENDS.get(code)
    if mend is None:
        raise HyperPerturbError(
            f"No button mends '{code}'.",
            hint=f"These can be mended: {', '.join(MENDS)}. For others the list says how.",
        )
    report = progress or no_progress
    report(0.0, "Opening the screen")
    with open_screen(source, layer=layer, tables=tables) as screen:
        if screen.matrix.nnz > _MOST_VALUES:
            raise HyperPerturbError(
                f"{screen.name} has {screen.matrix.nnz:,} values: too many to copy here.",
                hint="Mend it with the line of Python that the repair list gives, and load it again.",
            )
        cells = np.arange(screen.n_cells)
        if mend.keep is not None:
            cells = np.flatnonzero(mend.keep(screen, column, control))
        if not cells.size:
            raise HyperPerturbError("No cell would be left.", hint="Choose another column of labels first.")
        report(0.2, "Copying the cells")
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Observation names are not unique", category=UserWarning
            )
            adata = screen.take(cells)
    if mend.edit is not None:
        mend.edit(adata, column)
    report(0.7, "Writing the copy")
    write_h5ad(adata, target)
    report(1.0, "The copy is there")
    return Path(target)
