"""How effects show among cells, and how far that can be trusted: fitted to cells and to held-out perturbations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.models.cell_evidence import class_means
from hyperperturb.models.cells import CellInputs, Cells, control_spread
from hyperperturb.models.directions import Confidence, Directions, Discriminants
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.predictor import fit_head

_SIZES = (1, 10, 30, 100, 300)
_DRAWS = 3
_MOST_QUERIES = 4000
LIST_LENGTH = 10
"""Genes up, and as many down, in the lists that the probabilities of lists are calibrated with."""


@dataclass(frozen=True)
class HeldOut:
    """One fold by gene: ``rows`` of the held-out perturbations, and ``effect`` (P, H) of all as the head fitted without
    them gives it."""

    rows: np.ndarray
    effect: np.ndarray


def held_out_effects(
    effects: Effects, kernels: GeneKernels, genes: Sequence[str], *, folds: int, seed: int
) -> list[HeldOut]:
    """Predict every perturbation's effect fold by fold, by a head that saw nothing of the held-out genes.

    Parameters
    ----------
    effects
        All measured effects.
    kernels
        What the head knows about genes.
    genes
        Response genes that are wanted.
    folds, seed
        See :func:`hyperperturb.evaluation.splits.gene_folds`.
    """
    column = {g: i for i, g in enumerate(effects.genes)}
    chosen = [column[g] for g in genes]
    out = []
    for split in gene_folds(effects.targets, folds=folds, seed=seed):
        head = fit_head(effects.select([effects.perturbations[i] for i in split.train]), kernels, seed)
        predicted = head.predict(effects.targets, standard_error=False)[0][:, chosen]
        out.append(HeldOut(split.test, predicted.astype(np.float32)))
    return out


def effects_from_cells(
    effects: Effects,
    kernels: GeneKernels | Neighbourhoods,
    cells: Cells,
    rows: np.ndarray,
    *,
    parameters: KernelParameters | None = None,
) -> np.ndarray:
    """Effects of all perturbations as the head knows them when only some cells had been measured, (P, H).

    What other cells of the same perturbations say about them is then a question that the answer does not contain.

    Parameters
    ----------
    effects
        All measured effects.
    kernels
        What the head knows about genes.
    cells
        Perturbed cells; numbers of perturbations refer to ``effects``.
    rows
        The cells that count. A perturbation without any is predicted.
    parameters
        Of the head; None searches for them.
    """
    known = effects.restrict_genes(cells.genes)
    label = cells.perturbation[rows]
    counts = np.bincount(label, minlength=len(known.perturbations))
    control, _ = control_spread(effects, cells.genes)
    less = np.sqrt(np.maximum(known.n_cells, 1) / np.maximum(counts, 1))
    known = replace(
        known,
        effect=(class_means(cells.values[rows], label, len(counts)) - control).astype(np.float32),
        standard_error=known.standard_error * less[:, None].astype(np.float32),
        n_cells=counts,
    )
    known = known.select([p for p, n in zip(known.perturbations, counts, strict=True) if n])
    return fit_head(known, kernels, parameters=parameters).predict(effects.targets, standard_error=False)[0]


def fit_directions(
    inputs: CellInputs,
    rule: Discriminants,
    values: np.ndarray,
    label: np.ndarray,
    train: np.ndarray,
    tune: np.ndarray,
    effect: np.ndarray,
    spread: np.ndarray,
    folds: Sequence[HeldOut],
    known: np.ndarray,
    *,
    seed: int,
) -> Directions:
    """How effects show among these cells, calibrated on held-out perturbations and on held-out cells.

    Parameters
    ----------
    inputs, rule
        How the cell heads see cells, and their discriminants.
    values, label
        (m, H) log1p(CP10k) and (m,) perturbations of the cells.
    train, tune
        Rows of the cells that ``rule`` was fitted on, and of others.
    effect
        (P, H) measured effects.
    spread
        (H,) control standard deviations.
    folds
        Predictions for held-out genes. In each fold the held-out perturbations are asked for, once by means of their
        cells and once by lists of genes, among all perturbations and their opposites.
    known
        (P, H) effects as the head knows them from the cells of ``train`` alone (:func:`effects_from_cells`); the other
        cells ask for them, which says how sure an answer may be among perturbations that were measured.
    seed
        Of the draw of cells.
    """
    shift = inputs(values)
    slope, control = _effects_in_inputs(
        class_means(shift[train], label[train], len(effect)), effect, label[train]
    )
    directions = Directions(slope, control, rule)
    rng = np.random.default_rng(seed)
    of_cells = calibrate(cell_queries(directions, shift, label, folds, rng))
    of_lists = calibrate(list_queries(directions, effect, spread, folds))
    others = np.setdiff1d(np.arange(len(label)), train)
    measured = [HeldOut(np.arange(len(effect)), known)]
    of_measured = calibrate(cell_queries(directions, shift[others], label[others], measured, rng))
    unseen = _calibrate_unseen(directions, rule, shift[tune], label[tune], folds)
    return replace(directions, of_cells=of_cells, of_lists=of_lists, of_measured=of_measured, unseen=unseen)


def _effects_in_inputs(
    mean: np.ndarray, effect: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of the perturbations' mean inputs on their effects, gene by gene."""
    weight = np.bincount(label, minlength=len(effect)).astype(np.float64)
    weight /= weight.sum()
    middle, centre = weight @ mean, weight @ effect
    over = weight @ ((mean - middle) * (effect - centre))
    under = weight @ (effect - centre) ** 2
    slope = np.maximum(np.divide(over, under, out=np.zeros_like(over), where=under > 1e-12), 0.0)
    return slope, middle - slope * centre


