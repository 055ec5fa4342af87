"""What the pictures of a screen's quality show."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.quality import assess_quality
from hyperperturb.plots import theme
from hyperperturb.plots.quality import batch_shares, energy_distances, guide_agreements


@pytest.fixture(scope="module")
def quality(small_simulation):
    return assess_quality(
        small_simulation.adata,
        column="perturbation",
        control="non-targeting",
        mode="knockdown",
        permutations=99,
    )


def test_every_perturbation_stands_beside_its_chance(quality):
    figure = energy_distances(quality)
    traces = {trace.name: trace for trace in figure.data}
    beyond = [row for row in quality.perturbations if row.energy_q < 0.05]
    assert sorted(traces["beyond chance"].y) == sorted(row.energy for row in beyond)
    assert traces["beyond chance"].marker.color == theme.LEAD
    silent = traces.get("not told from the controls")
    assert len(beyond) + (len(silent.y) if silent is not None else 0) == len(quality.perturbations)
    strongest = max(quality.perturbations, key=lambda row: row.energy)
    assert traces["by chance"].y[0] == strongest.energy_chance
    assert strongest.perturbation in traces["beyond chance"].text[0]
    low, high = 10 ** np.array(figure.layout.yaxis.range)
    assert low < min(row.energy_chance for row in quality.perturbations)
    assert high > strongest.energy


def test_names_from_a_file_are_text(quality):
    rows = tuple(
        row.model_copy(update={"perturbation": "<b>A</b>"}) if i == 0 else row
        for i, row in enumerate(quality.perturbations)
    )
    batches = (quality.batches[0].model_copy(update={"batch": "<i>1</i>"}), *quality.batches[1:])
    odd = quality.model_copy(update={"perturbations": rows, "batches": batches})
    for figure in (energy_distances(odd), guide_agreements(odd), batch_shares(odd)):
        assert "<b>A</b>" not in figure.to_json()
        assert "<i>1</i>" not in figure.to_json()


def test_guides_and_batches(quality):
    line, measured = guide_agreements(quality).data
    assert list(line.x) == list(line.y)
    assert list(measured.y) == [row.guide_agreement for row in quality.perturbations if row.guides > 1]
    controls, perturbed = batch_shares(quality).data
    assert sum(controls.y) == pytest.approx(100)
    total = sum(batch.perturbed_cells for batch in quality.batches)
    assert list(perturbed.y) == pytest.approx(
        [100 * batch.perturbed_cells / total for batch in quality.batches]
    )


def test_nothing_to_show_is_a_sentence(quality):
    rows = tuple(
        row.model_copy(update={"energy": None, "guide_agreement": None}) for row in quality.perturbations
    )
    bare = quality.model_copy(update={"perturbations": rows, "batches": ()})
    for figure, words in (
        (energy_distances(bare), "too few cells"),
        (guide_agreements(bare), "several guides"),
        (batch_shares(bare), "names batches"),
    ):
        assert not figure.data
        assert words in figure.layout.annotations[0].text
