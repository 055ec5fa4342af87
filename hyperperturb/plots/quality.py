"""Pictures of the quality of a screen: effects beside chance, guides beside what noise allows, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperperturb.data.quality_report import RATE, PerturbationQuality, Quality
from hyperperturb.plots import theme
from hyperperturb.plots.screen import NAMED, rank_axis
from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go


def _hover(row: PerturbationQuality) -> str:
    lines = [f"<b>{theme.plain(row.perturbation)}</b>", f"{theme.number(row.cells)} cells"]
    if row.energy is not None and row.energy_chance is not None:
        lines.append(
            f"energy distance {theme.number(row.energy)}, by chance {theme.number(row.energy_chance)}"
        )
    if row.energy_p is not None:
        lines.append(f"p = {theme.number(row.energy_p)}")
    if row.significant_genes is not None:
        lines.append(f"{theme.number(row.significant_genes)} significant genes")
    return "<br>".join(lines)


def energy_distances(quality: Quality, *, height: int = 320) -> go.Figure:
    """Energy distance of each perturbation to the controls, beside what chance gives.

    Parameters
    ----------
    quality : Quality
        Of a screen.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Circles from the largest to the smallest on a logarithmic axis, green where the permutation test tells them from
        the controls (5 % false discovery rate), grey squares where not; dashes are the mean of the permutations.
    """
    rows = [row for row in quality.perturbations if row.energy is not None and row.energy > 0]
    if not rows:
        return theme.empty("There are too few cells to measure distances to the controls.")
    rows.sort(key=lambda row: -(row.energy or 0.0))
    rank = np.arange(1, len(rows) + 1)
    energy = np.array([row.energy for row in rows])
    chance = np.array([row.energy_chance or np.nan for row in rows])
    beyond = np.array([row.energy_q is not None and row.energy_q < RATE for row in rows])
    hover = np.array([_hover(row) for row in rows], dtype=object)
    many = len(rows) > NAMED
    figure = Sketch().add(
        "scatter",
        x=rank,
        y=chance,
        mode="markers",
        name="by chance",
        marker={
            "symbol": "line-ew-open",
            "size": 4 if many else 10,
            "color": theme.OTHER,
            "line": {"width": 1.5},
        },
        hoverinfo="skip",
    )
    kinds = (
        (beyond, "beyond chance", "circle-open", theme.LEAD),
        (~beyond, "not told from the controls", "square-open", theme.OTHER),
    )
    for chosen, name, symbol, colour in kinds:
        if chosen.any():
            figure.add(
                "scatter",
                x=rank[chosen],
                y=energy[chosen],
                mode="markers",
                name=name,
                marker={
                    "symbol": symbol,
                    "size": 8 if len(rows) <= 300 else 5,
                    "color": colour,
                    "line": {"width": 1.5},
                },
                text=hover[chosen],
                hovertemplate="%{text}<extra></extra>",
            )
    theme.style(figure, height=height)
    names = [row.perturbation for row in rows]
    rank_axis(figure, names)
    low, high = float(np.nanmin(np.append(energy, chance))), float(energy.max())
    figure.update_yaxes(
        title={"text": "energy distance to the controls"},
        **theme.log_ticks(low, high),
        range=[np.log10(low) - 0.1, np.log10(high) + 0.15],
        zeroline=False,
    )
    return figure.figure()


def guide_agreements(quality: Quality, *, height: int = 320) -> go.Figure:
    """How well the guides of each perturbation agree, against what the noise would let them.

    Parameters
    ----------
    quality : Quality
        Of a screen with several guides a perturbation.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A circle a perturbation; on the line the guides agree as well as they can.
    """
    rows = [row for row in quality.perturbations if row.guide_agreement is not None]
    if not rows:
        return theme.empty("No perturbation has several guides of five or more cells.")
    x = np.array([row.guide_expected or 0.0 for row in rows])
    y = np.array([row.guide_agreement for row in rows])
    low, high = min(0.0, float(y.min())), max(1.0, float(y.max()))
    figure = Sketch().add(
        "scatter",
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="as well as noise lets them",
        line={"color": theme.OTHER, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add(
        "scatter",
        x=x,
        y=y,
        mode="markers",
        name="measured",
        marker={"symbol": "circle-open", "size": 8, "color": theme.LEAD, "line": {"width": 1.5}},
        text=[
            f"<b>{theme.plain(row.perturbation)}</b><br>{row.guides} guides, {theme.number(row.cells)} cells"
            f"<br>correlation {theme.number(a)}, {theme.number(b)} expected"
            for row, a, b in zip(rows, y, x, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
    theme.style(figure, height=height)
    figure.update_xaxes(title={"text": "expected correlation of guides"}, range=[-0.03, 1.03], zeroline=False)
    figure.update_yaxes(title={"text": "measured correlation of guides"}, range=[low - 0.05, high + 0.03])
    return figure.figure()


def batch_shares(quality: Quality, *, height: int = 280) -> go.Figure:
    """How controls and perturbed cells are spread over the batches.

    Parameters
    ----------
    quality : Quality
        Of a screen with batches.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        Two bars a batch: its share of the controls (outlined, grey) and of the perturbed cells.
    """
    if not quality.batches:
        return theme.empty("No column of this screen names batches.")
    names = [batch.batch for batch in quality.batches]
    figure = Sketch()
    for label, counts, marker in (
        (
            "controls",
            [batch.control_cells for batch in quality.batches],
            {"color": "rgba(0,0,0,0)", "line": {"color": theme.OTHER, "width": 1.5}},
        ),
        ("perturbed cells", [batch.perturbed_cells for batch in quality.batches], {"color": theme.LEAD}),
    ):
        total = max(sum(counts), 1)
        figure.add(
            "bar",
            x=list(range(1, len(names) + 1)),
            y=[100 * n / total for n in counts],
            name=label,
            marker=marker,
            text=[
                f"{theme.plain(name)}<br>{theme.number(n)} {label}"
                for name, n in zip(names, counts, strict=True)
            ],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    theme.style(figure, height=height)
    rank_axis(figure, names, what="batches")
    figure.update_yaxes(title={"text": "share of the cells, %"}, rangemode="tozero", zeroline=False)
    return figure.figure()
