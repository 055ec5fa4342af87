r"""Safe primitives: the only place in the package's geometry where an epsilon or a clamp is written.

The maps of hyperbolic geometry are compositions of *analytic* functions of :math:`z = c\,|v|^2`, although
they are usually printed with :math:`\sqrt c\,|v|` in numerator and denominator. Written in ``z`` they need
no norm, so value and gradient are right at the zero vector and at ``c = 0``; each function here is its
closed form away from ``z = 0`` and its Taylor series near it. Both branches are computed on arguments that
are safe for them (the condition is applied to the input, not only to the output), otherwise the unused
branch would put NaN into the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hyperperturb.manifolds._backend import dtype_of, narrow, ops_of, wide

# How near the rim a point may lie, as 1 - sqrt(c)|x|. Float32 spacing at 1 is 6e-8, so 1e-6 keeps about
# four bits of the distance to the rim and reaches sqrt(c) d = 14.5 from the origin; float64 reaches 28.3.
_BOUNDARY = {"float32": 1e-6, "float64": 1e-12}
# Largest sqrt(c)|x_space| on the hyperboloid, sinh of the same distances. Further out a tangent vector is
# lost: rounding across the radius, of the size of the coordinates, is then as long as a unit vector.
_REACH = {"float32": 1e6, "float64": 1e12}
# Farthest point in normal coordinates, as sqrt(c)|x|: float32 coordinates still tell directions 6e-8 apart there, and
# what the formulas form of two such points, up to exp of twice the reach, stays finite even where there is no float64.
_NORMAL_REACH = {"float32": 40.0, "float64": 80.0}
# Longest step there, by the dtype computed in: enough to cross the manifold, and cosh of it does not overflow.
_NORMAL_STEP = {"float32": 45.0, "float64": 200.0}
# Longer vectors are shortened before their squares overflow, which would send them to the origin.
_LONGEST = {"float32": 1e15, "float64": 1e150}
# Below this z the Taylor series (five terms) is exact to rounding, and above it the closed form's
# derivative, which loses eps/z, is good to 1e-6 (float32) and 1e-12 (float64).
_SERIES_BELOW = {"float32": 5e-2, "float64": 1e-3}
# Beyond this argument tanh equals one in the dtype.
_TANH_MAX = {"float32": 15.0, "float64": 30.0}
_ARTANH_MAX = {"float32": 1.0 - 1e-7, "float64": 1.0 - 1e-15}

_TANHC = (1.0, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925)
_SINHC = (1.0, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880)
_SINHC_SLOPE = (1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800)
_COTH_SLOPE = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555)
_ARSINHC = (1.0, -1 / 6, 3 / 40, -5 / 112, 35 / 1152, -63 / 2816)
_SECH2 = (1.0, -1.0, 2 / 3, -17 / 45, 62 / 315, -1382 / 14175)


def boundary_eps(dtype: str) -> float:
    """Return the least allowed ``1 - sqrt(c)|x|`` of a point of the ball in a dtype.

    Examples
    --------
    >>> boundary_eps("float32")
    1e-06
    """
    return _BOUNDARY[dtype]


def reach(dtype: str) -> float:
    """Return the largest allowed ``sqrt(c)|x_space|`` of a point of the hyperboloid in a dtype."""
    return _REACH[dtype]


def arsinh_reach(dtype: str) -> float:
    """Return the longest step, as ``sqrt(c)|v|``, that is taken on the hyperboloid: further is out of reach anyway."""
    return float(np.arcsinh(_REACH[dtype]))


def normal_reach(dtype: str) -> float:
    """Return the largest allowed ``sqrt(c)|x|`` of a point in normal coordinates in a dtype."""
    return _NORMAL_REACH[dtype]


def normal_step(dtype: str) -> float:
    """Return the longest step, as ``sqrt(c)|v|``, in normal coordinates computed in a dtype."""
    return _NORMAL_STEP[dtype]


def _analytic(z: Any, series: Sequence[float], closed: Callable[[Any, Any], Any]) -> Any:
    """Evaluate a function of z >= 0: Taylor ``series`` near 0, ``closed(ops, sqrt(z))`` elsewhere."""
    ops = ops_of(z)
    small = z < _SERIES_BELOW[dtype_of(z)]
    root = ops.sqrt(ops.where(small, ops.ones_like(z), z))
    near = ops.where(small, z, ops.zeros_like(z))
    value = near * series[-1] + series[-2]
    for coefficient in reversed(series[:-2]):
        value = value * near + coefficient
    return ops.where(small, value, closed(ops, root))


def tanhc(z: Any, most: float = 1.0) -> Any:
    r"""Return :math:`\min(\tanh\sqrt z, m)/\sqrt z` for ``z >= 0``; 1 at 0. ``most``, m, is a number near 1.

    Examples
    --------
    >>> float(tanhc(np.asarray(0.0)))
    1.0
    """
    return _analytic(z, _TANHC, lambda ops, t: ops.minimum(ops.tanh(t), most) / t)


def sinhc(z: Any) -> Any:
    r"""Return :math:`\sinh(\sqrt z)/\sqrt z` for ``z >= 0``; the caller bounds ``z`` (see :func:`reach`)."""
    return _analytic(z, _SINHC, lambda ops, t: ops.sinh(t) / t)


def sinhc_slope(z: Any) -> Any:
    r"""Return :math:`(\sinh(\sqrt z)/\sqrt z - 1)/z` for ``z >= 0``; 1/6 at 0."""
    return _analytic(z, _SINHC_SLOPE, lambda ops, t: (ops.sinh(t) / t - 1.0) / ops.square(t))


def coth_slope(z: Any) -> Any:
    r"""Return :math:`(\sqrt z\coth\sqrt z - 1)/z` for ``z >= 0``; 1/3 at 0."""
    return _analytic(z, _COTH_SLOPE, lambda ops, t: (t / ops.tanh(t) - 1.0) / ops.square(t))


def arsinhc(z: Any) -> Any:
    r"""Return :math:`\operatorname{arsinh}(\sqrt z)/\sqrt z` for ``z >= 0``; 1 at 0."""
    return _analytic(z, _ARSINHC, lambda ops, t: ops.arcsinh(t) / t)


def sech2(z: Any) -> Any:
    r"""Return :math:`1/\cosh^2(\sqrt z) = 1-\tanh^2(\sqrt z)` for ``z >= 0`` without cancellation or overflow."""

    def closed(ops: Any, t: Any) -> Any:
        decay = ops.exp(-2.0 * ops.minimum(t, 2.0 * _TANH_MAX[dtype_of(t)]))
        return 4.0 * decay / ops.square(1.0 + decay)

    return _analytic(z, _SECH2, closed)


def arsinh_scaled(s: Any, c: Any) -> Any:
    r"""Return :math:`\operatorname{arsinh}(\sqrt c\,s)/\sqrt c` for ``s >= 0`` and ``c >= 0``; ``s`` at ``c = 0``.

    The same function as ``s * arsinhc(c s²)`` with half its operations, for large matrices and scalar ``c``.
    """
    ops = ops_of(s, c)
    root = ops.sqrt(ops.where(c > 0, c, ops.ones_like(c)))
    small = c * ops.square(s) < 0.2 * _SERIES_BELOW[dtype_of(s)]
    # The series is evaluated on small arguments only: on large ones it overflows, and its gradient with it.
    short = ops.where(small, s, ops.zeros_like(s))
    z = c * ops.square(short)
    near = short * (1.0 + z * (_ARSINHC[1] + z * (_ARSINHC[2] + z * _ARSINHC[3])))
    return ops.where(small, near, ops.arcsinh(root * s) / root)


def artanh(x: Any) -> Any:
    """Return the inverse hyperbolic tangent, with the argument clamped inside (-1, 1).

    Examples
    --------
    >>> bool(np.isfinite(artanh(np.asarray(1.0))))
    True
    """
    ops = ops_of(x)
    bound = _ARTANH_MAX[dtype_of(x)]
    return ops.arctanh(ops.clip(x, -bound, bound))


def arcosh1p(t: Any) -> Any:
    r"""Return :math:`\operatorname{arcosh}(1+t)` for ``t >= 0``, accurate near ``t = 0``.

    Computed as ``log1p(t + sqrt(t (t + 2)))``; the gradient at ``t = 0``, infinite in truth, is given as 0.

    Examples
    --------
    >>> float(arcosh1p(np.asarray(0.0)))
    0.0
    """
    ops = ops_of(t)
    return ops.log1p(t + sqrt(t * (t + 2.0)))


def sqrt(x: Any) -> Any:
    """Return the square root of ``max(x, 0)``, with the gradient 0 where ``x <= 0``.

    Examples
    --------
    >>> sqrt(np.asarray([-1e-9, 0.0, 4.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    ops = ops_of(x)
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, ops.ones_like(x))), ops.zeros_like(x))


