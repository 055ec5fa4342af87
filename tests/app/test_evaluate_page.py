"""The page Evaluate on runs of every kind, without a browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from hyperperturb.data.effects import compute_effects
from hyperperturb.runs.directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory, small_simulation, finished_run) -> RunDirectory:
    """A run on a table of effects."""
    effects = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    folder = tmp_path_factory.mktemp("made")
    source = {"effects": folder / "effects.csv", "title": "Small table"}
    return finished_run(folder, effects, small_simulation.network, **source)


@pytest.fixture
def run(made, tmp_path, monkeypatch) -> RunDirectory:
    """A copy of it in a workspace of its own."""
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path))
    path = tmp_path / "models" / "saved" / made.name
    shutil.copytree(made.path, path)
    return RunDirectory.open(path)


def shown(run: RunDirectory, **address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "Home.py"), default_timeout=60)
    app.run()
    for name, value in {"run": run.name, **address}.items():
        app.query_params[name] = value
    app.switch_page("../pages/evaluate.py").run()
    assert not app.exception
    assert not app.error
    return app


def words(app: AppTest) -> str:
    return "\n".join(part.value for part in (*app.markdown, *app.caption, *app.subheader, *app.info))


def change(run: RunDirectory, **values) -> None:
    metrics = run.metrics() | values
    run.file("metrics.json").write_text(json.dumps(metrics))


def test_verdict_first_then_everything_a_reader_asks(run):
    app = shown(run)
    metrics = run.metrics()
    said = words(app)
    assert app.title[0].value == "How good are the predictions?"
    assert ("**Ahead of" if metrics["ahead"] else "**Not ahead of") in said
    sections = [
        "Beside the baselines and the ceiling",
        "Predicted against measured",
        "Do hubs sit in the middle?",
        "Does hyperbolic space help?",
        "Does it know how wrong it is?",
        "Every held-out perturbation",
        "Take the report with you",
    ]
    places = [said.index(f"#### {title}") for title in sections]
    assert places == sorted(places)
    assert said.index("of the baselines") < places[0]
    assert "no cells to halve" in said  # a table of effects has no ceiling
    assert "flat twin was not trained" in said
    methods, rows = (frame.value for frame in app.dataframe)
    assert set(methods["Predictor"]) == {row["label"] for row in metrics["methods"]}
    assert len(rows) == metrics["n_perturbations"]


def test_what_is_folded_away_is_built_once_it_is_opened(run):
    app = shown(run)
    before = len(app.dataframe)
    app.session_state["groups_fold"] = True
    app.run()
    assert len(app.dataframe) == before + 1
    groups = app.dataframe[1].value
    assert groups["perturbations"].sum() >= run.metrics()["n_perturbations"]
    assert "single genes, never seen" in set(groups["held out"])


def test_the_strongest_is_shown_until_another_is_asked_for(run):
    rows = run.metrics()["per_perturbation"]
    strongest = max(rows, key=lambda row: row["strength"])["perturbation"]
    app = shown(run)
    assert app.selectbox(key="judged").value == strongest
    other = rows[3]["perturbation"]
    app.selectbox(key="judged").select(other).run()
    assert app.query_params["perturbation"] in (other, [other])
    assert shown(run, perturbation=other).selectbox(key="judged").value == other


def test_a_perturbation_that_is_not_there_is_told(run):
    app = shown(run, perturbation="NOT-THERE")
    assert "NOT" in app.warning[0].value
    assert "perturbation" not in app.query_params


def test_scaled_scores_have_a_table_where_there_is_a_ceiling(run):
    assert "Scaled" not in shown(run).get("button_group")[0].options
    methods = run.metrics()["methods"]
    for row in methods:
        row["error_scaled"] = 0.5
    change(run, methods=methods, ceiling="cells at random")
    app = shown(run)
    app.get("button_group")[0].set_value("Scaled").run()
    table = app.dataframe[0].value
    assert (table.filter(like="Squared error").to_numpy() == 0.5).all()
    assert "cells at random" in words(app)


def test_variants_are_said_plainly(run):
    metrics = run.metrics()
    twin = metrics["methods"][1] | {"name": "flat_twin", "label": "Flat twin"}
    lead = {"name": "flat_twin", "label": "Flat twin", "metric": "error", "lead": 0.001}
    change(
        run,
        methods=[*metrics["methods"], twin],
        leads=[*metrics["leads"], lead | {"low": -0.01, "high": 0.012}],
    )
    said = words(shown(run))
    assert "does not clearly matter" in said
    assert "was not trained" not in said


def test_a_run_without_scores_leads_to_a_training(run):
    run.file("metrics.json").write_text("{}")
    app = shown(run)
    assert "This run has no scores" in words(app)
    assert "Train a model" in [link.proto.label for link in app.get("page_link")]


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_any_number_of_perturbations_is_shown(run, n):
    one = run.metrics()["per_perturbation"][0]
    rng = np.random.default_rng(0)
    rows = [one | {"perturbation": f"P{i}", "error": float(e)} for i, e in enumerate(rng.lognormal(size=n))]
    change(run, per_perturbation=[one] if n == 1 else rows, n_perturbations=n)
    app = shown(run)
    assert len(app.dataframe) == (1 if n == 0 else 2)
    if n:
        assert len(app.dataframe[1].value) == n


def test_scores_of_an_earlier_version_are_shown_without_what_they_lack(run):
    known = ("perturbation", "error", "baseline_error", "strength", "n_targets", "n_seen")
    rows = [{name: row[name] for name in known} for row in run.metrics()["per_perturbation"]]
    change(run, per_perturbation=rows, leads=[])
    assert "did not keep it perturbation by perturbation" in words(shown(run))
