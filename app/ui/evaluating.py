"""The thorough evaluation of a run: start it, watch it, stop it; it is a process that outlives the page."""

from __future__ import annotations

import streamlit as st

from app.ui.frame import guard
from app.ui.text import duration, plain
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.evaluations import LAUNCHER, SEEDS, evaluating, evaluation_of, start_evaluation

_WHAT = (
    f"All baselines, the ceiling, the flat twin, rewired networks and genes dealt out at random, over {SEEDS} seeds. "
    "Minutes on a small screen; it goes on when the page is closed."
)


def show(run: RunDirectory) -> None:
    """The button that starts it; while it runs, how far it is; afterwards, how it ended where that was badly."""
    if evaluating(run):
        st.session_state["evaluation_seen"] = run.name
        _live(run)
        return
    job = evaluation_of(run)
    if job is not None and st.session_state.get("evaluation_seen") == run.name:
        if job.status.state == "failed":
            st.error(plain(job.status.error or "The evaluation ended without saying why."))
        elif job.status.state == "cancelled":
            st.info("The evaluation was stopped. The scores are as they were.")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Evaluate thoroughly", key="evaluate"):
            start_evaluation(run)
            st.rerun()
        st.caption(_WHAT)


@st.fragment(run_every=1)
def _live(run: RunDirectory) -> None:
    with guard():
        job = evaluation_of(run)
        if job is None or job.status.done:
            st.rerun()
        status = job.status
        with st.container(border=True, key="evaluation"):
            left, right = st.columns([4, 1], vertical_alignment="center")
            with left:
                st.markdown("**Evaluating thoroughly**")
                st.markdown(f":gray[{plain(status.message or 'starting the process …')}]")
            with right, st.container(horizontal_alignment="right"):
                if st.button("Stop", key="stop_evaluation", help="The scores stay as they are."):
                    with st.spinner("Stopping the evaluation"):
                        LAUNCHER.cancel(job)
                    st.rerun()
            st.progress(min(max(status.fraction, 0.0), 1.0))
            parts = [f"{round(100 * status.fraction)} %"]
            if status.seconds_left is not None:
                parts.append(f"about {duration(status.seconds_left)} left")
            st.caption(" · ".join(parts))
