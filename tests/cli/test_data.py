"""The command line on data: outputs, exit codes, and a sentence for every bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

COMMANDS = (
    "simulate",
    "inspect",
    "quality",
    "effects",
    "download",
    "preprocess",
    "train",
    "runs",
    "cancel",
    "evaluate",
    "benchmark",
    "predict",
    "query",
    "cells",
    "terms",
    "app",
)


def one_line(error: str) -> str:
    """The complaint on stderr; fails when it is more than a line, or a traceback."""
    lines = [line for line in error.splitlines() if line.startswith("hyperperturb:")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


def test_without_a_command_it_says_what_there_is(call):
    code, out, _ = call()
    assert code == 0
    for command in COMMANDS:
        assert f"  {command} " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: hyperperturb {command}" in out
    for option in ("--json", "--debug"):
        assert option in out


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["inspect"],
        ["simulate", "x.h5ad", "--seed", "many"],
        ["runs", "--unknown"],
        ["predict", "run"],
    ],
)
def test_a_command_that_is_not_understood_exits_with_two(call, words):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert one_line(err)


def test_simulate_writes_three_files_and_says_so_in_json(call, tmp_path):
    out = tmp_path / "new folder" / "demo.h5ad"
    code, text, _ = call("simulate", out, "--cells", 1500, "--seed", 5, "--json")
    assert code == 0
    said = json.loads(text)
    assert (said["seed"], said["n_cells"], said["n_genes"], said["n_perturbations"]) == (5, 1500, 600, 100)
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "demo.h5ad",
        "demo.network.csv",
        "demo.true_effects.parquet",
    ]
    assert {Path(p).name for p in said["files"].values()} == {p.name for p in out.parent.iterdir()}


def test_simulate_refuses_another_suffix_and_a_folder_it_cannot_write(call, tmp_path):
    code, _, err = call("simulate", tmp_path / "demo.csv")
    assert code == 1
    assert ".h5ad" in one_line(err)
    (tmp_path / "file").touch()
    code, _, err = call("simulate", tmp_path / "file" / "demo.h5ad", "--cells", 1100)
    assert code == 1
    assert one_line(err)


def test_inspect_proposes_the_controls(call, small_screen):
    code, out, _ = call("inspect", small_screen)
    assert code == 0
    assert "'non-targeting' in column 'perturbation'" in out
    assert "batches: column 'batch', 2 batches, at least " in out
    code, out, _ = call("inspect", small_screen, "--json")
    report = json.loads(out)
    assert [(entry["column"], entry["usable"]) for entry in report["batch_columns"]] == [("batch", True)]
    assert (report["n_cells"], report["n_genes"], report["usable"]) == (1500, 120, True)
    assert report["proposal"]["label"] == "non-targeting"


def test_inspect_reads_a_table_of_effects(call, tmp_path):
    path = tmp_path / "effects.csv"
    pd.DataFrame({"perturbation": ["A", "A_B"], "G1": [1.0, 2.0]}).to_csv(path, index=False)
    code, out, _ = call("inspect", path, "--json")
    assert code == 0
    assert json.loads(out)["perturbations"] == ["A", "A_B"]
    assert call("inspect", path)[1].strip().endswith("2 perturbations x 1 response genes")


@pytest.mark.parametrize("name", ["effects.parquet", "effects.csv", "effects.csv.gz"])
def test_effects_are_written_and_read_again(call, small_screen, tmp_path, name):
    from hyperperturb.data.effects import read_effects

    out = tmp_path / name
    code, text, _ = call("effects", small_screen, out, "--json")
    assert code == 0
    said = json.loads(text)
    assert (said["column"], said["control"]) == ("perturbation", "non-targeting")
    assert said["n_perturbations"] == 24
    effects = read_effects(out)
    assert len(effects.perturbations) == 24
    assert len(effects.genes) == 120


def test_the_controls_can_be_chosen_for_the_effects(call, small_screen, tmp_path):
    code, text, _ = call("effects", small_screen, tmp_path / "e.csv", "--column", "guide", "--json")
    assert code == 0
    assert json.loads(text)["column"] == "guide"
    for words, says in (
        (["--column", "nothing"], "no obs column 'nothing'"),
        (["--control", "martians"], "No label column has the label 'martians'"),
        (["--column", "perturbation", "--control", "martians"], "no cells with the label 'martians'"),
        (["--column", "batch"], "No label of column 'batch' looks like a control"),
        (["--mode", "magic"], "'magic' is not a mode"),
    ):
        code, out, err = call("effects", small_screen, tmp_path / "no.csv", *words)
        assert (code, out) == (1, "")
        assert says in one_line(err)
    assert not (tmp_path / "no.csv").exists()


def test_preprocess_writes_a_view_on_some_cells(call, small_screen, tmp_path):
    import anndata

    out = tmp_path / "processed.h5ad"
    code, text, err = call("preprocess", small_screen, out, "--max_cells", 600, "--json")
    assert code == 0, err
    said = json.loads(text)
    adata = anndata.read_h5ad(out)
    assert (said["n_cells"], said["n_genes"]) == adata.shape
    assert 400 < adata.n_obs <= 600
    assert "X_pca" in adata.obsm
    assert call("preprocess", small_screen, tmp_path / "out.csv")[0] == 1


def test_an_unknown_output_format_is_refused_before_the_work(call, small_screen, tmp_path):
    code, _, err = call("effects", small_screen, tmp_path / "effects.xlsx")
    assert code == 1
    assert "effects.xlsx" in one_line(err)


# what can be wrong with a screen: name, how to break it, what the sentence must say


def write(path: Path, x, obs: dict[str, list[str]], genes: list[str] | None = None) -> Path:
    import anndata

    x = np.asarray(x, dtype=np.float32)
    obs_frame = pd.DataFrame(
        {k: pd.Categorical(v) for k, v in obs.items()}, index=[f"c{i}" for i in range(len(x))]
    )
    names = genes or [f"GENE{i}" for i in range(x.shape[1])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata warns of the doubled names that a test wants
        anndata.AnnData(sp.csr_matrix(x), obs=obs_frame, var=pd.DataFrame(index=names)).write_h5ad(path)
    return path


def counts(n: int = 400, genes: int = 30) -> np.ndarray:
    return np.random.default_rng(0).poisson(3.0, size=(n, genes)).astype(np.float32)


def labels(n: int = 400) -> list[str]:
    return ["control", "A", "B", "C"] * (n // 4)


def not_hdf5(path: Path, screen: Path) -> Path:
    path.write_text("this is a text file")
    return path


def truncated(path: Path, screen: Path) -> Path:
    path.write_bytes(screen.read_bytes()[: screen.stat().st_size * 2 // 3])
    return path


def empty(path: Path, screen: Path) -> Path:
    path.touch()
    return path


def no_obs(path: Path, screen: Path) -> Path:
    shutil.copy(screen, path)
    with h5py.File(path, "r+") as file:
        del file["obs"]
    return path


def no_label_column(path: Path, screen: Path) -> Path:
    return write(path, counts(), {})


def single_label(path: Path, screen: Path) -> Path:
    return write(path, counts(), {"perturbation": ["control"] * 400})


def no_control(path: Path, screen: Path) -> Path:
    return write(path, counts(), {"perturbation": ["A", "B", "C", "D"] * 100})


def negative(path: Path, screen: Path) -> Path:
    x = counts()
    x[5, 5] = -4.0
    return write(path, x, {"perturbation": labels()})


def not_finite(path: Path, screen: Path) -> Path:
    x = counts()
    x[5, 5] = np.nan
    return write(path, x, {"perturbation": labels()})


def three_cells(path: Path, screen: Path) -> Path:
    return write(path, counts(3), {"perturbation": ["control", "A", "A"]})


BROKEN = [
    (not_hdf5, "HDF5"),
    (empty, "HDF5|empty"),
    (truncated, "truncated|cut|incomplete|damaged"),
    (no_obs, "obs"),
    (no_label_column, "column|label"),
    (single_label, "label|perturbation"),
    (no_control, "control"),
    (negative, "negative|below zero|-4"),
    (not_finite, "finite|NaN|nan|not a number"),
    (three_cells, "3 cells"),
]


@pytest.mark.parametrize(("break_it", "says"), BROKEN, ids=[f.__name__ for f, _ in BROKEN])
def test_a_broken_screen_is_refused_in_a_sentence(call, small_screen, tmp_path, break_it, says):
    path = break_it(tmp_path / "broken.h5ad", small_screen)
    for words in (["inspect", path], ["effects", path, tmp_path / "out.csv"], ["train", "--rna_path", path]):
        code, out, err = call(*words, *(["--output_dir", tmp_path / "runs"] if words[0] == "train" else []))
        assert code == 1, (words[0], out, err)
        assert re.search(says, one_line(err)), err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.h5ad"], "nothing half-written"


def test_a_file_that_is_not_there(call, tmp_path):
    for words in (
        ["inspect", tmp_path / "no.h5ad"],
        ["effects", tmp_path / "no.h5ad", tmp_path / "out.csv"],
        ["preprocess", tmp_path / "no.h5ad", tmp_path / "out.h5ad"],
        ["train", "--rna_path", tmp_path / "no.h5ad"],
        ["train", "--effects", tmp_path / "no.csv"],
        ["predict", tmp_path / "no run", "--gene", "A"],
        ["query", tmp_path / "no run", tmp_path / "no.h5ad"],
    ):
        code, out, err = call(*words)
        assert (code, out) == (1, "")
        assert "no " in one_line(err)
    code, _, err = call("inspect", tmp_path)
    assert code == 1
    assert "is not a screen: neither zarr nor" in one_line(err)


def test_what_only_needs_a_word_is_used_with_that_word(call, tmp_path):
    x = counts()
    logged = np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4)
    path = write(tmp_path / "log.h5ad", logged, {"perturbation": labels()})
    code, out, _ = call("inspect", path, "--json")
    assert code == 0
    assert json.loads(out)["values"] == "log-normalised"
    twice = write(
        tmp_path / "twice.h5ad", x, {"perturbation": labels()}, ["A", "A", *[f"G{i}" for i in range(28)]]
    )
    code, out, _ = call("inspect", twice, "--json")
    assert code == 0
    assert "duplicate-genes" in [r["code"] for r in json.loads(out)["repairs"]]
    ensembl = write(
        tmp_path / "ens.h5ad", x, {"perturbation": labels()}, [f"ENSG{i:011d}" for i in range(30)]
    )
    code, out, _ = call("inspect", ensembl, "--json")
    assert code == 0
    assert "ensembl-ids" in [r["code"] for r in json.loads(out)["repairs"]]


def test_debug_shows_where_an_error_comes_from(call, tmp_path):
    code, _, err = call("inspect", tmp_path / "no.h5ad", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("hyperperturb:")


def test_an_error_nobody_thought_of_is_still_one_line(call, monkeypatch, small_screen):
    def explode(*_, **__):
        raise KeyError("oh")

    monkeypatch.setattr("hyperperturb.data.screen.inspect_screen", explode)
    code, out, err = call("inspect", small_screen)
    assert (code, out) == (1, "")
    assert "KeyError" in one_line(err)
    assert "--debug" in err


def test_a_reader_that_leaves_early_is_no_error_for_people(small_screen):
    command = f"'{sys.executable}' -m hyperperturb inspect '{small_screen}' --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env={**os.environ}, check=False
    )
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_the_module_and_the_exit_code_work_in_a_process(tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hyperperturb", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("hyperperturb ")
    done = run("inspect", str(tmp_path / "no.h5ad"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_quality_in_words_in_json_and_as_a_table(call, small_screen, tmp_path):
    out = tmp_path / "quality.csv"
    code, words, error = call(
        "quality", small_screen, "--mode", "knockdown", "--csv", out, "--permutations", 99
    )
    assert code == 0, error
    assert "24 perturbations" in words
    assert "Nothing that a reviewer would raise was found." in words
    table = pd.read_csv(out)
    assert len(table) == 24
    assert table["energy_p"].min() == 0.01
    code, text, error = call("quality", small_screen, "--json", "--permutations", 99)
    assert code == 0, error
    found = json.loads(text)
    assert found["guide_column"] == "guide"
    assert [row["perturbation"] for row in found["perturbations"]] == table["perturbation"].tolist()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--batch", "lane"], "no obs column 'lane'"),
        (["--control", "nobody"], "has the label 'nobody'"),
        (["--csv", "quality.xls"], "does not say in which format"),
        (["--mode", "silencing"], "'silencing' is not a mode"),
    ],
)
def test_quality_refuses_what_is_not_there(call, small_screen, options, sentence):
    code, out, error = call("quality", small_screen, *options)
    assert (code, out) == (1, "")
    assert sentence in one_line(error)
