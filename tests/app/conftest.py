"""A server with a workspace of its own, and a browser to drive it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperperturb.testing import ROOT, Server, chromium, script_ended

SHARED = ROOT.parent / "shared"


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


class Driver:
    """A person at the browser: goes to pages, presses buttons, reads."""

    def __init__(self, page, server: Server) -> None:
        self.page = page
        self.server = server
        self.page.set_default_timeout(30_000)

    def open(self, path: str = "") -> None:
        """Go to an address of the app."""
        self.page.goto(f"{self.server.url}/{path}")
        self.page.wait_for_selector("h1")
        self.settle()

    def settle(self) -> None:
        """Wait until the script has run."""
        self.page.wait_for_timeout(250)
        script_ended(self.page)
        self.page.wait_for_timeout(150)

    def press(self, name: str) -> None:
        """Press a button, or a link that looks like one."""
        here = self.page.get_by_test_id("stMain")
        button = self.page.get_by_role("button", name=name, exact=True)
        button.or_(here.get_by_role("link", name=name, exact=True)).first.click()
        self.settle()

    def visit(self, name: str) -> None:
        """Follow a link of the sidebar."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_selector("h1")
        self.settle()

    def see(self, text: str, *, seconds: float = 30) -> None:
        """Wait until a text is on the page."""
        self.page.get_by_text(text).first.wait_for(timeout=1000 * seconds)

    def heading(self) -> str:
        """The question of the page."""
        return self.page.locator("h1").first.inner_text()

    def text(self) -> str:
        """All words of the page."""
        return self.page.get_by_test_id("stMain").inner_text()

    def alerts(self) -> list[str]:
        """The messages in boxes."""
        return self.page.get_by_test_id("stAlert").all_inner_texts()

    def register(self, path: Path | str) -> None:
        """Register a file by its path on the server, from the Data page."""
        box = self.page.get_by_role("textbox", name="Or a path on the server", exact=True)
        more = self.page.get_by_text("Bring more data", exact=True)
        more.or_(box).first.wait_for()
        if not box.is_visible():
            more.click()
        box.fill(str(path))
        before, wanted = self.alerts(), _letters(Path(path).stem)
        self.press("Register file")
        # The page of the new dataset has its name in the address; a file that cannot be used leaves a sentence. Until
        # one of them is there, what is on the page belongs to the dataset that was chosen before.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            alerts = self.alerts()
            if wanted in _letters(self.page.url.partition("dataset=")[2]) or (alerts and alerts != before):
                break
            self.page.wait_for_timeout(100)
        self.settle()

    def no_traceback(self) -> None:
        """Fail when the page shows a traceback or the app has logged an unexpected error."""
        assert "Traceback" not in self.page.inner_text("body")
        assert self.page.get_by_test_id("stException").count() == 0
        log = self.server.home / "data" / "app.log"
        assert not log.exists(), log.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on an empty workspace, one for each test file."""
    with Server(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module", name="chromium")
def _chromium() -> Iterator[object]:
    """A browser, one for each test file."""
    pytest.importorskip("playwright.sync_api")
    with chromium() as browser:
        yield browser


@pytest.fixture
def driver(chromium, server: Server) -> Iterator[Driver]:
    """A fresh session at the server."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    driver = Driver(context.new_page(), server)
    yield driver
    context.close()


@pytest.fixture(scope="session")
def axe():
    """What checks that a page can be read by everybody."""
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


@pytest.fixture(autouse=True)
def same_program() -> Iterator[None]:
    """`AppTest` leaves the app as the running program, which processes that another test spawns would then begin."""
    program = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = program


@pytest.fixture(scope="session")
def papalexi() -> tuple[Path, Path]:
    """The real screen and its network, where they are beside the checkout."""
    if not SHARED.exists():
        pytest.skip("the real data (../shared) are not on this machine")
    return (
        SHARED / "data" / "screens" / "papalexi2021_thp1_299genes.h5ad",
        SHARED / "data" / "networks" / "string_high_confidence.csv",
    )


@pytest.fixture(scope="session")
def finished_demo(finished_run, tmp_path_factory) -> Callable:
    """Puts the demo with confirmed controls and a finished run on it into a workspace, without a training.

    It is made once and then copied.
    """
    template = tmp_path_factory.mktemp("finished-demo")

    def make(home: Path):
        from hyperperturb.runs.folder import list_runs
        from hyperperturb.runs.workspace import Workspace

        if not Workspace(template).runs_dir.exists():
            _finish_demo(template, finished_run)
        shutil.copytree(template, home, dirs_exist_ok=True)
        for path in home.rglob("*.json"):  # files are named by their whole paths
            path.write_text(path.read_text().replace(str(template), str(home)))
        return list_runs(Workspace(home).runs_dir)[0]

    return make


def _finish_demo(home: Path, finished_run: Callable) -> None:
    from hyperperturb.data.network import read_network
    from hyperperturb.runs.datasets import add_demo, confirm_controls, load_effects
    from hyperperturb.runs.workspace import Workspace

    workspace = Workspace(home)
    add_demo(workspace)
    dataset = confirm_controls(
        workspace, "demo", column="perturbation", control="non-targeting", mode="knockdown"
    )
    finished_run(
        workspace.runs_dir,
        load_effects(workspace, "demo"),
        read_network(dataset.networks[0]),
        dataset="demo",
        title="Demo",
        screen=dataset.source,
        column="perturbation",
        cells=True,
    )