def divide(a: Any, b: Any) -> Any:
    """Return ``a / b``, and 0 (value and gradient) where ``b`` is 0."""
    ops = ops_of(a, b)
    good = b != 0
    return ops.where(good, a / ops.where(good, b, ops.ones_like(b)), ops.zeros_like(a))


def sum_squares(x: Any) -> Any:
    """Return the squared Euclidean norm along the last axis, kept as an axis of length 1."""
    ops = ops_of(x)
    return ops.sum(ops.square(x), axis=-1, keepdims=True)


def norm(x: Any) -> Any:
    """Return the Euclidean norm along the last axis (kept), with the gradient 0 at the zero vector.

    Squares underflow: a vector shorter than 1e-19 (float32) or 1e-154 (float64) has norm 0.
    """
    return sqrt(sum_squares(x))


def gap(x: Any, c: Any) -> Any:
    """Return ``1 - c|x|²``, the square root of the ball's inverse metric, up to the factor 2; last axis kept.

    The difference cancels near the rim, where everything depends on it: at hyperbolic distance 12 it is
    2e-5, of which float32 sums would lose a part in 500. It is therefore formed in float64 from the given
    coordinates, and bounded below by :func:`boundary_eps`.

    Parameters
    ----------
    x
        Points, shape ``(..., d)``.
    c
        Curvature magnitude, broadcasting to ``(..., 1)``.

    Returns
    -------
    array
        Shape ``(..., 1)``, in the dtype of ``x``.

    Examples
    --------
    >>> gap(np.asarray([[0.6, 0.0]]), np.asarray(1.0)).tolist()
    [[0.64]]
    """
    return gap_and_square(x, c)[0]


