"""The disk component in an app of its own, as a hand and an eye know it."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from hyperperturb.testing import Server

APP = Path(__file__).with_name("disk_app.py")
collect_ignore = [APP.name]  # a page, not a module


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("disk"), APP) as server:
        yield server.url


class Disk:
    """The component as a hand and an eye know it."""

    def __init__(self, page):
        self.page = page
        self.canvas = page.locator("canvas.view")
        self.canvas.wait_for(timeout=30_000)
        page.wait_for_function("document.fonts.ready.then(() => true)")
        self.until("c => Number(c.dataset.frames) > 0")
        self.settle()

    def ask(self, script: str, argument=None):
        return self.canvas.evaluate(script, argument)

    def until(self, script: str, argument=None, *, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not self.ask(script, argument):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(50)

    def settle(self) -> None:
        """Wait until nothing is drawn any more."""
        before = None
        while (now := self.ask("c => c.dataset.frames")) != before:
            before = now
            self.page.wait_for_timeout(250)

    def position(self, gene: str) -> tuple[float, float]:
        return tuple(self.ask("(c, gene) => c.__positions(gene)", gene))

    def view(self) -> dict:
        return self.ask("c => c.__view()")

    def near(self, x: float, y: float, reach: float) -> set[str]:
        """The genes whose middle is drawn within `reach` pixels of a place."""
        script = "(c, names) => names.map((name) => c.__positions(name))"
        names = [f"G{i}" for i in range(400)]
        places = self.ask(script, names)
        return {name for name, place in zip(names, places, strict=True) if math.dist(place, (x, y)) <= reach}

    def on_page(self, x: float, y: float) -> tuple[float, float]:
        box = self.canvas.bounding_box()
        return box["x"] + x, box["y"] + y

    def middle(self) -> tuple[float, float]:
        box = self.canvas.bounding_box()
        return box["width"] / 2, box["height"] / 2

    def nowhere(self) -> tuple[float, float]:
        """A place on the canvas, outside the disk."""
        x, y = self.middle()
        return x - 0.95 * y, 1.95 * y

    def click(self, gene: str, **options) -> None:
        x, y = self.position(gene)
        self.page.mouse.click(*self.on_page(x, y), **options)

    def drag(self, start, end, steps: int = 30) -> None:
        self.page.mouse.move(*self.on_page(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.on_page(*end), steps=steps)
        self.page.wait_for_timeout(80)
        self.page.mouse.up()

    def said(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=15_000)


@pytest.fixture
def opened(address, chromium):
    contexts = []

    def visit(query: str = "", **options) -> Disk:
        options = {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "light", **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"the page raised {error}"))
        page.goto(f"{address}/?{query}")
        return Disk(page)

    yield visit
    for context in contexts:
        context.close()
