"""Trainings on the pages: the line, two clicks, an end that is announced, a failure with its reason and log."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from hyperperturb.data.network import read_network
from hyperperturb.models.settings import PRESETS, TrainingSettings
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.datasets import add_demo, confirm_controls, list_datasets, load_effects
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.folder import list_runs
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# the worker with something in the place of the training: it lasts until it is told how to end
CODE = """
import sys, time
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.worker import execute

def train(run):
    run.stage("genes", "placing the genes", 0.1)
    for epoch in (1, 2):
        run.epoch({"stage": "genes", "epoch": epoch, "epochs": 9, "loss": 3.0 / epoch, "val_loss": 4.0 / epoch,
                   "radius_loss": 1.0, "field": 0.1 / epoch, "curvature": 1.0 + epoch}, fraction=0.1)
    print("a line of a library", file=sys.stderr, flush=True)
    limit = time.monotonic() + 120
    while not run.file("fail").exists() and time.monotonic() < limit:
        time.sleep(0.02)
    raise HyperPerturbError("The network has none of the genes.", hint="Choose another network.")

execute(RunDirectory.open(sys.argv[-1]), train=train)
"""
STAND_IN = LocalLauncher(command=(sys.executable, "-c", CODE))


@pytest.fixture
def workspace(server) -> Workspace:
    """A workspace with the demo, its controls confirmed and, at the end, nothing that trains."""
    workspace = Workspace(server.home)
    if not list_datasets(workspace):
        add_demo(workspace)
        confirm_controls(workspace, "demo", column="perturbation", control="non-targeting", mode="knockdown")
    yield workspace
    for run in list_runs(workspace.runs_dir):
        LocalLauncher().cancel(run)


@pytest.fixture
def busy(workspace) -> RunDirectory:
    """A training of the demo that lasts until it is told to fail."""
    (dataset,) = list_datasets(workspace)
    config = RunConfig.for_dataset(
        dataset, networks=dataset.networks, settings=TrainingSettings(epochs=77), title="The long one"
    ).checked()
    run = RunDirectory.create(workspace.runs_dir, config)
    STAND_IN.submit(run)
    deadline = time.monotonic() + 30
    while run.status.state != "running":
        assert time.monotonic() < deadline, run.status
        time.sleep(0.05)
    return run


def choose_preset(driver, name: str) -> None:
    driver.page.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()
    driver.settle()


def test_a_new_session_goes_on_with_the_networks_of_the_last_run(driver, workspace, busy):
    driver.open("train?dataset=demo")
    chosen = driver.page.get_by_test_id("stMultiSelect").first
    chosen.get_by_text("Network that came with the data").wait_for()
    chosen.get_by_text("Co-expression in the control cells").wait_for()  # which no other start would choose


def test_a_second_training_waits_in_line_and_can_be_cancelled(driver, workspace, busy, server):
    driver.open("train?dataset=demo")
    choose_preset(driver, "Quick")
    driver.press("Start training")
    driver.see("Trainings go one after another. Before this one: The long one.")
    waiting = driver.page.url.partition("run=")[2].partition("&")[0]
    assert waiting != busy.name
    sidebar = driver.page.get_by_test_id("stSidebar")
    sidebar.get_by_text("First in line").wait_for()
    driver.press("Start training")  # the same once more is the same training
    driver.see("Trainings go one after another.")
    assert len([run for run in list_runs(workspace.runs_dir) if not run.status.done]) == 2

    run = RunDirectory.open(workspace.runs_dir / waiting)
    server.stop()  # who waits goes on waiting without the server
    assert run.status.state == "queued"
    assert busy.status.state == "running"
    server.start()
    driver.open(f"train?dataset=demo&run={waiting}")
    driver.see("Trainings go one after another.")
    driver.page.get_by_role("button", name="Cancel", exact=True).click()
    driver.see("This training was cancelled.")
    assert run.status.state == "cancelled"
    assert "tensorflow" not in server.maps()
    driver.no_traceback()


def test_an_open_page_goes_on_watching_when_the_server_was_restarted(driver, busy, server):
    driver.open(f"train?dataset=demo&run={busy.name}")
    driver.page.get_by_role("button", name="Cancel", exact=True).wait_for()
    server.process.kill()
    server.stop()
    driver.page.wait_for_function(
        "document.querySelector('.stApp').dataset.testConnectionState !== 'CONNECTED'"
    )
    assert busy.status.state == "running"
    server.start()
    driver.page.wait_for_function(
        "document.querySelector('.stApp').dataset.testConnectionState === 'CONNECTED'"
    )
    driver.page.get_by_role("button", name="Cancel", exact=True).wait_for()
    busy.file("fail").touch()
    driver.see("The network has none of the genes. Choose another network.")  # told by the new server
    assert parse_qs(urlparse(driver.page.url).query)["run"] == [busy.name]
    driver.no_traceback()


def test_an_end_is_announced_once_in_each_session_on_whatever_page(driver, chromium, busy, server):
    other = type(driver)(chromium.new_page(), server)
    driver.open("predict")
    other.open("data")
    for session in (driver, other):  # both have looked at the runs
        session.page.get_by_test_id("stSidebar").get_by_text("Training", exact=True).wait_for()
    busy.file("fail").touch()
    for session in (driver, other):
        toast = session.page.get_by_test_id("stToast")
        toast.get_by_text("The long one: the training failed.").wait_for()
        assert toast.count() == 1
        assert f"run={busy.name}" in toast.get_by_role("link", name="Show it").get_attribute("href")
    other.page.reload()  # a new session has nothing to be told
    other.page.wait_for_selector("h1")
    other.settle()
    assert other.page.get_by_test_id("stToast").count() == 0
    other.page.close()

    ended = driver.page.get_by_test_id("stSidebar").get_by_role("link", name="The long one")
    ended.wait_for()
    driver.page.get_by_test_id("stToast").get_by_role("link", name="Show it").click()
    driver.page.wait_for_url("**/train**")
    assert len(driver.page.context.pages) == 1  # in this tab
    driver.see("The network has none of the genes. Choose another network.")
    ended.wait_for(state="detached")  # who has read it is not told again
    driver.no_traceback()


def test_a_failure_has_its_step_its_log_and_its_settings_to_change(driver, busy):
    busy.file("fail").touch()
    driver.open(f"train?dataset=demo&run={busy.name}")
    driver.see("The network has none of the genes. Choose another network.")
    driver.see("at the step “Placing the genes”")
    driver.page.get_by_test_id("stExpander").get_by_text("Log", exact=True).click()
    with driver.page.expect_download() as waiting:
        driver.page.get_by_role("button", name="Download the log").click()
    assert waiting.value.suggested_filename == f"{busy.name}-log.txt"
    log = Path(waiting.value.path()).read_text()
    assert "a line of a library" in log
    assert "Traceback" in log
    assert busy.config.settings.epochs == 77
    driver.press("Use its settings")
    driver.page.get_by_test_id("stExpander").get_by_text("All settings").click()
    epochs = driver.page.get_by_role("spinbutton", name="Epochs")
    epochs.wait_for()
    assert epochs.input_value() == "77"
    assert driver.page.get_by_text("also had its value set").count() == 0
    driver.page.get_by_role("button", name="Resume").wait_for()


def test_runs_are_put_beside_each_other_and_the_address_keeps_it(driver, workspace, finished_run):
    (dataset,) = list_datasets(workspace)
    measured, network = load_effects(workspace, "demo"), read_network(dataset.networks[0])
    settings = [PRESETS["quick"], PRESETS["quick"].model_copy(update={"curvature": 2.0})]
    runs = [
        finished_run(
            workspace.runs_dir, measured, network, folds=folds, dataset="demo", title="Made", settings=chosen
        )
        for folds, chosen in zip((3, 5), settings, strict=True)
    ]
    driver.open("train?dataset=demo")
    box = driver.page.get_by_role("combobox", name="Compare runs")
    for option in ("own settings", "quick"):
        box.scroll_into_view_if_needed()
        driver.settle()  # a list that is open closes when the page is scrolled
        box.click()
        driver.page.get_by_role("option").filter(has_text=option).first.click()
        driver.settle()
    driver.see("2 runs beside each other")
    driver.page.keyboard.press("Escape")
    chosen = parse_qs(urlparse(driver.page.url).query)["compare"][0]
    assert set(chosen.split(",")) == {run.name for run in runs}
    driver.see("clearly different from A")
    driver.page.get_by_text("Are they better than A?").wait_for()

    driver.page.reload()  # the address opens the same comparison
    driver.see("2 runs beside each other")
    driver.see("Settings that differ")
    driver.press("Close")
    driver.page.get_by_text("2 runs beside each other").wait_for(state="detached")
    assert "compare=" not in driver.page.url
    driver.no_traceback()
