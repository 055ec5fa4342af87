"""The app as a process of its own, and a browser to look at it: for tests, benchmarks and the scripts with a camera.

The browser needs Playwright (``pip install playwright``) and a Chromium.
"""

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
from typing import TYPE_CHECKING, Any

from hyperperturb.runs.workspace import HOME_VARIABLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
APP = ROOT / "app" / "Home.py"


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A Streamlit script that is served by a process of its own until it is stopped.

    Parameters
    ----------
    home
        Workspace of the app. What the process prints is in its ``server.log``.
    script
        What to serve; the app by default. None starts the app as people do, by ``hyperperturb app``.

    Attributes
    ----------
    url : str
        Its address.
    process : subprocess.Popen
        The process.
    seconds : float
        How long the last start took, until the server answered.

    Raises
    ------
    RuntimeError
        Where it ends instead of serving, or does not answer within a minute; the message is its log.
    """

    def __init__(self, home: Path, script: Path | None = APP) -> None:
        self.home = home
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        if script is None:
            words = ["hyperperturb", "app", "--port", str(port)]
        else:
            words = ["streamlit", "run", str(script), "--server.port", str(port)]
            words += ["--server.headless", "true", "--server.fileWatcherType", "none"]
        self._command = [sys.executable, "-m", *words]
        self.start()

    def start(self) -> None:
        """Start it; also again, after :meth:`stop`, at the same address."""
        self._log = (self.home / "server.log").open("ab")
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=os.environ | {HOME_VARIABLE: str(self.home), "PYTHONPATH": str(ROOT)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        while self.process.poll() is None and time.perf_counter() - begun < 60:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2).close()
            except OSError:
                time.sleep(0.02)
            else:
                self.seconds = time.perf_counter() - begun
                return
        self.stop()
        raise RuntimeError((self.home / "server.log").read_text(errors="replace"))

    def stop(self) -> None:
        """End the server; the trainings that it has started go on."""
        self.process.terminate()
        self.process.wait(30)
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()

    def maps(self) -> str:
        """The files that are mapped into the server's memory (Linux)."""
        return Path(f"/proc/{self.process.pid}/maps").read_text()

    def memory(self) -> tuple[float, float]:
        """Resident MB of the server, and of its helper processes together (Linux)."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return _resident(pid), sum(_resident(int(child)) for child in children)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    # a process that has just ended has no memory any more
    return int(status.split("VmRSS:")[1].split()[0]) / 1024 if "VmRSS:" in status else 0.0


def chromium_options() -> dict[str, Any]:
    """How Playwright launches Chromium: the system's where there is one, and so that it also runs in a container."""
    return {
        "executable_path": shutil.which("chromium") or shutil.which("chromium-browser"),
        "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    }


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium_options())
        yield browser
        browser.close()


def script_ended(page: Page) -> None:
    """Wait until the script of the page that is open has run."""
    page.wait_for_function(
        "document.querySelector('.stApp')?.getAttribute('data-test-script-state') === 'notRunning'"
    )
