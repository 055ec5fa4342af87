"""Pictures of several predictions: many as a heat map, two against each other, the network around one, a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.models.predictions import CERTAIN
from hyperperturb.plots import theme
from hyperperturb.plots.effects import on_equal_scales
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CLIP = 99  # percentile of the sizes at which the colours end, so that one outlier does not bleach the rest


def effect_map(
    effects: pd.DataFrame, errors: pd.DataFrame | None = None, *, most_height: int = 900
) -> go.Figure:
    """Predicted effects of many perturbations as a heat map, in the order of the table.

    Parameters
    ----------
    effects : pandas.DataFrame
        Perturbations (index) by response genes (columns), natural-log units; NaN where a gene is the target itself.
    errors : pandas.DataFrame, optional
        Standard errors, of the same shape, for the words under the pointer.
    most_height : int
        Height in pixels at most; rows grow thinner beyond it, and of their names only some are written.

    Returns
    -------
    plotly.graph_objects.Figure
        Orange up, blue down, the page's own colour at zero; limits symmetric.

    Examples
    --------
    >>> table = pd.DataFrame([[0.5, -0.2], [0.1, 0.3]], index=["A", "B"], columns=["X", "Y"])
    >>> effect_map(table).data[0].zmax == -effect_map(table).data[0].zmin
    True
    """
    if effects.empty:
        return theme.empty("No effects to show.")
    values = effects.to_numpy(dtype=np.float64)
    known = np.abs(values[np.isfinite(values)])
    reach = float(np.percentile(known, _CLIP)) if known.size and known.max() > 0 else 1.0
    reach = reach or float(known.max())
    spread = np.full(values.shape, np.nan) if errors is None else errors.to_numpy(dtype=np.float64)
    said = [
        [_cell(value, error) for value, error in zip(row, row_errors, strict=True)]
        for row, row_errors in zip(values, spread, strict=True)
    ]
    figure = Sketch().add(
        "heatmap",
        z=values,
        x=[str(gene) for gene in effects.columns],
        y=[str(name) for name in effects.index],
        zmin=-reach,
        zmax=reach,
        colorscale=theme.on_both_pages(solid=False),
        xgap=1 if len(effects.columns) <= 80 else 0,
        ygap=1 if len(effects) <= 80 else 0,
        customdata=said,
        hovertemplate="<b>%{y}</b> on <b>%{x}</b><br>%{customdata}<extra></extra>",
        hoverongaps=False,
        colorbar={
            "title": {"text": "effect (ln)", "side": "right"},
            "thickness": 12,
            "outlinewidth": 0,
            "len": min(1.0, 320 / _map_height(len(effects), most_height) + 0.25),
        },
    )
    theme.style(figure, height=_map_height(len(effects), most_height), legend=False)
    figure.update_xaxes(type="category", showgrid=False, tickangle=-60, ticks="")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed", ticks="")
    return figure.figure()


def _cell(value: float, error: float) -> str:
    text = f"predicted {theme.number(value)}"
    return text + (f" ± {theme.number(error, 2)}" if np.isfinite(error) else "")


def _map_height(n_rows: int, most: int) -> int:
    return int(min(110 + 20 * n_rows, most))


def effects_compared(table: pd.DataFrame, names: tuple[str, str], *, height: int = 520) -> go.Figure:
    """The effects of two perturbations against each other, for every response gene.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :class:`hyperperturb.models.comparison.Comparison`.
    names : tuple of str
        Of the two perturbations.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        On equal scales with the diagonal of equal effects; genes that differ by more than two standard errors of the
        difference are coloured by whether the second moves them further up or down.
    """
    if table.empty:
        return theme.empty("No response genes.")
    first, second = (theme.plain(theme.shorten(name, 30)) for name in names)
    rows = pd.DataFrame(
        {
            "gene": table["gene"].astype(str),
            "effect": table["first"],
            "standard_error": table["first_standard_error"],
            "measured": table["second"],
            "measured_standard_error": table["second_standard_error"],
        }
    )
    hover = [
        f"<b>{theme.plain(row.gene)}</b><br>{first} {theme.number(row.first)} ± "
        f"{theme.number(row.first_standard_error, 2)}<br>{second} {theme.number(row.second)} ± "
        f"{theme.number(row.second_standard_error, 2)}<br>difference {theme.number(row.difference)} ± "
        f"{theme.number(row.standard_error, 2)}"
        for row in table.itertuples(index=False)
    ]
    return on_equal_scales(
        rows,
        np.where(table["clear"], np.sign(table["difference"]), 0).astype(int),
        hover,
        names={0: "no clear difference", -1: f"lower under {second}", 1: f"higher under {second}"},
        titles=(f"effect of {first} (ln)", f"effect of {second} (ln)"),
        height=height,
    )


def largest_differences(table: pd.DataFrame, names: tuple[str, str], n: int = 24) -> go.Figure:
    """The genes on which two perturbations differ most, with intervals of two standard errors.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :class:`hyperperturb.models.comparison.Comparison`.
    names : tuple of str
        Of the two perturbations.
    n : int
        How many genes.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars of the second effect minus the first; genes that do not differ clearly are grey.
    """
    rows = table.loc[table["difference"].abs().sort_values(ascending=False, kind="stable").index[:n]]
    if rows.empty:
        return theme.empty("No response genes.")
    rows = rows.sort_values("difference", kind="stable")
    colour = np.where(rows["difference"] > 0, theme.UP, theme.DOWN)
    first, second = (theme.plain(theme.shorten(name, 24)) for name in names)
    figure = Sketch().add(
        "bar",
        x=rows["difference"],
        y=np.arange(len(rows)),
        orientation="h",
        marker={"color": np.where(rows["clear"], colour, theme.OTHER).tolist(), "line": {"width": 0}},
        error_x={
            "type": "data",
            "array": CERTAIN * rows["standard_error"],
            "color": theme.INK,
            "thickness": 1.2,
            "width": 0,
        },
        customdata=rows["gene"],
        text=[
            f"<b>{theme.plain(gene)}</b><br>{theme.number(value)} ± {theme.number(error, 2)}"
            for gene, value, error in zip(
                rows["gene"], rows["difference"], rows["standard_error"], strict=True
            )
        ],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    theme.style(figure, height=70 + 20 * len(rows), legend=False)
    _named_rows(figure, rows["gene"])
    figure.update_xaxes(title={"text": f"effect of {second} minus that of {first} (ln)"}, zeroline=True)
    return figure.figure()


def _named_rows(figure: Sketch, names: Sequence[str]) -> None:
    figure.update_yaxes(
        tickmode="array",
        tickvals=np.arange(len(names)),
        ticktext=[f"{theme.plain(theme.shorten(name, 22))} " for name in names],
        range=[-0.6, len(names) - 0.4],
        showgrid=False,
        zeroline=False,
    )


def interventions(ranking: pd.DataFrame, n: int = 12) -> go.Figure:
    """The interventions that fit a wanted change best, with their sign.

    Parameters
    ----------
    ranking : pandas.DataFrame
        Of :meth:`hyperperturb.HyperPerturbInference.rank_perturbations`, best first.
    n : int
        How many.

    Returns
    -------
    plotly.graph_objects.Figure
        To the right what fits as the screen did it, to the left what fits in reverse; the length is the cosine with the
        wanted change. A target that is turned up is orange, one that is turned down or cut blue.
    """
    rows = ranking.head(n).iloc[::-1]
    if rows.empty:
        return theme.empty("No perturbation to rank.")
    up = (rows["intervention"] == "activation").to_numpy()
    figure = Sketch()
    for name, those, colour in (("turned up", up, theme.UP), ("turned down or cut", ~up, theme.DOWN)):
        if not those.any():
            continue
        some = rows[those]
        figure.add(
            "bar",
            x=some["score"],
            y=np.flatnonzero(those),
            orientation="h",
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            customdata=some["targets"],
            text=[_chance(p) for p in some["probability"]],
            textposition="outside",
            cliponaxis=False,
            hovertext=[
                f"<b>{theme.plain(row.targets)}</b>, {row.intervention}<br>cosine {theme.number(row.score)}"
                f"<br>probability {_chance(row.probability)}"
                for row in some.itertuples(index=False)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    theme.style(figure, height=90 + 26 * len(rows))
    _named_rows(figure, rows["targets"])
    reach = max(0.05, 1.25 * float(rows["score"].abs().max()))
    low = -reach if (rows["score"] < 0).any() else 0.0
    figure.update_xaxes(
        title={"text": "cosine with the wanted change"},
        range=[low, reach if (rows["score"] > 0).any() else 0.0],
        zeroline=True,
    )
    return figure.figure()


def _chance(probability: float) -> str:
    share = 100 * probability
    return (
        f"{share:.{0 if share >= 10 else 1 if share >= 0.1 else 2}f} %" if share >= 0.01 else "under 0.01 %"
    )
