"""Views on cells under the seed's names: drawn fairly, normalised once, joined by name, cached, written whole."""

from __future__ import annotations

import inspect
import os

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from hyperperturb.data import (
    compute_effects,
    inspect_screen,
    load_and_preprocess_perturbation_data,
    prepare_perturbation_data,
    preprocess_data,
)
from hyperperturb.data.cells import draw_cells
from hyperperturb.data.frames import Labels
from hyperperturb.errors import HyperPerturbError

SETTINGS = {"n_top_genes": 12, "n_pcs": 5, "n_neighbors": 5}


def log_of(counts):
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def test_signatures_of_the_seed():
    names = {
        preprocess_data: {
            "input_path": inspect.Parameter.empty,
            "output_path": None,
            "n_neighbors": 15,
            "n_pcs": 20,
        },
        prepare_perturbation_data: {
            "adata": inspect.Parameter.empty,
            "ctrl_key": "perturbation",
            "ctrl_value": "non-targeting",
        },
        load_and_preprocess_perturbation_data: {
            "rna_path": inspect.Parameter.empty,
            "protein_path": None,
            "network_path": None,
            "preprocessed_path": None,
        },
    }
    for function, expected in names.items():
        parameters = list(inspect.signature(function).parameters.values())[: len(expected)]
        assert {parameter.name: parameter.default for parameter in parameters} == expected
    assert inspect.signature(preprocess_data).parameters["max_cells"].default == 3000
    assert inspect.signature(preprocess_data).parameters["n_top_genes"].default == 1000


@pytest.mark.parametrize("source", ["memory", "csr", "csc", "dense"])
def test_preprocess(adata, tmp_path, source):
    counts = adata.X.toarray()
    before = adata.copy()
    given = adata
    if source != "memory":
        make = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}[source]
        adata.X = make(adata.X)
        given = tmp_path / "a.h5ad"
        adata.write_h5ad(given)
    view = preprocess_data(given, tmp_path / "out" / "b.h5ad", **SETTINGS)
    genes = [adata.var_names.get_loc(gene) for gene in view.var_names]
    np.testing.assert_allclose(view.X.toarray(), log_of(counts)[:, genes], rtol=1e-5)
    np.testing.assert_array_equal(view.layers["counts"].toarray(), counts[:, genes])
    assert view.obs_names.tolist() == adata.obs_names.tolist()
    assert view.obs["perturbation"].tolist() == adata.obs["perturbation"].tolist()
    assert {"G0", "G1", "G2"} <= set(view.var_names[view.var["perturbed"]])
    assert view.var["highly_variable"].sum() == 12
    assert 12 <= view.n_vars <= 15
    assert view.obsm["X_pca"].shape == (240, 5)
    assert view.obsp["connectivities"].shape == view.obsp["distances"].shape == (240, 240)
    about = view.uns["hyperperturb"]
    assert (about["column"], about["control"], about["values"]) == ("perturbation", "control", "counts")
    if source == "memory":  # the input is as it was
        np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
        assert adata.var.columns.tolist() == before.var.columns.tolist()
        assert not adata.obsm
        assert not adata.uns
    written = ad.read_h5ad(tmp_path / "out" / "b.h5ad")
    np.testing.assert_array_equal(written.X.toarray(), view.X.toarray())
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["b.h5ad"]


def test_normalised_like_scanpy_and_variable_genes_too(adata):
    view = preprocess_data(adata, max_cells=None, **SETTINGS)
    peer = adata.copy()
    sc.pp.normalize_total(peer, target_sum=1e4)
    sc.pp.log1p(peer)
    sc.pp.highly_variable_genes(peer, n_top_genes=12)
    np.testing.assert_allclose(view.X.toarray(), peer[:, view.var_names].X.toarray(), rtol=1e-5)
    chosen = peer.var_names[peer.var["highly_variable"]]
    assert set(view.var_names) == {*chosen, "G0", "G1", "G2"}


def test_pca_of_scaled_values_only(adata):
    view = preprocess_data(adata, **SETTINGS)
    assert view.X.min() >= 0
    scaled = sc.pp.scale(view.X.toarray().copy(), max_value=10)
    scaled -= scaled.mean(axis=0)
    expected = np.linalg.svd(scaled, compute_uv=False)[:5]
    np.testing.assert_allclose(np.linalg.norm(view.obsm["X_pca"], axis=0), expected, rtol=1e-3)


