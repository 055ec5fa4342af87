"""The hyperbolic dense layer, and the doors between flat features and a manifold."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.nn._manifold_layer import ManifoldLayer, components, from_components, inverse_softplus


@keras.saving.register_keras_serializable(package="hyperperturb")
class HyperbolicDense(ManifoldLayer):
    r"""A matrix, a bias and an activation between points: the hyperbolic ``keras.layers.Dense``.

    .. math::

        y = \exp_0\big(\sigma(\log_0((W\otimes x)\oplus b))\big),\qquad
        W\otimes x = \exp_0(W\log_0 x),\qquad b = \exp_0(\beta).

    The kernel acts in the tangent space at the origin (Möbius matrix-vector product), the bias translates by
    Möbius addition, the activation acts in the tangent space again. On :class:`~hyperperturb.manifolds.Euclidean`
    it is ``keras.layers.Dense``; on two models of hyperbolic space with the same curvature, the same weights give
    the same points.

    The bias is stored as the tangent vector :math:`\beta` and not as a point: every optimizer can train it, weight
    decay and regularisers mean something for it, it starts at zero, and near the origin, where biases are, the
    two differ to third order only.

    Parameters
    ----------
    units
        Dimension of the manifold of the output.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are
        the rest.
    activation
        Anything ``keras.activations.get`` takes. Components are in units of distance.
    use_bias
        Whether to translate.
    kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer
        As for ``keras.layers.Dense``.

    Notes
    -----
    Input shape: points ``(..., ambient_dim(d))``. Output shape: points ``(..., ambient_dim(units))``. Under a mixed
    precision policy the matrix product and the activation are computed in half precision, all else and the
    output in float32.

    References
    ----------
    O.-E. Ganea, G. Bécigneul, T. Hofmann: Hyperbolic neural networks. NeurIPS 2018. Sections 3.2 and 3.3.

    I. Chami, R. Ying, C. Ré, J. Leskovec: Hyperbolic graph convolutional neural networks. NeurIPS 2019. Eq. 6, 7, 10.

    Examples
    --------
    >>> layer = HyperbolicDense(3, manifold="Lorentz", activation="relu")
    >>> tuple(layer(ops.convert_to_tensor([[1.25, 0.75, 0.0]])).shape)
    (1, 4)
    """

    def __init__(
        self,
        units: int,
        *,
        manifold: Any = "PoincareBall",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(units, int) or units <= 0:
            raise ValueError(f"`units` must be a positive integer. Received: units={units!r}")
        super().__init__(manifold=manifold, **kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

    def build(self, input_shape: Any) -> None:
        """Create the kernel and the bias."""
        self.kernel = self._weight(
            "kernel",
            (self._dim(input_shape), self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        if self.use_bias:
            self.bias = self._weight(
                "bias", (self.units,), self.bias_initializer, regularizer=self.bias_regularizer
            )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the layer's points."""
        return from_components(self.manifold, self.tangent(inputs))

    def tangent(self, inputs: Any) -> Any:
        """Return the components of the layer's points: what :meth:`call` maps onto the manifold."""
        v = components(self.manifold, self._points(inputs))
        v = self._project("...d,du->...u", v, self.kernel)
        if self.use_bias:
            point = from_components(self.manifold, v)
            bias = from_components(self.manifold, ops.convert_to_tensor(self.bias))
            v = components(self.manifold, self.manifold.mobius_add(point, bias))
        return self._activate(v)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the input's shape with the last axis exchanged."""
        return (*input_shape[:-1], self.manifold.ambient_dim(self.units))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype: that of points, not of the compute policy."""
        return self._symbolic(self.compute_output_shape(inputs.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }


@keras.saving.register_keras_serializable(package="hyperperturb")
class ToManifold(ManifoldLayer):
    r"""Flat features as points, :math:`\exp_0(s\,v)`: the first layer of a hyperbolic network (Chami et al. 2019).

    A trainable scale ``s`` is a learned curvature: the space of curvature ``-c`` is the unit space scaled by
    :math:`1/\sqrt c`, so all layers after it may stay on a manifold of fixed curvature, and no point leaves it when
    the scale changes.

    Parameters
    ----------
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are the rest.
    scale
        The factor ``s``, positive: distance from the origin of a feature vector of length 1.
    trainable_scale
        Whether it is learned (through its softplus).

    Notes
    -----
    Input shape: ``(..., d)``. Output shape: points ``(..., ambient_dim(d))``, never below float32.

    Examples
    --------
    >>> layer = ToManifold(manifold="Lorentz")
    >>> [round(float(t), 4) for t in layer(ops.convert_to_tensor([1.0, 0.0]))]
    [1.5431, 1.1752, 0.0]
    """

    def __init__(
        self,
        *,
        manifold: Any = "PoincareBall",
        scale: float = 1.0,
        trainable_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        if not scale > 0.0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale!r}")
        super().__init__(manifold=manifold, **kwargs)
        self.scale = float(scale)
        self.trainable_scale = trainable_scale

    def build(self, input_shape: Any) -> None:
        """Create the scale, if it is learned."""
        if self.trainable_scale:
            start = keras.initializers.Constant(inverse_softplus(self.scale))
            self.raw_scale = self._weight("raw_scale", (), start)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the features' points."""
        scale = ops.softplus(ops.convert_to_tensor(self.raw_scale)) if self.trainable_scale else self.scale
        return from_components(self.manifold, scale * self._points(inputs))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the input's shape with the number of coordinates of a point."""
        return (*input_shape[:-1], self.manifold.ambient_dim(input_shape[-1]))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype."""
        return self._symbolic(self.compute_output_shape(inputs.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {**super().get_config(), "scale": self.scale, "trainable_scale": self.trainable_scale}


@keras.saving.register_keras_serializable(package="hyperperturb")
class FromManifold(ManifoldLayer):
    r"""Points as flat features, :math:`\log_0 x` in units of distance: the way out to ordinary layers.

    Parameters
    ----------
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only.

    Notes
    -----
    Input shape: points ``(..., ambient_dim(d))``. Output shape: ``(..., d)``, in the dtype of points; the next layer
    casts it as its policy says.

    Examples
    --------
    >>> point = ToManifold(manifold="PoincareBall")(ops.convert_to_tensor([0.5, -1.0]))
    >>> [round(float(t), 4) for t in FromManifold(manifold="PoincareBall")(point)]
    [0.5, -1.0]
    """

    def call(self, inputs: Any) -> Any:
        """Return the components of the points."""
        return components(self.manifold, self._points(inputs))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the input's shape with the dimension of the manifold."""
        return (*input_shape[:-1], self._dim(input_shape))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype."""
        return self._symbolic(self.compute_output_shape(inputs.shape))
