"""Normal coordinates: the trigonometry that their functions share. See :mod:`hyperperturb.manifolds.normal`."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, prepare, wide
from hyperperturb.manifolds.safe import sum_squares

Array = Any


def prepare_wide(*arrays: Any, c: Any) -> tuple[Any, ...]:
    """Return ``(ops, *arrays, c, like)`` in float64, and an array of the dtype that the result goes back to."""
    ops, *arrays, c = prepare(*arrays, c=c)
    return ops, *(wide(ops, a) for a in arrays), wide(ops, c), arrays[0]


def dot(ops: Any, u: Array, v: Array) -> Array:
    """Return the Euclidean inner product along the last axis, kept."""
    return ops.sum(u * v, axis=-1, keepdims=True)


def within(ops: Any, x: Array, c: Array, limit: float) -> Array:
    """Return the vectors, those longer than ``limit`` in units of the curvature radius shortened to it."""
    x = safe.bounded(x)
    z = c * sum_squares(x)
    outside = z > limit * limit
    return ops.where(outside, x * (limit / ops.sqrt(ops.where(outside, z, ops.ones_like(z)))), x)


def point(ops: Any, x: Array, c: Array, like: Array) -> Array:
    """Return the points within the reach of the dtype that they are stored in."""
    return within(ops, x, c, safe.normal_reach(dtype_of(like)))


def sinhc_cosh(ops: Any, z: Array) -> tuple[Array, Array]:
    """Return sinh(r)/r and cosh(r) of z = r²."""
    ratio = safe.sinhc(z)
    return ratio, ops.sqrt(1.0 + z * ops.square(ratio))


def _far_from_origin(ops: Any, size2: Array, apart2: Array, c: Array) -> Array:
    """Tell where the direction of a point is well defined beside its distance from another one.

    There polar coordinates lose nothing. Elsewhere the forms that are smooth at the origin lose nothing: the point
    is nearer to it than a curvature radius, and than to the other point.
    """
    return ops.logical_or(size2 > 0.01 * apart2, c * size2 >= 1.0)


def gyro_sum(ops: Any, x: Array, v: Array, c: Array) -> Array:
    r"""Return :math:`\exp_x v = x\oplus v`, not bounded.

    On the hyperboloid the sum is :math:`\cosh\ell\,(\cosh r, \sinh r\,n) + \frac{\sinh\ell}\ell(a\,e_n +
    v_\perp)`, with the part :math:`a` of the step along :math:`n`. Its space part is :math:`Xn +
    \frac{\sinh\ell}{\ell}v_\perp` with :math:`X = \sinh r\cosh\ell + \frac a\ell\sinh\ell\cosh r`, which for a
    step inwards is written as :math:`\sinh(r-\ell) + (1+\frac a\ell)\sinh\ell\cosh r`, and both differences in
    :math:`x + v`: nothing cancels.
    """
    s, xv = x + v, dot(ops, x, v)
    size2, step2 = sum_squares(x), sum_squares(v)
    sinhc_x, cosh_x = sinhc_cosh(ops, c * size2)
    sinhc_v, cosh_v = sinhc_cosh(ops, c * step2)
    far = _far_from_origin(ops, size2, sum_squares(s), c)
    smooth = sinhc_v * v + (sinhc_x * cosh_v + c * sinhc_v * ops.square(sinhc_x) / (1.0 + cosh_x) * xv) * x

    size = ops.sqrt(ops.where(far, size2, ops.ones_like(size2)))
    step = safe.sqrt(step2)
    n = x / size
    # v without its part along x, which is also x + v without it: from the shorter of the two.
    shorter = ops.where(sum_squares(s) < step2, s, v + 0.0 * x)
    across = shorter - dot(ops, shorter, n) * n
    along = xv / size
    inwards = along < 0.0
    left = dot(ops, s, x - v) / (size + step)
    remaining = left * safe.sinhc(c * ops.square(left))
    turned = sum_squares(across) / ops.where(inwards, step - along, ops.ones_like(step))
    radial = ops.where(
        inwards, remaining + sinhc_v * cosh_x * turned, size * sinhc_x * cosh_v + along * sinhc_v * cosh_x
    )
    space = safe.bounded(ops.where(far, radial * n + sinhc_v * across, smooth))
    return safe.arsinhc(c * sum_squares(space)) * space


def half_sinh2(ops: Any, x: Array, y: Array, c: Array) -> Array:
    r"""Return :math:`\sinh^2(\sqrt c\,d(x, y)/2)/c` as a sum of positive terms (last axis kept).

    :math:`\sinh^2\frac{r_x-r_y}{2} + \sinh r_x\sinh r_y\sin^2\frac\theta2`, with both differences written in
    ``x - y``.
    """
    s = x - y
    size2_x, size2_y = sum_squares(x), sum_squares(y)
    z_x, z_y = c * size2_x, c * size2_y
    (sinhc_x, cosh_x), (sinhc_y, cosh_y) = sinhc_cosh(ops, z_x), sinhc_cosh(ops, z_y)
    both = sinhc_x * sinhc_y
    far = _far_from_origin(ops, ops.minimum(size2_x, size2_y), sum_squares(s), c)
    flat_x = ops.square(sinhc_x) / (1.0 + cosh_x) * size2_x  # (cosh r - 1)/c
    flat_y = ops.square(sinhc_y) / (1.0 + cosh_y) * size2_y
    smooth = 0.5 * (flat_x + flat_y + c * flat_x * flat_y - both * dot(ops, x, y))

    size_x, size_y = safe.sqrt(size2_x), safe.sqrt(size2_y)
    longer = safe.divide(dot(ops, s, x + y), size_x + size_y)
    radial = 0.5 * longer * safe.sinhc(0.25 * c * ops.square(longer))
    # |x||y| - x·y = ||y|x - |x|y|²/(2|x||y|)
    product = size_x * size_y
    turn = sum_squares(size_y * s - longer * y) / ops.where(far, product, ops.ones_like(product))
    return ops.where(far, ops.square(radial) + 0.25 * both * turn, ops.maximum(smooth, 0.0))
