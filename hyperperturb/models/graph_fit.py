"""Where the points of a graph's nodes start, and the one training loop that moves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from hyperperturb.manifolds import spaces
from hyperperturb.manifolds.base import Manifold
from hyperperturb.models.graph_blocks import DiffusionBlocks, EdgeBlocks
from hyperperturb.models.graph_layout import plane_layout
from hyperperturb.models.graph_points import DiffusionPoints, EdgePoints, GraphPoints
from hyperperturb.models.similarity import Similarity
from hyperperturb.nn import QuantumAnnealing, RiemannianAdam, distribution
from hyperperturb.nn.fitting import fit

_FREE_RADIUS = 1.0
_FIRST_SPREAD = 1e-3


def first_points(
    similarity: Similarity, radius: np.ndarray, dim: int, *, manifold: Any = "PoincareBall", seed: int = 0
) -> np.ndarray:
    """Where the points start: spectral directions at the given distances from the origin.

    The directions are the leading eigenvectors of the similarity after the first (which is what all nodes share).

    Parameters
    ----------
    similarity
        Of N nodes.
    radius
        (N,) distances from the origin.
    dim
        Dimensions d of the manifold.
    manifold
        A manifold of curvature −1 or flat.
    seed
        Of the eigensolver's start and of the small random part of the directions.

    Returns
    -------
    numpy.ndarray
        (N, D) float32 points.
    """
    manifold = spaces.get(manifold)
    n = len(similarity)
    k = min(dim + 1, n - 1)
    start = np.random.default_rng(seed).standard_normal(n)
    values, vectors = eigsh(_operator(similarity), k=k, v0=start)
    order = np.argsort(-values)[1:]
    direction = np.zeros((n, dim))
    direction[:, : len(order)] = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    # Nodes without edges have no direction; a small random one keeps them apart.
    direction += 1e-3 * np.random.default_rng(seed + 1).standard_normal(direction.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return from_polar(manifold, radius, direction)


def from_polar(manifold: Manifold, radius: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the (N, D) float32 points at distances (N,) from the origin in directions (N, d) of length 1."""
    unit = manifold.norm(
        manifold.origin(manifold.ambient_dim(1), dtype="float64"), manifold.from_space(np.ones(1))
    )
    tangent = (radius / unit)[:, None] * direction
    return np.asarray(manifold.projx(manifold.expmap0(manifold.from_space(tangent)).astype(np.float32)))


def _operator(similarity: Similarity) -> Any:
    """The similarity as something to multiply with; a factor S is never multiplied out."""
    matrix = similarity.matrix()
    if isinstance(matrix, np.ndarray):
        return matrix.astype(np.float64)
    factor = matrix.astype(np.float64)
    back = factor.T.tocsr()
    return LinearOperator((len(similarity),) * 2, matvec=lambda v: factor @ (back @ v), dtype=np.float64)


def centred(points: np.ndarray, manifold: Manifold) -> np.ndarray:
    """Return the points moved by the isometry that takes their centroid to the origin, float32.

    Distances alone do not say where the origin is; this choice makes "far out" mean far from the middle of all points.
    """
    wide = points.astype(np.float64)
    middle = manifold.centroid(wide)
    moved = manifold.mobius_add(manifold.mobius_scalar_mul(-1.0, middle)[None], wide)
    return np.asarray(manifold.projx(np.asarray(moved).astype(np.float32)))


