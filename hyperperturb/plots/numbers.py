"""The numbers that a figure draws, as a table: what a reader needs to draw it anew elsewhere."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

_TAG = re.compile(r"<[^>]*>")


def figure_numbers(figure: go.Figure) -> pd.DataFrame:
    """Give the numbers of a figure's points and bars as one table.

    What is only there to guide the eye (traces that answer no pointer: diagonals, rings around what is chosen) is
    left out. The columns of coordinates bear the titles of their axes; where panels have different axes, ``panel``
    names the one that a row belongs to and the coordinates are ``x`` and ``y``.

    Parameters
    ----------
    figure
        Scatter and bar traces and heat maps, as the functions of :mod:`hyperperturb.plots` make them.

    Returns
    -------
    pandas.DataFrame
        One row a point: ``series``, ``name``, its coordinates, where an interval is drawn its ends in the direction of
        the interval (``… low`` and ``… high``), and the number that its colour shows. Of a heat map one row a cell:
        ``row``, ``column`` and the value. Columns without any value are left out.

    Examples
    --------
    >>> import plotly.graph_objects as go
    >>> bars = go.Bar(x=[0.5, -0.2], y=[0, 1], customdata=["STAT1", "IRF1"], name="predicted")
    >>> figure = go.Figure(bars, layout={"xaxis": {"title": {"text": "effect"}}})
    >>> print(figure_numbers(figure).to_csv(index=False).strip())
    series,name,effect,y
    predicted,STAT1,0.5,0
    predicted,IRF1,-0.2,1
    """
    import pandas as pd

    shown = [
        trace
        for trace in figure.data
        if trace.hoverinfo != "skip" and (trace.x is not None or trace.y is not None)
    ]
    panels = {(trace.xaxis or "x", trace.yaxis or "y") for trace in shown}
    parts = []
    for trace in shown:
        if trace.type == "heatmap":
            parts.append(pd.DataFrame(_map(trace)))
            continue
        x_axis, y_axis = (_axis(figure, trace, direction) for direction in "xy")
        x_title, y_title = _words(x_axis.title.text), _words(y_axis.title.text)
        one = len(panels) == 1
        names = {"x": (one and x_title) or "x", "y": (one and y_title) or "y"}
        if names["x"] == names["y"]:
            names = {"x": f"{names['x']} (x)", "y": f"{names['y']} (y)"}
        length = len(trace.x if trace.x is not None else trace.y)
        part = {
            "panel": [None if one else x_title or y_title] * length,
            "series": [_words(trace.name)] * length,
            "name": _point_names(trace, length),
        }
        for direction, axis in (("x", x_axis), ("y", y_axis)):
            values = getattr(trace, direction)
            values = np.arange(length) if values is None else np.asarray(values)
            part[names[direction]] = _ticked(values, axis)
            part |= _interval(values, getattr(trace, f"error_{direction}"), names[direction])
        part |= _coloured(trace, length)
        parts.append(pd.DataFrame(part))
    if not parts:
        return pd.DataFrame(columns=["series", "name"])
    table = pd.concat([part.dropna(axis=1, how="all") for part in parts], ignore_index=True)
    first = [name for name in ("panel", "series", "name") if name in table]
    return table[first + [name for name in table.columns if name not in first]]


def _map(trace: Any) -> dict[str, Any]:
    """The cells of a heat map, row by row."""
    z = np.asarray(trace.z)
    rows = np.arange(z.shape[0]) if trace.y is None else np.asarray(trace.y)
    columns = np.arange(z.shape[1]) if trace.x is None else np.asarray(trace.x)
    return {
        "row": np.repeat(rows, z.shape[1]),
        "column": np.tile(columns, z.shape[0]),
        _words(trace.colorbar.title.text) or "value": z.ravel(),
    }


def _coloured(trace: Any, length: int) -> dict[str, np.ndarray]:
    """The numbers that the colours of points and bars show, where there are any."""
    marker = trace.marker
    colours = getattr(marker, "color", None)
    if colours is None or isinstance(colours, str) or len(colours) != length:
        return {}
    colours = np.asarray(colours)
    if colours.dtype.kind not in "fiu":
        return {}
    return {_words(marker.colorbar.title.text) or "colour": colours}


def _axis(figure: go.Figure, trace: Any, direction: str) -> Any:
    """The axis of a trace: its ``x2`` is the layout's ``xaxis2``."""
    reference = getattr(trace, f"{direction}axis") or direction
    return figure.layout[f"{direction}axis{reference[1:]}"]


def _words(text: str | None) -> str | None:
    """A title without its markup, on one line."""
    if not text:
        return None
    return " ".join(unescape(_TAG.sub(" ", text)).split()) or None


def _point_names(trace: Any, length: int) -> list[str | None]:
    """Names of the points: what a click on them gives, else the first line of what they say."""
    given = trace.customdata if trace.customdata is not None else trace.hovertext
    if given is None:
        given = trace.text
    if given is None or isinstance(given, str) or len(given) != length:
        return [None] * length
    firsts = [value if isinstance(value, str) else value[0] for value in given]
    return [_words(str(value).split("<br>")[0]) for value in firsts]


def _ticked(values: np.ndarray, axis: Any) -> np.ndarray:
    """Coordinates, in the words of the axis where each of them has one."""
    if axis.ticktext is None or axis.tickvals is None:
        return values
    words = dict(zip(axis.tickvals, axis.ticktext, strict=True))
    if any(isinstance(v, str) or v not in words for v in values) or axis.type == "log":
        return values
    return np.array([_words(words[v]) for v in values], dtype=object)


def _interval(values: np.ndarray, error: Any, name: str) -> dict[str, np.ndarray]:
    if error is None or error.array is None or values.dtype.kind not in "fiu":
        return {}
    up = np.asarray(error.array, dtype=float)
    down = up if error.arrayminus is None else np.asarray(error.arrayminus, dtype=float)
    return {f"{name} low": values - down, f"{name} high": values + up}
