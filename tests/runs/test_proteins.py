"""Proteins attached to a dataset: by path, uploaded, in the screen's own file; refused ones leave it as it was."""

from __future__ import annotations

import io

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.datasets import confirm_controls, get_dataset, register_dataset
from hyperperturb.runs.proteins import attach_proteins, detach_proteins
from hyperperturb.runs.workspace import Workspace

NAMES = ["CD4", "CD8", "CD86"]


@pytest.fixture
def place(small_screen, tmp_path):
    """A workspace with the small screen, and antibody counts of all but ten of its cells."""
    ws = Workspace(tmp_path / "home")
    dataset = register_dataset(ws, small_screen)
    cells = ad.read_h5ad(small_screen, backed="r").obs_names[10:]
    values = np.random.default_rng(0).poisson([5, 30, 60], size=(len(cells), 3))
    return ws, dataset.name, pd.DataFrame(values, index=cells, columns=NAMES)


def test_a_path_stays_where_it_is_and_reaches_the_training(place, tmp_path):
    ws, name, counts = place
    path = tmp_path / "antibodies.csv"
    counts.to_csv(path)
    found = attach_proteins(ws, name, path)
    assert found.proteins == path
    assert found.protein_report.n_matched == 1490
    confirmed = confirm_controls(ws, name, column="perturbation", control="non-targeting", mode="knockdown")
    config = RunConfig.for_dataset(confirmed).checked()
    assert config.proteins == path
    assert path in config.files()
    assert get_dataset(ws, name) == confirmed
    assert detach_proteins(ws, name).proteins is None
    assert path.exists()
    assert RunConfig.for_dataset(get_dataset(ws, name)).proteins is None


def test_an_upload_is_kept_with_the_dataset_and_removed_with_its_successor(place):
    ws, name, counts = place
    named = counts.rename(lambda cell: f"{cell}-1")
    with pytest.raises(HyperPerturbError, match="No cell of") as told:
        attach_proteins(ws, name, io.BytesIO(named.to_csv().encode()), "antibodies.csv")
    assert "choose 'suffix' for the names" in told.value.hint
    folder = ws.datasets_dir / name
    assert not list(folder.glob("proteins-*"))
    assert get_dataset(ws, name).proteins is None
    first = attach_proteins(ws, name, io.BytesIO(named.to_csv().encode()), "a.csv", rename="suffix")
    assert first.proteins.parent == folder
    assert first.protein_names == "suffix"
    second = attach_proteins(ws, name, io.BytesIO(counts.to_csv(sep="\t").encode()), "b.tsv")
    assert [p.name for p in folder.glob("proteins-*")] == [second.proteins.name]
    assert second.protein_names == ""
    with pytest.raises(HyperPerturbError, match="no file of proteins"):
        attach_proteins(ws, name, io.BytesIO(b"x"), "picture.png")


def test_antibodies_in_the_screens_own_file_are_found(place, tmp_path):
    ws, _, counts = place
    rna = ad.read_h5ad(get_dataset(ws, place[1]).source)
    everything = counts.reindex(rna.obs_names, fill_value=0).to_numpy(np.float32)
    kinds = ["Gene Expression"] * rna.n_vars + ["Antibody Capture"] * 3
    var = pd.DataFrame({"feature_types": pd.Categorical(kinds)}, index=[*rna.var_names, *NAMES])
    both = ad.AnnData(sp.hstack([rna.X, sp.csr_matrix(everything)], format="csr"), obs=rna.obs, var=var)
    both.write_h5ad(tmp_path / "both.h5ad")
    dataset = register_dataset(ws, tmp_path / "both.h5ad")
    assert dataset.proteins == dataset.source
    assert dataset.protein_report.names == tuple(NAMES)
    assert dataset.report.n_genes == rna.n_vars
    assert RunConfig(
        screen=dataset.source, proteins=dataset.source, column="perturbation", control="non-targeting"
    ).files() == [dataset.source]


def test_a_table_of_effects_has_no_cells_for_proteins(place, small_screen):
    ws, *_ = place
    table = register_dataset(ws, small_screen.with_suffix(".true_effects.parquet"))
    with pytest.raises(HyperPerturbError, match="no cells that proteins could belong to"):
        attach_proteins(ws, table.name, small_screen)
    with pytest.raises(HyperPerturbError, match="have no cells to belong to"):
        RunConfig(effects=table.effects_path, proteins=small_screen).checked()
