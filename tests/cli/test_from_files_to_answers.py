"""From files, with proteins, through a real training on the command line to answers."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from hyperperturb.cli import main
from hyperperturb.data import simulate_screen, write_simulation
from hyperperturb.data.effects import read_effects
from hyperperturb.models.inference import HyperPerturbInference
from hyperperturb.runs.directory import RunDirectory


def real(test):
    """Mark a test that needs a real training; Keras converts variables in a way NumPy 2 has deprecated."""
    warning = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    return pytest.mark.slow(pytest.mark.filterwarnings(warning)(test))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A screen with six antibodies; the cells of their file have a suffix that the screen's lack."""
    folder = tmp_path_factory.mktemp("proteins")
    screen = simulate_screen(
        seed=1, n_genes=120, n_regulators=20, n_single=25, n_double=5, n_cells=2500, n_proteins=6
    )
    paths = write_simulation(screen, folder / "s.h5ad")
    table = pd.DataFrame(
        screen.proteins.adata.X.toarray().astype(int),
        index=[f"{cell}-1" for cell in screen.adata.obs_names],
        columns=list(screen.proteins.adata.var_names),
    )
    table.to_csv(folder / "antibodies.csv")
    return paths | {"table": folder / "antibodies.csv", "home": folder / "home"}


@pytest.fixture
def run(call, files, monkeypatch) -> Callable[..., str]:
    """Call the command line on a workspace; gives what it says, on stderr where it is to fail with `code`."""
    monkeypatch.setenv("HYPERPERTURB_HOME", str(files["home"]))

    def ask(*words: object, code: int = 0) -> str:
        found, out, err = call(*words)
        assert found == code, err
        assert "Traceback" not in err
        return err if code else out

    return ask


def test_names_that_do_not_match_are_told_before_the_training(files, run):
    said = run("train", "--rna_path", files["screen"], "--protein_path", files["table"], code=1)
    assert "No cell of" in said
    assert "2,500 of 2,500 match: choose 'suffix' for the names" in said
    said = run("train", "--effects", files["true_effects"], "--protein_path", files["table"], code=1)
    assert "--protein_path" in said
    said = run("train", "--rna_path", files["screen"], "--protein_names", "suffix", code=1)
    assert "would do nothing" in said
    assert not (files["home"] / "models").exists()


def test_preprocess_joins_proteins(files, run, tmp_path):
    said = run(
        *("preprocess", files["screen"], tmp_path / "view.h5ad", "--max_cells", 300, "--json"),
        *("--protein_path", files["table"], "--protein_names", "suffix"),
    )
    assert json.loads(said)["proteins"].startswith("6 antibodies in 2,500 of 2,500 cells")


@pytest.fixture(scope="module")
def trained(files) -> tuple[Path, str]:
    """A real training on the command line: its run, and all that it said."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("HYPERPERTURB_HOME", str(files["home"]))
        words = [
            *("train", "--rna_path", files["screen"], "--network", files["network"], "--preset", "quick"),
            *("--protein_path", files["table"], "--protein_names", "suffix", "--mode", "knockdown"),
            *("--epochs", 2, "--max_cells", 500, "--no_coexpression"),
        ]
        assert main([str(word) for word in words]) == 0
    return Path(said.getvalue().splitlines()[-1]), said.getvalue()


@real
def test_from_two_files_to_a_run(trained):
    path, said = trained
    assert "On proteins: " in said
    run = RunDirectory.open(path)
    assert run.usable, run.missing_files()
    assert "loading TensorFlow" in run.events()[0][1]["message"]
    assert {"genes", "cells"} <= set(run.history()["stage"])
    assert run.metrics()["verdict"] in said
    found = run.metrics()["proteins"]
    assert found["n_proteins"] == 6
    wanted = {"no_change", "training_mean", "network_kernel_ridge"}
    assert wanted <= {row["name"] for row in found["methods"]}
    assert "## Proteins" in run.card()


@real
def test_what_genes_do_to_proteins(files, run, trained):
    path, _ = trained
    measured, truth = (
        read_effects(path / "protein_effects.parquet"),
        read_effects(files["true_protein_effects"]),
    )
    assert measured.perturbations == truth.perturbations
    inference = HyperPerturbInference(path)
    label = truth.perturbations[int(np.abs(truth.effect).max(axis=1).argmax())]
    targets = truth.targets[truth.index(label)]
    answer = inference.predict_effects(targets).proteins
    assert np.corrcoef(answer.table["effect"], truth.effect[truth.index(label)])[0, 1] > 0.8
    assert len(inference.predict_effects(targets).table) == 120  # RNA is what it was

    genes = [word for gene in targets for word in ("--gene", gene)]
    told = json.loads(run("predict", path, *genes, "--json"))
    shown = {row["protein"]: row["effect"] for row in told["proteins"]["effects"]}
    assert shown == pytest.approx(dict(zip(answer.table["protein"], answer.table["effect"], strict=True)))
    listed = files["home"] / "list.txt"
    listed.write_text("\n".join("_".join(target) for target in truth.targets[:3]) + "\n")
    out, table = files["home"] / "many.h5ad", files["home"] / "proteins.csv"
    run("predict", path, "--targets", listed, "--out", out, "--protein_csv", table)
    rows = pd.read_csv(table)
    assert len(rows) == 3 * 6
    many = ad.read_h5ad(out).obsm["protein_effect"]
    first = rows[rows["perturbation"] == many.index[0]].set_index("protein")["effect"]
    assert many.iloc[0].to_dict() == pytest.approx(first.to_dict(), rel=1e-4)

    printed = run("predict", path, *genes)
    assert "Proteins (centred log-ratios, natural-log units):" in printed
    assert all(name in printed for name in truth.genes)


@real
def test_what_genes_do_to_genes(files, run, trained, tmp_path):
    path, _ = trained
    gene = next(target[0] for target in read_effects(files["true_effects"]).targets if len(target) == 1)
    csv = tmp_path / "one.csv"
    run("predict", "latest", "--gene", gene, "--csv", csv)
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["gene", "effect", "standard_error", "measured"]
    assert frame["effect"].abs().max() > 0
    assert frame["standard_error"].min() > 0
    listed = tmp_path / "list.txt"
    listed.write_text(f"{gene}\nNOSUCHGENE\n")
    said = run("predict", path.name, "--targets", listed, "--csv", tmp_path / "all.csv", "--json")
    assert json.loads(said)["refused"][0]["perturbation"] == "NOSUCHGENE"


@real
def test_what_explains_cells(files, run, trained, tmp_path):
    path, _ = trained
    run("query", path, files["screen"], "-k", 3, "--csv", tmp_path / "cells.csv", "--json")
    answers = pd.read_csv(tmp_path / "cells.csv")
    assert len(answers) == 2500 * 3
    assert answers["score"].between(0, 1).all()
    assert answers.groupby("cell", sort=False)["score"].sum().max() <= 1.0 + 1e-5
