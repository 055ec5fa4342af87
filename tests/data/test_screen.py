"""Looking at a screen and opening it: every storage, every place of the values, the proposal, the repair list."""

from __future__ import annotations

import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from hyperperturb.data.screen import ScreenReport, inspect_screen, open_screen
from hyperperturb.errors import HyperPerturbError

STORAGES = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}


def codes(report):
    return {repair.code: repair for repair in report.repairs}


def log_of(adata, total=1e4, base=None):
    counts = adata.X.toarray()
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * total)
    return (values / (np.log(base) if base else 1.0)).astype(np.float32)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("place", ["memory", "disk", "backed", "lzf"])
def test_every_storage_reads_the_same(adata, tmp_path, storage, place):
    expected = adata.X.toarray()
    adata.X = STORAGES[storage](adata.X)
    source = adata
    if place != "memory":
        source = tmp_path / "a.h5ad"
        adata.write_h5ad(source, compression="lzf" if place == "lzf" else None)
    if place == "backed":
        source = ad.read_h5ad(source, backed="r")
    report = inspect_screen(source)
    assert (report.n_cells, report.n_genes, report.storage) == (240, 30, storage)
    assert (report.values, report.layer, report.usable) == ("counts", None, True)
    assert (report.proposal.column, report.proposal.label, report.proposal.n_control_cells) == (
        "perturbation",
        "control",
        48,
    )
    assert report.batch_column == "batch"
    with open_screen(source) as screen:
        assert screen.genes == tuple(adata.var_names)
        assert screen.cell_names().tolist() == adata.obs_names.tolist()
        assert screen.labels("perturbation").tolist() == adata.obs["perturbation"].tolist()
        blocks = list(screen.blocks(rows=100))
        assert [(cells.start, cells.stop) for cells, _ in blocks] == [(0, 100), (100, 200), (200, 240)]
        assert all(sp.isspmatrix_csr(block) and block.dtype == np.float32 for _, block in blocks)
        np.testing.assert_array_equal(sp.vstack([block for _, block in blocks]).toarray(), expected)
        chosen = np.array([3, 50, 239])
        np.testing.assert_array_equal(screen.matrix.take(chosen).toarray(), expected[chosen])
        assert screen.matrix.take(np.array([], dtype=int)).shape == (0, 30)
    if place == "backed":
        source.file.close()


