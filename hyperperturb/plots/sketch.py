"""A figure in the making: plain dictionaries that are handed to plotly once.

Each ``add_trace`` and ``update_…`` of a plotly figure checks and copies what is already there, which took most of the
time of a page. A sketch has the few of these methods that the pictures need, under the same names, and makes the
figure at the end without checks; the tests check every kind of figure instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Sketch:
    """Traces and layout as dictionaries, with plotly's own words for what is in them.

    Parameters
    ----------
    rows, cols : int
        Panels, each with axes of its own; several are laid out by :func:`plotly.subplots.make_subplots`.
    **grid
        Its further options, such as ``shared_yaxes``, ``horizontal_spacing``, ``subplot_titles`` (a tuple).

    Examples
    --------
    >>> sketch = Sketch().add("bar", x=[1, 2], y=[3, 4])
    >>> sketch.update_yaxes(title={"text": "cells"})
    >>> figure = sketch.figure()
    >>> figure.data[0].type, figure.layout.yaxis.title.text
    ('bar', 'cells')
    """

    def __init__(self, *, rows: int = 1, cols: int = 1, **grid: Any) -> None:
        self._cols, self._panels = cols, rows * cols
        self._traces: list[dict] = []
        self._layout: dict = {"annotations": [], "shapes": []}
        if self._panels > 1 or grid:
            self._layout |= deepcopy(_grid(rows, cols, **grid))

    def add(self, kind: str, *, row: int | None = None, col: int | None = None, **properties: Any) -> Sketch:
        """Add a trace of a `kind` (``scatter``, ``bar``, …), in the panel at `row` and `col`; returns the sketch."""
        self._traces.append(_unboxed(properties) | self._axes(row, col, "xaxis", "yaxis") | {"type": kind})
        return self

    def update_layout(self, **properties: Any) -> None:
        """Merge properties into the layout: mappings into mappings, everything else anew."""
        _merge(self._layout, properties)

    def update_xaxes(self, *, row: int | None = None, col: int | None = None, **properties: Any) -> None:
        """Merge properties into the x axis of a panel, or of all."""
        self._update_axes("xaxis", row, col, properties)

    def update_yaxes(self, *, row: int | None = None, col: int | None = None, **properties: Any) -> None:
        """Merge properties into the y axis of a panel, or of all."""
        self._update_axes("yaxis", row, col, properties)

    def add_annotation(self, *, row: int | None = None, col: int | None = None, **properties: Any) -> None:
        """Write words into the picture."""
        self._layout["annotations"].append(properties | self._axes(row, col, "xref", "yref"))

    def update_annotations(self, **properties: Any) -> None:
        """Merge properties into everything that is written so far."""
        for written in self._layout["annotations"]:
            _merge(written, properties)

    def add_shape(self, **properties: Any) -> None:
        """Draw a line or an outline into the picture."""
        self._layout["shapes"].append(properties)

    def add_vline(self, x: float, *, row: int = 1, col: int = 1, **properties: Any) -> None:
        """Draw a line from the bottom to the top of a panel."""
        at = self._axes(row, col, "xref", "yref")
        at["yref"] += " domain"
        self.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, **at, **properties)

    def add_hline(self, y: float, **properties: Any) -> None:
        """Draw a line from the left to the right of the first panel."""
        self.add_shape(type="line", x0=0, x1=1, y0=y, y1=y, xref="x domain", yref="y", **properties)

    def figure(self) -> go.Figure:
        """The figure, with the page's or plotly's default template under the one that is set."""
        import plotly.graph_objects as go
        import plotly.io as pio

        layout = {name: value for name, value in self._layout.items() if value not in ([], ())}
        kinds = tuple(sorted({trace["type"] for trace in self._traces}))
        if "template" in layout and pio.templates.default is not None:
            layout["template"] = _merge(_default_template(pio.templates.default, kinds), layout["template"])
        return go.Figure({"data": self._traces, "layout": layout}, _validate=False)

    def _axes(self, row: int | None, col: int | None, x: str, y: str) -> dict[str, str]:
        """The axes of a panel, under the names `x` and `y`; none where no panel is meant."""
        if row is None or col is None:
            return {}
        return {x: f"x{self._number(row, col)}", y: f"y{self._number(row, col)}"}

    def _number(self, row: int, col: int) -> str:
        at = (row - 1) * self._cols + col
        return "" if at == 1 else str(at)

    def _update_axes(self, axis: str, row: int | None, col: int | None, properties: dict) -> None:
        one = row is not None and col is not None
        numbers = [self._number(row, col)] if one else [self._number(1, n + 1) for n in range(self._panels)]
        for number in numbers:
            _merge(self._layout.setdefault(f"{axis}{number}", {}), properties)


def _merge(into: dict, properties: Mapping) -> dict:
    """Merge mappings into mappings, in place, never sharing one with `properties`; returns `into`."""
    for name, value in properties.items():
        if not isinstance(value, Mapping):
            into[name] = list(value) if isinstance(value, tuple) else value
        elif isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = _merge({}, value)
    return into


def _unboxed(properties: Mapping) -> dict:
    """Columns of tables as arrays, which plotly writes fastest, at any depth; without what is None."""
    return {
        name: value.to_numpy()
        if isinstance(value, pd.Series | pd.Index)
        else _unboxed(value)
        if isinstance(value, Mapping)
        else value
        for name, value in properties.items()
        if value is not None
    }


@lru_cache(maxsize=64)
def _grid(rows: int, cols: int, **options: Any) -> dict:
    """Where the axes of several panels lie, and their titles; not to be changed."""
    from plotly.subplots import make_subplots

    layout = make_subplots(rows=rows, cols=cols, **options).layout.to_plotly_json()
    layout.pop("template", None)
    return _merge({}, layout)


def _default_template(name: str, kinds: tuple[str, ...]) -> dict:
    """A named template as far as these kinds of trace need it."""
    template = _template(name)
    data = {kind: template["data"][kind] for kind in kinds if kind in template.get("data", {})}
    return deepcopy({**template, "data": data})


@lru_cache(maxsize=4)
def _template(name: str) -> dict:
    import plotly.io as pio

    return pio.templates[name].to_plotly_json()
