"""What several runs were told differently."""

from __future__ import annotations

from pathlib import Path

from hyperperturb.models.settings import PRESETS
from hyperperturb.runs.comparison import differing, preset_of
from hyperperturb.runs.config import NetworkSource, RunConfig


def test_only_what_differs_is_listed_in_words():
    quick, standard = PRESETS["quick"], PRESETS["standard"]
    one = RunConfig(settings=quick, networks=(NetworkSource(path=Path("a.csv")),))
    other = RunConfig(settings=standard.model_copy(update={"curriculum": True}), exclude=("JAK2", "STAT1"))
    rows = {row["setting"]: (row["A"], row["B"]) for row in differing({"A": one, "B": other})}
    assert rows == {
        "preset": ("quick", "own settings"),
        "networks": ("a.csv", "none"),
        "left out": ("none", "JAK2, STAT1"),
        "epochs": ("10", "30"),
        "max genes": ("2000", "4000"),
        "max cells": ("8000", "20000"),
        "curriculum": ("no", "yes"),
    }
    assert differing({"A": one, "B": one}) == differing({}) == []


def test_a_preset_is_recognised_whatever_the_seed():
    for name, settings in PRESETS.items():
        assert preset_of(RunConfig(settings=settings.model_copy(update={"seed": 7}))) == name
    assert preset_of(RunConfig(settings=PRESETS["quick"].model_copy(update={"epochs": 11}))) is None
