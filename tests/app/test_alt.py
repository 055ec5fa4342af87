"""What a screen reader says instead of the pictures."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pandas as pd
import pytest

from app.ui import alt
from app.ui.text import extremes

ROOT = Path(__file__).resolve().parents[2]
EFFECTS = pd.DataFrame(
    {"gene": ["A", "B", "C", "D"], "effect": [0.5, -1.0, 0.01, 0.2], "standard_error": [0.1, 0.1, 0.1, 0.5]}
)


def test_extremes_name_both_ends_and_leave_out_what_is_missing():
    assert extremes("ABCD", [0.5, -1.0, math.nan, 0.2], n=1) == "highest A (+0.500); lowest B (−1.00)"
    assert extremes("AB", [0.5, 0.2], n=3) == "highest A (+0.500), B (+0.200)"
    assert extremes("AB", [0.0, math.nan]) == "none differs from 0"


def test_a_volcano_counts_what_is_certain():
    said = alt.volcano(EFFECTS)
    assert "4 genes" in said
    assert "1 are up and 1 down" in said
    assert "lowest B (−1.00)" in said


def test_bars_are_read_from_the_largest():
    assert alt.ranked(EFFECTS, 2) == "Bars of the 2 largest predicted effects: B −1.00, A +0.500."


@pytest.mark.parametrize(
    ("y", "r"), [([2.0, 4.0, 6.0, math.nan], "is 1.00"), ([1, 1, 1, 1], "is –"), ([1, 2, 1, 2], "is 0.447")]
)
def test_agreement_says_the_correlation_where_there_is_one(y, r):
    assert r in alt.agreement([1, 2, 3, 4], y, across="a", upwards="b")


def test_cells_and_losses_say_their_range():
    assert "most A (200), median 50, fewest C (3)" in alt.cells({"A": 200, "B": 50, "C": 3, "D": 0})
    assert "not known" in alt.cells({"A": 0})
    history = pd.DataFrame({"loss": [2.0, 1.0], "val_loss": [3.0, None]})
    assert alt.losses(history) == (
        "Loss curves. 2 epochs: training loss from 2.00 to 1.00 and validation loss from 3.00 to 3.00."
    )
    two = pd.concat([history.assign(stage="genes"), (10 * history).assign(stage="cells")])
    assert "2 epochs, reading the cells: training loss from 20.0 to 10.0" in alt.losses(two)
    assert "No epoch yet" in alt.losses(pd.DataFrame())


def test_errors_count_where_the_model_is_better():
    rows = pd.DataFrame({"error": [0.5, 0.9, None], "baseline_error": [0.6, 0.8, 1.0]})
    assert "better on 1 of 2" in alt.errors(rows, baseline="mean")


def test_every_picture_goes_through_the_frame():
    """Only the frame calls Streamlit's own chart, and it insists on a text alternative."""
    files = [*(ROOT / "app").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
    calls = [
        str(path.relative_to(ROOT))
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("plotly_chart", "altair_chart", "image", "pyplot")
    ]
    assert calls == ["app/ui/frame.py"]
