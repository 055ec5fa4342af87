r"""Means of sets of points, computed once for all models: in normal coordinates, in float64.

The Fréchet mean is the minimum of a function that is strictly convex on hyperbolic space, so Newton's method
finds it. In the frame at the present estimate ``m``, with the logarithms :math:`z_i = -m\oplus x_i`, the
gradient is :math:`-\sum w_iz_i` and the second derivative :math:`\sum w_i(uu^T + r_i\coth r_i(1 - uu^T))` along
and across :math:`u = z_i/|z_i|` with :math:`r_i = \sqrt c|z_i|` (X. Pennec: Barycentric subspace analysis on
manifolds. Annals of Statistics 2018, section 5). The second derivative turns by about a right angle a curvature
radius, therefore no step is longer than two.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds import safe
from hyperperturb.manifolds._backend import np, prepare, solve_positive, stop_gradient, wide
from hyperperturb.manifolds._normal import gyro_sum, sinhc_cosh, within
from hyperperturb.manifolds._sets import of_sets
from hyperperturb.manifolds.safe import dtype_of, sum_squares

Array = Any

# The centroid is at most 20 curvature radii from the mean of points within 40, two radii a step make that 10 steps,
# and the last five converge quadratically. Twice as far in float64 the mean is found where it is not that far away.
STEPS = 20
LONGEST_STEP = 2.0


def prepare_sets(x: Array, weights: Array | None, *, c: Any) -> tuple[Any, ...]:
    """Return ``(ops, x, weights, c, like)`` in float64, the weights equal if not given; ``like`` is as given."""
    if weights is None:
        ops, x, c = prepare(x, c=c)
        weights = ops.ones_like(x[..., 0])
    ops, x, weights, c = prepare(x, weights, c=c)
    return ops, wide(ops, x), wide(ops, weights), wide(ops, c), x


def _weighted(ops: Any, weights: Array, values: Array, *, shared: bool = False) -> Array:
    """Return the weighted sums over the points, ``(..., k)``."""
    return ops.matmul(weights, values) if shared else ops.matmul(weights[..., None, :], values)[..., 0, :]


def _is_shared(x: Array, weights: Array, c: Array) -> bool:
    """Tell whether one set of points serves many rows of weights."""
    return len(x.shape) == 2 and len(weights.shape) != 1 and not len(c.shape)


def _centroid(ops: Any, x: Array, weights: Array, c: Array, c_points: Array) -> Array:
    """Return the Lorentz centroid; it loses accuracy as exp(2 sqrt(c) d) with its distance from the origin."""
    shared = _is_shared(x, weights, c)
    ratio, cosh = sinhc_cosh(ops, c_points * sum_squares(x))
    total = _weighted(ops, weights, ops.concatenate([ratio * x, cosh], axis=-1), shared=shared)
    space, time = total[..., :-1], total[..., -1:]
    mass = ops.sum(weights, axis=-1, keepdims=True)
    # Reverse Cauchy-Schwarz: the Lorentz norm of the sum is at least the sum of the weights.
    length = safe.sqrt(ops.maximum(ops.square(time) - c * sum_squares(space), ops.square(mass)))
    space = safe.divide(space, length + 0.0 * space)
    return safe.arsinhc(c * sum_squares(space)) * space


def _centroid_value(ops: Any, x: Array, weights: Array, c: Array, c_points: Array) -> Array:
    r"""Return the Lorentz centroid, accurate at every distance, its gradient not.

    The difference of time and length of the sum is :math:`\sum w_i(e^{-r_i} + \sinh r_i(1 - \cos\theta_i))`,
    with the angle to the sum.
    """
    size2 = sum_squares(x)
    size = safe.sqrt(size2)
    ratio, cosh = sinhc_cosh(ops, c_points * size2)
    total = _weighted(ops, weights, ops.concatenate([ratio * x, cosh], axis=-1))
    space, time = total[..., :-1], total[..., -1:]
    root, root_points = safe.sqrt(c), safe.sqrt(c_points)
    length = safe.norm(space)
    direction = safe.divide(space, length + 0.0 * space)[..., None, :]
    turn = safe.divide(0.5 * sum_squares(x - size * direction), size)
    behind = _weighted(ops, weights, ops.exp(-root_points * size) + root_points * ratio * turn)
    behind = ops.where(length > 0.0, behind, time)
    size = safe.sqrt((time + root * length) * behind)
    space = safe.divide(space, size + 0.0 * space)
    return safe.arsinhc(c * sum_squares(space)) * space


def centroid_of(ops: Any, x: Array, weights: Array, c: Array) -> Array:
    """Return the weighted Lorentz centroids of points in normal coordinates, ``(..., d)``.

    Seen from where the centroid is, all is near the origin; the result does not depend on this base, which is a
    constant. One set of points with many rows of weights goes through a matrix product instead, without a base.
    """
    c, c_points = of_sets(ops, c)
    x = _within_reach(ops, x, c_points)
    if _is_shared(x, weights, c):
        return _centroid(ops, x, weights, c, c_points)
    fixed = [stop_gradient(ops, a) for a in (x, weights, c, c_points)]
    base = stop_gradient(ops, _centroid_value(ops, *fixed))
    moved = gyro_sum(ops, -base[..., None, :], x, c_points)
    return gyro_sum(ops, base, _centroid(ops, moved, weights, c, c_points), c)


def midpoint_of(ops: Any, x: Array, weights: Array, c: Array) -> Array:
    """Return the weighted Fréchet means of points in normal coordinates, ``(..., d)``."""
    c, c_points = of_sets(ops, c)
    x = _within_reach(ops, x, c_points)
    weights = safe.divide(weights, ops.sum(weights, axis=-1, keepdims=True) + 0.0 * weights)
    # Nothing of the search is differentiated.
    fixed = [stop_gradient(ops, a) for a in (x, weights, c, c_points)]

    def improve(_: Any, mean: Array) -> Array:
        return gyro_sum(
            ops, mean, within(ops, _newton_step(ops, mean, *fixed), fixed[2], LONGEST_STEP), fixed[2]
        )

    mean = _centroid_value(ops, *fixed)
    if ops is np:
        for _ in range(STEPS):
            before, mean = mean, improve(_, mean)
            # Convergence is quadratic, and one more step follows.
            if np.all(np.abs(mean - before) <= 1e-6 * np.abs(mean)):
                break
    else:
        mean = ops.fori_loop(0, STEPS, improve, mean)
    mean = stop_gradient(ops, mean)
    # At the mean the step is 0, and its derivative is that of the mean by the implicit function theorem.
    return gyro_sum(ops, mean, _newton_step(ops, mean, x, weights, c, c_points), c)


def _newton_step(ops: Any, mean: Array, x: Array, weights: Array, c: Array, c_points: Array) -> Array:
    ways = gyro_sum(ops, -mean[..., None, :], x, c_points)
    gradient = _weighted(ops, weights, ways)
    fixed = stop_gradient(ops, ways)
    size2 = sum_squares(fixed)
    c_points = stop_gradient(ops, c_points)
    excess = stop_gradient(ops, weights)[..., None] * c_points * safe.coth_slope(c_points * size2)
    identity = ops.eye(x.shape[-1], dtype=dtype_of(x))
    along = ops.matmul(ops.swapaxes(fixed, -1, -2), excess * fixed)
    return solve_positive(
        ops, (1.0 + ops.sum(excess * size2, axis=-2, keepdims=True)) * identity - along, gradient
    )


def _within_reach(ops: Any, x: Array, c_points: Array) -> Array:
    return within(ops, x, c_points, safe.normal_reach(dtype_of(x)))
