"""Asking a run what perturbations do to proteins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.models.effect_head import EffectHead

NO_GROUND = 0.005
"""Share of a gene's own variance under which there is nothing but the mean effect: the answer is a refusal."""

_NUMBERS = ("effect", "standard_error", "measured", "measured_standard_error")


@dataclass(frozen=True)
class ProteinPrediction:
    """What perturbing some genes is predicted to do to proteins.

    Attributes
    ----------
    table
        One row a protein: ``protein``, ``effect`` and ``standard_error`` (centred log-ratios, natural-log units),
        ``measured`` and ``measured_standard_error`` (NaN where this perturbation was not measured); None where there
        is no ground to answer on.
    why
        What the prediction stands on, or why there is none.
    """

    table: pd.DataFrame | None
    why: str


class Proteins:
    """The proteins of a run, ready to be asked.

    Parameters
    ----------
    head
        The run's head for proteins.
    effects
        Reads the effects on proteins that it was fitted on.
    """

    def __init__(self, head: EffectHead, effects: Callable[[], Effects]) -> None:
        self.head = head
        self._read = effects
        self._effects: Effects | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The antibodies."""
        return self.head.response_genes

    @property
    def effects(self) -> Effects:
        """The measured effects on proteins."""
        if self._effects is None:
            self._effects = self._read()
        return self._effects

    def table(self, sets: Sequence[tuple[str, ...]]) -> pd.DataFrame:
        """Predict many perturbations: :attr:`ProteinPrediction.table` of each, with its name in ``perturbation``.

        What there is no ground to answer on is left out.
        """
        parts = []
        for genes in sets:
            found = self.predict(tuple(sorted(genes))).table
            if found is not None:
                parts.append(found.assign(perturbation="+".join(sorted(genes))))
        columns = ["perturbation", "protein", *_NUMBERS]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def predict(self, genes: tuple[str, ...]) -> ProteinPrediction:
        """Predict what perturbing genes, sorted, does to proteins."""
        tested = set(self.head.target_genes)
        support = self.head.support(genes)
        lowest = int(np.argmin(support))
        missing = [gene for gene in genes if gene not in tested]
        if missing and support[lowest] < NO_GROUND:
            untold = missing[0] if genes[lowest] in tested else genes[lowest]
            return ProteinPrediction(
                None,
                f"No prediction for proteins: {untold} was never perturbed in cells with proteins, and nothing known "
                "about it says more than the mean effect.",
            )
        mean, error = self.head.predict([genes])
        measured = np.full((2, len(self.names)), np.nan)
        for i, targets in enumerate(self.effects.targets):
            if tuple(sorted(targets)) == genes:
                measured = np.stack([self.effects.effect[i], self.effects.standard_error[i]]).astype(float)
        values = dict(zip(_NUMBERS, (mean[0], error[0], *measured), strict=True))
        table = pd.DataFrame({"protein": self.names, **values})
        seen = np.isfinite(measured[0]).any()
        why = "This perturbation was measured." if seen else "Predicted from perturbations near it."
        return ProteinPrediction(table, why)
