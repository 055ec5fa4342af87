"""The metrics: one registry, so that adding one touches one place.

Every metric gets the same :class:`Case` arrays, of held-out predictions, and returns one number for each. The
measured response of the targets themselves is left out everywhere: that a gene that was hit goes down is no
prediction. Raw profiles are never correlated (that is 0.98 for anything).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class Cases:
    """Held-out predictions of one method.

    Attributes
    ----------
    predicted
        (Q, R) predicted effects.
    measured
        (Q, R) measured effects of the same perturbations.
    reference
        (Q, R) mean effect of the perturbations each prediction was trained on.
    own
        (Q, R) bool: entries that belong to a target of the perturbation.
    candidates
        (P, R) measured effects of all perturbations.
    candidate_own
        (P, R) bool: the same as ``own`` for the candidates.
    row
        (Q,) which candidate each case is.
    """

    predicted: np.ndarray
    measured: np.ndarray
    reference: np.ndarray
    own: np.ndarray
    candidates: np.ndarray
    candidate_own: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class Metric:
    """A named number of a held-out prediction, its direction and what it means."""

    name: str
    label: str
    best: Literal["high", "low"]
    definition: str
    score: Callable[[Cases], np.ndarray]


METRICS: dict[str, Metric] = {}


def _register(name: str, label: str, best: Literal["high", "low"], definition: str) -> Callable:
    def add(score: Callable[[Cases], np.ndarray]) -> Callable[[Cases], np.ndarray]:
        METRICS[name] = Metric(name, label, best, definition, score)
        return score

    return add


def squared_errors(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """Squared error of each case and of predicting no change, (Q,) each, without the targets' own entries."""
    keep = ~cases.own
    return (
        np.sum((cases.predicted - cases.measured) ** 2, axis=1, where=keep),
        np.sum(cases.measured**2, axis=1, where=keep),
    )


@_register(
    "error",
    "Squared error / no change",
    "low",
    "Squared distance of predicted from measured effect over the squared size of the measured effect; 1 "
    "is what predicting no change gets. Over many perturbations both sums are taken first.",
)
def _error(cases: Cases) -> np.ndarray:
    error, size = squared_errors(cases)
    return error / np.maximum(size, np.finfo(float).tiny)


@_register(
    "pearson_control",
    "Correlation of effects",
    "high",
    "Pearson correlation of predicted and measured effect, both against control; a constant "
    "prediction gets 0.",
)
def _pearson_control(cases: Cases) -> np.ndarray:
    return _pearson(cases.predicted, cases.measured, ~cases.own)


@_register(
    "pearson_mean",
    "Correlation beyond the mean",
    "high",
    "Pearson correlation of predicted and measured effect, both against the mean of the training "
    "perturbations (Systema's reference): what is specific to the perturbation. The mean itself gets 0.",
)
def _pearson_mean(cases: Cases) -> np.ndarray:
    return _pearson(cases.predicted - cases.reference, cases.measured - cases.reference, ~cases.own)


@_register(
    "cosine_discrimination",
    "Discrimination",
    "high",
    "1 − (rank − 1)/(P − 1) of the true perturbation when all P are ordered by the cosine of their measured "
    "effect with the predicted one, ties at the middle rank, all target genes left out; 0.5 is chance.",
)
def _cosine_discrimination(cases: Cases) -> np.ndarray:
    keep = ~cases.candidate_own.any(axis=0)
    return _placement(-_cosine(cases.predicted[:, keep], cases.candidates[:, keep]), cases.row)


@_register(
    "centroid_accuracy",
    "Centroid accuracy",
    "high",
    "Share of the other perturbations whose measured effect is farther (Euclidean) from the prediction "
    "than that of the true one (ties count half); 0.5 is chance.",
)
def _centroid_accuracy(cases: Cases) -> np.ndarray:
    keep = ~cases.candidate_own.any(axis=0)
    a, b = cases.predicted[:, keep], cases.candidates[:, keep]
    distance = np.sum(a**2, axis=1)[:, None] - 2 * a @ b.T + np.sum(b**2, axis=1)[None]
    return _placement(distance, cases.row)


def _placement(distance: np.ndarray, row: np.ndarray) -> np.ndarray:
    """1 − (rank of column ``row`` − 1)/(columns − 1) in each row of ``distance``, mid-rank ties."""
    if distance.shape[1] < 2:
        return np.full(len(distance), np.nan)
    # Rounding keeps predictions that are equal up to arithmetic noise tied.
    scale = np.maximum(np.abs(distance).max(axis=1, keepdims=True), np.finfo(float).tiny)
    ranks = rankdata(np.round(distance / scale, 9), axis=1)
    return 1.0 - (ranks[np.arange(len(row)), row] - 1.0) / (distance.shape[1] - 1.0)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return np.divide(a @ b.T, norm, out=np.zeros((len(a), len(b))), where=norm > 0)


def _pearson(a: np.ndarray, b: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Row-wise correlation over the kept entries; 0 where one side does not vary."""
    n = np.maximum(keep.sum(axis=1), 1)
    a = np.where(keep, a - (np.sum(a, axis=1, where=keep) / n)[:, None], 0.0)
    b = np.where(keep, b - (np.sum(b, axis=1, where=keep) / n)[:, None], 0.0)
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    varies = np.linalg.norm(a, axis=1) > 1e-9 * max(float(np.linalg.norm(b)), 1e-30) / np.sqrt(max(len(b), 1))
    return np.divide(np.sum(a * b, axis=1), norm, out=np.zeros(len(a)), where=varies & (norm > 0))
