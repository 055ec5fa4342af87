"""Pictures of held-out perturbations: beside the baseline, gene by gene, and whether the intervals are true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.effects import EFFECT
from hyperperturb.plots.labels import named_extremes, whiskers
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

_BIN = 2.5  # per cent
_MANY = 1500  # points after which a figure is drawn by the graphics card


def _frame(rows: pd.DataFrame | Sequence[Mapping[str, Any]] | None, columns: Sequence[str]) -> pd.DataFrame:
    """The rows in which all these columns are finite numbers; none where a column is missing."""
    table = pd.DataFrame([] if rows is None else rows)
    if not set(columns) <= set(table.columns):
        return pd.DataFrame(columns=list(columns))
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce")
    table = table.assign(**numbers)
    return table[np.isfinite(numbers).all(axis=1)].reset_index(drop=True)


def _scatter(n: int) -> str:
    return "scattergl" if n > _MANY else "scatter"


def _diagonal(low: float, high: float) -> dict:
    return {
        "type": "line",
        "x0": low,
        "y0": low,
        "x1": high,
        "y1": high,
        "line": {"color": "rgba(128, 134, 142, 0.7)", "width": 1, "dash": "dot"},
        "layer": "below",
    }


def _corner(text: str) -> dict:
    return {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "align": "left",
        "x": 0.01,
        "xanchor": "left",
        "y": 0.98,
        "yanchor": "top",
    }


def _square_log(figure: Sketch, values: np.ndarray, *, x: str, y: str) -> None:
    """Equal logarithmic axes with the diagonal, in place."""
    low, high = float(values.min()) / 1.25, float(values.max()) * 1.25
    ticks = theme.log_ticks(low, high, most=5)
    logs = [np.log10(low), np.log10(high)]
    figure.update_xaxes(title={"text": x}, **ticks, range=logs, showgrid=False, zeroline=False)
    figure.update_yaxes(title={"text": y}, **ticks, range=logs, showgrid=False, zeroline=False)
    figure.add_shape(**_diagonal(low, high))


def perturbation_errors(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]] | None,
    *,
    chosen: str = "",
    baseline: str = "the best baseline",
    height: int = 420,
) -> go.Figure:
    """The model's error of every held-out perturbation against that of a baseline.

    Parameters
    ----------
    rows : pandas.DataFrame or sequence of mappings
        ``perturbation``, ``error``, ``baseline_error``, relative to no change, and where known ``strength``.
    chosen : str
        The perturbation that is ringed and named.
    baseline : str
        What the baseline is called.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A point a perturbation, larger for a stronger effect; under the diagonal the model is better. ``customdata``
        holds the perturbation.
    """
    table = _frame(rows, ["error", "baseline_error"])
    table = table[(table["error"] > 0) & (table["baseline_error"] > 0)].reset_index(drop=True)
    if table.empty:
        return theme.empty("No held-out perturbation has an error to compare.")
    x, y = table["baseline_error"].to_numpy(float), table["error"].to_numpy(float)
    strength = pd.to_numeric(table.get("strength", pd.Series(1.0, index=table.index)), errors="coerce")
    size = np.sqrt(strength.fillna(0).clip(lower=0).to_numpy(float))
    size = 5 + 11 * size / max(float(size.max()), 1e-12)
    names = table["perturbation"].astype(str).to_numpy()
    better = y < x
    hover = [
        f"<b>{theme.plain(name)}</b><br>HyperPerturb {theme.number(mine)}<br>{theme.plain(baseline)} "
        f"{theme.number(theirs)}"
        for name, mine, theirs in zip(names, y, x, strict=True)
    ]
    figure = Sketch()
    for those, name, colour, symbol in (
        (better, "HyperPerturb is nearer", theme.LEAD, "circle"),
        (~better, f"{baseline} is nearer", theme.OTHER, "circle-open"),
    ):
        if those.any():
            figure.add(
                _scatter(len(table)),
                x=x[those],
                y=y[those],
                mode="markers",
                name=theme.plain(f"{name} ({int(those.sum())})"),
                marker={
                    "size": size[those],
                    "color": colour,
                    "symbol": symbol,
                    "opacity": 0.75,
                    "line": {"width": 1.2, "color": colour},
                },
                customdata=names[those],
                text=np.array(hover, dtype=object)[those],
                hovertemplate="%{text}<extra></extra>",
            )
    theme.style(figure, height=height)
    figure.update_layout(legend={"itemsizing": "constant"})
    _square_log(
        figure, np.concatenate([x, y]), x=f"error of {theme.plain(baseline)}", y="error of HyperPerturb"
    )
    at = np.flatnonzero(names == chosen)
    if len(at):
        i = at[0]
        least, most = np.log10([min(x.min(), y.min()), max(x.max(), y.max())])
        higher = (np.log10(y[i]) - least) / max(most - least, 1e-12)
        figure.add(
            "scatter",
            x=[x[i]],
            y=[y[i]],
            mode="markers",
            marker={
                "size": size[i] + 9,
                "color": "rgba(0,0,0,0)",
                "line": {"width": 2, "color": theme.INK},
            },
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_annotation(  # towards the corner in which few points lie
            x=np.log10(x[i]),
            y=np.log10(y[i]),
            ax=60,
            ay=45 if higher > 0.2 else 0,  # not into the numbers of the axis
            text=f"<b>{theme.plain(theme.shorten(chosen))}</b>",
            xanchor="left",
            arrowcolor=theme.INK,
            arrowwidth=1,
            arrowhead=0,
            standoff=size[i] / 2 + 5,
        )
    return figure.figure()


def left_out_scatter(table: pd.DataFrame, *, level: float = 0.9, height: int = 460) -> go.Figure:
    """Measured against predicted effect, gene by gene, of a perturbation that the prediction never saw.

    Parameters
    ----------
    table : pandas.DataFrame
        ``gene``, ``effect``, ``standard_error``, ``measured``, ``measured_standard_error``, ``own``, ``inside``, as
        :meth:`hyperperturb.HyperPerturbInference.left_out` gives it. The targets' own responses are left out.
    level : float
        Nominal coverage of the intervals, for the words and their width.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A point a gene, on equal scales with the diagonal of a perfect prediction; outlined where the measured effect
        lies outside the interval. The genes that are named carry their intervals. Correlation and coverage stand in
        the corner.
    """
    from scipy.stats import norm

    rows = _frame(table, ["effect", "measured"])
    rows = rows[~rows["own"].astype(bool)].reset_index(drop=True) if len(rows) else rows
    if rows.empty:
        return theme.empty("No response gene was measured here.")
    x, y = rows["effect"].to_numpy(float), rows["measured"].to_numpy(float)
    error, noise = (
        pd.to_numeric(rows[name], errors="coerce").fillna(0).to_numpy(float)
        for name in ("standard_error", "measured_standard_error")
    )
    width = norm.ppf(0.5 + level / 2) * np.hypot(error, noise)
    within = rows["inside"].to_numpy(bool)
    genes = rows["gene"].astype(str).to_numpy()
    hover = np.array(
        [
            f"<b>{theme.plain(gene)}</b><br>predicted {theme.number(a)} ± {theme.number(w)}<br>measured "
            f"{theme.number(b)}"
            for gene, a, b, w in zip(genes, x, y, width, strict=True)
        ],
        dtype=object,
    )
    figure = Sketch()
    for those, name, marker in (
        (
            within,
            f"inside the {100 * level:.0f} % interval",
            {"color": theme.LEAD, "size": 6, "opacity": 0.55},
        ),
        (
            ~within,
            "outside",
            {"color": theme.INK, "size": 7, "opacity": 0.9, "symbol": "circle-open", "line": {"width": 1.5}},
        ),
    ):
        if those.any():
            figure.add(
                _scatter(len(rows)),
                x=x[those],
                y=y[those],
                mode="markers",
                name=f"{name} ({int(those.sum())})",
                marker=marker,
                customdata=genes[those],
                text=hover[those],
                hovertemplate="%{text}<extra></extra>",
            )
    span, named, notes = named_extremes(x, y, genes.tolist(), most=8, width=420)
    figure.add(
        "scatter",
        x=x[named],
        y=y[named],
        mode="markers",
        marker={"size": 1, "opacity": 0},
        error_x=whiskers(width[named], opacity=0.7),
        showlegend=False,
        hoverinfo="skip",
    )
    theme.style(figure, height=height)
    said = f"correlation {theme.number(correlation(rows))}<br>inside {100 * within.mean():.0f} %"
    figure.update_layout(annotations=[*notes, _corner(said)], shapes=[_diagonal(*span)])
    figure.update_xaxes(title={"text": f"predicted {EFFECT}"}, range=span, showgrid=False, constrain="domain")
    figure.update_yaxes(title={"text": "measured effect"}, range=span, showgrid=False, scaleanchor="x")
    return figure.figure()


def correlation(table: pd.DataFrame) -> float:
    """Pearson correlation of ``effect`` with ``measured`` over the genes that are no targets; NaN where undefined."""
    rows = _frame(table, ["effect", "measured"])
    rows = rows[~rows["own"].astype(bool)] if len(rows) else rows
    if len(rows) < 3 or rows["effect"].std() == 0 or rows["measured"].std() == 0:
        return float("nan")
    return float(np.corrcoef(rows["effect"], rows["measured"])[0, 1])


def error_calibration(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]] | None, *, chosen: str = "", height: int = 380
) -> go.Figure:
    """Actual against predicted error of every held-out perturbation.

    Parameters
    ----------
    rows : pandas.DataFrame or sequence of mappings
        ``perturbation``, ``predicted_error``, ``actual_error`` (root mean square over response genes).
    chosen : str
        The perturbation that is ringed.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Equal logarithmic axes with the diagonal of true standard errors.
    """
    table = _frame(rows, ["predicted_error", "actual_error"])
    table = table[(table["predicted_error"] > 0) & (table["actual_error"] > 0)].reset_index(drop=True)
    if table.empty:
        return theme.empty("This run did not keep what error it expected of each perturbation.")
    x, y = table["predicted_error"].to_numpy(float), table["actual_error"].to_numpy(float)
    names = table["perturbation"].astype(str).to_numpy()
    mine = names == chosen
    figure = Sketch().add(
        _scatter(len(table)),
        x=x,
        y=y,
        mode="markers",
        marker={
            "color": theme.LEAD,
            "size": np.where(mine, 14, 7),
            "opacity": np.where(mine, 1.0, 0.6),
            "line": {"width": np.where(mine, 2, 0), "color": theme.INK},
        },
        customdata=names,
        text=[theme.plain(name) for name in names],
        hovertemplate="<b>%{text}</b><br>expected %{x:.3g}<br>actual %{y:.3g}<extra></extra>",
    )
    theme.style(figure, height=height, legend=False)
    _square_log(figure, np.concatenate([x, y]), x="error the model expected (ln)", y="actual error (ln)")
    return figure.figure()


def coverage_shares(
    rows: pd.DataFrame | Sequence[Mapping[str, Any]] | None, *, level: float = 0.9, height: int = 380
) -> go.Figure:
    """How often the intervals hold the measured effect, perturbation by perturbation.

    Parameters
    ----------
    rows : pandas.DataFrame or sequence of mappings
        ``covered``: share of the response genes inside the interval.
    level : float
        Nominal coverage.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A histogram of the shares, a dashed line at the nominal and a solid one at the mean coverage.
    """
    table = _frame(rows, ["covered"])
    if table.empty:
        return theme.empty("This run did not keep how often its intervals held the measured effects.")
    share = 100 * table["covered"].to_numpy(float)
    first = float(np.floor(min(share.min(), 100 * level - 10) / 5) * 5)
    edges = np.arange(first, 100 + _BIN / 2, _BIN)
    counts, _ = np.histogram(
        share, edges
    )  # the last bin holds 100 % itself, which plotly would put behind it
    figure = Sketch().add(
        "bar",
        x=edges[:-1] + _BIN / 2,
        y=counts,
        width=0.94 * _BIN,
        marker={"color": theme.LEAD, "opacity": 0.75, "line": {"width": 0}},
        text=[f"{low:g} to {low + _BIN:g} %: {n}" for low, n in zip(edges[:-1], counts, strict=True)],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    theme.style(figure, height=height, legend=False)
    mean = float(share.mean())
    for value, dash, text, side in (
        (100 * level, "dash", f"asked for {100 * level:.0f} %", "left" if mean < 100 * level else "right"),
        (mean, "solid", f"mean {mean:.0f} %", "right" if mean < 100 * level else "left"),
    ):
        figure.add_vline(x=value, line={"color": theme.INK, "width": 1.5, "dash": dash})
        figure.add_annotation(
            x=value,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor=side,
            text=text,
            showarrow=False,
        )
    figure.update_xaxes(
        title={"text": f"measured effects inside the {100 * level:.0f} % interval (%)"},
        range=[first, 100.5],
        showgrid=False,
    )
    figure.update_yaxes(title={"text": "perturbations"})
    figure.update_layout(margin={"t": 34})
    return figure.figure()
