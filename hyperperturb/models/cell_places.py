"""From the policy head's space to a picture: the directions, seen from the controls, in which perturbations part."""

from __future__ import annotations

import numpy as np

from hyperperturb.manifolds import poincare

_RIM = 1.0 - 1e-12


def flatten_around(points: np.ndarray, group: np.ndarray, centre: int) -> np.ndarray:
    """Two coordinates of points of a hyperbolic space of many dimensions, as seen from the middle of one group.

    The middle of that group (closed-form centroid) is moved to the origin, every point becomes its logarithm there, and
    these are projected on the two directions in which the groups' means differ most (principal geodesic analysis,
    Fletcher et al. 2004, of group means weighted by their cells). So the origin is the centre group, lengths are
    hyperbolic distances from it as far as they lie in these two directions, and the cells' scatter, which has no
    direction, does not choose the axes.

    Parameters
    ----------
    points
        (n, d) points of the unit ball (curvature −1), d ≥ 2.
    group
        (n,) group numbers; negative ones are placed but choose no direction.
    centre
        The group in the middle; where it has no points, the middle of all.

    Returns
    -------
    numpy.ndarray
        (n, 2) float64. Signs are fixed so that the group farthest along each axis is on its positive side.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, -0.6, 0.0]])
    >>> flatten_around(points, np.array([0, 1, 2]), centre=0).shape
    (3, 2)
    """
    points = np.asarray(points, dtype=np.float64)
    middle = group == centre
    origin = poincare.centroid(points[middle] if middle.any() else points, c=1.0)
    moved = poincare.mobius_add(-origin[None], points, c=1.0)
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    tangent = moved * (2.0 * np.arctanh(np.minimum(norm, _RIM)) / np.maximum(norm, 1e-12))
    means, counts = _means(tangent, group)
    axes = _axes(means, np.sqrt(counts)) if len(means) > 2 else None
    if axes is None:  # too few groups to choose directions by
        axes = np.linalg.svd(tangent - tangent.mean(axis=0), full_matrices=False)[2][:2]
        means = tangent
    flat, far = tangent @ axes.T, means @ axes.T
    return flat * np.where(far[np.abs(far).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)


def _means(tangent: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the groups that have cells, and their numbers of cells."""
    names, place = np.unique(group[group >= 0], return_inverse=True)
    counts = np.bincount(place, minlength=len(names)).astype(np.float64)
    means = np.zeros((len(names), tangent.shape[1]))
    np.add.at(means, place, tangent[group >= 0])
    return means / np.maximum(counts, 1.0)[:, None], counts


def _axes(means: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """The two directions in which means differ most; None where they differ in fewer."""
    offset = means - np.average(means, axis=0, weights=weight**2)
    _, strength, axes = np.linalg.svd(offset * weight[:, None], full_matrices=False)
    return axes[:2] if strength[1] > 1e-9 * max(strength[0], 1e-300) else None
