"""Controls: which cells were left alone; a person confirms, then the effects are computed."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.ui import batches, cache, jobs, quality
from app.ui.frame import empty_state, facts, go, guard, question, section, table
from app.ui.overview import cells_per_label
from app.ui.state import current
from app.ui.text import GLOSSARY, MODES, count, plain, plural, sentence_case
from hyperperturb.data.screen import ScreenReport
from hyperperturb.runs.datasets import Dataset, confirm_controls
from hyperperturb.runs.workspace import Workspace


def proposal(report: ScreenReport) -> None:
    """The proposal as a sentence, with every other candidate."""
    found = report.proposal
    if found is None:
        st.markdown("No label in this file looks like a control. Choose the column and the label yourself.")
        return
    st.markdown(
        f"Proposed: the **{count(found.n_control_cells)}** of {count(report.n_cells)} cells that carry the label "
        f"**{plain(found.label)}** in the column **{plain(found.column)}**."
    )
    st.caption(sentence_case(found.why))
    if len(found.candidates) > 1:
        with st.expander(f"All {plural(len(found.candidates), 'candidate')}"):
            table(
                pd.DataFrame(
                    {
                        "column": [c.column for c in found.candidates],
                        "control label": [c.label for c in found.candidates],
                        "control cells": [c.n_control_cells for c in found.candidates],
                        "labels in the column": [c.n_labels for c in found.candidates],
                        "why": [c.why for c in found.candidates],
                    }
                ),
                "control-candidates",
                key="candidates",
                column_config={
                    "control cells": st.column_config.NumberColumn(format="localized"),
                    "labels in the column": st.column_config.NumberColumn(format="localized"),
                    "why": st.column_config.TextColumn(width="large"),
                },
            )


def choose(dataset: Dataset, report: ScreenReport) -> tuple[str, str, str]:
    """Column, label and mode, starting from what was confirmed before or proposed."""
    columns = list(report.label_columns)
    found = report.proposal
    start_column = dataset.column or (found.column if found else columns[0])
    left, middle, right = st.columns(3)
    column = left.selectbox(
        "Label column",
        columns,
        index=columns.index(start_column) if start_column in columns else 0,
        key=f"column_{dataset.name}",
        help="The column of obs that says what was done to each cell.",
    )
    labels = sorted(cells_per_label(report, column).items(), key=lambda item: (-item[1], item[0]))
    names = [label for label, _ in labels]
    start_label = next(
        (
            label
            for label in (
                dataset.control if column == dataset.column else None,
                *(c.label for c in (found.candidates if found else ()) if c.column == column),
            )
            if label in names
        ),
        None,
    )
    counts = dict(labels)
    label = middle.selectbox(
        "Control label",
        names,
        index=names.index(start_label) if start_label is not None else None,
        format_func=lambda name: f"{name} · {count(counts[name])} cells",
        key=f"label_{dataset.name}_{column}",
        placeholder="Choose the label of the control cells",
        help=GLOSSARY["control"],
    )
    mode = right.selectbox(
        "What was done to the genes",
        list(MODES),
        index=list(MODES).index(dataset.mode),
        format_func=MODES.get,
        key=f"mode_{dataset.name}",
        help=GLOSSARY["mode"],
    )
    return column, label, mode


def consequence(report: ScreenReport, column: str, label: str | None) -> None:
    """What the choice means, in figures."""
    labels = cells_per_label(report, column)
    if label is None:
        return
    others = {name: n for name, n in labels.items() if name != label}
    facts(
        [
            ("Control cells", count(labels[label]), GLOSSARY["control"]),
            ("Perturbed cells", count(sum(others.values())), None),
            ("Perturbations", count(len(others)), GLOSSARY["perturbation"]),
            ("Fewest cells", count(min(others.values(), default=0)), "In the smallest perturbation."),
        ]
    )
    few = [name for name, n in others.items() if n < 10]
    if few:
        st.caption(
            f"{plural(len(few), 'perturbation has', 'perturbations have')} fewer than 10 cells: their effects will be "
            "uncertain, and their standard errors say so."
        )


def confirm(
    workspace: Workspace, dataset: Dataset, column: str, label: str | None, mode: str, batch: str | None
) -> None:
    """The button, and the computation that follows it."""
    job = f"effects:{dataset.name}"
    if jobs.collect(job, lambda done: quality.start(workspace, done)) is not None:
        st.rerun()
    if jobs.watch(job):
        return
    before = (dataset.column, dataset.control, dataset.mode, dataset.batch_column)
    if dataset.confirmed and (column, label, mode, batch) == before:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Confirm controls",
            key="confirm",
            type="primary",
            disabled=label is None or len(report_labels(dataset, column)) < 2,
        )
        st.caption("Then the effect of every perturbation is computed over all cells.")
    if pressed:
        jobs.start(
            job,
            "Computing the effects",
            lambda progress: confirm_controls(
                workspace,
                dataset.name,
                column=column,
                control=label,
                mode=mode,
                batch_column=batch,
                progress=progress,
            ),
        )
        st.rerun()


def report_labels(dataset: Dataset, column: str) -> dict[str, int]:
    """Labels of a column of the dataset's screen."""
    return cells_per_label(dataset.report, column) if dataset.report else {}


def confirmed(workspace: Workspace, dataset: Dataset) -> None:
    """What came out, and the next step."""
    effects = cache.effects(workspace, dataset)
    with st.container(border=True, key="controls_confirmed"):
        left, right = st.columns([3, 1], vertical_alignment="center")
        with left:
            if dataset.kind == "screen":
                within = f", within each {plain(dataset.batch_column)}" if dataset.batch_column else ""
                st.markdown(
                    f"**Controls confirmed.** *{plain(dataset.control)}* in *{plain(dataset.column)}*{within}; the "
                    "effects of "
                    f"{plural(len(effects.perturbations), 'perturbation')} on "
                    f"{plural(len(effects.genes), 'response gene')} are computed."
                )
            else:
                st.markdown(
                    "**Nothing to confirm.** This dataset is a table of effects: its controls were subtracted before "
                    f"it came here. It holds {plural(len(effects.perturbations), 'perturbation')} and "
                    f"{plural(len(effects.genes), 'response feature')}."
                )
        with right, st.container(horizontal_alignment="right"):
            go("train", "Train a model", key="controls_train", primary=True, dataset=dataset.name)


with guard():
    now = current()
    question("Which cells are the controls?", "Every effect is measured against them, so a person decides.")
    dataset = now.dataset
    if dataset is None:
        empty_state(
            "No data yet",
            "Controls belong to a screen. Load the demo or bring a screen of your own first.",
            to="data",
            label="Choose data",
            key="controls",
        )
    elif dataset.confirmed and dataset.kind == "effects":
        confirmed(now.workspace, dataset)
    elif dataset.report is None or not dataset.report.label_columns:
        empty_state(
            "This file has no labels",
            "No column of its cells says which gene was perturbed. Add one, and bring the file again.",
            to="data",
            label="Choose other data",
            key="nolabels",
        )
    else:
        if dataset.confirmed:
            confirmed(now.workspace, dataset)
        else:
            proposal(dataset.report)
        if dataset.confirmed:
            section("Change the choice")
        column, label, mode = choose(dataset, dataset.report)
        consequence(dataset.report, column, label)
        batch = batches.choose(dataset, column, label)
        confirm(now.workspace, dataset, column, label, mode, batch)
        with guard():
            quality.show(now.workspace, dataset)
