"""What several runs were told differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperperturb.models.settings import PRESETS
from hyperperturb.runs.config import RunConfig


def preset_of(config: RunConfig) -> str | None:
    """The preset a run's settings are, whatever its seed and strategy; None where a person changed more.

    Examples
    --------
    >>> preset_of(RunConfig(settings=PRESETS["quick"]))
    'quick'
    """
    aside = {"seed", "strategy"}
    mine = config.settings.model_dump(exclude=aside)
    return next((name for name, s in PRESETS.items() if s.model_dump(exclude=aside) == mine), None)


def told(config: RunConfig) -> dict[str, Any]:
    """Everything that a person chose for a run, as words and numbers by name."""
    return {
        "preset": preset_of(config) or "own settings",
        "dataset": config.dataset or (config.screen or config.effects or "data in memory"),
        "mode": config.mode,
        "control": config.control,
        "networks": ", ".join(sorted(source.path.name for source in config.networks)) or "none",
        "co-expression": config.coexpression,
        "left out": ", ".join(config.exclude) or "none",
        **{name.replace("_", " "): value for name, value in config.settings.model_dump().items()},
    }


def differing(configs: Mapping[str, RunConfig]) -> list[dict[str, str]]:
    """What differs among runs: one row a setting, one column a run.

    Parameters
    ----------
    configs
        Name → configuration.

    Returns
    -------
    list of dict
        ``setting``, and each name; empty where all were told the same.

    Examples
    --------
    >>> one = RunConfig(settings=PRESETS["standard"])
    >>> other = RunConfig(settings=PRESETS["standard"].model_copy(update={"epochs": 60}))
    >>> differing({"A": one, "B": other})[1]
    {'setting': 'epochs', 'A': '30', 'B': '60'}
    """
    rows = {name: told(config) for name, config in configs.items()}
    keys = next(iter(rows.values()), {})
    return [
        {"setting": key, **{name: _words(row[key]) for name, row in rows.items()}}
        for key in keys
        if len({str(row[key]) for row in rows.values()}) > 1
    ]


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
