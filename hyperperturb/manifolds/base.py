"""The vocabulary that every manifold speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from hyperperturb.manifolds._backend import prepare, to_numpy

Array = Any


class Manifold(ABC):
    """A Riemannian manifold whose points are rows of an array.

    Points ``x, y`` and tangent vectors ``u, v`` have shape ``(..., D)``, where ``D = ambient_dim(d)`` for a
    manifold of dimension ``d``. Every method takes NumPy arrays (and then needs no Keras) or tensors of a
    Keras backend, and returns the same kind in the same dtype. Instances are light, immutable in use,
    comparable and serialisable.
    """

    @property
    def name(self) -> str:
        """The name under which :func:`hyperperturb.manifolds.get` finds the class."""
        return type(self).__name__

    # -- metric --------------------------------------------------------------------------------------------

    @abstractmethod
    def inner(self, x: Array, u: Array, v: Array | None = None, *, keepdims: bool = False) -> Array:
        """Return the Riemannian inner product of ``u`` and ``v`` (``u`` if not given) at ``x``, ``(...)``."""

    @abstractmethod
    def norm(self, x: Array, u: Array, *, keepdims: bool = False) -> Array:
        """Return the Riemannian length of ``u`` at ``x``, ``(...)``."""

    @abstractmethod
    def dist(self, x: Array, y: Array, *, keepdims: bool = False) -> Array:
        """Return the geodesic distance, ``(...)``; exactly 0 for equal points."""

    @abstractmethod
    def dist0(self, x: Array, *, keepdims: bool = False) -> Array:
        """Return the distance from the origin, ``(...)``."""

    @abstractmethod
    def pairwise_dist(self, x: Array, y: Array | None = None) -> Array:
        """Return all distances between ``(n, D)`` and ``(m, D)`` points, ``(n, m)``, without an (n, m, D) temporary."""

    # -- maps ----------------------------------------------------------------------------------------------

    @abstractmethod
    def expmap(self, x: Array, v: Array) -> Array:
        """Return the end of the geodesic that leaves ``x`` with velocity ``v``, after unit time."""

    @abstractmethod
    def logmap(self, x: Array, y: Array) -> Array:
        """Return the tangent vector at ``x`` whose exponential is ``y``."""

    @abstractmethod
    def expmap0(self, v: Array) -> Array:
        """Return the exponential map at the origin."""

    @abstractmethod
    def logmap0(self, y: Array) -> Array:
        """Return the logarithm at the origin."""

    @abstractmethod
    def ptransp(self, x: Array, y: Array, v: Array) -> Array:
        """Return ``v``, tangent at ``x``, carried to ``y`` along the geodesic between them."""

    @abstractmethod
    def ptransp0(self, y: Array, v: Array) -> Array:
        """Return ``v``, tangent at the origin, carried to ``y``."""

    @abstractmethod
    def retr(self, x: Array, v: Array) -> Array:
        """Return a first-order approximation of :meth:`expmap` that is on the manifold."""

    @abstractmethod
    def projx(self, x: Array) -> Array:
        """Return ``x`` brought onto the manifold; points on it are not moved."""

    @abstractmethod
    def proju(self, x: Array, u: Array) -> Array:
        """Return the ambient vector ``u`` projected onto the tangent space at ``x``."""

    @abstractmethod
    def egrad2rgrad(self, x: Array, g: Array) -> Array:
        """Return the Riemannian gradient for the partial derivatives ``g``."""

    @abstractmethod
    def centroid(self, x: Array, weights: Array | None = None) -> Array:
        """Return the weighted centroid of ``(..., n, D)`` points in closed form, ``(..., D)``.

        Weights ``(..., n)``, not negative; equal if not given. On hyperbolic space it minimises
        ``sum(w sinh²(sqrt(c) d / 2))``, in flat space ``sum(w d²)``. For two equal weights it is the middle of the
        geodesic. Cheap and differentiable: what layers aggregate with.
        """

    @abstractmethod
    def midpoint(self, x: Array, weights: Array | None = None) -> Array:
        """Return the weighted Fréchet mean, which minimises ``sum(w d²)``; shapes as :meth:`centroid`."""

    @abstractmethod
    def mobius_add(self, x: Array, y: Array) -> Array:
        """Return ``x`` translated: the gyrovector sum of ``x`` and ``y`` (in flat space, the sum)."""

    def mobius_scalar_mul(self, r: Any, x: Array) -> Array:
        """Return the point ``r`` times as far from the origin; ``r`` is a number or broadcasts to ``(..., 1)``."""
        _, r, x, _ = prepare(r, x, c=0.0)
        return self.expmap0(r * self.logmap0(x))

    def mobius_matvec(self, matrix: Array, x: Array) -> Array:
        """Return the matrix ``(k, d)`` applied in the tangent space at the origin, ``(..., k)``."""
        ops, matrix, x, _ = prepare(matrix, x, c=0.0)
        return self.expmap0(ops.matmul(self.logmap0(x), ops.swapaxes(matrix, -1, -2)))

    def geodesic(self, t: Any, x: Array, y: Array) -> Array:
        """Return the point at fraction ``t`` of the geodesic from ``x`` to ``y``; ``t`` broadcasts to ``(..., 1)``."""
        _, t, x, y, _ = prepare(t, x, y, c=0.0)
        return self.expmap(x, t * self.logmap(x, y))

    # -- points --------------------------------------------------------------------------------------------

    def ambient_dim(self, dim: int) -> int:
        """Return the number of coordinates of a point of the manifold of dimension ``dim``."""
        return dim

    def origin(self, *shape: int, dtype: str = "float32") -> np.ndarray:
        """Return the origin, repeated; the last entry of ``shape`` is the number of coordinates."""
        return np.zeros(shape, dtype)

    def from_space(self, v: Array) -> Array:
        """Return the tangent vector at the origin with the given ``(..., d)`` components, ``(..., D)``."""
        return v

    def random(
        self,
        *shape: int,
        seed: int | np.random.Generator | None = None,
        scale: float = 1.0,
        dtype: str = "float32",
    ) -> np.ndarray:
        """Return points of a wrapped normal distribution about the origin.

        Parameters
        ----------
        shape
            The last entry is the number of coordinates ``D``.
        seed
            A seed or a generator.
        scale
            Standard deviation of the coordinates of the tangent vectors, in units of distance.
        dtype
            Of the result.

        Returns
        -------
        numpy.ndarray
        """
        dim = shape[-1] - (self.ambient_dim(1) - 1)
        rng = np.random.default_rng(seed)
        tangent = scale * self._origin_unit() * rng.standard_normal((*shape[:-1], dim))
        return self.projx(self.expmap0(self.from_space(tangent)).astype(dtype))

    def _origin_unit(self) -> float:
        """Return the coordinate length of a unit tangent vector at the origin."""
        return 1.0

    # -- checks --------------------------------------------------------------------------------------------

    def check_point(self, x: Array, *, atol: float | None = None, explain: bool = False) -> Any:
        """Tell whether all rows are points of the manifold.

        Parameters
        ----------
        x
            ``(..., D)``.
        atol
            Tolerance; by default fits the dtype.
        explain
            Return ``(ok, reason)``, the reason empty if all is well.

        Returns
        -------
        bool or tuple
        """
        reason = self._why_no_point(to_numpy(x), atol)
        return (reason == "", reason) if explain else reason == ""

    def check_vector(self, x: Array, u: Array, *, atol: float | None = None, explain: bool = False) -> Any:
        """Tell whether the rows of ``u`` are tangent at the rows of ``x``; the rest as :meth:`check_point`."""
        reason = self._why_no_vector(to_numpy(x), to_numpy(u), atol)
        return (reason == "", reason) if explain else reason == ""

    def _why_no_point(self, x: np.ndarray, atol: float | None) -> str:
        return "" if np.isfinite(x).all() else "some coordinates are not finite"

    def _why_no_vector(self, x: np.ndarray, u: np.ndarray, atol: float | None) -> str:
        if x.shape[-1] != u.shape[-1]:
            return f"the last axes differ: {x.shape[-1]} and {u.shape[-1]}"
        return "" if np.isfinite(u).all() else "some components are not finite"

    # -- identity ------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal manifold."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Manifold:
        """Return the manifold of a configuration."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), *sorted(self.get_config().items())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
