"""Numbers, colours, sizes and names as every figure writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from hyperperturb import plots
from hyperperturb.plots import encode, theme
from hyperperturb.plots.labels import spaced_labels


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4666, "0.467"),
        (-0.25, "−0.250"),
        (0, "0"),
        (20000, "20\u2009000"),
        (123456.7, "123\u2009457"),
        (1234.5, "1\u2009234"),
        (9.999, "10.0"),
        (2.5e-7, "2.50 × 10<sup>−7</sup>"),
        (float("nan"), "–"),
        (None, "–"),
        (np.float32(1.5), "1.50"),
    ],
)
def test_numbers_for_people(value, text):
    assert theme.number(value) == text


def test_log_ticks_are_few_plain_numbers_inside_the_range():
    for low, high in [(0.05, 0.5), (1, 5000), (1e-6, 1e6), (2, 2), (3.1, 3.3), (1e-12, 1e12)]:
        ticks = theme.log_ticks(low, high)
        assert 1 <= len(ticks["tickvals"]) <= 6
        assert len(ticks["ticktext"]) == len(ticks["tickvals"])
        assert min(ticks["tickvals"]) >= low * 0.9
        assert max(ticks["tickvals"]) <= high * 1.1


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [theme.UP, theme.DOWN, theme.OTHER, theme.LEAD, theme.INK])
@pytest.mark.parametrize("page", ["#FFFFFF", "#101418"])
def test_colours_with_a_meaning_read_on_both_pages(colour, page):
    assert _contrast(colour, page) >= 3


def test_diverging_is_blue_neutral_orange_and_zero_recedes_into_the_page():
    for dark, page in ((False, "#FFFFFF"), (True, "#101418")):
        colours = theme.diverging(33, dark=dark)
        contrast = [_contrast(colour, page) for colour in colours]
        assert np.argmin(contrast) == 16
        assert int(colours[2][5:], 16) > int(colours[2][1:3], 16)  # blue: more blue than red
        assert int(colours[-3][5:], 16) < int(colours[-3][1:3], 16)


def test_diverging_limits_are_symmetric_and_robust():
    values = pd.Series([-0.1] * 500 + [0.0] + [0.2] * 500 + [50.0])
    found = encode.colouring(values, diverging=True)
    assert found.bins[500] == encode.STEPS // 2
    assert found.bins[0] == 8  # −0.1 of ±0.2: a quarter of the ramp
    assert found.bins[-1] == encode.STEPS - 1
    assert [text for _, text in found.ticks] == ["≤ −0.200", "0", "≥ 0.200"]


def test_skewed_columns_get_a_logarithmic_ramp():
    degree = pd.Series(np.r_[np.ones(60), np.full(30, 10.0), [100.0, 1000.0]])
    bins = encode.colouring(degree).bins
    assert bins[0] == 0
    assert bins[-1] == encode.STEPS - 1
    assert bins[-2] == round(2 / 3 * (encode.STEPS - 1))


def test_categories_beyond_seven_are_other_and_counted():
    values = pd.Series([f"c{i}" for i in range(10) for _ in range(20 - i)] + [None])
    found = encode.colouring(values)
    assert found.kind == "categorical"
    assert [name for name, _ in found.categories] == [f"c{i}" for i in range(7)] + ["other"]
    assert dict(found.categories)["other"] == 13 + 12 + 11 + 1
    assert found.missing == 1
    assert len(found.light) == 8
    assert found.bins.max() == 7


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([], dtype=float),
        pd.Series([np.nan, np.nan]),
        pd.Series([3.0, 3.0]),
        pd.Series([np.inf, 1.0, -np.inf]),
        pd.Series([True, False, None], dtype="boolean"),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series(pd.Categorical(["a", "b", None])),
        pd.Series([0.0, 0.0, 0.0]),
    ],
)
@pytest.mark.parametrize("diverging", [False, True])
def test_odd_columns_are_coloured_without_complaint(values, diverging):
    found = encode.colouring(values, diverging=diverging)
    assert found.bins.shape == (len(values),)
    assert found.bins.max(initial=0) < len(found.light) == len(found.dark)
    assert encode.radii(values).shape == (len(values),)


def test_area_grows_with_the_value_and_a_crowd_has_smaller_points():
    r = encode.radii(pd.Series([0.0, 1.0, 2.0, 4.0])).astype(float)
    np.testing.assert_allclose(np.diff(r**2) / np.array([1, 1, 2]), r[1] ** 2 - r[0] ** 2, rtol=1e-5)
    assert encode.radii(pd.Series(np.arange(20000.0))).max() < r.max()


def test_names_do_not_overlap_and_the_important_come_first():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400))
    names = [f"GENE{i}" for i in range(400)]
    order = np.argsort(-np.hypot(x, y))
    notes = spaced_labels(x, y, names, order, most=15, width=500, height=400)
    assert 5 <= len(notes) <= 15
    assert notes[0]["text"] == names[order[0]]
    boxes = []
    for note in notes:
        px = (note["x"] - x.min()) / np.ptp(x) * 500 + note["xshift"]
        py = (note["y"] - y.min()) / np.ptp(y) * 400 + note["yshift"]
        wide = 7 * len(note["text"])
        left = {"left": px, "right": px - wide, "center": px - wide / 2}[note["xanchor"]]
        low = py if note["yanchor"] == "bottom" else py - 7
        boxes.append((left, low, left + wide, low + 14))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1])


def test_style_works_on_any_page():
    figure = theme.style(go.Figure())
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.colorway == theme.OKABE_ITO
    assert figure.layout.title.text is None
    assert figure.layout.font.color is None  # the page's, through the template
    assert figure.layout.template.layout.font.color == theme.INK


def test_public_names_are_there_and_others_are_refused():
    assert all(getattr(plots, name) is not None for name in plots.__all__)
    with pytest.raises(AttributeError, match="no attribute 'histogram'"):
        _ = plots.histogram
