"""The repair list: what stands out in a file, why it matters, and what mends it: a button where that is safe."""

from __future__ import annotations

import streamlit as st

from app.ui import jobs
from app.ui.frame import section
from app.ui.text import plain, plural
from hyperperturb.data.screen import Repair
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.workspace import Workspace

SEVERITY = {"error": "Must be mended", "warning": "Worth knowing", "note": "Note"}


def show(workspace: Workspace, dataset: Dataset) -> None:
    """Draw the repair list of a screen, with a button for every entry that can be mended here."""
    if dataset.report is None:
        return
    job = f"mend:{dataset.name}"
    if jobs.collect(job) is not None:
        st.rerun()
    found = dataset.report.repairs
    section("Repair list", help="What stands out in the file, why it matters, and what mends it.")
    running = jobs.watch(job)
    if not found:
        st.markdown(":gray[Nothing to repair.]")
        return
    st.caption(plural(len(found), "entry", "entries"))
    for entry in found:
        with _box(entry):
            _body(entry)
            if dataset.available and dataset.report.proposal is not None:
                _button(workspace, dataset, entry, job, disabled=running)


def entries(found: tuple[Repair, ...]) -> None:
    """Entries about the quality of a screen, to be opened one by one."""
    for entry in found:
        with _box(entry):
            _body(entry)


def _box(entry: Repair):
    return st.expander(
        f"**{SEVERITY[entry.severity]}** · {plain(entry.what)}", expanded=entry.severity == "error"
    )


def _body(entry: Repair) -> None:
    st.markdown(f"**Where** {plain(entry.where)}  \n**Why it matters** {plain(entry.why)}")
    if "adata" in entry.mend:
        st.code(entry.mend, language="python", wrap_lines=True)
    else:
        st.markdown(f"**What to do** {plain(entry.mend)}")


def _button(workspace: Workspace, dataset: Dataset, entry: Repair, job: str, *, disabled: bool) -> None:
    from hyperperturb.data.mending import MENDS

    mend = MENDS.get(entry.code)
    if mend is None:
        return
    pressed = st.button(
        mend.button,
        key=f"mend_{entry.code}",
        disabled=disabled,
        help="On a copy that takes the file's place here; a file registered by its path stays as it is. "
        "The controls are then confirmed anew.",
    )
    if pressed:
        from hyperperturb.runs.mending import mend_dataset

        jobs.start(
            job,
            mend.button,
            lambda progress: mend_dataset(workspace, dataset.name, entry.code, progress=progress),
        )
        st.rerun()
