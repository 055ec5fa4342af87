"""What the scripts that photograph the app share: the app served on a workspace, and a browser that waits for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
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
            _wait_for(f"{url}/_stcore/health")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(address: str, seconds: float = 60) -> None:
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


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium: the system's where there is one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield opened
        opened.close()


def settle(page: Page, pause: int = 700) -> None:
    """Wait until the script has run and the pictures are drawn; `pause` is in milliseconds."""
    page.wait_for_timeout(300)
    page.wait_for_function(
        "document.querySelector('.stApp')?.getAttribute('data-test-script-state') !== 'running'"
    )
    page.wait_for_timeout(pause)


def photograph(page: Page, path: Path, *, start: str = "", end: str = "") -> None:
    """Save the whole page, however long it is; or what lies between two headings, `end` not included."""
    page.set_viewport_size({"width": WIDTH, "height": LOWEST})
    settle(page)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(LOWEST, height)})
    page.mouse.move(2, 2)
    settle(page, 1200)
    if start:
        first = page.get_by_role("heading", name=start).first.bounding_box()
        last = page.get_by_role("heading", name=end).first.bounding_box()
        left, top, gap = first["x"] - 20, first["y"] - 20, 8
        page.screenshot(
            path=path,
            clip={"x": left, "y": top, "width": WIDTH - left - 20, "height": last["y"] - top - gap},
        )
    else:
        page.screenshot(path=path)
    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def press(page: Page, name: str, sign: str, *, seconds: float = 60) -> None:
    """Press a button, or a link that looks like one, and wait for the words `sign` that it leads to."""
    button = page.get_by_role("button", name=name, exact=True)
    button.or_(page.get_by_test_id("stMain").get_by_role("link", name=name, exact=True)).first.click()
    page.get_by_text(sign).first.wait_for(timeout=1000 * seconds)
    settle(page)
