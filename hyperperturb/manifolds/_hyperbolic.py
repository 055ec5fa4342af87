"""The base of the classes that carry a curvature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hyperperturb.manifolds._backend import to_numpy
from hyperperturb.manifolds.base import Array, Manifold


class Hyperbolic(Manifold):
    """What the models of hyperbolic space share: a curvature, handed to a module of pure functions."""

    _functions: Any

    def __init__(self, c: Any = 1.0) -> None:
        if isinstance(c, int | float | np.number):
            c = float(c)
            if not (math.isfinite(c) and c > 0.0):
                raise ValueError(
                    f"The curvature magnitude `c` must be positive and finite. Received: c={c!r}"
                )
        self.c = c

    def inner(self, x: Array, u: Array, v: Array | None = None, *, keepdims: bool = False) -> Array:
        return self._functions.inner(x, u, v, c=self.c, keepdims=keepdims)

    def norm(self, x: Array, u: Array, *, keepdims: bool = False) -> Array:
        return self._functions.norm(x, u, c=self.c, keepdims=keepdims)

    def dist(self, x: Array, y: Array, *, keepdims: bool = False) -> Array:
        return self._functions.dist(x, y, c=self.c, keepdims=keepdims)

    def dist0(self, x: Array, *, keepdims: bool = False) -> Array:
        return self._functions.dist0(x, c=self.c, keepdims=keepdims)

    def pairwise_dist(self, x: Array, y: Array | None = None) -> Array:
        return self._functions.pairwise_dist(x, y, c=self.c)

    def expmap(self, x: Array, v: Array) -> Array:
        return self._functions.expmap(x, v, c=self.c)

    def logmap(self, x: Array, y: Array) -> Array:
        return self._functions.logmap(x, y, c=self.c)

    def expmap0(self, v: Array) -> Array:
        return self._functions.expmap0(v, c=self.c)

    def logmap0(self, y: Array) -> Array:
        return self._functions.logmap0(y, c=self.c)

    def ptransp(self, x: Array, y: Array, v: Array) -> Array:
        return self._functions.ptransp(x, y, v, c=self.c)

    def ptransp0(self, y: Array, v: Array) -> Array:
        return self._functions.ptransp0(y, v, c=self.c)

    def retr(self, x: Array, v: Array) -> Array:
        return self._functions.retr(x, v, c=self.c)

    def projx(self, x: Array) -> Array:
        return self._functions.projx(x, c=self.c)

    def proju(self, x: Array, u: Array) -> Array:
        return self._functions.proju(x, u, c=self.c)

    def egrad2rgrad(self, x: Array, g: Array) -> Array:
        return self._functions.egrad2rgrad(x, g, c=self.c)

    def centroid(self, x: Array, weights: Array | None = None) -> Array:
        return self._functions.centroid(x, weights, c=self.c)

    def midpoint(self, x: Array, weights: Array | None = None) -> Array:
        return self._functions.midpoint(x, weights, c=self.c)

    def mobius_add(self, x: Array, y: Array) -> Array:
        """Return the Möbius sum; on other models than the ball, the sum under the isometry with it."""
        return self._functions.mobius_add(x, y, c=self.c)

    def to_poincare(self, x: Array) -> Array:
        """Return the points in the ball of the same curvature, ``(..., d)``."""
        return self._functions.to_poincare(x, c=self.c)

    def to_lorentz(self, x: Array) -> Array:
        """Return the points on the hyperboloid of the same curvature, ``(..., d + 1)``."""
        return self._functions.to_lorentz(x, c=self.c)

    def to_normal(self, x: Array) -> Array:
        """Return the points in normal coordinates of the same curvature, ``(..., d)``."""
        return self._functions.to_normal(x, c=self.c)

    def get_config(self) -> dict[str, Any]:
        """Return ``{"c": number}``; a variable curvature is given by its present value (nested lists if not
        scalar)."""
        return {"c": self.c if isinstance(self.c, float) else to_numpy(self.c).tolist()}

    def __hash__(self) -> int:
        return hash((type(self), repr(self.get_config()["c"])))

    def _number(self) -> np.ndarray:
        return np.asarray(to_numpy(self.c), dtype=np.float64)
