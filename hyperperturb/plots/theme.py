"""Colours, numbers and the calm look that every figure shares.

Colour means one thing everywhere: orange is up, blue is down, grey is neither (or "other", or a control);
magnitudes are viridis; categories are the colour-blind-safe palette of Okabe and Ito (2008). Predicted is solid,
measured is outlined.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from hyperperturb.plots.sketch import Sketch

if TYPE_CHECKING:
    import plotly.graph_objects as go

UP = "#D55E00"
DOWN = "#0072B2"
OTHER = "#8C9199"
INK = "#7D828A"  # reads at 4 : 1 on white and on the dark page alike; in the app the page's own text colour replaces it
RULE = "rgba(128, 134, 142, 0.22)"
LEAD = "#179A89"  # what the picture is about, where neither up nor down is meant; reads on both pages

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Seven categories that stay apart for colour-blind readers; the eighth of the palette, black, is left for text."""

VIRIDIS = (
    "#440154",
    "#482878",
    "#3E4A89",
    "#31688E",
    "#26828E",
    "#1F9E89",
    "#35B779",
    "#6DCD59",
    "#B4DE2C",
    "#FDE725",
)
_DIVERGING_LIGHT = (
    "#005A8E",
    "#0072B2",
    "#5BA3CF",
    "#B3D3E6",
    "#F4F4F2",
    "#F3C9A6",
    "#E58F4D",
    "#D55E00",
    "#A94900",
)
_DIVERGING_DARK = (
    "#7CC4F2",
    "#3F9FDB",
    "#2A77A8",
    "#2B506B",
    "#45494E",
    "#71492F",
    "#B0602A",
    "#E5752B",
    "#FFAA6B",
)


