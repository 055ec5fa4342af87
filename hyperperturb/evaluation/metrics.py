"""The metrics: one registry, so that adding one touches one place.

Every metric gets the same :class:`Cases`, of held-out predictions, and returns one number for each; NaN where it is not
defined (no significant gene, no cells at hand), and such a case is left out of that metric's mean. The measured
response of the targets themselves is left out everywhere: that a gene that was hit goes down is no prediction. Raw
profiles are never correlated (that is 0.98 for anything).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.stats import false_discovery_control

from hyperperturb.evaluation.energy import CellSample

FDR = 0.05
"""False discovery rate (Benjamini–Hochberg) under which a measured response gene is significant."""


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
    significant
        (Q, R) bool: measured effects that are significant (:func:`significant_genes`); all False where the measurement
        has no standard errors.
    cells
        Cells to compare distributions with, or None where there are none.
    """

    predicted: np.ndarray
    measured: np.ndarray
    reference: np.ndarray
    own: np.ndarray
    candidates: np.ndarray
    candidate_own: np.ndarray
    row: np.ndarray
    significant: np.ndarray | None = None
    cells: CellSample | None = None

    @cached_property
    def compared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Products of predictions with candidates, (Q, P), and the squared lengths of both, over the same genes.

        All target genes are left out. Where that would leave less than half of the response genes, as in a genome-scale
        screen, the targets of the prediction and of the candidate are, pair by pair.
        """
        keep = ~self.candidate_own.any(axis=0)
        if 2 * keep.sum() >= len(keep):
            a, b = self.predicted[:, keep], self.candidates[:, keep]
            return a @ b.T, _squares(a)[:, None], _squares(b)[None]
        b = self.candidates
        a = np.where(self.own, 0.0, self.predicted).astype(b.dtype, copy=False)
        theirs = sparse.csr_array(self.candidate_own)
        mine = np.flatnonzero(self.own.any(axis=0))
        hit = sparse.csr_array(self.own[:, mine].astype(b.dtype))
        removed = theirs.astype(b.dtype)
        removed.data = b[theirs.nonzero()]
        product = a @ b.T
        product -= (removed @ a.T).T
        left = _squares(a)[:, None] - (theirs.astype(b.dtype) @ np.square(a).T).T
        right = _squares(b)[None] - _squares(removed)[None]
        right = right - hit @ np.square(np.where(self.candidate_own[:, mine], 0.0, b[:, mine])).T
        return product, left, right


@dataclass(frozen=True)
class Metric:
    """A named number of a held-out prediction, its direction and what it means.

    Attributes
    ----------
    name, label
        For programs and for people.
    best
        Whether the highest or the lowest is best.
    chance
        What a prediction without any skill gets; None where that depends on the data.
    replicate
        How the agreement of two halves of the cells tells that of two whole experiments: ``spearman_brown``
        (2r/(1 + r)), ``halve`` (the squared difference of whole ones is half as large), or ``none`` (left as it is,
        which understates the ceiling).
    definition
        A sentence.
    score
        :class:`Cases` → (Q,) values.
    """

    name: str
    label: str
    best: Literal["high", "low"]
    chance: float | None
    replicate: Literal["spearman_brown", "halve", "none"]
    definition: str
    score: Callable[[Cases], np.ndarray]

    def whole(self, value: float) -> float:
        """The agreement of two whole experiments, from that of two halves; squared errors are halved already.

        Examples
        --------
        >>> METRICS["pearson_control"].whole(0.5) > 0.66, METRICS["sign_agreement"].whole(0.5)
        (True, 0.5)
        """
        if self.replicate == "spearman_brown" and value > 0:
            return 2 * value / (1 + value)
        return value


METRICS: dict[str, Metric] = {}


def _register(
    name: str, label: str, best: str, chance: float | None, replicate: str, definition: str
) -> Callable:
    def add(score: Callable[[Cases], np.ndarray]) -> Callable[[Cases], np.ndarray]:
        METRICS[name] = Metric(name, label, best, chance, replicate, definition, score)
        return score

    return add


def significant_genes(p: np.ndarray, own: np.ndarray, *, rate: float = FDR) -> np.ndarray:
    """Which measured effects differ from zero, perturbation by perturbation.

    Benjamini–Hochberg over the response genes of a perturbation without its targets.

    Parameters
    ----------
    p
        (P, R) p-values (:meth:`~hyperperturb.data.effects.Effects.p_values`); NaN was not tested.
    own
        (P, R) bool: entries that belong to a target of the perturbation.
    rate
        False discovery rate.

    Returns
    -------
    numpy.ndarray
        (P, R) bool.

    Examples
    --------
    >>> own = np.array([[False, False, False, True]])
    >>> significant_genes(np.array([[0.001, 0.8, 0.02, 0.0001]]), own).tolist()
    [[True, False, True, False]]
    """
    out = np.zeros(p.shape, dtype=bool)
    tested = np.isfinite(p) & ~own
    for row in np.flatnonzero(tested.any(axis=1)):
        there = tested[row]
        out[row, there] = false_discovery_control(p[row, there], method="bh") < rate
    return out


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
    1.0,
    "halve",
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
    0.0,
    "spearman_brown",
    "Pearson correlation of predicted and measured effect, both against control; a constant "
    "prediction gets 0.",
)
def _pearson_control(cases: Cases) -> np.ndarray:
    return _pearson(cases.predicted, cases.measured, ~cases.own)


@_register(
    "pearson_mean",
    "Correlation beyond the mean",
    "high",
    0.0,
    "spearman_brown",
    "Pearson correlation of predicted and measured effect, both against the mean of the training "
    "perturbations (Systema's reference): what is specific to the perturbation. The mean itself gets 0.",
)
def _pearson_mean(cases: Cases) -> np.ndarray:
    return _pearson(cases.predicted - cases.reference, cases.measured - cases.reference, ~cases.own)


@_register(
    "cosine_discrimination",
    "Discrimination",
    "high",
    0.5,
    "none",
    "1 − (rank − 1)/(P − 1) of the true perturbation when all P are ordered by the cosine of their measured "
    "effect with the predicted one, ties at the middle rank, all target genes left out (if they are most of the genes, "
    "those of the two that are compared); 0.5 is chance.",
)
def _cosine_discrimination(cases: Cases) -> np.ndarray:
    product, left, right = cases.compared
    size = np.sqrt(np.maximum(left, 0.0)) * np.sqrt(np.maximum(right, 0.0))
    cosine = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    return _placement(-cosine, cases.row)


@_register(
    "centroid_accuracy",
    "Centroid accuracy",
    "high",
    0.5,
    "none",
    "Share of the other perturbations whose measured effect is farther (Euclidean) from the prediction "
    "than that of the true one (ties count half); 0.5 is chance.",
)
def _centroid_accuracy(cases: Cases) -> np.ndarray:
    product, left, right = cases.compared
    return _placement(left - 2 * product + right, cases.row)


@_register(
    "significant_overlap",
    "Overlap of significant genes",
    "high",
    None,
    "none",
    "Of the n response genes that are significant in the measurement (Benjamini–Hochberg, 5 %), the share that is "
    "among the n genes with the largest predicted changes; genes predicted alike share the places that are left.",
)
def _significant_overlap(cases: Cases) -> np.ndarray:
    out = np.full(len(cases.row), np.nan)
    for q, significant, keep in _with_significant(cases):
        size = np.abs(cases.predicted[q, keep])
        n = int(significant.sum())
        last = np.partition(size, len(size) - n)[len(size) - n]
        above, level = size > last, size == last
        shared = (n - above.sum()) / level.sum()
        out[q] = ((significant & above).sum() + shared * (significant & level).sum()) / n
    return out


@_register(
    "sign_agreement",
    "Agreement of signs",
    "high",
    0.5,
    "none",
    "Of the response genes that are significant in the measurement, the share predicted to change in the same "
    "direction; a predicted change of zero counts half.",
)
def _sign_agreement(cases: Cases) -> np.ndarray:
    out = np.full(len(cases.row), np.nan)
    for q, significant, keep in _with_significant(cases):
        product = np.sign(cases.predicted[q, keep]) * np.sign(cases.measured[q, keep])
        out[q] = np.mean(0.5 + 0.5 * product[significant])
    return out


@_register(
    "energy_distance",
    "Energy distance",
    "low",
    None,
    "none",
    "Energy distance (Euclidean) between the control cells shifted by the predicted effect and the cells that were "
    "perturbed, over response genes in natural-log units; 0 is the same distribution.",
)
def _energy_distance(cases: Cases) -> np.ndarray:
    if cases.cells is None:
        return np.full(len(cases.row), np.nan)
    return np.array(
        [cases.cells.distance(int(row), cases.predicted[q], ~cases.own[q]) for q, row in enumerate(cases.row)]
    )


def _with_significant(cases: Cases) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Number, significant genes among those kept, and kept genes, of each case that has a significant gene."""
    if cases.significant is None:
        return
    for q in np.flatnonzero(cases.significant.any(axis=1)):
        keep = ~cases.own[q]
        significant = cases.significant[q, keep]
        if significant.any():
            yield int(q), significant, keep


