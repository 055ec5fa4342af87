"""One line on top of a page that says which step comes next; dismissed in the browser, without a rerun."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

_component = st.components.v2.component(
    "hyperperturb_guide",
    html=(_HERE / "guide.html").read_text(encoding="utf-8"),
    css=(_HERE / "guide.css").read_text(encoding="utf-8"),
    js=(_HERE / "guide.js").read_text(encoding="utf-8"),
)


def guide_line(
    count: str,
    words: str,
    steps: Sequence[str],
    *,
    go: str = "",
    way: str = "",
    offer: bool = False,
    key: str,
) -> None:
    """Draw the line.

    `count` and `words` are what it says, `steps` the state of every step (``"done"``, ``"next"``, ``"later"``), `go`
    the word on the button, none where one is there already; it follows the link in the container called `way`. Without
    words there is no line. With `offer`, who has dismissed the guide is offered it again.
    """
    data = {"count": count, "words": words, "steps": list(steps), "go": go, "way": way, "offer": offer}
    _component(key=key, data=data)
