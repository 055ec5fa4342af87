"""A line drawn around cells on a picture, short enough for an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PICTURES = ("umap", "space")
_MOST = 40  # corners that an address carries
_SPELLED = re.compile(r"(?P<picture>[a-z]+)(?P<corners>(;-?\d+(\.\d+)?,-?\d+(\.\d+)?){3,60})")


@dataclass(frozen=True)
class Area:
    """A polygon on one of the pictures.

    Attributes
    ----------
    picture
        One of :data:`PICTURES`.
    corners
        (k, 2) in the picture's coordinates.
    """

    picture: str
    corners: np.ndarray

    @classmethod
    def drawn(cls, picture: str, x: Sequence[float], y: Sequence[float]) -> Area:
        """A lasso's line; one of many corners is thinned along its length."""
        line = np.column_stack([x, y]).astype(float)
        if len(line) > _MOST:
            closed = np.vstack([line, line[:1]])
            along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
            at = np.linspace(0.0, along[-1], _MOST, endpoint=False)
            line = np.column_stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)])
        return cls(picture, np.round(line, 2))

    @classmethod
    def parse(cls, text: str) -> Area | None:
        """What an address says; None for what is no area.

        Examples
        --------
        >>> Area.parse("umap;0,0;1,0;1,1").corners.shape
        (3, 2)
        >>> Area.parse("umap;0,0;1") is None
        True
        """
        found = _SPELLED.fullmatch(text)
        if found is None or found["picture"] not in PICTURES:
            return None
        corners = [[float(part) for part in corner.split(",")] for corner in found["corners"].split(";")[1:]]
        return cls(found["picture"], np.array(corners))

    def __str__(self) -> str:
        """As an address says it."""
        return ";".join([self.picture, *(f"{x:g},{y:g}" for x, y in self.corners)])

    def holds(self, places: np.ndarray) -> np.ndarray:
        """(n,) whether points (n, 2) lie inside, by the even–odd rule.

        Examples
        --------
        >>> Area.parse("umap;0,0;2,0;0,2").holds(np.array([[0.5, 0.5], [2.0, 2.0]])).tolist()
        [True, False]
        """
        x, y = places[:, 0], places[:, 1]
        inside = np.zeros(len(places), dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True):
            crosses = (y0 > y) != (y1 > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            inside ^= crosses & (x < at)
        return inside
