"""Say on which manifold the rows of a Keras variable live.

A layer marks its weight once, in ``build``::

    self.points = self.add_weight(shape=(n, d), initializer=..., autocast=False, name="points")
    set_manifold(self.points, PoincareBall(1.0))

and :class:`hyperperturb.nn.RiemannianAdam` moves it accordingly. The mark is an attribute of the Keras
variable, not saved with the weights: the layer's ``build`` puts it there again when a model is loaded.
"""

from __future__ import annotations

from typing import Any

from hyperperturb.manifolds.base import Manifold
from hyperperturb.manifolds.spaces import Euclidean

_FLAT = Euclidean()


def set_manifold(variable: Any, manifold: Manifold) -> Any:
    """Mark the rows (last axis) of a variable as points of a manifold.

    Parameters
    ----------
    variable
        A ``keras.Variable`` of shape ``(..., D)``.
    manifold
        Where the rows live. Its curvature may be a variable.

    Returns
    -------
    keras.Variable
        The same variable.

    Raises
    ------
    TypeError
        If ``variable`` is not a Keras variable (a raw backend variable would lose the mark) or ``manifold``
        is not a :class:`~hyperperturb.manifolds.Manifold`.
    """
    import keras

    if not isinstance(variable, keras.Variable):
        raise TypeError(f"`variable` must be a keras.Variable. Received: {variable!r} ({type(variable)})")
    if not isinstance(manifold, Manifold):
        raise TypeError(f"`manifold` must be a Manifold. Received: {manifold!r} ({type(manifold)})")
    variable.manifold = manifold
    return variable


def manifold_of(variable: Any) -> Manifold:
    """Return the manifold that a variable was marked with, :class:`~hyperperturb.manifolds.Euclidean` if none."""
    return getattr(variable, "manifold", _FLAT)
