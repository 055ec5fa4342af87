"""Work beside a run in a process of its own: how far it is, a way to stop it, how it ended where that was badly."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.ui.frame import guard
from app.ui.text import duration, plain
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import Launcher

Find = Callable[[RunDirectory], RunDirectory | None]


def watched(
    run: RunDirectory, find: Find, launcher: Launcher, *, name: str, title: str, stop: str, stopped: str
) -> bool:
    """Show the work of a run; True while it goes on.

    Parameters
    ----------
    run
        The run.
    find
        Gives the folder in which the work reports, or None.
    launcher
        What stops it.
    name
        One word, for keys.
    title
        What is being done.
    stop, stopped
        What it means to stop; what is said afterwards.
    """
    seen = f"{name}_seen"
    job = find(run)
    if job is None:
        return False
    if not job.status.done:
        st.session_state[seen] = run.name
        _live(run, find, launcher, name, title, stop)
        return True
    if st.session_state.get(seen) == run.name:
        if job.status.state == "failed":
            st.error(plain(job.status.error or "The work ended without saying why."))
        elif job.status.state == "cancelled":
            st.info(stopped)
    return False


@st.fragment(run_every=1)
def _live(run: RunDirectory, find: Find, launcher: Launcher, name: str, title: str, stop: str) -> None:
    with guard():
        job = find(run)
        if job is None or job.status.done:
            st.rerun()
        status = job.status
        with st.container(border=True, key=name):
            left, right = st.columns([4, 1], vertical_alignment="center")
            with left:
                st.markdown(f"**{title}**")
                st.markdown(f":gray[{plain(status.message or 'starting the process …')}]")
            with right, st.container(horizontal_alignment="right"):
                if st.button("Stop", key=f"stop_{name}", help=stop):
                    with st.spinner("Stopping"):
                        launcher.cancel(job)
                    st.rerun()
            st.progress(min(max(status.fraction, 0.0), 1.0))
            parts = [f"{round(100 * status.fraction)} %"]
            if status.seconds_left is not None:
                parts.append(f"about {duration(status.seconds_left)} left")
            st.caption(" · ".join(parts))
