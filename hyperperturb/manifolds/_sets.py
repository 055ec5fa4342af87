"""Curvatures of sets of points: what the operations on ``(..., n, D)`` points share."""

from __future__ import annotations

from typing import Any


def of_sets(ops: Any, c: Any) -> tuple[Any, Any]:
    """Return a curvature as it broadcasts against the results ``(..., 1)`` and against the points ``(..., n, 1)``.

    Parameters
    ----------
    ops
        The namespace of the arrays.
    c
        A scalar, or one curvature a set of points, ``(..., 1)``. A single number in any shape counts as a scalar.

    Returns
    -------
    tuple
        ``(c, c_points)``.

    Examples
    --------
    >>> import numpy as np
    >>> [a.shape for a in of_sets(np, np.ones((5, 1)))]
    [(5, 1), (5, 1, 1)]
    """
    shape = tuple(c.shape)
    if all(size == 1 for size in shape):
        c = ops.reshape(c, ())
        return c, c
    return c, c[..., None, :]