def test_neighbours(adata):
    adata = ad.concat([adata, adata[:50]], index_unique="-")  # with cells that coincide
    view = preprocess_data(adata, **SETTINGS)
    distances, weights = view.obsp["distances"], view.obsp["connectivities"]
    assert (np.diff(distances.indptr) == 5).all()
    points = view.obsm["X_pca"]
    expected = np.sort(np.linalg.norm(points[7] - points, axis=1))[1:6]
    np.testing.assert_allclose(np.sort(distances[7].data), expected, atol=1e-4)
    assert np.isfinite(weights.data).all()
    assert ((weights.data >= 0) & (weights.data <= 1)).all()
    assert abs(weights - weights.T).max() == 0
    near, far = distances[7].indices[[distances[7].data.argmin(), distances[7].data.argmax()]]
    assert weights[7, near] > weights[7, far] > 0
    sc.tl.leiden(view, flavor="igraph", n_iterations=2)  # scanpy finds them


def test_small_panels_keep_their_cells_and_genes_their_targets(adata):
    assert preprocess_data(adata, **SETTINGS).uns["hyperperturb"]["min_genes"] == 1
    with pytest.raises(HyperPerturbError, match=r"No cell has 200 genes .*of 30\)\. Give a lower min_genes"):
        preprocess_data(adata, min_genes=200)
    counts = adata.X.toarray()
    counts[:, 1] = 0  # a target that is never seen
    counts[:, 5] = 0
    adata.X = sp.csr_matrix(counts)
    view = preprocess_data(adata, n_top_genes=30)
    assert "G1" in view.var_names
    assert "G5" not in view.var_names
    with pytest.raises(HyperPerturbError, match="No gene is seen in 1000 of 240 cells"):
        preprocess_data(adata[:, 5:].copy(), min_cells=1000, column="batch", control="b1")


def test_drawing_keeps_every_label(adata):
    adata = ad.concat([adata] * 5, index_unique="-")
    labels = adata.obs["perturbation"].astype(str).to_numpy().copy()
    labels[np.flatnonzero(labels == "control")[3:]] = "G2"  # the last three controls of 1,200 cells
    labels[7] = "G9"
    adata.obs["perturbation"] = labels
    adata = adata[::-1].copy()
    view = preprocess_data(adata, max_cells=100, seed=1, **SETTINGS)
    assert view.n_obs == 100
    n = view.obs["perturbation"].value_counts()
    assert (n["control"], n["G9"]) == (3, 1)
    assert set(n.index) == set(labels)
    again = preprocess_data(adata, max_cells=100, seed=1, **SETTINGS)
    assert again.obs_names.tolist() == view.obs_names.tolist()
    np.testing.assert_allclose(again.obsm["X_pca"], view.obsm["X_pca"], atol=1e-5)
    other = preprocess_data(adata, max_cells=100, seed=2, **SETTINGS)
    assert other.obs_names.tolist() != view.obs_names.tolist()
    assert view.obs_names.tolist() != adata.obs_names[:100].tolist()


def test_draw_cells():
    codes = np.array([0] * 700 + [1] * 290 + [2] * 4 + [-1] * 6, dtype=np.int32)
    labels = Labels(codes, ("a", "b", "c"))
    cells = draw_cells(labels, 1000, 100, 0)
    assert len(cells) == len(set(cells.tolist())) == 100
    assert (np.diff(cells) > 0).all()
    n = np.bincount(codes[cells] + 1)
    assert n[3] == 4
    assert abs(n[1] - 70) < 10
    assert abs(n[2] - 29) < 5
    assert draw_cells(None, 10, None, 0).tolist() == list(range(10))
    assert len(draw_cells(None, 1000, 10, 0)) == 10
    many = Labels(np.arange(500, dtype=np.int32) % 50, tuple("abcdefghij" * 5))
    assert np.unique(many.codes[draw_cells(many, 500, 10, 0)]).size == 50  # no label disappears


def test_log_normalised_input(adata):
    counts = adata.X.toarray()
    adata.X = log_of(counts).astype(np.float32)
    view = preprocess_data(adata, **SETTINGS)
    assert view.uns["hyperperturb"]["values"] == "log-normalised"
    assert "counts" not in view.layers
    np.testing.assert_allclose(view.X.toarray(), adata[:, view.var_names].X, rtol=1e-6)


def test_without_controls_and_with_a_choice(adata):
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories({"control": "G9"})
    assert preprocess_data(adata, **SETTINGS).uns["hyperperturb"]["control"] == ""
    chosen = preprocess_data(adata, column="perturbation", control="G9", **SETTINGS)
    assert chosen.uns["hyperperturb"]["control"] == "G9"
    with pytest.raises(HyperPerturbError, match="control label 'none' in column 'perturbation'"):
        preprocess_data(adata, column="perturbation", control="none", **SETTINGS)


