"""The model, its effect head, training and inference (names are imported on first use)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "EffectHead": "hyperperturb.models.effect_head",
    "HyperPerturbInference": "hyperperturb.models.inference",
    "HyperPerturbModel": "hyperperturb.models.model",
    "PRESETS": "hyperperturb.models.settings",
    "TrainingSettings": "hyperperturb.models.settings",
    "train_model": "hyperperturb.models.train",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
