"""A free point on a manifold for each item."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.nn._manifold_layer import ManifoldLayer
from hyperperturb.nn.initializers import WrappedNormal
from hyperperturb.nn.manifold_variable import set_manifold


@keras.saving.register_keras_serializable(package="hyperperturb")
class HyperbolicEmbedding(ManifoldLayer):
    """A free point on a manifold for each of a fixed number of items, looked up by index.

    The table is a manifold parameter: :class:`hyperperturb.nn.RiemannianAdam` keeps it on the manifold, and
    updates only the rows that were looked up (their gradient is sparse on the TensorFlow backend). Under a
    mixed precision policy table and output stay float32.

    Parameters
    ----------
    input_dim
        Number of items.
    output_dim
        Dimension of the manifold; the points have ``manifold.ambient_dim(output_dim)`` coordinates.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are
        the rest.
    embeddings_initializer
        Anything ``keras.initializers.get`` takes; by default :class:`~hyperperturb.nn.WrappedNormal` with
        standard deviation 0.01, near the origin. What it returns is projected onto the manifold.

    Notes
    -----
    Input shape: integers of any shape ``(...)``. Output shape: ``(..., ambient_dim)``.

    Examples
    --------
    >>> layer = HyperbolicEmbedding(10, 3, manifold="PoincareBall")
    >>> tuple(layer(ops.convert_to_tensor([[0, 1], [2, 9]])).shape)
    (2, 2, 3)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        manifold: Any = "PoincareBall",
        embeddings_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        for name, value in (("input_dim", input_dim), ("output_dim", output_dim)):
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        super().__init__(manifold=manifold, **kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = (
            WrappedNormal(self.manifold)
            if embeddings_initializer is None
            else keras.initializers.get(embeddings_initializer)
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the table of points, once."""
        if self.built:
            return

        def on_manifold(shape: Any, dtype: Any = None) -> Any:
            return self.manifold.projx(self.embeddings_initializer(shape, dtype=dtype))

        shape = (self.input_dim, self.manifold.ambient_dim(self.output_dim))
        self.embeddings = self._weight("embeddings", shape, on_manifold)
        set_manifold(self.embeddings, self.manifold)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the points of the items."""
        if keras.backend.standardize_dtype(inputs.dtype) not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        return ops.take(self.embeddings, inputs, axis=0)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the input's shape with one axis of coordinates added."""
        return (*input_shape, self.manifold.ambient_dim(self.output_dim))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype: that of the table, not of the compute policy."""
        return self._symbolic(self.compute_output_shape(inputs.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }
