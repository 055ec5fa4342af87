"""From gene points in many dimensions to a picture in the Poincaré disk."""

from __future__ import annotations

import numpy as np

from hyperperturb.manifolds import poincare

_BLOCK = 256


def disk_layout(points: np.ndarray, *, steps: int = 500, seed: int = 0) -> np.ndarray:
    """Two-dimensional disk coordinates that keep every radius and, as far as a disk can, the distances.

    A gene's distance from the origin is a claim of the model (how central it is), so it is kept exactly; only the
    angles are chosen, by minimising the hyperbolic stress Σ w_ij (δ_ij − d_ij)², w_ij = exp(−d_ij), with Adam on random
    blocks of genes. δ follows from the hyperbolic law of cosines.

    Parameters
    ----------
    points
        (N, d) points of the unit ball (curvature −1).
    steps
        Blocks looked at.
    seed
        Of the blocks.

    Returns
    -------
    numpy.ndarray
        (N, 2) float64 points of the open unit disk.

    Examples
    --------
    >>> layout = disk_layout(np.array([[0.1, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.6]]), steps=10)
    >>> np.linalg.norm(layout, axis=1).round(6).tolist()
    [0.1, 0.5, 0.6]
    """
    points = np.asarray(points, dtype=np.float64)
    norm = np.minimum(np.linalg.norm(points, axis=1), 1.0 - 1e-7)
    radius = 2.0 * np.arctanh(norm)
    angle = _first_angles(points, norm)
    rng = np.random.default_rng(seed)
    first, second = np.zeros_like(angle), np.zeros_like(angle)
    block = min(_BLOCK, len(points))
    for step in range(steps):
        chosen = rng.permutation(len(points))[:block]
        gradient = _stress_gradient(
            angle[chosen], radius[chosen], poincare.pairwise_dist(points[chosen], c=1.0)
        )
        first[chosen] = 0.9 * first[chosen] + 0.1 * gradient
        second[chosen] = 0.99 * second[chosen] + 0.01 * gradient**2
        rate = 0.1 * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        angle[chosen] -= rate * first[chosen] / (np.sqrt(second[chosen]) + 1e-9)
    return norm[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def _first_angles(points: np.ndarray, norm: np.ndarray) -> np.ndarray:
    direction = points / np.maximum(norm, 1e-12)[:, None]
    _, _, axes = np.linalg.svd(direction - direction.mean(axis=0), full_matrices=False)
    plane = direction @ axes[:2].T
    if plane.shape[1] < 2:
        plane = np.column_stack([plane, np.zeros((len(plane), 2 - plane.shape[1]))])
    return np.arctan2(plane[:, 1], plane[:, 0])


def _stress_gradient(angle: np.ndarray, radius: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Derivative of the block's stress by each angle."""
    cos, sin, sinh, cosh = np.cos(angle), np.sin(angle), np.sinh(radius), np.cosh(radius)
    reach = np.outer(sinh, sinh)
    aligned = np.outer(cos, cos) + np.outer(sin, sin)
    across = np.outer(sin, cos) - np.outer(cos, sin)
    cosh_flat = np.maximum(np.outer(cosh, cosh) - reach * aligned, 1.0)
    sinh_flat = np.sqrt(cosh_flat**2 - 1.0)
    flat = np.log(cosh_flat + sinh_flat)
    weight = np.exp(-distance)
    np.fill_diagonal(weight, 0.0)
    return np.sum(2.0 * weight * (flat - distance) * reach * across / np.maximum(sinh_flat, 1e-6), axis=1)
