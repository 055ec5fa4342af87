"""The view of a run's cells on a small simulated screen: what is drawn, kept and read again."""

from __future__ import annotations

import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest

from hyperperturb.data.cell_map import map_cells
from hyperperturb.data.effects import compute_effects
from hyperperturb.data.opening import open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cell_view import CellView, draw_view
from hyperperturb.models.inference import HyperPerturbInference

pytestmark = pytest.mark.slow
CONTROL = "non-targeting"


@pytest.fixture(scope="module")
def escaped(small_simulation, tmp_path_factory):
    """The small screen, where the strongest single perturbation was given to forty controls in name only."""
    adata = small_simulation.adata.copy()
    effects = compute_effects(adata, column="perturbation", control=CONTROL)
    strength = (effects.effect**2).sum(axis=1)
    strongest = effects.perturbations[int(np.argmax(strength))]
    label = adata.obs["perturbation"].astype(str).to_numpy().copy()
    controls = np.flatnonzero(label == CONTROL)
    moved = controls[:: max(len(controls) // 40, 1)][:40]
    real = int((label == strongest).sum())
    label[moved] = strongest
    adata.obs["perturbation"] = pd.Categorical(label)
    path = tmp_path_factory.mktemp("escaped") / "screen.h5ad"
    adata.write_h5ad(path)
    return path, strongest, moved, len(moved) / (len(moved) + real)


@pytest.fixture(scope="module")
def run(escaped, small_simulation, tmp_path_factory, finished_run):
    effects = compute_effects(escaped[0], column="perturbation", control=CONTROL)
    folder = tmp_path_factory.mktemp("runs")
    return finished_run(
        folder,
        effects,
        small_simulation.network,
        screen=escaped[0],
        column="perturbation",
        title="Small",
        cells=True,
    )


@pytest.fixture(scope="module")
def view(run) -> CellView:
    draw_view(HyperPerturbInference(run.path), run.file("cells.h5ad"), max_cells=None)
    return CellView(run.file("cells.h5ad"))


def test_all_cells_have_places_names_and_probabilities(view, small_simulation):
    cells = view.cells
    assert len(cells) == small_simulation.adata.n_obs == view.about["drawn"]
    assert cells["cell"].tolist() == small_simulation.adata.obs_names.tolist()
    assert cells["batch"].nunique() == 2
    places = cells[["umap_1", "umap_2", "policy_1", "policy_2"]].to_numpy()
    assert np.isfinite(places).all()
    assert (places.std(axis=0) > 0.1).all()
    assert cells["probability"].between(1 / 25, 1).all()
    own = cells["label_probability"]
    assert (own.isna() == view.is_control).all()
    named = cells["predicted"] == cells["label"]
    np.testing.assert_allclose(own[named], cells["probability"][named])
    assert named[~view.is_control].mean() > 0.3


def test_the_cells_that_escaped_are_found(view, escaped):
    _, strongest, moved, share = escaped
    row = view.escapers.set_index("perturbation").loc[strongest]
    assert row["judged"]
    assert abs(row["share"] - share) < 0.05 + 3 * row["error"]
    cells = view.cells[view.cells["label"] == strongest]
    unchanged = cells["row"].isin(moved)
    assert cells.loc[unchanged, "like_control"].mean() > 0.7
    assert cells.loc[~unchanged, "like_control"].mean() < 0.2


def test_values_of_genes_are_those_of_the_screen(view, small_simulation):
    adata = small_simulation.adata
    counts = np.asarray(adata.X.todense())
    wanted = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    for gene in (view.genes[0], view.genes[-1]):
        np.testing.assert_allclose(
            view.gene(gene), wanted[:, adata.var_names.get_loc(gene)], rtol=1e-4, atol=1e-5
        )
    with pytest.raises(HyperPerturbError, match="does not hold"):
        view.gene("NOSUCHGENE")


def test_scanpy_can_read_the_file(view):
    adata = anndata.read_h5ad(view.path)
    assert {"X_umap", "X_pca", "X_policy"} <= set(adata.obsm)
    assert adata.obs["label"].dtype == "category"


def test_a_sample_keeps_every_label_and_in_memory_equals_dask(run, small_simulation):
    drawn = draw_view(HyperPerturbInference(run.path), max_cells=300, seed=1)
    assert 300 <= drawn.n_obs <= 320
    assert set(drawn.obs["label"]) == set(small_simulation.adata.obs["perturbation"].astype(str))
    with open_screen(run.config.screen) as screen:
        lazy = map_cells(screen, np.arange(screen.n_cells), n_top_genes=60)
        some = np.arange(screen.n_cells - 1)
        memory = map_cells(screen, some, n_top_genes=60)
    assert lazy.n_vars == memory.n_vars == 60
    both = lazy.var_names.intersection(memory.var_names)
    assert len(both) > 55
    np.testing.assert_allclose(lazy[:-1, both].X.toarray(), memory[:, both].X.toarray(), rtol=1e-4, atol=1e-5)
    variance = [np.sort(each.obsm["X_pca"].var(axis=0))[::-1][:5] for each in (lazy, memory)]
    np.testing.assert_allclose(*variance, rtol=0.05)


def test_umap_brings_no_tensorflow():
    code = (
        "import sys; from hyperperturb.data.cell_map import import_umap; import_umap(); "
        "assert 'umap' in sys.modules; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_cannot_be_drawn_is_a_sentence(run, escaped, tmp_path):
    with pytest.raises(HyperPerturbError, match="cannot be drawn"):
        draw_view(HyperPerturbInference(run.path), max_cells=0)
    broken = tmp_path / "cells.h5ad"
    broken.write_bytes(b"no file")
    with pytest.raises(HyperPerturbError, match=r"cells\.h5ad"):
        CellView(broken)
    with open_screen(escaped[0]) as screen, pytest.raises(HyperPerturbError, match="at least"):
        map_cells(screen, np.arange(3))


def test_the_real_screen_shows_its_escapers(shared_data, finished_run, tmp_path):
    """Papalexi 2021: the interferon pathway's knock-outs are told from controls, and some of their cells escaped."""
    from hyperperturb.data.network import read_network

    path = shared_data / "screens" / "papalexi2021_thp1_299genes.h5ad"
    run = finished_run(
        tmp_path,
        compute_effects(path, column="perturbation", control=CONTROL),
        read_network(shared_data / "networks" / "string_high_confidence.csv"),
        screen=path,
        column="perturbation",
        cells=True,
    )
    drawn = draw_view(HyperPerturbInference(run.path), run.file("cells.h5ad"), max_cells=3000)
    view = CellView(run.file("cells.h5ad"))
    assert len(view.cells) == drawn.n_obs == 3000
    assert view.cells["batch"].nunique() == 3
    table = view.escapers.set_index("perturbation")
    pathway = table.loc[["IFNGR1", "IFNGR2", "JAK2", "STAT1"]]
    assert pathway["judged"].all()
    assert pathway["share"].between(0.05, 0.5).all(), (
        "published shares of non-perturbed cells are about a quarter"
    )
    assert (pathway["separation"] > 2).all()
    assert table["judged"].sum() < 15, "most knock-outs of this screen have an effect close to the noise"
