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

from importlib import import_module
from typing import Any

_LAZY = {
    "Euclidean": "spaces",
    "Lorentz": "spaces",
    "Manifold": "base",
    "NormalCoordinates": "spaces",
    "PoincareBall": "spaces",
    "get": "spaces",
    "serialize": "spaces",
    "to_lorentz": "spaces",
    "to_poincare": "spaces",
}
_MODULES = ("lorentz", "normal", "poincare", "safe")

__all__ = [
    "Euclidean",
    "Lorentz",
    "Manifold",
    "NormalCoordinates",
    "PoincareBall",
    "get",
    "lorentz",
    "normal",
    "poincare",
    "safe",
    "serialize",
    "to_lorentz",
    "to_poincare",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
