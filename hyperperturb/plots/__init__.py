"""Functions from results to plotly figures; nothing here knows the web app.

Every function returns a :class:`plotly.graph_objects.Figure` that reads on a light and on a dark page. Public names
are imported on first use, so that importing this package costs nothing.

>>> from hyperperturb import plots
>>> plots.theme.UP
'#D55E00'
"""

from __future__ import annotations

from hyperperturb.lazy import lazy

_NAMES = {
    "comparison": "compared_losses compared_scores",
    "disk": "static_disk",
    "effects": "additive_vs_predicted predicted_vs_measured ranked_bars volcano",
    "enrichment": "enriched_terms",
    "evaluation": "hub_radius method_scores paired_leads",
    "held_out": "coverage_shares error_calibration left_out_scatter perturbation_errors",
    "network": "response_graph",
    "numbers": "figure_numbers",
    "predictions": "effect_map effects_compared interventions largest_differences",
    "quality": "batch_shares energy_distances guide_agreements",
    "screen": "cells_per_perturbation effect_sizes",
    "theme": "style",
    "training": "component_curves loss_curves",
}
__getattr__, __dir__, __all__ = lazy(__name__, _NAMES, modules=(*_NAMES, "document", "encode"))
