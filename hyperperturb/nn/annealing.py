"""Quantum-inspired annealing: a falling transverse field that shakes points on their manifold, and coupled replicas."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from hyperperturb.manifolds.base import Manifold
from hyperperturb.nn import _counter_random

SCHEDULES = ("linear", "cosine", "exponential", "constant")
_DECAY = 5.0  # e-folds of the exponential schedule


@keras.saving.register_keras_serializable(package="hyperperturb")
class QuantumAnnealing(keras.optimizers.schedules.LearningRateSchedule):
    r"""A transverse field :math:`\Gamma(t)` that falls to zero, for the optimizers' argument ``annealing=``.

    At every step each point marked with a manifold gets, besides its descent, a *tunnelling step*

    .. math::

        \xi = \frac{\Gamma(t)}{\sqrt d}\, P_{0\to x}(z),\qquad z\sim N(0, I_d)
        \text{ in an orthonormal frame at the origin},

    so that :math:`E\,\langle\xi,\xi\rangle_x = \Gamma(t)^2` wherever the point lies and in whatever
    coordinates: the field is the root mean square length of a tunnelling step, in units of the manifold's distance.
    From step ``steps`` on the field is zero and what remains is plain descent. With plain gradient descent of rate
    :math:`\eta` this is Riemannian Langevin dynamics of temperature :math:`\Gamma^2/(2\eta d)`.

    With ``replicas=R`` every marked variable holds R copies of the parameters along its first axis, the slices of
    a path integral on a ring, joined by springs :math:`\frac{\kappa(t)}{4} d^2(y_k, y_{k+1})` whose stiffness
    :math:`\kappa(t) = \kappa\,(1 - \Gamma(t)/\Gamma(0))` grows as the field falls. They let go when it is gone, so
    that each slice ends in a minimum of the loss itself. Their step, of the optimizer's learning rate
    :math:`\eta`, is bounded so that it is stable for any stiffness:

    .. math::

        y_k \leftarrow \exp_{y_k}\!\Big(\tfrac{f}{2}\big(\log_{y_k} y_{k-1} + \log_{y_k} y_{k+1}\big)\Big),\qquad
        f = \frac{a}{1 + 2a},\quad a = \eta\,\kappa(t).

    The loss must be the *sum* over the replicas, so that none feels another's gradient; of the result one
    takes the replica with the least loss. "Quantum-inspired" is meant literally: nothing here is a quantum
    computation, the schedule and the coupled slices are those of quantum annealing simulated on a classical
    machine. (There the stiffness diverges at the end and forces all slices into one place; here it stays finite.)

    The draws are a function of (``seed``, iteration, position of the variable, row): a resumed run, XLA and every
    device of a distribution strategy draw the same, and with sparse gradients only the rows that are updated
    are shaken, each as it would be if all were. Variables without a mark are left alone.

    It is also a ``LearningRateSchedule`` with value :math:`\Gamma(t)`: ``learning_rate=QuantumAnnealing(0.1, 1000)``
    lets the rate itself fall to zero in that way.

    Parameters
    ----------
    field
        :math:`\Gamma(0) \ge 0`, in units of distance (of the learning rate, if used as such a schedule).
    steps
        Optimizer steps until the field is zero; fewer than the training has, so that it ends in descent.
    schedule
        How the field falls, as a function of the share p of ``steps``: ``"linear"`` 1 − p; ``"cosine"``
        (1 + cos πp)/2; ``"exponential"`` exp(−5p), moved to end at 0; ``"constant"`` switches off at the end.
    replicas
        Length of the first axis of the marked variables, 1 for ordinary variables.
    coupling
        Stiffness κ ≥ 0 of the springs between neighbouring replicas (loss per squared distance), 0 for none.
    seed
        Of the draws.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    T. Kadowaki, H. Nishimori: Quantum annealing in the transverse Ising model. Phys. Rev. E 58 (1998) 5355.
    G. E. Santoro, R. Martoňák, E. Tosatti, R. Car: Theory of quantum annealing of an Ising spin glass.
    Science 295 (2002) 2427. M. Girolami, B. Calderhead: Riemann manifold Langevin and Hamiltonian Monte
    Carlo methods. J. R. Stat. Soc. B 73 (2011) 123.

    Examples
    --------
    >>> annealing = QuantumAnnealing(0.2, 100)
    >>> [round(float(annealing(step)), 3) for step in (0, 50, 100, 1000)]
    [0.2, 0.1, 0.0, 0.0]
    """

    def __init__(
        self,
        field: float,
        steps: int,
        *,
        schedule: str = "linear",
        replicas: int = 1,
        coupling: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("field", field), ("coupling", coupling)):
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"`{name}` must be a finite number, not negative. Received: {name}={value!r}"
                )
        for name, value in (("steps", steps), ("replicas", replicas)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        if schedule not in SCHEDULES:
            raise ValueError(f"`schedule` must be one of {SCHEDULES}. Received: schedule={schedule!r}")
        if not isinstance(seed, int):
            raise ValueError(f"`seed` must be an integer. Received: seed={seed!r}")
        self.field = float(field)
        self.steps = steps
        self.schedule = schedule
        self.replicas = replicas
        self.coupling = float(coupling)
        self.seed = seed

    # -- schedule ------------------------------------------------------------------------------------------

    def _share(self, step: Any) -> Any:
        """Return the field as a share of the initial one."""
        passed = ops.minimum(ops.cast(step, "float32") / float(self.steps), 1.0)
        if self.schedule == "linear":
            return 1.0 - passed
        if self.schedule == "cosine":
            left = 0.5 * (1.0 + ops.cos(math.pi * passed))
        elif self.schedule == "exponential":
            last = math.exp(-_DECAY)
            left = (ops.exp(-_DECAY * passed) - last) / (1.0 - last)
        else:
            left = ops.ones_like(passed)
        return ops.where(passed < 1.0, left, ops.zeros_like(left))

    def __call__(self, step: Any) -> Any:
        """Return the field at a step.

        Parameters
        ----------
        step
            Integer or scalar tensor, counted from 0.

        Returns
        -------
        tensor
            A float32 scalar.
        """
        return self.field * self._share(step)

    # -- tunnelling ----------------------------------------------------------------------------------------

    def noise(self, manifold: Manifold, x: Any, step: Any, *, variable: int = 0, rows: Any = None) -> Any:
        """Return the tunnelling steps of points, tangent vectors at them.

        Parameters
        ----------
        manifold
            Where the points live.
        x
            Points ``(..., D)``.
        step
            The iteration.
        variable
            The position of the variable in the optimizer: each has noise of its own.
        rows
            The indices along the first axis that ``x`` holds, ``(n,)``, if not all of them.

        Returns
        -------
        tensor
            ``(..., D)``, of the dtype of ``x``.
        """
        *lead, ambient = x.shape
        dim = ambient - (manifold.ambient_dim(1) - 1)
        inner = math.prod(lead[1:])
        first = ops.arange(lead[0], dtype="int32") if rows is None else ops.cast(rows, "int32")
        address = first[:, None] * inner + ops.arange(inner, dtype="int32")
        z = _counter_random.normal(seed=self.seed, stream=variable, step=step, rows=address, columns=dim)
        scale = self(step) * (manifold._origin_unit() / math.sqrt(dim))
        z = ops.cast(scale * ops.reshape(z, (-1, *lead[1:], dim)), x.dtype)
        return manifold.ptransp0(x, manifold.from_space(z))

    # -- replicas ------------------------------------------------------------------------------------------

    def bond(self, step: Any, learning_rate: Any) -> Any:
        """Return the share ``f`` of the way to the mean of its neighbours that a replica is drawn at a step.

        Parameters
        ----------
        step
            The iteration.
        learning_rate
            The optimizer's.

        Returns
        -------
        tensor
            Float32 from 0 (at step 0 and once the field is zero) to below 1/2: no mode of the ring overshoots.
        """
        share = self._share(step)
        stiffness = ops.where(share > 0.0, self.coupling * (1.0 - share), 0.0 * share)
        pull = ops.cast(learning_rate, "float32") * stiffness
        return pull / (1.0 + 2.0 * pull)

    def couple(self, manifold: Manifold, x: Any, step: Any, learning_rate: Any) -> Any:
        """Return the replicas after each was drawn towards its two neighbours on the ring.

        Parameters
        ----------
        manifold
            Where the points live.
        x
            Points ``(replicas, ..., D)``.
        step
            The iteration.
        learning_rate
            The optimizer's.

        Returns
        -------
        tensor
            The same shape.
        """
        pull = manifold.logmap(x, ops.roll(x, 1, axis=0)) + manifold.logmap(x, ops.roll(x, -1, axis=0))
        return manifold.expmap(x, ops.cast(0.5 * self.bond(step, learning_rate), x.dtype) * pull)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {
            "field": self.field,
            "steps": self.steps,
            "schedule": self.schedule,
            "replicas": self.replicas,
            "coupling": self.coupling,
            "seed": self.seed,
        }


def replicate_points(manifold: Manifold, x: Any, replicas: int, *, spread: float = 0.0, seed: int = 0) -> Any:
    """Return copies of points along a new first axis, the start of a replicated variable.

    Parameters
    ----------
    manifold
        Where the points live.
    x
        Points ``(..., D)``, NumPy.
    replicas
        Number of copies.
    spread
        Root mean square distance that each copy is moved by at random.
    seed
        Of the moves.

    Returns
    -------
    numpy.ndarray
        ``(replicas, ..., D)``.

    Examples
    --------
    >>> from hyperperturb.manifolds import PoincareBall
    >>> replicate_points(PoincareBall(1.0), np.zeros((5, 2)), 3).shape
    (3, 5, 2)
    """
    x = np.broadcast_to(x, (replicas, *np.shape(x)))
    dim = x.shape[-1] - (manifold.ambient_dim(1) - 1)
    z = np.random.default_rng(seed).standard_normal((*x.shape[:-1], dim)).astype(x.dtype)
    move = manifold.from_space((spread * manifold._origin_unit() / math.sqrt(dim)) * z)
    return manifold.projx(manifold.expmap(x, manifold.ptransp0(x, move)))
