"""Training of the policy and value heads on cells, and their held-out scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.covariance import ledoit_wolf

from hyperperturb.data.effects import Effects
from hyperperturb.manifolds import poincare
from hyperperturb.models.cells import Cells, control_spread
from hyperperturb.models.curriculum import CellBatches, Curriculum, HeldOutCells, KeepBest, difficulty
from hyperperturb.models.model import CellHeads
from hyperperturb.models.strength import energy_distance
from hyperperturb.nn import STDP
from hyperperturb.nn.fitting import fit

_VALUE_WEIGHT = 0.1
_DROPOUT = 0.2
_CURRICULUM_DEADLINE = 0.5  # share of the epochs after which every perturbation is admitted
_BINS = 15


@dataclass(frozen=True)
class FittedHeads:
    """Trained cell heads and what they reach on cells they never saw."""

    heads: CellHeads
    genes: tuple[str, ...]
    control_mean: np.ndarray
    control_spread: np.ndarray
    scores: dict[str, float]


def perturbation_points(points: np.ndarray, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Weighted centroids of the target genes' points, (P, d); order-free, for any number of targets.

    Parameters
    ----------
    points
        (N, d) unit-ball gene points.
    rows
        Row numbers of the targets of each perturbation.
    """
    points = np.asarray(points, dtype=np.float64)
    return np.stack([poincare.centroid(points[list(r)], c=1.0) for r in rows]).astype(np.float32)


def fit_cell_heads(
    cells: Cells,
    effects: Effects,
    targets: np.ndarray,
    *,
    curvature: float,
    hidden_dim: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    validation_split: float,
    seed: int,
    stdp: float = 0.0,
    curriculum: bool = False,
    jit_compile: bool = False,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FittedHeads:
    """Learn to name the perturbation of a cell, and its strength, from the cell's shift from control.

    Half of the held-out cells stop the training and set temperature and evidence weight, the other half give the
    scores.

    Parameters
    ----------
    cells
        Perturbed cells; numbers of perturbations refer to ``effects``.
    targets
        (P, d) perturbation points in the unit ball.
    curvature, hidden_dim, epochs, batch_size, learning_rate, validation_split, seed
        See :class:`hyperperturb.models.settings.TrainingSettings`.
    stdp
        Strength of the rule that thins the hidden layer's weights (:class:`hyperperturb.nn.STDP`); 0 is off. The
        logs then have ``active``, the share of them that is not zero.
    curriculum
        Begin with the easy perturbations (:class:`hyperperturb.models.curriculum.Curriculum`). The logs then have
        ``curriculum``, the share of perturbations admitted.
    jit_compile
        Compile the step with XLA.
    checkpoint
        File from which an interrupted training goes on, bit for bit (:func:`hyperperturb.nn.fitting.fit`).
    callbacks
        Further callbacks of the fit; they see the logs complete.

    Returns
    -------
    FittedHeads
    """
    keras.utils.set_random_seed(seed)
    mean, spread = control_spread(effects, cells.genes)
    shift = (cells.values - mean) / spread
    strength = np.sqrt(energy_distance(effects)).astype(np.float32)
    label = cells.perturbation.astype(np.int32)
    train, tune, test = _split(label, validation_split, seed)
    centroid = _centroids(shift[train], label[train], len(targets))
    heads = _make_heads(
        shift[train], label[train], centroid, targets, hidden_dim=hidden_dim, curvature=curvature, stdp=stdp
    )
    wanted = {"policy": label, "value": strength[label]}
    pace = None
    if curriculum:
        pace = Curriculum(difficulty(effects), deadline=round(_CURRICULUM_DEADLINE * epochs))
    batches = CellBatches(
        shift,
        wanted,
        train,
        batch_size=batch_size,
        seed=seed,
        dropout=_DROPOUT,
        label=label,
        curriculum=pace,
    )
    compile_heads(
        heads,
        strength,
        learning_rate=learning_rate,
        steps=len(batches),
        epochs=epochs,
        jit_compile=jit_compile,
    )
    best = KeepBest()
    fit(
        heads,
        batches,
        validation_data=HeldOutCells(shift, wanted, tune),
        epochs=epochs,
        callbacks=[
            best,
            *([] if pace is None else [pace]),
            *([ActiveShare()] if stdp > 0 else []),
            *callbacks,
        ],
        checkpoint=checkpoint,
    )
    best.restore(heads)
    kernel, bias = heads.evidence_kernel.numpy(), heads.evidence_bias.numpy()
    for weight, value in zip(
        (heads.temperature, heads.evidence_weight),
        _combine(_logits(heads, shift[tune]), shift[tune] @ kernel + bias, label[tune]),
        strict=True,
    ):
        weight.assign(value)
    scores = _scores(_logits(heads, shift[test]), label[test])
    nearest = 2.0 * shift[test] @ centroid.T - np.sum(centroid**2, axis=1)
    frequent = np.tile(np.bincount(label[train], minlength=len(targets)).astype(float), (len(test), 1))
    for name, other in (("nearest_centroid", nearest), ("most_frequent", frequent)):
        scores |= {f"{name}_{k}": v for k, v in _accuracy(other, label[test]).items()}
    return FittedHeads(heads, cells.genes, mean, spread, scores | {"n_test_cells": len(test)})


def _make_heads(
    shift: np.ndarray,
    label: np.ndarray,
    centroid: np.ndarray,
    targets: np.ndarray,
    *,
    hidden_dim: int,
    curvature: float,
    stdp: float,
) -> CellHeads:
    """Cell heads before training: what is not learned by descent comes from the training cells."""
    heads = CellHeads(
        shift.shape[1],
        hidden_dim,
        targets.shape[1],
        len(targets),
        curvature=curvature,
        stdp=STDP(stdp) if stdp > 0 else None,
    )
    heads.perturbation_points.assign(targets)
    for weight, value in zip(
        (heads.evidence_kernel, heads.evidence_bias), _discriminant(shift, label, centroid), strict=True
    ):
        weight.assign(value)
    heads.offset.assign(np.log(np.bincount(label, minlength=len(targets)) + 1.0).astype(np.float32))
    return heads


def compile_heads(
    heads: CellHeads,
    strength: np.ndarray,
    *,
    learning_rate: float,
    steps: int,
    epochs: int,
    jit_compile: bool = False,
) -> None:
    """Give cell heads their losses and optimizer, with a learning rate that falls along a cosine.

    Parameters
    ----------
    strength
        (P,) wanted values of the perturbations; their variance sets the weight of the value's loss.
    steps
        Steps of an epoch.
    """
    heads.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps, alpha=0.05)
        ),
        loss={
            "policy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "value": SquaredError(),
        },
        loss_weights={"policy": 1.0, "value": _VALUE_WEIGHT / max(float(np.var(strength)), 1e-6)},
        jit_compile=jit_compile,
        steps_per_execution=min(steps, 32),
    )


