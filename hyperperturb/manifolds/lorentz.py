r"""The hyperboloid (Lorentz model) of curvature :math:`-c` as pure functions.

Points are the vectors :math:`x = (x_0, x_s)` of shape ``(..., d + 1)``, time first, with :math:`\langle x,
x\rangle_L = -x_0^2 + |x_s|^2 = -1/c` and :math:`x_0 > 0`. Time is a function of space, :math:`x_0 =
\sqrt{1/c + |x_s|^2}`: every function reads the space part of a point and of a tangent vector and computes
the rest, so that rounding in a stored time coordinate does no harm, and gradients flow through space alone.

NumPy arrays or tensors of a Keras backend; ``c > 0`` is a number or broadcasts against ``(..., 1)``. There is no flat
limit here: the hyperboloid moves to infinity as ``c`` goes to 0 (the ball has one).

References
----------
As in :mod:`hyperperturb.manifolds.poincare`, whose numbers are used.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, prepare, wide
from hyperperturb.manifolds._ball import excess_of
from hyperperturb.manifolds._frechet import midpoint_of, prepare_sets
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import sum_squares

Array = Any


def _prepare_wide(*arrays: Any, c: Any) -> tuple[Any, ...]:
    """Return ``(ops, *arrays, c, like)`` in float64, and an array of the dtype that the result goes back to.

    Coordinates grow as ``exp(sqrt(c) d)`` and the formulas subtract them: at distance 8 float32 would lose three
    of its seven digits, where float64 loses three of sixteen.
    """
    ops, *arrays, c = prepare(*arrays, c=c)
    like = arrays[0]
    return ops, *(wide(ops, a) for a in arrays), wide(ops, c), like


def _dot(ops: Any, u: Array, v: Array) -> Array:
    return ops.sum(u * v, axis=-1, keepdims=True)


def _time(ops: Any, space: Array, c: Array) -> Array:
    return ops.sqrt(1.0 / c + sum_squares(space))


def _point(ops: Any, space: Array, c: Array, dtype: str) -> Array:
    """Return the point over the given space part, within the reach of the dtype that it will be stored in."""
    limit2 = safe.reach(dtype) ** 2
    divisor, square = safe.shortened(space, ops.ones_like(space[..., :1]), dtype)
    size2 = c * square
    # Time follows from the same sum.
    excess = ops.maximum(safe.sqrt(size2 / limit2), 1.0)
    time = ops.sqrt((1.0 + ops.minimum(size2, limit2)) / c)
    return ops.concatenate([time, (1.0 / (divisor * excess)) * space], axis=-1)


def _tangent(ops: Any, x: Array, space: Array, c: Array) -> Array:
    """Return the tangent vector at ``x`` with the given space part: orthogonality fixes its time part."""
    time = _dot(ops, x[..., 1:], space) / _time(ops, x[..., 1:], c)
    return ops.concatenate([time, space], axis=-1)


def _half_sinh2(ops: Any, x: Array, y: Array, c: Array) -> Array:
    r"""Return :math:`\sinh^2(\sqrt c\,d(x, y)/2)` from space parts, as a sum of positive terms (last axis kept).

    In polar coordinates about the origin it is
    :math:`\sinh^2\frac{\rho_x-\rho_y}{2} + \sinh\rho_x\sinh\rho_y\sin^2\frac\theta2`.
    """
    length_x, length_y = safe.norm(x), safe.norm(y)
    both = length_x * length_y
    # sinh of the difference of the two radii.
    radial = safe.divide(_dot(ops, x - y, x + y), length_x * _time(ops, y, c) + length_y * _time(ops, x, c))
    radial2 = ops.square(radial)
    # |x||y| - x·y = |p|²/(2|x||y|) with p = |y|x - |x|y, for vectors of similar length written in their difference.
    shorter, longer = ops.minimum(length_x, length_y), ops.maximum(length_x, length_y)
    alike = 2.0 * shorter > longer
    excess = safe.divide(_dot(ops, x - y, x + y), length_x + length_y)
    across = length_y * ops.where(alike, x - y, x) - ops.where(alike, excess, length_x) * y
    # Beside a far point, one near the origin has no direction worth the name: there the difference itself cancels
    # nothing that counts. Its slope at the origin is that of -x·y; the cusp of |x||y| cancels the one in the radial
    # term.
    directed = ops.logical_or(shorter > 1e-3 * longer, c * ops.square(shorter) > 1.0)
    turn = sum_squares(across) / ops.where(directed, 2.0 * both, ops.ones_like(both))
    turn = ops.where(directed, turn, both - _dot(ops, x, y))
    return 0.5 * radial2 / (1.0 + ops.sqrt(1.0 + radial2)) + 0.5 * c * turn


def inner(x: Array, u: Array, v: Array | None = None, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the inner product :math:`\langle u, v\rangle_L` of tangent vectors ([4], section 3).

    With the times from tangency: :math:`\langle u_s, v_s\rangle - \langle u_s, x_s\rangle\langle v_s,
    x_s\rangle/x_0^2`, split along and across :math:`x_s` so that it does not cancel far from the origin.

    Parameters
    ----------
    x
        Base points, ``(..., d + 1)``.
    u, v
        Tangent vectors at ``x``, ``(..., d + 1)``; ``v`` defaults to ``u``.
    c
        Curvature magnitude.
    keepdims
        Keep the last axis with length 1.

    Returns
    -------
    array
        ``(...)``, or ``(..., 1)`` with ``keepdims``.
    """
    ops, x, u, v, c, like = _prepare_wide(x, u, u if v is None else v, c=c)
    value = _inner(ops, x[..., 1:], u[..., 1:], v[..., 1:], c)
    value = narrow(ops, value, like)
    return value if keepdims else value[..., 0]


