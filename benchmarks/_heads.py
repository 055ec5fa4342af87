"""Cell heads for the ablations: one screen, and several trainings at once under ``jax.vmap``.

Set ``KERAS_BACKEND=jax`` before Keras is imported. First weights are those of
:class:`hyperperturb.models.model.CellHeads`, the optimizer is Keras' Adam; the forward pass is written out for speed
(float32; without the evidence of discriminants, which comes after training). The STDP rule's own functions are applied
in the order of :class:`hyperperturb.nn.PlasticDense` (a test of the layer holds that order). Thirty trainings then cost
what three would one by one.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import ops

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.models.cell_training import _DROPOUT, _split
from hyperperturb.models.cells import control_spread, read_cells
from hyperperturb.models.model import CellHeads
from hyperperturb.models.strength import energy_distance
from hyperperturb.nn import STDP
from hyperperturb.nn.plasticity import soft_threshold

ROOT = Path(__file__).resolve().parents[1]
PAPALEXI = ROOT.parent / "shared" / "data" / "screens" / "papalexi2021_thp1_299genes.h5ad"
HIDDEN, DIM, RATE, BATCH, DROPOUT = 32, 16, 3e-3, 256, _DROPOUT


def save(figure, path: Path) -> None:
    """Write a figure as a small PNG (64 colours, white ground)."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, facecolor="white")
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(64)
    small.save(path, optimize=True)


class Screen:
    """Cells as the heads see them, split 60/20/20 into training, tuning and test cells.

    Parameters
    ----------
    name
        ``demo`` (a simulated screen, another one for each seed) or ``papalexi`` (another draw of cells).
    """

    def __init__(self, name: str, seed: int, *, cells: int, papalexi: Path = PAPALEXI) -> None:
        source: object = papalexi
        if name == "demo":
            source = simulate_screen(
                seed=1000 + seed, n_genes=400, n_regulators=40, n_single=40, n_double=10, n_cells=cells
            ).adata
        self.effects = compute_effects(source, column="perturbation", control="non-targeting")
        read = read_cells(source, self.effects, column="perturbation", max_cells=cells, seed=seed)
        mean, spread = control_spread(self.effects, read.genes)
        self.shift = (read.values - mean) / spread
        self.label = read.perturbation.astype(np.int32)
        strength = np.sqrt(energy_distance(self.effects)).astype(np.float32)
        self.wanted = {"policy": self.label, "value": strength[self.label]}
        self.value_weight = 0.1 / max(float(np.var(strength)), 1e-6)
        self.train, self.tune, self.test = _split(self.label, 0.4, seed)
        tangent = np.random.default_rng(seed).normal(scale=0.25, size=(len(strength), DIM))
        length = np.linalg.norm(tangent, axis=1, keepdims=True)
        self.points = (np.tanh(length) * tangent / length).astype(np.float32)


