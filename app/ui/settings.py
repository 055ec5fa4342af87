"""The settings of a training: a preset, and the rest folded away with the reason for each default."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from app.ui import networks
from app.ui.text import count
from hyperperturb import machine
from hyperperturb.models.settings import PRESETS, TrainingSettings
from hyperperturb.runs.comparison import preset_of
from hyperperturb.runs.config import RunConfig

ABOUT = {
    "quick": "A first look.",
    "standard": "The default.",
    "thorough": "More genes, more cells, more epochs.",
}


def choose() -> TrainingSettings:
    """A preset, changed where a person changed it."""
    st.session_state.setdefault("preset", "standard")
    preset = st.segmented_control(
        "Preset",
        list(PRESETS),
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
    values: dict[str, Any] = {"strategy": _strategy()}
    with st.expander("All settings"):
        columns = st.columns(2)
        others = [entry for entry in TrainingSettings.model_fields.items() if entry[0] != "strategy"]
        for index, (name, field) in enumerate(others):
            with columns[index % 2]:
                values[name] = _widget(name, field, getattr(start, name), f"{preset}_{name}")
    return TrainingSettings(**values)


def take(config: RunConfig) -> None:
    """Put what a run was told into the form: settings, networks and what is left out (before the form is drawn)."""
    preset = preset_of(config) or st.session_state.get("preset", "standard")
    st.session_state["preset"] = preset
    for name, value in config.settings.model_dump().items():
        if name != "strategy":
            st.session_state[f"{preset}_{name}"] = value
    if config.settings.strategy in _found():
        st.session_state["strategy"] = config.settings.strategy
    networks.take(config)
    st.session_state[f"exclude_{config.dataset}"] = list(config.exclude)


def _strategy() -> str:
    """What trains, where there is a choice."""
    found = _found()
    if len(found) == 1:
        return "auto"
    return st.selectbox(
        "Devices",
        list(found),
        format_func=lambda name: found[name][:1].upper() + found[name][1:],
        key="strategy",
        help=TrainingSettings.model_fields["strategy"].description,
    )


def device(strategy: str) -> str:
    """What a strategy trains on here, in words."""
    return _found()[strategy]


def _found() -> dict[str, str]:
    return strategies(machine.devices(), gpus=bool(machine.gpus()), workers="TF_CONFIG" in os.environ)


def strategies(devices: Sequence[str], *, gpus: bool, workers: bool) -> dict[str, str]:
    """The strategies that make sense here, with what each of them trains on.

    Parameters
    ----------
    devices
        Names of the devices.
    gpus
        Whether they are graphics processors; the CPU is divided only when that is asked for.
    workers
        Whether the server knows of several machines.

    Examples
    --------
    >>> strategies(["CPU (x86_64, 2 cores)"], gpus=False, workers=False)
    {'auto': 'CPU (x86_64, 2 cores)'}
    """
    n = len(devices)
    if n == 1:
        found = {"auto": devices[0]}
    elif gpus:
        found = {"auto": f"all {n} GPUs ({devices[0]})", "default": f"one GPU ({devices[0]})"}
    else:
        found = {"auto": "the CPU as one device", "mirrored": f"{n} devices made of the CPU"}
    if workers:
        found["multiworker"] = "the machines in TF_CONFIG"
    return found


def _limit(field: FieldInfo, low: str, high: str) -> tuple[Any, Any]:
    """Smallest and largest value that the model allows, as the widget needs them."""
    lowest = next((getattr(m, low) for m in field.metadata if hasattr(m, low)), None)
    highest = next((getattr(m, high) for m in field.metadata if hasattr(m, high)), None)
    return lowest, highest


def _widget(name: str, field: FieldInfo, value: Any, key: str) -> Any:
    label, help_text = name.replace("_", " ").capitalize(), field.description
    st.session_state.setdefault(key, value)  # not as the widget's own value: `take` sets it too
    if isinstance(value, bool):
        return st.checkbox(label, key=key, help=help_text)
    choices = get_args(field.annotation)
    if choices:
        return st.selectbox(label, choices, key=key, help=help_text)
    if isinstance(value, int):
        low, high = _limit(field, "ge", "le")
        return st.number_input(label, low, high, step=1, key=key, help=help_text)
    least, _ = _limit(field, "ge", "le")
    low, high = _limit(field, "gt", "le")
    # Where the model's limits exclude zero, the widget's step must not reach it.
    return st.number_input(
        label,
        min_value=low + 1e-6 if low is not None else None if least is None else float(least),
        max_value=float(high)
        if high is not None
        else next((m.lt for m in field.metadata if hasattr(m, "lt")), 1.0) - 1e-6,
        format="%.4g",
        key=key,
        help=help_text,
    )