def ramp(stops: tuple[str, ...], n: int) -> tuple[str, ...]:
    """Interpolate a list of colours.

    Parameters
    ----------
    stops : tuple of str
        Colours as ``#RRGGBB``, evenly spaced.
    n : int
        How many colours to return (at least 2).

    Returns
    -------
    tuple of str
        ``n`` colours from the first to the last stop, linear in sRGB.

    Examples
    --------
    >>> ramp(("#000000", "#FFFFFF"), 3)
    ('#000000', '#808080', '#FFFFFF')
    """
    channels = [[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops]
    colours = []
    for step in range(n):
        position = step / (n - 1) * (len(stops) - 1)
        left = min(int(position), len(stops) - 2)
        share = position - left
        mixed = [
            math.floor(a + (b - a) * share + 0.5)
            for a, b in zip(channels[left], channels[left + 1], strict=True)
        ]
        colours.append("#" + "".join(f"{value:02X}" for value in mixed))
    return tuple(colours)


def diverging(n: int, *, dark: bool = False) -> tuple[str, ...]:
    """Blue, through the neutral of the page, to orange.

    On a dark page the middle is dark: zero must recede into the paper there as white does on a light page.

    Parameters
    ----------
    n : int
        How many colours; odd, so that zero has one of its own.
    dark : bool
        For a dark page.

    Returns
    -------
    tuple of str
        ``n`` colours as ``#RRGGBB``.
    """
    return ramp(_DIVERGING_DARK if dark else _DIVERGING_LIGHT, n)


def on_both_pages(*, solid: bool = True) -> list[list]:
    """A diverging colour scale for a figure that does not know whether its page is light or dark.

    Parameters
    ----------
    solid : bool
        Grey at zero, for marks that lie on top of others; otherwise zero is clear and shows the page.

    Returns
    -------
    list
        Places from 0 to 1 and their colours, as plotly takes them.

    Examples
    --------
    >>> [colour for _, colour in on_both_pages()]
    ['#0072B2', '#B4B9C0', '#D55E00']
    """
    if solid:
        return [[0.0, DOWN], [0.5, "#B4B9C0"], [1.0, UP]]
    return [
        [0.0, "rgba(0, 114, 178, 1)"],
        [0.5, "rgba(128, 134, 142, 0.06)"],
        [1.0, "rgba(213, 94, 0, 1)"],
    ]


def number(value: float, digits: int = 3) -> str:
    """Write a number for people: three significant digits, thin spaces between thousands.

    Parameters
    ----------
    value : float
        Any number; not finite gives a dash.
    digits : int
        Significant digits kept (whole numbers below a million are written in full).

    Returns
    -------
    str
        The text, with a true minus sign.

    Examples
    --------
    >>> number(0.123456), number(-2), number(None)
    ('0.123', '−2', '–')
    >>> number(20000) == "20\\u2009000"
    True
    """
    if value is None or not math.isfinite(value):
        return "–"
    value = float(value)
    if value == int(value) and abs(value) < 1e6:
        text = f"{int(abs(value)):,}".replace(",", "\u2009")
    else:
        # Rounded first: 9.999 is written 10.0, not 10.00.
        mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
        size = int(exponent)
        if -4 <= size < 6:
            text = f"{abs(value):,.{max(0, digits - 1 - size)}f}".replace(",", "\u2009")
        else:
            text = f"{mantissa} × 10<sup>{size}</sup>".replace("-", "−")
    return f"−{text}" if value < 0 else text


def log_ticks(low: float, high: float, *, most: int = 6) -> dict:
    """Ticks of a logarithmic axis as plain numbers: 1, 2, 5 a decade where they fit, else whole decades.

    Parameters
    ----------
    low, high : float
        Smallest and largest value drawn, both positive.
    most : int
        The most ticks.

    Returns
    -------
    dict
        ``type``, ``tickmode``, ``tickvals`` and ``ticktext`` for a plotly axis.

    Examples
    --------
    >>> log_ticks(0.9, 30)["ticktext"]
    ['1', '2', '5', '10', '20']
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [step * 10.0**k for k in range(first, last + 1) for step in steps]
        values = [value for value in values if low * 0.93 <= value <= high * 1.07]
        if len(values) <= most:
            break
    else:
        values = values[:: -(-len(values) // most)]
    if not values:
        values = [low, high] if high > low else [low]
    return {
        "type": "log",
        "tickmode": "array",
        "tickvals": values,
        "ticktext": [_tick(value) for value in values],
    }


def _tick(value: float) -> str:
    """A tick's number without the zeros that :func:`number` keeps to show its precision."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text


def shorten(name: str, length: int = 22) -> str:
    """Cut a long name for an axis; the hover text keeps the whole of it.

    Parameters
    ----------
    name : str
        The name.
    length : int
        The most characters to keep, the ellipsis included.

    Returns
    -------
    str
        The name, or its beginning and an ellipsis.

    Examples
    --------
    >>> shorten("IRF1"), shorten("a_very_long_perturbation_label", 12)
    ('IRF1', 'a_very_long…')
    """
    name = str(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def plain(name: object) -> str:
    """Escape a name from a file for plotly, which reads text as a small HTML.

    Parameters
    ----------
    name : object
        The name.

    Returns
    -------
    str
        The text with ``&``, ``<`` and ``>`` written out.

    Examples
    --------
    >>> plain("HLA-A<b>")
    'HLA-A&lt;b&gt;'
    """
    return html.escape(str(name), quote=False)


def style(figure: go.Figure | Sketch, *, height: int = 380, legend: bool = True) -> go.Figure | Sketch:
    """Give a figure the look that all share, in place.

    The neutral colours go into the figure's template, not its layout: Streamlit's own theme (``theme="streamlit"``)
    writes the page's text and grid colours and its font there, light or dark; everywhere else the mid-contrast
    neutrals set here read on both.

    Parameters
    ----------
    figure : Sketch or plotly.graph_objects.Figure
        The figure, ready or in the making.
    height : int
        Height in pixels.
    legend : bool
        Whether to show the legend (above the picture, on the left).

    Returns
    -------
    Sketch or plotly.graph_objects.Figure
        The same figure.
    """
    axis = {
        "automargin": True,
        "gridcolor": RULE,
        "zerolinecolor": "rgba(128, 134, 142, 0.55)",
        "zerolinewidth": 1,
        "linecolor": RULE,
        "tickcolor": RULE,
        "title": {"standoff": 10},
    }
    figure.update_layout(
        template={
            "layout": {
                "font": {
                    "color": INK,
                    "size": 13,
                    "family": '"Source Sans", system-ui, sans-serif',
                },
                "colorway": list(OKABE_ITO),
                "xaxis": axis,
                "yaxis": axis,
            }
        },
        colorway=list(OKABE_ITO),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=height,
        margin={"l": 8, "r": 16, "t": 40 if legend else 16, "b": 8},
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        hoverlabel={"align": "left"},
        separators=".\u2009",
        bargap=0.25,
    )
    return figure


def empty(sentence: str, *, height: int = 220) -> go.Figure:
    """A figure that says in one sentence why there is nothing to see.

    Parameters
    ----------
    sentence : str
        What is missing, and what would fill the picture.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
        A figure without traces.
    """
    figure = Sketch()
    style(figure, height=height, legend=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text=sentence, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 14}
    )
    return figure.figure()
