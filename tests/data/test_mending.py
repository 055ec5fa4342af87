"""Every button of the repair list removes its own entry, and nothing else that could be used."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.mending import MENDS, mend_screen
from hyperperturb.data.repairs_names import alike_labels
from hyperperturb.data.screen import inspect_screen
from hyperperturb.errors import HyperPerturbError

BY = {"column": "perturbation", "control": "control"}


def labels(adata, change):
    adata.obs["perturbation"] = change(adata.obs["perturbation"].astype(str).to_numpy(dtype=object))


def duplicate_genes(adata):
    adata.var_names = ["G0", "G1", "G2", "G3", "G3", *adata.var_names[5:]]


def symbols(adata):
    adata.var["gene_symbol"] = list(adata.var_names)
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]


def counts_in_layer(adata):
    adata.layers["counts"] = adata.X.copy()
    adata.X = sp.csr_matrix(np.log1p(adata.X.toarray()))


def missing(adata):
    labels(adata, lambda x: np.where(np.arange(len(x)) % 7 == 3, None, x))


def left_out(adata):
    labels(adata, lambda x: np.where(np.arange(len(x)) % 7 == 3, "unassigned", x))


def few(adata):
    labels(adata, lambda x: np.where(np.arange(len(x)) < 4, "G9", x))


def empty(adata):
    counts = adata.X.toarray()
    counts[5:9] = 0
    adata.X = sp.csr_matrix(counts)


def alike(adata):
    labels(adata, lambda x: np.where((x == "G1") & (np.arange(len(x)) % 2 == 0), "g1 ", x))


def genome(adata):
    adata.var_names = [f"GRCh38_{name}" for name in adata.var_names]


def duplicate_cells(adata):
    adata.obs_names = ["cell0", "cell0", *adata.obs_names[2:]]


SPOILT = {
    "duplicate-genes": (duplicate_genes, 240),
    "gene-symbols-used": (symbols, 240),
    "counts-in-layer": (counts_in_layer, 240),
    "missing-labels": (missing, 206),
    "labels-left-out": (left_out, 206),
    "few-perturbation-cells": (few, 236),
    "empty-cells": (empty, 236),
    "labels-alike": (alike, 240),
    "genome-prefix": (genome, 240),
    "duplicate-cells": (duplicate_cells, 240),
}


def test_every_mend_is_tested():
    assert set(SPOILT) == set(MENDS)


@pytest.mark.parametrize("code", MENDS)
def test_a_mend_removes_its_own_entry_and_no_other_is_added(adata, tmp_path, code):
    spoil, n_cells = SPOILT[code]
    clean = {entry.code for entry in inspect_screen(adata).repairs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata says itself that names stand twice
        spoil(adata)
        adata.write_h5ad(tmp_path / "a.h5ad")
    report = inspect_screen(tmp_path / "a.h5ad")
    assert code in {entry.code for entry in report.repairs}
    entry = next(entry for entry in report.repairs if entry.code == code)
    assert entry.what
    assert entry.where
    assert entry.why
    assert entry.mend
    choice = {"column": report.proposal.column, "control": report.proposal.label, "layer": report.layer}
    before = compute_effects(tmp_path / "a.h5ad", **choice)
    mend_screen(tmp_path / "a.h5ad", code, tmp_path / "b.h5ad", **choice)
    mended = inspect_screen(tmp_path / "b.h5ad")
    assert {entry.code for entry in mended.repairs} <= clean | ({"few-cells"} if n_cells < 240 else set())
    assert mended.n_cells == n_cells
    assert mended.layer is None
    after = compute_effects(tmp_path / "b.h5ad", column=mended.proposal.column, control=mended.proposal.label)
    if code not in ("labels-alike", "few-perturbation-cells", "empty-cells"):  # these change what is compared
        np.testing.assert_allclose(after.effect, before.effect, atol=1e-6)
        assert after.perturbations == before.perturbations


def test_the_lines_of_python_say_what_the_buttons_do(adata, tmp_path):
    """Of entries whose line stands alone."""
    for code in ("missing-labels", "labels-alike", "genome-prefix", "duplicate-cells", "duplicate-genes"):
        copy = adata.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            SPOILT[code][0](copy)
            entry = next(entry for entry in inspect_screen(copy).repairs if entry.code == code)
            space = {"adata": copy}
            exec(entry.mend, space)
        assert code not in {entry.code for entry in inspect_screen(space["adata"]).repairs}


def test_dates_of_a_spreadsheet_are_told(adata):
    adata.var_names = ["1-Mar", "2-Sep", *adata.var_names[2:]]
    entry = next(entry for entry in inspect_screen(adata).repairs if entry.code == "genes-as-dates")
    assert "2 gene names were turned into a date" in entry.what
    assert "1-Mar, 2-Sep" in entry.what


def test_spellings_of_controls_are_no_labels_alike():
    assert alike_labels({"control": 5, "Control": 3, "A": 1, "a": 1}) == {"a": "A"}


def test_refusals(adata, tmp_path):
    with pytest.raises(HyperPerturbError, match="No button mends 'few-cells'"):
        mend_screen(adata, "few-cells", tmp_path / "b.h5ad", **BY)
    adata.X = sp.csr_matrix(adata.shape, dtype=np.float32)
    with pytest.raises(HyperPerturbError, match="No cell would be left"):
        mend_screen(adata, "empty-cells", tmp_path / "b.h5ad", **BY)
    assert not (tmp_path / "b.h5ad").exists()


def test_labels_from_a_table_are_in_the_copy(adata, tmp_path):
    table = adata.obs[["perturbation"]].rename_axis("cell").reset_index().iloc[:200]
    table.to_csv(tmp_path / "cells.csv", index=False)
    adata.obs = adata.obs[["batch"]]
    adata.write_h5ad(tmp_path / "a.h5ad")
    mend_screen(
        tmp_path / "a.h5ad", "missing-labels", tmp_path / "b.h5ad", tables=[tmp_path / "cells.csv"], **BY
    )
    mended = ad.read_h5ad(tmp_path / "b.h5ad")
    assert mended.n_obs == 200
    assert mended.obs["perturbation"].tolist() == table["perturbation"].tolist()
