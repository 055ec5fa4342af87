"""A dataset at a glance: figures, cells per perturbation, sizes of the effects, what to repair."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.ui import alt, cache, proteins, quality, repair_list
from app.ui.frame import draw, facts, guard, section, table
from app.ui.text import GLOSSARY, count, plain
from hyperperturb.data.screen import ScreenReport
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.workspace import Workspace


def show(workspace: Workspace, dataset: Dataset) -> None:
    """Draw the overview of `dataset`."""
    report = dataset.report
    if not dataset.available and dataset.kind == "screen":
        st.warning(f"The file {plain(dataset.source)} is no longer there. Put it back, or register it anew.")
    if dataset.confirmed:
        effects = cache.effects(workspace, dataset)
        _figures(report, len(effects.perturbations), len(effects.genes), effects.n_control_cells)
    elif report is not None:
        labels = cells_per_label(report, report.proposal.column) if report.proposal else {}
        control = report.proposal.label if report.proposal else None
        _figures(
            report, len([x for x in labels if x != control]), report.n_genes, labels.get(control or "", 0)
        )
    if report is not None:
        repair_list.show(workspace, dataset)
    with guard():
        quality.show(workspace, dataset)
    _pictures(workspace, dataset)
    with guard():
        proteins.attached(workspace, dataset)
    if report is not None:
        with st.expander("What is in the file"):
            table(_inside(dataset, report), f"{dataset.name}-file", key="inside", width="stretch")


def _figures(report: ScreenReport | None, n_perturbations: int, n_genes: int, n_controls: int) -> None:
    values = [
        ("Perturbations", count(n_perturbations), GLOSSARY["perturbation"]),
        ("Response genes", count(n_genes), GLOSSARY["response genes"]),
    ]
    if report is not None:
        values = [("Cells", count(report.n_cells), GLOSSARY["screen"]), *values]
    if n_controls:
        values.append(("Control cells", count(n_controls), GLOSSARY["control"]))
    facts(values)


def _pictures(workspace: Workspace, dataset: Dataset) -> None:
    from hyperperturb.plots.screen import cells_per_perturbation, crowded, effect_sizes

    report = dataset.report
    if dataset.confirmed:
        effects = cache.effects(workspace, dataset)
        # Few perturbations are named under the picture, which needs the whole width.
        left, right = (
            st.columns(2, gap="medium")
            if len(effects.perturbations) > 40
            else (st.container(), st.container())
        )
        if (effects.n_cells > 0).any():
            with left:
                section("Cells per perturbation")
                counts = dict(zip(effects.perturbations, effects.n_cells.tolist(), strict=True))
                draw(
                    cells_per_perturbation(effects),
                    f"{dataset.name}-cells",
                    key="plot_cells",
                    alt=alt.cells(counts),
                    wide=crowded(len(effects.perturbations)),
                )
        else:
            right = left
        with right:
            section("Sizes of the effects", help=GLOSSARY["effect"])
            draw(
                effect_sizes(effects),
                f"{dataset.name}-effect-sizes",
                key="plot_sizes",
                alt=alt.effect_sizes(effects),
                wide=crowded(len(effects.perturbations)),
            )
    elif report is not None and report.proposal is not None:
        section(f"Cells per label in {plain(report.proposal.column)}")
        labels = cells_per_label(report, report.proposal.column)
        perturbed = {name: n for name, n in labels.items() if name != report.proposal.label}
        draw(
            cells_per_perturbation(perturbed),
            f"{dataset.name}-labels",
            key="plot_labels",
            alt=alt.cells(perturbed),
        )
        st.caption("The sizes of the effects appear here once the controls are confirmed.")


def cells_per_label(report: ScreenReport, column: str) -> dict[str, int]:
    """Label to number of cells in a column of the screen."""
    return report.label_columns.get(column, {})


def _against(dataset: Dataset) -> str:
    if dataset.batch_column is None:
        return "all control cells"
    return f"the control cells of the same {dataset.batch_column}"


def _inside(dataset: Dataset, report: ScreenReport) -> pd.DataFrame:
    storage = {"csr": "sparse, by cell", "csc": "sparse, by gene", "dense": "dense"}
    rows = [
        ("Values", f"{report.values}, from {'X' if report.layer is None else f'the layer {report.layer}'}"),
        ("Storage", storage.get(report.storage, report.storage)),
        ("Cells by genes", f"{count(report.n_cells)} × {count(report.n_genes)}"),
        ("Columns of obs", ", ".join(report.obs_columns) or "none"),
        ("Batches", report.batch_column or "no column recognised"),
        *([("Effects against", _against(dataset))] if dataset.confirmed else []),
    ]
    return pd.DataFrame(rows, columns=["what", "in this file"])
