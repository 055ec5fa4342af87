"""Addresses and ways between pages, in a browser: back, reload, links that lead on, a server that was restarted."""

from __future__ import annotations

from urllib.parse import parse_qs, urlparse

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(server, finished_demo) -> str:
    """The name of a finished run on the demo."""
    return finished_demo(server.home).name


def shows(driver, path: str, **named: str) -> None:
    """Wait until the address is this and nothing else."""

    def there(url: str) -> bool:
        parts = urlparse(url)
        return parts.path == path and {k: v[0] for k, v in parse_qs(parts.query).items()} == named

    driver.page.wait_for_url(there, wait_until="commit")


def card(driver, gene: str) -> None:
    """Wait until the disk has the card of a gene."""
    driver.page.get_by_test_id("stMarkdown").get_by_role("heading", name=gene, exact=True).wait_for()
    driver.settle()


def asked(driver, gene: str) -> None:
    """Wait until Predict has answered about a gene."""
    driver.page.wait_for_function(f"document.querySelector('h1')?.innerText.includes('{gene}')")
    driver.see("All response genes")
    driver.settle()


def test_home_has_a_name(driver):
    driver.open("home")
    assert driver.heading() == "What does perturbing a gene do?"
    assert driver.page.get_by_text("Page not found").count() == 0


def test_the_app_leads_on_once_the_demo_is_made(driver):
    driver.open()
    driver.page.get_by_role("button", name="Load the demo screen").click()
    driver.see("Which cells are the controls?", seconds=60)
    driver.see("Confirm controls")
    shows(driver, "/controls", dataset="demo")
    driver.settle()
    driver.page.go_back(wait_until="commit")
    shows(driver, "/")
    driver.see("What does perturbing a gene do?")
    driver.page.go_forward(wait_until="commit")
    driver.see("Which cells are the controls?")
    driver.no_traceback()


def test_one_press_of_back_leads_to_the_view_before(driver, run):
    driver.open("disk")  # an address that a page completes
    shows(driver, "/disk", run=run)
    driver.see("Choose a gene")
    genes = []
    for place in (".st-key-hubs", ".st-key-chips_nearest"):
        button = driver.page.locator(f"{place} button").nth(1)
        genes.append(button.inner_text())
        button.click()
        card(driver, genes[-1])
    driver.visit("Predict")
    asked(driver, genes[1])
    driver.visit("Train")
    driver.see("Scores on held-out genes")

    driver.page.go_back(wait_until="commit")
    shows(driver, "/predict", run=run, genes=genes[1])
    asked(driver, genes[1])
    for gene in reversed(genes):
        driver.page.go_back(wait_until="commit")
        shows(driver, "/disk", run=run, gene=gene)
        card(driver, gene)
    driver.page.go_back(wait_until="commit")
    shows(driver, "/disk", run=run)
    driver.see("Choose a gene")  # and none is chosen
    driver.page.go_forward(wait_until="commit")
    shows(driver, "/disk", run=run, gene=genes[0])
    card(driver, genes[0])
    driver.page.reload()
    card(driver, genes[0])
    driver.no_traceback()


def test_a_link_to_the_page_that_is_open_changes_the_address(driver, run, server):
    driver.open("train?dataset=demo")
    driver.see("Scores on held-out genes")
    driver.page.locator(".st-key-foot").get_by_role("link", name="Demo").last.click()
    shows(driver, "/train", run=run)
    driver.no_traceback()


LOSE = """(() => {
    const send = WebSocket.prototype.send;
    window.__lose = 0;
    WebSocket.prototype.send = function (message) {
        if (window.__lose-- > 0) return;
        send.call(this, message);
    };
})()"""


def test_a_way_that_comes_to_nothing_is_gone_once_more(driver, run):
    driver.page.add_init_script(LOSE)
    driver.open(f"predict?run={run}&genes=REG002")
    asked(driver, "REG002")
    driver.page.evaluate("window.__lose = 1")
    driver.visit("Glossary")
    driver.see("Measures of a prediction")
    driver.settle()
    driver.page.evaluate("window.__lose = 1")
    driver.page.go_back(wait_until="commit")
    asked(driver, "REG002")
    shows(driver, "/predict", run=run, genes="REG002")
    driver.no_traceback()


def test_an_old_address_leads_on_and_is_no_stop_on_the_way_back(driver, run):
    driver.open("glossary")
    driver.open(f"predict?run={run}&view=cells")  # where Cells was before it had a page of its own
    driver.page.get_by_role("heading", name="What was done to these cells?").wait_for()
    shows(driver, "/cells", run=run)
    driver.page.go_back(wait_until="commit")
    driver.see("Measures of a prediction")


@pytest.mark.parametrize("kill", [False, True])
def test_a_restarted_server_finds_its_reader_again(driver, run, server, kill):
    driver.open(f"disk?run={run}")
    driver.see("Choose a gene")
    button = driver.page.locator(".st-key-hubs button").nth(1)
    gene = button.inner_text()
    button.click()
    card(driver, gene)
    if kill:
        server.process.kill()
    server.stop()
    server.start()
    # the page asks again by itself, and the new server knows nothing but the address
    driver.page.wait_for_function(
        "document.querySelector('.stApp')?.dataset.testConnectionState === 'CONNECTED'"
    )
    card(driver, gene)
    driver.visit("Predict")
    asked(driver, gene)
    shows(driver, "/predict", run=run, genes=gene)
    driver.no_traceback()
