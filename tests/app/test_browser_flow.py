"""The main job in a real browser: from a screen to a clicked prediction, on the demo and on a real screen."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def address(driver) -> dict[str, str]:
    """What the address names."""
    return {key: values[0] for key, values in parse_qs(urlparse(driver.page.url).query).items()}


def choose_preset(driver, name: str) -> None:
    driver.page.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()
    driver.settle()


def finished(driver, *, seconds: float) -> None:
    """Wait until the run on the Train page has its verdict."""
    driver.page.get_by_role("link", name="Explore the genes").wait_for(timeout=1000 * seconds)
    driver.settle()


def click_gene(driver, gene: str) -> None:
    """Press the gene's point in the disk."""
    canvas = driver.page.locator("canvas.view")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    frames = None
    while (
        now := canvas.evaluate("canvas => canvas.dataset.frames")
    ) is None or now != frames:  # until it is at rest
        frames = now
        driver.page.wait_for_timeout(300)
    x, y = canvas.evaluate("(canvas, gene) => canvas.__positions(gene)", gene)
    box = canvas.bounding_box()
    driver.page.mouse.click(box["x"] + x, box["y"] + y)
    driver.settle()


def download(driver, button: str) -> tuple[str, list[dict[str, str]]]:
    """Press a download button; the file's name and rows."""
    with driver.page.expect_download() as waiting:
        driver.page.get_by_test_id("stDownloadButton").get_by_role("button", name=button).click()
    file = waiting.value
    return file.suggested_filename, list(csv.DictReader(io.StringIO(Path(file.path()).read_text())))


def disk_to_prediction(driver, hub: str) -> list[dict[str, str]]:
    """From the report to the disk, by a click on a hub to its card, on to Predict, and home with the table."""
    driver.page.get_by_role("link", name="Explore the genes").click()
    driver.see("Which genes sit at the centre?")
    driver.settle()
    click_gene(driver, hub)
    driver.page.get_by_test_id("stMarkdown").get_by_role("heading", name=hub).wait_for()
    assert address(driver)["gene"] == hub
    driver.see("Predicted effect")
    driver.press("Open in Predict")
    driver.page.wait_for_url("**/predict**")
    driver.page.wait_for_function(f"document.querySelector('h1')?.innerText.includes('{hub}')")
    driver.see("Effect against certainty")
    driver.settle()
    assert address(driver)["genes"] == hub
    name, rows = download(driver, "Download the prediction")
    assert name == f"effects-{hub}.csv"
    driver.no_traceback()
    return rows


def test_demo_from_first_start_to_a_downloaded_prediction(driver, server):
    driver.open()
    assert driver.heading() == "What does perturbing a gene do?"
    driver.page.get_by_role("button", name="Load the demo screen").click()
    driver.see("Which cells are the controls?", seconds=60)
    driver.see("Confirm controls")
    assert "non-targeting" in driver.text()
    assert address(driver) == {"dataset": "demo"}
    driver.press("Confirm controls")
    driver.see("Controls confirmed.", seconds=60)
    driver.press("Train a model")
    driver.see("Start training")
    assert "80 of 80 perturbed genes" in driver.text()  # the demo's own network is chosen

    choose_preset(driver, "Quick")
    driver.press("Start training")
    driver.see("loading TensorFlow", seconds=15)
    run = address(driver)["run"]
    driver.page.reload()  # a reload keeps watching the same run
    driver.page.wait_for_selector("h1")
    assert address(driver)["run"] == run
    driver.see("Cancel")
    driver.see("epoch", seconds=120)
    finished(driver, seconds=240)
    assert re.search(r"(Ahead|Not ahead) of the baselines\.", driver.text())
    sidebar = driver.page.get_by_test_id("stSidebar").inner_text()
    assert "ahead of the baselines" in sidebar
    driver.no_traceback()

    hub = demo_hub(server.home / "models" / "saved" / run)
    rows = disk_to_prediction(driver, hub)
    assert len(rows) == 600
    assert {"gene", "effect", "standard_error", "measured"} <= set(rows[0])
    assert all(float(row["standard_error"]) > 0 for row in rows)
    assert any(abs(float(row["effect"])) > 0.1 for row in rows)

    shared = driver.page.url  # the address opens the same view in another session
    driver.page.context.clear_cookies()
    driver.page.goto("about:blank")
    driver.page.goto(shared)
    driver.page.wait_for_function(f"document.querySelector('h1')?.innerText.includes('{hub}')")
    driver.see("Effect against certainty")

    driver.page.goto(f"{driver.server.url}/predict?run={run}&genes=NOTAGENE")
    driver.see("No prediction for")
    driver.page.get_by_text("Ask instead about").wait_for()
    driver.no_traceback()

    assert not re.search(r"tensorflow|keras", server.maps(), re.IGNORECASE)


