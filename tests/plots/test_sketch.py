"""A sketch makes the figure that plotly itself would have made, and makes it once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from plotly.basedatatypes import BaseFigure, BasePlotlyType
from plotly.subplots import make_subplots

from hyperperturb.plots import theme
from hyperperturb.plots.effects import predicted_vs_measured, ranked_bars, volcano
from hyperperturb.plots.sketch import Sketch


def without_template(figure: go.Figure) -> dict:
    made = figure.to_dict()
    made["layout"].pop("template", None)
    return made


def test_panels_axes_lines_and_words_are_those_of_plotly():
    sketch = Sketch(cols=2, shared_yaxes=True, horizontal_spacing=0.05, subplot_titles=("one", "two"))
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05, subplot_titles=("one", "two")
    )
    for at in (1, 2):
        sketch.add("scatter", x=[0, 1], y=[2.0, 3.0], mode="lines", row=1, col=at)
        figure.add_trace(go.Scatter(x=[0, 1], y=[2.0, 3.0], mode="lines"), row=1, col=at)
        sketch.add_annotation(x=0, y=2, text="first", showarrow=False, row=1, col=at)
        figure.add_annotation(x=0, y=2, text="first", showarrow=False, row=1, col=at)
        sketch.add_vline(x=0.5, line={"width": 1}, row=1, col=at)
        figure.add_vline(x=0.5, line={"width": 1}, row=1, col=at)
        sketch.update_xaxes(title={"text": "across"}, row=1, col=at)
        figure.update_xaxes(title_text="across", row=1, col=at)
    for drawn in (sketch, figure):
        drawn.update_yaxes(range=[0, 4], title={"standoff": 3})
        drawn.update_annotations(font={"size": 13})
        theme.style(drawn, height=300, legend=False)
        drawn.update_layout(margin={"t": 34})
    assert without_template(sketch.figure()) == without_template(figure)


def test_a_line_across_is_that_of_plotly():
    sketch, figure = Sketch().add("bar", x=[1], y=[2]), go.Figure(go.Bar(x=[1], y=[2]))
    for drawn in (sketch, figure):
        drawn.add_hline(y=1.5, line={"dash": "dot"})
    assert without_template(sketch.figure()) == without_template(figure)


def test_columns_of_a_table_are_sent_as_arrays_and_what_is_none_not_at_all():
    column = pd.Series([1.5, 2.5], index=[7, 8])
    error = {"type": "data", "array": column, "color": None}
    trace = (
        Sketch().add("scatter", x=column, y=[0, 1], error_x=error, name=None).figure().to_dict()["data"][0]
    )
    same = go.Figure(go.Scatter(x=column, y=[0, 1], error_x={"type": "data", "array": column})).to_dict()
    assert trace == same["data"][0]


@pytest.mark.parametrize("name", ["plotly", "simple_white"])
def test_the_default_template_lies_under_the_own_as_far_as_it_is_needed(monkeypatch, name):
    monkeypatch.setattr(pio.templates, "default", name)
    sketch, figure = Sketch().add("bar", x=[1], y=[2]), go.Figure(go.Bar(x=[1], y=[2]))
    theme.style(sketch)
    theme.style(figure)
    made, full = (drawn.to_dict()["layout"]["template"] for drawn in (sketch.figure(), figure))
    assert made["layout"] == full["layout"]
    assert made["data"] == {"bar": full["data"]["bar"]}


def test_figures_share_nothing():
    sketch = Sketch(cols=2).add("scatter", x=[0], y=[0], marker={"size": 3}, row=1, col=1)
    theme.style(sketch)
    first, second = sketch.figure(), sketch.figure()
    first.update_layout(template={"layout": {"font": {"color": "red"}}}, xaxis={"title": {"text": "changed"}})
    first.data[0].marker.size = 30
    assert second.layout.template.layout.font.color == theme.INK
    assert Sketch(cols=2).figure().layout.xaxis.title.text is None
    assert second.data[0].marker.size == 3


def _effects(n: int = 40) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    effect = draw.normal(size=n)
    return pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(n)],
            "effect": effect,
            "standard_error": 0.3,
            "measured": effect + draw.normal(scale=0.1, size=n),
            "measured_standard_error": 0.2,
        }
    )


@pytest.mark.parametrize("draw", [volcano, ranked_bars, predicted_vs_measured])
def test_drawing_asks_plotly_to_check_nothing(monkeypatch, draw):
    monkeypatch.undo()  # the check of every figure in these tests
    table = _effects()
    draw(table)  # what is kept for good (template, grid of panels) is made now
    checks = []

    def count(kind, name):
        kept = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, *a, **k: checks.append(name) or kept(self, *a, **k))

    count(BasePlotlyType, "_get_validator")
    for name in ("add_traces", "update_layout"):
        count(BaseFigure, name)
    draw(table)
    assert checks == []
