"""The settings of a training: a preset, and the rest folded away with the reason for each default."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

from app.ui import networks
from app.ui.text import count
from hyperperturb import machine
from hyperperturb.models.settings import PRESETS, TrainingSettings
from hyperperturb.runs.comparison import preset_of
from hyperperturb.runs.config import RunConfig

FORM = {
    "Size": {
        "max_genes": "Genes at most",
        "max_cells": "Cells at most",
        "epochs": "Epochs",
        "batch_size": "Cells a step",
    },
    "Space": {
        "embedding_dim": "Dimensions",
        "curvature": "Curvature",
        "hidden_dim": "Hidden width",
    },
    "Steps": {"point_learning_rate": "Step, genes", "learning_rate": "Step, cells"},
    "Judging": {"validation_split": "Share held out", "folds": "Folds", "seed": "Seed"},
    "Techniques": {
        "annealing": "Annealing Γ",
        "stdp": "STDP rule",
        "curriculum": "Easy perturbations first (curriculum)",
        "jit_compile": "Compile with XLA",
        "cell_heads": "Learn from cells",
    },
}
"""Heading → setting → its label; what a setting is and why it has its default stands in its description."""

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
        for heading, labels in FORM.items():
            st.markdown(f":small[:gray[{heading}]]")
            columns: list[DeltaGenerator] = []
            for name, label in labels.items():
                field, value = TrainingSettings.model_fields[name], getattr(start, name)
                if isinstance(value, bool):
                    place = st.container()
                else:  # numbers in pairs
                    columns = columns or st.columns(2, vertical_alignment="bottom")
                    place = columns.pop(0)
                with place:
                    values[name] = _widget(label, field, value, f"{preset}_{name}")
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
        format_func=found.__getitem__,
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
    n, first = len(devices), devices[0]
    found = {"auto": machine.in_words(n, first, gpu=True) if gpus else first}
    if n > 1:
        found |= {"default": first} if gpus else {"mirrored": machine.in_words(n, first, gpu=False)}
    if workers:
        found["multiworker"] = "Machines in TF_CONFIG"
    return found


def _limit(field: FieldInfo, low: str, high: str) -> tuple[Any, Any]:
    """Smallest and largest value that the model allows, as the widget needs them."""
    lowest = next((getattr(m, low) for m in field.metadata if hasattr(m, low)), None)
    highest = next((getattr(m, high) for m in field.metadata if hasattr(m, high)), None)
    return lowest, highest


def _widget(label: str, field: FieldInfo, value: Any, key: str) -> Any:
    help_text = field.description
    st.session_state.setdefault(key, value)  # not as the widget's own value: `take` sets it too
    if isinstance(value, bool):
        return st.checkbox(label, key=key, help=help_text)
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
