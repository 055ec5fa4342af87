"""Squared differences of all pairs through one matrix product, without an (n, m, d) temporary."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, wide


def squared_differences(ops: Any, x: Any, y: Any) -> Any:
    """Return ``|x_i - y_j|²``, exactly 0 for coincident points.

    Formed in float64 also for float32 points: their products are exact there, so that what cancels is
    rounding of 1e-16 and not of 6e-8. Differences below 4e-8 of the points' length count as zero.

    Parameters
    ----------
    ops
        The namespace of the arrays.
    x, y
        Shapes ``(..., n, d)`` and ``(..., m, d)``.

    Returns
    -------
    array
        Shape ``(..., n, m)``, in the dtype of ``x``.
    """
    xw, yw = wide(ops, x), wide(ops, y)
    scale = safe.sum_squares(xw) + ops.swapaxes(safe.sum_squares(yw), -1, -2)
    product = ops.matmul(xw, ops.swapaxes(yw, -1, -2))
    return narrow(ops, safe.exact_zero(scale - 2.0 * product, scale, dtype_of(xw)), x)
