#!/usr/bin/env python3
"""How many clicks on a link come to nothing on a busy machine. Prints a Markdown table.

The controls of the demo are confirmed, and the link to Train is pressed as soon as it is there, while the page is still
renewing itself: once as Streamlit does it, once with what `app/components/address` adds. A click is lost when Train has
not come 20 seconds later. Other processes keep the machine busy meanwhile, and the browser's processor is slowed down.

Run: python benchmarks/app_clicks.py [--tries N] [--load PROCESSES] [--slow FACTOR]
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path

from _report import header

from hyperperturb.testing import Server, chromium, script_ended

PATIENCE = 20_000  # milliseconds
# what the component finds when it has been there before: it then adds nothing
WITHOUT = "window.__hyperperturb = {ready: true, acted: true, way: null, followed: new Set()}"
REPEATED = """(() => {
    window.__repeated = 0;
    addEventListener("click", (event) => { if (!event.isTrusted) window.__repeated += 1; }, true);
})()"""


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


def click(browser, server: Server, *, kept: bool, slow: float) -> tuple[bool, bool, float]:
    """Whether a click led to its page, whether it had to be repeated, and the seconds until the page was there."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(REPEATED)
    if not kept:
        page.add_init_script(WITHOUT)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slow})
    page.goto(f"{server.url}/controls?dataset=demo")
    page.get_by_role("button", name="Confirm controls").click(timeout=90_000)
    link = page.get_by_test_id("stMain").get_by_role("link", name="Train a model", exact=True)
    link.wait_for(timeout=90_000)
    begun = time.perf_counter()
    link.click()
    try:
        page.get_by_text("How should the model learn?").first.wait_for(timeout=PATIENCE)
        led = True
    except Exception as error:
        if type(error).__name__ != "TimeoutError":
            raise
        led = False
    seconds = time.perf_counter() - begun
    repeated = page.evaluate("window.__repeated") > 0
    if led:
        script_ended(page)
    page.context.close()
    return led, repeated, seconds


def main() -> None:
    """Press, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=24)
    parser.add_argument("--load", type=int, default=4, help="processes that keep the machine busy")
    parser.add_argument(
        "--slow", type=float, default=5.0, help="by which the browser's processor is slowed down"
    )
    asked = parser.parse_args()

    from hyperperturb.runs.datasets import add_demo
    from hyperperturb.runs.workspace import Workspace

    found: dict[bool, list[tuple[bool, bool, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        add_demo(Workspace(home))
        fresh = home.with_name(f"{home.name}-fresh")
        shutil.copytree(home / "data", fresh)
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(asked.load)]
        for process in busy:
            process.start()
        with Server(home) as server, chromium() as browser:
            for turn in range(2 * asked.tries):
                shutil.rmtree(home / "data")
                shutil.copytree(fresh, home / "data")  # controls are not confirmed
                kept = bool(turn % 2)
                found[kept].append(click(browser, server, kept=kept, slow=asked.slow))
        for process in busy:
            process.kill()
        shutil.rmtree(fresh)

    note = f"{asked.load} busy processes beside the app, the browser's processor slowed down {asked.slow:g} times"
    print(header("streamlit", note=note))
    print("| | clicks | lost | repeated by the page | seconds until the page is there, median |")
    print("| --- | --- | --- | --- | --- |")
    for kept, tries in found.items():
        lost = sum(not led for led, _, _ in tries)
        again = sum(repeated for _, repeated, _ in tries)
        seconds = sorted(s for led, _, s in tries if led)
        name = "as it is" if kept else "Streamlit alone"
        print(f"| {name} | {len(tries)} | {lost} | {again} | {seconds[len(seconds) // 2]:.2f} |")


if __name__ == "__main__":
    main()
