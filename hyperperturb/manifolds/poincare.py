r"""The Poincaré ball of curvature :math:`-c` as pure functions.

Points are the vectors with :math:`c|x|^2 < 1`; the metric at ``x`` is :math:`\lambda_x^2` times the
Euclidean one, with :math:`\lambda_x = 2/\alpha_x` and :math:`\alpha_x = 1 - c|x|^2`. Every function takes
NumPy arrays or tensors of a Keras backend, points of shape ``(..., d)``, and the keyword ``c >= 0``: a
number, or an array that broadcasts against ``(..., 1)`` (``(n, 1)`` is one curvature a point). At ``c = 0``
the formulas are those of flat space with the metric 4 (distances are twice the Euclidean ones), and they
are differentiable in ``c`` there.

The formulas are the published ones rearranged so that nothing cancels. With :math:`s = y - x` (Möbius:
:math:`s = x + y`),

.. math::

    x \oplus y = \frac{\alpha_x s + c|s|^2 x}{\alpha_x\alpha_y + c|s|^2},\qquad
    d(x, y) = \frac{2}{\sqrt c}\operatorname{arsinh}\sqrt{z},\quad z = \frac{c|y-x|^2}{\alpha_x\alpha_y}.

References ---------- [1] O.-E. Ganea, G. Bécigneul, T. Hofmann: Hyperbolic neural networks. NeurIPS 2018.
[2] A. A. Ungar: A gyrovector space approach to hyperbolic geometry. Morgan & Claypool 2008. [3] M. Nickel,
D. Kiela: Poincaré embeddings for learning hierarchical representations. NeurIPS 2017. [4] M. Nickel, D.
Kiela: Learning continuous hierarchies in the Lorentz model of hyperbolic geometry. ICML 2018. [5] I. Chami,
R. Ying, C. Ré, J. Leskovec: Hyperbolic graph convolutional neural networks. NeurIPS 2019. [6] M. Law, R.
Liao, J. Snell, R. Zemel: Lorentzian distance learning for hyperbolic representations. ICML 2019.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import narrow, prepare, stop_gradient, wide
from hyperperturb.manifolds._pairwise import squared_differences
from hyperperturb.manifolds.safe import gap, sum_squares

Array = Any


def _dot(ops: Any, u: Array, v: Array) -> Array:
    return ops.sum(u * v, axis=-1, keepdims=True)


def conformal_factor(x: Array, *, c: Any) -> Array:
    r"""Return :math:`\lambda_x = 2/(1 - c|x|^2)` ([1], section 2.3).

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
    r"""Return the Riemannian inner product :math:`\lambda_x^2\langle u, v\rangle` ([1], section 2.3).

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
    value = _dot(ops, factor * u, factor * v)
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
    :math:`\frac{2}{\sqrt c}\operatorname{artanh}(\sqrt c\,|{-x}\oplus y|)` ([1], eq. 5), but without their
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
    ratio = safe.norm(x) / ops.sqrt(gap(x, c))
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
        Curvature magnitude, a scalar.

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
    ratio2 = squared_differences(ops, x, y) / gap(x, c) / ops.swapaxes(gap(y, c), -1, -2)
    return 2.0 * safe.arsinh_scaled(safe.sqrt(ratio2), c)


def mobius_add(x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the Möbius sum :math:`x \oplus_c y` ([1], eq. 4; [2], eq. 3.132).

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
    return _project(_add(x, gap(x, c), y, gap(y, c), c), c)


def _add(x: Array, gap_x: Array, y: Array, gap_y: Array, c: Array) -> Array:
    """Return the Möbius sum for known gaps, not projected."""
    total = x + y
    bend = c * sum_squares(total)
    return (gap_x * total + bend * x) / (gap_x * gap_y + bend)


def mobius_scalar_mul(r: Any, x: Array, *, c: Any) -> Array:
    r"""Return :math:`r \otimes_c x = \exp_0(r \log_0 x)` ([1], eq. 6 and lemma 3).

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
    _, x, r, c = prepare(x, r, c=c)
    return expmap0(r * logmap0(x, c=c), c=c)


