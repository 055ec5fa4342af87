"""Graph convolution on a manifold, over a list of edges."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hyperperturb.manifolds import safe
from hyperperturb.nn._centroid import lift, settle
from hyperperturb.nn._manifold_layer import ManifoldLayer, are_several, from_components, inverse_softplus
from hyperperturb.nn.dense import HyperbolicDense

AGGREGATIONS = ("tangent", "midpoint")


def attention_mass(scores: Any, weights: Any, segments: Any, count: int) -> Any:
    """Return ``weights * exp(scores)`` up to a common factor for each segment, without overflow.

    Parameters
    ----------
    scores
        Any real numbers, ``(m,)``; those with weight 0 are not looked at.
    weights
        Not negative, ``(m,)``.
    segments
        The segment of each, ``(m,)``.
    count
        Number of segments.

    Returns
    -------
    tensor
        ``(m,)``, in ``[0, weights]``; divided by their sums over segments they are the softmax.
    """
    valid = weights > 0
    lowest = float(np.finfo(keras.backend.standardize_dtype(scores.dtype)).min)
    top = ops.segment_max(ops.where(valid, scores, lowest), segments, num_segments=count)
    top = ops.take(ops.stop_gradient(top), segments, axis=0)
    return weights * ops.exp(ops.where(valid, scores - top, ops.zeros_like(scores)))


@keras.saving.register_keras_serializable(package="hyperperturb")
class HyperbolicGraphConv(ManifoldLayer):
    r"""A hyperbolic dense layer, then each node takes the mean of its neighbours, then an activation.

    With :math:`h = (W\otimes x)\oplus b` and the normalised weights :math:`\alpha_{ij}` of the edges
    :math:`j \to i`,

    .. math::

        \text{tangent: } y_i = \exp_0\Big(\sigma\big(\textstyle\sum_j \alpha_{ij}\log_0 h_j\big)\Big),\qquad
        \text{midpoint: } y_i = \exp_0\Big(\sigma\big(\log_0\operatorname{centroid}_j(h_j; \alpha_{ij})\big)\Big).

    Aggregation in the tangent space at the origin is cheaper and commutes with rotations only; the midpoint (the
    closed-form Lorentz centroid) commutes with every isometry. The graph is a list of edges and all sums are segment
    sums: memory grows with the edges, nothing of size nodes x nodes exists. On
    :class:`~hyperperturb.manifolds.Euclidean` both are the mean aggregation of an ordinary graph convolution.

    With ``attention`` the weights are

    .. math::

        \alpha_{ij} \propto w_{ij}\exp\big(\operatorname{LeakyReLU}(a\cdot\log_0 h_j + a'\cdot\log_0 h_i)
        - \beta\,d(h_i, h_j)\big),

    learned vectors :math:`a, a'` and a learned sharpness :math:`\beta > 0`; without it, :math:`\alpha_{ij} \propto
    w_{ij}`.

    Parameters
    ----------
    units
        Dimension of the manifold of the output.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are
        the rest.
    aggregation
        ``"tangent"`` or ``"midpoint"``.
    attention
        Whether the weights of the edges are learned.
    self_loops
        Whether each node hears itself, with weight 1.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
        As for :class:`HyperbolicDense`; the activation comes after the aggregation.

    Notes
    -----
    Input: a list ``[points, edges]`` or ``[points, edges, weights]`` with points ``(n, D)``; edges ``(m, 2)``,
    integers, ``(source, target)`` each (list an undirected edge both ways); weights ``(m,)``, not negative. An edge
    with weight 0 does not exist: pad with such edges to a static length. A leading axis of graphs of equal size,
    ``(b, n, D)``, ``(b, m, 2)``, ``(b, m)``, is taken as well.

    Output shape: points ``(..., n, ambient_dim(units))``. A node that hears nobody (no edges, no self loop)
    is at the image of the origin.

    References
    ----------
    I. Chami, R. Ying, C. Ré, J. Leskovec: Hyperbolic graph convolutional neural networks. NeurIPS 2019.
    Sections 4.2 to 4.4.

    M. Law, R. Liao, J. Snell, R. Zemel: Lorentzian distance learning for hyperbolic representations. ICML 2019.

    P. Veličković et al.: Graph attention networks. ICLR 2018. Eq. 3.

    Examples
    --------
    >>> layer = HyperbolicGraphConv(2, manifold="PoincareBall", aggregation="midpoint")
    >>> points = ops.convert_to_tensor([[0.0, 0.1], [0.2, 0.0], [0.0, 0.0]])
    >>> edges = ops.convert_to_tensor([[0, 1], [1, 0]])
    >>> tuple(layer([points, edges]).shape)
    (3, 2)
    """

    def __init__(
        self,
        units: int,
        *,
        manifold: Any = "PoincareBall",
        aggregation: str = "tangent",
        attention: bool = False,
        self_loops: bool = True,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        if aggregation not in AGGREGATIONS:
            raise ValueError(
                f"`aggregation` must be one of {AGGREGATIONS}. Received: aggregation={aggregation!r}"
            )
        super().__init__(manifold=manifold, **kwargs)
        self.aggregation = aggregation
        self.attention = attention
        self.self_loops = self_loops
        self.activation = keras.activations.get(activation)
        self.dense = HyperbolicDense(
            units,
            manifold=self.manifold,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            dtype=self.dtype_policy,
            name="dense",
        )

    @property
    def units(self) -> int:
        """The dimension of the manifold of the output."""
        return self.dense.units

    def build(self, input_shape: Any) -> None:
        """Create the dense layer's weights and those of the attention."""
        if not are_several(input_shape, 2, 3):
            raise ValueError(
                "`HyperbolicGraphConv` takes a list [points, edges] or [points, edges, weights]. "
                f"Received: shapes {input_shape}"
            )
        if tuple(input_shape[1])[-1] != 2:
            raise ValueError(
                f"Edges must have the shape (m, 2), source and target. Received: {tuple(input_shape[1])}"
            )
        self.dense.build(tuple(input_shape[0]))
        if self.attention:
            self.source_kernel = self._weight("source_kernel", (self.units, 1), "glorot_uniform")
            self.target_kernel = self._weight("target_kernel", (self.units, 1), "glorot_uniform")
            one = keras.initializers.Constant(inverse_softplus(1.0))
            self.raw_sharpness = self._weight("raw_sharpness", (), one)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the nodes' new points."""
        points, edges, *weights = inputs
        space = self.manifold
        shape = [ops.shape(points)[i] if s is None else s for i, s in enumerate(points.shape)]
        nodes, edges = shape[-2], ops.cast(edges, "int32")
        weights = self._points(weights[0]) if weights else ops.ones_like(self._points(edges[..., 0]))
        if len(shape) == 3:  # the graphs side by side, as one
            offsets = nodes * ops.arange(shape[0], dtype="int32")
            edges = ops.reshape(edges + offsets[:, None, None], (-1, 2))
            weights, nodes = ops.reshape(weights, (-1,)), shape[0] * nodes
            points = ops.reshape(points, (nodes, shape[-1]))
        source, target = edges[:, 0], edges[:, 1]
        if self.self_loops:
            loops = ops.arange(nodes, dtype="int32")
            source, target = ops.concatenate([source, loops]), ops.concatenate([target, loops])
            weights = ops.concatenate([weights, ops.ones((nodes,), dtype=self.point_dtype)])

        v = self.dense.tangent(points)
        if self.attention:
            h = from_components(space, v)
            weights = attention_mass(self._scores(h, v, source, target), weights, target, nodes)
        lifted = lift(space, v) if self.aggregation == "midpoint" else v
        weights = ops.cast(weights, lifted.dtype)[:, None]
        heard = ops.take(lifted, source, axis=0)
        # The sum of the weights rides along as a last column: one pass over the edges.
        sums = ops.segment_sum(
            ops.concatenate([weights * heard, weights], axis=-1), target, num_segments=nodes
        )
        total, mass = sums[:, :-1], sums[:, -1:]
        v = settle(space, total, mass, v) if self.aggregation == "midpoint" else safe.divide(total, mass)
        out = from_components(space, self._activate(v))
        return ops.reshape(out, (*shape[:-1], out.shape[-1])) if len(shape) == 3 else out

    def _scores(self, h: Any, v: Any, source: Any, target: Any) -> Any:
        """Return the attention score of each edge, ``(m,)``."""
        spoken = self._project("nd,dk->nk", v, self.source_kernel)[:, 0]
        asked = self._project("nd,dk->nk", v, self.target_kernel)[:, 0]
        learned = ops.take(spoken, source, axis=0) + ops.take(asked, target, axis=0)
        distance = self.manifold.dist(ops.take(h, source, axis=0), ops.take(h, target, axis=0))
        sharpness = ops.softplus(ops.convert_to_tensor(self.raw_sharpness))
        return ops.leaky_relu(learned, 0.2) - sharpness * distance

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape of the points with the last axis exchanged."""
        return (*input_shape[0][:-1], self.manifold.ambient_dim(self.units))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype."""
        return self._symbolic(self.compute_output_shape([x.shape for x in inputs]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        dense = self.dense.get_config()
        names = ("units", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer")
        return {
            **super().get_config(),
            **{name: dense[name] for name in names},
            "aggregation": self.aggregation,
            "attention": self.attention,
            "self_loops": self.self_loops,
            "activation": keras.activations.serialize(self.activation),
        }
