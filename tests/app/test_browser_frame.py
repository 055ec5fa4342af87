"""What all pages share, in a browser: the guide, the glossary, addresses, two users, narrow and wide windows."""

from __future__ import annotations

from urllib.parse import parse_qs, urlparse

import pytest

from tests.app.conftest import Driver

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def address(driver) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(driver.page.url).query).items()}


def settled(driver, path: str, sign: str) -> None:
    driver.open(path)
    driver.see(sign)
    driver.settle()


def test_the_guide_is_dismissed_for_one_browser_and_comes_back(driver, chromium, server):
    guide = driver.page.get_by_role("navigation", name="Guide")
    settled(driver, "predict", "No model yet")
    guide.get_by_text("Guide, step 1 of 5").wait_for()
    guide.get_by_role("button", name="Go to Data").click()
    driver.page.wait_for_url("**/data")
    driver.see("What data do you have?")
    guide.get_by_text("Load the demo screen").wait_for()
    assert guide.get_by_role("button", name="Go to Data").count() == 0  # one is there
    guide.get_by_role("button", name="Dismiss the guide").click()
    guide.wait_for(state="hidden")
    settled(driver, "controls", "No data yet")  # neither another page nor a reload brings it back
    assert not guide.is_visible()

    context = chromium.new_context()
    other = Driver(context.new_page(), server)
    settled(other, "controls", "No data yet")
    other.page.get_by_role("navigation", name="Guide").wait_for()
    context.close()

    settled(driver, "", "Load the demo screen")
    driver.page.get_by_role("button", name="Show the guide").click()
    driver.visit("Train")
    guide.get_by_text("Guide, step 1 of 5").wait_for()


def test_the_glossary_explains_words_and_measures(driver):
    settled(driver, "glossary", "Measures of a prediction")
    driver.see("The cells without an effective intervention")
    driver.see("Correlation beyond the mean")
    box = driver.page.get_by_role("textbox", name="Find a word")
    box.fill("ceiling")
    box.press("Enter")
    driver.page.get_by_text("The cells without an effective intervention").wait_for(state="detached")
    driver.see("What a replicate of the experiment would reach")


@pytest.fixture(scope="module")
def run(server, finished_demo) -> str:
    """The name of a finished run on the demo."""
    return finished_demo(server.home).name


def asked(driver, gene: str) -> None:
    """Wait until Predict has answered about the gene."""
    driver.page.wait_for_function(f"document.querySelector('h1')?.innerText.includes('{gene}')")
    driver.see("All response genes")
    driver.settle()


def test_two_users_do_not_disturb_each_other(driver, chromium, server, run):
    settled(driver, f"predict?run={run}&genes=REG002", "All response genes")
    context = chromium.new_context()
    other = Driver(context.new_page(), server)
    settled(other, f"predict?run={run}&genes=REG003", "All response genes")
    tab = Driver(driver.page.context.new_page(), server)  # a second tab of the first user
    settled(tab, f"disk?run={run}&gene=REG004", "Open in Predict")
    for one, gene in ((driver, "REG002"), (other, "REG003")):
        one.visit("Evaluate")
        one.see("Take the report with you")
        one.visit("Predict")
        asked(one, gene)
    tab.visit("Predict")
    asked(tab, "REG004")
    context.close()
    driver.no_traceback()


@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_no_page_is_wider_than_its_window(width, driver, run):
    driver.page.set_viewport_size({"width": width, "height": 900})
    for path, sign in {
        "": "controls confirmed",
        "data?dataset=demo": "Sizes of the effects",
        "controls?dataset=demo": "Change the choice",
        f"train?run={run}": "Scores on held-out genes",
        f"disk?run={run}&gene=REG002": "Open in Predict",
        f"predict?run={run}&genes=REG002": "All response genes",
        f"cells?run={run}": "Rank perturbations",
        f"evaluate?run={run}": "Take the report with you",
        "glossary": "Measures of a prediction",
    }.items():
        settled(driver, path, sign)
        wide = driver.page.get_by_test_id("stMain").evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert wide[0] <= wide[1] + 1, (path, wide)
