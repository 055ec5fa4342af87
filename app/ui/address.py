"""The address of the app in the browser: reading it, writing it, and leading on to another.

Browser and server tell each other about the address by messages that may cross: a request that the browser sends just
after a choice may still name the choice before. So what the server has written stays in force until the browser has
had time to hear of it.
"""

from __future__ import annotations

import time
import uuid

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.components.address import follow_link, keep_history
from app.ui.routes import page

LATE = 3.0
"""Seconds in which a request may still name an address that was replaced."""
_PAGE, _WRITTEN, _REPLACED = "address_page", "address_written", "address_replaced"
_KEPT, _LEAD = "address_kept", "address_lead"


def outdated(asked: dict[str, str], replaced: list[tuple[float, dict[str, str]]], now: float) -> bool:
    """Whether an address that a request names was replaced so shortly before that the browser had not heard of it.

    Parameters
    ----------
    asked
        What the address of the request names.
    replaced
        Addresses that were replaced, each with the time.
    now
        The time of the request, of the same clock, in seconds.

    Examples
    --------
    >>> replaced = [(10.0, {"gene": "STAT1"})]
    >>> outdated({"gene": "STAT1"}, replaced, 10.2), outdated({"gene": "STAT1"}, replaced, 100.0)
    (True, False)
    >>> outdated({"gene": "IRF1"}, replaced, 10.2)
    False
    """
    return any(old == asked and now - when < LATE for when, old in replaced)


def came_back() -> bool:
    """Whether this run of the script is there because somebody went back or forward in the browser."""
    # Streamlit knows, and tells scripts in no other way
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


def read(page_key: str) -> dict[str, str] | None:
    """What the address names at the start of a run of the page; None where the last choice is newer than that."""
    asked = st.query_params.to_dict()
    if _PAGE in st.session_state:
        st.session_state[_KEPT] = True
    if st.session_state.get(_PAGE) != page_key:
        st.session_state[_PAGE] = page_key
        st.session_state[_REPLACED] = []
    elif (
        not came_back()
        and asked != st.session_state.get(_WRITTEN)
        and outdated(asked, st.session_state[_REPLACED], time.monotonic())
    ):
        return None
    st.session_state[_WRITTEN] = asked
    return asked


def complete(named: dict[str, str]) -> None:
    """Let the address name this, which is what it named and what goes without saying.

    The browser is told even where nothing is new: after a link to the page that it is on, it shows another address than
    it has asked with.
    """
    st.session_state[_WRITTEN] = named
    if st.session_state.get(_KEPT):  # while the page is opened, it would be a stop of its own on the way back
        st.query_params.from_dict(named)


def change(named: dict[str, str]) -> None:
    """Let the address name a new choice, and what else it is to name."""
    before = st.session_state.get(_WRITTEN)
    if before == named:
        return
    if before is not None:
        now = time.monotonic()
        kept = [
            (when, old) for when, old in st.session_state[_REPLACED] if now - when < LATE and old != named
        ]
        st.session_state[_REPLACED] = [*kept, (now, before)]
    complete(named)


def lead(page_key: str, params: dict[str, str], *, instead: bool = False) -> None:
    """Go on to another page of the app, once this one is drawn.

    The browser follows a link by itself, because a change of page made on the server can be overtaken by the next
    request of a part of the old page that renews itself; Streamlit then shows neither. With `instead`, this page is no
    stop on the way back.
    """
    st.session_state[_LEAD] = {
        "to": page_key,
        "params": params,
        "instead": instead,
        "here": st.session_state["page_key"],
        "name": uuid.uuid4().hex,
    }


def follow(page_key: str) -> None:
    """Draw the link that `lead` asked for, until the page `page_key` has been left."""
    way = st.session_state.get(_LEAD)
    if way is None:
        return
    if way["here"] != page_key:
        del st.session_state[_LEAD]
        return
    with st.container(key="lead"):
        st.page_link(page(way["to"]), label="Go on", query_params=way["params"] or None)
        follow_link("lead", name=way["name"], instead=way["instead"], key="lead_on")


@st.fragment
def keep(publish) -> None:
    """Put the browser's part in place; `publish` writes the address as soon as it is."""
    with st.container(key="address"):
        kept = keep_history(known=bool(st.session_state.get(_KEPT)), key="address_kept_now")
    if kept and not st.session_state.get(_KEPT):
        st.session_state[_KEPT] = True
        publish()