@pytest.mark.parametrize("bad", [{"max_cells": 0}, {"n_pcs": 0}, {"n_neighbors": -1}, {"n_top_genes": 2.5}])
def test_bad_numbers(adata, bad):
    with pytest.raises(HyperPerturbError, match=f"{next(iter(bad))} must be a whole number of at least 1"):
        preprocess_data(adata, **bad)


def test_nothing_half_written(adata, tmp_path, monkeypatch):
    def fail(self, path, **_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(ad.AnnData, "write_h5ad", fail)
    with pytest.raises(KeyboardInterrupt):
        preprocess_data(adata, tmp_path / "b.h5ad", **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_effects_of_a_view_use_its_normalisation(adata, tmp_path):
    """Its counts lack the genes that were left out: normalising them again would be wrong."""
    whole = compute_effects(adata, column="perturbation", control="control")
    view = preprocess_data(adata, tmp_path / "b.h5ad", **SETTINGS)
    for source in (view, tmp_path / "b.h5ad"):
        part = compute_effects(source, column="perturbation", control="control")
        np.testing.assert_allclose(part.effect, whole.restrict_genes(part.genes).effect, atol=1e-5)
        assert [repair.code for repair in inspect_screen(source).repairs if repair.severity == "note"] == [
            "preprocessed"
        ]


def test_prepare(adata):
    view = preprocess_data(adata, **SETTINGS)
    returned = prepare_perturbation_data(view, ctrl_value="control")
    assert returned is view
    values, is_control = view.X.toarray(), (view.obs["perturbation"] == "control").to_numpy()
    shift = view.obsm["log_fold_change"]
    assert shift.shape == view.shape
    assert shift.dtype == np.float32
    np.testing.assert_allclose(shift, values - values[is_control].mean(axis=0), atol=1e-5)
    effects = compute_effects(adata, column="perturbation", control="control").restrict_genes(view.var_names)
    in_g1 = (view.obs["perturbation"] == "G1").to_numpy()
    np.testing.assert_allclose(shift[in_g1].mean(axis=0), effects.effect[effects.index("G1")], atol=1e-5)
    names = view.uns["hyperperturb"]["perturbation_names"].tolist()
    assert names == ["control", "G0", "G0_G1", "G1", "G2"]
    one_hot = view.obsm["perturbation_target"]
    assert [names[i] for i in one_hot.argmax(axis=1)] == view.obs["perturbation"].tolist()
    assert (one_hot.sum(axis=1) == 1).all()


def test_prepare_from_counts_and_from_scaled_values(adata):
    expected = prepare_perturbation_data(preprocess_data(adata, n_top_genes=30)).obsm["log_fold_change"]
    np.testing.assert_allclose(
        prepare_perturbation_data(adata.copy()).obsm["log_fold_change"], expected, atol=1e-5
    )
    scaled = adata.copy()
    scaled.X = sc.pp.scale(log_of(adata.X.toarray()))
    with pytest.raises(HyperPerturbError, match="scaled or centred values, not counts"):
        prepare_perturbation_data(scaled)
    scaled.layers["counts"] = adata.X
    np.testing.assert_allclose(prepare_perturbation_data(scaled).obsm["log_fold_change"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "column", "chosen"),
    [
        (["non-targeting", "control", "A"], "perturbation", "non-targeting"),
        (["control", "A", "B"], "perturbation", "control"),
        (["ctrl", "A", "B"], "perturbation", "ctrl"),
        (["control", "A", "B"], "perturbation_type", "control"),
        (["NTC_1", "NTC_2", "B"], "perturbation_2", "NTC"),
    ],
)
def test_prepare_finds_the_controls(adata, labels, column, chosen):
    adata.obs = pd.DataFrame({column: np.array(labels)[np.arange(240) % 3]}, index=adata.obs_names)
    about = prepare_perturbation_data(adata).uns["hyperperturb"]
    assert (about["column"], about["control"]) == (column, chosen)


def test_prepare_refuses(adata):
    with pytest.raises(HyperPerturbError, match=r"'non-targeting' in column 'batch'.*labels are: b1, b2"):
        prepare_perturbation_data(adata, ctrl_key="batch")
    del adata.obs["perturbation"]
    with pytest.raises(HyperPerturbError, match=r"no column 'perturbation' in obs.*batch, depth"):
        prepare_perturbation_data(adata)
    assert not adata.obsm


@pytest.fixture
def files(adata, tmp_path):
    adata.write_h5ad(tmp_path / "rna.h5ad")
    proteins = ad.AnnData(
        np.arange(400, dtype=np.float32).reshape(200, 2) - 50,
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(219, 19, -1)]),
        var=pd.DataFrame(index=["CD4", "HLA-DR/DP"]),
    )
    proteins.write_h5ad(tmp_path / "protein.h5ad")
    (tmp_path / "network.csv").write_text("gene_a,gene_b\nG0,G1\nG1,G2\nG2,OTHER\n")
    return tmp_path


