r"""Hyperbolic space of curvature :math:`-c` in Riemannian normal coordinates at the origin, as pure functions.

A point is stored as its logarithm at the origin: a vector :math:`x` of :math:`\mathbb R^d` whose length is the
distance from the origin. (On the hyperboloid it is :math:`(\cosh r, \sinh r\,n)/\sqrt c` with :math:`r = \sqrt
c|x|` and :math:`n = x/|x|`; this is the hyperboloid parametrised by its tangent space at the origin.) The
metric in these coordinates is 1 along :math:`n` and :math:`(\sinh r/r)^2` across it. Radii are exact in every
dtype, where coordinates of the ball and of the hyperboloid run out of digits or of range.

**Tangent vectors** at :math:`x` are given by their components in the orthonormal frame that parallel transport
carries from the origin to :math:`x`, not by the derivatives of the coordinates: inner products are those of
flat space, transport from the origin is the identity, and transport between points is a rotation. In
coordinates a vector along :math:`n` would carry its rounding across, where the metric magnifies it by
:math:`\sinh r/r`, 10¹⁵ at :math:`r = 38`; in the frame nothing is magnified. :func:`to_coordinates` and
:func:`from_coordinates` change between the two. The Möbius sum is then nothing but the exponential map,
:math:`x\oplus y = \exp_x y`, and the logarithm is :math:`\log_x y = -x\oplus y`.

NumPy arrays or tensors of a Keras backend, ``(..., d)``; ``c >= 0`` is a number or broadcasts against ``(...,
1)``. At ``c = 0`` this is flat space, and all functions are differentiable in ``c`` there. Computed in float64
where the library has it.

References
----------
As in :mod:`hyperperturb.manifolds.poincare`, whose numbers are used; normal coordinates as in J. M. Lee:
Introduction to Riemannian manifolds. Springer 2018, chapters 5 and 6.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, prepare
from hyperperturb.manifolds._frechet import centroid_of, midpoint_of, prepare_sets
from hyperperturb.manifolds._normal import (
    dot,
    gyro_sum,
    half_sinh2,
    point,
    prepare_wide,
    sinhc_cosh,
    within,
)
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import sum_squares

Array = Any


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
    ops, x, y, c, like = prepare_wide(x, y, c=c)
    half = half_sinh2(ops, point(ops, x, c, like), point(ops, y, c, like), c)
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
    ops, x, y, c, like = prepare_wide(x, x if y is None else y, c=c)
    _, c = of_sets(ops, c)
    x, y = point(ops, x, c, like), point(ops, y, c, like)
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
    ops, x, v, c, like = prepare_wide(x, v, c=c)
    x, v = point(ops, x, c, like), within(ops, v, c, safe.normal_step(dtype_of(v)))
    return point(ops, narrow(ops, gyro_sum(ops, x, v, c), like), narrow(ops, c, like), like)


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
    ops, x, y, c, like = prepare_wide(x, y, c=c)
    return narrow(ops, gyro_sum(ops, -point(ops, x, c, like), point(ops, y, c, like), c), like)


def expmap0(v: Array, *, c: Any) -> Array:
    """Return the exponential map at the origin: ``v`` itself, within reach."""
    return projx(v, c=c)


def logmap0(y: Array, *, c: Any) -> Array:
    """Return the logarithm at the origin: ``y`` itself."""
    return prepare(y, c=c)[1]


def ptransp(x: Array, y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport along the geodesic: a rotation, by the area of the triangle origin, ``x``, ``y``.

    :math:`\operatorname{gyr}[y, -x]v` of [2]; with :math:`S = \sinh^2(\sqrt c\,d/2)`, :math:`X_0 = \cosh r_x`,
    :math:`X_s = \frac{\sinh r_x}{r_x}x` and :math:`Mv = X_s\langle Y_s, v\rangle - Y_s\langle X_s, v\rangle` it
    is :math:`v + \frac c{2(1+S)(1+X_0)(1+Y_0)}M((2+2S+X_0+Y_0)v + cMv)`, in which ``M`` vanishes with ``y -
    x``.

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
    ops, x, y, v, c, like = prepare_wide(x, y, v, c=c)
    x, y = point(ops, x, c, like), point(ops, y, c, like)
    s = y - x
    sinhc_x, cosh_x = sinhc_cosh(ops, c * sum_squares(x))
    sinhc_y, cosh_y = sinhc_cosh(ops, c * sum_squares(y))
    gain = 1.0 + c * half_sinh2(ops, x, y, c)

    def rotate(u: Array) -> Array:
        return dot(ops, s, u) * x - dot(ops, x, u) * s

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
    x = point(ops, x, c, x)
    z = c * sum_squares(x)
    ratio = safe.sinhc(z)
    return v / ratio + c * safe.sinhc_slope(z) / ratio * dot(ops, x, v) * x


def from_coordinates(x: Array, w: Array, *, c: Any) -> Array:
    """Return the tangent vector for a velocity of the coordinates, the inverse of :func:`to_coordinates`."""
    ops, x, w, c, like = prepare_wide(x, w, c=c)
    x = point(ops, x, c, like)
    z = c * sum_squares(x)
    return narrow(ops, safe.sinhc(z) * w - c * safe.sinhc_slope(z) * dot(ops, x, w) * x, like)


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
    return point(ops, x, c, x)


def proju(x: Array, u: Array, *, c: Any) -> Array:
    """Return ``u``: every vector is tangent (it broadcasts to the shape of ``x + u``)."""
    _, x, u, _ = prepare(x, u, c=c)
    return _like(x, u)


def egrad2rgrad(x: Array, g: Array, *, c: Any) -> Array:
    r"""Return the Riemannian gradient, in the frame, for the partial derivatives ``g`` by the coordinates.

    The part along ``x`` stays, the part across is divided by :math:`\sinh r/r`: the same map as
    :func:`to_coordinates`.

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