def _placement(distance: np.ndarray, row: np.ndarray) -> np.ndarray:
    """1 − (rank of column ``row`` − 1)/(columns − 1) in each row of ``distance``, mid-rank ties."""
    if distance.shape[1] < 2:
        return np.full(len(distance), np.nan)
    # Rounding keeps predictions that are equal up to arithmetic noise tied.
    scale = np.maximum(np.abs(distance).max(axis=1, keepdims=True), np.finfo(float).tiny)
    rounded = np.round(distance / scale, 9)
    mine = rounded[np.arange(len(row)), row][:, None]
    before = np.sum(rounded < mine, axis=1) + 0.5 * (np.sum(rounded == mine, axis=1) - 1.0)
    return 1.0 - before / (distance.shape[1] - 1.0)


def _squares(a: np.ndarray | sparse.csr_array) -> np.ndarray:
    """Squared length of each row."""
    return (a * a).sum(axis=1) if sparse.issparse(a) else np.einsum("ij,ij->i", a, a)


def _pearson(a: np.ndarray, b: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Row-wise correlation over the kept entries; 0 where one side does not vary."""
    n = np.maximum(keep.sum(axis=1), 1)
    a = np.where(keep, a - (np.sum(a, axis=1, where=keep) / n)[:, None], 0.0)
    b = np.where(keep, b - (np.sum(b, axis=1, where=keep) / n)[:, None], 0.0)
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    varies = np.linalg.norm(a, axis=1) > 1e-9 * max(float(np.linalg.norm(b)), 1e-30) / np.sqrt(max(len(b), 1))
    return np.divide(np.sum(a * b, axis=1), norm, out=np.zeros(len(a)), where=varies & (norm > 0))
