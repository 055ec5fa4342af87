"""From files to effects: screens, effects, networks and the demo screen.

Public names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "ControlProposal": "hyperperturb.data.screen",
    "Effects": "hyperperturb.data.effects",
    "LabelCandidate": "hyperperturb.data.screen",
    "Network": "hyperperturb.data.network",
    "Repair": "hyperperturb.data.screen",
    "Screen": "hyperperturb.data.screen",
    "ScreenReport": "hyperperturb.data.screen",
    "SimulatedScreen": "hyperperturb.data.simulate",
    "combine_networks": "hyperperturb.data.network",
    "coexpression_network": "hyperperturb.data.network",
    "compute_effects": "hyperperturb.data.effects",
    "compute_protein_effects": "hyperperturb.data.proteins",
    "coverage": "hyperperturb.data.network",
    "inspect_screen": "hyperperturb.data.screen",
    "load_and_preprocess_perturbation_data": "hyperperturb.data.loading",
    "network_from_adjacency": "hyperperturb.data.network",
    "normalise_label": "hyperperturb.data.screen",
    "assess_quality": "hyperperturb.data.quality",
    "open_screen": "hyperperturb.data.screen",
    "parse_targets": "hyperperturb.data.screen",
    "prepare_perturbation_data": "hyperperturb.data.preprocess",
    "preprocess_data": "hyperperturb.data.preprocess",
    "read_effects": "hyperperturb.data.effects",
    "read_network": "hyperperturb.data.network",
    "simulate_screen": "hyperperturb.data.simulate",
    "write_simulation": "hyperperturb.data.simulate",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
