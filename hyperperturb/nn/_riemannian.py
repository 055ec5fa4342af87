"""What the Riemannian optimizers share: where a variable lives, rows, clipping, noise, and the move itself."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.manifolds.base import Manifold
from hyperperturb.manifolds.spaces import Euclidean
from hyperperturb.nn import _sparse
from hyperperturb.nn.annealing import QuantumAnnealing
from hyperperturb.nn.manifold_variable import manifold_of


class RiemannianOptimizer:
    """A mixin before a Keras optimizer; the class that uses both says in which direction to go.

    It defines :meth:`_add_slots`, :meth:`_slots` and :meth:`_direction`. Everything else of a step is here:
    ``projx``, Riemannian gradient, clipping, direction, tunnelling noise, exponential map, replicas' bond,
    parallel transport of the momentum; the same for all rows of a variable or only for those of a sparse gradient.

    Parameters
    ----------
    exact
        Move along the exponential map (True) or by the first-order retraction (False).
    clip_riemannian_norm
        Longest Riemannian gradient of a point.
    annealing
        A :class:`~hyperperturb.nn.QuantumAnnealing`, its serialised data, or None.
    """

    def __init__(
        self,
        *args: Any,
        exact: bool = True,
        clip_riemannian_norm: float | None = None,
        annealing: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if clip_riemannian_norm is not None and not clip_riemannian_norm > 0:
            raise ValueError(
                "`clip_riemannian_norm` must be positive or None. "
                f"Received: clip_riemannian_norm={clip_riemannian_norm!r}"
            )
        if isinstance(annealing, dict):
            annealing = keras.saving.deserialize_keras_object(annealing)
        if annealing is not None and not isinstance(annealing, QuantumAnnealing):
            raise ValueError(f"`annealing` must be a QuantumAnnealing or None. Received: {annealing!r}")
        self.exact = exact
        self.clip_riemannian_norm = clip_riemannian_norm
        self.annealing = annealing
        self._manifolds: list[Manifold] = []
        self._marked: list[bool] = []

    def build(self, variables: list[Any]) -> None:
        """Record each variable's manifold and make the optimizer's own variables.

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
        self._marked = [hasattr(variable, "manifold") for variable in variables]
        if self.use_ema and not all(isinstance(m, Euclidean) for m in self._manifolds):
            raise ValueError(
                "`use_ema=True` averages coordinates: a marked variable would leave its manifold."
            )
        replicas = 1 if self.annealing is None else self.annealing.replicas
        for variable, marked in zip(variables, self._marked, strict=True):
            if marked and replicas > 1 and (len(variable.shape) < 2 or variable.shape[0] != replicas):
                raise ValueError(
                    f"With `replicas={replicas}` the first axis of every marked variable must be {replicas} "
                    f"long. Received: variable {variable.name!r} of shape {tuple(variable.shape)}"
                )
        self._add_slots(variables)

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
        clip = self.clip_riemannian_norm if self._marked[index] else None
        annealing = self.annealing if self._marked[index] else None
        sparse = _sparse.is_sparse(gradient)
        if isinstance(manifold, Euclidean) and not sparse and clip is None and annealing is None:
            super().update_step(gradient, variable, learning_rate)
            return

        slots = [variable, *self._slots(index)]
        rows = None
        if sparse:
            if annealing is not None and annealing.replicas > 1:
                raise ValueError(
                    "Replicas are coupled as a whole: with `replicas` > 1 the gradient of a marked variable "
                    f"must be dense. Received: {gradient!r}"
                )
            rows, gradient = _sparse.sum_duplicates(gradient)
            values = [_sparse.gather(slot, rows) for slot in slots]
        else:
            values = [ops.convert_to_tensor(slot) for slot in slots]
        gradient = ops.cast(gradient, variable.dtype)
        learning_rate = ops.cast(learning_rate, variable.dtype)

        x = manifold.projx(values[0])
        gradient = manifold.egrad2rgrad(x, gradient)
        if clip is not None:
            size = manifold.norm(x, gradient, keepdims=True)
            gradient = gradient * (clip / ops.maximum(size, clip))
        step, *state = self._direction(manifold, x, gradient, learning_rate, *values[1:])
        if annealing is not None:
            step = step + annealing.noise(manifold, x, self.iterations, variable=index, rows=rows)
        y = manifold.projx((manifold.expmap if self.exact else manifold.retr)(x, step))
        if annealing is not None and annealing.replicas > 1:
            y = manifold.projx(annealing.couple(manifold, y, self.iterations, learning_rate))
        if state:
            state[0] = manifold.ptransp(x, y, state[0])
        for slot, value in zip(slots, [y, *state], strict=True):
            if sparse:
                _sparse.scatter(slot, rows, value)
            else:
                self.assign(slot, value)

    def _add_slots(self, variables: list[Any]) -> None:
        """Make the optimizer's variables for these."""
        raise NotImplementedError

    def _slots(self, index: int) -> list[Any]:
        """Return the optimizer's variables of one variable; the first, if any, is a vector that is transported."""
        raise NotImplementedError

    def _direction(
        self, manifold: Manifold, x: Any, gradient: Any, learning_rate: Any, *slots: Any
    ) -> tuple[Any, ...]:
        """Return the step, a tangent vector at ``x``, and the new values of the slots (also still at ``x``)."""
        raise NotImplementedError

    def _use_weight_decay(self, variable: Any) -> bool:
        if not isinstance(self._manifolds[self._get_variable_index(variable)], Euclidean):
            return False
        return super()._use_weight_decay(variable)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; the manifolds belong to the variables."""
        return {
            **super().get_config(),
            "exact": self.exact,
            "clip_riemannian_norm": self.clip_riemannian_norm,
            "annealing": None
            if self.annealing is None
            else keras.saving.serialize_keras_object(self.annealing),
        }
