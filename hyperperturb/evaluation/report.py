"""Scores in words, tables and JSON: the schema of ``metrics.json``, and what cards and reports are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy.stats import t as student

from hyperperturb.evaluation.calibration import Calibration
from hyperperturb.evaluation.cross_validation import CrossValidation
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.verdict import CEILING, LABELS, MODEL, VARIANTS
from hyperperturb.files import finite

_LOST = {
    "random_embedding": "knowing which gene is which in the networks",
    "rewired_network": "the networks' wiring, beyond how many neighbours each gene has",
    "flat_twin": "hyperbolic instead of flat space",
}


_OF_ERRORS = ("predicted_error", "actual_error", "covered")


class Scores(BaseModel):
    """A method and its scores.

    Beside ``name`` and ``label`` it has, for every metric of :data:`hyperperturb.evaluation.metrics.METRICS`,
    ``<metric>``, ``<metric>_low`` and ``<metric>_high`` (95 % interval over target genes) and, where there is a
    ceiling, ``<metric>_scaled`` (0 the training mean, 1 the ceiling); None where not defined.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    name: str
    label: str


class Lead(BaseModel):
    """By how much the model is better than a method in one metric; positive is better in any metric.

    ``low`` and ``high`` are the paired 95 % interval over target genes. ``seeds`` has the lead of each seed, and
    ``seeds_low``, ``seeds_high`` the paired t interval over seeds (three or more): that one knows the luck of the folds
    and of the training, not that of the genes.
    """

    name: str
    label: str
    metric: str
    lead: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()
    seeds_low: float | None = None
    seeds_high: float | None = None


class Group(BaseModel):
    """Scores of the perturbations with so many targets of which training had seen so many."""

    n_targets: int
    n_seen: int
    n_perturbations: int
    methods: list[Scores]

    @property
    def words(self) -> str:
        """What it is, for people."""
        if self.n_targets == 1:
            return "single genes, seen in combinations" if self.n_seen else "single genes, never seen"
        return f"combinations of {self.n_targets} genes, {self.n_seen} of them seen"


class HeldOut(BaseModel):
    """What a cross-validation found.

    Attributes
    ----------
    verdict
        The sentence that every report begins with.
    ahead
        Whether the model beats the best simple baseline, the paired interval excluding zero.
    lead, lead_low, lead_high, best_baseline
        Of the pooled squared error.
    n_perturbations, n_measured, n_folds, n_seeds
        Held-out perturbations and all that were measured (0: not known); folds and seeds.
    held_out
        ``genes``, ``combinations``, ``leave-one-out`` or ``file``.
    methods
        The model first, then baselines, variants and the ceiling (``name`` is ``ceiling``).
    ceiling
        What was halved for the ceiling; None without one.
    leads
        The model against every method in every metric.
    groups
        By number of targets and how many of them were seen, where there is more than one such group.
    calibration
        See :class:`~hyperperturb.evaluation.calibration.Calibration`; None where the model gives no standard errors.
    per_perturbation
        ``perturbation``, every metric, ``baseline_error``, ``strength``, ``n_targets``, ``n_seen``, and of the model's
        standard errors ``predicted_error``, ``actual_error`` (root mean square over response genes) and ``covered``
        (share of the measured effects inside the 90 % interval). None where not defined.
    """

    verdict: str
    ahead: bool
    lead: float
    lead_low: float
    lead_high: float
    best_baseline: str
    n_perturbations: int
    n_measured: int = 0
    n_folds: int
    n_seeds: int = 1
    held_out: str = "genes"
    methods: list[Scores]
    ceiling: str | None = None
    leads: list[Lead] = []
    groups: list[Group] = []
    calibration: dict[str, Any] | None = None
    per_perturbation: list[dict[str, Any]] = []

    def scores(self, name: str) -> Scores | None:
        """The row of a method."""
        return next((row for row in self.methods if row.name == name), None)


class ProteinMetrics(HeldOut):
    """Held-out scores on proteins.

    Attributes
    ----------
    joined
        How the proteins and the screen fit together, in one sentence.
    n_proteins
        Antibodies.
    """

    joined: str = ""
    n_proteins: int = 0