def _inner(ops: Any, x: Array, u: Array, v: Array, c: Array) -> Array:
    square = sum_squares(x)
    # Multiples of x: the parts of u and v along it.
    along_u, along_v = safe.divide(_dot(ops, u, x), square), safe.divide(_dot(ops, v, x), square)
    across = _dot(ops, u - along_u * x, v - along_v * x)
    return across + along_u * along_v * square / (1.0 + c * square)


def norm(x: Array, u: Array, *, c: Any, keepdims: bool = False) -> Array:
    """Return the length of tangent vectors; its gradient at ``u = 0`` is 0. As :func:`inner`."""
    ops, x, u, c, like = _prepare_wide(x, u, c=c)
    value = safe.sqrt(_inner(ops, x[..., 1:], u[..., 1:], u[..., 1:], c))
    value = narrow(ops, value, like)
    return value if keepdims else value[..., 0]


def dist(x: Array, y: Array, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the distance :math:`\frac{1}{\sqrt c}\operatorname{arcosh}(-c\langle x, y\rangle_L)` ([4]).

    Computed as :math:`\frac{2}{\sqrt c}\operatorname{arsinh}` of the half-angle form (see ``_half_sinh2``),
    which is accurate for near and for far points.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d + 1)``.
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
    >>> round(float(dist(np.array([1.0, 0.0]), np.array([np.cosh(2.0), np.sinh(2.0)]), c=1.0)), 12)
    2.0
    """
    ops, x, y, c, like = _prepare_wide(x, y, c=c)
    half = narrow(ops, safe.sqrt(_half_sinh2(ops, x[..., 1:], y[..., 1:], c)), like)
    value = 2.0 * half * safe.arsinhc(ops.square(half)) / narrow(ops, ops.sqrt(c), like)
    return value if keepdims else value[..., 0]


def dist0(x: Array, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the distance from the origin, :math:`\operatorname{arsinh}(\sqrt c|x_s|)/\sqrt c`. As :func:`dist`."""
    _, x, c = prepare(x, c=c)
    size2 = sum_squares(x[..., 1:])
    value = safe.sqrt(size2) * safe.arsinhc(c * size2)
    return value if keepdims else value[..., 0]


