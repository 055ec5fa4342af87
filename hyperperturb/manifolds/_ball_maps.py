"""The Poincaré ball: exponential, logarithm, transport. See :mod:`hyperperturb.manifolds.poincare`."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import prepare
from hyperperturb.manifolds._ball import add, dot, project, project_any
from hyperperturb.manifolds.safe import dtype_of, gap, sum_squares

Array = Any


def expmap(x: Array, v: Array, *, c: Any) -> Array:
    r"""Return the exponential map :math:`x \oplus_c \tanh(\sqrt c\lambda_x|v|/2)\,v/(\sqrt c|v|)` ([1], lemma 2).

    Parameters
    ----------
    x
        Base points, ``(..., d)``.
    v
        Tangent vectors at ``x``, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``, inside the ball.
    """
    _, x, v, c = prepare(x, v, c=c)
    gap_x = gap(x, c)
    divisor, square = safe.shortened(v, gap_x)
    z = c * square
    # The step's own gap is sech², known to full precision although 1 - c|y|² would not be.
    return project(add(x, gap_x, safe.tanhc(z) / divisor * v, safe.sech2(z), c), c)


def logmap(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the logarithm, the tangent vector at ``x`` whose exponential is ``y`` ([1], lemma 2).

    :math:`\frac{2}{\sqrt c\lambda_x}\operatorname{artanh}(\sqrt c|m|)\frac{m}{|m|}` with :math:`m =
    -x\oplus y` equals

    .. math::

        \frac{\operatorname{arsinh}\sqrt z}{\sqrt z}\,\frac{\alpha_x s - c|s|^2 x}{\alpha_y\sqrt{1+z}},
        \qquad s = y - x,

    which is smooth at ``y = x`` and needs no inverse of a number near 1.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``x``, ``(..., d)``.
    """
    ops, x, y, c = prepare(x, y, c=c)
    gap_x, gap_y = gap(x, c), gap(y, c)
    s = y - x
    bend = c * sum_squares(s)
    z = bend / gap_x / gap_y
    length, away = safe.arsinhc(z), gap_y * ops.sqrt(1.0 + z)
    return (length * gap_x / away) * s - (length * bend / away) * x


def expmap0(v: Array, *, c: Any) -> Array:
    r"""Return the exponential map at the origin, :math:`\tanh(\sqrt c|v|)\,v/(\sqrt c|v|)` ([1], lemma 2 at ``x = 0``).

    Parameters
    ----------
    v
        Tangent vectors at the origin, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``, inside the ball.

    Examples
    --------
    >>> import numpy as np
    >>> expmap0(np.array([np.arctanh(0.5), 0.0]), c=1.0).round(12).tolist()
    [0.5, 0.0]
    """
    ops, v, c = prepare(v, c=c)
    return exp0_scaled(ops, v, ops.ones_like(v[..., :1]), c)


def exp0_scaled(ops: Any, v: Array, factor: Array, c: Array) -> Array:
    """Return the exponential map at the origin of ``factor * v``, without forming that: ``factor`` is ``(..., 1)``."""
    factor = safe.bounded(factor)
    divisor, square = safe.shortened(v, ops.ones_like(v[..., :1]))
    # The result has the length tanh: what would leave the ball is told before it is formed.
    stretch = safe.tanhc(c * ops.square(factor) * square, 1.0 - safe.boundary_eps(dtype_of(v)))
    return stretch * factor / divisor * v


def logmap0(y: Array, *, c: Any) -> Array:
    r"""Return the logarithm at the origin, :math:`\operatorname{artanh}(\sqrt c|y|)\,y/(\sqrt c|y|)`.

    [1], lemma 2 at ``x = 0``.

    Parameters
    ----------
    y
        Points, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at the origin, ``(..., d)``.
    """
    ops, y, c = prepare(y, c=c)
    return log0_factor(ops, y, c) * y


def log0_factor(ops: Any, y: Array, c: Array) -> Array:
    """Return the number by which ``logmap0`` multiplies ``y``, ``(..., 1)``."""
    gap_y, square = safe.gap_and_square(y, c)
    return safe.arsinhc(c * square / gap_y) / ops.sqrt(gap_y)


def ptransp(x: Array, y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport :math:`\frac{\lambda_x}{\lambda_y}\operatorname{gyr}[y, -x]v` along the geodesic.

    [1], section 2.4, with the gyration of [2] in coordinates, rearranged with :math:`s = y - x` so that the
    correction vanishes with ``s`` term by term: :math:`\operatorname{gyr}[y,-x]v = v + 2(As +
    Bx)/(\alpha_x\alpha_y + c|s|^2)`, where :math:`A = -c\langle x,v\rangle(\alpha_y + c|s|^2) -
    c^2|x|^2\langle s,v\rangle` and :math:`B = c(\alpha_x\langle s,v\rangle - c|s|^2\langle x,v\rangle)`.

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
        Tangent vectors at ``y``, ``(..., d)``; same Riemannian length.
    """
    ops, x, y, v, c = prepare(x, y, v, c=c)
    gap_x, gap_y = gap(x, c), gap(y, c)
    s = y - x
    bend = c * sum_squares(s)
    xv, sv = c * dot(ops, x, v), c * dot(ops, s, v)
    along_s = -xv * (gap_y + bend) - (1.0 - gap_x) * sv
    along_x = gap_x * sv - bend * xv
    stretch = gap_y / gap_x
    turn = 2.0 * stretch / (gap_x * gap_y + bend)
    return stretch * v + (turn * along_s) * s + (turn * along_x) * x


def ptransp0(y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport from the origin to ``y``, :math:`\frac{\lambda_0}{\lambda_y}v` ([1], theorem 4).

    Parameters
    ----------
    y
        Points, ``(..., d)``.
    v
        Tangent vectors at the origin, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        Tangent vectors at ``y``, ``(..., d)``.
    """
    _, y, v, c = prepare(y, v, c=c)
    return gap(y, c) * v


def retr(x: Array, v: Array, *, c: Any) -> Array:
    """Return the first-order retraction ``x + v``, kept inside the ball ([3], section 3).

    Parameters and result as in :func:`expmap`.
    """
    _, x, v, c = prepare(x, v, c=c)
    return project_any(x + v, c)


def geodesic(t: Any, x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the point at fraction ``t`` of the geodesic, :math:`\exp_x(t\log_x y)` ([1], section 2.3).

    Parameters
    ----------
    t
        Fraction: 0 gives ``x``, 1 gives ``y``; a number, or an array broadcasting against ``(..., 1)``.
    x, y
        Points, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``.
    """
    ops, x, y, t, c = prepare(x, y, t, c=c)
    gap_x, gap_y = gap(x, c), gap(y, c)
    s = y - x
    bend = c * sum_squares(s)
    z = bend / gap_x / gap_y
    length, away = safe.arsinhc(z), gap_y * ops.sqrt(1.0 + z)
    # The logarithm's length is known, so is that of a part of it: no sum is needed to step along it.
    part = ops.square(t * length) * z
    pull = t * length * safe.tanhc(part)
    step = (pull / away) * s - (pull * bend / (gap_x * away)) * x
    return project(add(x, gap_x, step, safe.sech2(part), c), c)
