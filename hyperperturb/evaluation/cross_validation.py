"""Held-out scores of several predictors side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.calibration import (
    Calibration,
    calibration,
    inside,
    measurement_variance,
    with_standings,
)
from hyperperturb.evaluation.energy import CellSample
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.resampling import Resampling
from hyperperturb.evaluation.scoring import Judged, ceiling_scores, matched_halves
from hyperperturb.evaluation.splits import Split, gene_folds
from hyperperturb.evaluation.verdict import CEILING, LABELS, MODEL, VARIANTS, Verdict
from hyperperturb.files import finite
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
        standard errors, ``predicted_error`` (root mean square of what is expected of prediction and measurement
        together), ``covered`` (share of the measured effects inside the 90 % interval) and what
        :func:`hyperperturb.evaluation.calibration.with_standings` adds, else NaN. A combination held out in two folds
        is averaged.
    folds
        Number of folds.
    targets
        Perturbation → its target genes.
    gene_coverage
        Method → (R,) share of the held-out perturbations inside the 90 % interval of each response gene.
    held_out
        What was held out, a key of :data:`hyperperturb.evaluation.verdict.HELD_OUT`.
    parts
        One for each seed, where several were averaged (:func:`averaged_over_seeds`).
    """

    scores: pd.DataFrame
    folds: int
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gene_coverage: Mapping[str, np.ndarray] = field(default_factory=dict)
    held_out: str = "genes"
    parts: tuple[CrossValidation, ...] = ()

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order they were given; the ceiling is none of them."""
        return [name for name in dict.fromkeys(self.scores["method"]) if name != CEILING]

    @property
    def perturbations(self) -> list[str]:
        """The held-out perturbations."""
        return list(dict.fromkeys(self.scores["perturbation"]))

    def table(self, method: str) -> pd.DataFrame:
        """One row a perturbation (the index) of one method, in the order of :attr:`perturbations`."""
        rows = self.scores[self.scores["method"] == method].set_index("perturbation")
        return rows.reindex(self.perturbations)

    def resampling(self, *, seed: int = 0) -> Resampling:
        """Resamples of the genes of :attr:`perturbations`; of perturbations where targets are not known."""
        return Resampling([self.targets.get(p, (p,)) for p in self.perturbations], seed=seed)

    def summary(self, *, seed: int = 0) -> list[dict]:
        """A dictionary a method: every metric's mean over perturbations with a 95 % bootstrap interval over genes.

        The error is the ratio of the sums, so large effects count by their size. A perturbation for which a metric is
        not defined (NaN) is left out of that metric; one that is defined for none is None. Where there is a ceiling, it
        is the last row, raised from halves to whole experiments, and every method has ``<metric>_scaled``, (score −
        training mean) / (ceiling − training mean), over the perturbations with a ceiling; None where the halves are not
        clearly (95 %) better than the mean.
        """
        resampling = self.resampling(seed=seed)
        out = []
        names = [*self.methods, *([CEILING] if (self.scores["method"] == CEILING).any() else [])]
        for name in names:
            over, under = _parts(self.table(name))
            row = {"name": name, "label": LABELS.get(name, name)}
            found = zip(METRICS.values(), *resampling.ratio(over, under), strict=True)
            for metric, *values in found:
                raised = [metric.whole(v) if name == CEILING else v for v in values]
                for key, value in zip(("", "_low", "_high"), raised, strict=True):
                    row[f"{metric.name}{key}"] = finite(value)
            out.append(row)
        if names[-1] == CEILING:
            self._scale(out)
        return out

    def _scale(self, rows: list[dict]) -> None:
        """Add the scaled scores to the rows of :meth:`summary`."""
        both = self.table(CEILING)["squared_error"].notna().to_numpy()
        score = {row["name"]: _ratios(self.table(row["name"])[both]) for row in rows}
        mean = score.get("training_mean")
        if mean is None:
            return
        top = np.array([metric.whole(v) for metric, v in zip(METRICS.values(), score[CEILING], strict=True)])
        clear = self.leads("training_mean", method=CEILING)
        ahead = [name in clear and clear[name][1] > 0 for name in METRICS]
        gap = np.where(ahead, top - mean, np.nan)
        for row in rows:
            value = top if row["name"] == CEILING else score[row["name"]]
            scaled = zip(METRICS, (value - mean) / gap, strict=True)
            row.update({f"{name}_scaled": finite(v) for name, v in scaled})

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
            held_out=self.held_out,
        )

    def lead(self, other: str, *, method: str = MODEL, seed: int = 0) -> tuple[float, float, float]:
        """Pooled error of ``other`` minus that of ``method``, with the paired 95 % interval."""
        mine, theirs = self.table(method), self.table(other)
        gap = (theirs["squared_error"] - mine["squared_error"]).to_numpy(np.float64)[:, None]
        size = mine["squared_size"].to_numpy(np.float64)[:, None]
        value, low, high = self.resampling(seed=seed).ratio(gap, size)
        return float(value[0]), float(low[0]), float(high[0])

    def leads(
        self, other: str, *, method: str = MODEL, seed: int = 0
    ) -> dict[str, tuple[float, float, float]]:
        """By how much ``method`` is better than ``other`` in each metric, with paired 95 % intervals over genes.

        Positive is better, whatever the metric's direction. Metrics that are not defined for both are left out.
        """
        (mine, under), (theirs, other_under) = (_parts(self.table(name)) for name in (method, other))
        sign = np.array([1.0 if metric.best == "high" else -1.0 for metric in METRICS.values()])
        both = (under > 0) & (other_under > 0)
        gap = np.where(both, sign * (mine - theirs), 0.0)
        found = zip(METRICS, *self.resampling(seed=seed).ratio(gap, np.where(both, under, 0.0)), strict=True)
        return {
            name: (float(value), float(low), float(high))
            for name, value, low, high in found
            if np.isfinite(value)
        }

    def seed_leads(self, other: str, *, method: str = MODEL) -> dict[str, list[float]]:
        """The leads of :meth:`leads` in each of :attr:`parts`, one number a seed."""
        sign = [1.0 if metric.best == "high" else -1.0 for metric in METRICS.values()]
        pairs = [(_ratios(part.table(method)), _ratios(part.table(other))) for part in self.parts]
        return {
            name: [float(sign[i] * (mine[i] - theirs[i])) for mine, theirs in pairs]
            for i, name in enumerate(METRICS)
            if all(np.isfinite(mine[i] - theirs[i]) for mine, theirs in pairs)
        }

    def groups(self) -> dict[tuple[int, int], CrossValidation]:
        """The same scores apart by (number of targets, how many of them training had seen), in that order."""
        parts = self.parts or (self,)
        keys = [
            part.scores.groupby("perturbation", sort=False)[["n_targets", "n_seen"]].first() for part in parts
        ]
        found = sorted({tuple(map(int, row)) for key in keys for row in key.to_numpy()})
        out = {}
        for group in found:
            chosen = []
            for part, key in zip(parts, keys, strict=True):
                labels = key.index[(key.astype(int) == group).all(axis=1)]
                chosen.append(part.scores[part.scores["perturbation"].isin(labels)])
            out[group] = CrossValidation(
                _averaged(pd.concat(chosen)), self.folds, targets=self.targets, held_out=self.held_out
            )
        return out

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
            over.append(np.nan_to_num(table["squared_error"].to_numpy(np.float64)))
            under.append(np.nan_to_num(table["squared_size"].to_numpy(np.float64)))
            continue
        values = table[name].to_numpy(np.float64)
        over.append(np.nan_to_num(values))
        under.append(np.isfinite(values).astype(np.float64))
    return np.column_stack(over), np.column_stack(under)


def _ratios(table: pd.DataFrame) -> np.ndarray:
    """Every metric over the perturbations of a table, (metrics,); NaN where it is defined for none."""
    over, under = (part.sum(axis=0) for part in _parts(table))
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)


def averaged_over_seeds(parts: Sequence[CrossValidation]) -> CrossValidation:
    """One cross-validation of several that differ in their seed: each perturbation's scores are averaged.

    The averages are judged as one; :attr:`CrossValidation.parts` keeps what each seed gave.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    return CrossValidation(
        scores=_averaged(pd.concat([part.scores for part in parts])),
        folds=first.folds,
        targets=first.targets,
        gene_coverage={
            name: np.mean([part.gene_coverage[name] for part in parts], axis=0)
            for name in first.gene_coverage
        },
        held_out=first.held_out,
        parts=tuple(parts),
    )


