"""The page Data in a real browser: public data downloaded, a path registered, its quality judged, a dataset deleted."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hyperperturb.data.effects import compute_effects
from hyperperturb.runs.datasets import list_datasets, load_effects
from hyperperturb.runs.workspace import Workspace
from tests.app.conftest import Server
from tests.conftest import FileServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ENTRY = """
[[entry]]
name = "{name}"
kind = "{kind}"
title = "{title}"
citation = "Someone 2025"
licence = "CC BY 4.0"
label_column = "perturbation"
control = "non-targeting"
mode = "knockdown"
[[entry.file]]
name = "{file}"
url = "{url}"
"""


@pytest.fixture(scope="module")
def files(small_screen) -> Iterator[FileServer]:
    """A server of public data on the loopback."""
    server = FileServer()
    server.bodies["/screen.h5ad"] = small_screen.read_bytes()
    server.bodies["/net.csv"] = small_screen.with_name("screen.network.csv").read_bytes()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server(files, tmp_path_factory) -> Iterator[Server]:
    """The app, with a catalogue of its own beside the shipped one."""
    home = tmp_path_factory.mktemp("home")
    own = home / "own.toml"
    own.write_text(
        ENTRY.format(
            name="a-screen", kind="screen", title="A screen", file="a.h5ad", url=f"{files.url}/screen.h5ad"
        )
        + ENTRY.format(
            name="a-net", kind="network", title="A network", file="net.csv", url=f"{files.url}/net.csv"
        )
        + ENTRY.format(
            name="gone", kind="screen", title="Nobody there", file="b.h5ad", url="http://127.0.0.1:9/b.h5ad"
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPERTURB_CATALOGUE", str(own))
        patch.setenv("HYPERPERTURB_RETRY_DELAY", "0")
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        running = Server(home)
    yield running
    running.stop()


def choose(driver, kind: str, title: str) -> None:
    """Open the catalogue and choose an entry."""
    driver.open("data")
    driver.press("Public data")
    dialog = driver.page.get_by_role("dialog")
    dialog.get_by_role("radio", name=kind).click()
    dialog.get_by_text({"Screens": "activation", "Networks": "Functional association"}[kind]).first.wait_for()
    driver.settle()
    box = dialog.get_by_role("combobox").first
    box.click()
    box.fill(title)
    driver.page.get_by_role("option").filter(has_text=title).first.click()
    dialog.get_by_text("Someone 2025, CC BY 4.0").wait_for()
    driver.settle()


def fetch(driver) -> None:
    driver.page.get_by_role("dialog").get_by_role("button", name="Download", exact=True).click()
    driver.page.get_by_role("dialog").wait_for(state="hidden")


def test_a_public_screen_is_stopped_resumed_and_then_a_dataset(driver, server, files):
    files.pause["/screen.h5ad"] = 0.3
    choose(driver, "Screens", "A screen")
    fetch(driver)
    driver.see("Downloading A screen")
    driver.see("a second")  # the rate
    driver.press("Stop")
    driver.see("Stopped.")
    parts = Workspace(server.home).downloads_dir / ".a.h5ad.download"
    assert sum(part.stat().st_size for part in parts.iterdir()) > 0
    files.pause.clear()
    choose(driver, "Screens", "A screen")
    fetch(driver)
    driver.page.wait_for_url("**dataset=a-screen**")
    driver.see("Confirm controls")
    assert any(files.asked("/screen.h5ad")), "the second download went on where the first was stopped"
    assert (Workspace(server.home).downloads_dir / "a.h5ad").read_bytes() == files.bodies["/screen.h5ad"]
    driver.no_traceback()


def test_a_public_network_is_there_to_train_with(driver, server):
    choose(driver, "Networks", "A network")
    fetch(driver)
    driver.see("choose it among the networks")
    assert (Workspace(server.home).networks_dir / "a-net.npz").is_file()
    driver.no_traceback()


def test_without_a_connection_it_says_what_to_do_by_hand(driver):
    choose(driver, "Screens", "Nobody there")
    dialog = driver.page.get_by_role("dialog")
    dialog.get_by_text("By hand, when the server cannot reach the internet").click()
    assert dialog.get_by_role("link", name="b.h5ad").get_attribute("href") == "http://127.0.0.1:9/b.h5ad"
    fetch(driver)
    driver.page.get_by_test_id("stAlert").first.wait_for()
    said = " ".join(driver.alerts())
    assert "http://127.0.0.1:9/b.h5ad" in said.replace("\\", "")
    assert "by hand" in said or "another machine" in said, said
    driver.no_traceback()


def test_a_path_on_the_server_is_judged_shown_and_deleted(driver, server, small_screen):
    driver.open("data")
    driver.register(small_screen)
    driver.see("Repair list")
    driver.press("Confirm controls")
    driver.see("Which cells are the controls?")
    driver.press("Confirm controls")
    driver.see("Controls confirmed.", seconds=60)
    driver.see("Beyond chance", seconds=60)
    driver.see("Do guides of one gene agree?")
    for name, rows in (("Perturbations", 24), ("Guides", None), ("Batches", 2)):
        driver.page.get_by_role("tab", name=name).click()
        driver.settle()
        with driver.page.expect_download() as waiting:
            driver.page.locator(f".st-key-save_table_quality_{name.lower()}").get_by_role("button").click()
        table = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
        assert waiting.value.suggested_filename == f"screen-quality-{name.lower()}.csv"
        assert len(table) == rows if rows else len(table) > 24
    driver.visit("Data")
    driver.see("Beyond chance")  # kept beside the effects
    driver.press("Delete this dataset")
    driver.page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    driver.settle()
    assert (server.home / "data" / "datasets" / "screen").is_dir()
    driver.press("Delete this dataset")
    driver.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    driver.page.get_by_role("dialog").wait_for(state="hidden")
    driver.settle()
    assert not (server.home / "data" / "datasets" / "screen").exists()
    assert small_screen.is_file()
    driver.no_traceback()


def test_effects_of_a_real_screen_within_its_replicates(driver, server, papalexi):
    screen = papalexi[0].resolve()
    driver.open("data")
    driver.register(screen)
    driver.press("Confirm controls")
    box = driver.page.get_by_role("combobox", name="Compare with")
    box.wait_for()
    box.click()
    driver.page.get_by_role("option", name="control cells of the same batch · 3 batches, at least").click()
    driver.settle()
    driver.press("Confirm controls")
    driver.see("within each batch", seconds=90)
    driver.see("Beyond chance", seconds=120)
    workspace = Workspace(server.home)
    (dataset,) = [d for d in list_datasets(workspace) if d.source == screen]
    assert dataset.batch_column == "batch"
    want = compute_effects(
        screen, column="perturbation", control="non-targeting", batch_column="batch", mode=dataset.mode
    )
    np.testing.assert_allclose(load_effects(workspace, dataset.name).effect, want.effect, atol=1e-6)
    driver.visit("Controls")
    driver.page.get_by_test_id("stSelectbox").filter(has_text="Compare with").wait_for()
    kept = driver.page.get_by_role("combobox", name="Compare with")
    assert "same batch" in kept.evaluate(
        "e => (e.value || '') + e.closest('[data-testid=stSelectbox]').innerText"
    )
    assert driver.page.get_by_role("button", name="Confirm controls").count() == 0  # nothing was changed
    driver.no_traceback()


def test_a_button_of_the_repair_list_mends_a_copy(driver, server, small_simulation, tmp_path):
    adata = small_simulation.adata.copy()
    label = adata.obs["perturbation"].astype(str).to_numpy(dtype=object)
    label[::50] = None
    adata.obs["perturbation"] = label
    path = tmp_path / "unlabelled.h5ad"
    adata.write_h5ad(path)
    before = path.read_bytes()
    driver.open("data")
    driver.register(path)
    driver.page.get_by_text("30 of 1,500 cells have no label").click()
    driver.settle()
    driver.page.get_by_role("button", name="Leave out cells without a label").click()
    driver.see("Mended here: cells without a label left out.", seconds=60)
    driver.settle()
    assert driver.page.get_by_text("cells have no label").count() == 0
    assert path.read_bytes() == before
    assert list((server.home / "data" / "datasets" / "unlabelled").glob("mended-*.h5ad"))
    driver.no_traceback()
