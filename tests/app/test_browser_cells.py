"""The page Cells in a browser: drawn by its own process, coloured, a line around cells, asked, read, taken along."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from hyperperturb.models.cell_view import CellView
from hyperperturb.runs.cell_views import view_path
from tests.app.test_browser_accessibility import found

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(server, finished_demo):
    """A finished run on the demo."""
    return finished_demo(server.home)


def address(driver) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlparse(driver.page.url).query).items()}


def wait_for_address(driver, key: str) -> str:
    driver.page.wait_for_function(f"location.search.includes('{key}=')")
    driver.settle()
    return address(driver)[key]


def test_cells_are_drawn_by_a_process_that_can_be_stopped(driver, run, server):
    driver.open(f"cells?run={run.name}")
    assert driver.heading() == "What was done to these cells?"
    driver.see("The cells are not drawn yet")
    driver.press("Draw the cells")
    driver.see("Drawing the cells")
    driver.page.locator(".st-key-stop_drawing button").first.click()
    driver.see("What was drawn before stays.", seconds=40)
    assert view_path(run) is None
    driver.press("Draw the cells")
    driver.see("UMAP: alike in expression", seconds=180)
    driver.see("Which cells escaped their perturbation?")
    maps = server.maps()
    assert "umap" not in maps
    assert "tensorflow" not in maps
    driver.no_traceback()


def test_a_line_on_one_picture_marks_the_other_and_is_asked_about(driver, run):
    if view_path(run) is None:
        pytest.skip("the cells were not drawn")
    driver.open(f"cells?run={run.name}")
    driver.see("UMAP: alike in expression", seconds=60)
    chart = driver.page.locator(".st-key-map_umap .nsewdrag").first
    chart.wait_for()
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse, reach = driver.page.mouse, box["height"] / 4
    mouse.move(middle_x - reach, middle_y - reach)
    mouse.down()
    for dx, dy in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
        mouse.move(middle_x + dx * reach, middle_y + dy * reach, steps=6)
    mouse.up()
    area = wait_for_address(driver, "area")
    assert area.startswith("umap;")
    driver.see("inside the line")
    driver.press("Rank perturbations")
    driver.see("What explains", seconds=60)
    driver.see("Evidence: the measured effect of")

    driver.open(f"cells?run={run.name}&area={area}&goal=revert&shade=agreement")  # as shared with somebody
    driver.see("inside the line", seconds=60)
    driver.see("Show all cells")
    driver.press("Rank perturbations")
    driver.see("What would bring back", seconds=60)
    driver.press("Show all cells")
    driver.page.wait_for_function("!location.search.includes('area=')")
    driver.open(f"cells?run={run.name}&area={area}")
    driver.see("inside the line", seconds=60)
    driver.settle()
    driver.page.locator(".st-key-map_space .nsewdrag").first.dblclick()
    driver.page.wait_for_function("!location.search.includes('area=')")
    driver.no_traceback()


def test_a_label_is_led_to_another_state_and_the_cells_are_taken_along(driver, axe, run):
    if view_path(run) is None:
        pytest.skip("the cells were not drawn")
    view = CellView(view_path(run))
    label, to = sorted(set(view.cells["label"][~view.is_control]))[:2]
    driver.open(f"cells?run={run.name}&group={label}&goal=target&to={to}&shade=gene&gene={view.genes[0]}")
    driver.see("Which cells escaped their perturbation?", seconds=60)
    driver.press("Rank perturbations")
    driver.see("What leads the cells labelled", seconds=60)
    driver.see("Evidence: the measured effect of")
    driver.settle()
    assert found(axe, driver.page) == []
    driver.page.get_by_text("Download or draw again").click()
    with driver.page.expect_download() as waiting:
        driver.page.get_by_role("button", name="Cells as CSV").click()
    rows = Path(waiting.value.path()).read_text().splitlines()
    assert len(rows) == len(view.cells) + 1
    assert rows[0].startswith("cell,row,label")
    driver.no_traceback()


def test_an_old_address_leads_here(driver, run):
    driver.open(f"predict?run={run.name}&view=cells")
    driver.page.wait_for_url("**/cells?**")
    assert driver.heading() == "What was done to these cells?"
