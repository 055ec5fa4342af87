"""Every format gives the same screen: the same cells, genes, labels and effects."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.preprocess import preprocess_data
from hyperperturb.data.screen import inspect_screen, open_screen
from hyperperturb.errors import HyperPerturbError
from tests.data.format_files import (
    FORMATS,
    GUIDE_GENES,
    guide_calls,
    write_10x_h5,
    write_calls,
    write_format,
    write_mtx,
)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_screen(adata, tmp_path, name):
    path = write_format(adata, tmp_path / "screen", name)
    report = inspect_screen(path)
    assert (report.n_cells, report.n_genes, report.values) == (240, 30, "counts")
    with open_screen(path) as screen:
        assert screen.cell_names().tolist() == list(adata.obs_names)
        order = [screen.genes.index(gene) for gene in adata.var_names]
        cells = np.array([0, 7, 8, 200])
        np.testing.assert_array_equal(screen.matrix.take(cells).toarray()[:, order], adata.X[cells].toarray())
        blocks = np.vstack([block.toarray() for _, block in screen.blocks(rows=50)])
        np.testing.assert_array_equal(blocks[:, order], adata.X.toarray())
        screen.close()  # twice does no harm
    proposal = report.proposal
    found = compute_effects(path, column=proposal.column, control=proposal.label).restrict_genes(
        list(adata.var_names)
    )
    if (
        report.proposal.column == "gene_target"
    ):  # 10x: labels come from the guide calls, which some cells lack
        called = adata[adata.obs_names.isin(guide_calls(adata)["cell_barcode"])].copy()
    else:
        called = adata
    wanted = compute_effects(called, column="perturbation", control="control")
    assert found.targets == wanted.targets
    np.testing.assert_array_equal(found.n_cells, wanted.n_cells)
    assert found.n_control_cells == wanted.n_control_cells
    np.testing.assert_allclose(found.effect, wanted.effect, atol=1e-6)
    np.testing.assert_allclose(found.standard_error, wanted.standard_error, atol=1e-6)


@pytest.mark.parametrize("name", ["zarr", "loom", "10x.h5", "mtx"])
def test_views_on_cells_take_every_format(adata, tmp_path, name):
    path = write_format(adata, tmp_path / "screen", name)
    view = preprocess_data(path, max_cells=100, n_pcs=5, min_genes=1)
    assert view.n_obs == 100
    assert {"G0", "G1", "G2"} <= set(view.var_names)
    label = "perturbation" if name in ("zarr", "loom") else "gene_target"
    assert set(view.obs[label].dropna()) - {""} >= {"G0", "G1", "G2"}


def test_other_features_of_10x_are_layers_not_genes(adata, tmp_path):
    path = write_format(adata, tmp_path / "screen", "10x.h5")
    with open_screen(path) as screen:
        assert not set(screen.genes) & {"CD3", "G0-1"}
    with open_screen(path, layer="Antibody Capture") as screen:
        assert sorted(screen.genes) == ["CD3", "CD4", "CD8"]
        proteins = screen.matrix.rows(0, 240)
    with h5py.File(path) as file:
        kinds = np.array([kind.decode() for kind in file["matrix/features/feature_type"][:]])
        totals = np.zeros(len(kinds))
        np.add.at(totals, file["matrix/indices"][:], file["matrix/data"][:])
    assert proteins.sum() == totals[kinds == "Antibody Capture"].sum()
    with pytest.raises(HyperPerturbError, match=r"no layer 'Peaks'.*Antibody Capture"):
        open_screen(path, layer="Peaks")


def test_guides_of_the_feature_reference_in_the_file_itself(adata, tmp_path):
    """The .h5 says which gene each guide targets: calls alone are enough."""
    path = write_format(adata, tmp_path / "screen", "10x.h5")
    (tmp_path / "screen" / "crispr_analysis" / "feature_reference.csv").unlink()
    assert set(inspect_screen(path).label_columns["gene_target"]) == {
        "G0",
        "G1",
        "G2",
        "G0+G1",
        "Non-Targeting",
    }


def test_guide_labels_alone_do(adata, tmp_path):
    """Without any mapping, guides named after genes are read as guides of them."""
    write_mtx(adata, tmp_path / "counts", others=False)
    guide_calls(adata).to_csv(tmp_path / "counts" / "protospacer_calls_per_cell.csv", index=False)
    report = inspect_screen(tmp_path / "counts")
    assert (report.proposal.column, report.proposal.label) == ("feature_call", "NT")
    effects = compute_effects(tmp_path / "counts", column="feature_call", control="NT")
    assert set(effects.targets) == {("G0",), ("G1",), ("G2",), ("G0", "G1")}


def test_without_guide_calls_the_way_out_is_said(adata, tmp_path):
    write_10x_h5(adata, tmp_path / "matrix.h5")
    with pytest.raises(
        HyperPerturbError, match=r"no column that names the perturbation.*guide calls.*--table"
    ):
        inspect_screen(tmp_path / "matrix.h5")


def test_a_matrix_file_stands_for_its_folder_and_prefixes_are_understood(adata, tmp_path):
    write_mtx(adata, tmp_path / "counts")
    folder = tmp_path / "geo"
    folder.mkdir()
    for path in (tmp_path / "counts").iterdir():
        shutil.copy(path, folder / f"GSM1_K562_{path.name}")
    write_calls(adata, folder)
    for path in (folder, folder / "GSM1_K562_matrix.mtx.gz"):
        assert inspect_screen(path).n_cells == 240
    shutil.copy(folder / "GSM1_K562_matrix.mtx.gz", folder / "GSM2_matrix.mtx.gz")
    with pytest.raises(HyperPerturbError, match=r"holds 2 matrices.*Give the one"):
        inspect_screen(folder)


def test_a_matrix_of_cells_by_genes_and_in_any_order(adata, tmp_path):
    write_mtx(adata, tmp_path / "a", others=False)
    path = tmp_path / "a" / "matrix.mtx.gz"
    head, size, *lines = [
        line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line[:2] != "%\n"
    ]
    lines = [line for line in lines if not line.startswith("%")]
    if size.startswith("%"):
        size, lines = lines[0], lines[1:]
    turned = [" ".join([b, a, n]) for a, b, n in (line.split() for line in lines)]
    np.random.default_rng(0).shuffle(turned)
    rows, columns, n = size.split()
    path.write_bytes(gzip.compress("\n".join([head, f"{columns} {rows} {n}", *turned, ""]).encode()))
    with open_screen(tmp_path / "a") as screen:
        np.testing.assert_array_equal(screen.matrix.rows(0, 240).toarray(), adata.X.toarray())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text[: len(text) // 2], "should have|lacks a number|cannot|Cannot read"),
        (lambda text: text.replace("coordinate integer", "array real"), "not a MatrixMarket file of counts"),
        (lambda text: text.replace("\n30 240 ", "\n30 241 "), "beside it are 30 features and 240 barcodes"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n99 1 1\n", "lies outside its 30 genes"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n9 1 x\n", "Cannot read the matrix"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n9 1 nan\n", "not finite"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n9 1 -4\n", "negative"),
        (lambda text: "", "not a MatrixMarket"),
    ],
)
def test_damaged_matrix_files(adata, tmp_path, change, sentence):
    write_mtx(adata, tmp_path / "a", others=False)
    path = tmp_path / "a" / "matrix.mtx.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    assert "\n30 240 " in text
    path.write_bytes(gzip.compress(change(text).encode()))
    with pytest.raises(HyperPerturbError, match=sentence):
        open_screen(tmp_path / "a")
    (tmp_path / "a" / "barcodes.tsv.gz").unlink()
    with pytest.raises(HyperPerturbError, match=r"no barcodes\.tsv"):
        open_screen(tmp_path / "a")


def test_a_file_of_two_species_and_files_of_nothing(adata, tmp_path):
    write_10x_h5(adata, tmp_path / "a.h5", version=2)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.copy("GRCh38", "mm10")
    with pytest.raises(HyperPerturbError, match=r"2 genomes \(GRCh38, mm10\)"):
        open_screen(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(HyperPerturbError, match=r"HDF5 file but not a screen.*it holds 'x'"):
        open_screen(tmp_path / "b.h5")
    (tmp_path / "c.zarr.zip").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(HyperPerturbError, match="Cannot read"):
        open_screen(tmp_path / "c.zarr.zip")


@pytest.fixture
def guided(adata, tmp_path) -> tuple[Path, Path]:
    """A screen labelled by the names of a library, and the library's table."""
    names = {guide: f"lib{i:03d}" for i, guide in enumerate(GUIDE_GENES)}
    calls = guide_calls(adata).set_index("cell_barcode")["feature_call"]
    codes = calls.map(lambda call: "|".join(names[guide] for guide in call.split("|")))
    adata.obs["sgRNA"] = codes.reindex(adata.obs_names).fillna("")
    del adata.obs["perturbation"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    table = pd.DataFrame({"guide": list(names.values()), "target gene": list(GUIDE_GENES.values())})
    table.to_csv(tmp_path / "library.csv", index=False)
    return tmp_path / "a.h5ad", tmp_path / "library.csv"


def test_a_table_of_guides_names_the_genes(guided, tmp_path):
    path, table = guided
    report = inspect_screen(path, tables=[table])
    assert (report.proposal.column, report.proposal.label) == ("gene_target", "Non-Targeting")
    assert set(report.label_columns["gene_target"]) == {"G0", "G1", "G2", "G0+G1", "Non-Targeting"}
    effects = compute_effects(path, column="gene_target", control="Non-Targeting", tables=[table])
    assert effects.targets == (("G0",), ("G0", "G1"), ("G1",), ("G2",))
    table.write_text("guide,gene\nother1,G0\n")
    with pytest.raises(HyperPerturbError, match=r"holds the guides of 'library.csv' \(such as other1\)"):
        open_screen(path, tables=[table])
    table.write_text("guide,gene\nlib000,G0\nlib000,G1\n")
    with pytest.raises(HyperPerturbError, match="'lib000' has two meanings"):
        open_screen(path, tables=[table])


def test_a_table_of_cells_is_joined_by_name(adata, tmp_path):
    del adata.obs["perturbation"]
    adata.obs_names = [f"{name}-1" for name in adata.obs_names]
    adata.write_h5ad(tmp_path / "a.h5ad")
    table = tmp_path / "identities.csv"
    rows = [f"cell{i},{['ctrl', 'G0+ctrl', 'G1+ctrl'][i % 3]},{i * 7.5}" for i in range(239, -1, -1)]
    table.write_text("\n".join(["cell_barcode,condition,score", *rows]))
    report = inspect_screen(tmp_path / "a.h5ad", tables=[table])
    assert report.proposal.label == "ctrl"
    assert report.label_columns["condition"] == {"ctrl": 80, "G0+ctrl": 80, "G1+ctrl": 80}
    assert "score" not in report.obs_columns, "measurements are not labels"
    with open_screen(tmp_path / "a.h5ad", tables=[table]) as screen:
        assert screen.labels("condition")[:4].tolist() == ["ctrl", "G0+ctrl", "G1+ctrl", "ctrl"]
    table.write_text("barcode,condition\nother,ctrl\n")
    with pytest.raises(HyperPerturbError, match="called like 'other', the screen's like 'cell0-1'"):
        open_screen(tmp_path / "a.h5ad", tables=[table])
    table.write_text("barcode,condition\ncell1,ctrl\ncell1,ctrl\n")
    with pytest.raises(HyperPerturbError, match="Cell 'cell1' has more than one row"):
        open_screen(tmp_path / "a.h5ad", tables=[table])


def test_a_table_of_symbols(adata, tmp_path):
    ids = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    adata.var_names = [f"{name}.{i % 7}" for i, name in enumerate(ids)]
    adata.write_h5ad(tmp_path / "a.h5ad")
    table = tmp_path / "ids.tsv"
    table.write_text(
        "gene_id\tlength\tgene_name\n" + "".join(f"{x}\t{9}\tG{i}\n" for i, x in enumerate(ids[:-1]))
    )
    report = inspect_screen(tmp_path / "a.h5ad", tables=[table])
    note = next(repair for repair in report.repairs if repair.code == "gene-symbols-used")
    assert "1 of 30" in note.what
    effects = compute_effects(tmp_path / "a.h5ad", column="perturbation", control="control", tables=[table])
    assert effects.genes[:2] == ("G0", "G1")
    assert effects.targets[0] == ("G0",)
    assert effects.genes[-1] == "ENSG00000000029.1"
    table.write_text("ENSG00000009999\tX\nENSG00000009998\tY\n")
    with pytest.raises(HyperPerturbError, match="has none of the screen's genes"):
        open_screen(tmp_path / "a.h5ad", tables=[table])


def test_a_table_that_says_nothing(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    table = tmp_path / "x.csv"
    table.write_text("height,weight\n1,2\n")
    with pytest.raises(
        HyperPerturbError, match="not clear what this table is: its columns are height, weight"
    ):
        open_screen(tmp_path / "a.h5ad", tables=[table])
    table.write_text("guide,gene\nx,G0\n")
    shutil.copy(table, tmp_path / "y.csv")
    with pytest.raises(HyperPerturbError, match=r"Two tables say the same thing: 'x.csv' and 'y.csv'"):
        open_screen(tmp_path / "a.h5ad", tables=[table, tmp_path / "y.csv"])
