"""What only the browser can do about addresses: one stop of its way back for each act, and following a link unasked."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

_component = st.components.v2.component(
    "hyperperturb_address",
    js=(_HERE / "address.js").read_text(encoding="utf-8"),
)


def keep_history(*, known: bool, key: str) -> bool:
    """Keep the browser's way back in order; returns whether that is in place. It is told once, unless `known`."""
    return bool(_component(key=key, data={"tell": not known}, on_kept_change=lambda: None).kept)


def follow_link(container: str, *, name: str, instead: bool, key: str) -> None:
    """Follow the link in the container of that key as if it had been clicked, once for each `name`.

    With `instead`, the page that is left is no stop on the way back.
    """
    _component(key=key, data={"follow": container, "name": name, "instead": instead})
