#!/usr/bin/env python3
"""How long a person waits in the app, and what the server needs. Prints a Markdown table.

Without `--home` a workspace is made first: the demo screen, its controls, and a quick training (a minute or two). The
server is then started anew for the first page, five times, and once for the rest:

- *page change*: from the click in the sidebar to the last words of the page and the end of its script, in Chromium;
- *server side*: from the request to the end of the script over a WebSocket, as a browser asks, without drawing. The
  whole page is asked for with another gene each time, which is more than a click in the disk does;
- *20 sessions*: as many WebSockets, each asking for the whole of another page every second or so;
- *one window of 20*: a window of Chromium in which one gene after the other is pressed while 19 further sessions ask as
  before. Twenty windows on the server's own machine would measure Chromium: each needs more of a core than the server.

Run: python benchmarks/app.py [--home WORKSPACE] [--run NAME]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pandas as pd
from _report import header
from _session import Session

from hyperperturb.testing import Server, chromium, script_ended

STARTS, ROUNDS, CLICKS, SESSIONS, EACH = 5, 4, 100, 20, 8
# The pages in the order that they are changed to, and the words with which each is complete.
PAGES = {
    "Data": "Sizes of the effects",
    "Controls": "Change the choice",
    "Train": "Scores on held-out genes",
    "Poincaré disk": "Open in Predict",
    "Cells": "Rank perturbations",
    "Predict": "All response genes",
    "Evaluate": "Take the report with you",
    "Home": "controls confirmed",
}


def workspace(home: Path) -> None:
    """The demo with confirmed controls and a quick training."""
    from hyperperturb.models.settings import PRESETS
    from hyperperturb.runs.config import RunConfig
    from hyperperturb.runs.datasets import add_demo, confirm_controls
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.launcher import LocalLauncher
    from hyperperturb.runs.workspace import Workspace

    place = Workspace(home)
    add_demo(place)
    dataset = confirm_controls(
        place, "demo", column="perturbation", control="non-targeting", mode="knockdown"
    )
    config = RunConfig.for_dataset(dataset, networks=dataset.networks, settings=PRESETS["quick"])
    run = RunDirectory.create(place.runs_dir, config)
    LocalLauncher().submit(run)
    while not run.status.done:
        time.sleep(0.5)
    if not run.usable:
        sys.exit(f"The training did not end well: {run.status.error}")


def first_pages(browser, home: Path) -> tuple[list[float], list[float]]:
    """Seconds from the command to the answer, and from the answer to the first page in the browser."""
    answered, drawn = [], []
    for _ in range(STARTS + 1):
        with Server(home, None) as server:
            ready = time.perf_counter()
            page = browser.new_page()
            page.goto(server.url)
            page.get_by_role("heading", name="What does perturbing a gene do?").wait_for()
            script_ended(page)
            answered.append(server.seconds)
            drawn.append(time.perf_counter() - ready)
            page.context.close()
    return answered[1:], drawn[1:]  # the first one warms the disk's cache


def page_changes(browser, server: Server, run: str, gene: str) -> dict[str, list[float]]:
    """Seconds of every change of page, by page; the first round, which opens the model, is left out."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(f"{server.url}/disk?run={run}&gene={gene}")
    page.get_by_text("Open in Predict").wait_for()
    seconds: dict[str, list[float]] = {name: [] for name in PAGES}
    for turn in range(ROUNDS + 1):
        for name, sign in PAGES.items():
            link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True)
            begun = time.perf_counter()
            link.click()
            page.get_by_text(sign).first.wait_for(timeout=60_000)
            script_ended(page)
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    page.context.close()
    return seconds


def computed(server: Server) -> float:
    """Seconds of processor time that the server has used so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_side(
    server: Server, page: str, name: str, run: str, genes: list[str]
) -> tuple[list[float], float]:
    """Seconds of a page, asked for with one gene after the other, and of the server's processor time for one."""
    with Session(server) as session:
        session.ask(page, run=run, **{name: genes[-1]})  # opens the model
        begun = computed(server)
        seconds = [session.ask(page, run=run, **{name: gene}) for gene in genes[:CLICKS]]
        return seconds, (computed(server) - begun) / len(seconds)


