"""Which perturbation leads from one state of cells to another: effects as directions among cells.

NumPy only: what a run answers with; :mod:`hyperperturb.models.direction_training` fits it. A wanted shift is compared
with the effect of every perturbation by the cosine in the space where cells of one perturbation scatter alike in every
direction, and with its opposite too: a perturbation that goes the other way is the right gene with the wrong sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax


class Confidence(NamedTuple):
    """How sure a comparison of a shift with effects may be, learned on held-out perturbations.

    Attributes
    ----------
    sharpness
        Log-odds per unit of cosine times the shift's length over its error.
    error
        What the squared error of a shift has per squared length, beside 1 / (number of cells).
    slip
        Share of the probability that is spread evenly: how often none of the compared effects is the right one.
    """

    sharpness: float = 1.0
    error: float = 1.0
    slip: float = 0.0

    def log_odds(
        self, cosines: np.ndarray, lengths: np.ndarray, n_cells: np.ndarray | float = np.inf
    ) -> np.ndarray:
        """Scores of the perturbations as the screen does them, (n, Q); those of their opposites are the negatives.

        Parameters
        ----------
        cosines, lengths
            (n, Q) and (n,), of :class:`Directions`.
        n_cells
            Cells that each shift is a mean of, (n,) or one number; infinite for a shift without sampling error.
        """
        error = 1.0 / np.asarray(n_cells, dtype=np.float64) + self.error * lengths**2
        return self.sharpness * (lengths / np.sqrt(error))[:, None] * cosines

    def probabilities(self, log_odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability that each perturbation is the one, as the screen does it and reversed; (n, Q) each.

        Over both signs of all perturbations the probabilities of a shift add up to 1.

        Examples
        --------
        >>> right, wrong = Confidence().probabilities(np.array([[3.0, -3.0]]))
        >>> right.round(3).tolist(), wrong.round(3).tolist()
        ([[0.499, 0.001]], [[0.001, 0.499]])
        """
        q = log_odds.shape[1]
        both = np.exp(log_softmax(np.hstack([log_odds, -log_odds]), axis=1))
        both = (1.0 - self.slip) * both + self.slip / (2 * q)
        return both[:, :q], both[:, q:]


