"""The settings of a training: a preset, and the rest folded away with the reason for each default."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from app.ui.text import count
from hyperperturb.models.settings import PRESETS, TrainingSettings

ABOUT = {
    "quick": "A first look.",
    "standard": "The default.",
    "thorough": "More genes, more cells, more epochs.",
}


def choose() -> TrainingSettings:
    """A preset, changed where a person changed it."""
    preset = st.segmented_control(
        "Preset",
        list(PRESETS),
        default="standard",
        required=True,
        format_func=str.capitalize,
        key="preset",
        width="stretch",
    )
    start = PRESETS[preset]
    st.caption(
        f"{ABOUT.get(preset, '')} {count(start.epochs)} epochs, up to {count(start.max_genes)} genes and "
        f"{count(start.max_cells)} cells."
    )
    values: dict[str, Any] = {}
    with st.expander("All settings"):
        columns = st.columns(2)
        for index, (name, field) in enumerate(TrainingSettings.model_fields.items()):
            with columns[index % 2]:
                values[name] = _widget(name, field, getattr(start, name), f"{preset}_{name}")
    return TrainingSettings(**values)


def _limit(field: FieldInfo, low: str, high: str) -> tuple[Any, Any]:
    """Smallest and largest value that the model allows, as the widget needs them."""
    lowest = next((getattr(m, low) for m in field.metadata if hasattr(m, low)), None)
    highest = next((getattr(m, high) for m in field.metadata if hasattr(m, high)), None)
    return lowest, highest


def _widget(name: str, field: FieldInfo, value: Any, key: str) -> Any:
    label, help_text = name.replace("_", " ").capitalize(), field.description
    if isinstance(value, bool):
        return st.checkbox(label, value, key=key, help=help_text)
    choices = get_args(field.annotation)
    if choices:
        return st.selectbox(label, choices, choices.index(value), key=key, help=help_text)
    if isinstance(value, int):
        low, high = _limit(field, "ge", "le")
        return st.number_input(label, low, high, value, step=1, key=key, help=help_text)
    least, _ = _limit(field, "ge", "le")
    low, high = _limit(field, "gt", "le")
    # Where the model's limits exclude zero, the widget's step must not reach it.
    return st.number_input(
        label,
        min_value=low + 1e-6 if low is not None else None if least is None else float(least),
        max_value=float(high)
        if high is not None
        else next((m.lt for m in field.metadata if hasattr(m, "lt")), 1.0) - 1e-6,
        value=float(value),
        format="%.4g",
        key=key,
        help=help_text,
    )
