"""Proteins on the command line: simulated, trained with the RNA, predicted beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from hyperperturb.data import simulate_screen, write_simulation
from hyperperturb.data.effects import read_effects
from hyperperturb.models.inference import HyperPerturbInference


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


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # Keras with NumPy 2
)
def test_from_two_files_to_predicted_proteins(files, run):
    said = run(
        *("train", "--rna_path", files["screen"], "--network", files["network"], "--preset", "quick"),
        *("--protein_path", files["table"], "--protein_names", "suffix", "--mode", "knockdown"),
        *("--epochs", 2, "--max_cells", 500, "--no_coexpression"),
    )
    assert "On proteins: " in said
    path = Path(said.splitlines()[-1])
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["proteins"]["n_proteins"] == 6
    assert {"no_change", "training_mean", "network_kernel_ridge"} <= {
        row["name"] for row in metrics["proteins"]["methods"]
    }
    assert "## Proteins" in (path / "card.md").read_text()

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
