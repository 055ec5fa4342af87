"""Which terms a gene set is rich in, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIGNIFICANT = 0.05


def enriched_terms(table: pd.DataFrame, *, n: int = 12, height: int | None = None) -> go.Figure:
    """Draw the most enriched terms of a gene set: how many times as many as by chance, and how sure that is.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`hyperperturb.evaluation.enrichment.enrichment` gives it.
    n : int
        The most terms to draw.
    height : int, optional
        Height in pixels; by the number of terms where not given.

    Returns
    -------
    plotly.graph_objects.Figure
        A dot a term: times chance across, area by the number of genes, filled where the false discovery rate is below
        5 % and outlined where it is not.

    Examples
    --------
    >>> rows = {"term": ["a"], "in_set": [3], "in_background": [4], "expected": [0.5], "fold": [6.0]}
    >>> len(enriched_terms(pd.DataFrame({**rows, "p_value": [0.001], "q_value": [0.01]})).data)
    1
    """
    rows = table.head(n).iloc[::-1]
    if rows.empty:
        return theme.empty("No term has two genes of the set.")
    figure = Sketch()
    sure = rows["q_value"].to_numpy(float) < SIGNIFICANT
    labels = [theme.shorten(str(term), 44) for term in rows["term"]]
    # Two long names may be shortened to the same words: the place on the axis is a number.
    place = np.arange(len(rows))
    top = max(float(rows["in_set"].max()), 1.0)
    for those, name in ((sure, "false discovery rate below 5 %"), (~sure, "not below 5 %")):
        if not those.any():
            continue
        part = rows[those]
        colour = theme.LEAD
        figure.add(
            "scatter",
            x=part["fold"],
            y=place[those],
            mode="markers+text",
            name=name,
            text=[str(int(k)) for k in part["in_set"]],
            textposition="middle right",
            cliponaxis=False,
            marker={
                "size": 8 + 16 * np.sqrt(part["in_set"].to_numpy(float) / top),
                "color": colour if name.startswith("false") else "rgba(0, 0, 0, 0)",
                "line": {"color": colour, "width": 1.5},
            },
            customdata=np.array(
                [
                    (
                        theme.plain(row.term),
                        f"{int(row.in_set)} of {int(row.in_background)} genes, "
                        f"{theme.number(row.expected)} by chance",
                        f"p {theme.number(row.p_value, 2)}, false discovery rate {theme.number(row.q_value, 2)}",
                    )
                    for row in part.itertuples()
                ],
                dtype=object,
            ),
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        )
    theme.style(figure, height=height or 110 + 26 * len(rows))
    figure.update_xaxes(title={"text": "times as many as by chance"}, rangemode="tozero")
    figure.update_yaxes(
        tickvals=place, ticktext=[theme.plain(label) for label in labels], showgrid=False, zeroline=False
    )
    return figure.figure()
