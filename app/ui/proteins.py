"""Proteins on the pages: attached to a dataset, scored in a report, predicted beside RNA."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app.ui import alt, jobs
from app.ui.frame import draw, section, table
from app.ui.text import GLOSSARY, count, listing, plain, plural
from hyperperturb.data.protein_names import RENAMES
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.proteins import UPLOADED, attach_proteins, detach_proteins
from hyperperturb.runs.workspace import Workspace

if TYPE_CHECKING:
    from hyperperturb.evaluation.report import ProteinMetrics
    from hyperperturb.models.inference import EffectPrediction

AXIS = "effect (centred log-ratio, natural log)"
_SHOWN = 24  # bars


def attached(workspace: Workspace, dataset: Dataset) -> None:
    """The proteins of a screen's cells: which, how many cells have them, and ways to attach or remove them."""
    if dataset.kind != "screen":
        return
    job = f"proteins:{dataset.name}"
    if jobs.collect(job) is not None:
        st.rerun()
    section("Proteins", help=GLOSSARY["protein level"])
    running = jobs.watch(job, stoppable=False)
    found = dataset.protein_report
    if found is None or dataset.proteins is None:
        if dataset.available:
            with st.expander("Attach antibody counts of the same cells", expanded=jobs.told(job)):
                _attach(workspace, dataset, job, disabled=running)
        return
    same = dataset.proteins == dataset.source
    st.markdown(plain(found.sentence))
    told = (
        "In the screen's own file; they do not count as genes." if same else f"From {dataset.proteins.name}."
    )
    names = listing([plain(name) for name in found.names], limit=12)
    kind = (
        "Levels are centred log-ratios of each cell."
        if found.values == "counts"
        else "Their values are no counts and are used as they are."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{plain(told)} {names}. {kind} Trainings from now on learn from them too.")
        if st.button("Remove the proteins", key="detach_proteins", type="tertiary", disabled=running):
            detach_proteins(workspace, dataset.name)
            st.rerun()


def _attach(workspace: Workspace, dataset: Dataset, job: str, *, disabled: bool) -> None:
    rename = st.selectbox(
        "Match the names of cells",
        list(RENAMES),
        format_func=lambda key: f"{key}: {RENAMES[key]}" if key else RENAMES[key],
        key="protein_names",
        help="Proteins are joined to the cells by name. Where no name matches, you are told which way would.",
    )
    uploaded = st.file_uploader(
        "Upload antibody counts",
        type=[end.removeprefix(".").rpartition(".")[2] for end in UPLOADED],
        max_upload_size=500,
        key=f"upload_proteins_{dataset.name}",
        disabled=disabled,
        help="An `.h5ad` or 10x `.h5`, or a table of cells by antibodies (`.csv`, `.tsv`, `.parquet`).",
    )
    handled = (uploaded.file_id, rename) if uploaded is not None else None
    if uploaded is not None and st.session_state.get("handled_proteins") != handled:
        st.session_state["handled_proteins"] = handled
        content, name = uploaded.getvalue(), uploaded.name
        jobs.start(
            job,
            f"Reading {plain(name)}",
            lambda _: attach_proteins(workspace, dataset.name, io.BytesIO(content), name, rename=rename),
        )
        st.rerun()
    with st.form("proteins_path", border=False):
        path = st.text_input(
            "Or their path on the server", key="proteins_path", placeholder="/data/screens/my_proteins.h5ad"
        )
        if st.form_submit_button("Attach proteins", disabled=disabled) and path.strip():
            jobs.start(
                job,
                f"Reading {plain(path)}",
                lambda _: attach_proteins(workspace, dataset.name, path.strip(), rename=rename),
            )
            st.rerun()


def predicted(prediction: EffectPrediction) -> None:
    """What a perturbation is predicted to do to proteins, where the run knows any: bars, table, file."""
    from hyperperturb.plots.effects import ranked_bars

    found = prediction.proteins
    if found is None:
        return
    section("Proteins", help=GLOSSARY["protein level"])
    if found.table is None:
        st.markdown(f":gray[{plain(found.why)}]")
        return
    name = "_".join(prediction.targets)
    rows = found.table.rename(columns={"protein": "gene"})
    ranked = found.table.reindex(rows["effect"].abs().sort_values(ascending=False, kind="stable").index)
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        draw(
            ranked_bars(rows, n=_SHOWN, axis=AXIS),
            f"proteins-{name}",
            key="protein_bars",
            alt=alt.ranked(rows, _SHOWN).replace("predicted effect", "predicted effect on proteins"),
        )
        if rows["measured"].notna().any():
            st.caption("The prediction has seen this measurement among others.")
    with right:
        table(
            ranked.dropna(axis=1, how="all"),
            f"proteins-{name}",
            key="proteins",
            height=min(35 * (len(ranked) + 1) + 3, 360),
            column_config={
                "protein": st.column_config.TextColumn(pinned=True),
                "effect": st.column_config.NumberColumn(
                    "effect (ln)", format="%.3f", help=GLOSSARY["protein level"]
                ),
                "standard_error": st.column_config.NumberColumn(
                    "± standard error", format="%.3f", help=GLOSSARY["standard error"]
                ),
                "measured": st.column_config.NumberColumn("measured (ln)", format="%.3f"),
                "measured_standard_error": st.column_config.NumberColumn("± measured", format="%.3f"),
            },
        )


def scored(run: RunDirectory, found: ProteinMetrics | None) -> None:
    """How good the predictions of proteins are, on held-out genes, where the run has any."""
    if found is None:
        return
    from hyperperturb.plots.evaluation import method_scores

    section("On proteins", help=GLOSSARY["protein level"])
    st.markdown(f"**{'Ahead of' if found.ahead else 'Not ahead of'} the baselines.** {plain(found.verdict)}")
    methods = pd.DataFrame([row.model_dump() for row in found.methods])
    draw(
        method_scores(methods, model=str(methods["name"].iloc[0])),
        f"{run.name}-proteins",
        key="protein_methods",
        alt=alt.methods(methods),
        wide=True,
    )
    st.caption(
        f"{plain(found.joined)} {count(found.n_perturbations)} of {plural(found.n_measured, 'perturbation')} held out."
    )
