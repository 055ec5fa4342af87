"""Pictures of a training: loss curves for each stage, small multiples for everything else that was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

STAGES = {"genes": "placing the genes", "cells": "reading the cells"}
"""Words for the stages of a training; others are shown as they are."""
_NOT_A_COMPONENT = {"stage", "epoch", "epochs", "loss", "val_loss", "time", "kind", "seconds", "fraction"}
_WORDS = {
    "field": "annealing field Γ",
    "active": "weights in use",
    "curriculum": "perturbations admitted",
}
_LOG_FROM = 3.0  # largest over smallest value below which a logarithmic axis has hardly a tick


def by_stage(history: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The stages of a history with their rows, in their order; none before the first loss."""
    if history is None or history.empty or "loss" not in history.columns:
        return []
    if "stage" not in history.columns:
        return [("", history)]
    return [(str(name), rows) for name, rows in history.groupby("stage", sort=False)]


def series(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of a column where the value is finite."""
    if column not in rows.columns:
        return np.array([]), np.array([])
    values = pd.to_numeric(rows[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    epochs = rows["epoch"].to_numpy(np.float64) if "epoch" in rows.columns else np.arange(1.0, len(rows) + 1)
    known = np.isfinite(values)
    return epochs[known], values[known]


def loss_curves(history: pd.DataFrame, *, height: int = 320) -> go.Figure:
    """Training and validation loss of each stage on one picture, with the last value at the line's end.

    Parameters
    ----------
    history : pandas.DataFrame
        One row an epoch: ``epoch``, ``loss`` and, where there are any, ``stage``, ``val_loss``; more rows may come.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel a stage, side by side; logarithmic where every loss is positive and they span a factor of three.
    """
    stages = by_stage(history)
    if not stages:
        return theme.empty("The loss appears here with the first epoch.")
    figure = Sketch(rows=1, cols=len(stages), horizontal_spacing=0.13)
    named: set[str] = set()
    for at, (stage, rows) in enumerate(stages, start=1):
        ends: list[float] = []
        drawn = [(*series(rows, "loss"), "training", theme.OTHER, "solid", 1.8)]
        drawn.append((*series(rows, "val_loss"), "validation", theme.LEAD, "dash", 2.4))
        values = np.concatenate([entry[1] for entry in drawn])
        logarithmic = spread(values) > _LOG_FROM
        span = np.ptp(np.log10(values)) if logarithmic else (np.ptp(values) if values.size else 0.0)
        for epochs, losses, name, colour, dash, width in drawn:
            if not losses.size:
                continue
            figure.add(
                "scatter",
                x=epochs,
                y=losses,
                mode="lines" if losses.size > 1 else "markers",
                name=name,
                legendgroup=name,
                showlegend=name not in named,
                line={"color": colour, "width": width, "dash": dash},
                hovertemplate=f"{name}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                row=1,
                col=at,
            )
            named.add(name)
            last = float(np.log10(losses[-1])) if logarithmic else float(losses[-1])
            close = [other for other in ends if abs(other - last) < 0.06 * (span or 1)]
            figure.add_annotation(
                x=epochs[-1],
                y=last,
                text=theme.number(losses[-1]),
                font={"color": colour, "size": 12},
                showarrow=False,
                xanchor="left",
                xshift=5,
                yshift=(14 if last >= close[0] else -14) if close else 0,
                row=1,
                col=at,
            )
            ends.append(last)
        words = STAGES.get(stage, stage)
        figure.update_xaxes(
            title={"text": f"epoch ({words})" if words else "epoch"}, showgrid=False, row=1, col=at
        )
        figure.update_yaxes(
            **(theme.log_ticks(values.min(), values.max()) if logarithmic else {"type": "linear"}),
            title={"text": "loss" if at == 1 else None},
            zeroline=False,
            row=1,
            col=at,
        )
        top = float(rows["epochs"].max()) if "epochs" in rows.columns else float("nan")
        known = series(rows, "loss")[0]
        most = max(known.max() if known.size else 1.0, top if np.isfinite(top) else 1.0, 2.0)
        figure.update_xaxes(range=[0.5, most * 1.0 + 0.14 * most], **_whole(most, most=6), row=1, col=at)
    theme.style(figure, height=height)
    return figure.figure()


def _whole(last: float, *, most: int) -> dict[str, int]:
    """At most so many ticks up to the last epoch, at whole epochs."""
    steps = (step * 10**k for k in range(9) for step in (1, 2, 5))
    return {"tick0": 0, "dtick": next(step for step in steps if last <= most * step)}


def spread(values: np.ndarray) -> float:
    """Largest over smallest value; 0 where one of them is not positive."""
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 0.0


def component_curves(history: pd.DataFrame, *, columns: int = 3) -> go.Figure:
    """Every other number of the training (loss components, learning rate, curvature), one small panel each.

    Parameters
    ----------
    history : pandas.DataFrame
        As for :func:`loss_curves`; every further numeric column is drawn, one named ``val_…`` beside its own.
    columns : int
        Panels beside each other.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel a number and stage, each on its own scale. What a later stage only repeats (a curvature that does not
        move any more) is left out.
    """
    panels = _components(history)
    if not panels:
        return theme.empty("No loss components were recorded.")
    names = [name for _, name, *_ in panels]
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    titles = [
        theme.plain(
            _WORDS.get(name, name.replace("_", " "))
            + (f", {stage}" if names.count(name) > 1 and stage else "")
        )
        for stage, name, *_ in panels
    ]
    figure = Sketch(
        rows=down,
        cols=across,
        subplot_titles=tuple(titles),
        horizontal_spacing=0.09,
        vertical_spacing=min(0.16, 0.5 / down),
    )
    for place, (_, name, training, validation) in enumerate(panels):
        at = {"row": place // across + 1, "col": place % across + 1}
        alone = not validation[1].size
        for (epochs, values), kind, line in (
            (training, "", {"color": theme.LEAD if alone else theme.OTHER, "width": 1.8}),
            (validation, ", validation", {"color": theme.LEAD, "width": 1.8, "dash": "dash"}),
        ):
            if values.size:
                figure.add(
                    "scatter",
                    x=epochs,
                    y=values,
                    mode="lines" if values.size > 1 else "markers",
                    name=f"{name}{kind}",
                    line=line,
                    hovertemplate=f"epoch %{{x}}{kind}: %{{y:.4g}}<extra></extra>",
                    **at,
                )
        values = np.concatenate([training[1], validation[1]])
        wide = spread(values) > 10
        ticks = theme.log_ticks(values.min(), values.max(), most=4) if wide else {"nticks": 4}
        figure.update_yaxes(**ticks, zeroline=False, **at)
        last = max((epochs[-1] for epochs, _ in (training, validation) if len(epochs)), default=1)
        figure.update_xaxes(showgrid=False, **_whole(last, most=4), **at)
    theme.style(figure, height=60 + 150 * down, legend=False)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(margin={"t": 34})
    return figure.figure()


def _components(history: pd.DataFrame) -> list[tuple[str, str, tuple, tuple]]:
    """Stage, name, and (epochs, values) of the training and of the validation, for each panel."""
    panels, known = [], set()
    for stage, rows in by_stage(history):
        for name in history.columns:
            if name in _NOT_A_COMPONENT or (name.startswith("val_") and name[4:] in history.columns):
                continue
            training, validation = series(rows, name), series(rows, f"val_{name}")
            still = training[1].size > 0 and np.ptp(training[1]) == 0 and not validation[1].size
            if training[1].size and not (still and name in known):
                panels.append((stage, name, training, validation))
                known.add(name)
    return panels
