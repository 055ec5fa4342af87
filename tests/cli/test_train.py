"""train on a stand-in for a training; runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.folder import list_runs
from hyperperturb.runs.launcher import LocalLauncher

GENES = ["STAT1", "IRF1", "MYC"]


def test_runs_are_listed_with_their_states(call, tmp_path):
    folder = tmp_path / "runs"
    code, out, _ = call("runs", "--output_dir", folder)
    assert code == 0
    assert "There are no runs" in out
    assert json.loads(call("runs", "--output_dir", folder, "--json")[1]) == []
    run = RunDirectory.create(folder, RunConfig(effects=tmp_path / "e.csv", title="Mine"), name="first")
    run.begin()
    run.fail("It broke.")
    assert call("runs", "--output_dir", folder)[1].splitlines()[1].split() == [
        "first",
        "failed",
        "Mine",
        "It",
        "broke.",
    ]
    said = json.loads(call("runs", "--output_dir", folder, "--json")[1])
    assert (said[0]["name"], said[0]["usable"], said[0]["status"]["error"]) == ("first", False, "It broke.")


def test_an_unfinished_run_is_not_used(call, tmp_path):
    run = RunDirectory.create(tmp_path, RunConfig(effects=tmp_path / "e.csv"))
    code, out, err = call("predict", run.path, "--gene", "A")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    code, _, err = call("predict", "latest", "--gene", "A", "--output_dir", tmp_path)
    assert code == 1
    assert "no finished run" in err


@pytest.fixture
def trained(monkeypatch):
    """A training that ends at once; gives the configurations it was asked for."""
    asked: list[RunConfig] = []

    def execute(run):
        asked.append(run.config)
        run.begin()
        run.epoch({"stage": "genes", "epoch": 1, "epochs": 1, "loss": 0.5, "val_loss": None})
        print("something that a package prints")
        run.file("metrics.json").write_text('{"verdict": "Better than the mean."}')
        run.finish()
        return "finished"

    monkeypatch.setattr("hyperperturb.runs.worker.execute", execute)
    return asked


def test_train_takes_the_seeds_flags(call, trained, small_screen, tmp_path):
    network = small_screen.with_suffix(".network.csv")
    code, out, err = call(
        *("train", "--rna_path", small_screen, "--network", network, "--network_path", network),
        *(
            "--epochs",
            7,
            "--batch_size",
            16,
            "--learning_rate",
            3e-4,
            "--embedding_dim",
            8,
            "--hidden_dim",
            12,
        ),
        *("--curvature", 0.5, "--max_cells", 900, "--seed", 4, "--output_dir", tmp_path / "runs", "--json"),
        *("--preset", "quick", "--title", "A try"),
    )
    assert code == 0
    said = json.loads(out)
    assert (said["state"], said["metrics"]["verdict"]) == ("finished", "Better than the mean.")
    assert Path(said["run"]).parent == tmp_path / "runs"
    config = trained[0]
    assert (config.column, config.control, config.title) == ("perturbation", "non-targeting", "A try")
    assert [n.path for n in config.networks] == [network, network]
    settings = config.settings
    assert (settings.epochs, settings.batch_size, settings.learning_rate, settings.embedding_dim) == (
        7,
        16,
        3e-4,
        8,
    )
    assert (settings.hidden_dim, settings.curvature, settings.max_cells, settings.seed) == (12, 0.5, 900, 4)
    assert "genes: epoch 1 of 1, loss 0.5" in err
    assert "something that a package prints" in err


def test_train_says_the_verdict_and_the_path(call, trained, small_screen, tmp_path):
    label = "perturbation"
    code, out, _ = call(
        *("train", "--rna_path", small_screen, "--column", label, "--output_dir", tmp_path, "--no_cell_heads")
    )
    assert code == 0
    assert out.splitlines()[-2:] == ["Better than the mean.", str(list_runs(tmp_path)[0].path)]
    assert not trained[0].settings.cell_heads


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing to train on"),
        (["--preset", "slow"], "no preset 'slow'"),
        (["--epochs", "0"], "--epochs 0"),
        (["--exclude", "MARTIAN"], "no such label"),
        (["--network", "nowhere.csv"], "no file 'nowhere.csv'"),
        (["--no_coexpression"], "no network"),
        (["--network", "ONE_COLUMN"], "column"),
    ],
)
def test_train_refuses_before_it_makes_a_run(call, trained, small_screen, tmp_path, words, says):
    one_column = tmp_path / "one.csv"
    one_column.write_text("gene\nSTAT1\nIRF1\n")
    words = [one_column if word == "ONE_COLUMN" else word for word in words]
    data = ["--rna_path", small_screen] if words else []
    code, out, err = call("train", *data, *words, "--output_dir", tmp_path / "runs")
    assert (code, out) == (1, "")
    assert says in err
    assert not (tmp_path / "runs").exists()


def test_an_option_that_would_do_nothing_is_refused(call, trained, small_screen, tmp_path):
    effects = tmp_path / "effects.csv"
    effects.write_text("perturbation,A\nB,1.0\n")
    network = small_screen.with_suffix(".network.csv")
    words = ("train", "--effects", effects, "--network", network, "--output_dir", tmp_path / "runs")
    for more in (("--column", "x"), ("--control", "x"), ("--layer", "x"), ("--network_info", network)):
        code, _, err = call(*words, *more)
        assert code == 1
        assert f"{more[0]} {more[1]} would do nothing" in err
    assert trained == []
    assert call(*words)[0] == 0
    assert (trained[0].effects, trained[0].coexpression) == (effects, False)


def test_a_training_that_fails_exits_with_its_sentence(call, monkeypatch, small_screen, tmp_path):
    def fail(run):
        run.begin()
        run.fail("None of the targets is in the network.")
        return "failed"

    monkeypatch.setattr("hyperperturb.runs.worker.execute", fail)
    code, _, err = call("train", "--rna_path", small_screen, "--output_dir", tmp_path)
    assert code == 1
    assert err.splitlines()[-1] == "hyperperturb: None of the targets is in the network."


def test_an_interrupted_training_says_so(call, monkeypatch, small_screen, tmp_path):
    monkeypatch.setattr("hyperperturb.runs.worker.execute", lambda run: "cancelled")
    code, _, err = call("train", "--rna_path", small_screen, "--output_dir", tmp_path)
    assert code == 130
    assert err.splitlines()[-1] == "hyperperturb: interrupted"


def test_the_real_worker_can_be_cancelled_while_it_loads(small_screen, tmp_path):
    config = RunConfig(screen=small_screen, column="perturbation", control="non-targeting", mode="knockdown")
    launcher = LocalLauncher()
    cancelled = RunDirectory.create(tmp_path, config)
    launcher.submit(cancelled)
    deadline = time.monotonic() + 30
    while not cancelled.status.message.startswith("loading TensorFlow"):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    started = time.monotonic()
    launcher.cancel(cancelled)
    assert time.monotonic() - started < 10
    assert cancelled.status.state == "cancelled"
