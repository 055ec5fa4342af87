"""The Poincaré disk in a real browser: it is drawn, moved, clicked, and says so to Python."""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hyperperturb.errors import HyperPerturbError

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "app" / "components" / "poincare_disk"

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
colour = st.radio("colour", ["degree", "effect", "community"], horizontal=True)
if "log" not in st.session_state:
    st.session_state.log = []
picked = poincare_disk(
    genes,
    color=colour,
    size="degree",
    diverging=colour == "effect",
    selected=wanted,
    neighbours=neighbours,
    key="disk",
    labels={"effect": "effect (natural log)"},
    on_select=lambda gene: st.session_state.log.append(gene),
)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.button("rerun")
st.markdown(f"selected: {picked}; told: {st.session_state.log}; run {st.session_state.runs}.")
"""


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    options = {"args": ["--no-sandbox", "--disable-dev-shm-usage"]}
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            options["executable_path"] = found
            break
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(**options)
        yield browser
        browser.close()


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


pytestmark = pytest.mark.browser


def test_twenty_thousand_genes_move_under_the_hand_within_ten_milliseconds_a_frame(opened):
    disk = opened("n=20000")
    start = disk.position("G4")
    middle = disk.middle()
    goals = [
        (middle[0] + 35, middle[1] - 50),
        (middle[0] - 180, middle[1] + 90),
        (middle[0] + 10, middle[1] + 10),
    ]
    medians = []
    for goal in goals:
        disk.drag(start, goal, steps=70)
        medians.append(float(disk.ask("c => c.dataset.frameMs")))  # of the last 61 frames
        reached = disk.position("G4")
        assert math.dist(reached, goal) <= 2
        start = reached
    assert int(disk.ask("c => c.dataset.frames")) > 60
    assert min(medians) <= 10  # the quietest of three: other work on the machine is not the script's
    isometry = disk.view()["isometry"]
    np.testing.assert_allclose(
        isometry[0] ** 2 + isometry[1] ** 2 - isometry[2] ** 2 - isometry[3] ** 2, 1, atol=1e-9
    )


def test_a_click_selects_and_escape_clears_and_python_hears_it(opened):
    disk = opened("n=20000")
    disk.click("G2")
    disk.said("selected: G2; told: ['G2']")
    assert disk.page.locator(".live").inner_text() == "G2 selected."
    disk.settle()
    assert set(disk.ask("c => c.__labels()")) == {
        "G1",
        "G2",
        "G3",
    }  # the neighbours are named, all else is dimmed
    disk.click("G0")
    disk.said("selected: G0; told: ['G2', 'G0']")
    disk.canvas.focus()
    disk.page.keyboard.press("Escape")
    disk.said("selected: None; told: ['G2', 'G0', None]")
    # A rerun that repeats old words does not undo the newer click.
    disk.click("G1")
    disk.said("selected: G1")
    disk.page.get_by_role("button", name="rerun").click()
    disk.said("selected: G1; told: ['G2', 'G0', None, 'G1']; run 6")


def test_a_click_on_nothing_clears_but_a_drag_selects_nothing(opened):
    disk = opened()
    disk.drag(disk.position("G0"), disk.middle())
    disk.page.wait_for_timeout(300)
    disk.said("selected: None; told: []; run 1.")
    disk.click("G5")
    disk.said("selected: G5")
    disk.page.mouse.click(*disk.on_page(*disk.nowhere()))
    disk.said("selected: None; told: ['G5', None]")


def test_double_click_centres_a_gene_and_home_goes_back(opened):
    disk = opened()
    x, y = disk.position("G7")
    disk.page.mouse.dblclick(*disk.on_page(x, y))
    disk.until(
        "c => Math.hypot(...c.__positions('G7').map((v, k) => v - [c.clientWidth, c.clientHeight][k] / 2)) < 0.5"
    )
    assert math.dist(disk.position("G7"), disk.middle()) < 0.5
    disk.settle()
    home = disk.page.get_by_role("button", name="Back to the true centre")
    assert home.is_visible()
    home.click()
    disk.until("c => c.__view().isometry.join() === '1,0,0,0'")
    disk.settle()
    assert not home.is_visible()
    disk.page.mouse.dblclick(*disk.on_page(x, y))
    disk.settle()
    disk.page.mouse.dblclick(*disk.on_page(*disk.nowhere()))
    disk.until("c => c.__view().isometry.join() === '1,0,0,0'")


def test_the_view_survives_reruns_and_new_colours(opened):
    disk = opened()
    disk.drag(disk.position("G3"), disk.middle())
    disk.settle()
    before = disk.view()
    assert before["isometry"] != [1, 0, 0, 0]
    disk.page.get_by_role("button", name="rerun").click()
    disk.said("run 2.")
    disk.page.get_by_text("effect", exact=True).click()
    disk.said("effect (natural log)")
    disk.said("run 3.")
    disk.settle()
    assert disk.view() == before


def test_the_page_can_select_and_the_disk_goes_there(opened):
    disk = opened()
    disk.page.get_by_label("gene", exact=True).fill("G200")
    disk.page.get_by_label("gene", exact=True).press("Enter")
    disk.said("selected: G200; told: []")
    disk.settle()
    assert math.dist(disk.position("G200"), disk.middle()) < 1
    disk.page.get_by_label("gene", exact=True).fill("not a gene")
    disk.page.get_by_label("gene", exact=True).press("Enter")
    disk.said("selected: not a gene")  # Python's own word; the disk shows nothing selected
    disk.settle()
    assert len(disk.ask("c => c.__labels()")) > 3


def test_wheel_zooms_about_the_pointer_and_lets_the_page_scroll_at_home(opened):
    disk = opened()
    x, y = (round(v) for v in disk.position("G6"))
    disk.page.mouse.move(*disk.on_page(x, y))
    off = math.dist((x, y), disk.position("G6"))
    disk.page.mouse.wheel(0, -240)
    disk.until("c => c.__view().zoom > 1.3")
    disk.settle()
    assert math.dist((x, y), disk.position("G6")) <= 2 * off + 0.5
    disk.page.mouse.wheel(0, 2000)
    disk.page.mouse.wheel(0, 2000)
    disk.until("c => c.__view().zoom === 1")
    allowed = "c => c.dispatchEvent(new WheelEvent('wheel', {deltaY: 100, clientX: %d, clientY: %d, cancelable: true}))"
    assert disk.ask(allowed % disk.on_page(*disk.middle()))


def test_keyboard_moves_zooms_selects_and_goes_home(opened):
    disk = opened()
    disk.canvas.focus()
    before = disk.position("G0")
    disk.page.keyboard.press("ArrowRight")
    assert disk.position("G0")[0] < before[0] - 10
    disk.page.keyboard.press("+")
    assert disk.view()["zoom"] == pytest.approx(1.25)
    disk.page.keyboard.press("-")
    disk.page.keyboard.press("Home")
    disk.until("c => c.__view().isometry.join() === '1,0,0,0'")
    disk.click("G9", click_count=2)
    disk.settle()
    disk.page.keyboard.press("Escape")
    disk.said("selected: None")
    disk.page.keyboard.press("Enter")
    disk.said("selected: G9")


def test_hover_names_the_gene_with_its_values(opened):
    disk = opened()
    disk.page.mouse.move(*disk.on_page(*disk.position("G0")))
    tip = disk.page.locator(".tip")
    tip.wait_for(state="visible")
    words = tip.inner_text()
    assert "G0" in words
    assert "degree" in words
    assert "distance from the middle" in words
    disk.page.mouse.move(*disk.on_page(3, 3))
    tip.wait_for(state="hidden")


def test_touch_pinches_and_drags(opened):
    disk = opened(has_touch=True)
    target = disk.position("G2")
    middle = disk.middle()
    touch = disk.page.context.new_cdp_session(disk.page)

    def send(kind: str, *places) -> None:
        points = [dict(zip("xy", disk.on_page(*place), strict=True), id=k) for k, place in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", target)
    for k in range(1, 11):
        send("touchMove", tuple(a + (b - a) * k / 10 for a, b in zip(target, middle, strict=True)))
    disk.until(
        "(c, [x, y]) => { const p = c.__positions('G2'); return Math.hypot(p[0] - x, p[1] - y) < 2 }",
        list(middle),
    )
    send("touchEnd")
    send("touchStart", (middle[0] - 50, middle[1]), (middle[0] + 50, middle[1]))
    send("touchMove", (middle[0] - 100, middle[1]), (middle[0] + 100, middle[1]))
    disk.until("c => Math.abs(c.__view().zoom - 2) < 0.05")
    send("touchEnd")
    disk.said("selected: None; told: []")


def test_still_where_motion_is_unwanted(opened):
    disk = opened(reduced_motion="reduce")
    frames = int(disk.ask("c => c.dataset.frames"))
    x, y = disk.position("G7")
    disk.page.mouse.dblclick(*disk.on_page(x, y))
    disk.page.wait_for_timeout(900)
    assert math.dist(disk.position("G7"), disk.middle()) < 0.5
    assert int(disk.ask("c => c.dataset.frames")) - frames < 12  # an animation has some thirty


INKED = """c => {
  const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
  let bright = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) {
    const l = data[i] + data[i + 1] + data[i + 2];
    if (l > 600) bright++; else if (l < 150) dark++;
  }
  return [bright, dark];
}"""


def test_dark_page_is_drawn_dark_and_the_theme_may_change_under_it(opened):
    disk = opened(color_scheme="dark")
    background = disk.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert background == "rgb(16, 20, 24)"
    ink = disk.page.locator(".legend").evaluate("n => getComputedStyle(n).color")
    assert min(int(v) for v in ink[4:-1].split(",")) > 200
    bright = disk.ask(INKED)[0]
    disk.page.emulate_media(color_scheme="light")
    disk.page.wait_for_function(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(255, 255, 255)'"
    )
    disk.settle()
    assert disk.ask(INKED)[1] > 300  # names in dark ink
    assert bright > 300  # names in light ink before


def test_narrow_pages_and_sharp_screens(opened):
    disk = opened(viewport={"width": 400, "height": 800}, device_scale_factor=2)
    box = disk.canvas.bounding_box()
    assert box["width"] <= 400
    assert box["height"] == pytest.approx(box["width"], abs=1)
    assert disk.ask("c => [c.width, c.height]") == [round(2 * box["width"]), round(2 * box["height"])]
    assert disk.page.evaluate("document.documentElement.scrollWidth") <= 400
    disk.page.set_viewport_size({"width": 900, "height": 800})
    disk.until("c => c.clientWidth > 500 && c.width === 2 * c.clientWidth")


def test_those_who_do_not_see_it_are_told(opened):
    disk = opened()
    assert disk.canvas.get_attribute("role") == "application"
    assert "coloured by degree, sized by degree" in disk.canvas.get_attribute("aria-label")
    words = disk.page.locator("#how").text_content()
    assert "400 genes" in words
    assert "The most central: G0, G1, G2, G3, G4." in words
    assert disk.page.locator(".live").get_attribute("aria-live") == "polite"


def test_categories_have_a_legend_with_counts(opened):
    disk = opened()
    disk.page.get_by_text("community", exact=True).click()
    disk.page.locator(".legend .chip").nth(7).wait_for()
    chips = disk.page.locator(".legend .chips .chip").all_inner_texts()
    assert len(chips) == 8
    assert chips[-1].split() == ["other", "88"]
    assert chips[0].split() == ["c0", "45"]


def test_the_geometry_is_right(chromium):
    page = chromium.new_page()
    page.add_script_tag(content=(SCRIPTS / "geometry.js").read_text(encoding="utf-8"))
    worst = page.evaluate(
        """() => {
      let seed = 1;
      const random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
      const point = () => {
        const r = Math.sqrt(random()) * 0.999, a = random() * 7;
        return [r * Math.cos(a), r * Math.sin(a)];
      };
      const distance = (p, q) => {
        const d2 = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2;
        return Math.asinh(Math.sqrt(d2 / ((1 - p[0] ** 2 - p[1] ** 2) * (1 - q[0] ** 2 - q[1] ** 2))));
      };
      const worst = { taken: 0, distance: 0, home: 0, ring: 0, rounds: 0 };
      let m = [1, 0, 0, 0];
      for (let k = 0; k < 2000; k++) {
        const p = point(), q = point(), z = point(), w = point();
        const t = translationTaking(...p, ...q);
        const image = moveTo(t, ...p);
        worst.taken = Math.max(worst.taken, Math.hypot(image[0] - q[0], image[1] - q[1]));
        const turned = compose(t, rotation(random() * 6));
        const before = distance(z, w), after = distance(moveTo(turned, ...z), moveTo(turned, ...w));
        worst.distance = Math.max(worst.distance, Math.abs(before - after) / (1 + before));
        const whole = partOfTheWayHome(turned, 1);
        const there = moveTo(whole, ...z), wanted = moveTo(turned, ...z);
        worst.home = Math.max(worst.home, Math.hypot(there[0] - wanted[0], there[1] - wanted[1]));
        const rho = 0.2 + 3 * random(), angle = random() * 7;
        const on = moveTo(t, Math.tanh(rho / 2) * Math.cos(angle), Math.tanh(rho / 2) * Math.sin(angle));
        const [cx, cy, r] = hyperbolicCircle(...trueCentre(t), Math.tanh(rho / 2));
        worst.ring = Math.max(worst.ring, Math.abs(Math.hypot(on[0] - cx, on[1] - cy) - r));
        const step = point();
        m = compose(translationBy(step[0] * 0.3, step[1] * 0.3), m);
        if (Math.hypot(...trueCentre(m)) > 0.999) m = [1, 0, 0, 0];
        worst.rounds = Math.max(worst.rounds, Math.abs(m[0] ** 2 + m[1] ** 2 - m[2] ** 2 - m[3] ** 2 - 1));
      }
      return worst;
    }"""
    )
    page.close()
    assert worst["taken"] < 1e-9
    assert worst["distance"] < 1e-6
    assert worst["home"] < 1e-6
    assert worst["ring"] < 1e-9
    assert worst["rounds"] < 1e-9


def test_a_table_without_the_column_is_refused():
    from app.components.poincare_disk import poincare_disk

    table = pd.DataFrame({"gene": ["A"], "x": [0.0], "y": [0.0], "degree": [1]})
    with pytest.raises(HyperPerturbError, match="no column 'sensitivity'") as caught:
        poincare_disk(table, color="sensitivity", size="degree", key="k")
    assert "degree" in str(caught.value.hint)


def test_every_script_is_sent():
    from app.components import poincare_disk as module

    assert {path.name for path in SCRIPTS.glob("*.js")} == set(module._SCRIPTS)
