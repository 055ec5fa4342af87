"""The Poincaré ball: distances, inner products, projections. See :mod:`hyperperturb.manifolds.poincare`."""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import prepare
from hyperperturb.manifolds._ball import dot, project_any
from hyperperturb.manifolds._pairwise import squared_differences
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import gap

Array = Any


def conformal_factor(x: Array, *, c: Any) -> Array:
    r"""Return :math:`\lambda_x = 2/(1 - c|x|^2)` ([1], section 2.2).

    Parameters
    ----------
    x
        Points, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., 1)``.
    """
    _, x, c = prepare(x, c=c)
    return 2.0 / gap(x, c)


def inner(x: Array, u: Array, v: Array | None = None, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the Riemannian inner product :math:`\lambda_x^2\langle u, v\rangle` ([1], section 2.2).

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
    ops, x, u, v, c = prepare(x, u, u if v is None else v, c=c)
    # Scaling each vector first keeps both factors of moderate size: near the rim lambda² overflows before
    # they do.
    factor = 2.0 / gap(x, c)
    value = dot(ops, factor * u, factor * v)
    return value if keepdims else value[..., 0]


def norm(x: Array, u: Array, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the Riemannian norm :math:`\lambda_x|u|`; its gradient at ``u = 0`` is 0.

    Parameters and result as in :func:`inner`.
    """
    _, x, u, c = prepare(x, u, c=c)
    value = 2.0 * safe.norm(u) / gap(x, c)
    return value if keepdims else value[..., 0]


def dist(x: Array, y: Array, *, c: Any, keepdims: bool = False) -> Array:
    r"""Return the geodesic distance :math:`\frac{2}{\sqrt c}\operatorname{arsinh}\sqrt z` of two points.

    Equal to :math:`\frac{1}{\sqrt c}\operatorname{arcosh}(1 + 2z)` ([3], eq. 1, for ``c = 1``) and to
    :math:`\frac{2}{\sqrt c}\operatorname{artanh}(\sqrt c\,|{-x}\oplus y|)` ([1], section 2.3), but without their
    loss near 0 and near the rim. ``dist(x, x)`` is exactly 0 with gradient 0.

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
    >>> round(float(dist(np.zeros(2), np.array([np.tanh(1.0), 0.0]), c=1.0)), 12)
    2.0
    """
    ops, x, y, c = prepare(x, y, c=c)
    ratio = safe.norm(y - x) / ops.sqrt(gap(x, c) * gap(y, c))
    value = 2.0 * ratio * safe.arsinhc(c * ops.square(ratio))
    return value if keepdims else value[..., 0]


def dist0(x: Array, *, c: Any, keepdims: bool = False) -> Array:
    """Return the distance from the origin, ``dist(0, x)``; parameters and result as in :func:`dist`."""
    ops, x, c = prepare(x, c=c)
    gap_x, square = safe.gap_and_square(x, c)
    ratio = safe.sqrt(square) / ops.sqrt(gap_x)
    value = 2.0 * ratio * safe.arsinhc(c * ops.square(ratio))
    return value if keepdims else value[..., 0]


def pairwise_dist(x: Array, y: Array | None = None, *, c: Any) -> Array:
    """Return the distances of all pairs of two sets of points.

    One matrix product instead of an ``(n, m, d)`` temporary. The product is formed in float64 and the rest
    in the points' dtype, so the error against :func:`dist` is rounding, except that points nearer than
    about 4e-8 of their Euclidean length from each other count as coincident (distance 0, gradient 0). On
    JAX without float64 that becomes 1e-3.

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

    Examples
    --------
    >>> import numpy as np
    >>> pairwise_dist(np.array([[0.0, 0.0], [0.5, 0.0]]), c=1.0).round(4).tolist()
    [[0.0, 1.0986], [1.0986, 0.0]]
    """
    ops, x, y, c = prepare(x, x if y is None else y, c=c)
    _, c = of_sets(ops, c)
    ratio2 = squared_differences(ops, x, y) / gap(x, c) / ops.swapaxes(gap(y, c), -1, -2)
    return 2.0 * safe.arsinh_scaled(safe.sqrt(ratio2), c)


def projx(x: Array, *, c: Any) -> Array:
    """Return the points, those at or beyond the rim pulled back radially to ``sqrt(c)|x| = 1 - eps`` ([3], section 3).

    Parameters
    ----------
    x
        Vectors, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``; vectors inside come back unchanged, bit for bit.

    Examples
    --------
    >>> import numpy as np
    >>> float(projx(np.array([3.0, 0.0]), c=1.0)[0]) < 1.0
    True
    """
    _, x, c = prepare(x, c=c)
    return project_any(x, c)


def proju(x: Array, u: Array, *, c: Any) -> Array:
    """Return ``u``: every vector is tangent to the ball (it broadcasts to the shape of ``x + u``)."""
    _, x, u, _ = prepare(x, u, c=c)
    return u + 0.0 * x if len(x.shape) > len(u.shape) else u


def egrad2rgrad(x: Array, g: Array, *, c: Any) -> Array:
    r"""Return the Riemannian gradient :math:`g/\lambda_x^2` for a Euclidean gradient ``g`` ([3], section 3).

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
    ops, x, g, c = prepare(x, g, c=c)
    return 0.25 * ops.square(gap(x, c)) * g


def to_lorentz(x: Array, *, c: Any) -> Array:
    r"""Return the points on the hyperboloid, time first.

    :math:`x \mapsto \left(\frac{1 + c|x|^2}{\sqrt c\,\alpha_x}, \frac{2x}{\alpha_x}\right)`, the map of [4], section 3;
    an isometry for ``c > 0``.

    Parameters
    ----------
    x
        Points of the ball, ``(..., d)``.
    c
        Curvature magnitude, positive.

    Returns
    -------
    array
        ``(..., d + 1)``, time first.
    """
    ops, x, c = prepare(x, c=c)
    gap_x = gap(x, c)
    return ops.concatenate([(2.0 / gap_x - 1.0) / ops.sqrt(c), 2.0 * x / gap_x], axis=-1)


def to_normal(x: Array, *, c: Any) -> Array:
    r"""Return the normal coordinates at the origin, twice the logarithm there; an isometry.

    Parameters
    ----------
    x
        Points of the ball, ``(..., d)``.
    c
        Curvature magnitude.

    Returns
    -------
    array
        ``(..., d)``.
    """
    from hyperperturb.manifolds._ball_maps import logmap0

    return 2.0 * logmap0(x, c=c)
