"""The Poincaré ball: gyrovector operations and midpoints. See :mod:`hyperperturb.manifolds.poincare`."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import dtype_of, narrow, prepare, stop_gradient, wide
from hyperperturb.manifolds._ball import excess_of, project
from hyperperturb.manifolds._ball_maps import exp0_scaled, expmap0, log0_factor, logmap0
from hyperperturb.manifolds._frechet import midpoint_of, prepare_sets
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import gap, sum_squares

Array = Any


def mobius_add(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the Möbius sum :math:`x \oplus_c y` ([1] and [2]; section 2.3 of [1]).

    With :math:`s = x + y` the published quotient equals :math:`(\alpha_x s + c|s|^2 x)/(\alpha_x\alpha_y +
    c|s|^2)`, in which all terms are positive: it stays accurate for ``y`` near ``-x`` and near the rim.

    Parameters
    ----------
    x, y
        Points, broadcasting, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``, inside the ball.

    Examples
    --------
    >>> import numpy as np
    >>> mobius_add(np.array([0.5, 0.0]), np.array([0.5, 0.0]), c=1.0).tolist()
    [0.8, 0.0]
    """
    _, x, y, c = prepare(x, y, c=c)
    gap_x, gap_y, total = gap(x, c), gap(y, c), x + y
    bend = c * sum_squares(total)
    whole = gap_x * gap_y + bend
    # The sum's own gap is known before the sum: what would leave the ball is told without another pass.
    whole = whole * excess_of(1.0 - gap_x * gap_y / whole)
    return (gap_x / whole) * total + (bend / whole) * x


def mobius_scalar_mul(r: Any, x: Array, *, c: Any) -> Array:
    r"""Return :math:`r \otimes_c x = \exp_0(r \log_0 x)` ([1], lemma 3).

    Parameters
    ----------
    r
        Factor: a number, or an array broadcasting against ``(..., 1)``.
    x
        Points, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``.
    """
    ops, x, r, c = prepare(x, r, c=c)
    return exp0_scaled(ops, x, r * log0_factor(ops, x, c), c)


def mobius_matvec(matrix: Array, x: Array, *, c: Any) -> Array:
    r"""Return :math:`M \otimes_c x = \exp_0(M \log_0 x)` ([1], lemma 6).

    Parameters
    ----------
    matrix
        ``(k, d)``.
    x
        Points, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., k)``.
    """
    ops, matrix, x, c = prepare(matrix, x, c=c)
    return exp0_scaled(ops, ops.matmul(x, ops.swapaxes(matrix, -1, -2)), log0_factor(ops, x, c), c)


def centroid(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the weighted gyromidpoint of points: any number of them, in any order ([2]).

    Equal to the centroid on the hyperboloid [6], through which it is computed: with :math:`b =
    \sum w_i\,2x_i/\alpha_i` and :math:`t = \sum w_i(2/\alpha_i - 1)` the midpoint is :math:`b/(t +
    \sqrt{t^2 - c|b|^2})`. It commutes with isometries; for two equal weights it is the middle of the
    geodesic; for more points it minimises :math:`\sum w_i\sinh^2(\sqrt c\,d_i/2)`, not the squared
    distances (:func:`midpoint` does).

    Parameters
    ----------
    x
        Points, ``(..., n, d)``.
    weights
        Not negative, ``(..., n)``; equal if not given. With ``x`` of shape ``(n, d)``, weights of shape
        ``(..., n)`` give one midpoint a row through a matrix product, without repeating the points.
    c
        Curvature magnitude: a scalar, or one a set, broadcasting against ``(..., 1)``.

    Returns
    -------
    array
        ``(..., d)``; the origin where all weights are 0.

    Examples
    --------
    >>> import numpy as np
    >>> centroid(np.array([[0.8, 0.0], [0.0, 0.0]]), c=1.0).round(12).tolist()
    [0.5, 0.0]
    """
    if weights is None:
        ops, x, c = prepare(x, c=c)
        weights = ops.ones_like(x[..., 0])
    ops, x, weights, c = prepare(x, weights, c=c)
    c, c_points = of_sets(ops, c)
    shared = len(x.shape) == 2 and len(weights.shape) != 1 and not len(c.shape)
    centre = _centroid(ops, x, weights, c, c_points, shared=shared)
    # Float32 points were summed in float64: what has cancelled there is below their own rounding.
    if shared or dtype_of(wide(ops, c)) != dtype_of(c):
        return centre
    # Far from the origin t² - c|b|² cancels. Midpoints commute with isometries: seen from the first
    # estimate all is near the origin, and one repetition is exact. The base is a constant: the result does
    # not depend on it.
    base = stop_gradient(ops, centre)[..., None, :]
    moved = mobius_add(-base, x, c=c_points)
    centred = _centroid(ops, moved, weights, c, c_points, shared=False)
    return mobius_add(base[..., 0, :], centred, c=c)


def _centroid(ops: Any, x: Array, weights: Array, c: Array, c_points: Array, *, shared: bool) -> Array:
    xw, cw, w = wide(ops, x), wide(ops, c), wide(ops, weights)
    factor = 2.0 / gap(xw, wide(ops, c_points))
    mass = ops.sum(w, axis=-1, keepdims=True)
    if shared:
        total = ops.matmul(w, ops.concatenate([factor * xw, factor - 1.0], axis=-1))
        space, time = total[..., :-1], total[..., -1:]
    else:
        factor = w[..., None] * factor
        space, time = ops.sum(factor * xw, axis=-2), ops.sum(factor, axis=-2) - mass
    # Reverse Cauchy-Schwarz: the Lorentz norm of the sum is at least the sum of the weights.
    length = safe.sqrt(ops.maximum(ops.square(time) - cw * sum_squares(space), ops.square(mass)))
    return project(narrow(ops, safe.divide(ops.ones_like(time), time + length) * space, x), c)


def midpoint(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the weighted Fréchet mean, which minimises :math:`\sum w_i\,d(m, x_i)^2`.

    Found in normal coordinates; see :func:`hyperperturb.manifolds.normal.midpoint`, whose parameters apply. For
    two equal weights it is the middle of the geodesic, as :func:`centroid` is.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.tanh([[0.0], [1.0], [5.0]])
    >>> np.arctanh(midpoint(points, c=1.0)).round(9).tolist()
    [2.0]
    """
    ops, x, weights, c, like = prepare_sets(x, weights, c=c)
    mean = midpoint_of(ops, 2.0 * logmap0(x, c=of_sets(ops, c)[1]), weights, c)
    return project(narrow(ops, expmap0(0.5 * mean, c=c), like), c)
