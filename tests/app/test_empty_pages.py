"""Every page on an empty workspace: its question, and the step that leads on."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The app on an empty workspace."""
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path))
    return AppTest.from_file(str(ROOT / "app" / "Home.py"), default_timeout=60)


def steps(app: AppTest) -> list[str]:
    """What can be pressed: buttons, and links to other pages."""
    return [button.label for button in app.button] + [link.proto.label for link in app.get("page_link")]


@pytest.mark.parametrize(
    ("page", "question", "step"),
    [
        ("home", "What does perturbing a gene do?", "Load the demo screen"),
        ("datasets", "What data do you have?", "Load the demo screen"),
        ("controls", "Which cells are the controls?", "Choose data"),
        ("train", "How should the model learn?", "Choose data"),
        ("disk", "Which genes sit at the centre?", "See the next step"),
        ("cells", "What was done to these cells?", "See the next step"),
        ("predict", "What happens if a gene goes?", "See the next step"),
        ("evaluate", "How good are the predictions?", "See the next step"),
    ],
)
def test_an_empty_page_asks_its_question_and_leads_on(app: AppTest, page: str, question: str, step: str):
    app.run()
    if page != "home":
        app.switch_page(f"../pages/{page}.py").run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == question
    assert step in steps(app)


def test_names_in_the_address_that_do_not_exist_are_told(app: AppTest):
    app.query_params["dataset"] = "gone"
    app.query_params["run"] = "../../etc"
    app.run()
    assert not app.exception
    said = " ".join(warning.value for warning in app.warning)
    assert "gone" in said
    assert "etc" in said
    app.run()  # an address is left as it was while the page is opened
    assert "dataset" not in app.query_params


def test_an_unexpected_error_becomes_a_sentence_and_a_log_entry(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import app.ui.cache as cache

    def broken(_workspace):
        raise RuntimeError("inner detail")

    monkeypatch.setattr(cache, "datasets", broken)
    app.run()
    assert not app.exception
    assert "unexpected" in app.error[0].value
    assert "inner detail" not in app.error[0].value
    assert "inner detail" in (tmp_path / "data" / "app.log").read_text()
