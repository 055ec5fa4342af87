"""How true a picture in few dimensions is to the distances that it is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from hyperperturb.errors import HyperPerturbError

NEIGHBOURS = 15
_PAIRS = 2_000_000


@dataclass(frozen=True)
class Fidelity:
    """Three views of how true a picture is; 1 is perfect in each.

    Attributes
    ----------
    rank_correlation
        Spearman's, of the distances in the picture with the true ones, over pairs: the whole.
    trustworthiness
        1 less a penalty for neighbours in the picture that are none in truth, growing with how far down they are in
        truth (Venna & Kaski 2001): whether what is seen near is near.
    neighbours_kept
        Mean share of a point's true neighbours that are its neighbours in the picture: what of the near is seen near.
    """

    rank_correlation: float
    trustworthiness: float
    neighbours_kept: float


def fidelity(true: np.ndarray, shown: np.ndarray, *, k: int = NEIGHBOURS, seed: int = 0) -> Fidelity:
    """Compare the distances in a picture with those it is made from.

    Parameters
    ----------
    true, shown
        ``(N, N)`` symmetric distances, each of its own kind (a disk's are hyperbolic). Ties go to the first point.
    k
        Neighbours looked at; fewer than half of the points.
    seed
        Of the pairs drawn for the rank correlation, where there are more than two million.

    Returns
    -------
    Fidelity

    Raises
    ------
    HyperPerturbError
        When the two do not fit together, or there are too few points.

    Examples
    --------
    >>> at = np.random.default_rng(0).normal(size=40)
    >>> distance = np.abs(at[:, None] - at)
    >>> found = fidelity(distance, 2 * distance, k=5)
    >>> round(found.trustworthiness, 6), found.neighbours_kept
    (1.0, 1.0)
    """
    n = len(true)
    if true.shape != (n, n) or shown.shape != (n, n) or n <= 2 * k:
        raise HyperPerturbError(
            f"Distances of {true.shape} and {shown.shape} cannot be compared at {k} neighbours.",
            hint="Give two square tables of the same points, more than twice as many as neighbours.",
        )
    wrong = kept = 0.0
    for i in range(n):
        order = np.argsort(np.where(np.arange(n) == i, -np.inf, true[i]), kind="stable")
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)  # 0 is the point itself
        near = np.argsort(np.where(np.arange(n) == i, np.inf, shown[i]), kind="stable")[:k]
        wrong += np.maximum(rank[near] - k, 0).sum()
        kept += np.count_nonzero(rank[near] <= k)
    trust = 1.0 - 2.0 * wrong / (n * k * (2 * n - 3 * k - 1))
    rows, columns = np.triu_indices(n, k=1)
    if rows.size > _PAIRS:
        chosen = np.random.default_rng(seed).choice(rows.size, _PAIRS, replace=False)
        rows, columns = rows[chosen], columns[chosen]
    correlation = spearmanr(true[rows, columns], shown[rows, columns]).statistic
    return Fidelity(float(correlation), float(trust), float(kept / (n * k)))
