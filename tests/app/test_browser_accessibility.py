"""Every page by axe-core, by the keyboard and by what a screen reader is told, in both themes."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What axe-core finds in Streamlit's own markup, which the app cannot change.
STREAMLITS = {
    # The sidebar's sections are <div>s between <ul> and <li>.
    ("list", '[data-testid="stSidebarNav"]'),
    ("listitem", '[data-testid="stSidebarNav"]'),
}
EMPTY = {
    "": "What does perturbing a gene do?",
    "data": "What data do you have?",
    "controls": "Which cells are the controls?",
    "train": "How should the model learn?",
    "disk": "Which genes sit at the centre?",
    "predict": "What happens if a gene goes?",
    "cells": "What was done to these cells?",
    "evaluate": "How good are the predictions?",
    "glossary": "Measures of a prediction",
}
DEMO = {
    "": "controls confirmed",
    "data?dataset=demo": "Sizes of the effects",
    "controls?dataset=demo": "Change the choice",
    "train?run={run}": "Scores on held-out genes",
    "disk?run={run}&gene=REG002": "Open in Predict",
    "predict?run={run}&genes=REG002,REG003": "All response genes",
    "predict?run={run}&genes=NOTAGENE": "No prediction for",
    "cells?run={run}": "Rank perturbations",
    "predict?run={run}&genes=REG002,REG003&picture=network": "Click a gene",
    "predict?run={run}&genes=REG002,REG003&picture=parts": "Each gene by itself",
    "predict?run={run}&view=many&genes=REG002,REG003,NOTAGENE": "Choose a row to open it",
    "predict?run={run}&view=compare&genes=REG002&versus=REG003": "Hyperbolic distance",
    "predict?run={run}&view=wanted": "should",
    "evaluate?run={run}": "Take the report with you",
}


def found(axe, page) -> list[str]:
    """The serious and critical findings on a page that are the app's own."""
    findings = []
    for violation in axe.run(page).response["violations"]:
        if violation["impact"] not in ("serious", "critical"):
            continue
        for node in violation["nodes"]:
            places = [place for rule, place in STREAMLITS if rule == violation["id"]]
            element = page.locator(node["target"][0]).first
            if any(element.evaluate("(e, place) => !!e.closest(place)", place) for place in places):
                continue
            findings.append(f"{violation['id']}: {node['html'][:200]}\n  {node['failureSummary']}")
    return findings


def look(driver, axe, addresses: dict[str, str], **names: str) -> dict[str, list[str]]:
    """Open every address, wait for the words that its page ends with, and collect what is wrong."""
    wrong = {}
    for address, sign in addresses.items():
        driver.open(address.format(**names))
        driver.see(sign)
        driver.settle()
        wrong[address] = found(axe, driver.page)
        charts = driver.page.locator(".stPlotlyChart")
        for at in range(charts.count()):
            said = charts.nth(at).get_attribute("aria-label") or ""
            if len(said) < 40 or "nan" in said.lower().split():
                wrong[address].append(f"A picture without words: {said!r}")
    return {address: findings for address, findings in wrong.items() if findings}


def test_empty_pages(driver, axe):
    assert look(driver, axe, EMPTY) == {}


def test_the_first_step_can_be_taken_with_the_keyboard(driver):
    """From the top of the page to the button that loads the demo by Tab alone; every stop shows itself."""
    driver.open()
    driver.see("Load the demo screen")
    stops: list[str] = []
    for _ in range(25):
        driver.page.keyboard.press("Tab")
        name = driver.page.evaluate("document.activeElement.innerText")
        if driver.page.evaluate("['A', 'BUTTON'].includes(document.activeElement.tagName)"):
            stops.append(name)
            driver.page.wait_for_function(
                "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))"
            )
            if name == "Load the demo screen":
                break
    assert {"Home", "Data", "Train", "Predict"} <= set(stops)
    assert stops[-1] == "Load the demo screen"
    driver.page.keyboard.press("Enter")
    driver.page.wait_for_url("**/controls?dataset=demo", timeout=60_000)


@pytest.fixture(scope="module")
def run(server, finished_demo) -> str:
    """The name of a finished run on the demo."""
    return finished_demo(server.home).name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_the_demo(theme, driver, axe, run):
    driver.page.emulate_media(color_scheme=theme)
    assert look(driver, axe, DEMO, run=run) == {}
    driver.no_traceback()