@dataclass(frozen=True)
class Queries:
    """Shifts whose perturbation is known: cosines and lengths among all candidates, cells, and the right column."""

    cosines: np.ndarray
    lengths: np.ndarray
    n_cells: np.ndarray
    right: np.ndarray


def _gather(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Queries:
    return Queries(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def cell_queries(
    directions: Directions,
    shift: np.ndarray,
    label: np.ndarray,
    folds: Sequence[HeldOut],
    rng: np.random.Generator,
) -> Queries:
    """Means of a few or many cells of each perturbation, compared with the effects of the fold that holds it out."""
    members = {int(p): np.flatnonzero(label == p) for p in np.unique(label)}
    plan = [
        (p, min(size, len(rows))) for p, rows in members.items() for size in _SIZES for _ in range(_DRAWS)
    ]
    plan = [plan[i] for i in np.sort(rng.permutation(len(plan))[:_MOST_QUERIES])]
    means = np.stack([shift[rng.choice(members[p], size, replace=False)].mean(axis=0) for p, size in plan])
    wanted, right = means - directions.control, np.array([p for p, _ in plan])
    size = np.array([n for _, n in plan], dtype=np.float64)
    lengths = directions.lengths(wanted)
    parts = []
    for fold in folds:
        chosen = np.isin(right, fold.rows)
        cosines = directions.cosines(wanted[chosen], fold.effect)
        parts.append((cosines, lengths[chosen], size[chosen], right[chosen]))
    return _gather(parts)


def list_queries(
    directions: Directions, effect: np.ndarray, spread: np.ndarray, folds: Sequence[HeldOut]
) -> Queries:
    """Lists of the genes that each held-out perturbation moves most, up and down."""
    parts = []
    for fold in folds:
        wanted = np.concatenate(
            [directions.list_shift(*strongest(effect[p] / spread), spread) for p in fold.rows]
        )
        cosines = directions.cosines(wanted, fold.effect)
        parts.append((cosines, directions.lengths(wanted), np.full(len(wanted), np.inf), fold.rows))
    return _gather(parts)


def strongest(effect: np.ndarray, length: int = LIST_LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the ``length`` largest and smallest values, at most a third of all each.

    Examples
    --------
    >>> up, down = strongest(np.array([0.0, 3.0, -1.0]))
    >>> up.tolist(), down.tolist()
    ([1], [2])
    """
    order = np.argsort(effect, kind="stable")
    length = max(1, min(length, len(effect) // 3))
    return order[-length:][::-1], order[:length]


def calibrate(queries: Queries) -> Confidence:
    """The confidence under which the right answers, with their sign, are most likely."""
    rows = np.arange(len(queries.right))
    exact = not np.isfinite(queries.n_cells).any()  # then sharpness and error are one number

    def confidence(theta: np.ndarray) -> Confidence:
        error = 1.0 if exact else float(np.exp(theta[2]))
        return Confidence(float(np.exp(theta[0])), error, float(expit(theta[1])))

    def surprise(theta: np.ndarray) -> float:
        guess = confidence(theta)
        odds = guess.log_odds(queries.cosines, queries.lengths, queries.n_cells)
        return -float(np.mean(np.log(guess.probabilities(odds)[0][rows, queries.right] + 1e-300)))

    start = np.array([1.0, -3.0, -4.0][: 2 if exact else 3])
    found = minimize(
        surprise,
        start,
        method="Nelder-Mead",
        bounds=[(-5.0, 8.0), (-9.0, 0.0), (-14.0, 8.0)][: len(start)],
        options={"xatol": 1e-2, "fatol": 1e-5},
    )
    return confidence(found.x)


def _calibrate_unseen(
    directions: Directions,
    rule: Discriminants,
    shift: np.ndarray,
    label: np.ndarray,
    folds: Sequence[HeldOut],
) -> tuple[float, float]:
    """Weight of the discriminants and offset of the unseen, when a fold is known by predicted effects alone."""
    parts = []
    for fold in folds:
        centroid = rule.centroid.copy()
        centroid[fold.rows] = directions.control + directions.slope * fold.effect[fold.rows]
        unseen = np.zeros(len(centroid))
        unseen[fold.rows] = 1.0
        parts.append((rule.with_centroid(centroid)(shift), unseen))
    rows = np.arange(len(label))

    def surprise(theta: np.ndarray) -> float:
        weight, offset = np.exp(theta[0]), theta[1]
        losses = [
            log_softmax(weight * scores + offset * unseen, axis=1)[rows, label] for scores, unseen in parts
        ]
        return -float(np.mean(losses))

    found = minimize(
        surprise,
        np.array([-0.5, 0.0]),
        method="Nelder-Mead",
        bounds=[(-7.0, 3.0), (-10.0, 10.0)],
        options={"xatol": 1e-2, "fatol": 1e-5},
    )
    return float(np.exp(found.x[0])), float(found.x[1])
