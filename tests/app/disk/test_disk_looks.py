"""How the disk looks: light and dark, narrow, its legend, its words for those who do not see it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

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
    assert "coloured by number of links, sized by number of links" in disk.canvas.get_attribute("aria-label")
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


def test_names_follow_the_centrality_that_is_asked_for(opened):
    disk = opened()
    assert {"G0", "G1"} <= set(disk.ask("c => c.__labels()"))
    disk.page.get_by_text("effects", exact=True).click()
    disk.said("run 2.")
    disk.until("c => !c.__labels().includes('G0')")  # the degree of G0 is the largest, its effect is not
    words = disk.page.locator("#how").text_content()
    assert "The most central: G0" not in words
