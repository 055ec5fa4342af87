"""What the files of the Poincaré ball share: the dot product, the sum for known gaps, the way back into the ball."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import prepare
from hyperperturb.manifolds.safe import dtype_of, sum_squares

Array = Any


def dot(ops: Any, u: Array, v: Array) -> Array:
    """Return the Euclidean inner product along the last axis, kept."""
    return ops.sum(u * v, axis=-1, keepdims=True)


def add(x: Array, gap_x: Array, y: Array, gap_y: Array, c: Array) -> Array:
    """Return the Möbius sum for known gaps, not projected."""
    total = x + y
    bend = c * sum_squares(total)
    return (gap_x * total + bend * x) / (gap_x * gap_y + bend)


def project(x: Array, c: Array) -> Array:
    """Return the points, those at or beyond the rim pulled back to ``sqrt(c)|x| = 1 - eps``."""
    ops, x, c = prepare(x, c=c)
    limit = 1.0 - safe.boundary_eps(dtype_of(x))
    radius2 = c * sum_squares(x)
    outside = radius2 > limit * limit
    shrink = limit / ops.sqrt(ops.where(outside, radius2, ops.ones_like(radius2)))
    return ops.where(outside, shrink * x, x)
