r"""Hyperbolic space of curvature :math:`-c` in Riemannian normal coordinates at the origin, as pure functions.

A point is stored as its logarithm at the origin: a vector :math:`x` of :math:`\mathbb R^d` whose length is the distance
from the origin. (On the hyperboloid it is :math:`(\cosh r, \sinh r\,n)/\sqrt c` with :math:`r = \sqrt c|x|` and
:math:`n = x/|x|`; this is the hyperboloid parametrised by its tangent space at the origin.) The metric in these coordinates
is 1 along :math:`n` and :math:`(\sinh r/r)^2` across it. Radii are exact in every dtype, where coordinates of the ball and
of the hyperboloid run out of digits or of range.

**Tangent vectors** at :math:`x` are given by their components in the orthonormal frame that parallel transport carries from
the origin to :math:`x`, not by the derivatives of the coordinates: inner products are those of flat space, transport from
the origin is the identity, and transport between points is a rotation. In coordinates a vector along :math:`n` would carry
its rounding across, where the metric magnifies it by :math:`\sinh r/r`, 10¹⁵ at :math:`r = 38`; in the frame nothing is
magnified. :func:`to_coordinates` and :func:`from_coordinates` change between the two. The Möbius sum is then nothing but the
exponential map, :math:`x\oplus y = \exp_x y`, and the logarithm is :math:`\log_x y = -x\oplus y`.

NumPy arrays or tensors of a Keras backend, ``(..., d)``; ``c >= 0`` is a number or broadcasts against ``(..., 1)``. At
``c = 0`` this is flat space, and all functions are differentiable in ``c`` there. Computed in float64 where the library has
it.

References
----------
As in :mod:`hyperperturb.manifolds.poincare`, whose numbers are used; normal coordinates as in J. M. Lee: Introduction to
Riemannian manifolds. Springer 2018, chapters 5 and 6.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, prepare, stop_gradient, wide
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import sum_squares

Array = Any


def _prepare_wide(*arrays: Any, c: Any) -> tuple[Any, ...]:
    """Return ``(ops, *arrays, c, like)`` in float64, and an array of the dtype that the result goes back to."""
    ops, *arrays, c = prepare(*arrays, c=c)
    return ops, *(wide(ops, a) for a in arrays), wide(ops, c), arrays[0]


def _dot(ops: Any, u: Array, v: Array) -> Array:
    return ops.sum(u * v, axis=-1, keepdims=True)


def _within(ops: Any, x: Array, c: Array, limit: float) -> Array:
    """Return the vectors, those longer than ``limit`` in units of the curvature radius shortened to it."""
    x = safe.bounded(x)
    z = c * sum_squares(x)
    outside = z > limit * limit
    return ops.where(outside, x * (limit / ops.sqrt(ops.where(outside, z, ops.ones_like(z)))), x)


def _point(ops: Any, x: Array, c: Array, like: Array) -> Array:
    """Return the points within the reach of the dtype that they are stored in."""
    return _within(ops, x, c, safe.normal_reach(dtype_of(like)))


def _sinhc_cosh(ops: Any, z: Array) -> tuple[Array, Array]:
    """Return sinh(r)/r and cosh(r) of z = r²."""
    ratio = safe.sinhc(z)
    return ratio, ops.sqrt(1.0 + z * ops.square(ratio))


def _far_from_origin(ops: Any, size2: Array, apart2: Array, c: Array) -> Array:
    """Tell where the direction of a point is well defined beside its distance from another one.

    There polar coordinates lose nothing. Elsewhere the forms that are smooth at the origin lose nothing: the point
    is nearer to it than a curvature radius, and than to the other point.
    """
    return ops.logical_or(size2 > 0.01 * apart2, c * size2 >= 1.0)


def _sum(ops: Any, x: Array, v: Array, c: Array) -> Array:
    r"""Return :math:`\exp_x v = x\oplus v`, not bounded.

    On the hyperboloid the sum is :math:`\cosh\ell\,(\cosh r, \sinh r\,n) + \frac{\sinh\ell}\ell(a\,e_n + v_\perp)`, with the
    part :math:`a` of the step along :math:`n`. Its space part is :math:`Xn + \frac{\sinh\ell}{\ell}v_\perp` with
    :math:`X = \sinh r\cosh\ell + \frac a\ell\sinh\ell\cosh r`, which for a step inwards is written as
    :math:`\sinh(r-\ell) + (1+\frac a\ell)\sinh\ell\cosh r`, and both differences in :math:`x + v`: nothing cancels.
    """
    s, xv = x + v, _dot(ops, x, v)
    size2, step2 = sum_squares(x), sum_squares(v)
    sinhc_x, cosh_x = _sinhc_cosh(ops, c * size2)
    sinhc_v, cosh_v = _sinhc_cosh(ops, c * step2)
    far = _far_from_origin(ops, size2, sum_squares(s), c)
    smooth = sinhc_v * v + (sinhc_x * cosh_v + c * sinhc_v * ops.square(sinhc_x) / (1.0 + cosh_x) * xv) * x

    size = ops.sqrt(ops.where(far, size2, ops.ones_like(size2)))
    step = safe.sqrt(step2)
    n = x / size
    across = s - _dot(ops, s, n) * n
    along = xv / size
    inwards = along < 0.0
    left = _dot(ops, s, x - v) / (size + step)
    remaining = left * safe.sinhc(c * ops.square(left))
    turned = sum_squares(across) / ops.where(inwards, step - along, ops.ones_like(step))
    radial = ops.where(
        inwards, remaining + sinhc_v * cosh_x * turned, size * sinhc_x * cosh_v + along * sinhc_v * cosh_x
    )
    space = safe.bounded(ops.where(far, radial * n + sinhc_v * across, smooth))
    return safe.arsinhc(c * sum_squares(space)) * space


def _half_sinh2(ops: Any, x: Array, y: Array, c: Array) -> Array:
    r"""Return :math:`\sinh^2(\sqrt c\,d(x, y)/2)/c` as a sum of positive terms (last axis kept).

    :math:`\sinh^2\frac{r_x-r_y}{2} + \sinh r_x\sinh r_y\sin^2\frac\theta2`, with both differences written in ``x - y``.
    """
    s = x - y
    size2_x, size2_y = sum_squares(x), sum_squares(y)
    z_x, z_y = c * size2_x, c * size2_y
    (sinhc_x, cosh_x), (sinhc_y, cosh_y) = _sinhc_cosh(ops, z_x), _sinhc_cosh(ops, z_y)
    both = sinhc_x * sinhc_y
    far = _far_from_origin(ops, ops.minimum(size2_x, size2_y), sum_squares(s), c)
    flat_x = ops.square(sinhc_x) / (1.0 + cosh_x) * size2_x  # (cosh r - 1)/c
    flat_y = ops.square(sinhc_y) / (1.0 + cosh_y) * size2_y
    smooth = 0.5 * (flat_x + flat_y + c * flat_x * flat_y - both * _dot(ops, x, y))

    size_x, size_y = safe.sqrt(size2_x), safe.sqrt(size2_y)
    longer = safe.divide(_dot(ops, s, x + y), size_x + size_y)
    radial = 0.5 * longer * safe.sinhc(0.25 * c * ops.square(longer))
    # |x||y| - x·y = ||y|x - |x|y|²/(2|x||y|)
    product = size_x * size_y
    turn = sum_squares(size_y * s - longer * y) / ops.where(far, product, ops.ones_like(product))
    return ops.where(far, ops.square(radial) + 0.25 * both * turn, ops.maximum(smooth, 0.0))


def dist(x: Array, y: Array, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the geodesic distance, :math:`\frac2{\sqrt c}\operatorname{arsinh}` of the half-angle form.

    The hyperbolic law of cosines with :math:`\sinh^2\frac{\sqrt cd}{2} = \sinh^2\frac{r_x-r_y}{2} + \sinh r_x\sinh
    r_y\sin^2\frac\theta2`. ``dist(x, x)`` is exactly 0 with gradient 0.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d)``.
    c
        Curvature magnitude.
    keepdims
        Keep the last axis with length 1.

    Returns
    -------
    array
        ``(...)``, or ``(..., 1)`` with ``keepdims``.

    Examples
    --------
    >>> import numpy as np
    >>> float(dist(np.array([20.0, 0.0]), np.array([-15.0, 0.0]), c=1.0).round(12))
    35.0
    """
    ops, x, y, c, like = _prepare_wide(x, y, c=c)
    half = _half_sinh2(ops, _point(ops, x, c, like), _point(ops, y, c, like), c)
    value = narrow(ops, 2.0 * safe.sqrt(half) * safe.arsinhc(c * half), like)
    return value if keepdims else value[..., 0]


