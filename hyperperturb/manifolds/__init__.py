"""Hyperbolic geometry, written once for NumPy arrays and for tensors of any Keras backend.

Two levels: pure functions with the curvature as keyword ``c`` (modules
:mod:`~hyperperturb.manifolds.poincare`, :mod:`~hyperperturb.manifolds.lorentz` and
:mod:`~hyperperturb.manifolds.normal`), and classes that carry it (:class:`Euclidean`, :class:`PoincareBall`,
:class:`Lorentz`, :class:`NormalCoordinates`). Nothing here imports Keras until a tensor
is handed over.

Examples
--------
>>> import numpy as np
>>> from hyperperturb.manifolds import PoincareBall
>>> ball = PoincareBall(c=1.0)
>>> x, y = np.array([0.1, 0.2]), np.array([0.5, -0.3])
>>> bool(np.allclose(ball.expmap(x, ball.logmap(x, y)), y))
True
"""

from __future__ import annotations

from hyperperturb.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "base": "Manifold",
        "spaces": "Euclidean Lorentz NormalCoordinates PoincareBall get serialize to_lorentz to_poincare",
    },
    modules=("lorentz", "normal", "poincare", "safe"),
)
