"""Held-out scores of several predictors side by side, and the sentence that sums them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.metrics import METRICS, Cases, squared_errors
from hyperperturb.evaluation.splits import Split, gene_folds
from hyperperturb.progress import Progress

Predictor = Callable[[Effects, Sequence[Sequence[str]]], np.ndarray]
"""(training effects, Q target sets) → (Q, R) predicted effects."""

MODEL = "hyperperturb"
LABELS = {
    MODEL: "HyperPerturb",
    "no_change": "No change",
    "training_mean": "Mean of the training perturbations",
    "network_kernel_ridge": "Network kernel ridge",
}
_BOOTSTRAP = 2000


@dataclass(frozen=True)
class CrossValidation:
    """Scores of every held-out perturbation under every method.

    Attributes
    ----------
    scores
        One row a perturbation and method: ``method``, ``perturbation``, the metrics, ``squared_error`` and
        ``squared_size`` (the parts of the pooled error). A combination held out in two folds is averaged.
    folds
        Number of folds.
    """

    scores: pd.DataFrame
    folds: int

    def summary(self, *, seed: int = 0) -> list[dict]:
        """A dictionary a method: every metric's mean over perturbations with a 95 % bootstrap interval.

        The error is the ratio of the sums, so large effects count by their size.
        """
        names = list(dict.fromkeys(self.scores["method"]))
        perturbations = list(dict.fromkeys(self.scores["perturbation"]))
        draws = np.random.default_rng(seed).integers(
            len(perturbations), size=(_BOOTSTRAP, len(perturbations))
        )
        out = []
        for name in names:
            table = self.scores[self.scores["method"] == name].set_index("perturbation").loc[perturbations]
            row = {"name": name, "label": LABELS.get(name, name)}
            for metric in METRICS.values():
                if metric.name == "error":
                    error, size = table["squared_error"].to_numpy(), table["squared_size"].to_numpy()
                    value = error.sum() / size.sum()
                    resampled = error[draws].sum(axis=1) / size[draws].sum(axis=1)
                else:
                    values = table[metric.name].to_numpy()
                    value, resampled = values.mean(), values[draws].mean(axis=1)
                low, high = np.quantile(resampled, [0.025, 0.975])
                row |= {
                    metric.name: float(value),
                    f"{metric.name}_low": float(low),
                    f"{metric.name}_high": float(high),
                }
            out.append(row)
        return out

    def verdict(self, *, seed: int = 0) -> Verdict:
        """Whether the model is ahead of the best simple baseline, judged on the pooled squared error."""
        table = self.scores.pivot_table(index="perturbation", columns="method", values="squared_error")
        model = self.scores[self.scores["method"] == MODEL].set_index("perturbation")
        size = model["squared_size"].loc[table.index]
        error = table.sum() / size.sum()
        best = error.drop(MODEL).idxmin()
        gap = (table[best] - table[MODEL]).to_numpy()
        draws = np.random.default_rng(seed).integers(len(gap), size=(_BOOTSTRAP, len(gap)))
        resampled = gap[draws].sum(axis=1) / size.to_numpy()[draws].sum(axis=1)
        low, high = (float(q) for q in np.quantile(resampled, [0.025, 0.975]))
        lead = float(gap.sum() / size.sum())
        return Verdict(
            model_error=float(error[MODEL]),
            baseline=str(best),
            baseline_error=float(error[best]),
            lead=lead,
            lead_low=low,
            lead_high=high,
            n_perturbations=len(gap),
        )


@dataclass(frozen=True)
class Verdict:
    """The model's error beside that of the best simple baseline, with the paired interval of the difference."""

    model_error: float
    baseline: str
    baseline_error: float
    lead: float
    lead_low: float
    lead_high: float
    n_perturbations: int

    @property
    def ahead(self) -> bool:
        """True only where the paired 95 % interval of the lead excludes zero."""
        return self.lead_low > 0

    @property
    def sentence(self) -> str:
        """One plain sentence for people."""
        name = LABELS.get(self.baseline, self.baseline).lower()
        figures = (
            f"on genes it never saw its squared error is {self.model_error:.2f} of predicting no change, "
            f"against {self.baseline_error:.2f} for the best of them ({name}); the difference is "
            f"{self.lead:.3f} (95 % interval {self.lead_low:.3f} to {self.lead_high:.3f}, "
            f"{self.n_perturbations} perturbations)."
        )
        if self.ahead:
            return f"Yes, the model beats the simple baselines on your data: {figures}"
        if self.lead_high < 0:
            return f"No, the model is behind the best simple baseline on your data: {figures}"
        return f"No, the model does not clearly beat the simple baselines on your data: {figures}"


def cross_validate(
    effects: Effects,
    predictors: Mapping[str, Predictor],
    *,
    folds: int = 5,
    seed: int = 0,
    splits: Sequence[Split] | None = None,
    progress: Progress | None = None,
) -> CrossValidation:
    """Hold genes out fold by fold and score every predictor on the perturbations they take part in.

    Parameters
    ----------
    effects
        All measured effects.
    predictors
        Name → predictor; ``"hyperperturb"`` is the one the verdict is about.
    folds, seed
        See :func:`hyperperturb.evaluation.splits.gene_folds`.
    splits
        Use these instead.

    Returns
    -------
    CrossValidation
    """
    splits = gene_folds(effects.targets, folds=folds, seed=seed) if splits is None else splits
    column = {g: i for i, g in enumerate(effects.genes)}
    own = np.zeros(effects.effect.shape, dtype=bool)
    for row, target in enumerate(effects.targets):
        own[row, [column[g] for g in target if g in column]] = True
    Y = effects.effect.astype(np.float64)
    tables = []
    for number, split in enumerate(splits):
        training = effects.select([effects.perturbations[i] for i in split.train])
        targets = [effects.targets[i] for i in split.test]
        reference = np.repeat(Y[split.train].mean(axis=0)[None], len(split.test), axis=0)
        for step, (name, predictor) in enumerate(predictors.items()):
            if progress is not None:
                progress(
                    (number + step / len(predictors)) / len(splits),
                    f"scoring held-out genes, fold {number + 1} of {len(splits)}: {LABELS.get(name, name)}",
                )
            cases = Cases(
                predicted=np.asarray(predictor(training, targets), dtype=np.float64),
                measured=Y[split.test],
                reference=reference,
                own=own[split.test],
                candidates=Y,
                candidate_own=own,
                row=split.test,
            )
            error, size = squared_errors(cases)
            tables.append(
                pd.DataFrame(
                    {
                        "method": name,
                        "perturbation": [effects.perturbations[i] for i in split.test],
                        **{metric.name: metric.score(cases) for metric in METRICS.values()},
                        "squared_error": error,
                        "squared_size": size,
                    }
                )
            )
    scores = pd.concat(tables, ignore_index=True)
    scores = scores.groupby(["method", "perturbation"], sort=False).mean().reset_index()
    return CrossValidation(scores=scores, folds=len(splits))