class RunMetrics(HeldOut):
    """``metrics.json`` of a run: :class:`HeldOut`, and what is said of the run's space and cell heads.

    Attributes
    ----------
    hub_radius
        ``spearman`` and ``p_value`` of radius with degree.
    curvature, fit
        Curvature magnitude; correlation of exp(−distance) with the networks' similarity.
    curvature_low, curvature_high
        95 % interval of the curvature at which the points, as they are, fit the similarities best; None in older runs.
    policy
        Scores of the cell heads, or None.
    proteins
        Scores on proteins, or None where the run has none.
    """

    model_config = ConfigDict(extra="allow")

    hub_radius: dict[str, float | None]
    curvature: float
    fit: float
    curvature_low: float | None = None
    curvature_high: float | None = None
    policy: dict[str, Any] | None = None
    proteins: ProteinMetrics | None = None


def held_out(
    scores: CrossValidation, *, strength: Mapping[str, float], halves: str = "", seed: int = 0
) -> HeldOut:
    """Sum a cross-validation up.

    Parameters
    ----------
    scores
        Of the model and at least one baseline.
    strength
        Perturbation → how strong it is (energy distance).
    halves
        What was halved for the ceiling, in words.
    seed
        Of the bootstrap.
    """
    verdict = scores.verdict(seed=seed)
    calibration: Calibration | None = scores.calibration(seed=seed)
    mine, theirs = scores.table(MODEL), scores.table(verdict.baseline)
    methods = [Scores(**row) for row in scores.summary(seed=seed)]
    groups = scores.groups()
    return HeldOut(
        verdict=verdict.sentence,
        ahead=verdict.ahead,
        lead=verdict.lead,
        lead_low=verdict.lead_low,
        lead_high=verdict.lead_high,
        best_baseline=verdict.baseline,
        n_perturbations=verdict.n_perturbations,
        n_measured=len(scores.targets),
        n_folds=scores.folds,
        n_seeds=max(len(scores.parts), 1),
        held_out=scores.held_out,
        methods=methods,
        ceiling=halves if methods[-1].name == CEILING else None,
        leads=[lead for name in scores.methods if name != MODEL for lead in _leads(scores, name, seed=seed)],
        groups=[
            Group(
                n_targets=n_targets,
                n_seen=n_seen,
                n_perturbations=len(part.perturbations),
                methods=[Scores(**row) for row in part.summary(seed=seed)],
            )
            for (n_targets, n_seen), part in groups.items()
            if len(groups) > 1
        ],
        calibration=None if calibration is None else calibration.model_dump(mode="json"),
        per_perturbation=[
            {
                "perturbation": label,
                **{name: finite(mine[name][label]) for name in (*METRICS, *_OF_ERRORS)},
                "baseline_error": float(theirs["error"][label]),
                "strength": strength[label],
                "n_targets": int(mine["n_targets"][label]),
                "n_seen": float(mine["n_seen"][label]),
            }
            for label in scores.perturbations
        ],
    )


def _leads(scores: CrossValidation, name: str, *, seed: int) -> list[Lead]:
    by_seed = scores.seed_leads(name)
    out = []
    for metric, (value, low, high) in scores.leads(name, seed=seed).items():
        seeds = by_seed.get(metric, [])
        ends: tuple[float | None, float | None] = (None, None)
        if len(seeds) > 2:
            half = student.ppf(0.975, len(seeds) - 1) * np.std(seeds, ddof=1) / np.sqrt(len(seeds))
            ends = float(np.mean(seeds) - half), float(np.mean(seeds) + half)
        out.append(
            Lead(
                name=name,
                label=LABELS.get(name, name),
                metric=metric,
                lead=value,
                low=low,
                high=high,
                seeds=tuple(seeds),
                seeds_low=ends[0],
                seeds_high=ends[1],
            )
        )
    return out


