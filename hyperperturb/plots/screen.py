"""Pictures of a screen: how many cells each perturbation has, and how large its effect is beside the noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.plots import theme
from hyperperturb.plots.labels import spaced_labels
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMED = 40
"""Up to this many perturbations each has its name on the axis; beyond, the axis is the rank."""


def crowded(n: int) -> bool:
    """Whether so many names under a figure need more room than a phone has."""
    return 8 < n <= NAMED


def rank_axis(figure: Sketch, names: list[str], *, what: str = "perturbations") -> None:
    """Write the names under a figure whose x is their rank from 1, or only their number where they are many."""
    if len(names) <= NAMED:
        figure.update_xaxes(
            tickmode="array",
            tickvals=list(range(1, len(names) + 1)),
            ticktext=[theme.plain(theme.shorten(name, 14)) for name in names],
            tickangle=-60 if len(names) > 8 else 0,
        )
    else:
        figure.update_xaxes(title={"text": f"rank among {theme.number(len(names))} {what}"})
    room = max(0.7, 0.02 * len(names))  # for half a mark at either end
    figure.update_xaxes(range=[1 - room, len(names) + room], showgrid=False, zeroline=False)


def cells_per_perturbation(
    counts: Effects | Mapping[str, int] | pd.Series, *, height: int = 300
) -> go.Figure:
    """Cells of each perturbation, from the most to the fewest.

    Parameters
    ----------
    counts : Effects or mapping or pandas.Series
        Effects, or perturbation to number of cells (leave the control out: it would dwarf the others).
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A bar a perturbation with the median as a line; logarithmic where the counts span more than a factor of 30.
    """
    if isinstance(counts, Effects):
        counts = pd.Series(np.asarray(counts.n_cells), index=list(counts.perturbations))
    cells = pd.Series(dict(counts) if isinstance(counts, Mapping) else counts, dtype=np.float64)
    cells = cells[cells > 0].sort_values(ascending=False, kind="stable")
    if cells.empty:
        return theme.empty("The number of cells is not known for these perturbations.")
    names = [str(name) for name in cells.index]
    values = cells.to_numpy()
    median = float(np.median(values))
    wide = values.max() / values.min() > 30
    figure = Sketch().add(
        "bar",
        x=np.arange(1, len(values) + 1),
        y=values,
        marker={"color": theme.OTHER, "line": {"width": 0}},
        name="cells",
        customdata=[theme.plain(name) for name in names],
        hovertemplate="<b>%{customdata}</b><br>%{y:,} cells<extra></extra>",
    )
    theme.style(figure, height=height, legend=False)
    rank_axis(figure, names)
    if len(names) > NAMED:
        figure.update_layout(bargap=0)
    figure.add_hline(y=median, line={"color": theme.LEAD, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        text=f"median {theme.number(median)}",
        font={"color": theme.LEAD},
        showarrow=False,
        x=1,
        xref="paper",
        xanchor="right",
        y=np.log10(median) if wide else median,
        yanchor="bottom",
    )
    figure.update_yaxes(title={"text": "cells"}, zeroline=False)
    if wide:
        figure.update_yaxes(
            **theme.log_ticks(values.min(), values.max()),
            range=[max(0.0, np.log10(values.min()) - 0.3), np.log10(values.max()) + 0.15],
        )
    return figure.figure()


def effect_sizes(effects: Effects, *, height: int = 300) -> go.Figure:
    """Size of each perturbation's effect beside what noise alone would give.

    Parameters
    ----------
    effects : Effects
        Effects with their standard errors, where known.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Root mean square effect over the response genes (outlined: measured), from the largest to the smallest, and
        the root mean square standard error (dashes): a circle on its dash shows no more than noise.
    """
    if not len(effects.perturbations) or not len(effects.genes):
        return theme.empty("There are no effects in this dataset.")
    with np.errstate(invalid="ignore"):
        size = np.sqrt(np.nanmean(np.square(effects.effect, dtype=np.float64), axis=1))
        squared = np.square(np.asarray(effects.standard_error, dtype=np.float64))
        known = np.isfinite(squared)
        total = np.where(known, squared, 0).sum(axis=1)
        noise = np.sqrt(
            np.divide(total, known.sum(axis=1), out=np.full(len(size), np.nan), where=known.any(axis=1))
        )
    order = np.argsort(-np.nan_to_num(size, nan=-1.0), kind="stable")
    names = [str(effects.perturbations[i]) for i in order]
    size, noise = size[order], noise[order]
    cells = np.asarray(effects.n_cells)[order]
    hover = [
        f"<b>{theme.plain(name)}</b><br>effect {theme.number(s)}"
        + (f"<br>noise {theme.number(e)}" if np.isfinite(e) else "")
        + (f"<br>{theme.number(int(c))} cells" if c > 0 else "")
        for name, s, e, c in zip(names, size, noise, cells, strict=True)
    ]
    rank = np.arange(1, len(names) + 1)
    figure = Sketch()
    if np.isfinite(noise).any():
        many = len(names) > NAMED
        figure.add(
            "scatter",
            x=rank,
            y=noise,
            mode="markers",
            name="noise alone",
            marker={
                "symbol": "line-ew-open",
                "size": 4 if many else 10,
                "color": theme.OTHER,
                "line": {"width": 1.5},
                "opacity": 0.7,
            },
            text=hover,
            hovertemplate="%{text}<extra></extra>",
        )
    figure.add(
        "scatter",
        x=rank,
        y=size,
        mode="markers",
        name="measured effect",
        marker={
            "symbol": "circle-open",
            "size": 8 if len(names) <= 300 else 5,
            "color": theme.LEAD,
            "line": {"width": 1.5},
        },
        customdata=names,
        text=hover,
        hovertemplate="%{text}<extra></extra>",
    )
    theme.style(figure, height=height)
    rank_axis(figure, names)
    if len(names) > NAMED:
        at = rank.astype(np.float64)
        named = np.arange(min(6, len(names)))
        notes = spaced_labels(at, np.nan_to_num(size), names, named, most=6, height=height - 110)
        figure.update_layout(annotations=notes)
    figure.update_yaxes(
        title={"text": "effect, root mean square<br>(natural log)"}, rangemode="tozero", zeroline=False
    )
    return figure.figure()
