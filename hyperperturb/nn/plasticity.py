"""Sparse weights by a rule after spike-timing-dependent plasticity (STDP): what fires together stays wired.

Training steps are the moments of time. A weight that keeps carrying activity from its input to its unit (input before
unit, and with the weight's own sign) is protected; the other weights are drawn to zero, and arrive there exactly.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

_TINY = 1e-30  # keeps 0/0 of a layer without any activity at 0


@keras.saving.register_keras_serializable(package="hyperperturb")
class STDP:
    r"""The rule: a window of timing, a memory of what it saw, and how strongly unprotected weights shrink.

    Two traces per layer decay exponentially from training step to training step, one of the inputs' activity and one of
    the units'. The change that the rule asks for at step t is

    .. math::

        \Delta_t = A_+\Big(\langle x\,y^\top\rangle_t + p_t\,\bar y_t^\top\Big) - A_-\,\bar x_t\,q_t^\top,\qquad
        p_t = \sum_{k\ge 1} e^{-k/\tau_+}\bar x_{t-k},\quad q_t = \sum_{k\ge 1} e^{-k/\tau_-}\bar y_{t-k},

    with the mean over the batch as a bar or in angle brackets. This is the pair-based rule with all-to-all
    interactions (Morrison et al. 2008, eq. 9–11): activity of an input k steps *before* that of a unit adds
    :math:`A_+e^{-k/\tau_+}`, activity k steps *after* it takes away :math:`A_-e^{-k/\tau_-}`. Within one step the input
    comes first, because it makes the unit's activity (k = 0, and there cell by cell). Activities are signed.

    By default :math:`A_-` balances the window: its two halves have the same area, so that inputs and units that are
    merely active, each for itself, leave nothing behind. What remains is co-activity beyond coincidence.

    A running mean of the changes is the memory S. The share of a unit's activity that comes through a weight is
    :math:`r = wS` (over i it adds up to the unit's covariance with its own drive), and the weight's *exposure*

    .. math:: \phi = 1 - \text{protection}\cdot\tanh(r/\bar r),\qquad \bar r = \text{root mean square of } r

    is below 1 for a causal weight, 1 for an indifferent one and above 1 for an anti-causal one. After every optimizer
    step comes the proximal step of :math:`\lambda\phi|w|` (soft threshold),

    .. math:: w \leftarrow \operatorname{sign}(w)\max(|w| - \eta\lambda\phi,\,0).

    With ``protection=0`` it is the plain proximal L1 step.

    Parameters
    ----------
    strength
        λ ≥ 0, in units of the learning rate: an exposed weight loses λ learning rates a step.
    tau_plus, tau_minus
        Time constants of the window, in training steps.
    balance
        Area of the anti-causal half of the window over that of the causal half.
    memory
        Time constant of the running mean of changes, in training steps.
    protection
        0 … 1: how far a causal weight is let off. Let off altogether (1), the strongest weights are free to overfit.

    References
    ----------
    A. Morrison, M. Diesmann, W. Gerstner: Phenomenological models of synaptic plasticity based on spike timing.
    Biological Cybernetics 98, 2008. G. Bi, M. Poo: Synaptic modifications in cultured hippocampal neurons. Journal of
    Neuroscience 18, 1998.

    Examples
    --------
    >>> rule = STDP(strength=0.1, tau_plus=2.0, tau_minus=4.0)
    >>> [round(rule.window(k), 3) for k in (0, 2, -4)]
    [1.0, 0.368, -0.266]
    >>> STDP.from_config(rule.get_config()).tau_minus
    4.0
    """

    def __init__(
        self,
        strength: float,
        *,
        tau_plus: float = 20.0,
        tau_minus: float = 20.0,
        balance: float = 1.0,
        memory: float = 100.0,
        protection: float = 0.6,
    ) -> None:
        for name, value in (("tau_plus", tau_plus), ("tau_minus", tau_minus)):
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")
        for name, value in (("strength", strength), ("balance", balance)):
            if not value >= 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")
        if not memory >= 1:
            raise ValueError(f"`memory` must be at least one step. Received: memory={memory!r}")
        if not 0 <= protection <= 1:
            raise ValueError(f"`protection` must lie in 0 … 1. Received: protection={protection!r}")
        self.strength = float(strength)
        self.tau_plus, self.tau_minus = float(tau_plus), float(tau_minus)
        self.balance, self.memory, self.protection = float(balance), float(memory), float(protection)
        self.keep_plus, self.keep_minus = math.exp(-1.0 / tau_plus), math.exp(-1.0 / tau_minus)
        # Areas of the halves for unit amplitudes: k = 0, 1, … and k = 1, 2, …
        area_plus, area_minus = 1.0 / (1.0 - self.keep_plus), self.keep_minus / (1.0 - self.keep_minus)
        self.amplitude_minus = self.balance * area_plus / area_minus

    def window(self, lag: int) -> float:
        """Return the change for one unit of activity of an input ``lag`` steps before one of a unit."""
        if lag >= 0:
            return self.keep_plus**lag
        return -self.amplitude_minus * self.keep_minus**-lag

    def change(self, pre: Any, post: Any, pre_trace: Any, post_trace: Any) -> tuple[Any, Any, Any]:
        """Return the change of this step, and both traces as the next step finds them.

        Parameters
        ----------
        pre, post
            (B, n) activity of the inputs and (B, m) of the units.
        pre_trace, post_trace
            (n,) and (m,), decayed to this step.

        Returns
        -------
        tuple
            (n, m) change, (n,) and (m,) traces.
        """
        mean_pre, mean_post = ops.mean(pre, axis=0), ops.mean(post, axis=0)
        batch = ops.cast(ops.shape(pre)[0], pre.dtype)
        change = (
            ops.matmul(ops.transpose(pre), post) / batch
            + pre_trace[:, None] * mean_post[None]
            - self.amplitude_minus * mean_pre[:, None] * post_trace[None]
        )
        return change, self.keep_plus * (pre_trace + mean_pre), self.keep_minus * (post_trace + mean_post)

    def exposure(self, weight: Any, memory: Any, protection: Any = None) -> Any:
        """Return φ, how exposed each weight is to shrinking: 1 − protection … 1 + protection.

        Parameters
        ----------
        weight, memory
            (n, m) weights and running mean of the changes.
        protection
            Instead of the rule's own.
        """
        relevance = weight * memory
        scale = ops.sqrt(ops.mean(ops.square(relevance)))
        protection = self.protection if protection is None else protection
        return 1.0 - protection * ops.tanh(relevance / ops.maximum(scale, _TINY))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        names = ("strength", "tau_plus", "tau_minus", "balance", "memory", "protection")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> STDP:
        """Return the rule of a configuration."""
        return cls(**config)


def soft_threshold(weight: Any, threshold: Any) -> Any:
    """Return sign(w)·max(|w| − threshold, 0): the proximal operator of ``threshold``·|w|.

    Parameters
    ----------
    weight, threshold
        Tensors of the same, or a broadcastable, shape.

    Examples
    --------
    >>> ops.convert_to_numpy(soft_threshold(ops.convert_to_tensor([-2.0, 0.5, 3.0]), 1.0)).tolist()
    [-1.0, 0.0, 2.0]
    """
    return ops.sign(weight) * ops.maximum(ops.abs(weight) - threshold, 0.0)


class _ProximalStep(keras.constraints.Constraint):
    """The soft threshold as a constraint: Keras calls it after each step of whatever optimizer there is."""

    def __init__(self, layer: PlasticDense) -> None:
        self.layer = layer

    def __call__(self, weight: Any) -> Any:
        if keras.backend.backend() == "jax":
            # Its optimizers are stateless: they would see the memory as it was when the step was compiled.
            raise NotImplementedError(
                "`PlasticDense` with a rule cannot be trained on this backend; use TensorFlow. Received: backend=jax"
            )
        layer, then = self.layer, self.layer.kernel_constraint
        weight = ops.convert_to_tensor(weight)
        rate = layer.followed.learning_rate if layer.followed is not None else 1.0
        exposure = layer.stdp.exposure(
            ops.cast(weight, "float32"),
            ops.convert_to_tensor(layer.memory),
            ops.convert_to_tensor(layer.protection),
        )
        threshold = ops.cast(rate, "float32") * ops.convert_to_tensor(layer.strength) * exposure
        weight = soft_threshold(weight, ops.cast(threshold, weight.dtype))
        return weight if then is None else then(weight)


@keras.saving.register_keras_serializable(package="hyperperturb")
class PlasticDense(keras.layers.Dense):
    """A dense layer whose weights are thinned by an STDP rule while it trains.

    Without a rule it is ``keras.layers.Dense``, bit for bit. With one, it keeps traces of its inputs' and units'
    activity in weights that are not trained (so they are saved, and a resumed training goes on as if never
    interrupted), updates them in training only, and shrinks its kernel after each optimizer step. Under
    ``tf.distribute`` the traces are averaged over the replicas, which is the same as one replica with the whole batch.
    Traces are float32 under any mixed precision policy.

    Parameters
    ----------
    units, activation, kwargs
        As for ``keras.layers.Dense``. A ``kernel_constraint`` acts after the threshold.
    stdp
        An :class:`STDP`, its serialised data, or None.

    Attributes
    ----------
    strength, protection
        Scalar variables with the rule's λ and protection; assign to them to change the rule during training.

    Input shape
    -----------
    ``(..., n)``

    Output shape
    ------------
    ``(..., units)``

    Examples
    --------
    >>> layer = PlasticDense(3, activation="tanh", stdp=STDP(strength=0.1))
    >>> tuple(layer(ops.ones((2, 5))).shape), len(layer.trainable_weights)
    ((2, 3), 2)
    """

    def __init__(self, units: int, activation: Any = None, *, stdp: Any = None, **kwargs: Any) -> None:
        super().__init__(units, activation=activation, **kwargs)
        if isinstance(stdp, dict):
            stdp = keras.saving.deserialize_keras_object(stdp)
        if stdp is not None and not isinstance(stdp, STDP):
            raise ValueError(f"`stdp` must be an STDP rule or None. Received: stdp={stdp!r}")
        self.stdp = stdp
        # Inside a function: as an attribute, TensorFlow would make the optimizer a part of the layer and save it.
        self._followed = lambda: None

    def build(self, input_shape: Any) -> None:
        """Create kernel and bias and, with a rule, its traces."""
        super().build(input_shape)
        if self.stdp is None:
            return
        n = int(input_shape[-1])

        def state(name: str, shape: tuple, value: float = 0.0) -> Any:
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=keras.initializers.Constant(value),
                dtype="float32",
                autocast=False,
                trainable=False,
                aggregation="mean",  # replicas see parts of the batch, and every trace is linear in them
            )

        self.pre_trace, self.post_trace = state("pre_trace", (n,)), state("post_trace", (self.units,))
        self.memory = state("memory", (n, self.units))
        self.strength = state("strength", (), self.stdp.strength)
        self.protection = state("protection", (), self.stdp.protection)
        self.kernel.constraint = _ProximalStep(self)

    def follow(self, optimizer: Any) -> None:
        """Make the threshold a multiple of this optimizer's present learning rate.

        Without this, it is ``strength`` itself. With a learning rate that falls the threshold must fall as well, or
        it wins in the end.

        Parameters
        ----------
        optimizer
            The Keras optimizer that trains the layer.
        """
        self._followed = lambda: optimizer

    @property
    def followed(self) -> Any:
        """The optimizer given to :meth:`follow`, or None."""
        return self._followed()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the activations; in training, move the traces."""
        outputs = super().call(inputs, training=training)
        if self.stdp is not None and training:
            pre = ops.cast(ops.stop_gradient(ops.reshape(inputs, (-1, inputs.shape[-1]))), "float32")
            post = ops.cast(ops.stop_gradient(ops.reshape(outputs, (-1, self.units))), "float32")
            change, pre_trace, post_trace = self.stdp.change(
                pre, post, ops.convert_to_tensor(self.pre_trace), ops.convert_to_tensor(self.post_trace)
            )
            self.pre_trace.assign(pre_trace)
            self.post_trace.assign(post_trace)
            self.memory.assign(self.memory + (change - self.memory) / self.stdp.memory)
        return outputs

    def save_own_variables(self, store: Any) -> None:
        """Save the traces too; ``Dense`` would save kernel and bias only."""
        save = (
            super().save_own_variables
            if self.stdp is None
            else super(keras.layers.Dense, self).save_own_variables
        )
        save(store)

    def load_own_variables(self, store: Any) -> None:
        """Load what :meth:`save_own_variables` saved."""
        load = (
            super().load_own_variables
            if self.stdp is None
            else super(keras.layers.Dense, self).load_own_variables
        )
        load(store)

    def active(self) -> float:
        """Return the share of kernel weights that are not zero."""
        return float(ops.mean(ops.cast(ops.not_equal(self.kernel, 0.0), "float32")))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        rule = None if self.stdp is None else keras.saving.serialize_keras_object(self.stdp)
        return {**super().get_config(), "stdp": rule}
