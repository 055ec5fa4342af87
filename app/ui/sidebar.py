"""The foot of the sidebar: the dataset, the model with its verdict, trainings that wait, run or have just ended."""

from __future__ import annotations

import streamlit as st

from app.ui import announce, cache
from app.ui.frame import guard
from app.ui.routes import page
from app.ui.state import Current, current, untold, usable
from app.ui.text import count, duration, ordinal, plain
from hyperperturb.runs import queue
from hyperperturb.runs.directory import RunDirectory

_SHOWN = 3  # trainings at the foot; the line may be long


def foot(*, busy: bool) -> None:
    """Draw the foot; every entry is a link to the page where it can be changed. Looked at more often while `busy`."""
    with st.sidebar, st.container(key="foot", gap="small"):
        # Also where nothing runs, because another session or a terminal may start something
        st.fragment(_entries, run_every=3 if busy else 10)()


def _entries() -> None:
    with guard():
        now = current()
        if untold():  # found here, told on the page
            st.rerun()
        _dataset(now)
        _model(now)
        news = announce.look(now.runs)
        if news:
            _entry("Just ended")
            for run in news:
                announce.link(run)
        if now.active:
            _entry("Training")
            line = sorted(now.active, key=lambda run: (run.status.state != "running", queue.place(run) or 0))
            for run in line[:_SHOWN]:
                _training(run)
            if len(line) > _SHOWN:
                st.caption(f"and {count(len(line) - _SHOWN)} more in line")


def _dataset(now: Current) -> None:
    _entry("Dataset")
    if now.dataset is None:
        st.page_link(page("data"), label="Choose a dataset")
        return
    st.page_link(page("data"), label=_short(now.dataset.title), query_params={"dataset": now.dataset.name})
    if not now.dataset.confirmed:
        st.caption("controls not confirmed yet")


def _model(now: Current) -> None:
    _entry("Model")
    if not usable(now.run):
        st.page_link(page("train"), label="None trained yet")
        return
    facts = cache.run_facts(now.run)
    st.page_link(page("train"), label=_short(facts.title), query_params={"run": now.run.name})
    st.caption(
        "ahead of the baselines" if facts.ahead else "not ahead of the baselines",
        help=facts.verdict or None,
    )


def _entry(name: str) -> None:
    st.markdown(f":small[:gray[{name}]]")


def _short(title: str, limit: int = 34) -> str:
    return plain(title if len(title) <= limit else title[: limit - 1] + "…")


def _training(run: RunDirectory) -> None:
    status = run.status
    if status.state == "queued":
        place = queue.place(run)
        label = "Starting" if place is None else f"{ordinal(place).capitalize()} in line"
        st.page_link(page("train"), label=label, query_params={"run": run.name})
        st.caption(_short(cache.run_facts(run).title))
        return
    label = f"{round(100 * status.fraction)} % · {status.stage or 'starting'}"
    st.page_link(page("train"), label=plain(label), query_params={"run": run.name})
    st.progress(min(max(status.fraction, 0.0), 1.0))
    if status.seconds_left is not None:
        st.caption(f"about {duration(status.seconds_left)} left")
