"""The manifolds as light objects that carry their curvature: flat space and three models of hyperbolic space."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperperturb.manifolds import lorentz, normal, poincare, safe
from hyperperturb.manifolds._backend import prepare
from hyperperturb.manifolds._hyperbolic import Hyperbolic
from hyperperturb.manifolds._pairwise import squared_differences
from hyperperturb.manifolds.base import Array, Manifold


class Euclidean(Manifold):
    """Flat space with the ordinary metric: the twin against which the hyperbolic model is measured.

    Examples
    --------
    >>> float(Euclidean().dist(np.zeros(2), np.array([3.0, 4.0])))
    5.0
    """

    c = 0.0

    def inner(self, x: Array, u: Array, v: Array | None = None, *, keepdims: bool = False) -> Array:
        ops, u, v, _ = prepare(u, u if v is None else v, c=0.0)
        return ops.sum(u * v, axis=-1, keepdims=keepdims)

    def norm(self, x: Array, u: Array, *, keepdims: bool = False) -> Array:
        _, u, _ = prepare(u, c=0.0)
        value = safe.norm(u)
        return value if keepdims else value[..., 0]

    def dist(self, x: Array, y: Array, *, keepdims: bool = False) -> Array:
        _, x, y, _ = prepare(x, y, c=0.0)
        value = safe.norm(y - x)
        return value if keepdims else value[..., 0]

    def dist0(self, x: Array, *, keepdims: bool = False) -> Array:
        return self.norm(x, x, keepdims=keepdims)

    def pairwise_dist(self, x: Array, y: Array | None = None) -> Array:
        ops, x, y, _ = prepare(x, x if y is None else y, c=0.0)
        return safe.sqrt(squared_differences(ops, x, y))

    def expmap(self, x: Array, v: Array) -> Array:
        _, x, v, _ = prepare(x, v, c=0.0)
        return x + v

    def logmap(self, x: Array, y: Array) -> Array:
        _, x, y, _ = prepare(x, y, c=0.0)
        return y - x

    def expmap0(self, v: Array) -> Array:
        return prepare(v, c=0.0)[1]

    def logmap0(self, y: Array) -> Array:
        return prepare(y, c=0.0)[1]

    def ptransp(self, x: Array, y: Array, v: Array) -> Array:
        return prepare(v, c=0.0)[1]

    def ptransp0(self, y: Array, v: Array) -> Array:
        return prepare(v, c=0.0)[1]

    def retr(self, x: Array, v: Array) -> Array:
        return self.expmap(x, v)

    def projx(self, x: Array) -> Array:
        return prepare(x, c=0.0)[1]

    def proju(self, x: Array, u: Array) -> Array:
        return prepare(u, c=0.0)[1]

    def egrad2rgrad(self, x: Array, g: Array) -> Array:
        return prepare(g, c=0.0)[1]

    def centroid(self, x: Array, weights: Array | None = None) -> Array:
        ops, x, _ = prepare(x, c=0.0)
        if weights is None:
            weights = ops.ones_like(x[..., 0])
        ops, x, weights, _ = prepare(x, weights, c=0.0)
        shared = len(x.shape) == 2 and len(weights.shape) != 1
        total = ops.matmul(weights, x) if shared else ops.matmul(weights[..., None, :], x)[..., 0, :]
        return safe.divide(total, ops.sum(weights, axis=-1, keepdims=True) + 0.0 * total)

    def midpoint(self, x: Array, weights: Array | None = None) -> Array:
        return self.centroid(x, weights)

    def mobius_add(self, x: Array, y: Array) -> Array:
        return self.expmap(x, y)


class PoincareBall(Hyperbolic):
    """The Poincaré ball of curvature ``-c``: the vectors shorter than ``1/sqrt(c)``.

    Parameters
    ----------
    c
        Curvature magnitude: a positive number, or an array, tensor or variable that broadcasts against
        ``(..., 1)``.

    Examples
    --------
    >>> ball = PoincareBall(1.0)
    >>> float(ball.dist([0.0, 0.0], [0.5, 0.0]).round(6))
    1.098612
    >>> ball
    PoincareBall(c=1.0)
    """

    _functions = poincare

    def mobius_scalar_mul(self, r: Any, x: Array) -> Array:
        return poincare.mobius_scalar_mul(r, x, c=self.c)

    def mobius_matvec(self, matrix: Array, x: Array) -> Array:
        return poincare.mobius_matvec(matrix, x, c=self.c)

    def geodesic(self, t: Any, x: Array, y: Array) -> Array:
        return poincare.geodesic(t, x, y, c=self.c)

    def to_poincare(self, x: Array) -> Array:
        """Return the points as they are."""
        return prepare(x, c=0.0)[1]

    def _origin_unit(self) -> float:
        return 0.5

    def _why_no_point(self, x: np.ndarray, atol: float | None) -> str:
        reason = super()._why_no_point(x, atol)
        if reason:
            return reason
        radius = np.sqrt(self._number()) * np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
        worst = float(radius.max(initial=0.0))
        return (
            "" if worst < 1.0 + (atol or 0.0) else f"sqrt(c)|x| must be below 1, the largest is {worst:.9g}"
        )


class Lorentz(Hyperbolic):
    """The hyperboloid of curvature ``-c`` in Minkowski space, time first.

    Parameters
    ----------
    c
        As for :class:`PoincareBall`.

    Examples
    --------
    >>> space = Lorentz(1.0)
    >>> x = space.expmap0(space.from_space(np.array([1.5, 0.0])))
    >>> float(space.dist0(x))
    1.5
    """

    _functions = lorentz

    def ambient_dim(self, dim: int) -> int:
        return dim + 1

    def from_space(self, v: Array) -> Array:
        ops, v, _ = prepare(v, c=0.0)
        return ops.concatenate([ops.zeros_like(v[..., :1]), v], axis=-1)

    def origin(self, *shape: int, dtype: str = "float32") -> np.ndarray:
        return lorentz.projx(np.zeros(shape, dtype), c=self._number())

    def mobius_add(self, x: Array, y: Array) -> Array:
        """Return the sum under the isometry with the ball: ``exp_x(ptransp0(x, log_0 y))``."""
        _, x, y, _ = prepare(x, y, c=0.0)
        return self.expmap(x, self.ptransp0(x, self.logmap0(y)))

    def mobius_matvec(self, matrix: Array, x: Array) -> Array:
        ops, matrix, x, _ = prepare(matrix, x, c=0.0)
        moved = ops.matmul(self.logmap0(x)[..., 1:], ops.swapaxes(matrix, -1, -2))
        return self.expmap0(self.from_space(moved))

    def to_lorentz(self, x: Array) -> Array:
        """Return the points as they are."""
        return prepare(x, c=0.0)[1]

    def _why_no_point(self, x: np.ndarray, atol: float | None) -> str:
        reason = super()._why_no_point(x, atol)
        if reason:
            return reason
        tolerance = atol if atol is not None else 32 * float(np.finfo(x.dtype).eps)
        time = np.sqrt(1.0 / self._number() + np.square(x[..., 1:].astype(np.float64)).sum(-1, keepdims=True))
        worst = float(np.max(np.abs(x[..., :1] / time - 1.0), initial=0.0))
        return (
            ""
            if worst <= tolerance
            else f"time must be sqrt(1/c + |space|²), it is off by {worst:.3g} of itself"
        )

    def _why_no_vector(self, x: np.ndarray, u: np.ndarray, atol: float | None) -> str:
        reason = super()._why_no_vector(x, u, atol)
        if reason:
            return reason
        tolerance = atol if atol is not None else 32 * float(np.finfo(u.dtype).eps)
        x, u = x.astype(np.float64), u.astype(np.float64)
        product = np.abs((x[..., 1:] * u[..., 1:]).sum(-1) - x[..., 0] * u[..., 0])
        size = np.linalg.norm(x, axis=-1) * np.linalg.norm(u, axis=-1)
        worst = float(np.max(product / np.maximum(size, np.finfo(np.float64).tiny), initial=0.0))
        return "" if worst <= tolerance else f"<x, u>_L must be 0, it is {worst:.3g} of |x||u|"


class NormalCoordinates(Hyperbolic):
    """Hyperbolic space of curvature ``-c`` in Riemannian normal coordinates: a point is its logarithm at the origin.

    Every vector of length up to 40 curvature radii (float32; 80 in float64) is a point, to full precision. Tangent
    vectors are components in the orthonormal frame carried from the origin; see
    :mod:`hyperperturb.manifolds.normal`.

    Parameters
    ----------
    c
        As for :class:`PoincareBall`.

    Examples
    --------
    >>> space = NormalCoordinates(1.0)
    >>> x, y = np.float32([35.0, 0.0]), np.float32([0.0, 30.0])
    >>> round(float(space.dist(x, y)), 3)
    64.307
    >>> bool(np.allclose(space.expmap(x, space.logmap(x, y)), y, atol=1e-4))
    True
    """

    _functions = normal

    def to_normal(self, x: Array) -> Array:
        """Return the points as they are."""
        return prepare(x, c=0.0)[1]


_CLASSES = {cls.__name__: cls for cls in (Euclidean, PoincareBall, Lorentz, NormalCoordinates)}


def serialize(manifold: Manifold) -> dict[str, Any]:
    """Return a manifold as plain data.

    Examples
    --------
    >>> serialize(PoincareBall(0.5))
    {'name': 'PoincareBall', 'config': {'c': 0.5}}
    """
    return {"name": manifold.name, "config": manifold.get_config()}


def get(identifier: Any) -> Manifold:
    """Return a manifold from an instance, a name, or the data of :func:`serialize`.

    Parameters
    ----------
    identifier
        A :class:`Manifold`, ``"Euclidean"``, ``"PoincareBall"``, ``"Lorentz"``, ``"NormalCoordinates"``, or ``{"name":
        ..., "config": ...}``.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> get("Lorentz") == Lorentz(1.0)
    True
    """
    if isinstance(identifier, Manifold):
        return identifier
    if isinstance(identifier, str) and identifier in _CLASSES:
        return _CLASSES[identifier]()
    if isinstance(identifier, dict) and identifier.get("name") in _CLASSES:
        return _CLASSES[identifier["name"]].from_config(identifier.get("config") or {})
    raise ValueError(
        f"A manifold must be one of {sorted(_CLASSES)}, its data, or an instance. Received: {identifier!r}"
    )


def to_lorentz(x: Array, *, c: Any) -> Array:
    """Map points of the ball to the hyperboloid; see :func:`hyperperturb.manifolds.poincare.to_lorentz`."""
    return poincare.to_lorentz(x, c=c)


def to_poincare(x: Array, *, c: Any) -> Array:
    """Map points of the hyperboloid to the ball; see :func:`hyperperturb.manifolds.lorentz.to_poincare`."""
    return lorentz.to_poincare(x, c=c)
