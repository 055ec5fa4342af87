"""scripts/train_model.py: the seed's flags and defaults, none of which does nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.folder import list_runs


@pytest.fixture(scope="module")
def script(root):
    spec = importlib.util.spec_from_file_location("train_model_script", root / "scripts" / "train_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_defaults_are_the_seeds(script):
    args = vars(script.make_parser().parse_args([]))
    assert args | {"output_dir": None} == {
        "rna_path": None,
        "protein_path": None,
        "network_path": None,
        "output_dir": None,
        "epochs": 30,
        "batch_size": 16,
        "learning_rate": 3e-4,
        "embedding_dim": 16,
        "hidden_dim": 32,
        "curvature": 1.0,
        "use_protein_data": False,
        "trainer": "advanced",
        "max_cells": 3000,
        "val_split": 0.2,
        "strategy": "auto",
        "xla": False,
        "preprocessed_path": None,
        "debug": False,
    }


def test_every_flag_reaches_what_it_is_for(script, monkeypatch, capsys, tmp_path, small_screen):
    calls = {}

    def load(rna_path, protein_path, network_path, **more):
        import anndata

        calls["load"] = {"rna": rna_path, "protein": protein_path, "network": network_path, **more}
        adata = anndata.AnnData(np.zeros((2, 1), dtype=np.float32))
        adata.obsm["perturbation_target"] = np.eye(2)
        return adata, "adjacency"

    def train_model(adata, **settings):
        calls["train"] = settings
        run = RunDirectory.create(settings["model_dir"], RunConfig())
        run.file("metrics.json").write_text(json.dumps({"verdict": "Fine."}))
        return SimpleNamespace(run=str(run.path)), None

    monkeypatch.setattr("hyperperturb.data.load_and_preprocess_perturbation_data", load, raising=False)
    stand_in = SimpleNamespace(train_model=train_model)
    monkeypatch.setitem(sys.modules, "hyperperturb.models.train", stand_in)
    network = small_screen.with_suffix(".network.csv")
    processed = tmp_path / "processed.h5ad"
    flags = {
        "rna_path": small_screen,
        "protein_path": small_screen,
        "network_path": network,
        "output_dir": tmp_path / "runs",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.01,
        "embedding_dim": 4,
        "hidden_dim": 6,
        "curvature": 0.5,
        "trainer": "simple",
        "max_cells": 700,
        "val_split": 0.3,
        "strategy": "default",
        "preprocessed_path": processed,
    }
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    assert script.main([*words, "--use_protein_data", "--xla"]) == 0
    assert "Fine." in capsys.readouterr().out
    assert calls["load"] == {
        "rna": small_screen,
        "protein": small_screen,
        "network": network,
        "preprocessed_path": processed,
        "max_cells": 700,
    }
    assert callable(calls["train"].pop("on_event"))
    assert calls["train"] == {
        "adj_matrix": "adjacency",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.01,
        "curvature": 0.5,
        "embedding_dim": 4,
        "hidden_dim": 6,
        "validation_split": 0.3,
        "cell_heads": False,
        "jit_compile": True,
        "strategy": "default",
        "model_dir": tmp_path / "runs",
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "download_string_and_test_data.sh"),
        (["--rna_path", "nowhere.h5ad"], "no file 'nowhere.h5ad'"),
        (["--rna_path", "SCREEN", "--network_path", "nowhere.csv"], "no file 'nowhere.csv'"),
        (["--rna_path", "SCREEN", "--protein_path", "nowhere.h5ad"], "no file 'nowhere.h5ad' (protein)"),
        (["--use_protein_data", "--preprocessed_path", "SCREEN"], "(screen)"),
        (["--rna_path", "SCREEN", "--use_protein_data", "--preprocessed_path", "o.h5ad"], "(protein)"),
    ],
)
def test_a_flag_that_would_do_nothing_and_a_missing_file_are_refused(
    script, capsys, monkeypatch, tmp_path, small_screen, words, says
):
    monkeypatch.chdir(tmp_path)
    assert script.main([str(small_screen) if w == "SCREEN" else w for w in words]) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_script_trains_a_run_that_can_be_used(script, small_screen, tmp_path, capsys):
    words = ["--rna_path", small_screen, "--network_path", small_screen.with_suffix(".network.csv")]
    words += ["--output_dir", tmp_path, "--epochs", 2, "--trainer", "simple"]
    cells = ad.read_h5ad(small_screen, backed="r").obs_names
    counts = np.random.default_rng(0).poisson([5, 20, 60], size=(len(cells), 3))
    pd.DataFrame(counts, index=cells, columns=["CD4", "CD8", "CD86"]).to_csv(tmp_path / "p.csv")
    words += ["--protein_path", tmp_path / "p.csv"]
    assert script.main([str(w) for w in words]) == 0
    run = list_runs(tmp_path)[0]
    assert run.usable, run.missing_files()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(run.path)
    assert lines[-2].startswith("On proteins: ")
    assert run.metrics()["proteins"]["n_proteins"] == 3