def pairwise_dist(x: Array, y: Array | None = None, *, c: Any) -> Array:
    r"""Return the distances of all pairs of two sets of points, through one matrix product in float64.

    :math:`\sinh^2(\sqrt c\,d/2) = \frac c2(x_0y_0 - \langle x_s, y_s\rangle - 1/c)`. The difference carries
    an error of about :math:`10^{-16}c\,x_0y_0`; what lies below it counts as 0. Points at distance ``r``
    from the origin and nearer to each other than about :math:`10^{-7.5}e^{\sqrt c r}` are therefore not
    resolved (:func:`dist` resolves them).

    Parameters
    ----------
    x
        Points, ``(..., n, d + 1)``.
    y
        Points, ``(..., m, d + 1)``; the same as ``x`` if not given.
    c
        Curvature magnitude: a scalar, or one a set, ``(..., 1)``.

    Returns
    -------
    array
        ``(..., n, m)``; exactly 0 for equal points.
    """
    ops, x, y, c = prepare(x, x if y is None else y, c=c)
    _, c = of_sets(ops, c)
    xs, ys, cw = wide(ops, x[..., 1:]), wide(ops, y[..., 1:]), wide(ops, c)
    times = cw * _time(ops, xs, cw) * ops.swapaxes(_time(ops, ys, cw), -1, -2)
    excess = times - cw * ops.matmul(xs, ops.swapaxes(ys, -1, -2)) - 1.0
    half = narrow(ops, 0.5 * safe.exact_zero(excess, times, dtype_of(xs)), x)
    return 2.0 * ops.arcsinh(safe.sqrt(half)) / ops.sqrt(c)


def expmap(x: Array, v: Array, *, c: Any) -> Array:
    r"""Return the exponential map :math:`\cosh(\sqrt c|v|)x + \frac{\sinh(\sqrt c|v|)}{\sqrt c|v|}v` ([4], [5]).

    Parameters
    ----------
    x
        Base points, ``(..., d + 1)``.
    v
        Tangent vectors at ``x``, ``(..., d + 1)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d + 1)``, on the hyperboloid.
    """
    ops, x, v, c, like = _prepare_wide(x, v, c=c)
    dtype = dtype_of(like)
    xs, vs = x[..., 1:], safe.bounded(v[..., 1:], dtype)
    z = c * _inner(ops, xs, vs, vs, c)
    # sinh must not overflow; twice the reach is the longest way between two points.
    far = (2.0 * safe.arsinh_reach(dtype)) ** 2
    excess = ops.maximum(safe.sqrt(z / far), 1.0)
    z = ops.minimum(z, far)
    ratio = safe.sinhc(z)
    # cosh = sqrt(1 + sinh²), with sinh² = z ratio², needs no second function of z.
    space = ops.sqrt(1.0 + z * ops.square(ratio)) * xs + (ratio / excess) * vs
    return narrow(ops, _point(ops, space, c, dtype), like)


