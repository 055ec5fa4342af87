"""The thorough evaluation of a run: start it, watch it, stop it; it is a process that outlives the page."""

from __future__ import annotations

import streamlit as st

from app.ui.side_work import watched
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.evaluations import LAUNCHER, SEEDS, evaluation_of, start_evaluation

_WHAT = (
    f"All baselines, the ceiling, the flat twin, rewired networks and genes dealt out at random, over {SEEDS} seeds. "
    "Minutes on a small screen; it goes on when the page is closed."
)


def show(run: RunDirectory) -> None:
    """The button that starts it; while it runs, how far it is; afterwards, how it ended where that was badly."""
    if watched(
        run,
        evaluation_of,
        LAUNCHER,
        name="evaluation",
        title="Evaluating thoroughly",
        stop="The scores stay as they are.",
        stopped="The evaluation was stopped. The scores are as they were.",
    ):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Evaluate thoroughly", key="evaluate"):
            start_evaluation(run)
            st.rerun()
        st.caption(_WHAT)
