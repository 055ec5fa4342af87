"""The real screen: JAK2's cells taken out, its effect predicted from STRING and the other knock-outs."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.network import coexpression_network, read_network
from hyperperturb.models.baselines import training_mean
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.universe import build_universe

pytestmark = pytest.mark.slow


def test_jak2_is_predicted_without_its_cells(shared_data):
    from hyperperturb.data.screen import inspect_screen

    path = shared_data / "screens" / "papalexi2021_thp1_299genes.h5ad"
    proposal = inspect_screen(path).require_usable()
    effects = compute_effects(path, column=proposal.column, control=proposal.label)
    training = effects.select([p for p in effects.perturbations if p != "JAK2"])
    networks = [
        read_network(shared_data / "networks" / "string_high_confidence.csv"),
        coexpression_network(path, column=proposal.column, control=proposal.label),
    ]
    others = [i for i, g in enumerate(effects.genes) if g != "JAK2"]
    measured = effects.effect[effects.index("JAK2"), others]

    def agreement(predicted):
        return float(np.corrcoef(predicted[0, others], measured)[0, 1])

    reached = {}
    for name, chosen in (("string", networks[:1]), ("string and co-expression", networks)):
        universe = build_universe(
            chosen,
            targets=sorted({g for t in training.targets for g in t}),
            response_genes=training.genes,
            max_genes=2000,
        )
        head = EffectHead.fit(
            training.targets,
            training.genes,
            training.effect,
            kernels=GeneKernels(universe.genes, universe.diffusion),
            standard_error=training.standard_error,
            control_mean=training.control_mean,
        )
        assert "JAK2" in universe.genes
        assert "JAK2" not in head.target_genes
        reached[name] = agreement(head.predict([("JAK2",)])[0])
        assert head.support(["JAK2"])[0] > 0.05
    mean = agreement(training_mean(training, [("JAK2",)]))
    assert mean < 0.85, "the mean of the others must not be enough"
    assert min(reached.values()) >= 0.90, reached
