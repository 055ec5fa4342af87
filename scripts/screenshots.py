"""Make the screenshots of the documentation by driving the real app on the demo: ``python scripts/screenshots.py``.

Starts the app on an empty workspace, loads the demo, confirms its controls, trains a quick model, and photographs every
page, light and dark, into ``assets/screenshots``. Nothing is drawn by hand, so the pictures show what the app does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
WIDTH, LOWEST = 1360, 860


@contextmanager
def app(home: Path) -> Iterator[str]:
    """Serve the app on the workspace `home`; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "Home.py")]
    options = ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=os.environ | {"HYPERPERTURB_HOME": str(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/_stcore/health")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def wait_for(address: str, seconds: float = 60) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address, timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def settle(page: Page, pause: int = 700) -> None:
    """Wait until the script has run and the pictures are drawn."""
    page.wait_for_timeout(300)
    page.wait_for_function(
        "document.querySelector('.stApp')?.getAttribute('data-test-script-state') !== 'running'"
    )
    page.wait_for_timeout(pause)


def photograph(page: Page, path: Path) -> None:
    """Save the whole page, however long it is."""
    page.set_viewport_size({"width": WIDTH, "height": LOWEST})
    settle(page)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(LOWEST, height)})
    page.mouse.move(2, 2)
    settle(page, 1200)
    page.screenshot(path=path)
    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


class Photographer:
    """Two readers of the same address, one by day and one by night."""

    def __init__(self, browser: Browser, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.pages = {
            theme: browser.new_page(viewport={"width": WIDTH, "height": LOWEST}, color_scheme=theme)
            for theme in ("light", "dark")
        }

    @property
    def light(self) -> Page:
        """The page that does the work."""
        return self.pages["light"]

    def show(self, address: str, name: str, *, sign: str) -> None:
        """Photograph an address in both themes, once the words `sign` are on the page."""
        for theme, page in self.pages.items():
            page.goto(f"{self.url}/{address}")
            page.get_by_text(sign).first.wait_for(timeout=60_000)
            photograph(page, self.folder / f"{name}-{theme}.png")

    def press(self, name: str, sign: str, *, seconds: float = 60) -> None:
        """Press a button and wait for what it leads to."""
        self.light.get_by_role("button", name=name, exact=True).first.click()
        self.light.get_by_text(sign).first.wait_for(timeout=1000 * seconds)
        settle(self.light)


def run(folder: Path, home: Path) -> None:
    """Go through the app as a newcomer does, with a camera."""
    import pandas as pd
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with app(home) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        camera = Photographer(browser, url, folder)
        camera.show("", "home", sign="Load the demo screen")
        camera.press("Load the demo screen", "Which cells are the controls?")
        camera.show("controls?dataset=demo", "controls", sign="Confirm controls")
        camera.press("Confirm controls", "Controls confirmed.")
        camera.show("data?dataset=demo", "data", sign="Beyond chance")  # the quality of the screen, judged
        camera.light.goto(f"{url}/train?dataset=demo")
        camera.light.get_by_text("Start training").wait_for()
        camera.light.get_by_test_id("stButtonGroup").get_by_text("Quick", exact=True).click()
        settle(camera.light)
        camera.press("Start training", "Cancel")
        name = camera.light.url.split("run=")[-1].split("&")[0]
        camera.light.get_by_text("Learning from the cells").wait_for(timeout=240_000)
        camera.show(f"train?run={name}", "train-live", sign="Log")
        camera.light.get_by_role("button", name="Explore the genes").wait_for(timeout=240_000)
        camera.show(f"train?run={name}", "train", sign="Scores on held-out genes")
        genes = pd.read_parquet(home / "models" / "saved" / name / "genes.parquet")
        hub = genes.loc[genes["degree"].idxmax(), "gene"]
        camera.show(f"disk?run={name}", "disk", sign="Choose a gene")
        camera.show(f"disk?run={name}&gene={hub}", "disk-gene", sign="Predicted effect")
        camera.show(f"predict?run={name}&genes={hub}", "predict", sign="Predicted against measured")
        camera.light.goto(f"{url}/evaluate?run={name}")
        camera.light.get_by_role("button", name="Evaluate thoroughly").wait_for()
        camera.press("Evaluate thoroughly", "Halved for the ceiling", seconds=900)
        camera.show(f"evaluate?run={name}", "evaluate", sign="Halved for the ceiling")
        for page in camera.pages.values():
            page.goto(f"{url}/predict?run={name}&view=cells")
            page.get_by_role("button", name="Rank perturbations").click()
            page.get_by_text("What explains the cells").wait_for(timeout=60_000)
        for theme, page in camera.pages.items():
            photograph(page, folder / f"cells-{theme}.png")
        browser.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "assets" / "screenshots", help="folder for the pictures"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run(arguments.out.resolve(), Path(home))


if __name__ == "__main__":
    main()
