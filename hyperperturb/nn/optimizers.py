"""Riemannian optimizers: each variable moves on the manifold it is marked with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hyperperturb.manifolds.base import Manifold
from hyperperturb.manifolds.spaces import Euclidean
from hyperperturb.nn._riemannian import RiemannianOptimizer


@keras.saving.register_keras_serializable(package="hyperperturb")
class RiemannianAdam(RiemannianOptimizer, keras.optimizers.Adam):
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
    rows, moments included, for every kind of variable; nothing of the table's size is formed. On the JAX backend
    gradients are always dense, so that there the moments of rows that were not looked up decay too.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, kwargs
        As for ``keras.optimizers.Adam``. Weight decay acts on flat variables only: shrinking
        coordinates means nothing on a manifold. ``use_ema`` averages coordinates and is refused for marked
        variables.
    exact
        Move along the exponential map (True) or by the first-order retraction (False).
    clip_riemannian_norm
        Shorten the Riemannian gradient of every marked point (row by row, after the gradients of a repeated row
        are added) to at most this length in the metric at the point. A length in the metric is the same in all
        coordinates, so the path of a moved problem stays the moved path; ``clipnorm`` and ``global_clipnorm`` measure
        partial derivatives, which are large or small according to where the point lies. Row by row, because the
        points of a table meet different losses, and one that explodes should not stop the others.
    annealing
        A :class:`~hyperperturb.nn.QuantumAnnealing`: tunnelling noise for the marked variables.

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
        clip_riemannian_norm: float | None = None,
        annealing: Any = None,
        name: str = "riemannian_adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            exact=exact,
            clip_riemannian_norm=clip_riemannian_norm,
            annealing=annealing,
            name=name,
            **kwargs,
        )

    def _add_slots(self, variables: list[Any]) -> None:
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

    def _slots(self, index: int) -> list[Any]:
        peak = [self._velocity_hats[index]] if self.amsgrad else []
        return [self._momentums[index], self._velocities[index], *peak]

    def _corrections(self, dtype: Any) -> tuple[Any, Any]:
        step = ops.cast(self.iterations + 1, dtype)
        # Not ops.cast: it would round a Python float to float32 first, a hundred-thousandth of 1 - 0.999.
        betas = (ops.convert_to_tensor(beta, dtype=dtype) for beta in (self.beta_1, self.beta_2))
        return tuple(1.0 - ops.power(beta, step) for beta in betas)

    def _direction(
        self,
        manifold: Manifold,
        x: Any,
        gradient: Any,
        learning_rate: Any,
        momentum: Any,
        velocity: Any,
        *peak: Any,
    ) -> tuple[Any, ...]:
        flat = isinstance(manifold, Euclidean)
        square = ops.square(gradient) if flat else manifold.inner(x, gradient, keepdims=True)
        momentum = self.beta_1 * momentum + (1.0 - self.beta_1) * gradient
        velocity = self.beta_2 * velocity + (1.0 - self.beta_2) * square
        peak = tuple(ops.maximum(p, velocity) for p in peak)
        first, second = self._corrections(gradient.dtype)
        size = peak[0] if peak else velocity
        if flat:  # epsilon stands where Keras has it: flat rows must take the path of keras.optimizers.Adam
            step = -(learning_rate * ops.sqrt(second) / first) * momentum / (ops.sqrt(size) + self.epsilon)
        else:
            step = -learning_rate * momentum / (first * (ops.sqrt(size / second) + self.epsilon))
        return step, momentum, velocity, *peak


@keras.saving.register_keras_serializable(package="hyperperturb")
class RiemannianSGD(RiemannianOptimizer, keras.optimizers.SGD):
    r"""Gradient descent with momentum on Riemannian manifolds, and Keras' own for ordinary variables.

    For a marked variable each row ``x`` with partial derivatives ``g`` makes the step

    .. math::

        r = \operatorname{grad}(x, g),\quad m \leftarrow \mu m - \eta r,\quad
        y = \exp_x(m)\ \text{ or, with Nesterov, }\ \exp_x(\mu m - \eta r),\quad m \leftarrow P_{x\to y}(m).

    Variables without a mark take the path of ``keras.optimizers.SGD``. Sparse gradients update only their rows,
    momentum included (Keras' own makes the momentum's update dense); on the JAX backend all gradients are dense.

    Parameters
    ----------
    learning_rate, momentum, nesterov, weight_decay, kwargs
        As for ``keras.optimizers.SGD``; weight decay and ``use_ema`` as in :class:`RiemannianAdam`.
    exact, clip_riemannian_norm, annealing
        As for :class:`RiemannianAdam`. A step without momentum is then at most ``learning_rate *
        clip_riemannian_norm`` long.

    References
    ----------
    S. Bonnabel: Stochastic gradient descent on Riemannian manifolds. IEEE Trans. Autom. Control 58 (2013) 2217.
    M. Nickel, D. Kiela: Poincaré embeddings for learning hierarchical representations. NeurIPS 2017, eq. 5.

    Examples
    --------
    >>> optimizer = RiemannianSGD(0.1, momentum=0.9, nesterov=True)
    >>> RiemannianSGD.from_config(optimizer.get_config()).nesterov
    True
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        exact: bool = True,
        clip_riemannian_norm: float | None = None,
        annealing: Any = None,
        name: str = "riemannian_sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            exact=exact,
            clip_riemannian_norm=clip_riemannian_norm,
            annealing=annealing,
            name=name,
            **kwargs,
        )

    def _add_slots(self, variables: list[Any]) -> None:
        self.momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def _slots(self, index: int) -> list[Any]:
        return [self.momentums[index]] if self.momentum else []

    def _direction(
        self, manifold: Manifold, x: Any, gradient: Any, learning_rate: Any, *momentum: Any
    ) -> tuple[Any, ...]:
        descent = -learning_rate * gradient
        if not momentum:
            return (descent,)
        moment = self.momentum * momentum[0] + descent
        return self.momentum * moment + descent if self.nesterov else moment, moment