def dist0(x: Array, *, c: Any, keepdims: bool = False) -> Array:
    """Return the distance from the origin, the length of ``x``. As :func:`dist`."""
    _, x, c = prepare(x, c=c)
    value = safe.norm(x)
    return value if keepdims else value[..., 0]


def pairwise_dist(x: Array, y: Array | None = None, *, c: Any) -> Array:
    r"""Return the distances of all pairs of two sets of points, through one matrix product in float64.

    The angle comes from the product: two points seen under less than about 4e-8 from the origin count as lying in one
    direction (:func:`dist` resolves them). Radii are exact.

    Parameters
    ----------
    x
        Points, ``(..., n, d)``.
    y
        Points, ``(..., m, d)``; the same as ``x`` if not given.
    c
        Curvature magnitude: a scalar, or one a set, ``(..., 1)``.

    Returns
    -------
    array
        ``(..., n, m)``; exactly 0 for equal points.
    """
    ops, x, y, c, like = _prepare_wide(x, x if y is None else y, c=c)
    _, c = of_sets(ops, c)
    x, y = _point(ops, x, c, like), _point(ops, y, c, like)
    size2_x, size2_y = sum_squares(x), ops.swapaxes(sum_squares(y), -1, -2)
    size_x, size_y = safe.sqrt(size2_x), safe.sqrt(size2_y)
    both = size_x * size_y
    turn = safe.exact_zero(both - ops.matmul(x, ops.swapaxes(y, -1, -2)), both, dtype_of(x))
    radial = 0.5 * safe.divide(size2_x - size2_y, size_x + size_y)
    radial = radial * safe.sinhc(c * ops.square(radial))
    half = ops.square(radial) + 0.5 * safe.sinhc(c * size2_x) * safe.sinhc(c * size2_y) * turn
    return narrow(ops, 2.0 * safe.arsinh_scaled(safe.sqrt(half), c), like)


