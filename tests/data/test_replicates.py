"""Two halves of a screen: disjoint, whole together, and as different as sampling makes them."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.replicates import _share_out, compute_replicates
from hyperperturb.errors import HyperPerturbError

LABELS = {"column": "perturbation", "control": "non-targeting"}


@pytest.fixture(scope="module")
def adata():
    """Sixty cells a label, three guides of unlike sizes each, two batches."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["non-targeting", "A", "B"], 60)
    guide = [f"{label}_g{[1, 1, 1, 2, 2, 3][i % 6]}" for i, label in enumerate(labels)]
    counts = rng.poisson(2.0, size=(180, 12)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "guide": guide,
            "batch": np.where(np.arange(180) % 3 < 1, "one", "two"),
            "condition": np.where(np.arange(180) % 2 < 1, "rest", "stimulated"),
        },
        index=[f"c{i}" for i in range(180)],
    )
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(12)]))


def test_the_whole_is_what_effects_are(adata):
    plain, got = compute_effects(adata, **LABELS), compute_replicates(adata, **LABELS, by="cells")
    assert got.whole.perturbations == plain.perturbations
    assert got.whole.effect == pytest.approx(plain.effect, abs=1e-6)
    assert got.whole.standard_error == pytest.approx(plain.standard_error, abs=1e-6)
    assert got.whole.n_cells.tolist() == plain.n_cells.tolist()
    assert got.words == "cells at random"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("cells", "cells at random"),
        ("auto", "guides (guide)"),
        ("guide", "guides (guide)"),
        ("batch", "batches (batch)"),
    ],
)
def test_halves_are_disjoint_and_whole_together(adata, by, words):
    got = compute_replicates(adata, **LABELS, by=by)
    assert got.words == words
    assert got.halves[0].n_cells + got.halves[1].n_cells == pytest.approx(got.whole.n_cells)
    together = (
        got.halves[0].mean * got.halves[0].n_cells[:, None]
        + got.halves[1].mean * got.halves[1].n_cells[:, None]
    ) / got.whole.n_cells[:, None]
    assert together == pytest.approx(got.whole.mean, abs=1e-5)
    assert not np.allclose(got.halves[0].effect, got.halves[1].effect)


@pytest.mark.parametrize("by", ["cells", "guide", "batch", "none"])
def test_within_batches_the_whole_is_what_effects_are(adata, by):
    adata = adata.copy()
    adata.X[adata.obs["batch"] == "one"] *= 1 + np.arange(12)
    plain = compute_effects(adata, **LABELS)
    want = compute_effects(adata, **LABELS, batch_column="batch")
    got = compute_replicates(adata, **LABELS, by=by, batch_column="batch")
    assert got.whole.effect == pytest.approx(want.effect, abs=1e-6)
    assert got.whole.standard_error == pytest.approx(want.standard_error, abs=1e-6)
    assert np.abs(want.standard_error - plain.standard_error).max() > 1e-3
    if by == "batch":  # each half is a batch, against its own controls
        one = compute_effects(adata[adata.obs["batch"] == "one"].copy(), **LABELS)
        there = [np.allclose(half.effect, one.effect, atol=1e-6) for half in got.halves]
        assert sorted(there) == [False, True]


def test_a_half_whose_controls_miss_a_batch_is_refused(adata):
    adata = adata.copy()
    adata.obs["lane"] = adata.obs["batch"].to_numpy()
    one = (adata.obs["batch"] == "one") & (adata.obs["perturbation"] == "non-targeting")
    adata.obs.loc[one, "guide"] = "non-targeting_g1"
    adata.obs.loc[~one & (adata.obs["perturbation"] == "non-targeting"), "guide"] = "non-targeting_g2"
    with pytest.raises(HyperPerturbError, match=r"cells of every batch .column 'lane'. in each half"):
        compute_replicates(adata, **LABELS, by="guide", batch_column="lane")
    assert compute_replicates(adata, **LABELS, by="auto", batch_column="lane").words == "cells at random"


def test_guides_stay_whole(adata):
    """Guides of 30, 20 and 10 cells make halves of 30 each: the effect of one half is that of the first guide."""
    got = compute_replicates(adata, **LABELS, by="guide")
    alone = adata[[g.endswith("_g1") for g in adata.obs["guide"]]].copy()
    assert set(got.halves[0].n_cells.tolist()) == {30}
    one = compute_effects(alone, **LABELS).mean
    for row in range(2):
        assert min(np.abs(half.mean[row] - one[row]).max() for half in got.halves) < 1e-5


def test_within_a_condition(adata):
    got = compute_replicates(adata, **LABELS, within=("condition", "rest"), by="cells")
    plain = compute_effects(adata[adata.obs["condition"] == "rest"].copy(), **LABELS)
    assert got.whole.effect == pytest.approx(plain.effect, abs=1e-6)
    assert got.whole.n_cells.tolist() == [30, 30]
    with pytest.raises(HyperPerturbError, match="no value 'cold'"):
        compute_replicates(adata, **LABELS, within=("condition", "cold"))


def test_perturbations_that_fall_on_one_side_are_left_out(adata):
    few = adata[[not (g.startswith("B") and not g.endswith("g1")) for g in adata.obs["guide"]]].copy()
    got = compute_replicates(few, **LABELS, by="guide")
    assert got.whole.perturbations == ("A", "B")
    assert got.halves[0].perturbations == got.halves[1].perturbations == ("A",)


def test_controls_under_one_name_are_halved_by_cell(adata):
    one = adata.copy()
    one.obs["guide"] = [g if not g.startswith("non") else "NT" for g in one.obs["guide"]]
    got = compute_replicates(one, **LABELS, by="guide")
    assert (got.halves[0].n_control_cells, got.halves[1].n_control_cells) == (30, 30)


def test_too_few_cells_are_refused(adata):
    small = adata[::6].copy()
    with pytest.raises(HyperPerturbError, match="do not have 10 cells in each half"):
        compute_replicates(small, **LABELS, by="batch")
    got = compute_replicates(small, **LABELS)
    assert got.halves is None, "unasked, there is just no ceiling"
    assert got.whole.effect == pytest.approx(compute_effects(small, **LABELS).effect, abs=1e-6)


def test_nothing_is_halved_where_nothing_is_wanted(adata):
    got = compute_replicates(adata, **LABELS, by="none")
    assert (got.halves, got.words) == (None, "")
    assert got.whole.effect == pytest.approx(compute_effects(adata, **LABELS).effect, abs=1e-6)


def test_shares_are_even():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 100, size=40)
    half = _share_out(size, rng)
    assert abs(size[half == 0].sum() - size[half == 1].sum()) <= size.max()
