"""Which perturbed cells look like controls: a mixture on the one axis that tells a perturbation from the controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

FOLDS = 5
FEWEST_CELLS = 20
"""Cells of a perturbation, drawn, that it takes to judge it."""
SEPARATION = 1.5
"""Standard deviations of the controls by which the changed cells must stand off for a share to be given."""

_ITERATIONS = 200
_RESAMPLES = 100
_SPREAD = (0.7, 2.0)  # of the changed cells, in standard deviations of the controls


def deal_folds(label: np.ndarray, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """Deal cells into folds at random, the cells of each label evenly; (n,) fold numbers.

    Parameters
    ----------
    label
        (n,) label numbers.
    folds
        How many.
    seed
        Of the deal.

    Examples
    --------
    >>> np.bincount(deal_folds(np.zeros(10, dtype=int))).tolist()
    [2, 2, 2, 2, 2]
    """
    order = np.random.default_rng(seed).permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    _, starts, counts = np.unique(label[order], return_index=True, return_counts=True)
    fold = np.empty(len(label), dtype=np.int64)
    fold[order] = (np.arange(len(label)) - np.repeat(starts, counts)) % folds
    return fold


@dataclass(frozen=True)
class Axes:
    """For every perturbation and fold the axis from the controls to it, learned without that fold's cells.

    Attributes
    ----------
    origin
        (K, H) mean of the controls of the other folds.
    direction
        (P, K, H) unit (Mahalanobis) directions: the best linear rule between two groups of one covariance (Fisher).
    """

    origin: np.ndarray
    direction: np.ndarray

    @classmethod
    def learn(cls, sums: np.ndarray, counts: np.ndarray, precision: np.ndarray, control: int) -> Axes:
        """Axes from sums over cells.

        Parameters
        ----------
        sums
            (P + 1, K, H) sums of cells by label and fold.
        counts
            (P + 1, K) their numbers.
        precision
            (H, H) inverse covariance of cells within a label.
        control
            Which label the controls are; the axes are those of the others, in their order.
        """
        rest = counts.sum(axis=1, keepdims=True) - counts
        mean = (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(rest, 1)[..., None]
        origin = mean[control]
        shift = np.delete(mean, control, axis=0) - origin
        direction = shift @ precision
        length = np.sqrt(np.maximum(np.einsum("pkh,pkh->pk", direction, shift), 1e-12))
        return cls(origin.astype(np.float32), (direction / length[..., None]).astype(np.float32))

    def of_controls(self, inputs: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """(n, P) places of cells on all axes, each on those learned without it.

        Parameters
        ----------
        inputs
            (n, H).
        fold
            (n,) the cells' folds.
        """
        out = np.empty((len(inputs), len(self.direction)), dtype=np.float32)
        for k in range(len(self.origin)):
            here = fold == k
            out[here] = (inputs[here] - self.origin[k]) @ self.direction[:, k].T
        return out

    def of_labelled(self, inputs: np.ndarray, label: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """(n,) places of cells on the axis of their own label.

        Parameters
        ----------
        inputs
            (n, H).
        label
            (n,) numbers of perturbations.
        fold
            (n,) the cells' folds.
        """
        return np.einsum("nh,nh->n", inputs - self.origin[fold], self.direction[label, fold])


@dataclass(frozen=True)
class Mixture:
    """Perturbed cells as controls and changed cells.

    Attributes
    ----------
    share
        Part that looks like controls.
    error
        Its standard error, over resampled cells, and at least that of counting.
    separation
        How far the changed cells stand off, in standard deviations of the controls.
    told
        Probability that a perturbed cell, drawn at random, lies farther out than a control (0.5: not told apart).
    probability
        (n,) that each cell is like a control.
    """

    share: float
    error: float
    separation: float
    told: float
    probability: np.ndarray


def split_cells(cells: np.ndarray, controls: np.ndarray, seed: int = 0) -> Mixture:
    """Split cells into those like controls and those that changed.

    The controls are one normal distribution, held fixed, the changed cells another, farther out; expectation and
    maximisation find its mean, its spread and the share, as Mixscape does (Papalexi et al. 2021), but on places that
    no cell had a part in choosing.

    Parameters
    ----------
    cells
        (n,) places of the perturbed cells on their axis.
    controls
        (m,) places of control cells on it.
    seed
        Of the resampling.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cells = np.concatenate([rng.normal(0, 1, 300), rng.normal(4, 1, 700)])
    >>> round(split_cells(cells, rng.normal(0, 1, 1000)).share, 1)
    0.3
    """
    centre, spread = float(controls.mean()), max(float(controls.std()), 1e-9)
    place = (cells - centre) / spread
    rng = np.random.default_rng(seed)
    n = len(place)
    weights = np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1.0 / n), size=_RESAMPLES)])
    share, mean, deviation = _maximise(place, weights)
    like = share[0] * norm.pdf(place)
    changed = (1.0 - share[0]) * norm.pdf(place, mean[0], deviation[0])
    # The wider of two normals wins on both sides, but who lies farther back is not less like a control.
    order = np.argsort(place, kind="stable")
    probability = np.empty(n)
    ratio = (like / np.maximum(like + changed, 1e-300))[order]
    probability[order] = np.maximum.accumulate(ratio[::-1])[::-1]
    rank = rankdata(np.concatenate([cells, controls]))[:n]
    told = (rank.sum() - n * (n + 1) / 2) / (n * len(controls))
    return Mixture(
        float(share[0]), _error(float(share[0]), share[1:], n), float(mean[0]), float(told), probability
    )


def _error(share: float, resampled: np.ndarray, n: int) -> float:
    """Standard error; at least what counting would have, as resampled cells without any like a control have none."""
    adjusted = (share * n + 2.0) / (n + 4.0)  # Agresti and Coull 1998
    return max(float(resampled.std()), float(np.sqrt(adjusted * (1.0 - adjusted) / (n + 4.0))))


def _maximise(place: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share, mean and deviation for every row of weights, each (B,)."""
    total = weights.sum(axis=1)
    share = np.full(len(weights), 0.3)
    mean = np.full(len(weights), max(float(np.quantile(place, 0.75)), 0.5))
    deviation = np.ones(len(weights))
    like = norm.pdf(place)
    for _ in range(_ITERATIONS):
        density = np.exp(-0.5 * ((place - mean[:, None]) / deviation[:, None]) ** 2) / (
            np.sqrt(2.0 * np.pi) * deviation[:, None]
        )
        known = share[:, None] * like
        changed = weights * (1.0 - known / np.maximum(known + (1.0 - share[:, None]) * density, 1e-300))
        mass = np.maximum(changed.sum(axis=1), 1e-9)
        new = 1.0 - mass / total
        mean = np.maximum((changed @ place) / mass, 0.0)
        squares = (changed * (place - mean[:, None]) ** 2).sum(axis=1) / mass
        deviation = np.clip(np.sqrt(squares), *_SPREAD)
        done = np.abs(new - share).max() < 1e-5
        share = new
        if done:
            break
    return np.clip(share, 0.0, 1.0), mean, deviation


