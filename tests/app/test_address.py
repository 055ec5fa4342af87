"""What is in force when address, session and a request that is late differ."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.ui import address

PAGE = """
import streamlit as st
from app.ui import address, state
from app.ui.state import chosen_gene, chosen_look, select

st.session_state["page_key"] = "disk"
state.sync("disk")
for gene in ("STAT1", "IRF1"):
    st.button(gene, on_click=select, kwargs={"gene": gene, "second": ""})
st.button("By size", on_click=select, kwargs={"size": "core"})
st.text(chosen_gene())
st.text(chosen_look("size", ["core"]))
"""


@pytest.fixture
def page() -> AppTest:
    """A page that carries a gene, opened and drawn once more."""
    app = AppTest.from_string(PAGE, default_timeout=30)
    return app.run().run()


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def named(page: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}


def test_a_choice_is_named_with_all_else_that_is_chosen(page):
    press(page, "STAT1")
    press(page, "By size")
    assert named(page) == {"gene": "STAT1", "size": "core"}


def test_a_request_that_is_older_than_the_last_choice_does_not_undo_it(page):
    press(page, "STAT1")
    before = dict(page.query_params)
    press(page, "IRF1")
    page.query_params.clear()
    page.query_params.update(before)  # sent before the browser had heard of the choice
    page.run()
    assert page.text[0].value == "IRF1"
    assert named(page) == {"gene": "IRF1"}


def test_later_the_same_address_is_a_choice_of_its_own(page, monkeypatch):
    press(page, "STAT1")
    before = dict(page.query_params)
    press(page, "IRF1")
    monkeypatch.setattr(address, "LATE", 0.0)
    page.query_params.clear()
    page.query_params.update(before)
    page.run()
    assert page.text[0].value == "STAT1"


def test_two_choices_of_which_the_second_did_not_know_the_first_both_count(page):
    before = dict(page.query_params)
    press(page, "STAT1")
    page.query_params.clear()
    page.query_params.update(before)
    press(page, "By size")
    assert [text.value for text in page.text] == ["STAT1", "core"]
    assert named(page) == {"gene": "STAT1", "size": "core"}


def test_who_comes_back_sees_what_the_address_names_and_nothing_chosen_later(page, monkeypatch):
    press(page, "STAT1")
    monkeypatch.setattr(address, "came_back", lambda: True)
    page.query_params.clear()
    page.run()
    assert page.text[0].value == ""
    assert named(page) == {}


def test_an_address_is_left_as_it_was_while_it_is_opened():
    app = AppTest.from_string(PAGE.replace('state.sync("disk")', 'state.sync("disk")\nselect(run="a-run")'))
    app.query_params["gene"] = "STAT1"
    app.run(timeout=30)
    assert named(app) == {"gene": "STAT1"}
    app.run()
    assert named(app) == {"gene": "STAT1", "run": "a-run"}
