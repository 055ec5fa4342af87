"""The estimate beside the Start button: near what was measured, growing with what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from app.ui import estimate
from hyperperturb.data.effects import Effects
from hyperperturb.models.settings import PRESETS


def effects(n_genes: int, n_perturbations: int, n_cells: int) -> Effects:
    genes = tuple(f"G{i}" for i in range(n_genes))
    shape = (n_perturbations, n_genes)
    return Effects(
        perturbations=genes[:n_perturbations],
        targets=tuple((gene,) for gene in genes[:n_perturbations]),
        genes=genes,
        effect=np.zeros(shape, np.float32),
        standard_error=np.ones(shape, np.float32),
        n_cells=np.full(n_perturbations, n_cells // n_perturbations),
        control="control",
    )


@pytest.mark.parametrize(
    ("preset", "n_genes", "n_perturbations", "n_cells", "measured"),
    [("quick", 600, 100, 10_500, 54), ("standard", 4000, 25, 18_000, 94)],
)
def test_estimates_are_within_a_factor_of_two_of_what_was_measured(
    preset, n_genes, n_perturbations, n_cells, measured
):
    said = estimate.seconds(
        PRESETS[preset], effects(300, n_perturbations, n_cells), n_genes=n_genes, cells=True
    )
    assert measured / 2 < said < 2 * measured


def test_the_universe_stops_at_its_limit_and_cells_cost_time():
    many = effects(3000, 20, 9000)
    assert estimate.universe(PRESETS["quick"], many, []) == 2000
    assert estimate.universe(PRESETS["standard"], many, []) == 3000
    with_cells = estimate.seconds(PRESETS["standard"], many, n_genes=3000, cells=True)
    assert with_cells > estimate.seconds(PRESETS["standard"], many, n_genes=3000, cells=False)
    assert "3\u202f000 genes" in estimate.estimate(PRESETS["standard"], many, [], cells=True)
