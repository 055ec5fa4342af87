"""Lines drawn around cells: they survive an address, and hold what lies inside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.area import Area


def test_a_long_line_is_thinned_and_still_holds_nearly_the_same():
    angle = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    area = Area.drawn("space", 5 + 3 * np.cos(angle), 2 * np.sin(angle))
    assert len(area.corners) == 40
    again = Area.parse(str(area))
    assert again.picture == "space"
    np.testing.assert_array_equal(again.corners, area.corners)
    assert len(str(area)) < 600
    points = np.random.default_rng(0).uniform(-1, 9, (4000, 2)) - [0, 4]
    truth = ((points[:, 0] - 5) / 3) ** 2 + (points[:, 1] / 2) ** 2 < 1
    assert (again.holds(points) != truth).mean() < 0.01


def test_a_hollow_line_holds_what_is_inside_only():
    area = Area.drawn("umap", [0, 4, 4, 3, 3, 1, 1, 0], [0, 0, 4, 4, 1, 1, 4, 4])  # a U
    inside = area.holds(np.array([[0.5, 3.0], [2.0, 3.0], [2.0, 0.5], [3.5, 3.0], [5.0, 1.0]]))
    assert inside.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "umap",
        "umap;1,2",
        "umap;1,2;3,4",
        "elsewhere;0,0;1,0;1,1",
        "umap;0,0;1,0;a,1",
        "umap;0,0;1,0;nan,1",
    ],
)
def test_what_is_no_area_is_none(text):
    assert Area.parse(text) is None


@given(st.text(max_size=80))
def test_nothing_in_an_address_raises(text):
    area = Area.parse(text)
    assert area is None or area.holds(np.zeros((2, 2))).shape == (2,)
