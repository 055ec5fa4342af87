"""From two points to the probability of an edge."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.nn._manifold_layer import ManifoldLayer, are_several, inverse_softplus


@keras.saving.register_keras_serializable(package="hyperperturb")
class FermiDirac(ManifoldLayer):
    r"""The probability that two points are joined, falling with their distance.

    .. math::

        p(x, y) = \frac{1}{e^{(d(x, y)^2 - r)/t} + 1}

    as in HGCN (Chami et al. 2019, eq. 11), where ``r`` is a *squared* distance. With ``squared=False`` the distance
    itself stands in the exponent, as in Nickel and Kiela (2017, eq. 7) and Krioukov et al. (2010), and ``r`` is a
    distance.

    Parameters
    ----------
    r
        Where the probability is one half.
    t
        Temperature, positive: how gradually it falls.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data. Keyword only, as are the rest.
    learnable
        Whether ``r`` and ``t`` (through its softplus) are trained. Since distances on a space of curvature ``-c`` are
        those of the unit space divided by :math:`\sqrt c`, this learns a curvature, too.
    squared
        Whether the squared distance is meant.
    return_logits
        Return :math:`(r - d^2)/t`, for a loss with ``from_logits=True``: far pairs have probability 0 in
        float32, and a loss of that has no gradient.

    Notes
    -----
    Input: a list ``[x, y]`` of points, broadcasting, ``(..., D)``. Output shape: ``(...)``, in the dtype of points
    under every policy.

    Examples
    --------
    >>> decoder = FermiDirac(r=2.0, t=1.0, manifold="Euclidean")
    >>> x, y = ops.convert_to_tensor([[0.0, 0.0]]), ops.convert_to_tensor([[1.0, 1.0]])
    >>> round(float(decoder([x, y])[0]), 6)
    0.5
    """

    def __init__(
        self,
        r: float = 2.0,
        t: float = 1.0,
        *,
        manifold: Any = "PoincareBall",
        learnable: bool = False,
        squared: bool = True,
        return_logits: bool = False,
        **kwargs: Any,
    ) -> None:
        if not t > 0.0:
            raise ValueError(f"`t` must be positive. Received: t={t!r}")
        super().__init__(manifold=manifold, **kwargs)
        self.r, self.t = float(r), float(t)
        self.learnable = learnable
        self.squared = squared
        self.return_logits = return_logits

    def build(self, input_shape: Any) -> None:
        """Create ``r`` and ``t``, if they are trained."""
        if not are_several(input_shape, 2):
            raise ValueError(f"`FermiDirac` takes a list [x, y] of points. Received: shapes {input_shape}")
        if self.learnable:
            self.radius = self._weight("radius", (), keras.initializers.Constant(self.r))
            start = keras.initializers.Constant(inverse_softplus(self.t))
            self.raw_temperature = self._weight("raw_temperature", (), start)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the probabilities, or their logits."""
        x, y = inputs
        distance = self.manifold.dist(self._points(x), self._points(y))
        r, t = self.r, self.t
        if self.learnable:
            r = ops.convert_to_tensor(self.radius)
            t = ops.softplus(ops.convert_to_tensor(self.raw_temperature))
        logits = (r - (ops.square(distance) if self.squared else distance)) / t
        return logits if self.return_logits else ops.sigmoid(logits)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the broadcast shape of the points without the last axis."""
        x, y = (tuple(shape)[:-1] for shape in input_shape)
        rank = max(len(x), len(y))
        x, y = ((1,) * (rank - len(shape)) + shape for shape in (x, y))
        return tuple(b if a in (1, None) else a for a, b in zip(x, y, strict=True))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype."""
        return self._symbolic(self.compute_output_shape([x.shape for x in inputs]))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "r": self.r,
            "t": self.t,
            "learnable": self.learnable,
            "squared": self.squared,
            "return_logits": self.return_logits,
        }
