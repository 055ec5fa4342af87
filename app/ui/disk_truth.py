"""How true the picture of the disk is, printed under it beside UMAP's picture of the same points."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd
import streamlit as st

from app.ui import jobs
from app.ui.frame import table
from app.ui.text import GLOSSARY, count
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.fidelity import DiskFidelity, load_fidelity, measure_fidelity


def show(run: RunDirectory) -> None:
    """One line and a folded table; measured once for a run, by a process of its own, when its disk is first seen."""
    found = load_fidelity(run)
    key = f"fidelity:{run.name}"
    if found is None and jobs.get(key) is None:
        jobs.start(key, "Measuring how true this picture is", lambda _: measure_fidelity(run))
        found = load_fidelity(run)
    if found is not None:
        _tell(found)
    elif jobs.running(key):
        _wait(key)
    else:
        jobs.watch(key, stoppable=False)


@st.fragment(run_every=5.0)
def _wait(key: str) -> None:
    if not jobs.running(key):
        st.rerun()
    st.caption("Measuring how true this picture is, beside UMAP: about half a minute, once for a run.")


def _tell(found: DiskFidelity) -> None:
    measures = asdict(found.disk)
    rival = asdict(found.umap) if found.umap is not None else {}
    said = ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" + (f" (UMAP {rival[name]:.2f})" if rival else "")
        for name, value in measures.items()
    )
    with st.expander(f"How true is the picture? {said[:1].upper()}{said[1:]}"):
        rows = {"This disk": found.disk} | ({} if found.umap is None else {"UMAP": found.umap})
        numbers = pd.DataFrame({name: asdict(row) for name, row in rows.items()}).T
        numbers.columns = [name.replace("_", " ") for name in numbers]
        shown = numbers.round(3).rename_axis("picture").reset_index()
        table(shown, "disk-fidelity", key="fidelity")
        st.caption(
            f"{count(found.n_genes)} genes, {found.neighbours} neighbours each. " + GLOSSARY["fidelity"]
        )
