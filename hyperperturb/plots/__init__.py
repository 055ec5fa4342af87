"""Functions from results to plotly figures; nothing here knows the web app.

Every function returns a :class:`plotly.graph_objects.Figure` that reads on a light and on a dark page. Public names
are imported on first use, so that importing this package costs nothing.

>>> from hyperperturb import plots
>>> plots.theme.UP
'#D55E00'
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "additive_vs_predicted": "effects",
    "cells_per_perturbation": "screen",
    "effect_map": "predictions",
    "effect_sizes": "screen",
    "effects_compared": "predictions",
    "batch_shares": "quality",
    "energy_distances": "quality",
    "enriched_terms": "enrichment",
    "guide_agreements": "quality",
    "compared_losses": "comparison",
    "compared_scores": "comparison",
    "coverage_shares": "held_out",
    "error_calibration": "held_out",
    "figure_numbers": "numbers",
    "hub_radius": "evaluation",
    "interventions": "predictions",
    "largest_differences": "predictions",
    "left_out_scatter": "held_out",
    "loss_curves": "training",
    "component_curves": "training",
    "method_scores": "evaluation",
    "paired_leads": "evaluation",
    "perturbation_errors": "held_out",
    "predicted_vs_measured": "effects",
    "ranked_bars": "effects",
    "response_graph": "network",
    "static_disk": "disk",
    "style": "theme",
    "volcano": "effects",
}
_MODULES = (
    "comparison",
    "disk",
    "document",
    "effects",
    "encode",
    "enrichment",
    "evaluation",
    "held_out",
    "network",
    "numbers",
    "predictions",
    "quality",
    "screen",
    "theme",
    "training",
)

__all__ = [
    "comparison",
    "disk",
    "document",
    "effects",
    "encode",
    "enrichment",
    "evaluation",
    "held_out",
    "network",
    "numbers",
    "predictions",
    "quality",
    "screen",
    "theme",
    "training",
    *sorted(_WHERE),
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
