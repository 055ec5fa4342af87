"""Pictures of several runs beside each other: their losses on one picture, their scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.evaluation import panel_axis
from hyperperturb.plots.sketch import Sketch
from hyperperturb.plots.training import STAGES, by_stage, series, spread

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")
MOST_RUNS = len(_SYMBOLS)
"""So many runs can be told apart, also without colours."""


def compared_losses(histories: Mapping[str, pd.DataFrame], *, height: int = 320) -> go.Figure:
    """Validation loss of several runs, a panel a stage; the training loss where there is no validation.

    Parameters
    ----------
    histories : mapping of str to pandas.DataFrame
        Name of a run → its history, as :func:`hyperperturb.plots.training.loss_curves` takes it.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A run has one colour and one dash in every panel.
    """
    stages = {name: dict(by_stage(history)) for name, history in histories.items()}
    panels = list(dict.fromkeys(stage for own in stages.values() for stage in own))
    if not panels:
        return theme.empty("None of these runs has a loss yet.")
    figure = Sketch(rows=1, cols=len(panels), horizontal_spacing=0.13)
    named: set[str] = set()
    for at, stage in enumerate(panels, start=1):
        drawn = []
        for number, (name, own) in enumerate(stages.items()):
            if stage not in own:
                continue
            epochs, values = series(own[stage], "val_loss")
            if not values.size:
                epochs, values = series(own[stage], "loss")
            if not values.size:
                continue
            drawn.append(values)
            figure.add(
                "scatter",
                x=epochs,
                y=values,
                mode="lines" if values.size > 1 else "markers",
                name=theme.plain(name),
                legendgroup=name,
                showlegend=name not in named,
                line={"color": _colour(number), "dash": _DASHES[number % len(_DASHES)], "width": 2.2},
                hovertemplate=f"{theme.plain(name)}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                row=1,
                col=at,
            )
            named.add(name)
        values = np.concatenate(drawn) if drawn else np.array([])
        ticks = theme.log_ticks(values.min(), values.max()) if spread(values) > 3 else {"type": "linear"}
        words = STAGES.get(stage, stage)
        figure.update_xaxes(
            title={"text": f"epoch ({words})" if words else "epoch"}, showgrid=False, row=1, col=at
        )
        title = "validation loss" if at == 1 else None
        figure.update_yaxes(**ticks, title={"text": title}, zeroline=False, row=1, col=at)
    theme.style(figure, height=height)
    return figure.figure()


def compared_scores(
    rows: Sequence[Mapping[str, Any]],
    *,
    shown: Sequence[str] = ("error", "pearson_mean", "cosine_discrimination"),
) -> go.Figure:
    """Held-out scores of several runs with their intervals, beside the best simple baseline of each.

    Parameters
    ----------
    rows : sequence of mapping
        One a run: ``run`` (its name), ``model`` and ``baseline``, each a method's scores as ``metrics.json`` has them;
        ``baseline`` may be None.
    shown : sequence of str
        Metrics, a panel each; those that no run has are left out.

    Returns
    -------
    plotly.graph_objects.Figure
        One line a run, in the given order from the top: a solid mark for the run, a hollow grey one for its baseline.
    """
    panels = [name for name in shown if any(row["model"].get(name) is not None for row in rows)]
    if not rows or not panels:
        return theme.empty("None of these runs has held-out scores.")
    figure = Sketch(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.09)
    for at, metric in enumerate(panels, start=1):
        for number, row in enumerate(rows):
            y = len(rows) - 1 - number
            marks = [(row.get("baseline"), y - 0.24, theme.OTHER, "circle-open", 8)]
            marks.append((row["model"], y, _colour(number), _SYMBOLS[number % len(_SYMBOLS)], 11))
            for scores, place, colour, symbol, size in marks:
                value = None if scores is None else scores.get(metric)
                if value is None:
                    continue
                low, high = (scores.get(f"{metric}_{side}") for side in ("low", "high"))
                interval = low is not None and high is not None
                said = f" ({theme.number(low)} to {theme.number(high)})" if interval else ""
                name = row["run"] if scores is row["model"] else f"{scores.get('label', '')} of {row['run']}"
                figure.add(
                    "scatter",
                    x=[value],
                    y=[place],
                    mode="markers",
                    name=theme.plain(name),
                    showlegend=False,
                    marker={
                        "symbol": symbol,
                        "size": size,
                        "color": colour,
                        "line": {"width": 1.5, "color": colour},
                    },
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [high - value if interval else 0.0],
                        "arrayminus": [value - low if interval else 0.0],
                        "color": colour,
                        "thickness": 2 if size > 8 else 1.2,
                        "width": 0,
                    },
                    hovertemplate=f"<b>{theme.plain(name)}</b><br>{theme.number(value)}{said}<extra></extra>",
                    row=1,
                    col=at,
                )
        panel_axis(figure, metric, at)
    theme.style(figure, height=130 + 46 * len(rows), legend=False)
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[theme.plain(row["run"]) for row in reversed(rows)],
        range=[-0.6, len(rows) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure.figure()


def _colour(number: int) -> str:
    return theme.OKABE_ITO[number % len(theme.OKABE_ITO)]
