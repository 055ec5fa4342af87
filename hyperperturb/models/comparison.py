"""Two perturbations side by side: where their effects differ, and by how much more than their errors allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.manifolds import poincare
from hyperperturb.models.predictions import CERTAIN

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference, Support


@dataclass(frozen=True)
class Comparison:
    """How two predicted perturbations relate.

    Attributes
    ----------
    first, second
        Their target genes, sorted.
    table
        One row a response gene: ``gene``, ``first``, ``first_standard_error``, ``second``, ``second_standard_error``,
        ``difference`` (second minus first), its ``standard_error``, in which the errors that both share cancel, and
        ``clear``: whether the difference is beyond two of them.
    support
        What either prediction stands on.
    correlation
        Pearson correlation of the effects over the genes that neither perturbs.
    distance
        Hyperbolic distance of their points in the run's space.
    shared_error
        Correlation of the two predictions' errors.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    table: pd.DataFrame
    support: tuple[Support, Support]
    correlation: float
    distance: float
    shared_error: float


def compare(inference: HyperPerturbInference, first: Sequence[str], second: Sequence[str]) -> Comparison:
    """Compare the predicted effects of two perturbations.

    The two predictions rest on the same data, so that their errors go together; the error of the difference is
    √(σ₁² + σ₂² − 2 ρ σ₁ σ₂) with the posterior correlation ρ, which is the same for all response genes but the targets'
    own.

    Parameters
    ----------
    inference
        The run.
    first, second
        Target genes of either.

    Returns
    -------
    Comparison

    Raises
    ------
    Refusal
        When one of them has no support.

    Examples
    --------
    ::

        compare(inference, ["JAK2"], ["STAT1"]).table.sort_values("difference")
    """
    a, b = inference.predict_effects(first), inference.predict_effects(second)
    shared = inference.shared_error(a.targets, b.targets)
    x, y = a.table["effect"].to_numpy(), b.table["effect"].to_numpy()
    error_x, error_y = a.table["standard_error"].to_numpy(), b.table["standard_error"].to_numpy()
    genes = a.table["gene"].to_numpy()
    own_a, own_b = np.isin(genes, a.targets), np.isin(genes, b.targets)
    # What a perturbation does to its own target is read off by a rule of its own: the same for both, or for one alone.
    rho = np.where(own_a & own_b, 1.0, np.where(own_a | own_b, 0.0, shared))
    variance = error_x**2 + error_y**2 - 2.0 * rho * error_x * error_y
    table = pd.DataFrame(
        {
            "gene": genes,
            "first": x,
            "first_standard_error": error_x,
            "second": y,
            "second_standard_error": error_y,
            "difference": y - x,
            "standard_error": np.sqrt(np.maximum(variance, 0.0)),
        }
    )
    error = table["standard_error"]
    table["clear"] = (error > 0) & (table["difference"].abs() > CERTAIN * error)
    others = ~(own_a | own_b)
    correlation = float("nan")
    if others.sum() > 2 and x[others].std() > 0 and y[others].std() > 0:
        correlation = float(np.corrcoef(x[others], y[others])[0, 1])
    places = [inference.point(targets) for targets in (a.targets, b.targets)]
    distance = float(poincare.dist(*places, c=1.0) / np.sqrt(inference.curvature))
    return Comparison(a.targets, b.targets, table, (a.support, b.support), correlation, distance, shared)
