"""What is seen, as files: SVG, PNG, CSV, and a page that stands alone and moves."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.browser


def saved(disk, kind: str) -> Path:
    """Save through the menu, as a reader does."""
    disk.page.get_by_role("button", name="Save what is seen").click()
    with disk.page.expect_download() as waiting:
        disk.page.locator(f"[data-kind={kind}]").click()
    assert waiting.value.suggested_filename == f"poincare-disk.{kind}"
    return Path(waiting.value.path())


def test_svg_holds_the_genes_the_names_and_the_legend(opened):
    disk = opened()
    disk.click("G2")
    disk.said("selected: G2")
    disk.settle()
    root = ET.parse(saved(disk, "svg")).getroot()
    space = "{http://www.w3.org/2000/svg}"
    words = {node.text for node in root.iter(f"{space}text")}
    assert {"G1", "G2", "G3", "number of links"} <= words
    assert "400 genes" in root.find(f"{space}desc").text
    paths = [node.get("d") for node in root.iter(f"{space}path")]
    assert sum(path.count("M") for path in paths) >= 400  # every gene has a mark
    assert not any("NaN" in path or "undefined" in path for path in paths)


def test_png_is_the_picture_in_threefold(opened):
    from PIL import Image

    disk = opened()
    width, height = 2 * disk.middle()[0], 2 * disk.middle()[1]
    with Image.open(saved(disk, "png")) as image:
        assert image.size == (round(3 * width), round(3 * (height + 64)))
        colours = image.convert("RGB").getcolors(1 << 24)
    assert max(colours)[1] == (255, 255, 255)  # paper, not transparent
    assert len(colours) > 100


def test_csv_has_the_place_in_the_model_and_the_place_that_is_seen(opened):
    disk = opened()
    disk.drag(disk.position("G3"), disk.middle())
    disk.settle()
    table = pd.read_csv(io.BytesIO(saved(disk, "csv").read_bytes())).set_index("gene")
    assert len(table) == 400
    assert {"x", "y", "seen_x", "seen_y", "number of links", "in_gene_set"} <= set(table.columns)
    assert abs(table.loc["G3", ["seen_x", "seen_y"]]).max() < 0.02  # dragged to the middle
    assert abs(table.loc["G3", ["x", "y"]]).max() > 0.02


def test_html_stands_alone_and_moves(opened, chromium, tmp_path):
    disk = opened()
    disk.click("G2")
    disk.said("selected: G2")
    disk.drag(disk.position("G3"), disk.middle())
    disk.settle()
    view = disk.view()
    file = tmp_path / "disk.html"
    file.write_bytes(saved(disk, "html").read_bytes())
    context = chromium.new_context(viewport={"width": 1280, "height": 1000}, offline=True)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    assert not errors
    alone = type(disk)(page)
    assert alone.view() == view
    assert set(alone.ask("c => c.__labels()")) == {"G1", "G2", "G3"}
    alone.drag(alone.position("G0"), alone.middle())
    assert alone.view() != view
    assert not errors
    assert page.get_by_role("button", name="Lasso genes").is_hidden()
    context.close()