def logmap(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the tangent vector at ``x`` whose exponential is ``y`` ([4], [5]).

    The published :math:`\frac{d}{|w|}w` with :math:`w = y + c\langle x, y\rangle_L x` is written as
    :math:`\frac{\operatorname{arsinh}\sqrt S}{\sqrt S\sqrt{1+S}}\,(y - x - 2Sx)` with
    :math:`S = \sinh^2(\sqrt c\,d/2)`: smooth at ``y = x``.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d + 1)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``x``, ``(..., d + 1)``.
    """
    ops, x, y, c, like = _prepare_wide(x, y, c=c)
    xs, ys = x[..., 1:], y[..., 1:]
    half = _half_sinh2(ops, xs, ys, c)
    # The factor scales the vector as a whole: rounding in the result's dtype is enough for it.
    length, away = wide(ops, safe.arsinhc(narrow(ops, half, like))), ops.sqrt(1.0 + half)
    space = (length / away) * (ys - xs) - (2.0 * half * length / away) * xs
    return narrow(ops, _tangent(ops, x, space, c), like)


def expmap0(v: Array, *, c: Any) -> Array:
    """Return the exponential map at the origin; the time part of ``v`` is ignored. As :func:`expmap`."""
    ops, v, c = prepare(v, c=c)
    vs = v[..., 1:]
    divisor, square = safe.shortened(vs, ops.ones_like(vs[..., :1]))
    z, far = c * square, safe.arsinh_reach(dtype_of(v)) ** 2
    excess = ops.maximum(safe.sqrt(z / far), 1.0)
    return _point(ops, safe.sinhc(ops.minimum(z, far)) / (divisor * excess) * vs, c, dtype_of(v))


def logmap0(y: Array, *, c: Any) -> Array:
    """Return the logarithm at the origin, a tangent vector with time part 0. As :func:`logmap`."""
    ops, y, c = prepare(y, c=c)
    ys = y[..., 1:]
    space = safe.arsinhc(c * sum_squares(ys)) * ys
    return ops.concatenate([ops.zeros_like(space[..., :1]), space], axis=-1)


def ptransp(x: Array, y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport along the geodesic ([5]).

    The published :math:`v + \frac{c\langle y, v\rangle_L}{1 - c\langle x, y\rangle_L}(x + y)` subtracts numbers
    of the size of :math:`x_0y_0`. In frames carried from the origin the transport is a rotation, which vanishes
    with ``y - x``; see :func:`hyperperturb.manifolds.normal.ptransp`.

    Parameters
    ----------
    x, y
        From and to, points, broadcasting, ``(..., d + 1)``.
    v
        Tangent vectors at ``x``, ``(..., d + 1)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``y``, ``(..., d + 1)``; same length.
    """
    ops, x, y, v, c, like = _prepare_wide(x, y, v, c=c)
    xs, ys, vs = x[..., 1:], y[..., 1:], v[..., 1:]
    root, step = ops.sqrt(c), ys - xs
    cosh_x, cosh_y = root * _time(ops, xs, c), root * _time(ops, ys, c)
    # The part of v along x as long as it is in the metric, so that v becomes its components in the frame.
    vs = vs - c * _dot(ops, xs, vs) / (cosh_x * (1.0 + cosh_x)) * xs
    gain = 1.0 + _half_sinh2(ops, xs, ys, c)
    first = 2.0 + (cosh_x + cosh_y) / gain
    slope = 0.5 * c / ((1.0 + cosh_x) * (1.0 + cosh_y))

    def rotate(u: Array) -> Array:
        return _dot(ops, step, u) * xs - _dot(ops, xs, u) * step

    vs = vs + slope * rotate(first * vs + (c / gain) * rotate(vs))
    space = vs + c * _dot(ops, ys, vs) / (1.0 + cosh_y) * ys
    return narrow(ops, _tangent(ops, y, space, c), like)


def ptransp0(y: Array, v: Array, *, c: Any) -> Array:
    """Return the parallel transport from the origin to ``y``. As :func:`ptransp`."""
    ops, y, v, c, like = _prepare_wide(y, v, c=c)
    ys, vs = y[..., 1:], v[..., 1:]
    time = _time(ops, ys, c)
    space = vs + c * _dot(ops, ys, vs) / (1.0 + ops.sqrt(c) * time) * ys
    return narrow(ops, _tangent(ops, y, space, c), like)


def retr(x: Array, v: Array, *, c: Any) -> Array:
    """Return the first-order retraction: add the space parts and lift the sum back. As :func:`expmap`."""
    ops, x, v, c = prepare(x, v, c=c)
    return _point(ops, x[..., 1:] + v[..., 1:], c, dtype_of(x))


def proju(x: Array, u: Array, *, c: Any) -> Array:
    r"""Return the orthogonal projection :math:`u + c\langle x, u\rangle_L x` onto the tangent space ([4]).

    Parameters
    ----------
    x
        Points, ``(..., d + 1)``.
    u
        Ambient vectors, ``(..., d + 1)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``x``, ``(..., d + 1)``.
    """
    return _proju(x, u, 1.0, c)


