"""The model, its effect head, training and inference (names are imported on first use)."""

from __future__ import annotations

from hyperperturb.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "effect_head": "EffectHead",
        "inference": "HyperPerturbInference",
        "model": "HyperPerturbModel",
        "settings": "PRESETS TrainingSettings",
        "train": "train_model",
    },
)