def fit_diffusion(
    similarity: Similarity,
    *,
    dim: int,
    epochs: int,
    learning_rate: float,
    radius: np.ndarray | None = None,
    radius_weight: float = 0.0,
    manifold: Any = "PoincareBall",
    curvature: float = 1.0,
    learn_curvature: bool = True,
    validation_split: float = 0.0,
    seed: int = 0,
    annealing: float = 0.0,
    jit_compile: bool = False,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> DiffusionPoints:
    """Place nodes so that exp(−distance) mirrors their similarity.

    Parameters
    ----------
    similarity
        Of N nodes.
    dim, manifold, curvature, learn_curvature
        See :class:`~hyperperturb.models.graph_points.GraphPoints`.
    epochs
        Each is at least a pass over the nodes.
    learning_rate
        Riemannian step size in units of distance; falls as a cosine.
    radius, radius_weight
        (N,) distances from the origin, in units of 1/√c, where the points start and, with a weight > 0, where they are
        pulled to. Without them all start at distance 1 and are centred in the end.
    validation_split
        Share of the pairs that training does not see.
    seed
        Of every random choice.
    annealing
        Initial field of :class:`~hyperperturb.nn.QuantumAnnealing`, which falls to 0 at half of the steps; 0 is off.
    jit_compile
        Compile the steps with XLA.
    checkpoint, callbacks
        See :func:`hyperperturb.nn.fitting.fit`.

    Returns
    -------
    DiffusionPoints
        Trained; ``history`` holds the losses.
    """
    n = len(similarity)
    model = DiffusionPoints(
        n,
        dim,
        manifold=manifold,
        curvature=curvature,
        learn_curvature=learn_curvature,
        radius_weight=0.0 if radius is None else radius_weight,
    )
    free = radius is None
    radius = np.full(n, _FREE_RADIUS) if free else np.asarray(radius)
    model.set_positions(first_points(similarity, radius, dim, manifold=model.manifold, seed=seed))
    model.target_radius.assign(radius.astype(np.float32))
    # Where nothing varies (two nodes, equal degrees) there is no share of it: losses are then plain squares.
    model.variances.assign([v if v > 1e-12 else 1.0 for v in (similarity.variance(), float(np.var(radius)))])
    blocks = {"validation_split": validation_split, "seed": seed, "blocks": distribution.replicas()}
    validation = None
    if validation_split > 0:
        validation = DiffusionBlocks(similarity, validation=True, **blocks)
    train(
        model,
        DiffusionBlocks(similarity, **blocks),
        validation=validation,
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        annealing=annealing,
        jit_compile=jit_compile,
        checkpoint=checkpoint,
        callbacks=callbacks,
    )
    if free:
        model.set_positions(centred(model.all_positions(), model.manifold))
    return model


def fit_edges(
    adjacency: sparse.csr_array,
    *,
    dim: int,
    epochs: int,
    learning_rate: float,
    manifold: Any = "PoincareBall",
    curvature: float = 1.0,
    learn_curvature: bool = True,
    seed: int = 0,
    jit_compile: bool = False,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> EdgePoints:
    """Place nodes so that the neighbours of each are its nearest.

    Parameters
    ----------
    adjacency
        ``(N, N)`` CSR array of positive weights; row a holds the neighbours of a.
    dim, epochs, learning_rate, manifold, curvature, learn_curvature, seed, jit_compile, checkpoint, callbacks
        See :func:`fit_diffusion`; the learning rate is that of Adam in tangent coordinates. In two dimensions points
        start from :func:`~hyperperturb.models.graph_layout.plane_layout`, in others at random near the origin, from
        where they can still turn to any side.

    Returns
    -------
    EdgePoints
        Trained.
    """
    n = adjacency.shape[0]
    model = EdgePoints(n, dim, manifold=manifold, curvature=curvature, learn_curvature=learn_curvature)
    if dim == 2:
        start = plane_layout(adjacency)
    else:
        start = _FIRST_SPREAD * np.random.default_rng(seed).standard_normal((n, dim))
    model.points.embeddings.assign(start.astype(np.float32))
    train(
        model,
        EdgeBlocks(adjacency, seed=seed, blocks=distribution.replicas()),
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        jit_compile=jit_compile,
        checkpoint=checkpoint,
        callbacks=callbacks,
    )
    return model


def train(
    model: GraphPoints,
    blocks: DiffusionBlocks | EdgeBlocks,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    validation: DiffusionBlocks | None = None,
    annealing: float = 0.0,
    jit_compile: bool = False,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Move the points by Riemannian Adam along a cosine; what every graph embedding goes through.

    Parameters
    ----------
    model
        With its points where they start.
    blocks, validation
        What the steps look at.
    epochs, learning_rate, seed, annealing, jit_compile, checkpoint, callbacks
        See :func:`fit_diffusion`.
    """
    steps = epochs * len(blocks)
    noise = QuantumAnnealing(annealing, max(steps // 2, 1), seed=seed) if annealing > 0 else None
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.01)
    model.compile(optimizer=RiemannianAdam(learning_rate=schedule, annealing=noise), jit_compile=jit_compile)
    return fit(
        model, blocks, epochs=epochs, validation_data=validation, callbacks=callbacks, checkpoint=checkpoint
    )