def _proju(x: Array, u: Array, sign: float, c: Any) -> Array:
    """Project ``u`` with its time multiplied by ``sign``."""
    ops, x, u, c, like = _prepare_wide(x, u, c=c)
    xs, us = x[..., 1:], u[..., 1:]
    product = _dot(ops, xs, us) - sign * _time(ops, xs, c) * u[..., :1]
    return narrow(ops, _tangent(ops, x, us + c * product * xs, c), like)


def projx(x: Array, *, c: Any) -> Array:
    """Return the points with time recomputed from space, space bounded by the dtype's reach. ``(..., d + 1)``."""
    ops, x, c = prepare(x, c=c)
    return _point(ops, x[..., 1:], c, dtype_of(x))


def egrad2rgrad(x: Array, g: Array, *, c: Any) -> Array:
    """Return the Riemannian gradient: the sign of time flipped, then :func:`proju` ([4], algorithm 1)."""
    return _proju(x, g, -1.0, c)


def geodesic(t: Any, x: Array, y: Array, *, c: Any) -> Array:
    """Return the point at fraction ``t`` of the geodesic from ``x`` to ``y``; ``t`` broadcasts to ``(..., 1)``."""
    _, x, y, t, c = prepare(x, y, t, c=c)
    return expmap(x, t * logmap(x, y, c=c), c=c)


def centroid(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the Lorentz centroid :math:`\frac{\sum w_ix_i}{\sqrt c\,|\sum w_ix_i|_L}` ([6]).

    The same point as :func:`hyperperturb.manifolds.poincare.centroid`, whose weights and shapes apply.
    """
    ops, x, c = prepare(x, c=c)
    if weights is None:
        weights = ops.ones_like(x[..., 0])
    ops, x, weights, c = prepare(x, weights, c=c)
    space, w = wide(ops, x[..., 1:]), wide(ops, weights)
    cw, cw_points = of_sets(ops, wide(ops, c))
    lifted = ops.concatenate([_time(ops, space, cw_points), space], axis=-1)
    shared = len(x.shape) == 2 and len(weights.shape) != 1 and not len(cw.shape)
    total = ops.matmul(w, lifted) if shared else ops.matmul(w[..., None, :], lifted)[..., 0, :]
    time, space = total[..., :1], total[..., 1:]
    mass = ops.sum(w, axis=-1, keepdims=True)
    # Reverse Cauchy-Schwarz bounds the Lorentz norm of the sum from below by the sum of the weights.
    length = safe.sqrt(ops.maximum(cw * (ops.square(time) - sum_squares(space)), ops.square(mass)))
    return _point(ops, narrow(ops, safe.divide(space, length + 0.0 * space), x), c, dtype_of(x))


def midpoint(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    """Return the weighted Fréchet mean; as :func:`hyperperturb.manifolds.normal.midpoint`."""
    ops, x, weights, c, like = prepare_sets(x, weights, c=c)
    mean = midpoint_of(ops, logmap0(x, c=of_sets(ops, c)[1])[..., 1:], weights, c)
    mean = expmap0(ops.concatenate([ops.zeros_like(mean[..., :1]), mean], axis=-1), c=c)
    return projx(narrow(ops, mean, like), c=c)


def to_poincare(x: Array, *, c: Any) -> Array:
    r"""Return the points in the ball, :math:`x_s/(1 + \sqrt c\,x_0)` ([4], section 3).

    Parameters
    ----------
    x
        Points of the hyperboloid, ``(..., d + 1)``.
    c
        Curvature magnitude, positive.

    Returns
    -------
    array
        ``(..., d)``.
    """
    ops, x, c = prepare(x, c=c)
    space = x[..., 1:]
    size2 = c * sum_squares(space)
    # The point's radius in the ball follows from the same sum.
    divisor = 1.0 + ops.sqrt(1.0 + size2)
    return (1.0 / (divisor * excess_of(size2 / ops.square(divisor)))) * space


def to_normal(x: Array, *, c: Any) -> Array:
    """Return the normal coordinates at the origin, the space part of the logarithm there, ``(..., d)``; an isometry."""
    return logmap0(x, c=c)[..., 1:]
