"""Simple predictors that every model has to beat before it may claim anything.

A predictor is a function (training effects, targets to predict) → (Q, R) effects; see
:class:`hyperperturb.evaluation.cross_validation.Predictor`. Each of these sees the training effects it is given, the
networks where it says so, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from hyperperturb.data.effects import Effects
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.local_precision import LocalPrecision, arrange
from hyperperturb.models.local_prior import make_prior
from hyperperturb.models.local_process import LocalProcess
from hyperperturb.models.measurements import LeftOut, solve
from hyperperturb.models.neighbourhoods import Neighbourhoods

if TYPE_CHECKING:
    from hyperperturb.evaluation.cross_validation import Predictor

_RIDGE = np.geomspace(0.01, 100, 25)
_NEIGHBOURS = (1, 2, 3, 5, 8, 12, 20, 32, 50)
_COMPONENTS = 10
_PCA_RIDGE = 0.1
_ROWS, _SORT_ALL = 1024, 2048
_PROJECTIONS = 64
_WIDE_UP_TO = 20_000_000
_NETWORK_ONLY = KernelParameters(mean=0.0, diffusion=1.0, hyperbolic=0.0, own=0.0, noise=0.0, factor=1.0)


def simple_baselines(kernels: GeneKernels | Neighbourhoods) -> dict[str, Predictor]:
    """All of them by name, in the order a report shows them.

    Parameters
    ----------
    kernels
        Similarities over at least all target genes, for the two that use networks.

    Examples
    --------
    >>> list(simple_baselines(GeneKernels(("A",), np.ones((1, 1)))))[:3]
    ['no_change', 'training_mean', 'additive']
    """
    return {
        "no_change": no_change,
        "training_mean": training_mean,
        "additive": additive,
        "ridge_pca": ridge_pca,
        "network_neighbours": NetworkNeighbours(kernels),
        "effect_neighbours": effect_neighbours,
        "network_kernel_ridge": NetworkKernelRidge(kernels),
    }


def no_change(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Predict that nothing happens: zeros, (Q, R)."""
    return np.zeros((len(targets), len(training.genes)))


