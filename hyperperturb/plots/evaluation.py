"""Pictures of how good a model is: methods beside each other, and whether hubs sit in the middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hyperperturb.evaluation.verdict import CEILING, VARIANTS
from hyperperturb.plots import theme
from hyperperturb.plots.labels import spaced_labels
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

PANELS = {
    "error": ("squared error<br>(1 = no change)", "lower is better", 1.0),
    "pearson_control": ("correlation<br>of effects", "higher is better", 0.0),
    "pearson_mean": ("correlation<br>beyond the mean", "higher is better", 0.0),
    "cosine_discrimination": ("discrimination<br>(½ = chance)", "higher is better", 0.5),
    "centroid_accuracy": ("centroid accuracy<br>(½ = chance)", "higher is better", 0.5),
    "significant_overlap": ("overlap of<br>significant genes", "higher is better", None),
    "sign_agreement": ("agreement of signs<br>(½ = chance)", "higher is better", 0.5),
    "energy_distance": ("energy distance<br>of cells", "lower is better", None),
}
"""Metrics that are drawn: axis title, direction, and what no skill at all gets."""


_SYMBOLS = {
    "model": "circle",
    "baseline": "circle-open",
    "variant": "square-open",
    "ceiling": "diamond-open",
}
_LEADS = {
    "ahead": ("HyperPerturb is better", "circle", theme.LEAD),
    "unclear": ("no clear difference", "circle-open", theme.OTHER),
    "behind": ("HyperPerturb is worse", "x", theme.INK),
}


def panel_axis(figure: Sketch, metric: str, at: int) -> None:
    """Say under panel `at` of a row which metric it shows and which way is better, and where chance lies."""
    title, direction, chance = PANELS.get(metric, (metric.replace("_", " "), "", None))
    figure.update_xaxes(
        title={"text": f"{title}<br><i>{direction}</i>"},
        zeroline=False,
        showgrid=True,
        nticks=5,
        row=1,
        col=at,
    )
    if chance is not None:
        figure.add_vline(x=chance, line={"color": theme.INK, "width": 1, "dash": "dot"}, row=1, col=at)


def _kind(name: str) -> str:
    return "ceiling" if name == CEILING else "variant" if name in VARIANTS else "baseline"


def _table(metrics: pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> pd.DataFrame:
    if isinstance(metrics, pd.DataFrame):
        return metrics
    if isinstance(metrics, Mapping):
        metrics = metrics.get("methods") or []
    return pd.DataFrame(list(metrics or []))


def method_scores(
    metrics: pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    model: str = "model",
    shown: Sequence[str] = ("error", "pearson_mean", "cosine_discrimination"),
) -> go.Figure:
    """The model and the baselines beside each other, with their intervals.

    Parameters
    ----------
    metrics : pandas.DataFrame or mapping or sequence of mappings
        One row a method (``name``, ``label``, each metric and, where known, ``<metric>_low`` and ``<metric>_high``),
        or a run's metrics with such rows under ``"methods"``.
    model : str
        ``name`` of the method that is judged: drawn solid in colour, the others outlined in grey. The first row
        where no method has that name.
    shown : sequence of str
        Metrics, one panel each; absent ones are left out.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel a metric, one line a method, ordered by the first metric, the best on top; squares are the model with
        one thing taken away, a diamond the ceiling. A dotted line marks what no skill gets.
    """
    table = _table(metrics)
    if table.empty or "name" not in table.columns:
        return theme.empty("This run has no held-out scores.")
    panels = [
        name
        for name in shown
        if name in table.columns and pd.to_numeric(table[name], errors="coerce").notna().any()
    ]
    if not panels:
        return theme.empty("This run has no held-out scores.")
    judged = table["name"].eq(model)
    if not judged.any():
        judged = pd.Series(np.arange(len(table)) == 0, index=table.index)
    best_low = "lower" in PANELS.get(panels[0], ("", "lower", 0))[1]
    first = pd.to_numeric(table[panels[0]], errors="coerce")
    table = table.assign(_judged=judged).iloc[
        np.argsort((-first if best_low else first).to_numpy(), kind="stable")
    ]
    labels = table["label"].fillna(table["name"]) if "label" in table.columns else table["name"]
    place = np.arange(len(table))
    kinds = np.where(table["_judged"], "model", [_kind(name) for name in table["name"]])
    figure = Sketch(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.05)
    for at, name in enumerate(panels, start=1):
        values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        low, high = (
            pd.to_numeric(table[f"{name}_{side}"], errors="coerce").to_numpy(np.float64)
            if f"{name}_{side}" in table.columns
            else np.full(len(table), np.nan)
            for side in ("low", "high")
        )
        for mine, kind in ((False, "baseline"), (False, "variant"), (False, "ceiling"), (True, "model")):
            those = (kinds == kind) & np.isfinite(values)
            if not those.any():
                continue
            colour = theme.LEAD if mine else theme.OTHER
            figure.add(
                "scatter",
                x=values[those],
                y=place[those],
                mode="markers",
                marker={
                    "symbol": _SYMBOLS[kind],
                    "size": 11 if mine else 9,
                    "color": colour,
                    "line": {"width": 2, "color": colour},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": np.nan_to_num(high - values)[those],
                    "arrayminus": np.nan_to_num(values - low)[those],
                    "color": colour,
                    "thickness": 2 if mine else 1.3,
                    "width": 0,
                },
                text=[
                    f"<b>{theme.plain(label)}</b><br>{theme.number(value)}"
                    + (
                        f" ({theme.number(a)} to {theme.number(b)})"
                        if np.isfinite(a) and np.isfinite(b)
                        else ""
                    )
                    for label, value, a, b in zip(
                        labels[those], values[those], low[those], high[those], strict=True
                    )
                ],
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
                row=1,
                col=at,
            )
        panel_axis(figure, name, at)
    theme.style(figure, height=110 + 30 * len(table), legend=False)
    names = [
        f"<b>{text}</b>  " if mine else f"{text}  "
        for text, mine in zip(
            (theme.plain(theme.shorten(label, 34)) for label in labels), table["_judged"], strict=True
        )
    ]
    figure.update_yaxes(
        tickmode="array",
        tickvals=place,
        ticktext=names,
        range=[-0.6, len(table) - 0.4],
        showgrid=False,
        zeroline=False,
    )
    return figure.figure()


def paired_leads(
    leads: pd.DataFrame | Sequence[Mapping[str, Any]] | None,
    *,
    metric: str = "error",
    height: int | None = None,
) -> go.Figure:
    """By how much the model is better than every other method, with paired intervals.

    Parameters
    ----------
    leads : pandas.DataFrame or sequence of mappings
        ``name``, ``label``, ``metric``, ``lead``, ``low``, ``high``; positive is better for the model.
    metric : str
        The metric that is drawn.
    height : int, optional
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A line a method, the hardest to beat on top. Only where the interval excludes zero is anything claimed: solid
        where the model is better, a cross where it is worse, hollow where the data do not tell.
    """
    table = pd.DataFrame([] if leads is None else leads)
    if not {"metric", "lead", "low", "high"} <= set(table.columns):
        return theme.empty("This run was not compared pair by pair.")
    table = table[table["metric"] == metric].sort_values("lead", ascending=False, kind="stable")
    if table.empty:
        return theme.empty("This metric is not defined on these data.")
    value, low, high = (table[name].to_numpy(np.float64) for name in ("lead", "low", "high"))
    place = np.arange(len(table))
    state = np.where(low > 0, "ahead", np.where(high < 0, "behind", "unclear"))
    figure = Sketch()
    for kind, (name, symbol, colour) in _LEADS.items():
        those = state == kind
        if not those.any():
            continue
        figure.add(
            "scatter",
            x=value[those],
            y=place[those],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (high - value)[those],
                "arrayminus": (value - low)[those],
                "color": colour,
                "thickness": 2,
                "width": 0,
            },
            text=[
                f"<b>{theme.plain(label)}</b><br>{theme.number(v)} ({theme.number(a)} to {theme.number(b)})"
                for label, v, a, b in zip(
                    table["label"].to_numpy()[those], value[those], low[those], high[those], strict=True
                )
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    theme.style(figure, height=height or 120 + 30 * len(table))
    figure.add_vline(x=0, line={"color": theme.INK, "width": 1, "dash": "dot"})
    figure.update_xaxes(
        title={"text": f"lead in {_title(metric)}<br><i>right of 0: HyperPerturb is better</i>"},
        zeroline=False,
        showgrid=True,
    )
    figure.update_yaxes(
        tickmode="array",
        tickvals=place,
        ticktext=[f"{theme.plain(theme.shorten(label, 34))}  " for label in table["label"]],
        range=[-0.6, len(table) - 0.4],
        showgrid=False,
        zeroline=False,
    )
    return figure.figure()


def _title(metric: str) -> str:
    return PANELS.get(metric, (metric.replace("_", " "), "", None))[0].replace("<br>", " ")


def hub_radius(genes: pd.DataFrame, *, centrality: str = "degree", height: int = 380) -> go.Figure:
    """Distance from the middle against centrality: hubs belong in the middle.

    Parameters
    ----------
    genes : pandas.DataFrame
        ``gene``, ``radius`` (hyperbolic distance from the origin) and the centrality.
    centrality : str
        Column drawn across, on a logarithmic axis; genes without any are left out.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A point a gene, the hubs named, the rank correlation written in the corner.
    """
    if genes.empty or not {"radius", centrality} <= set(genes.columns):
        return theme.empty(
            "There are no genes with a centrality to compare the distance from the middle with."
        )
    word = {"pagerank": "PageRank"}.get(centrality, centrality)
    table = genes.assign(_centrality=pd.to_numeric(genes[centrality], errors="coerce"))
    table = table[(table["_centrality"] > 0) & np.isfinite(table["radius"])]
    if table.empty:
        return theme.empty(f"No gene has a {word} above zero.")
    x, y = table["_centrality"].to_numpy(np.float64), table["radius"].to_numpy(np.float64)
    kind = "scattergl" if len(table) > 3000 else "scatter"
    figure = Sketch().add(
        kind,
        x=x,
        y=y,
        mode="markers",
        marker={"color": theme.LEAD, "size": 5 if len(table) > 1000 else 7, "opacity": 0.5},
        customdata=[theme.plain(name) for name in table["gene"]],
        hovertemplate=f"<b>%{{customdata}}</b><br>{word} %{{x:.4g}}<br>distance %{{y:.3g}}<extra></extra>",
    )
    theme.style(figure, height=height, legend=False)
    logs = np.log10(x)
    figure.update_layout(
        annotations=spaced_labels(
            logs,
            y,
            table["gene"].astype(str).tolist(),
            np.argsort(-x, kind="stable"),
            most=8,
            height=height - 80,
        )
    )
    ranks = pd.Series(x).rank().corr(pd.Series(y).rank()) if len(table) > 2 else np.nan
    if np.isfinite(ranks):
        figure.add_annotation(
            text=f"rank correlation {theme.number(ranks)}",
            showarrow=False,
            x=1,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="right",
            yanchor="top",
        )
    span = max(float(np.ptp(logs)), 0.5)
    figure.update_xaxes(
        title={"text": f"{word} (logarithmic)"},
        **theme.log_ticks(x.min(), x.max()),
        showgrid=False,
        range=[logs.min() - 0.05 * span, logs.max() + 0.08 * span],
    )
    figure.update_yaxes(
        title={"text": "hyperbolic distance from the middle"}, rangemode="tozero", zeroline=False
    )
    return figure.figure()
