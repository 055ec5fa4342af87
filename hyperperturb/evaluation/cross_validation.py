"""Held-out scores of several predictors side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.calibration import Calibration, calibration, inside
from hyperperturb.evaluation.energy import CellSample
from hyperperturb.evaluation.metrics import METRICS, Cases, significant_genes, squared_errors
from hyperperturb.evaluation.resampling import Resampling
from hyperperturb.evaluation.splits import Split, gene_folds
from hyperperturb.evaluation.verdict import LABELS, MODEL, VARIANTS, Verdict
from hyperperturb.progress import Progress

Predictor = Callable[[Effects, Sequence[Sequence[str]]], np.ndarray | tuple[np.ndarray, np.ndarray]]
"""(training effects, Q target sets) → (Q, R) predicted effects, or those and their (Q, R) standard errors.

Everything that is learned from effects is learned from the training effects given. A standard error says how far the
truth may be from the prediction; the standard error of the measurement it is compared with is added by the judge where
the effects have one, so a predictor leaves it out. NaN where the predictor does not know."""


@dataclass(frozen=True)
class CrossValidation:
    """Scores of every held-out perturbation under every method.

    Attributes
    ----------
    scores
        One row a perturbation and method: ``method``, ``perturbation``, the metrics, ``squared_error`` and
        ``squared_size`` (the parts of the pooled error), ``n_targets`` and ``n_seen`` (how many of them some training
        perturbation has), ``actual_error`` (root mean squared error over response genes), and, where the method gives
        standard errors, ``predicted_error`` (root mean square of those) and ``covered`` (share of the measured effects
        inside the 90 % interval), else NaN. A combination held out in two folds is averaged.
    folds
        Number of folds.
    targets
        Perturbation → its target genes.
    gene_coverage
        Method → (R,) share of the held-out perturbations inside the 90 % interval of each response gene.
    """

    scores: pd.DataFrame
    folds: int
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gene_coverage: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order they were given."""
        return list(dict.fromkeys(self.scores["method"]))

    @property
    def perturbations(self) -> list[str]:
        """The held-out perturbations."""
        return list(dict.fromkeys(self.scores["perturbation"]))

    def table(self, method: str) -> pd.DataFrame:
        """One row a perturbation (the index) of one method, in the order of :attr:`perturbations`."""
        rows = self.scores[self.scores["method"] == method].set_index("perturbation")
        return rows.loc[self.perturbations]

    def resampling(self, *, seed: int = 0) -> Resampling:
        """Resamples of the genes of :attr:`perturbations`; of perturbations where targets are not known."""
        return Resampling([self.targets.get(p, (p,)) for p in self.perturbations], seed=seed)

    def summary(self, *, seed: int = 0) -> list[dict]:
        """A dictionary a method: every metric's mean over perturbations with a 95 % bootstrap interval over genes.

        The error is the ratio of the sums, so large effects count by their size. A perturbation for which a metric is
        not defined (NaN) is left out of that metric; one that is defined for none is None.
        """
        resampling, names = self.resampling(seed=seed), self.methods
        out = []
        for name in names:
            table = self.table(name)
            over, under = _parts(table)
            values, lows, highs = resampling.ratio(over, under)
            row = {"name": name, "label": LABELS.get(name, name)}
            for metric, value, low, high in zip(METRICS, values, lows, highs, strict=True):
                row |= {metric: _plain(value), f"{metric}_low": _plain(low), f"{metric}_high": _plain(high)}
            out.append(row)
        return out

    def verdict(self, *, seed: int = 0) -> Verdict:
        """Whether the model is ahead of the best simple baseline, judged on the pooled squared error."""
        tables = {name: self.table(name) for name in self.methods if name not in VARIANTS}
        size = tables[MODEL]["squared_size"].to_numpy(np.float64)
        total = max(float(size.sum()), np.finfo(float).tiny)
        error = {name: float(table["squared_error"].sum()) / total for name, table in tables.items()}
        best = min((name for name in error if name != MODEL), key=error.__getitem__)
        lead, low, high = self.lead(best, seed=seed)
        return Verdict(
            model_error=error[MODEL],
            baseline=best,
            baseline_error=error[best],
            lead=lead,
            lead_low=low,
            lead_high=high,
            n_perturbations=len(size),
        )

    def lead(self, other: str, *, method: str = MODEL, seed: int = 0) -> tuple[float, float, float]:
        """Pooled error of ``other`` minus that of ``method``, with the paired 95 % interval."""
        mine, theirs = self.table(method), self.table(other)
        gap = (theirs["squared_error"] - mine["squared_error"]).to_numpy(np.float64)[:, None]
        size = mine["squared_size"].to_numpy(np.float64)[:, None]
        value, low, high = self.resampling(seed=seed).ratio(gap, size)
        return float(value[0]), float(low[0]), float(high[0])

    def calibration(self, method: str = MODEL, *, seed: int = 0) -> Calibration | None:
        """How far the method's standard errors can be believed; None where it gives none."""
        if method not in self.gene_coverage:
            return None
        return calibration(method, self.table(method), self.gene_coverage[method], self.resampling(seed=seed))


