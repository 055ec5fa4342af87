"""The energy distance between two sets of cells, and cells drawn once to compare all predictions with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

_MIN_CELLS = 10


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Twice the mean distance between the sets minus the mean distances within each.

    Euclidean distances, not their squares; means over all ordered pairs, a cell with itself included (Székely & Rizzo
    2013, eq. 6.1). It is 0 only for the same distribution.

    Parameters
    ----------
    x, y
        (n, G) and (m, G) cells.

    Examples
    --------
    >>> energy_distance(np.zeros((2, 1)), np.full((3, 1), 2.0))
    4.0
    """
    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


def mean_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of rows of x (n, G) and y (m, G)."""
    same = x is y
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centre = x.mean(axis=0)  # keeps the products small beside what they are subtracted from
    x, y = x - centre, y - centre
    square = np.sum(x**2, axis=1)[:, None] - 2 * x @ y.T + np.sum(y**2, axis=1)[None]
    if same:
        np.fill_diagonal(square, 0.0)  # rounding, which a square root makes large
    return float(np.sqrt(np.maximum(square, 0.0)).mean())


@dataclass(frozen=True)
class CellSample:
    """Cells of some perturbations and of the controls.

    Attributes
    ----------
    columns
        (H,) which response genes the cells are given over.
    control
        (n, H) control cells, log1p(CP10k).
    perturbed
        Row number of a perturbation → (m, H) its cells.
    """

    columns: np.ndarray
    control: np.ndarray
    perturbed: Mapping[int, np.ndarray]
    _within: dict[int, float] = field(default_factory=dict, repr=False, compare=False)

    def distance(self, row: int, predicted: np.ndarray, keep: np.ndarray) -> float:
        """Energy distance of the controls, shifted by a predicted effect, from the cells of a perturbation.

        Parameters
        ----------
        row
            Which perturbation; NaN comes back for one with fewer than ten cells.
        predicted
            (R,) effect.
        keep
            (R,) bool: response genes to compare; the same in every call for the same perturbation.
        """
        cells = self.perturbed.get(row)
        if cells is None or len(cells) < _MIN_CELLS or len(self.control) < _MIN_CELLS:
            return float("nan")
        there = keep[self.columns]
        control, cells = self.control[:, there], cells[:, there]
        if row not in self._within:  # a shift moves no distance within the controls
            self._within[row] = mean_distance(control, control) + mean_distance(cells, cells)
        return 2 * mean_distance(control + predicted[self.columns[there]], cells) - self._within[row]