def mobius_matvec(matrix: Array, x: Array, *, c: Any) -> Array:
    r"""Return :math:`M \otimes_c x = \exp_0(M \log_0 x)` ([1], eq. 27 and lemma 6).

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
    return expmap0(ops.matmul(logmap0(x, c=c), ops.swapaxes(matrix, -1, -2)), c=c)


def expmap(x: Array, v: Array, *, c: Any) -> Array:
    r"""Return the exponential map :math:`x \oplus_c \tanh(\sqrt c\lambda_x|v|/2)\,v/(\sqrt c|v|)` ([1],
    lemma 2).

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
    step = v / gap_x
    z = c * sum_squares(step)
    # The step's own gap is sech², known to full precision although 1 - c|y|² would not be.
    return _project(_add(x, gap_x, safe.tanhc(z) * step, safe.sech2(z), c), c)


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
    return safe.arsinhc(z) / (gap_y * ops.sqrt(1.0 + z)) * (gap_x * s - bend * x)


def expmap0(v: Array, *, c: Any) -> Array:
    r"""Return the exponential map at the origin, :math:`\tanh(\sqrt c|v|)\,v/(\sqrt c|v|)` ([1], eq. 13).

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
    _, v, c = prepare(v, c=c)
    return _project(safe.tanhc(c * sum_squares(v)) * v, c)


def logmap0(y: Array, *, c: Any) -> Array:
    r"""Return the logarithm at the origin, :math:`\operatorname{artanh}(\sqrt c|y|)\,y/(\sqrt c|y|)` ([1],
    eq. 13).

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
    gap_y = gap(y, c)
    return safe.arsinhc(c * sum_squares(y) / gap_y) / ops.sqrt(gap_y) * y


