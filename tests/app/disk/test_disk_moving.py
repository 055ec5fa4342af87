"""The disk under the hand: drag, wheel, keys, fingers."""

from __future__ import annotations

import math

import numpy as np
import pytest

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
