"""Columns that name batches, and whether effects can be computed within them."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.batches import find_batch_columns
from hyperperturb.data.effects import compute_effects
from hyperperturb.errors import HyperPerturbError

BY = {"column": "perturbation", "control": "control"}


@pytest.fixture
def path(adata, tmp_path):
    rng = np.random.default_rng(0)
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    del adata.obs["batch"]
    adata.obs["lane"] = np.where(np.arange(adata.n_obs) % 3 == 0, "l1", "l2")
    batch = rng.choice(["b1", "b2", "b3"], adata.n_obs).astype(object)
    batch[(batch == "b3") & (labels == "control")] = "b1"
    adata.obs["Batch"] = batch
    adata.obs["guide"] = [f"{label}_{i % 2}" for i, label in enumerate(labels)]
    adata.obs["phase"] = rng.choice(["G1", "S"], adata.n_obs)
    adata.obs["depth"] = rng.integers(5, size=adata.n_obs)
    adata.obs["kit"] = "one"
    adata.write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


def test_known_names_come_first_and_say_what_is_lacking(adata, path):
    found = find_batch_columns(path, **BY)
    labels, batch = adata.obs["perturbation"].astype(str), adata.obs["Batch"].astype(str)
    assert [entry.column for entry in found] == [
        "Batch",
        "lane",
        "phase",
    ]  # no guides, numbers, single values
    assert [entry.usable for entry in found] == [False, True, True]
    first, lane, _ = found
    assert (first.n_batches, first.lacking, first.fewest_controls) == (3, ("b3",), 0)
    assert first.lacking_cells == ((batch == "b3") & (labels != "control")).sum()
    assert "3 batches, of which 1 (b3) has" in first.sentence
    controls = adata.obs["lane"][labels == "control"].value_counts()
    assert lane.fewest_controls == controls.min()
    assert lane.sentence == f"2 batches, at least {controls.min()} control cells in each"


def test_what_is_usable_is_what_effects_can_be_computed_within(path):
    for entry in find_batch_columns(path, **BY):
        if entry.usable:
            assert np.isfinite(compute_effects(path, batch_column=entry.column, **BY).effect).all()
        else:
            with pytest.raises(HyperPerturbError, match="fewer than two controls"):
                compute_effects(path, batch_column=entry.column, **BY)


def test_the_real_screen_has_three_replicates(papalexi):
    (found,) = find_batch_columns(papalexi, column="perturbation", control="non-targeting")
    assert (found.column, found.n_batches, found.usable) == ("batch", 3, True)
    assert found.fewest_controls > 100
