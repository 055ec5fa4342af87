"""Two judged runs beside each other, perturbation by perturbation: which of them is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.resampling import Resampling

if TYPE_CHECKING:
    from hyperperturb.evaluation.report import HeldOut

_FEWEST = 5  # perturbations in common below which nothing is said


@dataclass(frozen=True)
class Difference:
    """By how much one run is better than another in a metric (negative: worse), with the paired 95 % interval.

    Attributes
    ----------
    metric, label
        Key in :data:`hyperperturb.evaluation.metrics.METRICS`, and its name for people.
    difference, low, high
        In the metric's own unit, positive where the second run is better.
    n
        Perturbations that both runs were judged on.
    """

    metric: str
    label: str
    difference: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """``better than``, ``worse than`` or ``not clearly different from``, unless the interval excludes 0."""
        if self.low > 0:
            return "better than"
        return "worse than" if self.high < 0 else "not clearly different from"


def differences(
    first: HeldOut, second: HeldOut, targets: Mapping[str, Sequence[str]], *, seed: int = 0
) -> list[Difference]:
    """By how much the second of two runs is better than the first, on the perturbations that both held out.

    Both runs met the same perturbations, so their errors go together, and the interval of the difference is much
    narrower than those of the two scores suggest. Resampled are genes
    (:class:`~hyperperturb.evaluation.resampling.Resampling`).

    Parameters
    ----------
    first, second
        Scores of the runs.
    targets
        Perturbation → its target genes; those that are not in it do not count.
    seed
        Of the resampling.

    Returns
    -------
    list of Difference
        One a metric that both have; empty where too few perturbations are common. The squared error is pooled, as in
        the scores: the difference of the sums of squares over the common sum of squared effects.
    """
    sides = [pd.DataFrame(side.per_perturbation) for side in (first, second)]
    if any(side.empty for side in sides):
        return []
    a, b = (side.set_index("perturbation") for side in sides)
    common = [name for name in a.index if name in b.index and name in targets]
    if len(common) < _FEWEST:
        return []
    a, b = a.loc[common], b.loc[common]
    names = [name for name in METRICS if name in a.columns and name in b.columns]
    if "actual_error" not in a.columns or "actual_error" not in b.columns:
        names = [name for name in names if name != "error"]
    columns = [_parts(name, a, b) for name in names]
    if not columns:
        return []
    numerator, denominator = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    value, low, high = Resampling([targets[name] for name in common], seed=seed).ratio(numerator, denominator)
    found = zip(names, value, low, high, (denominator > 0).sum(axis=0), strict=True)
    return [
        Difference(name, METRICS[name].label, float(d), float(lo), float(hi), int(n))
        for name, d, lo, hi, n in found
        if np.isfinite(d) and n >= _FEWEST
    ]


def _parts(name: str, a: pd.DataFrame, b: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of a metric's difference, a number a perturbation; zeros where it has none."""
    x, y = (pd.to_numeric(side[name], errors="coerce").to_numpy(np.float64) for side in (a, b))
    if name == "error":  # relative to no change, so the squared size of the effect is their ratio
        square = pd.to_numeric(a["actual_error"], errors="coerce").to_numpy(np.float64) ** 2
        size = np.divide(square, x, out=np.full(len(x), np.nan), where=x > 0)
        gain = (x - y) * size
    else:
        size = np.ones(len(x))
        gain = y - x if METRICS[name].best == "high" else x - y
    known = np.isfinite(gain) & np.isfinite(size)
    return np.where(known, gain, 0.0), np.where(known, size, 0.0)
