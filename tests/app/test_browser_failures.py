"""What may fail while somebody looks: each is told in a sentence with a way out, nothing is lost, nothing hangs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from hyperperturb.runs.datasets import list_datasets
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.process import is_alive
from hyperperturb.runs.workspace import Workspace
from tests.app.conftest import Driver, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def finished(server, finished_demo) -> RunDirectory:
    """A finished run on the demo."""
    return finished_demo(server.home)


@pytest.fixture
def training(driver, server, finished) -> Iterator[RunDirectory]:
    """A training that was started from the page and is watched there; it is stopped in the end."""
    driver.open("train?dataset=demo")
    driver.see("Start training")
    driver.press("Start training")
    driver.page.get_by_role("button", name="Cancel", exact=True).wait_for()
    name = parse_qs(urlparse(driver.page.url).query)["run"][0]
    assert name != finished.name
    run = RunDirectory.open(Workspace(server.home).runs_dir / name)
    yield run
    if run.path.exists():
        LocalLauncher().cancel(run)


def test_a_killed_worker_is_told_and_the_run_can_be_put_away(driver, training, finished):
    pid, started = training.process()
    assert is_alive(pid, started)
    os.kill(pid, signal.SIGKILL)
    driver.page.get_by_role("button", name="Cancel", exact=True).wait_for(state="detached")
    driver.page.get_by_role("button", name="Delete this run").wait_for()
    driver.settle()
    assert training.status.state == "failed"
    assert len(driver.alerts()[0]) > 30  # a sentence
    assert finished.usable  # the others are untouched
    driver.press("Delete this run")
    driver.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    driver.see("Scores on held-out genes")  # the finished run is shown again
    assert not training.path.exists()
    driver.no_traceback()


def test_a_training_whose_folder_is_deleted_is_told(driver, training, server):
    pid, started = training.process()
    shutil.rmtree(training.path)
    driver.page.get_by_role("button", name="Cancel", exact=True).wait_for(state="detached")
    driver.see(f"There is no run called “{training.name}” here")
    driver.see("Start training")
    if is_alive(pid, started):
        os.kill(pid, signal.SIGKILL)
    driver.no_traceback()


def test_a_run_deleted_under_an_open_page_leads_on(driver, server, finished):
    path = shutil.copytree(finished.path, finished.path.with_name("hyperperturb-20200101-000000"))
    driver.open(f"predict?run={path.name}&genes=REG002")
    driver.see("All response genes")
    shutil.rmtree(path)
    driver.see(f"There is no run called “{path.name}” here")  # the page notices by itself
    driver.visit("Evaluate")
    driver.see("Take the report with you")  # of the run that is left
    assert parse_qs(urlparse(driver.page.url).query)["run"] == [finished.name]
    driver.no_traceback()


@pytest.fixture
def little_room(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own with room for 2 MB."""
    place = tmp_path / "little"
    place.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_told_and_leaves_nothing_behind(chromium, little_room):
    server = Server(little_room)
    context = chromium.new_context()
    try:
        driver = Driver(context.new_page(), server)
        driver.open()
        driver.press("Load the demo screen")
        alert = driver.page.get_by_test_id("stAlert")
        alert.wait_for(timeout=150_000)  # first the demo is simulated
        said = alert.inner_text()
        assert "space" in said or "full" in said
        assert "Traceback" not in said
        assert list_datasets(Workspace(little_room)) == []
        left = [path for path in little_room.rglob("*") if path.is_file() and path.name != "server.log"]
        assert sum(path.stat().st_size for path in left) < 100_000, left
        driver.page.get_by_role("button", name="Load the demo screen").wait_for()  # once there is room
        driver.visit("Data")
        driver.see("What data do you have?")
    finally:
        context.close()
        server.stop()


def test_an_upload_that_is_cut_off_leaves_nothing_and_can_be_repeated(
    driver, chromium, server, finished, small_screen
):
    before = {dataset.name for dataset in list_datasets(Workspace(server.home))}
    context = chromium.new_context()
    cut = Driver(context.new_page(), server)
    cut.open("data")
    cut.page.get_by_text("Bring more data", exact=True).click()
    tools = context.new_cdp_session(cut.page)
    tools.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    tools.send("Network.emulateNetworkConditions", slow)
    with cut.page.expect_request("**/upload_file/**"):
        cut.page.locator("input[type=file]").first.set_input_files(small_screen)
    time.sleep(1)  # some of it is on its way
    context.close()

    driver.open("data?dataset=demo")
    driver.see("Sizes of the effects")
    assert {dataset.name for dataset in list_datasets(Workspace(server.home))} == before
    driver.page.get_by_text("Bring more data", exact=True).click()
    driver.page.locator("input[type=file]").first.set_input_files(small_screen)
    driver.page.wait_for_url("**dataset=screen**", timeout=60_000)
    driver.see("Confirm controls")
    after = {dataset.name for dataset in list_datasets(Workspace(server.home))}
    assert len(after - before) == 1
    driver.no_traceback()
