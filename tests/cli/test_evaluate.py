"""The commands that judge: evaluate on a run, benchmark on data."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hyperperturb.data.simulate import simulate_screen, write_simulation
from hyperperturb.evaluation.report import HeldOut, RunMetrics
from hyperperturb.evaluation.verdict import CEILING, MODEL
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.judging import judged_card
from hyperperturb.runs.directory import RunDirectory

keras_saving = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A simulated screen with combinations, its network and its true effects."""
    simulation = simulate_screen(
        seed=5, n_genes=80, n_regulators=16, n_single=16, n_double=8, n_cells=1500, n_batches=2
    )
    return write_simulation(simulation, tmp_path_factory.mktemp("judged") / "screen.h5ad")


def train(files: dict[str, Path], folder: Path) -> RunDirectory:
    """A run trained for one epoch on that screen and its network."""
    from hyperperturb.models.settings import TrainingSettings
    from hyperperturb.models.train import train_run
    from hyperperturb.runs.config import NetworkSource, RunConfig

    made = RunDirectory.create(
        folder,
        RunConfig(
            screen=files["screen"],
            column="perturbation",
            control="non-targeting",
            networks=(NetworkSource.from_path(files["network"]),),
            settings=TrainingSettings(epochs=1, embedding_dim=3, cell_heads=False),
        ),
    )
    made.begin()
    train_run(made)
    made.finish()
    return made


@pytest.fixture(scope="module")
def run(files, tmp_path_factory) -> RunDirectory:
    return train(files, tmp_path_factory.mktemp("runs"))


@keras_saving
@pytest.mark.slow
def test_a_run_is_judged_with_ceiling_and_seeds(call, run):
    before = run.metrics()
    code, out, _ = call("evaluate", run.path, "--seeds", 3, "--halves", "cells", "--json")
    assert code == 0
    told = json.loads(out)["metrics"]
    found = RunMetrics.model_validate(run.metrics())
    assert RunMetrics.model_validate(told) == found
    assert [row.name for row in found.methods] == [MODEL, *simple_baselines(None), CEILING]
    assert found.n_seeds == 3
    assert found.ceiling == "cells at random"
    assert found.scores(CEILING).error < found.scores("training_mean").error
    assert found.scores(MODEL).energy_distance > 0
    assert found.curvature == before["curvature"], "what is said of the space stays"
    assert found.verdict in run.card()
    assert "averaged over 3 seeds" in run.card()
    assert "## Space" in run.card()
    assert run.usable
    # the first seed is the training's own: without a ceiling the scores are those of the training
    assert call("evaluate", run.path, "--halves", "none")[0] == 0
    again = run.metrics()
    assert again["ceiling"] is None
    for old, new in zip(before["methods"], again["methods"], strict=True):
        assert new["error"] == pytest.approx(old["error"], rel=1e-3), old["name"]


@keras_saving
@pytest.mark.slow
def test_a_run_of_very_many_targets_is_judged_with_its_own_points(call, files, tmp_path, monkeypatch):
    """Such a run keeps no kernels: they are made anew of its networks and its points."""
    monkeypatch.setattr("hyperperturb.models.predictor.EXACT_UP_TO", 5)
    made = train(files, tmp_path)
    before = made.metrics()
    assert call("evaluate", made.path, "--halves", "none")[0] == 0
    for old, new in zip(before["methods"], made.metrics()["methods"], strict=True):
        assert new["error"] == pytest.approx(old["error"], rel=1e-3), old["name"]


@keras_saving
@pytest.mark.slow
def test_combinations_are_judged_against_the_sum(call, run):
    code, out, _ = call("evaluate", run.path, "--split", "combinations", "--folds", 3, "--halves", "none")
    assert code == 0
    assert "on combinations it never saw" in out.splitlines()[0]
    found = RunMetrics.model_validate(run.metrics())
    assert found.held_out == "combinations"
    assert {item["n_seen"] for item in found.per_perturbation} == {2.0}


@keras_saving
@pytest.mark.slow
def test_a_benchmark_writes_its_report(call, files, tmp_path):
    out = tmp_path / "results"
    code, text, _ = call(
        "benchmark", files["screen"], "--network", files["network"], "--no_coexpression", "--out", out,
        "--seeds", 1, "--folds", 3, "--preset", "quick", "--full",
    )  # fmt: skip
    assert code == 0
    report = (out / "report.md").read_text()
    assert report.splitlines()[0] == text.splitlines()[0]
    assert report.startswith(("Yes, the model", "No, the model"))
    found = HeldOut.model_validate_json((out / "metrics.json").read_text())
    assert found.verdict == report.splitlines()[0]
    variants = {"flat_twin", "rewired_network", "random_embedding"}
    assert variants <= {row.name for row in found.methods}
    assert {group.n_targets for group in found.groups} == {1, 2}
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["method"]) == {row.name for row in found.methods}
    for name in ("methods", "methods_more", "perturbations"):
        assert "plotly" in (out / f"{name}.html").read_text()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--split", "halves"), "there is no such split"),
        (("--split", "none.csv"), "There is no file"),
        (("--within", "batch"), "COLUMN=VALUE"),
        (("--within", "batch=nowhere"), "no value 'nowhere'"),
        (("--preset", "slow"), "no preset"),
        (("--halves", "nothing"), "no obs column 'nothing'"),
        (("--no_coexpression",), "no network"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_line(call, files, tmp_path, words, says):
    code, out, err = call("benchmark", files["screen"], "--out", tmp_path / "results", *words)
    assert code == 1
    assert not out
    assert says in err.splitlines()[-1]
    assert not (tmp_path / "results").exists(), "nothing half-written"


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(call, files, tmp_path):
    (tmp_path / "taken").write_text("")
    code, _, err = call(
        "benchmark", files["screen"], "--network", files["network"], "--out", tmp_path / "taken"
    )
    assert code == 1
    assert "cannot be written" in err
    assert "Controls" not in err, "nothing was read before"


def test_an_unfinished_run_is_not_judged(call, tmp_path):
    from hyperperturb.runs.config import RunConfig

    queued = RunDirectory.create(tmp_path, RunConfig(effects="effects.parquet"))
    code, _, err = call("evaluate", queued.path)
    assert code == 1
    assert "is not finished" in err


def test_only_the_judged_part_of_a_card_is_replaced():
    card = "# Title\n\nold verdict\n\n## Held-out genes\n\nold verdict again\n\n## Space\n\n- kept\n"
    found = HeldOut(
        verdict="new verdict", ahead=False, lead=0, lead_low=0, lead_high=0, best_baseline="no_change",
        n_perturbations=3, n_folds=3, methods=[],
    )  # fmt: skip
    new = judged_card(card, found)
    assert new.startswith("# Title\n\nnew verdict\n\n## Held-out genes\n\n3 folds")
    assert new.endswith("## Space\n\n- kept\n")
    assert "old verdict" not in new