def crowd(
    server: Server, run: str, genes: list[str], n: int = SESSIONS, each: int = EACH
) -> tuple[list[float], list[str]]:
    """Seconds of all answers to `n` sessions at once, and what went wrong."""
    seconds, errors = [], []

    def person(seed: int) -> None:
        draw = random.Random(seed)
        try:
            with Session(server) as session:
                session.ask("disk", run=run, gene=draw.choice(genes))
                for turn in range(each):
                    time.sleep(draw.uniform(0.5, 1.5))
                    page, name = (("disk", "gene"), ("predict", "genes"))[turn % 2]
                    seconds.append(session.ask(page, run=run, **{name: draw.choice(genes)}))
        except Exception as error:  # noqa: BLE001 - counted and told
            errors.append(repr(error))

    people = [threading.Thread(target=person, args=(seed,)) for seed in range(n)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    return seconds, errors


def window(browser, server: Server, run: str, genes: list[str]) -> tuple[list[float], int]:
    """Seconds until a pressed gene has its card in the browser while 19 more sessions ask; and errors anywhere."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(f"{server.url}/disk?run={run}&gene={genes[0]}")
    page.get_by_text("Open in Predict").wait_for()
    seconds = []
    with ThreadPoolExecutor(1) as beside:
        others = beside.submit(crowd, server, run, genes, SESSIONS - 1, 2 * EACH)
        while not others.done():
            script_ended(page)  # else the names may still change under the hand
            chip = page.locator(".st-key-chips_nearest button").filter(has_text=re.compile(r"\S")).first
            name = chip.inner_text().strip()
            begun = time.perf_counter()
            chip.click()
            page.locator(".st-key-gene_card").get_by_role("heading", name=name, exact=True).wait_for()
            seconds.append(time.perf_counter() - begun)
            page.wait_for_timeout(500)
    wrong = len(others.result()[1])
    wrong += page.get_by_test_id("stAlert").count() + page.get_by_test_id("stException").count()
    page.context.close()
    return seconds, wrong


def _row(what: str, target: str, values: list[float]) -> str:
    high = statistics.quantiles(values, n=20, method="inclusive")[-1]
    return f"| {what} | {target} | {statistics.median(values):.2f} | {high:.2f} | {max(values):.2f} | {len(values)} |"


class _Rows:
    """Prints every row as soon as it is known: what fails later takes nothing along."""

    def append(self, row: str) -> None:
        print(row, flush=True)


def measure(home: Path, name: str | None) -> None:
    """Measure on a workspace and print."""
    from hyperperturb.runs.folder import list_runs
    from hyperperturb.runs.workspace import Workspace

    runs = [run for run in list_runs(Workspace(home).runs_dir) if run.usable and name in (None, run.name)]
    if not runs:
        sys.exit(f"There is no usable run {name or ''} in {home}.")
    run = runs[0]
    table = pd.read_parquet(run.file("genes.parquet")).sort_values("support", ascending=False)
    genes = table["gene"].astype(str).tolist()[: CLICKS + SESSIONS]
    rows = _Rows()
    print(header("streamlit", "playwright", note=f"{len(table):,} genes in the run"))
    print(
        "| what | target | median | 95th percentile | slowest | of |\n| --- | --- | --- | --- | --- | --- |"
    )
    with chromium() as browser:
        answered, drawn = first_pages(browser, home)
    rows.append(_row("`hyperperturb app` until the server answers (s)", "", answered))
    rows.append(_row("… and until the first page is drawn (s)", "3", drawn))
    with Server(home, None) as server:
        with chromium() as browser:
            changes = page_changes(browser, server, run.name, genes[0])
        memory = server.memory()
        rows.append(_row("change of page in the browser (s)", "1", [*chain(*changes.values())]))
        for page, values in changes.items():
            rows.append(_row(f"… to {page}", "1", values))
        clicks, card = server_side(server, "disk", "gene", run.name, genes)
        rows.append(_row("gene → card with its predicted effects, server side (s)", "0.3", clicks))
        clicks, answer = server_side(server, "predict", "genes", run.name, genes)
        rows.append(_row("gene → answer of Predict, server side (s)", "0.3", clicks))
        crowded, errors = crowd(server, run.name, genes)
        rows.append(_row(f"{SESSIONS} sessions at once, server side (s)", "2", crowded))
        with chromium() as browser:
            seconds, wrong = window(browser, server, run.name, genes)
        rows.append(_row(f"gene pressed → its card, in one window of {SESSIONS} sessions (s)", "2", seconds))
        after, mapped = server.memory(), server.maps()
    print(
        f"\nProcessor time of the server for a page: {card:.3f} s for the disk with a card, {answer:.3f} s for "
        "Predict. "
        f"Memory of the server with one dataset and one run open: {memory[0]:,.0f} MB (target 400), its helper "
        f"processes {memory[1]:,.0f} MB; after {SESSIONS} sessions {after[0]:,.0f} MB. TensorFlow in it: "
        f"{'yes' if 'tensorflow' in mapped.lower() else 'no'}. "
        f"Errors of the {SESSIONS} sessions: {len(errors)}, and {wrong} beside the window."
    )
    for error in errors[:3]:
        print(error, file=sys.stderr)


def main() -> None:
    """Read the command line, make the workspace where none is given, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="a workspace with a usable run; it is copied")
    parser.add_argument("--run", help="the run to open; the newest by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if asked.home is not None:
            shutil.copytree(asked.home, home)
        else:
            home.mkdir()
            workspace(home)
        measure(home, asked.run)


if __name__ == "__main__":
    main()
