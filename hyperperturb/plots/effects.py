"""Pictures of one prediction: certainty, largest effects, predicted against measured or against a sum of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.models.predictions import CERTAIN
from hyperperturb.plots import theme
from hyperperturb.plots.labels import named_extremes, spaced_labels, whiskers
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

EFFECT = "effect (natural log of CP10k + 1)"
_MANY = 3000


def _scatter(n: int) -> str:
    """SVG for few points (sharp, no graphics context), WebGL for many."""
    return "scattergl" if n > _MANY else "scatter"


def _clean(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of a prediction table as floats; absent ones are all missing; rows without an effect are dropped."""
    out = pd.DataFrame({"gene": table["gene"].astype(str) if len(table) else pd.Series(dtype=str)})
    for name in ("effect", "standard_error", "measured", "measured_standard_error"):
        values = table[name] if name in table.columns else pd.Series(np.nan, index=table.index)
        numbers = pd.to_numeric(values, errors="coerce").astype(np.float64)
        out[name] = numbers.where(np.isfinite(numbers))
    return out[out["effect"].notna()].reset_index(drop=True)


def _direction(effect: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    return np.where(certainty >= CERTAIN, np.sign(effect), 0).astype(int)


def _hover(rows: pd.DataFrame) -> list[str]:
    lines = []
    for row in rows.itertuples(index=False):
        text = f"<b>{theme.plain(row.gene)}</b><br>predicted {theme.number(row.effect)}"
        if np.isfinite(row.standard_error):
            text += f" ± {theme.number(row.standard_error, 2)}"
        if np.isfinite(row.measured):
            text += f"<br>measured {theme.number(row.measured)}"
            if np.isfinite(row.measured_standard_error):
                text += f" ± {theme.number(row.measured_standard_error, 2)}"
        lines.append(text)
    return lines


_DIRECTIONS = (
    (0, "within two standard errors", theme.OTHER, 0.4, 5),
    (-1, "down", theme.DOWN, 0.85, 7),
    (1, "up", theme.UP, 0.85, 7),
)


def volcano(table: pd.DataFrame, title: str | None = None, *, height: int = 420) -> go.Figure:
    """Predicted effect of every response gene against its certainty.

    Parameters
    ----------
    table : pandas.DataFrame
        ``gene``, ``effect``, ``standard_error`` and, where there are any, ``measured``, ``measured_standard_error``.
    title : str, optional
        What was perturbed, written small above the picture; the page's heading usually says it.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Effect across, |effect| / standard error upwards; predicted solid, measured outlined (hidden until its
        legend entry is clicked where there are more than 100 genes); the most certain large effects named.
    """
    rows = _clean(table)
    if rows.empty:
        return theme.empty("No effects to show.")
    error = rows["standard_error"].where(rows["standard_error"] > 0)
    if error.isna().all():
        return theme.empty(
            "This prediction has no standard errors, so there is no certainty to draw effects against."
        )
    rows["certainty"] = rows["effect"].abs() / error
    known = rows[rows["certainty"].notna()].reset_index(drop=True)
    x, y = known["effect"].to_numpy(), known["certainty"].to_numpy()
    direction = _direction(x, y)
    hover = np.array(_hover(known), dtype=object)
    kind = _scatter(len(known))
    figure = Sketch()
    for sign, name, colour, opacity, size in _DIRECTIONS:
        those = direction == sign
        if not those.any():
            continue
        figure.add(
            kind,
            x=x[those],
            y=y[those],
            mode="markers",
            name=f"predicted {name}" if sign else name,
            marker={"color": colour, "size": size, "opacity": opacity, "line": {"width": 0}},
            customdata=known["gene"].to_numpy()[those],
            text=hover[those],
            hovertemplate="%{text}<extra></extra>",
        )
    measured = known[known["measured"].notna() & (known["measured_standard_error"] > 0)]
    if len(measured):
        certainty = measured["measured"].abs() / measured["measured_standard_error"]
        colour = np.array([theme.DOWN, theme.OTHER, theme.UP])[
            _direction(measured["measured"].to_numpy(), certainty.to_numpy()) + 1
        ]
        figure.add(
            kind,
            x=measured["measured"],
            y=certainty,
            mode="markers",
            name="measured",
            visible=True if len(measured) <= 100 else "legendonly",
            marker={
                "color": "rgba(0,0,0,0)",
                "size": 7,
                "line": {"width": 1.2, "color": colour.tolist()},
            },
            customdata=measured["gene"],
            text=hover[measured.index],
            hovertemplate="%{text}<extra></extra>",
        )
    theme.style(figure, height=height)
    reach = float(np.abs(x).max()) * 1.08 or 1.0
    top = max(float(y.max()) * 1.06, CERTAIN * 1.3)
    order = np.argsort(-np.abs(x) * np.minimum(y, 4 * CERTAIN), kind="stable")
    order = order[direction[order] != 0]
    names = known["gene"].tolist()
    figure.update_layout(
        annotations=spaced_labels(x, y, names, order, most=12, x_range=(-reach, reach), y_range=(0, top)),
        shapes=[_line(0, 0, 0, 1, yref="paper"), _line(0, 1, CERTAIN, CERTAIN, xref="paper", dash="dot")],
    )
    figure.update_xaxes(title={"text": EFFECT}, range=[-reach, reach], zeroline=False, showgrid=False)
    figure.update_yaxes(
        title={"text": "certainty (|effect| / standard error)"}, range=[0, top], zeroline=False, showgrid=True
    )
    if title:
        figure.update_layout(title={"text": theme.plain(title), "font": {"size": 15}}, margin={"t": 70})
    return figure.figure()


def _line(x0: float, x1: float, y0: float, y1: float, *, dash: str = "solid", **reference: str) -> dict:
    line = {"color": "rgba(128, 134, 142, 0.6)", "width": 1, "dash": dash}
    return {
        "type": "line",
        "x0": x0,
        "x1": x1,
        "y0": y0,
        "y1": y1,
        "line": line,
        "layer": "below",
        **reference,
    }


def ranked_bars(table: pd.DataFrame, n: int = 10, *, axis: str = EFFECT) -> go.Figure:
    """The genes with the largest predicted effects, from the most up to the most down.

    Parameters
    ----------
    table : pandas.DataFrame
        As for :func:`volcano`.
    n : int
        How many genes.
    axis : str
        What the axis of effects says, with the unit.

    Returns
    -------
    plotly.graph_objects.Figure
        Solid bars for the prediction with its standard error, an outlined circle where the effect was measured.
    """
    rows = _clean(table)
    rows = rows.loc[rows["effect"].abs().sort_values(ascending=False, kind="stable").index[:n]]
    if rows.empty:
        return theme.empty("No effects to show.")
    rows = rows.sort_values("effect", kind="stable").reset_index(drop=True)
    place = np.arange(len(rows))
    measured = rows["measured"].notna().to_numpy()
    hover = _hover(rows)
    colours = np.where(rows["effect"] > 0, theme.UP, np.where(rows["effect"] < 0, theme.DOWN, theme.OTHER))
    figure = Sketch().add(
        "bar",
        x=rows["effect"],
        y=place,
        orientation="h",
        name="predicted",
        marker={"color": colours.tolist(), "line": {"width": 0}},
        error_x={
            "type": "data",
            "array": rows["standard_error"].fillna(0),
            "color": theme.INK,
            "thickness": 1.2,
            "width": 0,
            "visible": bool((rows["standard_error"] > 0).any()),
        },
        showlegend=True if measured.any() else None,
        customdata=rows["gene"],
        text=hover,
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    if measured.any():
        figure.add(
            "scatter",
            x=rows["measured"][measured],
            y=place[measured],
            mode="markers",
            name="measured",
            marker={"symbol": "circle-open", "size": 9, "color": theme.INK, "line": {"width": 2}},
            customdata=rows["gene"][measured],
            text=np.array(hover, dtype=object)[measured],
            hovertemplate="%{text}<extra></extra>",
        )
    theme.style(figure, height=78 + 24 * len(rows), legend=bool(measured.any()))
    names = [f"{theme.plain(theme.shorten(name, 18))} " for name in rows["gene"]]
    figure.update_yaxes(
        tickmode="array",
        tickvals=place,
        ticktext=names,
        range=[-0.6, len(rows) - 0.4],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title={"text": axis}, zeroline=True, showgrid=True)
    return figure.figure()


def predicted_vs_measured(table: pd.DataFrame, *, height: int = 420) -> go.Figure:
    """Predicted against measured effect of every gene where both are known.

    Parameters
    ----------
    table : pandas.DataFrame
        As for :func:`volcano`.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Predicted across, measured upwards, on equal scales, with the diagonal of a perfect prediction. Intervals
        (two standard errors) are drawn for the genes that are named.
    """
    rows = _clean(table)
    rows = rows[rows["measured"].notna()].reset_index(drop=True)
    if rows.empty:
        return theme.empty("Nothing measured to compare with: this perturbation is not in the screen.")
    error = rows["standard_error"].where(rows["standard_error"] > 0)
    certainty = (rows["effect"].abs() / error).fillna(0).to_numpy()
    return on_equal_scales(
        rows,
        _direction(rows["effect"].to_numpy(), certainty),
        _hover(rows),
        names={0: _DIRECTIONS[0][1], -1: "predicted down", 1: "predicted up"},
        titles=(f"predicted {EFFECT}", "measured effect"),
        height=height,
    )


def additive_vs_predicted(parts: pd.DataFrame, *, height: int = 420) -> go.Figure:
    """The sum over the genes of a combination against its prediction, for every response gene.

    Parameters
    ----------
    parts : pandas.DataFrame
        ``gene``, ``additive``, ``interaction`` and its ``standard_error``
        (:class:`hyperperturb.models.interactions.Interaction`).
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        The sum across, the prediction upwards, on equal scales, with the diagonal of no interaction. Genes whose
        interaction is beyond two standard errors are coloured.
    """
    if parts.empty:
        return theme.empty("No response genes.")
    interaction, error = parts["interaction"], parts["standard_error"]
    rows = pd.DataFrame(
        {
            "gene": parts["gene"].astype(str),
            "effect": parts["additive"],
            "measured": parts["additive"] + interaction,
        }
    ).assign(standard_error=np.nan, measured_standard_error=error.where(error > 0))
    certainty = (interaction.abs() / error.where(error > 0)).fillna(0).to_numpy()
    hover = [
        f"<b>{theme.plain(gene)}</b><br>sum {theme.number(a)}<br>predicted {theme.number(p)}"
        f"<br>interaction {theme.number(i)} ± {theme.number(e, 2)}"
        for gene, a, p, i, e in zip(
            rows["gene"], rows["effect"], rows["measured"], interaction, error, strict=True
        )
    ]
    return on_equal_scales(
        rows,
        _direction(interaction.to_numpy(), certainty),
        hover,
        names={0: "like the sum", -1: "below the sum", 1: "above the sum"},
        titles=("sum over the genes", f"predicted {EFFECT}"),
        height=height,
    )


def on_equal_scales(
    rows: pd.DataFrame,
    direction: np.ndarray,
    hover: list[str],
    *,
    names: dict[int, str],
    titles: tuple[str, str],
    height: int,
) -> go.Figure:
    """Two values of every gene on equal scales with the diagonal; the genes that are named get intervals.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``gene``, ``effect`` (across), ``measured`` (upwards), ``standard_error`` and ``measured_standard_error``.
    direction : numpy.ndarray
        ``(n,)`` −1, 0 or 1: how each gene is coloured.
    hover : list of str
        What is said of each gene.
    names : dict
        Words for the three directions.
    titles : tuple of str
        Of the axes.
    height : int
        Height in pixels.
    """
    x, y = rows["effect"].to_numpy(), rows["measured"].to_numpy()
    hover = np.array(hover, dtype=object)
    figure = Sketch()
    for sign, _, colour, opacity, size in _DIRECTIONS:
        those = direction == sign
        if not those.any():
            continue
        figure.add(
            _scatter(len(rows)),
            x=x[those],
            y=y[those],
            mode="markers",
            name=names[sign],
            marker={"color": colour, "size": size, "opacity": opacity},
            customdata=rows["gene"].to_numpy()[those],
            text=hover[those],
            hovertemplate="%{text}<extra></extra>",
        )
    span, shown, notes = named_extremes(x, y, rows["gene"].tolist(), most=10, width=380)
    figure.add(
        "scatter",
        x=x[shown],
        y=y[shown],
        mode="markers",
        marker={"size": 1, "opacity": 0},
        error_x=_interval(rows["standard_error"], shown),
        error_y=_interval(rows["measured_standard_error"], shown),
        showlegend=False,
        hoverinfo="skip",
    )
    theme.style(figure, height=height)
    figure.update_layout(annotations=notes, shapes=[_line(*span, *span, dash="dot")])
    figure.update_xaxes(title={"text": titles[0]}, range=span, showgrid=False, constrain="domain")
    figure.update_yaxes(title={"text": titles[1]}, range=span, showgrid=False, scaleanchor="x")
    return figure.figure()


def _interval(error: pd.Series, rows: np.ndarray) -> dict:
    return whiskers((2 * error.fillna(0)).to_numpy()[rows], opacity=0.4)
