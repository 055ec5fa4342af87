"""Data: bring a screen or a table of effects, choose one, look at it."""

from __future__ import annotations

import io

import streamlit as st

from app.ui import cache, demo, jobs, overview, public
from app.ui.frame import go, guard, question
from app.ui.state import current, select
from app.ui.text import plain, plural, when
from hyperperturb.runs import guarded
from hyperperturb.runs.datasets import Dataset, add_upload, delete_dataset, register_dataset
from hyperperturb.runs.workspace import Workspace

TYPES = ["h5ad", "h5", "loom", "mtx", "zip", "csv", "tsv", "gz", "parquet"]
ADD_JOB = "add"


def add(workspace: Workspace, *, first: bool) -> None:
    """The three ways to bring data."""
    guarded.warm()
    job = f"{ADD_JOB}:{st.session_state.setdefault('tab_id', jobs.new_id())}"
    added = jobs.collect(job, lambda found: select(dataset=found.name))
    if added is not None:
        st.rerun()  # the page is drawn anew for the dataset that came
    box = (
        st.container(border=True, key="add_data")
        if first
        else st.expander("Bring more data", expanded=jobs.told(job))
    )
    with box:
        if first or demo.missing() or demo.busy():
            demo.offer(primary=first, key="data")
        uploaded = st.file_uploader(
            "Upload a file",
            type=TYPES,
            accept_multiple_files=True,
            max_upload_size=500,
            key="upload",
            help="A screen (.h5ad, zipped .zarr, .loom, 10x .h5, or matrix.mtx with barcodes and features: cells by "
            "genes, raw counts, one label per cell) or a table of effects (.csv, .tsv, .parquet: perturbations in "
            "rows, genes in columns). Choose the tables of a screen together with it: guide calls of cells, genes of "
            "guides, symbols of Ensembl ids. Up to 500 MB a file; register a larger one by its path.",
        )
        with st.form("register", border=False, clear_on_submit=False):
            path = st.text_input(
                "Or a path on the server",
                key="server_path",
                placeholder="/data/screens/my_screen.h5ad",
                help="The file or folder (.zarr, 10x) stays where it is and is read from there.",
            )
            tables = st.text_input(
                "Tables that belong to it, if any",
                key="server_tables",
                placeholder="guide_calls.csv; guides.csv",
                help="Paths, separated by semicolons: guide calls of cells, genes of guides, symbols of Ensembl ids. "
                "Cell Ranger's are found beside its matrix.",
            )
            submitted = st.form_submit_button("Register file")
        chosen = [file.file_id for file in uploaded]
        if chosen and st.session_state.get("uploaded") != chosen:
            st.session_state["uploaded"] = chosen
            (first_file, name), *beside = [(io.BytesIO(file.getvalue()), file.name) for file in uploaded]
            jobs.start(
                job,
                f"Reading {plain(name)}",
                lambda _: add_upload(workspace, first_file, name, beside=beside),
            )
            st.rerun()
        if submitted and path.strip():
            named = [table.strip() for table in tables.split(";") if table.strip()]
            jobs.start(
                job,
                f"Reading {plain(path)}",
                lambda _: register_dataset(workspace, path.strip(), tables=named),
            )
            st.rerun()
        if submitted and not path.strip():
            st.info("Write the path of a file on the server first.")
        jobs.watch(job, stoppable=False)
    public.offer(workspace)


def choices(datasets: tuple[Dataset, ...], chosen: Dataset | None) -> None:
    """The list of datasets; the chosen one is marked."""
    st.markdown("**Your data**")
    with st.container(key="dataset_list", gap="small"):
        for entry in datasets:
            marked = chosen is not None and entry.name == chosen.name
            st.button(
                plain(entry.title),
                key=f"dataset_{entry.name}",
                type="secondary" if marked else "tertiary",
                icon=":material/check:" if marked else None,
                help=f"Added {when(entry.created)}",
                width="stretch",
                on_click=select,
                kwargs={"dataset": entry.name},
            )


def header(dataset: Dataset) -> None:
    """The name of the chosen dataset, where it comes from, and the step that follows."""
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        st.subheader(plain(dataset.title), anchor=False)
        origin = f"{'screen' if dataset.kind == 'screen' else 'table of effects'}, {dataset.source}"
        st.markdown(f":gray[{plain(dataset.note or origin)}]")
    with right, st.container(horizontal_alignment="right"):
        if dataset.confirmed:
            go("train", "Train a model", key="data_train", primary=True, dataset=dataset.name)
        else:
            go("controls", "Confirm controls", key="data_controls", primary=True, dataset=dataset.name)


def downloads(workspace: Workspace, dataset: Dataset) -> None:
    """The processed table and the way out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if dataset.confirmed:
            effects = cache.effects(workspace, dataset)
            st.download_button(
                "Download the effects",
                data=lambda: effects.to_frame().to_csv().encode(),
                file_name=f"{dataset.name}-effects.csv",
                mime="text/csv",
                key="download_effects",
                on_click="ignore",
                help=f"A table of {plural(len(effects.perturbations), 'perturbation')} by "
                f"{plural(len(effects.genes), 'response gene')}, in natural-log units.",
            )
        if st.button("Delete this dataset", key="delete", type="tertiary"):
            confirm_delete(workspace, dataset)


@st.dialog("Delete this dataset?")
def confirm_delete(workspace: Workspace, dataset: Dataset) -> None:
    """Ask once more, and say what stays."""
    st.markdown(
        f"**{plain(dataset.title)}** and its effects are removed. A file registered by its path stays where it is, "
        "and models that were trained on it keep working."
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="delete_no"):
            st.rerun()
        if st.button("Delete", key="delete_yes", type="primary"):
            with guard():
                delete_dataset(workspace, dataset.name)
                select(dataset="")
                st.rerun()


with guard():
    now = current()
    question(
        "What data do you have?",
        "A screen of cells by genes with one label per cell, or a table of measured effects."
        if now.dataset is None
        else "",
    )
    if now.dataset is None:
        intro, form = st.columns([1, 1], gap="large")
        with intro:
            st.markdown(
                "No data yet. The demo is a simulated screen whose true network and true effects are known: the "
                "quickest way to see everything work.\n\n"
                "Of your own, bring a screen (AnnData `.h5ad` or `.zarr`, `.loom`, 10x) with raw counts and labels or "
                "guide calls that say which gene was perturbed in each cell, or a table of effects (`.csv`, "
                "`.parquet`) with perturbations in rows and genes in columns."
            )
        with form:
            add(now.workspace, first=True)
    else:
        side, main = st.columns([1, 3], gap="large")
        with main:
            header(now.dataset)
            with guard():
                overview.show(now.workspace, now.dataset)
            with guard():
                downloads(now.workspace, now.dataset)
        with side:
            choices(now.datasets, now.dataset)
            add(now.workspace, first=False)
