"""What all hyperbolic layers share: the manifold, the dtype of points, the way into the tangent space and back."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hyperperturb.manifolds import spaces
from hyperperturb.manifolds.base import Manifold


def components(space: Manifold, x: Any) -> Any:
    """Return the logarithm at the origin in an orthonormal basis, in units of distance.

    The same numbers for the same point of the ball and of the hyperboloid, so that a layer with given weights is the
    same function on every model of hyperbolic space.

    Parameters
    ----------
    space
        The manifold.
    x
        Points, ``(..., D)``.

    Returns
    -------
    tensor
        ``(..., d)``.
    """
    return space.logmap0(x)[..., space.ambient_dim(0) :] / space._origin_unit()


def from_components(space: Manifold, v: Any) -> Any:
    """Return the points ``(..., D)`` whose :func:`components` are ``v``, ``(..., d)``."""
    return space.expmap0(space.from_space(space._origin_unit() * v))


def inverse_softplus(value: float) -> float:
    """Return the number whose softplus is ``value > 0``."""
    return value + math.log(-math.expm1(-value))


def are_several(shapes: Any, *counts: int) -> bool:
    """Tell whether what Keras hands to ``build`` are the shapes of a list of so many inputs."""
    return (
        isinstance(shapes, list | tuple)
        and len(shapes) in counts
        and all(isinstance(shape, list | tuple) for shape in shapes)
    )


class ManifoldLayer(keras.layers.Layer):
    """A layer whose inputs or outputs are points of a manifold.

    Points are never below float32: a half-precision copy of a point near the rim is no longer in the ball. So
    inputs are not cast to the compute dtype on the way in; subclasses cast tangent vectors to it for their
    matrix products, and back.

    Parameters
    ----------
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data.
    kwargs
        As for ``keras.layers.Layer``.
    """

    def __init__(self, *, manifold: Any = "PoincareBall", **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.manifold = spaces.get(manifold)

    @property
    def point_dtype(self) -> str:
        """Return the dtype of points: float64 under a float64 policy, else float32."""
        return "float64" if self.variable_dtype == "float64" else "float32"

    def _weight(self, name: str, shape: tuple, initializer: Any, **kwargs: Any) -> Any:
        """Add a trainable weight that no policy casts behind our back, and that is never below float32."""
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype=self.point_dtype, autocast=False, **kwargs
        )

    def _points(self, x: Any) -> Any:
        """Return points in the dtype of points."""
        return ops.cast(x, self.point_dtype)

    def _project(self, equation: str, v: Any, kernel: Any) -> Any:
        """Return an einsum of tangent components with a kernel, formed in the compute dtype."""
        product = ops.einsum(equation, ops.cast(v, self.compute_dtype), ops.cast(kernel, self.compute_dtype))
        return ops.cast(product, self.point_dtype)

    def _activate(self, v: Any) -> Any:
        """Return ``self.activation`` of tangent components, computed in the compute dtype."""
        if self.activation is keras.activations.linear:
            return v
        return ops.cast(self.activation(ops.cast(v, self.compute_dtype)), self.point_dtype)

    def _dim(self, shape: tuple) -> int:
        """Return the dimension of the manifold on which points of the given shape lie."""
        dim = None if shape[-1] is None else shape[-1] - self.manifold.ambient_dim(0)
        if dim is None or dim < 1:
            raise ValueError(
                f"`{type(self).__name__}` needs points with a known number of coordinates on the last axis, at least "
                f"{self.manifold.ambient_dim(1)} on {self.manifold!r}. Received: shape={tuple(shape)}"
            )
        return dim

    def _symbolic(self, shape: tuple) -> Any:
        return keras.KerasTensor(shape, dtype=self.point_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "manifold": spaces.serialize(self.manifold)}