@dataclass(frozen=True)
class Discriminants:
    """Gaussian classes with one covariance: the log-likelihood of perturbations, but for a constant of the cell.

    Attributes
    ----------
    centroid
        (P, H) mean inputs of each perturbation, shrunken towards their common mean.
    precision
        (H, H) inverse of the shrunken covariance within perturbations.
    log_prior
        (P,) logarithm of the share of the cells.
    """

    centroid: np.ndarray
    precision: np.ndarray
    log_prior: np.ndarray

    @cached_property
    def kernel(self) -> np.ndarray:
        """(H, P): scores are ``inputs @ kernel + bias``."""
        return self.precision @ self.centroid.T

    @cached_property
    def bias(self) -> np.ndarray:
        """(P,)."""
        return self.log_prior - 0.5 * np.sum(self.centroid.T * self.kernel, axis=0)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Scores (n, P) of cells (n, H)."""
        return inputs @ self.kernel + self.bias

    def with_centroid(self, centroid: np.ndarray) -> Discriminants:
        """The same rule for other mean inputs."""
        return replace(self, centroid=centroid)


@dataclass(frozen=True)
class Directions:
    """How effects show among cells, and how far that can be trusted.

    Attributes
    ----------
    slope, control
        (H,) each: cells with effect Δ (log1p(CP10k), H genes) have the mean inputs ``control + slope · Δ``.
    rule
        Discriminants of the inputs; their precision is the metric of all cosines and lengths.
    of_cells, of_lists
        How sure a shift of cells, or one made of lists of genes, may be, where the right perturbation's effect may have
        been predicted.
    of_measured
        How sure a shift of cells may be among perturbations that were all measured.
    unseen
        For naming cells where some perturbations are known by their predicted effects alone: weight of the
        discriminants, and what is added to the scores of those perturbations.
    """

    slope: np.ndarray
    control: np.ndarray
    rule: Discriminants
    of_cells: Confidence = field(default_factory=Confidence)
    of_lists: Confidence = field(default_factory=Confidence)
    of_measured: Confidence = field(default_factory=Confidence)
    unseen: tuple[float, float] = (1.0, 0.0)

    def cosines(self, shifts: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Cosines of shifts with effects, (n, Q), after whitening.

        Parameters
        ----------
        shifts
            (n, H) differences of inputs.
        effects
            (Q, H) natural-log units.
        """
        directions = self.slope * effects
        turned = directions @ self.rule.precision
        lengths = np.sqrt(np.maximum(np.einsum("qh,qh->q", turned, directions), 1e-24))
        return (shifts @ turned.T) / (self.lengths(shifts)[:, None] * lengths[None])

    def lengths(self, shifts: np.ndarray) -> np.ndarray:
        """Lengths of shifts (n, H) in units of the scatter of cells, (n,)."""
        return np.sqrt(np.maximum(np.einsum("nh,nh->n", shifts @ self.rule.precision, shifts), 1e-24))

    def naming(self, inputs: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Scores (n, P + Q) of the P seen perturbations and of Q unseen ones, known by predicted effects alone.

        All by discriminants: on the same footing, where the policy head knows more about the seen ones.

        Parameters
        ----------
        inputs
            (n, H) cells.
        effects
            (Q, H) predicted effects.
        """
        weight, offset = self.unseen
        unseen = Discriminants(
            self.control + self.slope * effects,
            self.rule.precision,
            np.full(len(effects), self.rule.log_prior.mean()),
        )
        return weight * np.hstack([self.rule(inputs), unseen(inputs) + offset / weight])

    def list_shift(self, up: Sequence[int], down: Sequence[int], spread: np.ndarray) -> np.ndarray:
        """The wanted shift of lists of genes, (1, H): one control standard deviation up or down, and 0 elsewhere.

        Parameters
        ----------
        up, down
            Columns.
        spread
            (H,) control standard deviations, natural-log units.
        """
        wanted = np.zeros(len(spread))
        wanted[list(up)], wanted[list(down)] = 1.0, -1.0
        return (self.slope * spread * wanted)[None]

    def ranking(
        self,
        shift: np.ndarray,
        effects: np.ndarray,
        measured: np.ndarray,
        n_cells: float,
        confidence: Confidence,
    ) -> pd.DataFrame:
        """Perturbations by how likely each, or its opposite, makes a shift; the likeliest first.

        Parameters
        ----------
        shift
            (H,) difference of inputs.
        effects
            (Q, H) effects as the effect head gives them.
        measured
            (Q, H) measured effects, NaN rows where there are none.
        n_cells
            Cells behind the shift; infinite for lists of genes.
        confidence
            :attr:`of_cells`, :attr:`of_lists` or :attr:`of_measured`.

        Returns
        -------
        pandas.DataFrame
            Indexed by the row of ``effects``: ``sign`` (``right``, or ``wrong`` where the opposite intervention is
            needed), ``score`` (cosine with the effect), ``probability`` (of this perturbation with this sign) and
            ``evidence`` (cosine with the measured effect).
        """
        score = self.cosines(shift[None], effects)
        odds = confidence.log_odds(score, self.lengths(shift[None]), n_cells)
        right, wrong = (each[0] for each in confidence.probabilities(odds))
        known = np.isfinite(measured).all(axis=1)
        evidence = np.full(len(effects), np.nan)
        if known.any():
            evidence[known] = self.cosines(shift[None], measured[known])[0]
        table = pd.DataFrame(
            {
                "sign": np.where(score[0] >= 0, "right", "wrong"),
                "score": score[0],
                "probability": np.maximum(right, wrong),
                "evidence": evidence,
            }
        )
        return table.sort_values("probability", ascending=False, kind="stable")
