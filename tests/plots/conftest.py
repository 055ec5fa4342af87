"""Figures are made without plotly's checks; here each is checked once it is made."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from hyperperturb.plots.sketch import Sketch


@pytest.fixture(autouse=True)
def _checked_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sketch.figure

    def checked(sketch: Sketch) -> go.Figure:
        figure = made(sketch)
        go.Figure(figure.to_dict())  # raises on a property or a value that plotly does not know
        return figure

    monkeypatch.setattr(Sketch, "figure", checked)
