"""The disk component in an app of its own, as a hand and an eye know it."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

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
    return pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(n)],
            "x": np.tanh(rho / 2) * np.cos(phi),
            "y": np.tanh(rho / 2) * np.sin(phi),
            "degree": degree,
            "effect": rng.normal(0, 0.2, n),
            "community": [f"c{i % 9}" for i in range(n)],
        }
    )


genes = table(int(st.query_params.get("n", 400)))


def neighbours(gene):
    return pd.DataFrame({"gene": ["G1", "G2", "G3", "unknown"], "weight": [1.0, 0.5, 0.1, 1.0]})


wanted = st.text_input("gene", key="wanted") or None
hubs = st.radio("hubs", ["links", "effects"], horizontal=True, key="hubs")
colour = st.radio("colour", ["degree", "effect", "community"], horizontal=True)
if "log" not in st.session_state:
    st.session_state.log = []
    st.session_state.second = None
    st.session_state.taken = []


def measure(gene):
    st.session_state.second = gene


def take(genes):
    st.session_state.taken = genes


picked = poincare_disk(
    genes,
    color=colour,
    size="degree",
    hubs="degree" if hubs == "links" else "effect",
    second=st.session_state.second,
    second_distance=1.25 if st.session_state.second else None,
    gene_set=st.session_state.taken,
    diverging=colour == "effect",
    selected=wanted,
    neighbours=neighbours,
    key="disk",
    labels={"effect": "effect (natural log)"},
    on_select=lambda gene: st.session_state.log.append(gene),
    on_second=measure,
    on_lasso=take,
)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.button("rerun")
st.markdown(f"selected: {picked}; told: {st.session_state.log}; run {st.session_state.runs}.")
st.markdown(f"second: {st.session_state.second}; taken: {len(st.session_state.taken)}.")
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    script = folder / "disk_app.py"
    script.write_text(APP, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none"]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(script), *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


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
