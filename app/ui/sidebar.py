"""The foot of the sidebar: the dataset, the model with its verdict, the training that is running."""

from __future__ import annotations

import streamlit as st

from app.ui import cache
from app.ui.routes import page
from app.ui.state import Current, current, usable
from app.ui.text import duration, plain
from hyperperturb.runs.directory import RunDirectory


def foot(now: Current) -> None:
    """Draw the foot; every entry is a link to the page where it can be changed."""
    with st.sidebar, st.container(key="foot", gap="small"):
        _entry("Dataset")
        if now.dataset is None:
            st.page_link(page("data"), label="Choose a dataset")
        else:
            st.page_link(
                page("data"), label=_short(now.dataset.title), query_params={"dataset": now.dataset.name}
            )
            if not now.dataset.confirmed:
                st.caption("controls not confirmed yet")
        _entry("Model")
        if usable(now.run):
            facts = cache.run_facts(now.run)
            st.page_link(page("train"), label=_short(facts.title), query_params={"run": now.run.name})
            st.caption(
                "ahead of the baselines" if facts.ahead else "not ahead of the baselines",
                help=facts.verdict or None,
            )
        else:
            st.page_link(page("train"), label="None trained yet")
        if now.active:
            _entry("Training")
            _active()


def _entry(name: str) -> None:
    st.markdown(f":small[:gray[{name}]]")


def _short(title: str, limit: int = 34) -> str:
    return plain(title if len(title) <= limit else title[: limit - 1] + "…")


@st.fragment(run_every=2)
def _active() -> None:
    active = current().active
    if not active:
        st.rerun()
    for run in active:
        _one(run)


def _one(run: RunDirectory) -> None:
    status = run.status
    label = (
        "Waiting"
        if status.state == "queued"
        else f"{round(100 * status.fraction)} % · {status.stage or 'starting'}"
    )
    st.page_link(page("train"), label=plain(label), query_params={"run": run.name})
    st.progress(min(max(status.fraction, 0.0), 1.0))
    if status.seconds_left is not None:
        st.caption(f"about {duration(status.seconds_left)} left")
