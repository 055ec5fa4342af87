"""Pictures of cells: two maps with one colouring, the cells that look like controls, a shift beside an effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.effects import on_equal_scales
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

CONTROL, OTHER = "controls", "other"
_CONTROL_COLOUR = theme.INK  # what is merely not named is fainter, on the light page and on the dark
_FAINT = 0.10
_RINGS = 4


@dataclass(frozen=True)
class Shade:
    """What colours the cells.

    Attributes
    ----------
    title
        What the colours mean.
    groups
        (n,) name of each cell's category, or None for a number.
    colours
        Category → colour, in the order of the legend; later ones are drawn on top.
    values
        (n,) numbers, NaN where there is none; or None for categories.
    """

    title: str
    groups: np.ndarray | None = None
    colours: dict[str, str] = field(default_factory=dict)
    values: np.ndarray | None = None


def shade_labels(
    title: str, names: np.ndarray, control: np.ndarray, first: Sequence[str], *, most: int = 7
) -> Shade:
    """Categories: controls grey, the first few names in colour, the others paler grey.

    Parameters
    ----------
    title
        What the names are.
    names
        (n,) the cells' names.
    control
        (n,) which cells are controls.
    first
        Names in the order in which they get colours.
    most
        How many get one.

    Examples
    --------
    >>> shade = shade_labels("label", np.array(["A", "B", "C"]), np.array([True, False, False]), ["C", "B"], most=1)
    >>> shade.groups.tolist(), list(shade.colours)
    (['controls', 'other', 'C'], ['other', 'controls', 'C'])
    """
    there = set(names[~control])
    named = [name for name in dict.fromkeys(first) if name in there][:most]
    groups = np.where(control, CONTROL, np.where(np.isin(names, named), names, OTHER)).astype(object)
    colours = {OTHER: theme.OTHER, CONTROL: _CONTROL_COLOUR} | dict(zip(named, theme.OKABE_ITO, strict=False))
    return Shade(title, groups, {name: colours[name] for name in colours if (groups == name).any()})


def shade_agreement(
    label: np.ndarray, predicted: np.ndarray, control: np.ndarray, like_control: np.ndarray
) -> Shade:
    """Categories: does the model name a cell as its label does, and does it look like a control.

    Parameters
    ----------
    label, predicted
        (n,) names.
    control
        (n,) which cells are controls.
    like_control
        (n,) probability that a cell is like a control, NaN where that cannot be told.
    """
    escaped = ~control & (np.nan_to_num(like_control) > 0.5)
    groups = np.select(
        [control, escaped, label == predicted],
        [CONTROL, "likely escaped", "named as labelled"],
        "named otherwise",
    )
    colours = {
        CONTROL: _CONTROL_COLOUR,
        "named otherwise": theme.OKABE_ITO[4],
        "named as labelled": theme.OKABE_ITO[2],
        "likely escaped": theme.OKABE_ITO[5],
    }
    groups = groups.astype(object)
    return Shade(
        "label and model", groups, {name: colours[name] for name in colours if (groups == name).any()}
    )


def cell_map(
    places: np.ndarray,
    shade: Shade,
    hover: Sequence[str],
    *,
    chosen: np.ndarray | None = None,
    outline: np.ndarray | None = None,
    rings: bool = False,
    height: int = 500,
) -> go.Figure:
    """Cells as points, on equal scales.

    Parameters
    ----------
    places
        (n, 2) coordinates.
    shade
        What colours them.
    hover
        (n,) what is said of each.
    chosen
        (n,) cells of the group in question: the others fade. None fades none.
    outline
        (k, 2) the line drawn around cells, or None.
    rings
        Whether the middle is a place of its own, with rings at whole distances around it.
    height
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Selection by lasso.
    """
    figure = Sketch()
    text = np.asarray(hover, dtype=object)
    here = np.ones(len(places), dtype=bool) if chosen is None else chosen
    size = 6 if len(places) < 3000 else 4.5 if len(places) < 12_000 else 3.5

    def points(rows: np.ndarray, name: str, marker: dict, *, legend: bool = True) -> None:
        figure.add(
            "scattergl",
            x=places[rows, 0].astype(np.float32),
            y=places[rows, 1].astype(np.float32),
            mode="markers",
            name=theme.plain(theme.shorten(name, 26)),
            legendgroup=name,
            showlegend=legend,
            marker=marker,
            text=text[rows],
            hovertemplate="%{text}<extra></extra>",
        )

    if shade.groups is not None:
        for faded in (True, False):
            for name, colour in shade.colours.items():
                rows = np.flatnonzero((shade.groups == name) & (here != faded))
                if len(rows):
                    quiet = {OTHER: 0.28, CONTROL: 0.75} if chosen is None else {}
                    opacity = _FAINT if faded else quiet.get(name, 0.85)
                    legend = not faded or not ((shade.groups == name) & here).any()
                    points(rows, name, {"color": colour, "size": size, "opacity": opacity}, legend=legend)
    else:
        known = np.isfinite(shade.values)
        dim = np.flatnonzero(~here | ~known)
        if len(dim):
            points(dim, "no value", {"color": theme.OTHER, "size": size, "opacity": 0.2}, legend=False)
        rows = np.flatnonzero(here & known)
        rows = rows[
            np.argsort(shade.values[rows], kind="stable")
        ]  # what is high must not lie under what is low
        if len(rows):
            points(rows, shade.title, _ramp(shade, rows, size), legend=False)
    theme.style(figure, height=height)
    if outline is not None:
        line = np.vstack([outline, outline[:1]])
        figure.add(
            "scatter",
            x=line[:, 0],
            y=line[:, 1],
            mode="lines",
            line={"color": theme.LEAD, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    if rings:
        _add_rings(figure, places)
    axis = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_xaxes(**axis)
    figure.update_yaxes(scaleanchor="x", **axis)
    figure.update_layout(
        dragmode="lasso",
        margin={"l": 8, "r": 8, "t": 16, "b": 8},
        legend={"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top", "itemsizing": "constant"},
    )
    return figure.figure()


def _ramp(shade: Shade, rows: np.ndarray, size: float) -> dict:
    low, high = np.quantile(shade.values[rows], [0.0, 0.995])
    return {
        "color": shade.values[rows].astype(np.float32),
        "colorscale": [[i / (len(theme.VIRIDIS) - 1), colour] for i, colour in enumerate(theme.VIRIDIS)],
        "cmin": float(low),
        "cmax": float(max(high, low + 1e-9)),
        "size": size,
        "opacity": 0.85,
        "colorbar": {
            "title": {"text": theme.plain(shade.title), "side": "top"},
            "orientation": "h",
            "thickness": 10,
            "len": 0.6,
            "x": 0,
            "xanchor": "left",
            "y": -0.02,
            "yanchor": "top",
            "outlinewidth": 0,
        },
    }


def _add_rings(figure: Sketch, places: np.ndarray) -> None:
    reach = float(np.quantile(np.linalg.norm(places, axis=1), 0.999)) if len(places) else 1.0
    step = next((s for s in (0.5, 1, 2, 5, 10, 20) if reach / s <= _RINGS), 50)
    for k in range(1, int(reach / step) + 1):
        radius = k * step
        figure.add_shape(
            type="circle",
            x0=-radius,
            x1=radius,
            y0=-radius,
            y1=radius,
            line={"color": theme.RULE, "width": 1},
            layer="below",
        )
        figure.add_annotation(
            x=0, y=radius, text=theme.number(radius), showarrow=False, yshift=7, font={"size": 11}
        )


def escaped_shares(table: pd.DataFrame, *, chosen: str = "") -> go.Figure:
    """The share of each perturbation's cells that look like controls, with 95 % intervals.

    Parameters
    ----------
    table
        Of :func:`hyperperturb.models.escapers.judge_escapers`; only what is judged is drawn.
    chosen
        A perturbation to point out.
    """
    rows = table[table["judged"]].sort_values(["share", "perturbation"], ascending=[True, False])
    if rows.empty:
        return theme.empty("No perturbation's cells can be told from the controls well enough.")
    share, error = 100 * rows["share"].to_numpy(), 100 * 1.96 * rows["error"].to_numpy()
    figure = Sketch().add(
        "scatter",
        x=share,
        y=np.arange(len(rows)),
        mode="markers",
        marker={
            "size": 9,
            "color": [theme.LEAD if name == chosen else theme.OKABE_ITO[5] for name in rows["perturbation"]],
            "symbol": "circle-open",
            "line": {"width": 2},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": np.minimum(error, 100 - share),
            "arrayminus": np.minimum(error, share),
            "color": theme.INK,  # plotly's own is black, on a dark page too
            "thickness": 1.2,
            "width": 0,
        },
        customdata=rows["perturbation"],
        hovertext=[
            f"<b>{theme.plain(row.perturbation)}</b><br>{100 * row.share:.0f} % ± {196 * row.error:.0f} of "
            f"{theme.number(row.cells)} cells<br>the changed cells stand {theme.number(row.separation)} standard "
            "deviations off"
            for row in rows.itertuples(index=False)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    theme.style(figure, height=90 + 20 * len(rows), legend=False)
    figure.update_xaxes(title={"text": "cells that look like controls (%)"}, range=[-3, 103])
    figure.update_yaxes(
        tickmode="array",
        tickvals=np.arange(len(rows)),
        ticktext=[theme.plain(theme.shorten(name)) for name in rows["perturbation"]],
        range=[-0.7, len(rows) - 0.3],
        showgrid=False,
    )
    return figure.figure()


def shift_and_effect(table: pd.DataFrame, name: str, *, height: int = 420) -> go.Figure:
    """The shift that is asked for beside a perturbation's measured effect, gene by gene.

    Parameters
    ----------
    table
        ``gene``, ``shift``, ``effect`` (measured, natural-log units; turned round where the opposite intervention is
        meant) and ``standard_error`` of the effect.
    name
        What the effect belongs to.
    height
        Height in pixels.
    """
    rows = pd.DataFrame(
        {
            "gene": table["gene"].astype(str),
            "effect": table["shift"].astype(float),
            "measured": table["effect"].astype(float),
            "standard_error": np.nan,
            "measured_standard_error": table["standard_error"].astype(float),
        }
    )
    clear = rows["measured"].abs() > 2 * rows["measured_standard_error"]
    hover = [
        f"<b>{theme.plain(row.gene)}</b><br>wanted {theme.number(row.effect)}<br>"
        f"measured {theme.number(row.measured)} ± {theme.number(row.measured_standard_error, 2)}"
        for row in rows.itertuples(index=False)
    ]
    return on_equal_scales(
        rows,
        np.where(clear, np.sign(rows["measured"]), 0).astype(int),
        hover,
        names={0: "within two standard errors", -1: "down", 1: "up"},
        titles=("shift of the cells (ln)", f"measured effect of {theme.plain(theme.shorten(name, 30))} (ln)"),
        height=height,
    )
