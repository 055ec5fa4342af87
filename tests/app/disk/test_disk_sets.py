"""A second gene to measure to, and a lasso around many."""

from __future__ import annotations

import math

import pytest

pytestmark = pytest.mark.browser


def loop(disk, gene: str, reach: float = 45) -> tuple[set[str], set[str]]:
    """Draw a loop around a gene; returns the genes that lie well inside, and those that lie inside or on the line."""
    x, y = disk.position(gene)
    angles = (2 * math.pi * k / 24 for k in range(25))
    places = [(x + reach * math.cos(a), y + reach * math.sin(a)) for a in angles]
    disk.page.mouse.move(*disk.on_page(*places[0]))
    disk.page.mouse.down()
    for place in places[1:]:
        disk.page.mouse.move(*disk.on_page(*place))
    disk.page.mouse.up()
    return disk.near(x, y, 0.95 * reach), disk.near(x, y, 1.05 * reach)


def test_shift_and_click_measures_to_a_second_gene_and_escape_ends_it(opened):
    disk = opened()
    disk.click("G2")
    disk.said("selected: G2")
    disk.page.keyboard.down("Shift")
    disk.click("G30")
    disk.page.keyboard.up("Shift")
    disk.said("second: G30;")
    disk.said("selected: G2")
    disk.settle()
    assert "G30" in disk.ask("c => c.__labels()")
    disk.canvas.focus()
    disk.page.keyboard.press("Escape")
    disk.said("second: None;")
    disk.said("selected: G2")


def test_the_keyboard_measures_too(opened):
    disk = opened()
    disk.click("G2")
    disk.said("selected: G2")
    disk.drag(disk.position("G9"), disk.middle())
    disk.canvas.focus()
    disk.page.keyboard.press("Shift+Enter")
    disk.said("second: G9;")
    disk.said("selected: G2")


def test_a_loop_gathers_what_lies_in_it_once(opened):
    disk = opened()
    before = disk.view()
    disk.page.get_by_role("button", name="Lasso genes").click()
    inside, most = loop(disk, "G60")
    assert len(inside) > 1
    disk.page.wait_for_function("!document.body.innerText.includes('taken: 0.')")
    found = set(disk.ask("c => c.__gathered()"))
    assert inside <= found <= most
    assert disk.view() == before  # nothing has moved
    assert disk.page.get_by_role("button", name="Lasso genes").get_attribute("aria-pressed") == "false"
    disk.said("selected: None")
    disk.drag(disk.position("G3"), disk.middle())  # the next drag moves again
    assert disk.view() != before
    assert set(disk.ask("c => c.__gathered()")) == found


def test_the_keyboard_gathers_with_a_circle(opened):
    disk = opened()
    disk.canvas.focus()
    disk.page.keyboard.press("l")
    assert "Enter" in disk.page.locator(".live").inner_text()
    disk.page.keyboard.press("[")
    disk.page.keyboard.press("]")
    disk.page.keyboard.press("Enter")
    middle = disk.middle()
    reach = 2 * min(middle) / 6
    inside = disk.near(*middle, reach)
    assert inside
    disk.said(f"taken: {len(inside)}.")
    assert set(disk.ask("c => c.__gathered()")) == inside
    disk.page.keyboard.press("l")
    disk.page.keyboard.press("Escape")  # the lasso, not the set
    disk.page.keyboard.press("Enter")
    disk.settle()
    assert set(disk.ask("c => c.__gathered()")) == inside
