"""A still picture of the Poincaré disk, for reports, the command line and the README."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.errors import HyperPerturbError
from hyperperturb.plots import encode, theme
from hyperperturb.plots.labels import spaced_labels
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go


def static_disk(
    genes: pd.DataFrame,
    *,
    color: str = "degree",
    size: str = "degree",
    selected: str | None = None,
    neighbours: pd.DataFrame | None = None,
    categorical: bool = False,
    diverging: bool = False,
    dark: bool = False,
    curvature: float = 1.0,
    label: str | None = None,
    side: int = 720,
) -> go.Figure:
    """Draw genes in the Poincaré disk as a plotly figure.

    Parameters
    ----------
    genes : pandas.DataFrame
        One row a gene: ``gene``, ``x``, ``y`` (unit disk) and the columns named by `color` and `size`.
    color, size : str
        Columns that colour and size the points; see :mod:`hyperperturb.plots.encode`.
    selected : str, optional
        A gene to ring, all others dimmed but its neighbours.
    neighbours : pandas.DataFrame, optional
        ``gene`` and ``weight``: joined to `selected` by geodesics that fade with the weight.
    categorical, diverging : bool
        How `color` is to be read.
    dark : bool
        Colours for a dark page.
    curvature : float
        Magnitude of the curvature, for the rings.
    label : str, optional
        Words for the coloured column.
    side : int
        Width and height of the disk in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure.

    Raises
    ------
    HyperPerturbError
        When the table lacks a column.

    Examples
    --------
    >>> table = pd.DataFrame({"gene": ["A", "B"], "x": [0.0, 0.8], "y": [0.0, 0.1], "degree": [5, 1]})
    >>> len(static_disk(table).data)
    1
    """
    for column in ("gene", "x", "y", color, size):
        if column not in genes.columns:
            message = f"The gene table has no column '{column}'."
            raise HyperPerturbError(message, hint=f"It has: {', '.join(map(str, genes.columns))}.")
    genes = genes[np.isfinite(genes["x"]) & np.isfinite(genes["y"])]
    if genes.empty:
        return theme.empty("There are no genes to place in the disk.", height=side)
    colours = encode.colouring(genes[color], categorical=categorical, diverging=diverging)
    palette = np.array(colours.dark if dark else colours.light, dtype=object)
    x, y = genes["x"].to_numpy(np.float64), genes["y"].to_numpy(np.float64)
    near = 1 - np.minimum(x**2 + y**2, 1)
    diameter = 2 * encode.radii(genes[size]) * side / 640 * (0.55 + 0.45 * near)
    names = genes["gene"].astype(str).to_numpy()
    place = {name: index for index, name in enumerate(names)}
    lit = np.ones(len(genes), bool)
    shapes = _space(curvature)
    if selected in place:
        lit[:] = False
        lit[place[selected]] = True
        if neighbours is not None and len(neighbours):
            top = float(neighbours["weight"].max()) or 1.0
            for name, weight in zip(neighbours["gene"].astype(str), neighbours["weight"], strict=True):
                if name in place:
                    lit[place[name]] = True
                    ends = (
                        complex(x[place[selected]], y[place[selected]]),
                        complex(x[place[name]], y[place[name]]),
                    )
                    shapes.append(_arc(*ends, max(0.0, float(weight)) / top))
    figure = Sketch()
    # Small points first, so that hubs lie on top.
    order = np.argsort(diameter, kind="stable")
    for group, rows in _groups(colours, order):
        coloured = colours.kind != "categorical" and group == "genes"
        marker = {
            "size": diameter[rows],
            "color": palette[colours.bins[rows]].tolist(),
            "opacity": np.where(lit[rows], 1.0, 0.2).tolist(),
            "line": {"width": 0.6, "color": "rgba(0, 0, 0, 0.4)"},
        }
        if coloured:
            marker["color"] = (colours.bins[rows] / (encode.STEPS - 1)).tolist()
            marker |= _colour_bar(colours, palette, label or color.replace("_", " "))
        figure.add(
            "scatter",
            x=x[rows],
            y=y[rows],
            mode="markers",
            name=theme.plain(group),
            showlegend=False,
            marker=marker,
            text=[
                f"<b>{theme.plain(names[i])}</b><br>{theme.plain(label or color)} {_value(genes[color].iloc[i])}"
                for i in rows
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    if colours.kind == "categorical":
        for (name, count), colour in zip(colours.categories, palette, strict=True):
            # Of their own, since the points of a legend would be as small and dim as the first gene.
            if count:
                figure.add(
                    "scatter",
                    x=[None],
                    y=[None],
                    mode="markers",
                    name=theme.plain(name),
                    hoverinfo="skip",
                    marker={"color": colour, "size": 9},
                )
    theme.style(figure, height=side, legend=colours.kind == "categorical")
    centrality = genes["degree" if "degree" in genes.columns else size]
    rank = np.argsort(-pd.to_numeric(centrality, errors="coerce").fillna(-np.inf).to_numpy(), kind="stable")
    rank = rank[lit[rank] & (near[rank] > 0.12)]
    edges = (-1.0, 1.0)
    notes = spaced_labels(
        x,
        y,
        names.tolist(),
        rank,
        most=20,
        width=0.86 * side,
        height=0.86 * side,
        x_range=edges,
        y_range=edges,
        margin=diameter / 2,
    )
    if selected in place:
        i = place[selected]
        r = (diameter[i] / 2 + 4) / (side / 2.1)
        shapes.append(_circle(x[i], y[i], r, width=2.2, colour="rgba(128, 134, 142, 1)"))
    figure.update_layout(shapes=shapes, annotations=notes, margin={"l": 6, "r": 6, "b": 6})
    axis = {"visible": False, "range": [-1.04, 1.04], "constrain": "domain"}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, scaleanchor="x")
    return figure.figure()


def _value(value: object) -> str:
    number = pd.to_numeric(value, errors="coerce")
    return theme.plain(value) if isinstance(value, str) or pd.isna(number) else theme.number(float(number))


def _groups(colours: encode.Colouring, order: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Names and rows of the traces: one a category, frequent first; for a ramp the genes with and without a value."""
    if colours.kind == "categorical":
        named = [(name, order[colours.bins[order] == i]) for i, (name, _) in enumerate(colours.categories)]
    else:
        none = colours.bins[order] == encode.STEPS
        named = [("genes", order[~none]), ("no value", order[none])]
    return [(name, rows) for name, rows in named if rows.size]


