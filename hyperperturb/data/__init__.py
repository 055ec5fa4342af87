"""From files to effects: screens, effects, networks and the demo screen.

Public names are imported on first use.
"""

from __future__ import annotations

from hyperperturb.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "effects": "Effects compute_effects read_effects",
        "loading": "load_and_preprocess_perturbation_data",
        "network": "Network coexpression_network combine_networks coverage network_from_adjacency read_network",
        "preprocess": "prepare_perturbation_data preprocess_data",
        "proteins": "compute_protein_effects",
        "quality": "assess_quality",
        "screen": "ControlProposal LabelCandidate Repair Screen ScreenReport "
        "inspect_screen normalise_label open_screen parse_targets",
        "simulate": "SimulatedScreen simulate_screen write_simulation",
    },
)