def test_views_of_backed_objects(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    report = inspect_screen(backed[:100])
    assert report.n_cells == 100
    backed.file.close()


def test_report_is_the_same_every_time_and_is_json(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    first, second = inspect_screen(tmp_path / "a.h5ad"), inspect_screen(tmp_path / "a.h5ad")
    assert first == second
    assert ScreenReport.model_validate(first.model_dump(mode="json")) == first
    assert first.label_columns["perturbation"] == dict.fromkeys(["G0", "G0_G1", "G1", "G2", "control"], 48)
    assert "depth" not in first.label_columns
    assert first.obs_columns == ("perturbation", "batch", "depth")


def test_looking_loads_neither_anndata_nor_scanpy(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    code = (
        "import sys; from hyperperturb.data import inspect_screen, compute_effects\n"
        f"compute_effects({str(tmp_path / 'a.h5ad')!r}, column='perturbation', control='control')\n"
        f"assert inspect_screen({str(tmp_path / 'a.h5ad')!r}).usable\n"
        "print({'anndata', 'scanpy', 'tensorflow', 'keras', 'umap', 'streamlit'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("column", ["string", "categorical with missing", "numbers", "booleans", "nullable"])
def test_kinds_of_columns(adata, tmp_path, column):
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    if column == "string":
        adata.obs["x"] = labels
    elif column == "categorical with missing":
        adata.obs["x"] = pd.Categorical([None, *labels[1:]])
        labels[0] = ""
    elif column == "numbers":
        labels = np.arange(240) % 3
        adata.obs["x"] = labels
    elif column == "booleans":
        labels = np.arange(240) % 2 == 0
        adata.obs["x"] = labels
    else:
        labels = [None if i == 5 else i % 3 for i in range(240)]
        adata.obs["x"] = pd.array(labels, dtype="Int64")
        labels[5] = ""
    adata.write_h5ad(tmp_path / "a.h5ad")
    for source in (adata, tmp_path / "a.h5ad"):
        with open_screen(source) as screen:
            assert screen.labels("x").tolist() == [str(label) for label in labels]
        assert "x" in inspect_screen(source).label_columns


def test_old_categoricals(adata, tmp_path):
    """anndata 0.7: codes with a reference to __categories."""
    path = tmp_path / "a.h5ad"
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        labels = adata.obs["perturbation"]
        del obs["perturbation"]
        text = h5py.string_dtype()
        obs.create_dataset("__categories/perturbation", data=list(labels.cat.categories), dtype=text)
        obs.create_dataset("perturbation", data=labels.cat.codes.to_numpy())
        obs["perturbation"].attrs["categories"] = obs["__categories/perturbation"].ref
    with open_screen(path) as screen:
        assert screen.labels("perturbation").tolist() == labels.tolist()
        assert screen.obs.kind("perturbation") == "categorical"
    assert inspect_screen(path).proposal.label == "control"


def test_compound_obs_and_h5sparse(adata, tmp_path):
    """anndata < 0.7: obs and var are compound datasets, categories stand in uns, X has h5sparse attributes."""
    path = tmp_path / "a.h5ad"
    labels = adata.obs["perturbation"]
    with h5py.File(path, "w") as file:
        rows = [(f"cell{i}".encode(), code) for i, code in enumerate(labels.cat.codes)]
        file["obs"] = np.array(rows, dtype=[("index", "S10"), ("perturbation", "i1")])
        file["var"] = np.array([(name.encode(),) for name in adata.var_names], dtype=[("index", "S10")])
        categories = np.array(labels.cat.categories, dtype="S10")
        file.create_dataset("uns/perturbation_categories", data=categories)
        group = file.create_group("X")
        group.attrs["h5sparse_format"] = "csr"
        group.attrs["h5sparse_shape"] = adata.shape
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(adata.X, name)
    report = inspect_screen(path)
    assert (report.storage, report.n_cells, report.proposal.n_control_cells) == ("csr", 240, 48)
    with open_screen(path) as screen:
        assert screen.labels("perturbation").tolist() == labels.tolist()
        assert screen.genes == tuple(adata.var_names)


def test_counts_in_a_layer(adata, tmp_path):
    counts = adata.X.copy()
    adata.layers["spliced"] = counts * 0
    adata.layers["counts"] = counts
    adata.X = log_of(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for source in (adata, tmp_path / "a.h5ad"):
        report = inspect_screen(source)
        assert (report.layer, report.values, report.storage) == ("counts", "counts", "csr")
        assert "adata.layers['counts']" in codes(report)["counts-in-layer"].mend
        with open_screen(source) as screen:
            np.testing.assert_array_equal(next(screen.blocks())[1].toarray(), counts.toarray())
        forced = inspect_screen(source, layer="X")
        assert (forced.layer, forced.values) == (None, "log-normalised")
        named = inspect_screen(source, layer="counts")
        assert named.layer == "counts"
        assert "counts-in-layer" not in codes(named)


def test_counts_in_raw(adata, tmp_path):
    full = adata.copy()
    adata.X = log_of(adata)
    adata.raw = full
    adata = adata[:, :10].copy()
    adata.X = adata.X - 1.0  # scaled: of no use
    adata.write_h5ad(tmp_path / "a.h5ad")
    for source in (adata, tmp_path / "a.h5ad"):
        report = inspect_screen(source)
        assert (report.layer, report.values, report.n_genes) == ("raw", "counts", 30)
        assert "raw.to_adata" in codes(report)["counts-in-layer"].mend


@pytest.mark.parametrize(("base", "total"), [(None, 1e4), (None, 1e6), (2, 1e4), (10, 1e6)])
@pytest.mark.parametrize("storage", STORAGES)
def test_log_normalised_values_are_recognised(adata, base, total, storage):
    expected = log_of(adata, total)
    adata.X = STORAGES[storage](sp.csr_matrix(log_of(adata, total, base)))
    report = inspect_screen(adata)
    assert report.values == "log-normalised"
    assert report.log_base == pytest.approx(base or np.e)
    assert report.target_sum == pytest.approx(total, rel=1e-3)
    repair = codes(report)["log-normalised"]
    assert repair.severity == "warning"
    assert f"{total:,.0f} a cell" in repair.what
    assert report.usable
    with open_screen(adata) as screen:
        stored = next(screen.blocks())[1].toarray()
        np.testing.assert_allclose(screen.log_factor * stored, expected, rtol=1e-5)


def test_log_normalised_excerpt_of_genes(adata):
    adata.X = log_of(adata)
    report = inspect_screen(adata[:, 3:17].copy())
    assert (report.values, report.log_base, report.target_sum) == ("log-normalised", None, None)
    assert "cannot be seen" in codes(report)["log-normalised"].what


def test_normalised_and_estimated_counts(adata):
    counts = adata.X.toarray()
    adata.X = counts / counts.sum(axis=1, keepdims=True) * 1e4
    report = inspect_screen(adata)
    assert report.values == "counts"
    assert "10,000 a cell" in codes(report)["normalised-counts"].what
    adata.X = counts * 1.37
    adata.layers["spliced"] = counts
    report = inspect_screen(adata)
    assert (report.values, report.layer) == ("counts", None)
    assert "not whole numbers" in codes(report)["estimated-counts"].what


def test_duplicate_genes(adata):
    adata.var.index = ["A", "A", "A-1", "A", *adata.var_names[4:]]
    with open_screen(adata) as screen:
        assert screen.genes[:4] == ("A", "A-2", "A-1", "A-3")
        assert len(set(screen.genes)) == 30
    repair = codes(inspect_screen(adata))["duplicate-genes"]
    assert repair.what.startswith("2 gene names stood before already (A)")
    assert repair.mend == "adata.var_names_make_unique()"


def test_ensembl_ids(adata, tmp_path):
    symbols = adata.var_names.tolist()
    adata.var_names = [f"ENSG{i:011d}" for i in range(30)]
    report = inspect_screen(adata)
    assert "30 of 30 gene names are Ensembl ids" in codes(report)["ensembl-ids"].what
    assert codes(report)["targets-not-measured"].what.startswith("3 of 3 target genes")
    adata.var["gene_symbol"] = [*symbols[:-1], None]
    adata.write_h5ad(tmp_path / "a.h5ad")
    for source in (adata, tmp_path / "a.h5ad"):
        report = inspect_screen(source)
        assert "column 'gene_symbol' are used" in codes(report)["gene-symbols-used"].what
        assert "ensembl-ids" not in codes(report)
        assert "targets-not-measured" not in codes(report)
        with open_screen(source) as screen:
            assert screen.genes == (*symbols[:-1], "ENSG00000000029")
    adata.var["feature_name"] = symbols[::-1]
    report = inspect_screen(adata)
    assert "disagree" in codes(report)["ensembl-ids"].what
    assert "adata.var['gene_symbol']" in codes(report)["ensembl-ids"].mend


def test_gears_screen(adata):
    condition = adata.obs["perturbation"].astype(str).replace({"control": "ctrl", "G0_G1": "G0+G1"})
    single = ~condition.isin(["ctrl", "G0+G1"])
    adata.obs = pd.DataFrame(
        {
            "condition": condition.where(~single, condition + "+ctrl"),
            "control": (condition == "ctrl").astype(int),
        }
    )
    report = inspect_screen(adata)
    assert (report.proposal.column, report.proposal.label) == ("condition", "ctrl")
    adata.obs["condition"] = adata.obs["condition"].replace({"ctrl": "K562"})
    report = inspect_screen(adata)
    assert (report.proposal.column, report.proposal.label, report.proposal.n_control_cells) == (
        "condition",
        "K562",
        48,
    )


def test_guides_as_controls(adata):
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    guides = [f"{'NTC' if label == 'control' else label}_{i % 2 + 1}" for i, label in enumerate(labels)]
    adata.obs = pd.DataFrame({"guide": guides}, index=adata.obs_names)
    report = inspect_screen(adata)
    assert (report.proposal.label, report.proposal.n_control_cells) == ("NTC", 48)
    assert report.n_control_cells("guide", "NTC") == 48
    assert report.n_control_cells("guide", "NTC_1") == 24
    assert report.n_control_cells("guide", "other") == report.n_control_cells("none", "NTC") == 0


def test_repairs_about_labels(adata):
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    labels[:4] = "unassigned"
    labels[10:30] = "G7"  # leaves few controls
    labels[labels == "control"] = "G2"
    labels[100:110] = "control"
    labels[110:113] = "GX"
    labels = pd.Series(labels).astype(object)
    labels[120:125] = None
    adata.obs["perturbation"] = pd.Categorical(labels)
    found = codes(inspect_screen(adata))
    assert found["few-cells"].severity == "warning"
    assert (
        found["few-control-cells"].what == "Only 10 cells are controls ('control' in column 'perturbation')."
    )
    assert found["missing-labels"].what.startswith("5 of 240 cells have no label")
    assert "1 of 6 perturbations have fewer than 10 cells (GX: 3)" in found["few-perturbation-cells"].what
    assert "'unassigned'" not in found["labels-left-out"].what
    assert "unassigned look like cells that are not assigned" in found["labels-left-out"].what
    assert found["targets-not-measured"].what.startswith(
        "1 of 5 target genes are not among the measured genes (GX)"
    )
    severities = [repair.severity for repair in inspect_screen(adata).repairs]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    for repair in found.values():
        assert all((repair.what, repair.where, repair.why, repair.mend))


def test_no_control_is_an_error_of_the_repair_list(adata):
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories({"control": "G9"})
    report = inspect_screen(adata)
    assert report.proposal is None
    assert not report.usable
    assert codes(report)["no-control"].what.startswith(
        "No label looks like a control: columns 'perturbation', 'batch'"
    )
    with pytest.raises(HyperPerturbError, match="No label looks like a control"):
        report.require_usable()
    assert report.n_control_cells("perturbation", "G9") == 48


def test_three_cells(adata):
    report = inspect_screen(adata[:3].copy())
    assert codes(report)["few-cells"].what == "The screen has only 3 cells."
    assert not report.usable
    with pytest.raises(HyperPerturbError, match="only 3 cells"):
        report.require_usable()


def test_cells_without_counts(adata, tmp_path):
    counts = adata.X.toarray()
    counts[:7] = 0
    for storage, make in STORAGES.items():
        adata.X = make(sp.csr_matrix(counts))
        adata.write_h5ad(tmp_path / f"{storage}.h5ad")
        assert codes(inspect_screen(tmp_path / f"{storage}.h5ad"))["empty-cells"].what.startswith(
            "7 of 240 cells"
        )


def test_unknown_column_and_layer(adata):
    with (
        open_screen(adata) as screen,
        pytest.raises(HyperPerturbError, match=r"no obs column 'x'.*perturbation"),
    ):
        screen.labels("x")
    with pytest.raises(HyperPerturbError, match="no layer 'x'"):
        open_screen(adata, layer="x")
    with pytest.raises(HyperPerturbError, match="not int"):
        open_screen(3)


def test_large_matrices_are_sampled(adata, tmp_path, monkeypatch):
    monkeypatch.setattr("hyperperturb.data.values.WHOLE", 1000)
    monkeypatch.setattr("hyperperturb.data.values._STRETCHES", 3)
    monkeypatch.setattr("hyperperturb.data.values._STRETCH", 5)
    for storage, make in STORAGES.items():
        adata.X = make(sp.csr_matrix(adata.X))
        adata.write_h5ad(tmp_path / f"{storage}.h5ad")
        with open_screen(tmp_path / f"{storage}.h5ad") as screen:
            assert (screen.values.kind, screen.values.complete) == ("counts", False)
            assert screen.values.n_cells == (0 if storage == "csc" else 15)
        assert inspect_screen(tmp_path / f"{storage}.h5ad").usable


def test_papalexi(papalexi):
    report = inspect_screen(papalexi)
    assert (report.n_cells, report.n_genes, report.storage, report.values) == (20729, 299, "csr", "counts")
    proposal = report.require_usable()
    assert (proposal.column, proposal.label, proposal.n_control_cells) == (
        "perturbation",
        "non-targeting",
        2386,
    )
    assert [c.label for c in proposal.candidates] == ["non-targeting", "NT"]
    assert report.batch_column == "batch"
    assert "16 of 25 target genes" in codes(report)["targets-not-measured"].what