def _colour_bar(colours: encode.Colouring, palette: np.ndarray, title: str) -> dict:
    ramp = palette[:-1]
    return {
        "colorscale": [[i / (len(ramp) - 1), c] for i, c in enumerate(ramp)],
        "cmin": 0,
        "cmax": 1,
        "showscale": True,
        "colorbar": {
            "title": {"text": theme.plain(title), "side": "right"},
            "tickvals": [at for at, _ in colours.ticks],
            "ticktext": [text for _, text in colours.ticks],
            "thickness": 12,
            "len": 0.5,
            "outlinewidth": 0,
        },
    }


def _circle(x: float, y: float, r: float, *, width: float = 1, colour: str) -> dict:
    return {
        "type": "circle",
        "x0": x - r,
        "x1": x + r,
        "y0": y - r,
        "y1": y + r,
        "line": {"color": colour, "width": width},
        "layer": "below",
    }


def _space(curvature: float) -> list[dict]:
    """The rim, and rings at whole distances from the middle."""
    shapes = [_circle(0, 0, 1, colour="rgba(128, 134, 142, 0.9)")]
    for distance in range(1, 15):
        r = math.tanh(math.sqrt(curvature) * distance / 2)
        if 1 - r > 0.01:
            shapes.append(_circle(0, 0, r, colour="rgba(128, 134, 142, 0.25)"))
    return shapes


def _arc(p: complex, q: complex, share: float) -> dict:
    """The geodesic from p to q, sampled: p + t (q − p) in the sense of the disk."""
    towards = (q - p) / (1 - p.conjugate() * q)
    length = math.atanh(min(abs(towards), 1 - 1e-12))
    unit = towards / abs(towards) if abs(towards) else 0
    steps = [unit * math.tanh(length * t / 24) for t in range(25)]
    points = [(z + p) / (1 + p.conjugate() * z) for z in steps]
    path = "M" + " L".join(f"{z.real:.5f},{z.imag:.5f}" for z in points)
    line = {"color": f"rgba(128, 134, 142, {0.35 + 0.65 * share:.2f})", "width": 1 + 1.6 * share}
    return {"type": "path", "path": path, "line": line, "layer": "below"}
