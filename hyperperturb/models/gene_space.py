"""The space of genes: a hyperbolic point per gene, placed so that exp(−distance) mirrors the networks.

This is the diffusion objective of :func:`hyperperturb.embed_graph` with the model's own settings: points on the unit
ball, distances divided by √c with a learned c, and hubs pulled inwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata

from hyperperturb.manifolds import poincare
from hyperperturb.models.similarity import DenseSimilarity, Similarity

if TYPE_CHECKING:
    import keras

    from hyperperturb.models.graph_points import DiffusionPoints
    from hyperperturb.models.settings import TrainingSettings
    from hyperperturb.models.universe import Universe

RADIUS_WEIGHT = 0.4
_DISK_RADIUS = 2.5
_ROWS_OF_QUALITY = 4096
_GENES_OF_INTERVAL, _RESAMPLES = 400, 200


def hub_radius(centrality: np.ndarray, *, flat: bool = False) -> np.ndarray:
    """The radius, in units of 1/√c, that a gene of this centrality is pulled to.

    Genes ranked by centrality fill a hyperbolic disk of radius 2.5 evenly, the most central first: the area within r
    grows as cosh r − 1, which is why there is room for few hubs in the middle and for many genes at the rim
    (Krioukov et al. 2010, eq. 7, uniform case). In flat space it grows as r².

    Parameters
    ----------
    centrality
        (N,) ranks scaled to [0, 1], 1 the most central.
    flat
        Fill a flat disk of the same radius.

    Examples
    --------
    >>> hub_radius(np.array([1.0, 0.0])).tolist()
    [0.0, 2.5]
    """
    outside = 1.0 - np.asarray(centrality)
    if flat:
        return _DISK_RADIUS * np.sqrt(outside)
    return np.arccosh(1.0 + outside * (np.cosh(_DISK_RADIUS) - 1.0))


def fit_gene_space(
    similarity: Similarity | np.ndarray,
    centrality: np.ndarray,
    *,
    dim: int,
    epochs: int,
    learning_rate: float,
    curvature: float,
    validation_split: float,
    seed: int,
    annealing: float = 0.0,
    jit_compile: bool = False,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    manifold: str = "PoincareBall",
) -> DiffusionPoints:
    """Place the genes.

    Parameters
    ----------
    similarity
        Diffusion similarity of N genes, or the (N, N) float32 matrix of one.
    centrality
        (N,) ranks scaled to [0, 1], 1 the most central.
    dim, epochs, learning_rate, curvature, validation_split, seed, annealing, jit_compile
        See :class:`hyperperturb.models.settings.TrainingSettings`.
    checkpoint
        File that training goes on from when it is interrupted (:func:`hyperperturb.nn.fitting.fit`).
    callbacks
        Keras callbacks of the fit.
    manifold
        ``Euclidean`` for the flat twin of the model.

    Returns
    -------
    DiffusionPoints
        Trained.
    """
    from hyperperturb.models.graph_fit import fit_diffusion

    return fit_diffusion(
        as_similarity(similarity),
        dim=dim,
        epochs=epochs,
        learning_rate=learning_rate,
        radius=hub_radius(centrality, flat=manifold == "Euclidean"),
        radius_weight=RADIUS_WEIGHT,
        manifold=manifold,
        curvature=curvature,
        validation_split=validation_split,
        seed=seed,
        annealing=annealing,
        jit_compile=jit_compile,
        checkpoint=checkpoint,
        callbacks=callbacks or (),
    )


def as_similarity(similarity: Similarity | np.ndarray) -> Similarity:
    """A dense matrix as a :class:`~hyperperturb.models.similarity.Similarity`; others as they are."""
    return DenseSimilarity(similarity) if isinstance(similarity, np.ndarray) else similarity


def place_genes(
    universe: Universe,
    settings: TrainingSettings,
    *,
    manifold: str = "PoincareBall",
    seed: int | None = None,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
) -> DiffusionPoints:
    """Place the genes of a universe with the settings of a training; centrality is the degree.

    Parameters
    ----------
    universe
        N genes.
    settings
        Dimensions, epochs, step size and the rest.
    manifold
        ``PoincareBall``, or ``Euclidean`` for the flat twin: the same loss, steps and number of coordinates.
    seed
        In the place of that of the settings.
    checkpoint, callbacks
        See :func:`fit_gene_space`.
    """
    degree = np.diff(universe.adjacency.indptr)
    return fit_gene_space(
        universe.similarity,
        (rankdata(degree) - 1.0) / max(len(degree) - 1, 1),
        dim=settings.embedding_dim,
        epochs=settings.epochs,
        learning_rate=settings.point_learning_rate,
        curvature=settings.curvature,
        validation_split=settings.validation_split,
        seed=settings.seed if seed is None else seed,
        annealing=settings.annealing,
        jit_compile=settings.jit_compile,
        checkpoint=checkpoint,
        callbacks=callbacks,
        manifold=manifold,
    )


def fit_quality(
    points: np.ndarray, curvature: float, similarity: Similarity | np.ndarray, *, manifold: Any = None
) -> float:
    """Pearson correlation of exp(−distance) with the diffusion similarity over all pairs of genes.

    Parameters
    ----------
    points
        (N, D) points of the manifold of curvature −1.
    curvature
        c: distances are divided by √c.
    similarity
        Of the N genes. Beyond 4,096 of them the pairs of a fixed sample of so many genes with all others count.
    manifold
        Where the points are; the unit ball by default.
    """
    similarity = as_similarity(similarity)
    distance = poincare.pairwise_dist if manifold is None else manifold.pairwise_dist
    options = {"c": 1.0} if manifold is None else {}
    n = len(points)
    points = points.astype(np.float64)
    chosen = np.arange(n)
    if n > _ROWS_OF_QUALITY:
        chosen = np.sort(np.random.default_rng(0).choice(n, _ROWS_OF_QUALITY, replace=False))
    everything = np.arange(n)
    total = np.zeros(6)
    for start in range(0, len(chosen), 512):
        rows = chosen[start : start + 512]
        a = np.exp(-distance(points[rows], points, **options) / np.sqrt(curvature))
        off = everything[None] > rows[:, None] if n <= _ROWS_OF_QUALITY else everything[None] != rows[:, None]
        a, b = a[off], similarity.block(rows, everything)[off].astype(np.float64)
        total += [len(a), a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()]
    pairs = total[0]
    mean_a, mean_b = total[1] / pairs, total[2] / pairs
    covariance = total[5] / pairs - mean_a * mean_b
    return float(covariance / np.sqrt((total[3] / pairs - mean_a**2) * (total[4] / pairs - mean_b**2)))


def curvature_interval(
    points: np.ndarray, curvature: float, similarity: Similarity | np.ndarray, *, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the curvature that fits the similarities best, over resampled genes.

    The points stay where they are (placing them anew for every resample would take as many trainings), so this is how
    well the similarities determine the scale of the distances between them, not how another training would end. A
    bootstrap over genes, of a fixed sample of at most 400; the curvature learned beside other aims may lie outside.

    Parameters
    ----------
    points
        (N, D) points of the unit ball.
    curvature
        The learned c; the interval is looked for between half of it and twice it.
    similarity
        Of the N genes.
    seed
        Of the sample and the resamples.

    Returns
    -------
    low, high
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(points), min(len(points), _GENES_OF_INTERVAL), replace=False))
    some = points[rows].astype(np.float64)
    distance = poincare.pairwise_dist(some, some, c=1.0)
    wanted = as_similarity(similarity).block(rows).astype(np.float64)
    counts = rng.multinomial(len(rows), np.full(len(rows), 1.0 / len(rows)), size=_RESAMPLES).astype(
        np.float64
    )
    grid = curvature * np.geomspace(0.5, 2.0, 101)
    loss = []
    for c in grid:
        missed = (np.exp(-distance / np.sqrt(c)) - wanted) ** 2
        loss.append(np.sum((counts @ missed) * counts, axis=1))
    best = grid[np.argmin(loss, axis=0)]
    low, high = np.quantile(best, [0.025, 0.975])
    return float(low), float(high)
