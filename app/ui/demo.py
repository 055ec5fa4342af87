"""The demo screen: one click loads it, the same job wherever it was started from."""

from __future__ import annotations

import streamlit as st

from app.ui import address, jobs
from app.ui.state import select
from hyperperturb.runs.datasets import add_demo, list_datasets
from hyperperturb.runs.workspace import Workspace

JOB = "demo"


def busy() -> bool:
    """Whether the demo is being made now."""
    return jobs.running(JOB)


def missing() -> bool:
    """Whether the demo is not among the datasets."""
    return all(entry.name != JOB for entry in list_datasets(Workspace()))


def follow() -> None:
    """Go on to the demo's controls once it is made."""
    made = jobs.collect(JOB, lambda found: select(dataset=found.name))
    if made is not None:
        address.lead("controls", {"dataset": made.name})


def offer(*, primary: bool, key: str) -> None:
    """The button that loads the demo; while it is made, its progress."""
    follow()
    if jobs.watch(JOB):
        return
    if st.button(
        "Load the demo screen",
        key=f"{key}_demo",
        type="primary" if primary else "secondary",
        help="A simulated screen: 600 genes, 100 perturbations, 12 000 cells, with the network that made it. "
        "It takes a few seconds.",
    ):
        workspace = Workspace()
        jobs.start(JOB, "Making the demo screen", lambda progress: add_demo(workspace, progress=progress))
        st.rerun()
