"""``hyperperturb predict --out``: predictions as an AnnData, from a finished run."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pytest

from hyperperturb.cli import main
from hyperperturb.data import compute_effects


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_simulation, finished_run):
    effects = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    return finished_run(tmp_path_factory.mktemp("runs"), effects, small_simulation.network)


def test_one_perturbation_as_an_anndata(run, tmp_path, capsys):
    from hyperperturb.models.inference import HyperPerturbInference

    inference = HyperPerturbInference(run.path)
    gene = inference.effects.targets[0][0]
    out = tmp_path / "one.h5ad"
    assert main(["predict", str(run.path), "--gene", gene, "--out", str(out)]) == 0
    assert f"{out}: {len(inference.response_genes)} response genes" in capsys.readouterr().out
    read = anndata.read_h5ad(out)
    np.testing.assert_allclose(
        read[gene].X[0], inference.predict_effects([gene]).table["effect"], rtol=1e-5, atol=1e-7
    )


def test_a_list_as_an_anndata_and_a_table(run, tmp_path, capsys):
    from hyperperturb.models.inference import HyperPerturbInference

    effects = HyperPerturbInference(run.path).effects
    double = next(targets for targets in effects.targets if len(targets) == 2)
    listed, out, csv = (tmp_path / name for name in ("list.txt", "many.h5ad", "many.csv"))
    listed.write_text(f"{effects.perturbations[0]}\n{'_'.join(double)}\nNOBODY\n")
    words = [
        "predict",
        str(run.path),
        "--targets",
        str(listed),
        "--out",
        str(out),
        "--csv",
        str(csv),
        "--json",
    ]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["csv"], said["out"]) == (str(csv), str(out))
    assert [refused["perturbation"] for refused in said["refused"]] == ["NOBODY"]
    read = anndata.read_h5ad(out)
    assert list(read.obs_names) == [effects.perturbations[0], "+".join(sorted(double))]
    assert len(csv.read_text().splitlines()) == 3


def test_another_suffix_is_refused_before_any_work(run, tmp_path, capsys):
    assert main(["predict", str(run.path), "--gene", "X", "--out", str(tmp_path / "x.csv")]) == 1
    assert "End it in .h5ad" in capsys.readouterr().err
