"""The command line on runs: train, runs, predict, query, app; with a stand-in model where that is enough."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from hyperperturb.cli import main
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.interactions import split_effect
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory, list_runs
from hyperperturb.testing import free_port

GENES = ["STAT1", "IRF1", "MYC"]


@pytest.fixture
def call(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


class RefusedError(HyperPerturbError):
    nearest = ("STAT1",)


class StandIn:
    """Answers like a finished run, without one."""

    genes = pd.DataFrame({"gene": [*GENES, "JAK2"]})
    response_genes = tuple(GENES)
    asked: ClassVar[list] = []
    proteins = None
    effects = SimpleNamespace(
        control="non-targeting",
        perturbations=("P0", "P1"),
    )

    def predict_effects(self, targets):
        if "NOSUCHGENE" in targets:
            raise RefusedError(
                "There is no ground to predict NOSUCHGENE.", hint="The nearest genes are STAT1."
            )
        effect = np.array([1.0, -2.0, 0.5]) * len(targets)
        table = pd.DataFrame(
            {"gene": GENES, "effect": effect, "standard_error": 0.1, "measured": [1.0, np.nan, 0.4]}
        ).assign(measured_standard_error=0.2)
        support = SimpleNamespace(
            why="measured", model_dump=lambda mode: {"level": "measured", "why": "measured"}
        )
        interaction = None
        if len(targets) > 1:
            parts = np.array([0.0, 2.0, 0.0]), np.array([0.1, 0.1, 0.1])
            interaction = split_effect(GENES, targets, effect, *parts, found=True)
        return SimpleNamespace(
            targets=tuple(targets),
            table=table,
            support=support,
            strength=2.5,
            interaction=interaction,
            proteins=None,
        )

    def align(self, adata):
        return np.zeros((adata.n_obs, len(GENES)))

    def predict_perturbations(self, expression, k=5, unseen=()):
        n = len(expression)
        return np.tile(np.arange(k), (n, 1)), np.full((n, k), 1 / k), np.full(n, 3.0)

    def rank_perturbations(self, expression, goal, *, target=None, up=(), down=(), unseen=()):
        self.asked.append((None if expression is None else expression.shape, goal, target, up, down, unseen))
        return pd.DataFrame(
            {
                "perturbation": ["P0", "P1"],
                "targets": ["STAT1", "IRF1"],
                "sign": ["wrong", "right"],
                "intervention": ["activation", "knockdown"],
                "score": [-0.9, 0.2],
                "probability": [0.8, 0.01],
                "evidence": [-0.8, np.nan],
            }
        )

    def interpret_perturbations(self, adata, top, unseen=()):
        n, k = top.shape
        return pd.DataFrame(
            {
                "cell": np.repeat(np.asarray(adata.obs_names), k),
                "rank": np.tile(np.arange(1, k + 1), n),
                "perturbation": [f"P{i}" for i in top.ravel()],
            }
        )


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr("hyperperturb.cli.use._open", lambda run, output_dir: StandIn())


def test_predict_gives_one_row_a_response_gene(call, stand_in, tmp_path):
    code, out, _ = call("predict", "any", "--gene", "JAK2", "--gene", "IRF1", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["targets"] == ["JAK2", "IRF1"]
    assert said["strength"] == 2.5
    assert said["interaction"]["found"]
    assert said["interaction"]["parts"][1]["additive"] == -6.0
    assert "of the sum over the genes" in call("predict", "any", "--gene", "JAK2", "--gene", "IRF1")[1]
    assert said["effects"][1] == {"gene": "IRF1", "effect": -4.0, "standard_error": 0.1, "measured": None}
    csv = tmp_path / "effects.csv"
    assert call("predict", "any", "--gene", "JAK2", "--csv", csv)[0] == 0
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["gene", "effect", "standard_error", "measured"]
    assert frame["effect"].tolist() == [1.0, -2.0, 0.5]
    code, out, _ = call("predict", "any", "--gene", "JAK2")
    assert out.splitlines()[2].split()[0] == "IRF1", "the largest effect first"


def test_predict_refuses_with_the_reason(call, stand_in, tmp_path):
    code, out, err = call("predict", "any", "--gene", "NOSUCHGENE", "--csv", tmp_path / "no.csv", "--json")
    assert (code, out) == (1, "")
    assert "The nearest genes are STAT1" in err
    assert not (tmp_path / "no.csv").exists()


def test_a_list_is_predicted_line_by_line_and_says_what_it_left_out(call, stand_in, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("# my genes\nJAK2\n\nJAK2_IRF1\nNOSUCHGENE\nnon-targeting\n")
    csv = tmp_path / "all.csv"
    code, out, err = call("predict", "any", "--targets", listed, "--csv", csv, "--json")
    assert code == 0
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["perturbation", *GENES]
    assert frame["perturbation"].tolist() == ["JAK2", "JAK2_IRF1"]
    assert frame["IRF1"].tolist() == [-2.0, -4.0]
    said = json.loads(out)
    assert [(r["line"], r["perturbation"], r["nearest"]) for r in said["refused"]] == [
        (5, "NOSUCHGENE", ["STAT1"]),
        (6, "non-targeting", []),
    ]
    assert err.count("refused: line") == 2


def test_a_list_of_which_nothing_can_be_predicted_fails(call, stand_in, tmp_path):
    listed = tmp_path / "list.txt"
    for content, says in (("NOSUCHGENE\n", "None of the 1"), ("# nothing\n", "names no perturbation")):
        listed.write_text(content)
        code, out, err = call("predict", "any", "--targets", listed, "--csv", tmp_path / "no.csv")
        assert (code, out) == (1, "")
        assert says in err
    listed.write_bytes(b"\xff\xfe\x00J")
    assert call("predict", "any", "--targets", listed, "--csv", tmp_path / "no.csv")[0] == 1
    assert not (tmp_path / "no.csv").exists()


@pytest.mark.parametrize(
    "words", [[], ["--gene", "A", "--targets", "list.txt"], ["--targets", "list.txt"], ["--gene"]]
)
def test_predict_wants_genes_or_a_list(call, stand_in, words):
    assert call("predict", "any", *words)[0] == 2


def test_query_answers_for_every_cell(call, stand_in, small_screen, tmp_path):
    csv = tmp_path / "answers.csv"
    code, out, _ = call("query", "any", small_screen, "-k", 2, "--csv", csv, "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["n_cells"], said["k"], said["first"]) == (1500, 2, {"P0": 1500})
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["cell", "rank", "perturbation", "score", "strength"]
    assert len(frame) == 3000
    code, _, err = call("query", "any", small_screen, "--goal", "guess")
    assert code == 1
    assert "'guess' is not a goal" in err


def test_query_ranks_for_a_state_that_cells_share(call, stand_in, small_screen, tmp_path):
    StandIn.asked.clear()
    code, out, _ = call("query", "any", small_screen, "--goal", "revert", "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["n_cells"], said["goal"]) == (1500, "revert")
    assert said["ranking"][0]["intervention"] == "activation"
    assert said["ranking"][1]["evidence"] is None
    assert StandIn.asked[-1][:2] == ((1500, 3), "revert")
    code, out, _ = call("query", "any", small_screen, "--together", "-k", 1)
    assert code == 0
    assert "1,500 cells as one state (explain):" in out
    assert "P1" not in out
    csv = tmp_path / "ranking.csv"
    code, _, _ = call("query", "any", small_screen, "--goal", "target", "--to", "P1", "--csv", csv)
    assert code == 0
    assert StandIn.asked[-1][2] == "P1"
    assert pd.read_csv(csv)["sign"].tolist() == ["wrong", "right"]
    code, _, _ = call("query", "any", small_screen, "--goal", "target", "--to", small_screen)
    assert StandIn.asked[-1][2].shape == (1500, 3)
    code, out, _ = call(
        *("query", "any", "--goal", "target", "--up", "MYC", "--down", "IRF1", "--unseen", "JAK2_STAT1")
    )
    assert code == 0
    assert StandIn.asked[-1] == (None, "target", None, ["MYC"], ["IRF1"], [("JAK2", "STAT1")])
    assert "Lists of genes as a state:" in out
    code, _, err = call("query", "any", small_screen, "--goal", "target", "--to", "P7")
    assert code == 1
    assert "'P7' is neither a label of the run's screen nor a file" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--goal", "target"],
        ["--up", "MYC"],
        ["--goal", "target", "--to", "P1", "--up", "MYC"],
        ["--goal", "revert", "--to", "P1"],
    ],
)
def test_query_wants_a_state_for_a_target_and_only_then(call, stand_in, small_screen, words):
    assert call("query", "any", small_screen, *words)[0] == 2
    assert call("query", "any", *words)[0] == 2


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


def test_the_app_refuses_a_port_that_is_taken(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, err = call("app", "--port", taken.getsockname()[1])
    assert (code, out) == (1, "")
    assert "Choose another --port" in err


@pytest.mark.slow
def test_the_app_serves_its_first_page_without_tensorflow(tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperperturb", "app", "--port", str(port), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HYPERPERTURB_HOME": str(tmp_path)},
    )
    try:
        said = json.loads(process.stdout.readline())
        assert said == {"url": f"http://127.0.0.1:{port}", "pid": process.pid}
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{said['url']}/_stcore/health") as answer:
                    assert answer.read() == b"ok"
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.2)
        assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_from_a_simulated_screen_to_answers_with_a_real_training(call, small_screen, tmp_path):
    network = small_screen.with_suffix(".network.csv")
    folder = tmp_path / "runs"
    code, out, err = call(
        *(
            "train",
            "--rna_path",
            small_screen,
            "--network",
            network,
            "--mode",
            "knockdown",
            "--preset",
            "quick",
        ),
        *("--epochs", 3, "--output_dir", folder, "--json"),
    )
    assert code == 0, err
    said = json.loads(out)
    assert said["metrics"]["verdict"]
    run = RunDirectory.open(said["run"])
    assert run.usable, run.missing_files()
    assert "loading TensorFlow" in run.events()[0][1]["message"]
    assert {"genes"} <= set(run.history()["stage"])
    measured = run.config.exclude or None
    assert measured is None
    single = next(p for p in pd.read_parquet(small_screen.with_suffix(".true_effects.parquet")).iloc[:, 0])
    gene = str(single).split("_")[0]

    csv = tmp_path / "one.csv"
    code, _, err = call("predict", "latest", "--gene", gene, "--csv", csv, "--output_dir", folder)
    assert code == 0, err
    frame = pd.read_csv(csv)
    assert list(frame.columns) == ["gene", "effect", "standard_error", "measured"]
    assert frame["effect"].abs().max() > 0
    assert frame["standard_error"].min() > 0

    listed = tmp_path / "list.txt"
    listed.write_text(f"{gene}\nNOSUCHGENE\n")
    code, out, _ = call(
        "predict",
        run.name,
        "--targets",
        listed,
        "--csv",
        tmp_path / "all.csv",
        "--output_dir",
        folder,
        "--json",
    )
    assert code == 0
    assert json.loads(out)["refused"][0]["perturbation"] == "NOSUCHGENE"

    code, out, err = call("query", run.path, small_screen, "-k", 3, "--csv", tmp_path / "cells.csv", "--json")
    assert code == 0, err
    answers = pd.read_csv(tmp_path / "cells.csv")
    assert len(answers) == 1500 * 3
    assert answers["score"].between(0, 1).all()
    assert answers.groupby("cell", sort=False)["score"].sum().max() <= 1.0 + 1e-5


@pytest.mark.slow
def test_the_real_worker_trains_and_can_be_cancelled_while_it_loads(small_screen, tmp_path):
    from hyperperturb.cli.train import make_settings
    from hyperperturb.runs.launcher import LocalLauncher

    config = RunConfig(
        screen=small_screen,
        column="perturbation",
        control="non-targeting",
        mode="knockdown",
        settings=make_settings("quick", {"epochs": 2}),
    )
    launcher = LocalLauncher()
    cancelled = RunDirectory.create(tmp_path, config)
    launcher.submit(cancelled)
    _wait(lambda: cancelled.status.message.startswith("loading TensorFlow"), 30)
    started = time.monotonic()
    launcher.cancel(cancelled)
    assert time.monotonic() - started < 10
    assert cancelled.status.state == "cancelled"

    run = RunDirectory.create(tmp_path, config)
    launcher.submit(run)
    _wait(lambda: run.status.done, 300)
    assert run.status.state == "finished", run.status.error
    assert run.usable, run.missing_files()


def _wait(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_a_run_without_proteins_says_so(call, stand_in, tmp_path):
    out = tmp_path / "proteins.csv"
    code, _, said = call("predict", "any", "--gene", "JAK2", "--protein_csv", out)
    assert code == 1
    assert "knows no proteins" in said
    assert not out.exists()
