"""How fast the disk is at 20,000 genes, in a real browser: ``python benchmarks/disk_speed.py [--genes N]``.

Opens the component in headless Chromium, drags a gene across the picture three times, changes the colour, and prints
the time to the first picture, the script's time for every frame of the drags, and how far the dragged gene ends up from
the pointer. "Script" is the JavaScript of a frame: moving all points, drawing them, placing the names; what the browser
then needs to paint is not in it.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from _report import header

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[1]
APP = """
import numpy as np
import pandas as pd
import streamlit as st

from app.components.poincare_disk import poincare_disk

st.set_page_config(layout="wide")


@st.cache_data
def table(n):
    rng = np.random.default_rng(1)
    degree = np.sort(np.floor(2 * rng.pareto(1.3, n) + 2))[::-1]
    rho = np.clip(0.4 + 1.05 * np.log1p(np.arange(n) / 4) + rng.normal(0, 0.18, n), 0.1, 9)
    phi = rng.uniform(0, 2 * np.pi, n)
    place = {"x": np.tanh(rho / 2) * np.cos(phi), "y": np.tanh(rho / 2) * np.sin(phi)}
    names = [f"G{i}" for i in range(n)]
    return pd.DataFrame({"gene": names, **place, "degree": degree, "effect": rng.normal(0, 0.2, n)})


colour = st.radio("colour", ["degree", "effect"], horizontal=True)
genes = table(int(st.query_params["n"]))
poincare_disk(genes, color=colour, size="degree", diverging=colour == "effect", height=680, key="disk")
"""
COLOURED = "c.getAttribute('aria-label').includes('coloured by effect')"
NEXT_FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The component as an app of its own; yields its address."""
    script = folder / "disk_app.py"
    script.write_text(APP, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


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
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        opened(page, url, 100)  # the server's own first start is not the disk's
        canvas, first = opened(page, url, genes)
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
        browser.close()
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
