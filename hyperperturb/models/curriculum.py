"""The cells of a training, batch by batch, and an adaptive curriculum over their perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from scipy.stats import rankdata

from hyperperturb.data.effects import Effects
from hyperperturb.models.strength import energy_distance
from hyperperturb.nn.distribution import replicas


def difficulty(effects: Effects) -> np.ndarray:
    r"""How hard each perturbation is to learn from its cells: ranks scaled to 0 (easiest) … 1 (hardest).

    Ranked is the signal of a perturbation against the noise of its mean, shared among its targets,

    .. math:: \text{signal}_p = \sqrt{E_p\, n_p}\,/\,k_p,

    where :math:`E_p` is the effect size (energy distance without what sampling adds to it), :math:`n_p` the number of
    cells and :math:`k_p` the number of target genes: a strong effect, seen in many cells, of a single gene comes
    first.

    Parameters
    ----------
    effects
        Measured effects; nothing else is used, so the order is known before training.

    Returns
    -------
    numpy.ndarray
        (P,) float64. Ties share their mean rank; all are 0 if there is one perturbation.
    """
    targets = np.array([max(len(t), 1) for t in effects.targets])
    signal = np.sqrt(energy_distance(effects) * np.maximum(effects.n_cells, 0)) / targets
    return (rankdata(-signal) - 1.0) / max(len(signal) - 1, 1)


class Curriculum(keras.callbacks.Callback):
    """Admits perturbations from the easiest to the hardest; the validation loss sets the pace.

    Training starts with the easiest ``start`` of the perturbations. Whenever the validation loss (over *all*
    perturbations) has not fallen by ``min_delta`` of itself for ``patience`` epochs, the share admitted is multiplied
    by ``growth``. From the epoch ``deadline`` on all are admitted, whatever the loss does: the model that is
    kept must have seen everything. The share an epoch was trained with is its ``curriculum`` in the logs.

    Parameters
    ----------
    difficulty
        (P,) numbers, small is easy (:func:`difficulty`). ``1 - difficulty`` gives the hardest first.
    start, growth, patience, min_delta
        See above.
    deadline
        Number of epochs after which everything is admitted.
    monitor
        Name of the validation loss in the logs.

    Notes
    -----
    ``get_state`` and ``set_state`` carry everything it remembers, so a resumed training goes on exactly.

    Examples
    --------
    >>> pace = Curriculum(np.array([0.0, 0.5, 1.0, 0.2]), start=0.5, growth=1.5, deadline=10)
    >>> pace.admitted().tolist()
    [True, False, False, True]
    >>> for epoch, loss in enumerate([3.0, 2.0, 2.0]):
    ...     pace.on_epoch_end(epoch, {"val_loss": loss})
    >>> pace.share, pace.admitted().tolist()
    (0.75, [True, True, False, True])
    """

    def __init__(
        self,
        difficulty: np.ndarray,
        *,
        start: float = 0.25,
        growth: float = 1.5,
        patience: int = 1,
        min_delta: float = 1e-3,
        deadline: int,
        monitor: str = "val_loss",
    ) -> None:
        super().__init__()
        if not 0 < start <= 1 or not growth > 1 or patience < 1:
            raise ValueError(
                "`start` must lie in 0 … 1, `growth` above 1 and `patience` at 1 or more. "
                f"Received: start={start!r}, growth={growth!r}, patience={patience!r}"
            )
        self.order = np.argsort(np.asarray(difficulty), kind="stable")
        self.growth, self.patience, self.min_delta = growth, patience, min_delta
        self.deadline, self.monitor = deadline, monitor
        self.share, self.lowest, self.waited = float(start) if deadline > 0 else 1.0, np.inf, 0

    def admitted(self) -> np.ndarray:
        """Return which perturbations the present stage trains on, (P,) bool; at least one."""
        mask = np.zeros(len(self.order), dtype=bool)
        mask[self.order[: max(1, round(self.share * len(self.order)))]] = True
        return mask

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the share of this epoch, and set that of the next."""
        logs = {} if logs is None else logs
        logs["curriculum"] = self.share
        loss = float(logs[self.monitor])
        if loss < self.lowest * (1.0 - self.min_delta) or not np.isfinite(self.lowest):
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited >= self.patience:
            self.share = min(1.0, self.share * self.growth)
            self.lowest, self.waited = loss, 0  # a new stage is measured against where it begins
        if epoch + 1 >= self.deadline:
            self.share = 1.0

    def get_state(self) -> dict[str, np.ndarray]:
        """Return what :meth:`set_state` needs."""
        return {"pace": np.array([self.share, self.lowest, self.waited], dtype=np.float64)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there."""
        share, lowest, waited = np.asarray(state["pace"], dtype=np.float64)
        self.share, self.lowest, self.waited = float(share), float(lowest), int(waited)


class CellBatches(keras.utils.PyDataset):
    """Shuffled batches of cells: a pure function of seed, epoch, step and stage of the curriculum.

    Every step has the same number of cells, a multiple of the number of replicas, and every epoch the same number of
    steps, ceil(cells / batch), at each stage of a curriculum: equal budgets. What is missing to a whole
    number of batches is filled from the next shuffling, not with empty rows: each step is then worth the same, and
    statistics that layers take of their inputs see cells only. With a curriculum the cells of admitted perturbations
    are shuffled again and again until the epoch is full.

    Dropout of inputs is part of the data, for the same reason that the order is: its noise then depends on the epoch
    and the step alone, not on how many devices share the batch or on what was interrupted.

    Parameters
    ----------
    shift
        (n, H) float32 inputs.
    wanted
        What the model should say of them, by output; each (n, …).
    rows
        Row numbers to train on.
    batch_size
        Cells in a step, rounded up to a multiple of the number of replicas; at most ``len(rows)`` before that.
    seed
        Of the order and the dropout.
    dropout
        Probability that an input is set to zero; the others are scaled by 1 / (1 − dropout).
    label, curriculum
        (n,) perturbation of each cell, and the :class:`Curriculum` that admits them. Read when an epoch is set.

    Examples
    --------
    >>> x = np.arange(10, dtype=np.float32)[:, None]
    >>> batches = CellBatches(x, {"y": x[:, 0]}, np.arange(10), batch_size=4, seed=0)
    >>> len(batches), batches[2][0].shape
    (3, (4, 1))
    """

    def __init__(
        self,
        shift: np.ndarray,
        wanted: Mapping[str, np.ndarray],
        rows: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        dropout: float = 0.0,
        label: np.ndarray | None = None,
        curriculum: Curriculum | None = None,
    ) -> None:
        super().__init__()
        if not len(rows):
            raise ValueError("`rows` must name at least one cell. Received: rows=[]")
        self.shift, self.wanted, self.rows = shift, dict(wanted), np.asarray(rows)
        self.batch_size = _multiple(min(batch_size, len(self.rows)), replicas())
        self.seed, self.dropout = seed, dropout
        self.label, self.curriculum = label, curriculum
        self.steps = -(-len(self.rows) // self.batch_size)
        self.set_epoch(0)

    def __len__(self) -> int:
        return self.steps

    def set_epoch(self, epoch: int) -> None:
        """Shuffle for this epoch (counted from 0) at the curriculum's present stage."""
        self.epoch = int(epoch)
        rows = self.rows
        if self.curriculum is not None:
            rows = rows[self.curriculum.admitted()[self.label[rows]]]
            if not len(rows):  # perturbations without training cells
                rows = self.rows
        needed = self.steps * self.batch_size
        rng = np.random.default_rng([self.seed, self.epoch])
        self.order = np.concatenate([rng.permutation(rows) for _ in range(-(-needed // len(rows)))])[:needed]

    def __getitem__(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return inputs and wanted outputs of a step."""
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        shift = self.shift[rows]
        if self.dropout:
            noise = np.random.default_rng([self.seed, self.epoch, step])
            keep = noise.random(shift.shape, dtype=np.float32) >= self.dropout
            shift = shift * keep * np.float32(1.0 / (1.0 - self.dropout))
        return shift, {name: value[rows] for name, value in self.wanted.items()}


class HeldOutCells(keras.utils.PyDataset):
    """Cells to judge by, in order, each once: the mean loss over them is that of one batch of all.

    The last batch is filled up with rows of weight zero, and the weights are scaled so that the mean over the rows
    is the mean over the cells: equal lengths for several replicas, no change of the loss.

    Parameters
    ----------
    shift, wanted, rows
        As for :class:`CellBatches`.
    batch_size
        Most cells in a step.
    """

    def __init__(
        self,
        shift: np.ndarray,
        wanted: Mapping[str, np.ndarray],
        rows: np.ndarray,
        *,
        batch_size: int = 4096,
    ) -> None:
        super().__init__()
        n = len(rows)
        steps = -(-n // batch_size)
        size = _multiple(-(-n // steps), replicas())
        filled = np.concatenate([rows, np.repeat(rows[:1], steps * size - n)])
        weight = np.zeros(steps * size, dtype=np.float32)
        weight[:n] = steps * size / n
        self.parts = [
            (
                shift[part],
                {name: value[part] for name, value in wanted.items()},
                dict.fromkeys(wanted, weight[i * size : (i + 1) * size]),
            )
            for i, part in enumerate(filled.reshape(steps, size))
        ]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return inputs, wanted outputs and weights of a step."""
        return self.parts[step]


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest validation loss; the curves run on to the end.

    Parameters
    ----------
    monitor
        Name of the validation loss in the logs.
    """

    def __init__(self, monitor: str = "val_loss") -> None:
        super().__init__()
        self.monitor = monitor
        self.lowest: float = np.inf
        self.weights: Sequence[np.ndarray] | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Forget."""
        self.lowest, self.weights = np.inf, None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the weights if they are the best."""
        if logs[self.monitor] < self.lowest:
            self.lowest, self.weights = float(logs[self.monitor]), self.model.get_weights()

    def restore(self, model: keras.Model) -> None:
        """Give the model its best weights."""
        if self.weights is not None:
            model.set_weights(self.weights)

    def get_state(self) -> dict[str, np.ndarray]:
        """Return what :meth:`set_state` needs."""
        kept: dict[str, Any] = {f"weight-{i}": w for i, w in enumerate(self.weights or ())}
        return {"lowest": np.float64(self.lowest)} | kept

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there."""
        self.lowest = float(state["lowest"])
        kept = [state[f"weight-{i}"] for i in range(len(state) - 1)]
        self.weights = kept or None


def _multiple(n: int, of: int) -> int:
    return -(-n // of) * of