def inner(x: Array, u: Array, v: Array | None = None, *, c: Any, keepdims: bool = False) -> Array:
    """Return the inner product of tangent vectors at ``x``: that of their components, the frame being orthonormal.

    Parameters
    ----------
    x
        Base points, ``(..., d)``.
    u, v
        Tangent vectors at ``x``, ``(..., d)``; ``v`` defaults to ``u``.
    c
        Curvature magnitude.
    keepdims
        Keep the last axis with length 1.

    Returns
    -------
    array
        ``(...)``, or ``(..., 1)`` with ``keepdims``.
    """
    ops, x, u, v, _ = prepare(x, u, u if v is None else v, c=c)
    return ops.sum(_like(x, u) * v, axis=-1, keepdims=keepdims)


def norm(x: Array, u: Array, *, c: Any, keepdims: bool = False) -> Array:
    """Return the length of tangent vectors; its gradient at ``u = 0`` is 0. As :func:`inner`."""
    _, x, u, _ = prepare(x, u, c=c)
    value = safe.norm(_like(x, u))
    return value if keepdims else value[..., 0]


def _like(x: Array, u: Array) -> Array:
    """Return ``u`` with as many axes as ``x + u`` has."""
    return u + 0.0 * x if len(x.shape) > len(u.shape) else u


