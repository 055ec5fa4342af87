r"""Centroids of neighbourhoods and of attention weights, as sums of coordinates in which centroids are linear.

The Lorentz centroid (Law et al. 2019; on the ball it is Ungar's gyromidpoint) is a weighted sum of hyperboloid
coordinates, scaled back onto the hyperboloid. So any sparse or dense sum will do: lift the points once, add, and
settle the sums.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, prepare, wide
from hyperperturb.manifolds.base import Manifold
from hyperperturb.manifolds.spaces import Euclidean


def lift(space: Manifold, v: Any) -> Any:
    r"""Return coordinates whose weighted sums :func:`settle` turns into centroids.

    On hyperbolic space time and space on the hyperboloid, :math:`(\cosh\rho, \frac{\sinh\rho}{\rho}v)` for components
    ``v`` and :math:`\rho = \sqrt c|v|`, in float64 because the norm of a sum cancels; in flat space the
    coordinates themselves. Points beyond the reach of float32 points of the ball (14.5 curvature radii) count as lying
    at it.

    Parameters
    ----------
    space
        The manifold.
    v
        Components of points, ``(..., d)``.

    Returns
    -------
    tensor
        ``(..., d + 1)``, in flat space ``(..., d)``.
    """
    if isinstance(space, Euclidean):
        return v
    _, v, c = prepare(v, c=space.c)
    v, c = wide(ops, v), wide(ops, c)
    z = c * safe.sum_squares(v)
    far = safe.arsinh_reach("float32") ** 2
    v = v * ops.where(z > far, ops.sqrt(far / ops.maximum(z, far)), ops.ones_like(z))
    lifted = safe.sinhc(ops.minimum(z, far)) * v
    return ops.concatenate([ops.sqrt(1.0 + c * safe.sum_squares(lifted)), lifted], axis=-1)


def settle(space: Manifold, total: Any, mass: Any, like: Any) -> Any:
    r"""Return the tangent components of the centroids of weighted sums.

    Parameters
    ----------
    space
        The manifold.
    total
        Sums :math:`\sum_i w_i\,\mathrm{lift}(x_i)`.
    mass
        Sums of the weights, not negative, ``(..., 1)``. Where it is 0 the result is the origin.
    like
        An array of the dtype that the result is to have.

    Returns
    -------
    tensor
        ``(..., d)``.
    """
    mass = ops.cast(mass, dtype_of(total))
    if isinstance(space, Euclidean):
        return narrow(ops, safe.divide(total, mass), like)
    _, total, c = prepare(total, c=space.c)
    time, spatial = total[..., :1], total[..., 1:]
    # Reverse Cauchy-Schwarz: the Lorentz norm of the sum is at least the sum of the weights.
    length = safe.sqrt(ops.maximum(ops.square(time) - c * safe.sum_squares(spatial), ops.square(mass)))
    centre = safe.divide(spatial, length)
    return narrow(ops, safe.arsinhc(c * safe.sum_squares(centre)) * centre, like)