def _parts(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators, (P, metrics) each, whose summed ratios are the metrics over perturbations."""
    over, under = [], []
    for name in METRICS:
        if name == "error":
            over.append(table["squared_error"].to_numpy(np.float64))
            under.append(table["squared_size"].to_numpy(np.float64))
            continue
        values = table[name].to_numpy(np.float64)
        over.append(np.nan_to_num(values))
        under.append(np.isfinite(values).astype(np.float64))
    return np.column_stack(over), np.column_stack(under)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def cross_validate(
    effects: Effects,
    predictors: Mapping[str, Predictor],
    *,
    folds: int = 5,
    seed: int = 0,
    splits: Sequence[Split] | None = None,
    cells: CellSample | None = None,
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
    cells
        Cells for the energy distance; rows are numbered as in ``effects``.
    progress
        Told which fold and predictor is at work; an exception it raises stops the work.

    Returns
    -------
    CrossValidation

    Raises
    ------
    HyperPerturbError
        When nothing can be held out, or a predictor answers in another shape or with values that are not finite.
    """
    splits = gene_folds(effects.targets, folds=folds, seed=seed) if splits is None else splits
    column = {g: i for i, g in enumerate(effects.genes)}
    own = np.zeros(effects.effect.shape, dtype=bool)
    for row, target in enumerate(effects.targets):
        own[row, [column[g] for g in target if g in column]] = True
    Y = effects.effect.astype(np.float64)
    significant = significant_genes(Y, effects.standard_error, own)
    tables, counts = [], {}
    for number, split in enumerate(splits):
        training = effects.select([effects.perturbations[i] for i in split.train])
        targets = [effects.targets[i] for i in split.test]
        trained = {g for target in training.targets for g in target}
        reference = np.repeat(Y[split.train].mean(axis=0)[None], len(split.test), axis=0)
        for step, (name, predictor) in enumerate(predictors.items()):
            if progress is not None:
                progress(
                    (number + step / len(predictors)) / len(splits),
                    f"scoring held-out genes, fold {number + 1} of {len(splits)}: {LABELS.get(name, name)}",
                )
            predicted, error = _answer(name, predictor(training, targets), (len(targets), Y.shape[1]))
            cases = Cases(
                predicted=predicted,
                measured=Y[split.test],
                reference=reference,
                own=own[split.test],
                candidates=Y,
                candidate_own=own,
                row=split.test,
                significant=significant[split.test],
                cells=cells,
            )
            squared, size = squared_errors(cases)
            keep = ~cases.own
            n = np.maximum(keep.sum(axis=1), 1)
            table = pd.DataFrame(
                {
                    "method": name,
                    "perturbation": [effects.perturbations[i] for i in split.test],
                    **{metric.name: metric.score(cases) for metric in METRICS.values()},
                    "squared_error": squared,
                    "squared_size": size,
                    "n_targets": [len(target) for target in targets],
                    "n_seen": [len(trained.intersection(target)) for target in targets],
                    "actual_error": np.sqrt(squared / n),
                    "predicted_error": np.nan,
                    "covered": np.nan,
                }
            )
            if error is not None:
                known = keep & np.isfinite(error)
                hit = known & inside(predicted, error, cases.measured, effects.standard_error[split.test])
                table["predicted_error"] = _share(np.where(known, error**2, 0.0).sum(axis=1), known) ** 0.5
                table["covered"] = _share(hit.sum(axis=1), known)
                total = counts.setdefault(name, np.zeros((2, Y.shape[1])))
                total += [hit.sum(axis=0), known.sum(axis=0)]
            tables.append(table)
    scores = pd.concat(tables, ignore_index=True)
    scores = scores.groupby(["method", "perturbation"], sort=False).mean().reset_index()
    return CrossValidation(
        scores=scores,
        folds=len(splits),
        targets=dict(zip(effects.perturbations, effects.targets, strict=True)),
        gene_coverage={
            name: np.divide(hit, n, out=np.full(len(n), np.nan), where=n > 0)
            for name, (hit, n) in counts.items()
        },
    )


def _share(total: np.ndarray, known: np.ndarray) -> np.ndarray:
    n = known.sum(axis=1)
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


def _answer(
    name: str, answer: np.ndarray | tuple[np.ndarray, np.ndarray], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """A predictor's mean and standard error, checked."""
    mean, error = answer if isinstance(answer, tuple) else (answer, None)
    mean = np.asarray(mean, dtype=np.float64)
    error = None if error is None else np.asarray(error, dtype=np.float64)
    if mean.shape != shape or (error is not None and error.shape != shape):
        raise HyperPerturbError(
            f"The predictor '{name}' answered in the shape {mean.shape}"
            + ("" if error is None else f" with errors in {error.shape}")
            + f" where {shape} (perturbations, response genes) was asked for."
        )
    if not np.isfinite(mean).all() or (error is not None and (error < 0).any()):
        raise HyperPerturbError(
            f"The predictor '{name}' gave effects that are not finite, or standard errors below zero."
        )
    return mean, error