def score_table(methods: Sequence[Mapping[str, Any] | Scores], *, scaled: bool = False) -> list[str]:
    """The methods and their scores with intervals, as the lines of a Markdown table.

    Parameters
    ----------
    methods
        Rows as in :class:`Scores`. Metrics that none has a value of are left out.
    scaled
        The scaled scores instead.

    Examples
    --------
    >>> for line in score_table([{"label": "Mean", "error": 0.5, "error_low": 0.4, "error_high": 0.6}]):
    ...     print(line)
    | method | Squared error / no change |
    | --- | --- |
    | Mean | 0.500 (0.400 to 0.600) |
    """
    rows = [row.model_dump() if isinstance(row, Scores) else row for row in methods]
    end = "_scaled" if scaled else ""
    shown = [m for m in METRICS.values() if any(row.get(m.name + end) is not None for row in rows)]
    return [
        "| method | " + " | ".join(metric.label for metric in shown) + " |",
        "| --- |" + " --- |" * len(shown),
        *(
            f"| {row['label']} | " + " | ".join(_score(row, metric.name + end) for metric in shown) + " |"
            for row in rows
        ),
    ]


def _score(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    value = round(value, 3) + 0.0  # no −0.000
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def variant_sentences(found: HeldOut) -> list[str]:
    """What the model owes to what each variant takes away; a claim only where the interval excludes zero."""
    out = []
    for name in VARIANTS:
        leads = [lead for lead in found.leads if lead.name == name and lead.metric == "error"]
        if not leads:
            continue
        lead = leads[0]
        worth = "does not clearly matter for"
        if lead.low > 0 or lead.high < 0:
            worth = "helps" if lead.lead > 0 else "harms"
        seeds = (
            "" if lead.seeds_low is None else f"; over seeds {lead.seeds_low:.3f} to {lead.seeds_high:.3f}"
        )
        out.append(
            f"{lead.label}: {_LOST[name]} {worth} the prediction (error {lead.lead:+.3f} without it, 95 % interval "
            f"{lead.low:.3f} to {lead.high:.3f}{seeds}).".replace(" -", " −")
        )
    return out


def held_out_lines(found: HeldOut) -> list[str]:
    """The section about held-out perturbations of a card or report, in Markdown, without a heading."""
    how = {
        "genes": f"{found.n_folds} folds by gene: a gene was held out together with every perturbation it takes "
        "part in",
        "combinations": f"{found.n_folds} folds: each combination was held out once, its genes may be seen in others",
        "leave-one-out": "Each perturbation was left out by itself",
        "file": f"{found.n_folds} folds from a table",
    }[found.held_out]
    lines = [
        f"{how} ({found.n_perturbations:,}"
        + (f" of {found.n_measured:,}" if found.n_measured > found.n_perturbations else "")
        + " perturbations"
        + (f", averaged over {found.n_seeds} seeds" if found.n_seeds > 1 else "")
        + "); the responses of the targets themselves are left out.",
        "",
        *score_table(found.methods),
        "",
        "Intervals: 95 % bootstrap over target genes.",
        "",
    ]
    if found.ceiling:
        lines += [
            f"Ceiling: how well one half of the screen predicts the other ({found.ceiling}), raised to whole "
            "experiments where the metric has a rule for that (docs/metrics.md). Scaled scores, 0 the mean of the "
            "training perturbations and 1 the ceiling, where the ceiling is clearly above the mean:",
            "",
            *score_table(found.methods, scaled=True),
            "",
        ]
    if found.groups:
        lines += [
            "By number of targets and how many of them training had seen, squared error / no change:",
            "",
        ]
        names = [row.label for row in found.groups[0].methods]
        lines += [f"| | perturbations | {' | '.join(names)} |", "| --- |" + " --- |" * (len(names) + 1)]
        for group in found.groups:
            values = {
                row.label: _score({"error": getattr(row, "error", None)}, "error") for row in group.methods
            }
            cells = " | ".join(values.get(name, "–") for name in names)
            lines.append(f"| {group.words} | {group.n_perturbations} | {cells} |")
        lines.append("")
    for sentence in variant_sentences(found):
        lines += [sentence, ""]
    if found.calibration:
        lines += [found.calibration["sentence"], ""]
    return lines


def method_frame(found: HeldOut) -> pd.DataFrame:
    """One row a method, one column a score."""
    return pd.DataFrame([row.model_dump() for row in found.methods])
