"""The network around a perturbation, coloured by what it is predicted to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.plots import theme
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CLASSES = (
    (0.66, 2.4, 0.75),
    (0.33, 1.5, 0.55),
    (0.0, 0.9, 0.4),
)  # share of the strongest weight, width, opacity


def layout(nodes: pd.DataFrame, links: pd.DataFrame) -> np.ndarray:
    """Places of the nodes such that linked ones lie near each other.

    Parameters
    ----------
    nodes : pandas.DataFrame
        ``gene``.
    links : pandas.DataFrame
        ``first``, ``second``, ``weight``.

    Returns
    -------
    numpy.ndarray
        ``(n, 2)``, the same for the same graph. Distances follow the number of links between two genes (Kamada & Kawai
        1989, Information Processing Letters 31:7).

    Examples
    --------
    >>> nodes = pd.DataFrame({"gene": ["A", "B", "C"]})
    >>> links = pd.DataFrame({"first": ["A", "B"], "second": ["B", "C"], "weight": [1.0, 1.0]})
    >>> layout(nodes, links).shape
    (3, 2)
    """
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(nodes["gene"])
    graph.add_edges_from(zip(links["first"], links["second"], strict=True))
    parts = list(nx.connected_components(graph))
    # Parts without a link between them have no distance; a weak tie to the first gene keeps them beside each other.
    first = nodes["gene"].iloc[0]
    for part in parts:
        if first not in part:
            graph.add_edge(first, min(part))
    place = nx.kamada_kawai_layout(graph)
    return np.array([place[gene] for gene in nodes["gene"]])


def response_graph(nodes: pd.DataFrame, links: pd.DataFrame, *, height: int = 560) -> go.Figure:
    """Draw targets and their network neighbours, coloured by predicted effect.

    Parameters
    ----------
    nodes, links : pandas.DataFrame
        Of :class:`hyperperturb.models.response_network.ResponseNetwork`.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Targets are diamonds; genes larger the more they respond; genes that were not measured open circles; links
        thicker the stronger. ``customdata`` of every point is its gene.
    """
    if nodes.empty:
        return theme.empty("The network knows none of these genes.")
    place = layout(nodes, links)
    at = dict(zip(nodes["gene"], place, strict=True))
    figure = Sketch()
    top = float(links["weight"].max()) if len(links) else 1.0
    share = (links["weight"] / (top or 1.0)).to_numpy()
    above = np.inf
    for low, width, opacity in _CLASSES:
        some = links[(share >= low) & (share < above)]
        above = low
        if some.empty:
            continue
        ends = np.array(
            [[at[a], at[b], (np.nan, np.nan)] for a, b in zip(some["first"], some["second"], strict=True)]
        )
        figure.add(
            "scatter",
            x=ends[..., 0].ravel(),
            y=ends[..., 1].ravel(),
            mode="lines",
            line={"width": width, "color": f"rgba(128, 134, 142, {opacity})"},
            hoverinfo="skip",
            showlegend=False,
        )
    size = nodes["effect"].abs()
    others = nodes["role"] != "target"
    # Limits by the other genes: what a perturbation does to its own target would bleach all else.
    reach = float(size[others].max()) if size[others].notna().any() else float(size.max())
    reach = reach if np.isfinite(reach) and reach > 0 else 1.0
    kinds = (
        ("perturbed", ~others, "diamond", 20.0),
        ("responding", others & size.notna(), "circle", 9.0),
        ("not measured", others & size.isna(), "circle-open", 9.0),
    )
    bar = True
    for name, those, symbol, least in kinds:
        if not those.any():
            continue
        some, strength = nodes[those], (size[those] / reach).clip(upper=1.0).fillna(0.0)
        known = some["effect"].notna().to_numpy()
        marker = {"symbol": symbol, "size": (least + 15.0 * np.sqrt(strength)).tolist()}
        if known.any():
            marker |= {
                "color": some["effect"].fillna(0.0).tolist(),
                "cmin": -reach,
                "cmax": reach,
                "colorscale": theme.on_both_pages(),
                "showscale": bar,
                "line": {"width": 1, "color": "rgba(0, 0, 0, 0.45)"},
                "colorbar": {
                    "title": {"text": "predicted effect (ln)", "side": "right"},
                    "thickness": 12,
                    "outlinewidth": 0,
                    "len": 0.6,
                },
            }
            bar = False
        else:
            marker |= {"color": theme.OTHER, "line": {"width": 1.6}}
        figure.add(
            "scatter",
            x=place[those.to_numpy(), 0],
            y=place[those.to_numpy(), 1],
            mode="markers+text",
            name=name,
            marker=marker,
            text=[theme.plain(theme.shorten(gene, 14)) for gene in some["gene"]],
            textposition="top center",
            textfont={"size": 14 if name == "perturbed" else 12},
            customdata=some["gene"],
            hovertext=[_said(row) for row in some.itertuples(index=False)],
            hovertemplate="%{hovertext}<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}, "textfont": {"color": theme.INK}},
        )
    theme.style(figure, height=height)
    low, high = place.min(axis=0), place.max(axis=0)
    room = np.maximum(0.12 * (high - low), 0.1)
    figure.update_xaxes(visible=False, range=[low[0] - room[0], high[0] + room[0]])
    figure.update_yaxes(visible=False, range=[low[1] - room[1], high[1] + room[1]])
    figure.update_layout(legend={"itemsizing": "constant"}, dragmode="pan")
    return figure.figure()


def _said(row: tuple) -> str:
    text = f"<b>{theme.plain(row.gene)}</b>"
    if np.isfinite(row.effect):
        text += f"<br>predicted {theme.number(row.effect)}"
        if np.isfinite(row.standard_error):
            text += f" ± {theme.number(row.standard_error, 2)}"
    else:
        text += "<br>not measured in this screen"
    return text