def judge_escapers(
    place: np.ndarray, label: np.ndarray, controls: np.ndarray, names: tuple[str, ...], seed: int = 0
) -> tuple[pd.DataFrame, np.ndarray]:
    """Say of every perturbation which part of its cells looks like controls, and of every cell how likely it does.

    Parameters
    ----------
    place
        (n,) places of perturbed cells on their own axes.
    label
        (n,) numbers of their perturbations.
    controls
        (m, P) places of control cells on all axes.
    names
        The P perturbations.
    seed
        Of the resampling.

    Returns
    -------
    table : pandas.DataFrame
        ``perturbation``, ``cells``, ``told`` and ``separation`` (see :class:`Mixture`), ``judged``, ``share`` and
        ``error`` (NaN where the cells cannot be told from controls: a perturbation without an effect and one that
        all cells escaped look the same).
    probability : numpy.ndarray
        (n,) that the cell is like a control; NaN where its perturbation is not judged.
    """
    probability = np.full(len(place), np.nan)
    rows = []
    for number, name in enumerate(names):
        here = np.flatnonzero(label == number)
        row = {
            "perturbation": name,
            "cells": len(here),
            "told": np.nan,
            "separation": np.nan,
            "judged": False,
        }
        row |= {"share": np.nan, "error": np.nan}
        if len(here) >= FEWEST_CELLS and len(controls) >= FEWEST_CELLS:
            found = split_cells(place[here], controls[:, number], seed)
            row |= {"told": found.told, "separation": found.separation}
            # 0.5 by chance; the error of a rank statistic of so many cells.
            chance = np.sqrt((len(here) + len(controls)) / (12.0 * len(here) * len(controls)))
            if found.separation >= SEPARATION and found.told > 0.5 + 3.0 * chance:
                row |= {"judged": True, "share": found.share, "error": found.error}
                probability[here] = found.probability
        rows.append(row)
    return pd.DataFrame(rows), probability