def _averaged(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.groupby(["method", "perturbation"], sort=False).mean().reset_index()


def cross_validate(
    effects: Effects,
    predictors: Mapping[str, Predictor],
    *,
    folds: int = 5,
    seed: int = 0,
    splits: Sequence[Split] | None = None,
    held_out: str = "genes",
    cells: CellSample | None = None,
    halves: tuple[Effects, Effects] | None = None,
    progress: Progress | None = None,
) -> CrossValidation:
    """Hold perturbations out fold by fold and score every predictor on them.

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
    held_out
        What the splits hold out, for the words of the verdict.
    cells
        Cells for the energy distance; rows are numbered as in ``effects``.
    halves
        Effects of two halves of the screen: the ceiling is how well one predicts the other.
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
    if halves is not None:
        halves = matched_halves(halves, effects.perturbations, effects.genes)
        halves = halves if halves[0].perturbations else None
    judged = Judged.of(effects, cells, rows=np.unique(np.concatenate([split.test for split in splits])))
    Y = judged.effect
    tables, counts = [], {}
    for number, split in enumerate(splits):
        training = effects.select([effects.perturbations[i] for i in split.train])
        targets = [effects.targets[i] for i in split.test]
        noise = measurement_variance(effects, split.test)
        trained = {g for target in training.targets for g in target}
        reference = Y[split.train].mean(axis=0, dtype=np.float64)
        about = {
            "n_targets": [len(target) for target in targets],
            "n_seen": [len(trained.intersection(target)) for target in targets],
        }
        for step, (name, predictor) in enumerate(predictors.items()):
            if progress is not None:
                progress(
                    (number + step / len(predictors)) / len(splits),
                    f"scoring held-out {held_out}, fold {number + 1} of {len(splits)}: {LABELS.get(name, name)}",
                )
            predicted, error = _answer(name, predictor(training, targets), (len(targets), Y.shape[1]))
            cases = judged.cases(predicted, split.test, reference)
            keep = ~cases.own
            size = _share(np.where(keep, predicted**2, 0.0).sum(axis=1), keep) ** 0.5
            table = judged.score(name, cases).assign(
                **about, predicted_size=size, predicted_error=np.nan, covered=np.nan, fold=number
            )
            if error is not None:
                known = keep & np.isfinite(error)
                hit = known & inside(predicted, error, cases.measured, effects.standard_error[split.test])
                total = np.where(known, error**2 + noise, 0.0).sum(axis=1)
                table["predicted_error"] = _share(total, known) ** 0.5
                table["covered"] = _share(hit.sum(axis=1), known)
                count = counts.setdefault(name, np.zeros((2, Y.shape[1])))
                count += [hit.sum(axis=0), known.sum(axis=0)]
            tables.append(table)
        if halves is not None:
            seen = pd.DataFrame(about, index=[effects.perturbations[i] for i in split.test])
            ceiling = ceiling_scores(judged, halves, split)
            tables += [ceiling.join(seen, on="perturbation")] if len(ceiling) else []
    return CrossValidation(
        scores=_averaged(_ranked(pd.concat(tables, ignore_index=True))),
        folds=len(splits),
        targets=dict(zip(effects.perturbations, effects.targets, strict=True)),
        gene_coverage={
            name: np.divide(hit, n, out=np.full(len(n), np.nan), where=n > 0)
            for name, (hit, n) in counts.items()
        },
        held_out=held_out,
    )


def _ranked(scores: pd.DataFrame) -> pd.DataFrame:
    """Standings of each method's perturbations in their folds instead of the folds."""
    parts = [with_standings(table) for _, table in scores.groupby("method", sort=False)]
    return pd.concat(parts, ignore_index=True).drop(columns=["fold", "predicted_size"])


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
