"""The page Evaluate in a browser, on the demo: the verdict, a perturbation, the table, the report."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pandas as pd
import pytest

from hyperperturb.runs.directory import RunDirectory

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(server, finished_demo) -> RunDirectory:
    """A finished run on the demo, whose gene points were not trained."""
    return finished_demo(server.home)


def saved(driver, button: str) -> tuple[str, str]:
    """Press a download button; the file's name and text."""
    with driver.page.expect_download() as waiting:
        driver.page.get_by_test_id("stDownloadButton").get_by_role("button", name=button).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text()


def chosen(driver) -> str:
    return parse_qs(urlparse(driver.page.url).query).get("perturbation", [""])[0]


def test_from_the_verdict_to_the_downloaded_report(driver, run, server):
    driver.open(f"train?run={run.name}")
    driver.visit("Evaluate")
    assert driver.heading() == "How good are the predictions?"
    metrics = run.metrics()
    driver.see(f"{'Ahead of' if metrics['ahead'] else 'Not ahead of'} the baselines.")
    driver.see("Take the report with you")
    assert "squared error is" in driver.text()

    rows = metrics["per_perturbation"]
    other = min(rows, key=lambda row: row["strength"])["perturbation"]
    driver.page.get_by_role("combobox", name="Perturbation").click()
    driver.page.keyboard.type(other)
    driver.page.get_by_role("option", name=other, exact=True).click()
    driver.see(f"{other}, predicted from the others")
    driver.settle()
    assert chosen(driver) == other

    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-save_table_held_out").get_by_role("button").click()
    name, text = waiting.value.suggested_filename, Path(waiting.value.path()).read_text()
    assert name == f"{run.name}-perturbations.csv"
    table = list(csv.DictReader(io.StringIO(text)))
    assert {row["perturbation"] for row in table} == {row["perturbation"] for row in rows}
    assert all(0 <= float(row["covered"]) <= 1 for row in table)
    _, text = saved(driver, "Scores (JSON)")
    assert json.loads(text)["verdict"] == metrics["verdict"]
    _, text = saved(driver, "Report (Markdown)")
    assert metrics["verdict"] in text
    _, text = saved(driver, "Figures (HTML)")
    assert f"{other}, predicted from the others" in text

    driver.page.reload()  # the address opens the same view
    driver.see(f"{other}, predicted from the others")
    driver.no_traceback()


def test_a_point_of_the_picture_chooses_its_perturbation(driver, run):
    driver.open(f"evaluate?run={run.name}")
    driver.see("Take the report with you")
    picture = driver.page.locator(".st-key-evaluate_perturbation-errors")
    picture.scroll_into_view_if_needed()
    driver.settle()
    picture.locator("path.point").first.click(force=True)
    driver.page.wait_for_function("location.search.includes('perturbation=')")
    driver.settle()
    assert chosen(driver) in {row["perturbation"] for row in run.metrics()["per_perturbation"]}
    driver.see(f"{chosen(driver)}, predicted from the others")
    driver.no_traceback()


def test_a_thorough_evaluation_can_be_started_and_stopped(driver, run):
    before = run.metrics()
    driver.open(f"evaluate?run={run.name}")
    driver.press("Evaluate thoroughly")
    driver.see("Evaluating thoroughly")
    driver.page.reload()  # it is no part of the page
    driver.see("Evaluating thoroughly")
    driver.settle()
    driver.page.locator(".st-key-stop_evaluation button").first.click()  # Streamlit has a Stop of its own
    driver.see("The evaluation was stopped.", seconds=40)
    assert json.loads(run.file("evaluation/status.json").read_text())["state"] == "cancelled"
    assert run.metrics() == before
    driver.see("Evaluate thoroughly")
    driver.no_traceback()


def test_a_figure_is_saved_as_picture_as_vector_picture_and_as_numbers(driver, run):
    driver.open(f"evaluate?run={run.name}")
    figure = driver.page.locator(".st-key-evaluate_hub-radius .js-plotly-plot")
    figure.wait_for()
    files = {}
    for button in ("Picture (PNG)", "Vector picture (SVG)", "Numbers (CSV)"):
        driver.page.locator(".st-key-save_menu_evaluate_hub-radius").get_by_role("button").click()
        with driver.page.expect_download() as waiting:
            driver.page.get_by_role("button", name=button).click()
        files[waiting.value.suggested_filename] = Path(waiting.value.path()).read_bytes()
    assert files["hub-radius.png"].startswith(b"\x89PNG")
    assert b"<svg" in files["hub-radius.svg"][:200]
    rows = list(csv.DictReader(io.StringIO(files["hub-radius.csv"].decode())))
    assert len(rows) == len(pd.read_parquet(run.file("genes.parquet")))

    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-save_table_methods").get_by_role("button").click()
    assert "Network kernel ridge" in Path(waiting.value.path()).read_text()
    driver.no_traceback()