@keras.saving.register_keras_serializable(package="hyperperturb")
class SquaredError(keras.losses.Loss):
    """Squared error of one number a sample, shape ``(B,)``.

    Keras' own takes the mean over the last axis, here that of the batch, and Keras does not divide a loss that is a
    scalar already among the replicas.
    """

    def call(self, y_true, y_pred):
        """The squared error of each sample."""
        return keras.ops.square(y_pred - keras.ops.cast(y_true, y_pred.dtype))


class ActiveShare(keras.callbacks.Callback):
    """Puts the share of the hidden layer's weights that are not zero into the logs, as ``active``."""

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Add it."""
        logs["active"] = self.model.hidden.active()


def _split(label: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, tuning and test cells; tuning and test share the held-out part."""
    order = np.random.default_rng(seed).permutation(len(label))
    n = max(2, round(held_out * len(label)))
    return np.sort(order[n:]), np.sort(order[: n // 2]), np.sort(order[n // 2 : n])


def _logits(heads: CellHeads, shift: np.ndarray) -> np.ndarray:
    return np.asarray(heads.predict(shift, batch_size=4096, verbose=0)["policy"], dtype=np.float64)


def _combine(logits: np.ndarray, evidence: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Temperature of the logits and weight of the evidence that make held-out cells most likely.

    Temperature scaling (Guo et al. 2017) with one more term.
    """
    rows = np.arange(len(label))

    def surprise(theta: np.ndarray) -> float:
        combined = np.exp(theta[0]) * logits + np.exp(theta[1]) * evidence
        return -float(np.mean(log_softmax(combined, axis=1)[rows, label]))

    found = minimize(
        surprise, np.array([0.0, -1.0]), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-5}
    )
    return float(np.exp(-found.x[0])), float(np.exp(found.x[1]))


def _accuracy(scores: np.ndarray, label: np.ndarray) -> dict[str, float]:
    best = np.argsort(-scores, axis=1, kind="stable")[:, : min(5, scores.shape[1])]
    hit = best == label[:, None]
    return {"top1": float(hit[:, 0].mean()), "top5": float(hit.any(axis=1).mean())}


def _scores(logits: np.ndarray, label: np.ndarray) -> dict[str, float]:
    probability = softmax(logits, axis=1)
    sure, right = probability.max(axis=1), probability.argmax(axis=1) == label
    edges = np.quantile(sure, np.linspace(0, 1, _BINS + 1))
    bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, _BINS - 1)
    gaps = [
        abs(sure[bins == b].mean() - right[bins == b].mean()) * np.mean(bins == b)
        for b in range(_BINS)
        if np.any(bins == b)
    ]
    return _accuracy(logits, label) | {"ece": float(np.sum(gaps))}


def _centroids(shift: np.ndarray, label: np.ndarray, n: int) -> np.ndarray:
    """Mean shift of the cells of each perturbation, (n, H), shrunken by what sampling adds to it.

    The factor is James and Stein's: the share of a centroid's squared length that is not the noise of its cells.
    """
    counts = np.bincount(label, minlength=n)
    mean = np.zeros((n, shift.shape[1]))
    np.add.at(mean, label, shift)
    mean /= np.maximum(counts, 1)[:, None]
    noise = float(np.mean((shift - mean[label]) ** 2)) * shift.shape[1] / np.maximum(counts, 1)
    length = np.maximum(np.sum(mean**2, axis=1), np.finfo(float).tiny)
    return mean * np.clip(1.0 - noise / length, 0.0, 1.0)[:, None]


def _discriminant(
    shift: np.ndarray, label: np.ndarray, centroid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fisher's linear discriminants: log-likelihood ratios to the control mean are ``shift @ kernel + bias``."""
    covariance, _ = ledoit_wolf(shift - centroid[label], assume_centered=True)
    kernel = np.linalg.solve(covariance, centroid.T)
    return kernel.astype(np.float32), (-0.5 * np.sum(centroid.T * kernel, axis=0)).astype(np.float32)
