"""Whether effects are measured against all controls or against those of the same batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.ui import cache
from app.ui.text import GLOSSARY, count, plain, plural

if TYPE_CHECKING:
    from hyperperturb.data.batches import BatchColumn
    from hyperperturb.runs.datasets import Dataset

_UNBALANCED = ("controls-unbalanced", "perturbations-unbalanced")


def choose(dataset: Dataset, column: str, label: str | None) -> str | None:
    """Offer the columns of batches that every perturbed cell has controls in; None compares with all controls."""
    if label is None:
        return None
    found = cache.batches(dataset, column, label)
    if not found:
        return None
    usable = {entry.column: entry for entry in found if entry.usable}
    chosen = None
    if usable:
        names = [None, *usable]
        kept = dataset.batch_column if (column, label) == (dataset.column, dataset.control) else None
        chosen = st.selectbox(
            "Compare with",
            names,
            index=names.index(kept) if kept in names else 0,
            format_func=lambda name: "all control cells" if name is None else _said(usable[name]),
            key=f"batch_{dataset.name}_{column}_{label}",
            help=GLOSSARY["within batches"],
        )
    for entry in found:
        if not entry.usable:
            st.caption(
                f"Not within {plain(entry.column)}: {plural(entry.lacking_cells, 'perturbed cell')} would have fewer "
                f"than two controls to be compared with ({plural(len(entry.lacking), 'batch', 'batches')})."
            )
    if usable and chosen is None:
        _advise(dataset, usable)
    return chosen


def _said(entry: BatchColumn) -> str:
    return (
        f"control cells of the same {plain(entry.column)} · {plural(entry.n_batches, 'batch', 'batches')}, at least "
        f"{count(entry.fewest_controls)} control cells in each"
    )


def _advise(dataset: Dataset, usable: dict[str, BatchColumn]) -> None:
    quality = cache.quality(dataset) if dataset.confirmed else None
    if quality is None or quality.batch_column not in usable:
        return
    if any(entry.code in _UNBALANCED for entry in quality.warnings):
        st.caption(
            f"The quality below finds cells spread unevenly over {plain(quality.batch_column)}: comparing within it "
            "keeps differences between batches out of the effects."
        )
