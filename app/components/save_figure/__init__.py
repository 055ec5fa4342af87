"""Two buttons that save a figure of the page as a picture, PNG or SVG, without a rerun."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent

_component = st.components.v2.component(
    "hyperperturb_save_figure",
    html=(_HERE / "save.html").read_text(encoding="utf-8"),
    css=(_HERE / "save.css").read_text(encoding="utf-8"),
    js=(_HERE / "save.js").read_text(encoding="utf-8"),
)


def save_buttons(figure_key: str, *, key: str) -> None:
    """Offer the figure that `st.plotly_chart` drew under ``figure_key`` as a picture.

    The file has the name that the figure's ``toImageButtonOptions`` say.
    """
    # Streamlit writes the key into a class of the figure's element, with what no class may hold as a dash.
    _component(key=key, data={"figure": re.sub(r"[^a-zA-Z0-9_-]", "-", figure_key.strip())})
