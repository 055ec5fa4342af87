"""What a page costs the server, counted rather than timed: figures drawn once, nothing that is folded away."""

from __future__ import annotations

from pathlib import Path

import pytest
from plotly.basedatatypes import BaseFigure
from streamlit import config
from streamlit.testing.v1 import AppTest

from hyperperturb.data.effects import compute_effects
from hyperperturb.plots.sketch import Sketch
from hyperperturb.runs.directory import RunDirectory

HOME = str(Path(__file__).resolve().parents[2] / "app" / "Home.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_simulation, finished_run) -> RunDirectory:
    """A run on a table of effects, in a workspace of its own."""
    effects = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    home = tmp_path_factory.mktemp("home")
    source = {"effects": home / "effects.csv", "title": "Small table"}
    return finished_run(home / "models" / "saved", effects, small_simulation.network, **source)


@pytest.fixture
def drawn(monkeypatch) -> list[str]:
    """Every figure that is made, and every change of one that is made already."""
    found: list[str] = []

    def noted(kind: type, name: str) -> None:
        kept = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *args, **options: found.append(name) or kept(*args, **options))

    noted(Sketch, "figure")
    for name in ("add_traces", "update_layout"):
        noted(BaseFigure, name)
    return found


def opened(page: str, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("HYPERPERTURB_HOME", str(run.path.parents[2]))
    app = AppTest.from_file(HOME, default_timeout=60)
    app.query_params["run"] = run.name
    app.run()
    app.query_params["run"] = run.name
    app.switch_page(f"../pages/{page}.py").run()
    assert not app.exception
    assert not app.error
    return app


@pytest.mark.parametrize("page", ["evaluate", "train"])
def test_a_page_makes_each_of_its_figures_once_and_changes_none(page, run, monkeypatch, drawn):
    app = opened(page, run, monkeypatch)
    drawn.clear()
    app.run()
    assert drawn == ["figure"] * len(app.get("plotly_chart"))
    assert drawn


def test_what_is_folded_away_is_read_once_it_is_opened(run, monkeypatch):
    app = opened("train", run, monkeypatch)
    card = run.card()
    assert card not in [part.value for part in app.markdown]
    app.session_state[f"card_{run.name}"] = True
    app.run()
    assert card.strip() in [part.value.strip() for part in app.markdown]


def test_no_script_ends_with_a_full_collection_of_garbage():
    assert not config.get_option("runner.postScriptGC")  # 0.1 s in which no session is answered