def training_mean(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Predict the mean effect of the training perturbations for everything, (Q, R)."""
    return np.repeat(training.effect.mean(axis=0, dtype=np.float64)[None], len(targets), axis=0)


def additive(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Predict the sum of the measured effects of the single genes, (Q, R).

    A gene that the training part never perturbs alone counts as the mean of the genes that it does perturb alone (as
    the mean of all training perturbations, where there are none). So for a single unseen gene this is a mean, and for
    a combination of seen ones it is the additive model of Ahlmann-Eltze et al. (2025, Nature Methods 22:1657).
    """
    single = _single_effects(training)
    unseen = _unseen_effect(training, single)
    return np.array([sum(single.get(gene, unseen) for gene in target) for target in targets])


def ridge_pca(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Bilinear ridge regression on PCA embeddings of the genes, (Q, R).

    The linear model of Ahlmann-Eltze et al. (2025, Nature Methods 22:1657): Y ≈ G W Pᵀ + b with Y the expression under
    each training perturbation, G the genes' first ten principal components in Y, P the rows of G that belong to the
    perturbed genes, b the mean over perturbations and W = (GᵀG + 0.1 I)⁻¹ Gᵀ (Y − b) P (PᵀP + 0.1 I)⁻¹. Effects take
    the place of expression where the control mean is not known. A combination has the sum of its genes' embeddings. A
    gene that is not measured has no embedding: it teaches nothing and is predicted as the mean.
    """
    Y = _working(training.effect).T
    mean = Y.mean(axis=1, dtype=np.float64)
    level = 0.0 if training.control_mean is None else training.control_mean.astype(Y.dtype)[:, None]
    expression = Y + level
    G = _components(expression - expression.mean(axis=0))
    row = {gene: i for i, gene in enumerate(training.genes)}

    def embedding(sets: Sequence[Sequence[str]]) -> np.ndarray:
        out = np.zeros((len(sets), G.shape[1]))
        for i, genes in enumerate(sets):
            for gene in genes:
                if gene in row:
                    out[i] += G[row[gene]]
        return out

    known = np.array([any(gene in row for gene in target) for target in training.targets])
    if not known.any() or not G.any():
        return training_mean(training, targets)
    P = embedding([t for t, there in zip(training.targets, known, strict=True) if there])
    penalty = _PCA_RIDGE * np.eye(G.shape[1])
    left = np.linalg.solve(G.T @ G + penalty, G.T @ Y[:, known] - (G.T @ mean)[:, None])
    W = np.linalg.solve(P.T @ P + penalty, P.T @ left.T).T
    return mean + embedding(targets) @ (G @ W).T


class NetworkNeighbours:
    """The mean of the training perturbations whose targets are nearest in the networks, weighted by similarity.

    Two perturbations are as similar as their targets are on average. The number of neighbours (1 to 50) is the one with
    the least error when each training perturbation is predicted from those that share no gene with it. Where nothing is
    similar at all, this is the mean of the training perturbations.

    Parameters
    ----------
    kernels
        Similarities over at least all target genes; only the networks' part is used.
    """

    def __init__(self, kernels: GeneKernels | Neighbourhoods) -> None:
        self.kernels = kernels

    def __call__(self, training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        """Choose the number of neighbours on the training effects and predict, (Q, R)."""
        genes = sorted({g for target in training.targets for g in target})
        member = _membership(training.targets, genes)
        among = _Nearest.find(
            lambda rows: np.where(
                (member[rows] @ member.T).toarray() > 0,
                -np.inf,
                _similarity(self.kernels, training, training.targets[rows]),
            ),
            len(training.targets),
        )
        near = _Nearest.find(lambda rows: _similarity(self.kernels, training, targets[rows]), len(targets))
        return near.mean(training.effect, _best_number(among, training.effect))


def effect_neighbours(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Sum over the targets of the effects of the genes nearest in effect space, (Q, R).

    A measured gene has a place in effect space without being perturbed itself: how it responds to each training
    perturbation (its own response to itself left out). A target that no training perturbation hits alone is predicted
    as the mean of the single genes whose places correlate most with its own, weighted by that, their number
    chosen as in :class:`NetworkNeighbours`; one that some training perturbation hits alone is its own nearest
    neighbour. A gene that is neither measured nor hit alone counts as the mean of the single genes. So where targets
    are not measured (a table of components), this is :func:`additive`.
    """
    single = _single_effects(training)
    unseen = _unseen_effect(training, single)
    column = {gene: i for i, gene in enumerate(training.genes)}
    placed = [gene for gene in single if gene in column]
    wanted = [gene for gene in dict.fromkeys(g for t in targets for g in t) if gene not in single]
    found = [gene for gene in wanted if gene in column]
    if len(placed) > 2 and found:
        place = _working(training.effect)
        for i, target in enumerate(training.targets):
            place[i, [column[gene] for gene in target if gene in column]] = 0.0
        place -= place.mean(axis=0, dtype=np.float64)
        place /= np.maximum(np.linalg.norm(place, axis=0), np.finfo(float).tiny)
        mine = place[:, [column[gene] for gene in placed]]
        asked = place[:, [column[gene] for gene in found]]

        def correlation(rows: slice) -> np.ndarray:
            out = mine[:, rows].T @ mine
            numbers = np.arange(len(placed))
            out[numbers[rows, None] == numbers] = -np.inf
            return out

        Y = np.array([single[gene] for gene in placed])
        k = _best_number(_Nearest.find(correlation, len(placed)), Y)
        near = _Nearest.find(lambda rows: asked[:, rows].T @ mine, len(found))
        single |= dict(zip(found, near.mean(Y, k), strict=True))
    return np.array([sum(single.get(gene, unseen) for gene in target) for target in targets])


class NetworkKernelRidge:
    """Kernel ridge regression over perturbations on the networks' diffusion similarity.

    Two perturbations are as similar as their targets are on average; the ridge is chosen among 25 values on
    the leave-one-out error of the training perturbations (closed form), the mean effect is not penalised. Over very
    many perturbations the kernel is approximated as the model's is (:mod:`hyperperturb.models.local_process`), and the
    ridge is chosen on 64 random combinations of the response genes, which keep squared errors but for chance.

    Parameters
    ----------
    kernels
        Similarities over at least all target genes; only the diffusion part is used.
    """

    def __init__(self, kernels: GeneKernels | Neighbourhoods) -> None:
        self.kernels = kernels

    def __call__(self, training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        """Fit on the training effects and predict, (Q, R)."""
        if isinstance(self.kernels, Neighbourhoods):
            return _local_ridge(self.kernels, training, targets)
        Y = training.effect.astype(np.float64)
        mean = Y.mean(axis=0)
        residual = Y - mean
        values, vectors = np.linalg.eigh(_similarity(self.kernels, training, training.targets))
        turned = vectors.T @ residual
        gram = turned @ turned.T

        def error(ridge: float) -> float:
            scaled = vectors / (values + ridge)
            held_out = np.sum((scaled @ gram) * scaled, axis=1)
            return float(np.sum(held_out / np.sum(scaled * vectors, axis=1) ** 2))

        best = min(_RIDGE, key=error)
        solved = (vectors / (values + best)) @ turned
        return mean + _similarity(self.kernels, training, targets) @ solved


def _local_ridge(kernels: Neighbourhoods, training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    mean = training.effect.mean(axis=0, dtype=np.float64)
    residual = training.effect - mean.astype(np.float32)
    genes = sorted({g for target in training.targets for g in target})
    design = _membership(training.targets, genes)
    system = arrange(make_prior(kernels, _NETWORK_ONLY), genes, design)
    few = np.random.default_rng(0).standard_normal((residual.shape[1], _PROJECTIONS), np.float32)
    projected = residual @ few
    each = list(np.arange(len(residual))[:, None])

    def error(ridge: float) -> float:
        precision = LocalPrecision(system, np.full(len(residual), ridge))
        left = LeftOut.of(precision, each, len(residual))
        return float(np.sum((left.weights @ (precision @ projected)) ** 2))

    precision = LocalPrecision(system, np.full(len(residual), min(_RIDGE, key=error)))
    nothing = sparse.csc_array(residual.shape)
    read, _, _ = solve(precision, (design, precision.features), residual, nothing, ())
    asked = sorted({g for target in targets for g in target})
    connected = np.zeros(len(system.prior.genes))  # the ridge has no intervals
    return mean + _membership(targets, asked) @ LocalProcess.solved(precision, *read, connected).mean(asked)


def _membership(targets: Sequence[Sequence[str]], genes: Sequence[str]) -> sparse.csr_array:
    column = {g: i for i, g in enumerate(genes)}
    pairs = [(row, column[gene], 1.0 / len(target)) for row, target in enumerate(targets) for gene in target]
    rows, columns, shares = zip(*pairs, strict=True) if pairs else ((), (), ())
    return sparse.csr_array((shares, (rows, columns)), shape=(len(targets), len(genes)))


def _working(effect: np.ndarray) -> np.ndarray:
    """A copy to work on, in float64 unless that would take up much memory."""
    return effect.astype(np.float64 if effect.size <= _WIDE_UP_TO else np.float32)


def _single_effects(training: Effects) -> dict[str, np.ndarray]:
    """Gene → mean measured effect of the perturbations of this gene alone, (R,)."""
    rows: dict[str, list[int]] = {}
    for i, target in enumerate(training.targets):
        if len(target) == 1:
            rows.setdefault(target[0], []).append(i)
    kind = np.float64 if training.effect.size <= _WIDE_UP_TO else np.float32
    return {gene: training.effect[i].mean(axis=0, dtype=np.float64).astype(kind) for gene, i in rows.items()}


def _unseen_effect(training: Effects, single: dict[str, np.ndarray]) -> np.ndarray:
    """What a gene that was never perturbed alone is taken to do, (R,)."""
    if single:
        return sum(effect.astype(np.float64) for effect in single.values()) / len(single)
    return training.effect.mean(axis=0, dtype=np.float64)


def _components(matrix: np.ndarray) -> np.ndarray:
    """Scores of the rows on the first principal components of centred columns, (rows, at most 10)."""
    k = min(_COMPONENTS, min(matrix.shape) - 1)
    if k < 1:
        return np.zeros((len(matrix), 1))
    if min(matrix.shape) <= 2 * _COMPONENTS:
        left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    else:
        left, values, _ = svds(matrix, k=k, v0=np.ones(min(matrix.shape)))
    order = np.argsort(-values)[:k]
    return left[:, order] * values[order]


def _similarity(
    kernels: GeneKernels | Neighbourhoods, training: Effects, targets: Sequence[Sequence[str]]
) -> np.ndarray:
    """Mean similarity of the genes of ``targets`` with those of the training perturbations, (Q, P)."""
    columns = sorted({g for target in training.targets for g in target})
    rows = sorted({g for target in targets for g in target})
    similarity = kernels.between(rows, columns)[0]
    return (_membership(training.targets, columns) @ (_membership(targets, rows) @ similarity).T).T


@dataclass(frozen=True)
class _Nearest:
    """The most similar rows of Y for each of Q cases, at most fifty, best first.

    ``chosen`` (Q, K) row numbers; ``similarity`` (Q, K), −∞ for a row that is forbidden; ``forbidden`` all of those,
    for the cases that nothing is similar to.
    """

    chosen: np.ndarray
    similarity: np.ndarray
    forbidden: dict[int, np.ndarray]

    @classmethod
    def find(cls, similarity: Callable[[slice], np.ndarray], n: int) -> _Nearest:
        """Look at the similarities of some cases (a slice of the n) with all rows at a time."""
        chosen, values, forbidden = [], [], {}
        for start in range(0, n, _ROWS):
            part = similarity(slice(start, min(start + _ROWS, n)))
            k = min(max(_NEIGHBOURS), part.shape[1])
            if part.shape[1] > _SORT_ALL:
                best = np.argpartition(-part, k - 1, axis=1)[:, :k]
                best.sort(axis=1)
                order = np.argsort(-np.take_along_axis(part, best, axis=1), axis=1, kind="stable")
                best = np.take_along_axis(best, order, axis=1)
            else:
                best = np.argsort(-part, axis=1, kind="stable")[:, :k]
            found = np.take_along_axis(part, best, axis=1)
            for row in np.flatnonzero(found[:, 0] <= 0):
                forbidden[start + int(row)] = np.flatnonzero(np.isneginf(part[row]))
            chosen.append(best)
            values.append(found)
        return cls(np.concatenate(chosen), np.concatenate(values), forbidden)

    def mean(self, Y: np.ndarray, k: int) -> np.ndarray:
        """Mean of the k most similar rows of Y, weighted by similarity, (Q, R); of all rows where none is above 0."""
        k = min(k, self.chosen.shape[1])
        weight = np.maximum(self.similarity[:, :k], 0.0)
        total = weight.sum(axis=1, keepdims=True)
        weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        bounds = np.arange(len(weight) + 1) * k
        shape = (len(weight), len(Y))
        out = sparse.csr_array((weight.ravel(), self.chosen[:, :k].ravel(), bounds), shape=shape) @ Y
        for row in np.flatnonzero(total[:, 0] == 0):
            forbidden = self.forbidden.get(int(row), np.array([], dtype=int))
            allowed = np.ones(len(Y), dtype=bool)
            allowed[forbidden] = len(forbidden) == len(Y)
            out[row] = Y[allowed].mean(axis=0, dtype=np.float64)
        return out


def _best_number(among: _Nearest, Y: np.ndarray) -> int:
    """The number of neighbours with the least squared error of the rows of Y."""
    numbers = [k for k in _NEIGHBOURS if k < len(Y)] or [1]
    return min(numbers, key=lambda k: float(np.sum((among.mean(Y, k) - Y) ** 2)))
