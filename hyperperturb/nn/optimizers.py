"""Riemannian optimizers: each variable moves on the manifold it is marked with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.manifolds.base import Manifold
from hyperperturb.manifolds.spaces import Euclidean
from hyperperturb.nn import _sparse
from hyperperturb.nn.manifold_variable import manifold_of


@keras.saving.register_keras_serializable(package="hyperperturb")
class RiemannianAdam(keras.optimizers.Adam):
    r"""Adam on Riemannian manifolds, and ordinary Adam for ordinary variables, in one optimizer.

    For a variable marked by :func:`hyperperturb.nn.set_manifold`, each row ``x`` with partial derivatives
    ``g`` makes the step

    .. math::

        r = \operatorname{grad}(x, g),\quad m \leftarrow \beta_1 m + (1-\beta_1) r,\quad
        v \leftarrow \beta_2 v + (1-\beta_2)\langle r, r\rangle_x,\quad
        y = \exp_x\Big({-\eta}\,\frac{\hat m}{\sqrt{\hat v}+\epsilon}\Big),\quad m \leftarrow P_{x\to y}(m),

    with *one scalar* second moment a point: a coordinate-wise one would turn the gradient into something
    that is not a vector of the tangent space and depends on the coordinates. The step's length, in units of
    the manifold's distance, is about the learning rate wherever the point lies. Variables without a mark
    take the path of ``keras.optimizers.Adam``.

    Sparse gradients (``IndexedSlices`` on the TensorFlow backend, from an embedding) update only their
    rows, moments included, for every kind of variable; nothing of the table's size is formed.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, kwargs
        As for ``keras.optimizers.Adam``. Weight decay acts on unmarked variables only: shrinking
        coordinates means nothing on a manifold. ``use_ema`` averages coordinates and is refused for marked
        variables.
    exact
        Move along the exponential map (True) or by the first-order retraction (False).

    References
    ----------
    G. Bécigneul, O.-E. Ganea: Riemannian adaptive optimization methods. ICLR 2019. Fig. 1.

    Examples
    --------
    >>> optimizer = RiemannianAdam(learning_rate=0.01)
    >>> RiemannianAdam.from_config(optimizer.get_config()).exact
    True
    """

    _one_a_row = False  # see add_variable

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        exact: bool = True,
        name: str = "riemannian_adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            name=name,
            **kwargs,
        )
        self.exact = exact
        self._manifolds: list[Manifold] = []

    def build(self, variables: list[Any]) -> None:
        """Make the moments: a vector and, on a manifold, one number a row.

        Parameters
        ----------
        variables
            The Keras variables to train. Their manifolds are recorded here by position, because on the
            TensorFlow backend ``update_step`` is given the raw ``tf.Variable``, which does not know its
            mark.
        """
        if self.built:
            return
        keras.optimizers.Optimizer.build(self, variables)
        self._manifolds = [manifold_of(variable) for variable in variables]
        if self.use_ema and not all(isinstance(m, Euclidean) for m in self._manifolds):
            raise ValueError(
                "`use_ema=True` averages coordinates: a marked variable would leave its manifold."
            )
        self._momentums, self._velocities, self._velocity_hats = [], [], []
        for variable, manifold in zip(variables, self._manifolds, strict=True):
            self._momentums.append(self.add_variable_from_reference(variable, name="momentum"))
            kinds = [("velocity", self._velocities)]
            if self.amsgrad:
                kinds.append(("velocity_hat", self._velocity_hats))
            for kind, slots in kinds:
                self._one_a_row = not isinstance(manifold, Euclidean)
                slots.append(self.add_variable_from_reference(variable, name=kind))
                self._one_a_row = False

    def add_variable(self, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Add an optimizer variable; while ``_one_a_row`` is set, with one number a row of the given shape.

        Going through the reference variable keeps Keras' placement of slots (``tf.distribute``, layouts).
        """
        return super().add_variable((*shape[:-1], 1) if self._one_a_row else shape, *args, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable; see the class for the rule.

        Parameters
        ----------
        gradient
            Dense or sparse partial derivatives.
        variable
            The Keras variable or, on TensorFlow, its ``tf.Variable``.
        learning_rate
            The present learning rate.
        """
        index = self._get_variable_index(variable)
        manifold = self._manifolds[index]
        flat = isinstance(manifold, Euclidean)
        sparse = _sparse.is_sparse(gradient)
        if flat and not sparse:
            super().update_step(gradient, variable, learning_rate)
            return

        slots = [variable, self._momentums[index], self._velocities[index]]
        if self.amsgrad:
            slots.append(self._velocity_hats[index])
        if sparse:
            rows, gradient = _sparse.sum_duplicates(gradient)
            values = [_sparse.gather(slot, rows) for slot in slots]
        else:
            values = [ops.convert_to_tensor(slot) for slot in slots]
        gradient = ops.cast(gradient, variable.dtype)
        learning_rate = ops.cast(learning_rate, variable.dtype)
        if flat:
            values = self._flat_step(gradient, learning_rate, *values)
        else:
            values = self._manifold_step(manifold, gradient, learning_rate, *values)
        for slot, value in zip(slots, values, strict=True):
            if sparse:
                _sparse.scatter(slot, rows, value)
            else:
                self.assign(slot, value)

    def _corrections(self, dtype: Any) -> tuple[Any, Any]:
        step = ops.cast(self.iterations + 1, dtype)
        # Not ops.cast: it would round a Python float to float32 first, a hundred-thousandth of 1 - 0.999.
        betas = (ops.convert_to_tensor(beta, dtype=dtype) for beta in (self.beta_1, self.beta_2))
        return tuple(1.0 - ops.power(beta, step) for beta in betas)

    def _manifold_step(
        self,
        manifold: Manifold,
        gradient: Any,
        learning_rate: Any,
        point: Any,
        momentum: Any,
        velocity: Any,
        *peak: Any,
    ) -> tuple[Any, ...]:
        """Return the new point, momentum, velocity (and its peak) of each row."""
        x = manifold.projx(point)
        gradient = manifold.egrad2rgrad(x, gradient)
        momentum = self.beta_1 * momentum + (1.0 - self.beta_1) * gradient
        square = manifold.inner(x, gradient, keepdims=True)
        velocity = self.beta_2 * velocity + (1.0 - self.beta_2) * square
        peak = tuple(ops.maximum(p, velocity) for p in peak)
        first, second = self._corrections(gradient.dtype)
        scale = ops.sqrt((peak[0] if peak else velocity) / second) + self.epsilon
        step = -learning_rate * momentum / (first * scale)
        y = manifold.projx((manifold.expmap if self.exact else manifold.retr)(x, step))
        return y, manifold.ptransp(x, y, momentum), velocity, *peak

    def _flat_step(
        self, gradient: Any, learning_rate: Any, point: Any, momentum: Any, velocity: Any, *peak: Any
    ) -> tuple[Any, ...]:
        """Return the same for rows in flat space, coordinate by coordinate, as ``keras.optimizers.Adam``."""
        momentum = self.beta_1 * momentum + (1.0 - self.beta_1) * gradient
        velocity = self.beta_2 * velocity + (1.0 - self.beta_2) * ops.square(gradient)
        peak = tuple(ops.maximum(p, velocity) for p in peak)
        first, second = self._corrections(gradient.dtype)
        rate = learning_rate * ops.sqrt(second) / first
        point = point - rate * momentum / (ops.sqrt(peak[0] if peak else velocity) + self.epsilon)
        return point, momentum, velocity, *peak

    def _use_weight_decay(self, variable: Any) -> bool:
        if not isinstance(self._manifolds[self._get_variable_index(variable)], Euclidean):
            return False
        return super()._use_weight_decay(variable)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the manifolds belong to the variables."""
        return {**super().get_config(), "exact": self.exact}
