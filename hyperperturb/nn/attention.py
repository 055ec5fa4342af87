"""Attention that looks at distances on a manifold."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hyperperturb.manifolds import safe
from hyperperturb.nn._centroid import lift, settle
from hyperperturb.nn._manifold_layer import ManifoldLayer, components, from_components, inverse_softplus


@keras.saving.register_keras_serializable(package="hyperperturb")
class HyperbolicAttention(ManifoldLayer):
    r"""Multi-head attention whose scores are distances and whose sums are centroids.

    For each head, with queries, keys and values that are Möbius matrix products of the inputs (and translated by a
    bias),

    .. math::

        \alpha_{ts} = \operatorname{softmax}_s\big({-\beta}\,d(q_t, k_s) + m_{ts}\big),\qquad
        o_t = \operatorname{centroid}_s(v_s;\ \alpha_{ts}),

    and the heads are joined by one more matrix in the tangent space at the origin,
    :math:`y_t = \exp_0(\sum_h W_h\log_0 o^h_t)\oplus b`. The sharpness :math:`\beta > 0` is learned for each head; a
    learned constant beside it, as in Gulcehre et al., cancels in the softmax and is left out. ``m`` is the optional
    ``score_bias`` of the call. Distances are those of ``pairwise_dist``: the largest arrays are batch x heads x
    queries x keys.

    Parameters
    ----------
    num_heads
        Number of heads.
    key_dim
        Dimension of the manifold of queries and keys of a head.
    value_dim
        The same for values; ``key_dim`` if not given.
    output_dim
        Dimension of the manifold of the output; that of the queries if not given.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are all
        but the first two.
    use_bias
        Whether queries, keys, values and output are translated.
    kernel_initializer, bias_initializer, kernel_regularizer
        As for :class:`HyperbolicDense`.

    Notes
    -----
    Call arguments: ``query`` points ``(b, t, D)``; ``value`` points ``(b, s, D)``; ``key`` points ``(b, s, D)``, the
    values if not given; ``attention_mask``, true where a query may look, ``(b, t, s)`` or ``(b, heads, t, s)``;
    ``use_causal_mask``, to let queries look at no later key; ``score_bias``, added to the scores, broadcasting to
    ``(b, heads, t, s)``. Keras masks of value and key are heeded. A query that may look nowhere gets the origin as
    its centroid.

    Output shape: points ``(b, t, ambient_dim(output_dim))``, never below float32.

    References
    ----------
    C. Gulcehre et al.: Hyperbolic attention networks. ICLR 2019. Sections 3.1 and 3.2.

    R. Shimizu, Y. Mukuta, T. Harada: Hyperbolic neural networks++. ICLR 2021. Section 3.4 (centroids).

    Examples
    --------
    >>> layer = HyperbolicAttention(2, 4, manifold="PoincareBall")
    >>> points = ops.zeros((1, 5, 3))
    >>> tuple(layer(points, points).shape)
    (1, 5, 3)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        *,
        value_dim: int | None = None,
        output_dim: int | None = None,
        manifold: Any = "PoincareBall",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        value_dim = key_dim if value_dim is None else value_dim
        sizes = {"num_heads": num_heads, "key_dim": key_dim, "value_dim": value_dim}
        for name, size in {**sizes, "output_dim": 1 if output_dim is None else output_dim}.items():
            if not isinstance(size, int) or size <= 0:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={size!r}")
        super().__init__(manifold=manifold, **kwargs)
        self.supports_masking = True
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim
        self.output_dim = output_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Create a kernel and a bias for each of the four products, and the heads' sharpness."""
        query, value, key = (self._dim(s) for s in (query_shape, value_shape, key_shape or value_shape))
        output, heads = self.output_dim or query, self.num_heads
        shapes = {
            "query": ((query, heads, self.key_dim), (heads, 1, self.key_dim)),
            "key": ((key, heads, self.key_dim), (heads, 1, self.key_dim)),
            "value": ((value, heads, self.value_dim), (heads, 1, self.value_dim)),
            "output": ((heads, self.value_dim, output), (output,)),
        }
        for name, (kernel, bias) in shapes.items():
            weight = self._weight(
                f"{name}_kernel", kernel, _like(self.kernel_initializer), regularizer=self.kernel_regularizer
            )
            setattr(self, f"{name}_kernel", weight)
            if self.use_bias:
                setattr(self, f"{name}_bias", self._weight(f"{name}_bias", bias, self.bias_initializer))
        one = keras.initializers.Constant(inverse_softplus(1.0))
        self.raw_sharpness = self._weight("raw_sharpness", (heads, 1, 1), one)
        self.built = True

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        score_bias: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Return the points of the queries; see the class for the arguments."""
        key = value if key is None else key
        queries, keys, values = (
            self._affine("btd,dhk->bhtk", components(self.manifold, self._points(x)), name)
            for x, name in ((query, "query"), (key, "key"), (value, "value"))
        )
        mask = self._mask(query, key, value_mask, key_mask, attention_mask, use_causal_mask)
        weights = self.attention_weights(queries, keys, mask, score_bias)
        lifted = lift(self.manifold, components(self.manifold, values))
        total = ops.matmul(ops.cast(weights, lifted.dtype), lifted)
        heads = settle(self.manifold, total, ops.sum(weights, axis=-1, keepdims=True), values)
        return self._affine("bhtv,hvo->bto", heads, "output")

    def _affine(self, equation: str, v: Any, name: str) -> Any:
        """Return the points of tangent components, multiplied by a kernel and translated by a bias."""
        points = from_components(self.manifold, self._project(equation, v, getattr(self, f"{name}_kernel")))
        if not self.use_bias:
            return points
        bias = ops.convert_to_tensor(getattr(self, f"{name}_bias"))
        return self.manifold.mobius_add(points, from_components(self.manifold, bias))

    def attention_weights(self, queries: Any, keys: Any, mask: Any = None, score_bias: Any = None) -> Any:
        """Return the softmax of the scores of points.

        Parameters
        ----------
        queries, keys
            Points, ``(b, heads, t, D)`` and ``(b, heads, s, D)``.
        mask
            True where a query may look, broadcasting to ``(b, heads, t, s)``.
        score_bias
            Added to the scores, broadcasting likewise.

        Returns
        -------
        tensor
            ``(b, heads, t, s)``; sums over the keys are 1, or 0 where nothing may be looked at.
        """
        sharpness = ops.softplus(ops.convert_to_tensor(self.raw_sharpness))
        scores = -sharpness * self.manifold.pairwise_dist(queries, keys)
        if score_bias is not None:
            scores = scores + self._points(score_bias)
        if mask is not None:
            scores = ops.where(mask, scores, float(np.finfo(self.point_dtype).min))
        share = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True)))
        if mask is not None:  # a row without a single key is uniform up to here
            share = ops.where(mask, share, ops.zeros_like(share))
        return safe.divide(share, ops.sum(share, axis=-1, keepdims=True))

    @staticmethod
    def _mask(query: Any, key: Any, value_mask: Any, key_mask: Any, attention_mask: Any, causal: bool) -> Any:
        """Return all masks as one that broadcasts to ``(b, heads, t, s)``, or None."""
        masks = [ops.cast(m, "bool")[:, None, None, :] for m in (value_mask, key_mask) if m is not None]
        if attention_mask is not None:
            mask = ops.cast(attention_mask, "bool")
            masks.append(mask if len(mask.shape) == 4 else mask[:, None])
        if causal:
            times = (ops.arange(ops.shape(x)[1], dtype="int32") for x in (query, key))
            masks.append((next(times)[:, None] >= next(times)[None, :])[None, None])
        merged = None
        for mask in masks:
            merged = mask if merged is None else ops.logical_and(merged, mask)
        return merged

    def compute_mask(self, query: Any, previous_mask: Any = None, *_: Any, **__: Any) -> Any:
        """Return the mask of the queries."""
        return previous_mask

    def compute_output_shape(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> tuple:
        """Return the shape of the queries with the output's number of coordinates."""
        output = self.output_dim or self._dim(query_shape)
        return (*query_shape[:-1], self.manifold.ambient_dim(output))

    def compute_output_spec(self, query: Any, *_: Any, **__: Any) -> Any:
        """Return the output's shape and dtype."""
        return self._symbolic(self.compute_output_shape(query.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_dim": self.output_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _like(initializer: Any) -> Any:
    """Return a copy with a seed of its own: a Keras initializer gives the same numbers at every call."""
    return initializer.clone() if isinstance(initializer, keras.initializers.Initializer) else initializer
