"""From a column of a gene table to colours and sizes: one encoding for the interactive disk and for static pictures."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd

from hyperperturb.plots import theme

STEPS = 33
"""Colours of a ramp: odd, so that zero of a diverging one has its own; few, so that points are drawn in few batches."""


@dataclasses.dataclass(frozen=True)
class Colouring:
    """How the values of one column are coloured.

    Attributes
    ----------
    kind : str
        ``"sequential"``, ``"diverging"`` or ``"categorical"``.
    bins : numpy.ndarray
        ``(n,)`` uint8: index of each value's colour; the last index is "no value" (or "other").
    light, dark : tuple of str
        The colours on a light and on a dark page, the same number of each.
    ticks : tuple of (float, str)
        Places along the ramp (0 to 1) and their text; empty for categories.
    categories : tuple of (str, int)
        Names and counts in the order of the colours, the last being "other"; empty for ramps.
    missing : int
        How many have no value.
    """

    kind: Literal["sequential", "diverging", "categorical"]
    bins: np.ndarray
    light: tuple[str, ...]
    dark: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    categories: tuple[tuple[str, int], ...]
    missing: int


def _categorical(values: pd.Series) -> Colouring:
    names = values.astype("object").where(values.notna(), None)
    counts = names.dropna().astype(str).value_counts()
    counts = counts.sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    shown = [str(name) for name in counts.index[: len(theme.OKABE_ITO)]]
    place = {name: index for index, name in enumerate(shown)}
    other = len(shown)
    bins = np.fromiter(
        (place.get(str(v), other) if v is not None else other for v in names), np.uint8, len(names)
    )
    colours = (*theme.OKABE_ITO[: len(shown)], theme.OTHER)
    n_other = int((bins == other).sum())
    categories = [(name, int(counts[name])) for name in shown]
    categories.append(("other", n_other))
    return Colouring("categorical", bins, colours, colours, (), tuple(categories), int(names.isna().sum()))


def _ramp_limits(finite: np.ndarray) -> tuple[float, float, bool]:
    """Lowest and highest value shown, and whether the ramp is logarithmic."""
    low, high = (float(v) for v in np.percentile(finite, [0, 100]))
    positive = finite[finite > 0]
    middle = float(np.median(positive)) if positive.size else 0.0
    skewed = low >= 0 and middle > 0 and high / middle > 12 and positive.size > 0.5 * finite.size
    if skewed:
        return float(positive.min()), high, True
    cut_low, cut_high = (float(v) for v in np.percentile(finite, [0.5, 99.5]))
    if cut_high > cut_low:
        low, high = cut_low, cut_high
    return low, high, False


def colouring(values: pd.Series, *, categorical: bool = False, diverging: bool = False) -> Colouring:
    """Colour a column.

    Parameters
    ----------
    values : pandas.Series
        One value per gene; missing ones are grey.
    categorical : bool
        Distinct colours for the seven most frequent values, grey for the others. Text columns always are.
    diverging : bool
        Blue below zero, orange above, symmetric limits at the 99th percentile of the absolute value.

    Returns
    -------
    Colouring
        Colour indices, palettes and what a legend needs. A strongly skewed column without negative values (degree,
        PageRank) is coloured on a logarithmic ramp.

    Examples
    --------
    >>> colouring(pd.Series([-2.0, 0.0, 2.0, None]), diverging=True).bins.tolist()
    [0, 16, 32, 33]
    """
    numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if categorical or not numeric:
        return _categorical(values)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(numbers)
    finite = numbers[known]
    missing = int((~known).sum())
    share = np.zeros(numbers.size)
    if diverging:
        limit = float(np.percentile(np.abs(finite), 99)) if finite.size else 1.0
        limit = limit or (float(np.abs(finite).max()) if finite.size else 1.0) or 1.0
        share[known] = np.clip(finite / limit, -1, 1) / 2 + 0.5
        over = finite.size > 0 and float(np.abs(finite).max()) > limit * 1.001
        text = theme.number(limit)
        ticks = (
            (0.0, f"≤ −{text}" if over else f"−{text}"),
            (0.5, "0"),
            (1.0, f"≥ {text}" if over else text),
        )
        kind: Literal["sequential", "diverging"] = "diverging"
        light, dark = theme.diverging(STEPS), theme.diverging(STEPS, dark=True)
    else:
        kind = "sequential"
        light = dark = theme.ramp(theme.VIRIDIS, STEPS)
        low, high, logarithmic = _ramp_limits(finite) if finite.size else (0.0, 1.0, False)
        if high <= low:
            ticks = ((0.5, theme.number(low)),)
            share[known] = 0.5
        elif logarithmic:
            share[known] = np.log(np.maximum(finite, low) / low) / np.log(high / low)
            ticks = (
                (0.0, theme.number(low)),
                (0.5, theme.number(np.sqrt(low * high), 2)),
                (1.0, theme.number(high)),
            )
        else:
            share[known] = np.clip((finite - low) / (high - low), 0, 1)
            ticks = tuple((at, theme.number(low + at * (high - low))) for at in (0.0, 0.5, 1.0))
    bins = np.where(known, np.round(share * (STEPS - 1)), STEPS).astype(np.uint8)
    return Colouring(kind, bins, (*light, theme.OTHER), (*dark, "#5C636B"), ticks, (), missing)


def radii(values: pd.Series) -> np.ndarray:
    """Radius of each point in the disk, area growing with the value.

    Parameters
    ----------
    values : pandas.Series
        One non-negative number per gene; missing, negative and text count as nothing.

    Returns
    -------
    numpy.ndarray
        ``(n,)`` float32, CSS pixels in a disk of 640 pixels; smaller points where there are many.

    Examples
    --------
    >>> [round(float(r), 1) for r in radii(pd.Series([0.0, 1.0, 4.0]))]
    [3.2, 6.6, 12.0]
    """
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), np.maximum(numbers, 0), 0)
    crowd = np.clip(np.log10(max(numbers.size, 1) / 500) / np.log10(40), 0, 1)
    least, most = 3.2 - 1.6 * crowd, 12.0 - 2.0 * crowd
    top = float(numbers.max()) if numbers.size else 0.0
    share = numbers / top if top > 0 else np.full(numbers.size, 0.08)
    return np.sqrt(least**2 + share * (most**2 - least**2)).astype(np.float32)