@pytest.fixture
def demo_run(server) -> Path:
    """A trained run on the demo: the one from the browser above, or one made here when that test did not run."""
    from hyperperturb.models.settings import PRESETS
    from hyperperturb.runs.config import RunConfig
    from hyperperturb.runs.datasets import add_demo, confirm_controls
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.folder import list_runs
    from hyperperturb.runs.launcher import LocalLauncher
    from hyperperturb.runs.workspace import Workspace

    workspace = Workspace(server.home)
    for run in list_runs(workspace.runs_dir):
        if run.usable and run.config.dataset == "demo":
            return run.path
    dataset = add_demo(workspace)
    if not dataset.confirmed:
        dataset = confirm_controls(
            workspace, "demo", column="perturbation", control="non-targeting", mode="knockdown"
        )
    config = RunConfig.for_dataset(dataset, networks=dataset.networks, settings=PRESETS["quick"])
    run = RunDirectory.create(workspace.runs_dir, config)
    LocalLauncher().submit(run)
    deadline = time.monotonic() + 300
    while not run.status.done and time.monotonic() < deadline:
        time.sleep(0.5)
    assert run.usable, run.status
    return run.path


def demo_hub(run: Path) -> str:
    """The gene with the most links in a run."""
    import pandas as pd

    genes = pd.read_parquet(run / "genes.parquet")
    return str(genes.loc[genes["degree"].idxmax(), "gene"])


def test_search_card_and_disk_show_the_same_gene(driver, demo_run):
    driver.open(f"disk?run={demo_run.name}")
    driver.see("Choose a gene")
    driver.page.get_by_role("combobox", name="Find a gene").click()
    driver.page.keyboard.type("REG002")
    driver.page.get_by_role("option", name="REG002").click()
    driver.page.get_by_test_id("stMarkdown").get_by_role("heading", name="REG002").wait_for()
    driver.settle()
    assert address(driver)["gene"] == "REG002"
    near = driver.page.locator(".st-key-chips_nearest button").nth(1).inner_text()
    driver.page.locator(".st-key-chips_nearest").get_by_role("button", name=near).click()
    driver.page.get_by_test_id("stMarkdown").get_by_role("heading", name=near).wait_for()
    driver.settle()
    assert address(driver)["gene"] == near
    driver.no_traceback()


def test_cells_of_a_label_are_explained(driver, demo_run):
    driver.open(f"predict?run={demo_run.name}&view=cells")  # where this was before it had a page of its own
    driver.page.get_by_role("heading", name="What was done to these cells?").wait_for()
    assert "/cells?" in driver.page.url
    assert address(driver) == {"run": demo_run.name}
    driver.press("Rank perturbations")
    driver.see("What explains the cells", seconds=60)
    name, rows = download(driver, "Download every cell as CSV")
    assert name.startswith("cells-")
    assert rows
    driver.page.get_by_text("What would bring them back to control?").click()
    driver.press("Rank perturbations")
    driver.see("What would bring back the cells", seconds=60)
    assert address(driver)["goal"] == "revert"
    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-save_table_cells_ranking button").first.click()
    assert waiting.value.suggested_filename.startswith("ranking-")
    ranked = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert {"sign", "intervention", "probability"} <= set(ranked[0])
    driver.no_traceback()


def test_a_training_can_be_cancelled_and_resumed(driver, demo_run, server):
    driver.open("train?dataset=demo")
    driver.see("Start training")
    driver.press("Start training")
    driver.see("Cancel", seconds=15)
    run = address(driver)["run"]
    driver.page.get_by_role("button", name="Cancel", exact=True).click()
    driver.see("This training was cancelled.", seconds=30)
    status = server.home / "models" / "saved" / run / "status.json"
    assert '"cancelled"' in status.read_text()
    driver.press("Resume")
    driver.see("Cancel", seconds=15)
    assert '"cancelled"' not in status.read_text()
    driver.page.get_by_role("button", name="Cancel", exact=True).click()
    driver.see("This training was cancelled.", seconds=30)
    driver.no_traceback()


def test_papalexi_registered_by_path_with_string(driver, papalexi, server):
    screen, network = papalexi
    driver.open("data")
    driver.register(screen)
    driver.see("Repair list")
    assert "20\u202f729" in driver.text()
    driver.press("Confirm controls")
    driver.see("Which cells are the controls?")
    assert "2\u202f386" in driver.text()
    driver.press("Confirm controls")
    driver.see("Controls confirmed.", seconds=60)
    driver.press("Train a model")
    driver.see("Start training")

    driver.page.get_by_role("button", name="Add a network").click()
    driver.page.get_by_role("textbox", name="Or a path on the server", exact=True).fill(str(network))
    driver.page.get_by_role("button", name="Use this file").click()
    driver.see("perturbed genes are in it", seconds=60)
    driver.page.keyboard.press("Escape")
    driver.settle()
    choose_preset(driver, "Quick")
    driver.press("Start training")
    finished(driver, seconds=240)
    run = server.home / "models" / "saved" / address(driver)["run"]

    rows = disk_to_prediction(driver, demo_hub(run))
    assert len(rows) == 299
    driver.open(f"predict?run={run.name}&genes=STAT1")
    driver.see("Predicted against measured")
    _, rows = download(driver, "Download the prediction")
    assert sum(bool(row["measured"]) for row in rows) > 250
    driver.no_traceback()