def gap_and_square(x: Any, c: Any) -> tuple[Any, Any]:
    """Return :func:`gap` and ``|x|²``, which it is formed from; both ``(..., 1)``."""
    ops = ops_of(x, c)
    square = sum_squares(wide(ops, x))
    value = narrow(ops, 1.0 - wide(ops, c) * square, x)
    return ops.maximum(value, boundary_eps(dtype_of(x))), narrow(ops, square, x)


def bounded(v: Any, stored: str | None = None) -> Any:
    """Return vectors, those so long that their squares overflow shortened to a length that is beyond all maps anyway.

    ``stored`` is the dtype that they come from, if not that of ``v``.

    Examples
    --------
    >>> bool(np.isfinite(sum_squares(bounded(np.array([1e200, 0.0])))).all())
    True
    """
    if stored not in (None, dtype_of(v)):
        return v
    ops = ops_of(v)
    divisor, _ = shortened(v, ops.ones_like(v[..., :1]))
    return (1.0 / divisor) * v


def shortened(v: Any, gap: Any, stored: str | None = None) -> tuple[Any, Any]:
    """Return the divisors that make ``v / gap`` :func:`bounded`, and the squares of the quotients' lengths.

    Squares of float32 numbers never overflow in float64: vectors that come from there need no care, and for float32
    vectors one sum in float64 tells how long they are and whether they are too long.

    Parameters
    ----------
    v
        Vectors, ``(..., d)``.
    gap
        Positive, ``(..., 1)``.
    stored
        The dtype that ``v`` comes from and goes back to, if not its own.

    Returns
    -------
    tuple
        ``(divisor, square)``, both ``(..., 1)`` in the dtype of ``v``: ``gap`` itself and ``|v / gap|²`` for
        all vectors but the longest.
    """
    ops = ops_of(v)
    if stored not in (None, dtype_of(v)):
        return gap, sum_squares(v) / ops.square(gap)
    longest = _LONGEST[dtype_of(v)]
    vw = wide(ops, v)
    if dtype_of(vw) != dtype_of(v):
        square, most = sum_squares(vw) / ops.square(wide(ops, gap)), longest * longest
        excess = ops.sqrt(ops.maximum(square, most)) / longest
        return gap * narrow(ops, excess, v), narrow(ops, ops.minimum(square, most), v)
    top = ops.max(ops.abs(v), axis=-1, keepdims=True) / gap
    divisor = gap * (ops.maximum(top, longest) / longest)
    return divisor, sum_squares(v / divisor)


def exact_zero(distance2: Any, scale: Any, dtype: str) -> Any:
    """Return squared distances from a Gram matrix with the rounding noise of coincident points set to 0.

    ``|x|² + |y|² - 2 x·y`` has an error of a few units of rounding of ``|x|² + |y|²``. What lies below that
    is no information, and its square root would be a visible distance.

    Parameters
    ----------
    distance2
        Squared differences, any sign for those that are noise.
    scale
        ``|x|² + |y|²``, broadcasting.
    dtype
        The dtype the Gram matrix was formed in.
    """
    ops = ops_of(distance2)
    noise = 8.0 * float(np.finfo(dtype).eps)
    return ops.where(distance2 > noise * scale, distance2, ops.zeros_like(distance2))
