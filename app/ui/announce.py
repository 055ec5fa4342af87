"""A training that ends says so on whatever page its reader is, once in each session."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app.ui import cache
from app.ui.routes import ROUTES, page
from app.ui.text import plain
from hyperperturb.runs.directory import RunDirectory

_ENDED = ("finished", "failed")  # who cancels a run knows it
_SEEN, _NEWS, _TOASTS = "run_states", "run_news", "run_toasts"
_LISTS = ("home", "train")  # pages that say how runs stand


def ended(before: dict[str, str] | None, now: dict[str, str]) -> list[str]:
    """The runs that ended between two looks at the states of all; none at the first look.

    Parameters
    ----------
    before
        Name → state at the earlier look; None where there was none.
    now
        The same at this look.

    Examples
    --------
    >>> ended({"a": "running", "b": "finished"}, {"a": "failed", "b": "finished", "c": "finished"})
    ['a', 'c']
    >>> ended(None, {"a": "finished"})
    []
    """
    if before is None:
        return []
    return [name for name, state in now.items() if state in _ENDED and before.get(name) not in _ENDED]


def look(runs: Iterable[RunDirectory]) -> list[RunDirectory]:
    """Announce what has ended since this session's last look; returns the runs whose end was not read yet."""
    runs = {run.name: run for run in runs}
    states = {name: run.status.state for name, run in runs.items()}
    fresh = ended(st.session_state.get(_SEEN), states)
    st.session_state[_SEEN] = states
    st.session_state.setdefault(_NEWS, [])[:0] = fresh
    st.session_state.setdefault(_TOASTS, []).extend(fresh)
    if fresh and st.session_state.get("page_key") in _LISTS:
        st.rerun()  # what this page says about the runs is no longer so
    while st.session_state[_TOASTS]:
        if run := runs.get(st.session_state[_TOASTS].pop(0)):
            _toast(run)
    st.session_state[_NEWS] = [name for name in st.session_state[_NEWS] if name in runs]
    return [runs[name] for name in st.session_state[_NEWS]]


def _toast(run: RunDirectory) -> None:
    # a relative address stays right under whatever path the app is served
    way = f"[Show it]({ROUTES['train'].url_path}?run={run.name})"
    st.toast(f"**{plain(cache.run_facts(run).title)}**: {outcome(run)}. {way}", duration="long")


def read(run: RunDirectory) -> None:
    """Note that this session's reader looks at a run."""
    st.session_state[_NEWS] = [name for name in st.session_state.get(_NEWS, []) if name != run.name]


def outcome(run: RunDirectory) -> str:
    """How a run that ended has ended, in words."""
    if not run.usable:
        return "the training failed"
    known = cache.run_facts(run)
    if known.ahead is None:
        return "trained"
    return f"trained, {'' if known.ahead else 'not '}ahead of the baselines"


def link(run: RunDirectory) -> None:
    """The way to a run that has ended."""
    st.page_link(
        page("train"),
        label=plain(cache.run_facts(run).title),
        icon=":material/check_circle:" if run.usable else ":material/error:",
        query_params={"run": run.name},
    )
    st.caption(outcome(run))