def load(folder, **more):
    return load_and_preprocess_perturbation_data(folder / "rna.h5ad", **SETTINGS, **more)


def test_load_joins_everything(files):
    adata, adjacency = load(files, protein_path=files / "protein.h5ad", network_path=files / "network.csv")
    assert sp.isspmatrix_csr(adjacency)
    assert adjacency.shape == (adata.n_vars, adata.n_vars)
    at = {gene: i for i, gene in enumerate(adata.var_names)}
    edges = {(at["G0"], at["G1"]), (at["G1"], at["G0"]), (at["G1"], at["G2"]), (at["G2"], at["G1"])}
    assert set(zip(*map(np.ndarray.tolist, adjacency.nonzero()), strict=True)) == edges
    assert adata.obs_names.tolist() == [f"cell{i}" for i in range(20, 220)]  # the order of the screen
    expected = (np.arange(400).reshape(200, 2) - 50)[::-1]
    np.testing.assert_array_equal(adata.obsm["protein"], expected)
    assert adata.uns["hyperperturb"]["protein_names"].tolist() == ["CD4", "HLA-DR/DP"]
    assert adata.obsm["log_fold_change"].shape == adata.shape
    plain, nothing = load(files)
    assert nothing is None
    assert plain.n_obs == 240


def test_load_uses_its_cache(files, monkeypatch):
    cache = files / "cache" / "view.h5ad"
    first, _ = load(files, preprocessed_path=cache, protein_path=files / "protein.h5ad")
    made = []
    original = preprocess_data
    monkeypatch.setattr(
        "hyperperturb.data.loading.preprocess_data", lambda *a, **k: made.append(1) or original(*a, **k)
    )
    again, adjacency = load(
        files,
        preprocessed_path=cache,
        protein_path=files / "protein.h5ad",
        network_path=files / "network.csv",
    )
    assert not made
    assert adjacency.nnz == 4
    np.testing.assert_array_equal(again.obsm["log_fold_change"], first.obsm["log_fold_change"])
    np.testing.assert_array_equal(again.obsm["protein"], first.obsm["protein"])
    np.testing.assert_array_equal(again.obsm["perturbation_target"], first.obsm["perturbation_target"])
    load(files, preprocessed_path=cache, protein_path=files / "protein.h5ad", max_cells=100)
    assert len(made) == 1  # other options
    os.utime(files / "rna.h5ad", (1, 1))
    load(files, preprocessed_path=cache, protein_path=files / "protein.h5ad", max_cells=100)
    assert len(made) == 2  # another file
    (files / "rna.h5ad").unlink()
    assert load(files, preprocessed_path=cache)[0].n_obs < 240  # the cache is all there is


def test_load_refuses(files):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        load_and_preprocess_perturbation_data(files / "none.h5ad")
    proteins = ad.read_h5ad(files / "protein.h5ad")
    proteins.obs_names = [f"x{i}" for i in range(200)]
    proteins.write_h5ad(files / "other.h5ad")
    with pytest.raises(HyperPerturbError, match=r"No cell of .* those of the proteins 'x0' and 'x1'"):
        load(files, protein_path=files / "other.h5ad")
    proteins.obs.index = ["cell1"] * 200
    proteins.write_h5ad(files / "twice.h5ad")
    with pytest.raises(HyperPerturbError, match=r"'cell1' is in .* more than once"):
        load(files, protein_path=files / "twice.h5ad")
    (files / "strange.csv").write_text("gene_a,gene_b\nX,Y\nY,Z\n")
    with pytest.raises(HyperPerturbError, match=r"connects none of the \d+ genes of the screen"):
        load(files, network_path=files / "strange.csv")
    (files / "cache.h5ad").write_text("not a file")
    with pytest.raises(HyperPerturbError, match="not an HDF5 file"):
        load(files, preprocessed_path=files / "cache.h5ad")


def test_papalexi(papalexi, tmp_path):
    view = prepare_perturbation_data(preprocess_data(papalexi, max_cells=600))
    assert view.n_obs <= 600
    assert view.obs["perturbation"].nunique() == 26
    assert 250 < view.n_vars <= 299  # some are seen in fewer than three cells
    assert view.uns["hyperperturb"]["min_genes"] == 14
    assert view.obs["guide"].dtype == "category"