def expmap(x: Array, v: Array, *, c: Any) -> Array:
    r"""Return the exponential map, by hyperbolic trigonometry in the triangle origin, ``x``, end.

    Parameters
    ----------
    x
        Base points, ``(..., d)``.
    v
        Tangent vectors at ``x``, in the frame carried from the origin, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``.

    Examples
    --------
    >>> import numpy as np
    >>> expmap(np.array([30.0, 0.0]), np.array([-10.0, 0.0]), c=1.0).round(12).tolist()
    [20.0, 0.0]
    """
    ops, x, v, c, like = _prepare_wide(x, v, c=c)
    x, v = _point(ops, x, c, like), _within(ops, v, c, safe.normal_step(dtype_of(v)))
    return _point(ops, narrow(ops, _sum(ops, x, v, c), like), narrow(ops, c, like), like)


def logmap(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the logarithm, the tangent vector at ``x`` whose exponential is ``y``: :math:`-x\oplus y`.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``x``, in the frame carried from the origin, ``(..., d)``.
    """
    ops, x, y, c, like = _prepare_wide(x, y, c=c)
    return narrow(ops, _sum(ops, -_point(ops, x, c, like), _point(ops, y, c, like), c), like)


def expmap0(v: Array, *, c: Any) -> Array:
    """Return the exponential map at the origin: ``v`` itself, within reach."""
    return projx(v, c=c)


def logmap0(y: Array, *, c: Any) -> Array:
    """Return the logarithm at the origin: ``y`` itself."""
    return prepare(y, c=c)[1]


def ptransp(x: Array, y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport along the geodesic: a rotation, by the area of the triangle origin, ``x``, ``y``.

    :math:`\operatorname{gyr}[y, -x]v` of [2]; with :math:`S = \sinh^2(\sqrt c\,d/2)`, :math:`X_0 = \cosh r_x`, :math:`X_s =
    \frac{\sinh r_x}{r_x}x` and :math:`Mv = X_s\langle Y_s, v\rangle - Y_s\langle X_s, v\rangle` it is :math:`v + \frac
    c{2(1+S)(1+X_0)(1+Y_0)}M((2+2S+X_0+Y_0)v + cMv)`, in which ``M`` vanishes with ``y - x``.

    Parameters
    ----------
    x, y
        From and to, points, broadcasting, ``(..., d)``.
    v
        Tangent vectors at ``x``, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``y``, ``(..., d)``; same length.
    """
    ops, x, y, v, c, like = _prepare_wide(x, y, v, c=c)
    x, y = _point(ops, x, c, like), _point(ops, y, c, like)
    s = y - x
    sinhc_x, cosh_x = _sinhc_cosh(ops, c * sum_squares(x))
    sinhc_y, cosh_y = _sinhc_cosh(ops, c * sum_squares(y))
    gain = 1.0 + c * _half_sinh2(ops, x, y, c)

    def rotate(u: Array) -> Array:
        return _dot(ops, s, u) * x - _dot(ops, x, u) * s

    # Factor by factor of moderate size: the product of the cosh would overflow first.
    first = 2.0 + cosh_x / gain + cosh_y / gain
    second = c * sinhc_x / gain * sinhc_y
    slope = 0.5 * c * (sinhc_x / (1.0 + cosh_x)) * (sinhc_y / (1.0 + cosh_y))
    return narrow(ops, v + slope * rotate(first * v + second * rotate(v)), like)


def ptransp0(y: Array, v: Array, *, c: Any) -> Array:
    """Return the parallel transport from the origin to ``y``: ``v`` itself, since the frame is carried so."""
    _, y, v, _ = prepare(y, v, c=c)
    return _like(y, v)


def to_coordinates(x: Array, v: Array, *, c: Any) -> Array:
    r"""Return the velocity of the coordinates for a tangent vector: across ``x`` divided by :math:`\sinh r/r`.

    Parameters
    ----------
    x
        Points, ``(..., d)``.
    v
        Tangent vectors at ``x``, in the frame carried from the origin, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``.
    """
    ops, x, v, c = prepare(x, v, c=c)
    x = _point(ops, x, c, x)
    z = c * sum_squares(x)
    ratio = safe.sinhc(z)
    return v / ratio + c * safe.sinhc_slope(z) / ratio * _dot(ops, x, v) * x


def from_coordinates(x: Array, w: Array, *, c: Any) -> Array:
    """Return the tangent vector for a velocity of the coordinates, the inverse of :func:`to_coordinates`."""
    ops, x, w, c, like = _prepare_wide(x, w, c=c)
    x = _point(ops, x, c, like)
    z = c * sum_squares(x)
    return narrow(ops, safe.sinhc(z) * w - c * safe.sinhc_slope(z) * _dot(ops, x, w) * x, like)


def retr(x: Array, v: Array, *, c: Any) -> Array:
    """Return the first-order retraction: the coordinates moved by :func:`to_coordinates`. As :func:`expmap`."""
    _, x, v, c = prepare(x, v, c=c)
    return projx(x + to_coordinates(x, v, c=c), c=c)


def projx(x: Array, *, c: Any) -> Array:
    """Return the points. Every vector is one; those beyond the reach of the formulas are pulled back radially.

    The reach is ``sqrt(c)|x| = 40`` in float32 and 80 in float64.

    Parameters
    ----------
    x
        Vectors, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``; vectors within reach come back unchanged, bit for bit.
    """
    ops, x, c = prepare(x, c=c)
    return _point(ops, x, c, x)


def proju(x: Array, u: Array, *, c: Any) -> Array:
    """Return ``u``: every vector is tangent (it broadcasts to the shape of ``x + u``)."""
    _, x, u, _ = prepare(x, u, c=c)
    return _like(x, u)


def egrad2rgrad(x: Array, g: Array, *, c: Any) -> Array:
    r"""Return the Riemannian gradient, in the frame, for the partial derivatives ``g`` by the coordinates.

    The part along ``x`` stays, the part across is divided by :math:`\sinh r/r`: the same map as :func:`to_coordinates`.

    Parameters
    ----------
    x
        Points, ``(..., d)``.
    g
        Partial derivatives with respect to the coordinates, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``x``, ``(..., d)``.
    """
    return to_coordinates(x, g, c=c)


def mobius_add(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the Möbius sum :math:`x\oplus y = \exp_x P_{0\to x}\log_0 y`: in these coordinates, ``expmap(x, y)``."""
    return expmap(x, y, c=c)


def geodesic(t: Any, x: Array, y: Array, *, c: Any) -> Array:
    """Return the point at fraction ``t`` of the geodesic from ``x`` to ``y``; ``t`` broadcasts to ``(..., 1)``."""
    _, x, y, t, c = prepare(x, y, t, c=c)
    return expmap(x, t * logmap(x, y, c=c), c=c)


def to_lorentz(x: Array, *, c: Any) -> Array:
    r"""Return the points on the hyperboloid, :math:`(\cosh r, \frac{\sinh r}{r}\sqrt c\,x)/\sqrt c`, ``(..., d + 1)``."""
    from hyperperturb.manifolds import lorentz

    ops, x, c = prepare(x, c=c)
    return lorentz.expmap0(ops.concatenate([ops.zeros_like(x[..., :1]), x], axis=-1), c=c)


def to_poincare(x: Array, *, c: Any) -> Array:
    r"""Return the points in the ball, :math:`\tanh(r/2)\,n/\sqrt c`, ``(..., d)``."""
    from hyperperturb.manifolds import poincare

    _, x, c = prepare(x, c=c)
    return poincare.expmap0(0.5 * x, c=c)
