"""How fast the disk is at 20,000 genes, in a real browser: ``python benchmarks/disk_speed.py [--genes N]``.

Opens the component in headless Chromium, drags a gene across the picture three times, changes the colour, and prints
the time to the first picture, the script's time for every frame of the drags, and how far the dragged gene ends up from
the pointer. "Script" is the JavaScript of a frame: moving all points, drawing them, placing the names; what the browser
then needs to paint is not in it.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _report import header

from hyperperturb.testing import ROOT, Server, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

APP = ROOT / "tests" / "app" / "disk" / "disk_app.py"
COLOURED = "c.getAttribute('aria-label').includes('coloured by effect')"
NEXT_FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def opened(page: Page, url: str, genes: int) -> tuple[Locator, float]:
    """The canvas of the disk, and the seconds until so many genes were drawn on it."""
    start = time.perf_counter()
    page.goto(f"{url}/?n={genes}")
    canvas = page.locator("canvas.view")
    canvas.wait_for(timeout=60_000)
    said = f"c.closest('.disk').querySelector('#how').textContent.startsWith('{genes} genes')"
    until(canvas, f"c => Number(c.dataset.frames || 0) > 0 && {said}")
    return canvas, time.perf_counter() - start


def dragged(page: Page, canvas: Locator, gene: str, goal: tuple[float, float]) -> tuple[list[float], float]:
    """Drag a gene in seventy steps: the script's milliseconds a frame, and how far the gene misses the pointer."""
    box = canvas.bounding_box()
    start = canvas.evaluate("(c, gene) => c.__positions(gene)", gene)
    page.mouse.move(box["x"] + start[0], box["y"] + start[1])
    page.mouse.down()
    before = int(canvas.evaluate("c => Number(c.dataset.frames)"))
    page.mouse.move(box["x"] + goal[0], box["y"] + goal[1], steps=70)
    page.wait_for_timeout(80)
    frames = int(canvas.evaluate("c => Number(c.dataset.frames)")) - before
    page.mouse.up()
    times = canvas.evaluate("c => c.__times()")[-min(frames, 61) :]
    return times, math.dist(canvas.evaluate("(c, gene) => c.__positions(gene)", gene), goal)


def recoloured(page: Page, canvas: Locator) -> float:
    """Seconds from the choice of another colour to its first frame; all points travel anew."""
    page.evaluate(NEXT_FRAME)  # nothing is still being drawn
    before = int(canvas.evaluate("c => Number(c.dataset.frames)"))
    start = time.perf_counter()
    page.get_by_text("effect", exact=True).click()
    until(canvas, f"c => {COLOURED} && Number(c.dataset.frames) > {before}")
    return time.perf_counter() - start


def until(canvas: Locator, script: str, *, seconds: float = 60) -> None:
    """Wait until something is true of the canvas."""
    end = time.perf_counter() + seconds
    while not canvas.evaluate(script):
        if time.perf_counter() > end:
            raise TimeoutError(script)
        time.sleep(0.005)


def run(genes: int) -> list[tuple[str, str]]:
    """Measure; returns what and how much."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), APP) as server, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        opened(page, server.url, 100)  # the server's own first start is not the disk's
        canvas, first = opened(page, server.url, genes)
        page.wait_for_timeout(1500)
        middle = (canvas.bounding_box()["width"] / 2, canvas.bounding_box()["height"] / 2)
        goals = [(35, -50), (-180, 90), (10, 10)]
        times, misses = [], []
        for dx, dy in goals:
            spent, missed = dragged(page, canvas, "G4", (middle[0] + dx, middle[1] + dy))
            times += spent
            misses.append(missed)
        page.wait_for_timeout(500)
        again = recoloured(page, canvas)
    times.sort()
    return [
        ("first picture after the address was opened", f"{first:.2f} s"),
        ("another colour, from the click to its first frame", f"{again:.2f} s"),
        (f"script a frame while dragging, median of {len(times)}", f"{statistics.median(times):.1f} ms"),
        ("the same, 95th percentile", f"{times[int(0.95 * (len(times) - 1))]:.1f} ms"),
        ("gene from the pointer after a drag, largest of three", f"{max(misses):.2f} pixels"),
    ]


def main() -> None:
    """Read the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=20_000)
    genes = parser.parse_args().genes
    print(header("streamlit", "playwright", note=f"{genes:,} genes, headless Chromium, software rendering"))
    print("| what | measured |\n| --- | --- |")
    for what, value in run(genes):
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    main()
