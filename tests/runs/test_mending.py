"""A button of the repair list: a mended copy takes the place of the file, which stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import datasets
from hyperperturb.runs.mending import mend_dataset
from hyperperturb.runs.workspace import Workspace


@pytest.fixture
def path(small_simulation, tmp_path):
    adata = small_simulation.adata.copy()
    label = adata.obs["perturbation"].astype(str).to_numpy(dtype=object)
    label[::50] = None
    label[1::50] = "unassigned"
    adata.obs["perturbation"] = label
    adata.write_h5ad(tmp_path / "spoilt.h5ad")
    return tmp_path / "spoilt.h5ad"


def codes(dataset):
    return {entry.code for entry in dataset.report.repairs}


def test_one_entry_after_the_other(tmp_path, path):
    ws = Workspace(tmp_path / "home")
    bytes_before = path.read_bytes()
    datasets.register_dataset(ws, path)
    confirmed = datasets.confirm_controls(ws, "spoilt", column="perturbation", control="non-targeting")
    assert {"missing-labels", "labels-left-out"} <= codes(confirmed)
    mended = mend_dataset(ws, "spoilt", "missing-labels")
    assert mended == datasets.get_dataset(ws, "spoilt")
    assert "missing-labels" not in codes(mended)
    assert mended.report.n_cells == 1470
    assert not mended.confirmed
    assert mended.note.endswith("Mended here: cells without a label left out.")
    assert not confirmed.effects_path.exists()
    again = mend_dataset(ws, "spoilt", "labels-left-out")
    assert not {"missing-labels", "labels-left-out"} & codes(again)
    assert again.report.n_cells == 1440
    assert not mended.source.exists(), "one copy is enough"
    assert path.read_bytes() == bytes_before
    effects = datasets.confirm_controls(ws, "spoilt", column="perturbation", control="non-targeting")
    assert np.isfinite(datasets.load_effects(ws, "spoilt").effect).all()
    assert effects.source.parent == ws.datasets_dir / "spoilt"


def test_what_is_not_in_the_list_is_refused(tmp_path, path):
    ws = Workspace(tmp_path / "home")
    before = datasets.register_dataset(ws, path)
    for code in ("empty-cells", "targets-not-measured", "nonsense"):
        with pytest.raises(HyperPerturbError, match="no entry"):
            mend_dataset(ws, "spoilt", code)
    assert datasets.get_dataset(ws, "spoilt") == before