class Together:
    """Several trainings of cell heads from the same start, side by side.

    Parameters
    ----------
    screen, seed
        What is learned, and the seed of the first weights.
    steps
        Steps in all, for the learning rate's cosine.
    strength, protection, by_size
        One entry a training: λ and protection of the STDP rule, and whether a weight's size takes the place of the
        memory (a control).
    """

    def __init__(self, screen: Screen, seed: int, *, steps: int, strength, protection, by_size) -> None:
        self.n = len(strength)
        self.screen = screen
        self.rule = STDP(1.0)
        keras.utils.set_random_seed(seed)
        self.heads = CellHeads(screen.shift.shape[1], HIDDEN, DIM, len(screen.points), curvature=1.0)
        self.heads.perturbation_points.assign(screen.points)
        counts = np.bincount(screen.label[screen.train], minlength=len(screen.points))
        self.heads.offset.assign(np.log(counts + 1.0))
        self.schedule = keras.optimizers.schedules.CosineDecay(RATE, steps, alpha=0.05)
        self.optimizer = keras.optimizers.Adam(self.schedule)
        self.optimizer.build(self.heads.trainable_variables)
        names = [v.path for v in self.heads.trainable_variables]
        self.kernel, self.bias = (names.index(getattr(self.heads.hidden, k).path) for k in ("kernel", "bias"))
        self.points = jnp.asarray(screen.points)
        self.options = tuple(jnp.asarray(v, dtype=jnp.float32) for v in (strength, protection, by_size))
        shape = (screen.shift.shape[1], HIDDEN)
        start = (
            [v.value for v in self.heads.trainable_variables],
            [v.value for v in self.optimizer.variables],
            (jnp.zeros(shape[0]), jnp.zeros(shape[1]), jnp.zeros(shape)),
        )
        self.state = jax.tree.map(lambda a: jnp.broadcast_to(a, (self.n, *jnp.shape(a))), start)
        self.at = 0
        self._steps = {
            shared: jax.jit(jax.vmap(self._step, in_axes=(0, 0, None if shared else 0, None)))
            for shared in (True, False)
        }
        self._losses = jax.jit(jax.vmap(self._loss, (0, None, None)))

    def _loss(self, weights, x, y):
        sharpness, offset, kernel, bias, tangent, tangent_bias, value, value_bias = weights
        hidden = jnp.tanh(x @ kernel + bias)
        vector = hidden @ tangent + tangent_bias
        length = jnp.sqrt(jnp.sum(vector**2, axis=1, keepdims=True) + 1e-12)
        point = jnp.tanh(length) * vector / length
        square = (
            jnp.sum(point**2, axis=1)[:, None] + jnp.sum(self.points**2, axis=1) - 2 * point @ self.points.T
        )
        gaps = (1 - jnp.sum(point**2, axis=1))[:, None] * (1 - jnp.sum(self.points**2, axis=1))
        distance = 2 * jnp.arcsinh(jnp.sqrt(jnp.maximum(square, 1e-12) / jnp.maximum(gaps, 1e-9)))
        logits = jax.nn.log_softmax(offset - jax.nn.softplus(sharpness) * distance)
        policy = -jnp.mean(jnp.take_along_axis(logits, y["policy"][:, None], axis=1))
        wanted = jax.nn.softplus(hidden @ value + value_bias)[:, 0]
        return policy + self.screen.value_weight * jnp.mean((wanted - y["value"]) ** 2)

    def _step(self, state, options, batch, at):
        (weights, slots, (pre, post, memory)), (strength, protection, by_size) = state, options
        x, y = batch
        hidden = ops.tanh(ops.matmul(x, weights[self.kernel]) + weights[self.bias])
        change, pre, post = self.rule.change(x, hidden, pre, post)
        memory = memory + (change - memory) / self.rule.memory
        slopes = jax.grad(self._loss)(weights, x, y)
        before = weights[self.kernel]
        weights, slots = self.optimizer.stateless_apply(slots, slopes, weights)
        kernel = weights[self.kernel]
        exposure = self.rule.exposure(kernel, jnp.where(by_size > 0, kernel, memory), protection)
        kernel = soft_threshold(kernel, self.schedule(at) * strength * exposure)
        weights = [kernel if i == self.kernel else w for i, w in enumerate(weights)]
        both, either = (before != 0) & (kernel != 0), (before != 0) | (kernel != 0)
        return (weights, slots, (pre, post, memory)), jnp.sum(both) / jnp.maximum(jnp.sum(either), 1)

    def step(self, batch, *, shared: bool = True) -> np.ndarray:
        """Train one step on a batch (or on one batch each, stacked); return the overlaps of the active sets."""
        self.state, overlap = self._steps[shared](self.state, self.options, batch, self.at)
        self.at += 1
        return np.asarray(overlap)

    def kernels(self) -> np.ndarray:
        """Hidden weights of all trainings, (n, inputs, units)."""
        return np.asarray(self.state[0][self.kernel])

    def losses(self, rows: np.ndarray, kernels: np.ndarray | None = None) -> np.ndarray:
        """Loss of each training on some cells, perhaps with other hidden weights."""
        weights = list(self.state[0])
        if kernels is not None:
            weights[self.kernel] = jnp.asarray(kernels)
        y = {name: value[rows] for name, value in self.screen.wanted.items()}
        return np.asarray(self._losses(weights, self.screen.shift[rows], y))