def centroid(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the weighted Lorentz centroid, the same point as :func:`hyperperturb.manifolds.poincare.centroid`.

    Its weights and shapes apply.
    """
    ops, x, weights, c, like = prepare_sets(x, weights, c=c)
    return point(ops, narrow(ops, centroid_of(ops, x, weights, c), like), narrow(ops, c, like), like)


def midpoint(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the weighted Fréchet mean, which minimises :math:`\sum w_i\,d(m, x_i)^2`.

    Damped Newton steps from the centroid, a fixed number (enough for points within 40 curvature radii of the
    origin). Gradients by the points, the weights and ``c`` are those of the implicit function: one last step is
    differentiated.

    Parameters
    ----------
    x
        Points, ``(..., n, d)``.
    weights
        Not negative, ``(..., n)``; equal if not given. With ``x`` of shape ``(n, d)``, weights of shape ``(...,
        n)`` give one mean a row.
    c
        Curvature magnitude: a scalar, or one a set, broadcasting against ``(..., 1)``.

    Returns
    -------
    array
        ``(..., d)``; the origin where all weights are 0.
    """
    ops, x, weights, c, like = prepare_sets(x, weights, c=c)
    return point(ops, narrow(ops, midpoint_of(ops, x, weights, c), like), narrow(ops, c, like), like)


def to_lorentz(x: Array, *, c: Any) -> Array:
    r"""Return the points on the hyperboloid, :math:`(\cosh r, \sinh r\,n)/\sqrt c`, ``(..., d + 1)``."""
    from hyperperturb.manifolds import lorentz

    ops, x, c = prepare(x, c=c)
    return lorentz.expmap0(ops.concatenate([ops.zeros_like(x[..., :1]), x], axis=-1), c=c)


def to_poincare(x: Array, *, c: Any) -> Array:
    r"""Return the points in the ball, :math:`\tanh(r/2)\,n/\sqrt c`, ``(..., d)``."""
    from hyperperturb.manifolds import poincare

    _, x, c = prepare(x, c=c)
    return poincare.expmap0(0.5 * x, c=c)