def ptransp(x: Array, y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport :math:`\frac{\lambda_x}{\lambda_y}\operatorname{gyr}[y, -x]v` along
    the geodesic.

    Gyration after [2], eq. 3.143 and [1], eq. 17 ff., rearranged with :math:`s = y - x` so that the
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
    xv, sv = c * _dot(ops, x, v), c * _dot(ops, s, v)
    along_s = -xv * (gap_y + bend) - c * sum_squares(x) * sv
    along_x = gap_x * sv - bend * xv
    rotated = v + 2.0 * (along_s * s + along_x * x) / (gap_x * gap_y + bend)
    return gap_y / gap_x * rotated


def ptransp0(y: Array, v: Array, *, c: Any) -> Array:
    r"""Return the parallel transport from the origin to ``y``, :math:`\frac{\lambda_0}{\lambda_y}v` ([1],
    theorem 4).

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
    """Return the first-order retraction ``x + v``, kept inside the ball ([3], eq. 5).

    Parameters and result as in :func:`expmap`.
    """
    _, x, v, c = prepare(x, v, c=c)
    return _project(x + v, c)


def proju(x: Array, u: Array, *, c: Any) -> Array:
    """Return ``u``: every vector is tangent to the ball (it broadcasts to the shape of ``x + u``)."""
    _, x, u, _ = prepare(x, u, c=c)
    return u + 0.0 * x if len(x.shape) > len(u.shape) else u


def projx(x: Array, *, c: Any) -> Array:
    """Return the points, those at or beyond the rim pulled back radially to ``sqrt(c)|x| = 1 - eps`` ([3],
    eq. 4).

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
    return _project(x, c)


def _project(x: Array, c: Array) -> Array:
    ops, x, c = prepare(x, c=c)
    limit = 1.0 - safe.boundary_eps(safe.dtype_of(x))
    radius2 = c * sum_squares(x)
    outside = radius2 > limit * limit
    shrink = limit / ops.sqrt(ops.where(outside, radius2, ops.ones_like(radius2)))
    return ops.where(outside, shrink * x, x)


def egrad2rgrad(x: Array, g: Array, *, c: Any) -> Array:
    r"""Return the Riemannian gradient :math:`g/\lambda_x^2` for a Euclidean gradient ``g`` ([3], eq. 3 ff.).

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


def geodesic(t: Any, x: Array, y: Array, *, c: Any) -> Array:
    r"""Return the point at fraction ``t`` of the geodesic, :math:`\exp_x(t\log_x y)` ([1], eq. 7).

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
    _, x, y, t, c = prepare(x, y, t, c=c)
    return expmap(x, t * logmap(x, y, c=c), c=c)


def midpoint(x: Array, weights: Array | None = None, *, c: Any) -> Array:
    r"""Return the weighted gyromidpoint of points: any number of them, in any order ([2], definition 6.86).

    Equal to the centroid on the hyperboloid ([6], eq. 13), through which it is computed: with :math:`b =
    \sum w_i\,2x_i/\alpha_i` and :math:`t = \sum w_i(2/\alpha_i - 1)` the midpoint is :math:`b/(t +
    \sqrt{t^2 - c|b|^2})`. It commutes with isometries; for two equal weights it is the middle of the
    geodesic; for more points it minimises :math:`\sum w_i\sinh^2(\sqrt c\,d_i/2)`, not the squared
    distances.

    Parameters
    ----------
    x
        Points, ``(..., n, d)``.
    weights
        Not negative, ``(..., n)``; equal if not given. With ``x`` of shape ``(n, d)``, weights of shape
        ``(..., n)`` give one midpoint a row through a matrix product, without repeating the points.
    c
        Curvature magnitude, a scalar.

    Returns
    -------
    array
        ``(..., d)``; the origin where all weights are 0.

    Examples
    --------
    >>> import numpy as np
    >>> midpoint(np.array([[0.8, 0.0], [0.0, 0.0]]), c=1.0).round(12).tolist()
    [0.5, 0.0]
    """
    if weights is None:
        ops, x, c = prepare(x, c=c)
        weights = ops.ones_like(x[..., 0])
    ops, x, weights, c = prepare(x, weights, c=c)
    shared = len(x.shape) == 2 and len(weights.shape) != 1
    centre = _centroid(ops, x, weights, c, shared=shared)
    if shared:
        return centre
    # Far from the origin t² - c|b|² cancels. Midpoints commute with isometries: seen from the first
    # estimate all is near the origin, and one repetition is exact. The base is a constant: the result does
    # not depend on it.
    base = stop_gradient(ops, centre)[..., None, :]
    moved = mobius_add(-base, x, c=c)
    centred = _centroid(ops, moved, weights, c, shared=False)
    return mobius_add(base[..., 0, :], centred, c=c)


def _centroid(ops: Any, x: Array, weights: Array, c: Array, *, shared: bool) -> Array:
    gap_x, xw, cw, w = wide(ops, gap(x, c)), wide(ops, x), wide(ops, c), wide(ops, weights)
    lifted = ops.concatenate([2.0 * xw / gap_x, 2.0 / gap_x - 1.0], axis=-1)
    total = ops.matmul(w, lifted) if shared else ops.matmul(w[..., None, :], lifted)[..., 0, :]
    space, time = total[..., :-1], total[..., -1:]
    mass = ops.sum(w, axis=-1, keepdims=True)
    # Reverse Cauchy-Schwarz: the Lorentz norm of the sum is at least the sum of the weights.
    length = ops.sqrt(ops.maximum(ops.square(time) - cw * sum_squares(space), ops.square(mass)))
    return _project(narrow(ops, safe.divide(space, time + length), x), c)


def to_lorentz(x: Array, *, c: Any) -> Array:
    r"""Return the points on the hyperboloid: :math:`\left(\frac{1 + c|x|^2}{\sqrt c\,\alpha_x},
    \frac{2x}{\alpha_x}\right)`.

    [4], eq. 11; an isometry for ``c > 0``.

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
