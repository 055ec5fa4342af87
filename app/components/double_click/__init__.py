"""Hears a double click in figures of the page: plotly tells of one only where its own selection is still there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

_component = st.components.v2.component(
    "hyperperturb_double_click",
    html="<span></span>",
    js=(Path(__file__).parent / "double_click.js").read_text(encoding="utf-8"),
)


def on_double_click(figure_keys: Sequence[str], then: Callable[[], None], *, key: str) -> None:
    """Call `then` when one of the figures that `st.plotly_chart` drew under these keys is clicked twice.

    A figure whose data change is a new widget to Streamlit, which then forgets what was selected in it, and says
    nothing when the reader takes the selection back.
    """
    # Streamlit writes the key into a class of the figure's element, with what no class may hold as a dash.
    classes = [re.sub(r"[^a-zA-Z0-9_-]", "-", name.strip()) for name in figure_keys]
    with st.container(key=f"unseen_{key}"):
        _component(key=key, data={"figures": classes}, on_twice_change=then)
