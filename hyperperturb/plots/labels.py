"""Which points of a scatter get their name written, so that no two names overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperperturb.plots import theme

_CHARACTER = 7.4  # pixels, at 12 px type
_LINE = 16.0


def named_extremes(
    x: np.ndarray, y: np.ndarray, names: Sequence[str], *, most: int, width: float
) -> tuple[tuple[float, float], np.ndarray, list[dict]]:
    """On equal scales around zero, choose the names of the points that lie farthest out.

    Parameters
    ----------
    x, y, names, most, width
        See :func:`spaced_labels`.

    Returns
    -------
    span, named, notes
        Limits of both axes, the indices of the points that are named, and the annotations.
    """
    farthest = np.maximum(np.abs(x), np.abs(y))
    reach = float(farthest.max()) * 1.08 or 1.0
    span = (-reach, reach)
    order = np.argsort(-farthest, kind="stable")
    notes = spaced_labels(x, y, names, order, most=most, width=width, x_range=span, y_range=span)
    return span, order[: len(notes)], notes


def whiskers(width: np.ndarray, *, opacity: float) -> dict:
    """Error bars of so many data units to either side, as plotly wants them."""
    return {
        "type": "data",
        "array": width,
        "color": f"rgba(128, 134, 142, {opacity})",
        "thickness": 1,
        "width": 0,
    }


def spaced_labels(
    x: np.ndarray,
    y: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
    *,
    most: int,
    width: float = 420,
    height: float = 320,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    margin: np.ndarray | None = None,
) -> list[dict]:
    """Choose names to write beside their points, the most important first.

    Parameters
    ----------
    x, y : numpy.ndarray
        ``(n,)`` positions in data units (already logarithms on a logarithmic axis).
    names : sequence of str
        ``(n,)`` names.
    order : numpy.ndarray
        Indices, the most important first.
    most : int
        The most names to write.
    width, height : float
        Size of the plotting area in pixels, about.
    x_range, y_range : tuple of float, optional
        Limits of the axes; those of the data where not given.
    margin : numpy.ndarray, optional
        ``(n,)`` radius of each point in pixels, kept free; 3 where not given.

    Returns
    -------
    list of dict
        Plotly annotations without arrows.

    Examples
    --------
    >>> at = np.array([0.0, 0.0, 1.0])
    >>> [a["text"] for a in spaced_labels(at, at, ["A", "B", "C"], np.array([0, 1, 2]), most=3)]
    ['A', 'B', 'C']
    """
    if not len(x):
        return []
    low_x, high_x = x_range or (float(np.min(x)), float(np.max(x)))
    low_y, high_y = y_range or (float(np.min(y)), float(np.max(y)))
    px = (np.asarray(x, float) - low_x) / ((high_x - low_x) or 1) * width
    py = (np.asarray(y, float) - low_y) / ((high_y - low_y) or 1) * height
    taken: list[tuple[float, float, float, float]] = []
    written: list[dict] = []
    for i in order[: 20 * most]:  # further down, names would not tell what matters
        if len(written) == most:
            break
        text = theme.shorten(names[i], 16)
        wide = len(text) * _CHARACTER
        # Towards the middle of the picture first, so that names do not leave it.
        sides = ("left", "right", "center") if px[i] < 0.6 * width else ("right", "left", "center")
        gap = 3 + (3 if margin is None else float(margin[i]))
        best: tuple[int, str, tuple[float, float, float, float]] | None = None
        for anchor in sides:
            left = {"left": px[i] + gap, "right": px[i] - gap - wide, "center": px[i] - wide / 2}[anchor]
            bottom = py[i] + (gap if anchor == "center" else -_LINE / 2)
            box = (left, bottom, left + wide, bottom + _LINE)
            if box[0] < -4 or box[2] > width + 12:
                continue
            if any(box[0] < b[2] and box[2] > b[0] and box[1] < b[3] and box[3] > b[1] for b in taken):
                continue
            covered = int(np.count_nonzero((px > left) & (px < box[2]) & (py > bottom) & (py < box[3])))
            if covered <= 1 and (best is None or covered < best[0]):
                best = (covered, anchor, box)
        if best is None:
            continue
        _, anchor, box = best
        taken.append(box)
        written.append(
            {
                "x": float(x[i]),
                "y": float(y[i]),
                "text": theme.plain(text),
                "showarrow": False,
                "xanchor": anchor,
                "yanchor": "bottom" if anchor == "center" else "middle",
                "xshift": {"left": gap, "right": -gap, "center": 0}[anchor],
                "yshift": gap if anchor == "center" else 0,
                "font": {"size": 12},
            }
        )
    return written
