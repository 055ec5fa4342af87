"""From predictions of held-out perturbations to one row of scores each; the ceiling is scored by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.energy import CellSample
from hyperperturb.evaluation.metrics import METRICS, Cases, significant_genes, squared_errors
from hyperperturb.evaluation.splits import Split
from hyperperturb.evaluation.verdict import CEILING

_WIDE_UP_TO = 20_000_000  # entries of a table that are worth a copy in float64


@dataclass(frozen=True)
class Judged:
    """Measured effects that predictions are compared with.

    Attributes
    ----------
    perturbations
        The P labels.
    effect
        (P, R) float64; float32 as it was measured where a copy would take up much memory.
    own, significant
        (P, R) bool, as in :class:`~hyperperturb.evaluation.metrics.Cases`; only rows that are judged are tested for
        significance.
    cells
        Cells for the energy distance, or None.
    """

    perturbations: tuple[str, ...]
    effect: np.ndarray
    own: np.ndarray
    significant: np.ndarray
    cells: CellSample | None = None

    @classmethod
    def of(
        cls, effects: Effects, cells: CellSample | None = None, *, rows: np.ndarray | None = None
    ) -> Judged:
        """Make it of a table of effects, of which some rows (all by default) will be judged."""
        column = {g: i for i, g in enumerate(effects.genes)}
        own = np.zeros(effects.effect.shape, dtype=bool)
        for row, target in enumerate(effects.targets):
            own[row, [column[g] for g in target if g in column]] = True
        effect = effects.effect
        if effect.size <= _WIDE_UP_TO:
            effect = effect.astype(np.float64)
        significant = np.zeros(own.shape, dtype=bool)
        rows = np.arange(len(own)) if rows is None else rows
        significant[rows] = significant_genes(effects.p_values(rows), own[rows])
        return cls(effects.perturbations, effect, own, significant, cells)

    def cases(self, predicted: np.ndarray, rows: np.ndarray, reference: np.ndarray) -> Cases:
        """Pair (Q, R) predictions with the perturbations of these rows; ``reference`` (R,) is the training mean."""
        return Cases(
            predicted=predicted,
            measured=self.effect[rows],
            reference=np.repeat(reference[None], len(rows), axis=0),
            own=self.own[rows],
            candidates=self.effect,
            candidate_own=self.own,
            row=rows,
            significant=self.significant[rows],
            cells=self.cells,
        )

    def score(self, name: str, cases: Cases) -> pd.DataFrame:
        """Every metric of the cases of a method, a row each, and the parts of the pooled error."""
        squared, size = squared_errors(cases)
        n = np.maximum((~cases.own).sum(axis=1), 1)
        return pd.DataFrame(
            {
                "method": name,
                "perturbation": [self.perturbations[i] for i in cases.row],
                **{metric.name: metric.score(cases) for metric in METRICS.values()},
                "squared_error": squared,
                "squared_size": size,
                "actual_error": np.sqrt(squared / n),
            }
        )


def ceiling_scores(judged: Judged, halves: tuple[Effects, Effects], split: Split) -> pd.DataFrame:
    """How well each half of the screen predicts the other, averaged over the two directions.

    The squared error is halved, because two whole experiments differ by half as much (squared) as two halves, and set
    against the ``squared_size`` of the whole screen, as every method's; correlations are those of halves, whose mean
    :meth:`hyperperturb.evaluation.metrics.Metric.whole` raises to whole experiments. For the correlation beyond the
    mean each half is taken against its own training mean: noise in a common one would look like agreement.

    Parameters
    ----------
    judged
        The whole screen.
    halves
        Effects of the two halves over the same response genes, of perturbations of ``judged``.
    split
        What is held out; perturbations that are not in both halves are left out.

    Returns
    -------
    pandas.DataFrame
        As :meth:`Judged.score`; empty where no held-out perturbation has halves.
    """
    sides = [Judged.of(half) for half in halves]
    place = {label: i for i, label in enumerate(sides[0].perturbations)}
    held = [(i, place[judged.perturbations[i]]) for i in split.test if judged.perturbations[i] in place]
    seen = [place[judged.perturbations[i]] for i in split.train if judged.perturbations[i] in place]
    if not held or not seen:
        return pd.DataFrame()
    whole, at = np.array(held).T
    means = [side.effect[seen].mean(axis=0) for side in sides]
    tables = []
    for mine, other in ((0, 1), (1, 0)):
        cases = sides[mine].cases(sides[other].effect[at], at, means[mine])
        against = replace(cases, predicted=cases.predicted - means[other] + means[mine])
        tables.append(
            sides[mine].score(CEILING, cases).assign(pearson_mean=METRICS["pearson_mean"].score(against))
        )
    numbers = tables[0].columns.difference(["method", "perturbation"])
    out = tables[0].assign(**{name: (tables[0][name] + tables[1][name]) / 2 for name in numbers})
    size = np.sum(judged.effect[whole] ** 2, axis=1, where=~judged.own[whole])
    return out.assign(squared_error=out["squared_error"] / 2, squared_size=size)


def matched_halves(
    halves: tuple[Effects, Effects], perturbations: Sequence[str], genes: Sequence[str]
) -> tuple[Effects, Effects]:
    """The halves' effects of those of these perturbations that they have, over these response genes."""
    there = set(halves[0].perturbations)
    labels = [label for label in perturbations if label in there]
    first, second = (half.select(labels).restrict_genes(genes) for half in halves)
    return first, second
