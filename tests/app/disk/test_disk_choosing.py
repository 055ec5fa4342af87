"""Choosing genes in the disk, and Python hearing of it."""

from __future__ import annotations

import math

import pytest

pytestmark = pytest.mark.browser


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


def test_hover_names_the_gene_with_its_values(opened):
    disk = opened()
    disk.page.mouse.move(*disk.on_page(*disk.position("G0")))
    tip = disk.page.locator(".tip")
    tip.wait_for(state="visible")
    words = tip.inner_text()
    assert "G0" in words
    assert "number of links" in words
    assert "distance from the middle" in words
    disk.page.mouse.move(*disk.on_page(3, 3))
    tip.wait_for(state="hidden")
