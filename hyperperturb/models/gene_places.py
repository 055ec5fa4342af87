"""Where the genes of a run lie: neighbours, distances, inward and outward."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.manifolds import poincare

if TYPE_CHECKING:
    from hyperperturb.data.network import Network


class GenePlaces:
    """The part of :class:`~hyperperturb.models.inference.HyperPerturbInference` that asks where genes are.

    It needs ``genes`` (a table with ``gene`` and ``radius``), their points, the curvature and the network.
    """

    genes: pd.DataFrame
    curvature: float
    network: Network
    _points: np.ndarray

    def _known(self, gene: str) -> int:
        """The row of a gene; a refusal where there is none."""
        raise NotImplementedError

    @cached_property
    def points(self) -> np.ndarray:
        """The genes' points in the unit ball, (N, d) float64, in the order of ``genes``."""
        return self._points.astype(np.float64)

    def neighbours(self, gene: str, k: int = 8) -> pd.DataFrame:
        """The gene's strongest network neighbours: ``gene``, ``weight``, hyperbolic ``distance``."""
        row = self._known(gene)
        adjacency = self.network.adjacency
        ends = adjacency.indices[adjacency.indptr[row] : adjacency.indptr[row + 1]]
        weights = adjacency.data[adjacency.indptr[row] : adjacency.indptr[row + 1]]
        best = np.argsort(-weights, kind="stable")[:k]
        return pd.DataFrame(
            {
                "gene": self.genes["gene"].to_numpy()[ends[best]],
                "weight": weights[best].astype(float),
                "distance": self._distances(row)[ends[best]],
            }
        )

    def nearest(self, gene: str, k: int = 3) -> pd.DataFrame:
        """The k genes at the smallest hyperbolic distance: ``gene``, ``distance``, ``radius``."""
        return self._nearest(gene, k, np.ones(len(self.genes), dtype=bool))

    def inward(self, gene: str, k: int = 3) -> pd.DataFrame:
        """The k nearest genes that lie nearer to the origin than this one: what it seems to hang from."""
        radius = self.genes["radius"].to_numpy()
        return self._nearest(gene, k, radius < radius[self._known(gene)])

    def outward(self, gene: str, k: int = 3) -> pd.DataFrame:
        """The k nearest genes that lie further from the origin than this one: what seems to hang from it."""
        radius = self.genes["radius"].to_numpy()
        return self._nearest(gene, k, radius > radius[self._known(gene)])

    def distance(self, gene: str, other: str) -> float:
        """Hyperbolic distance of two genes in the model's space, in the units of ``radius``."""
        row, column = self._known(gene), self._known(other)
        return float(self._distances(row)[column])

    def nearness(self, gene: str, other: str) -> int:
        """Which nearest gene of `gene` the `other` is, from 1."""
        row = self._known(gene)
        distance = self._distances(row)
        distance[row] = np.inf
        return int(np.sum(distance < distance[self._known(other)])) + 1

    def _nearest(self, gene: str, k: int, allowed: np.ndarray) -> pd.DataFrame:
        row = self._known(gene)
        distance = self._distances(row)
        candidates = np.flatnonzero(allowed & (np.arange(len(distance)) != row))
        best = candidates[np.argsort(distance[candidates], kind="stable")[:k]]
        return pd.DataFrame(
            {
                "gene": self.genes["gene"].to_numpy()[best],
                "distance": distance[best],
                "radius": self.genes["radius"].to_numpy()[best],
            }
        )

    def _distances(self, row: int) -> np.ndarray:
        return poincare.dist(self.points[row][None], self.points, c=1.0) / np.sqrt(self.curvature)
