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
    # One quotient a point and vector, and nothing else in each coordinate: XLA keeps divisions out of the loop over
    # coordinates, where it would repeat what leads to a product or a sum.
    whole = gap_x * gap_y + bend
    return (gap_x / whole) * total + (bend / whole) * x


def project(x: Array, c: Array) -> Array:
    """Return the points, those at or beyond the rim pulled back to ``sqrt(c)|x| = 1 - eps``."""
    ops, x, c = prepare(x, c=c)
    return _shrunk(ops, x, sum_squares(x), ops.ones_like(x[..., :1]), c)


def project_any(x: Array, c: Array) -> Array:
    """Return :func:`project` for vectors of any length, also when their squares overflow."""
    ops, x, c = prepare(x, c=c)
    divisor, square = safe.shortened(x, ops.ones_like(x[..., :1]))
    return _shrunk(ops, x, square, divisor, c)


def _shrunk(ops: Any, x: Array, square: Array, divisor: Array, c: Array) -> Array:
    # One factor a point, exactly 1 inside: the product then changes no bit.
    return ops.ones_like(divisor) / (divisor * excess_of(c * square)) * x


def excess_of(radius2: Array) -> Array:
    """Return how many times too long points of the given ``c|x|²`` are: exactly 1 for those inside."""
    ops = safe.ops_of(radius2)
    limit = 1.0 - safe.boundary_eps(dtype_of(radius2))
    outside = radius2 > limit * limit
    one = ops.ones_like(radius2)
    return ops.sqrt(ops.where(outside, radius2, one)) / ops.where(outside, limit * one, one)
