"""Training of the policy and value heads on cells, and their held-out scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from hyperperturb.data.effects import Effects
from hyperperturb.manifolds import poincare
from hyperperturb.models.cell_evidence import (
    Linear,
    accuracy,
    candidate_inputs,
    choose_discriminants,
    choose_logistic,
    class_means,
    combine,
    fit_discriminants,
    fit_logistic,
    naming_scores,
)
from hyperperturb.models.cells import CellInputs, Cells, control_spread
from hyperperturb.models.curriculum import CellBatches, Curriculum, HeldOutCells, KeepBest, difficulty
from hyperperturb.models.direction_training import HeldOut, fit_directions
from hyperperturb.models.directions import Directions
from hyperperturb.models.model import CellHeads
from hyperperturb.models.strength import energy_distance
from hyperperturb.nn import STDP
from hyperperturb.nn.fitting import fit

_VALUE_WEIGHT = 0.1
_DROPOUT = 0.2
_CURRICULUM_DEADLINE = 0.5  # share of the epochs after which every perturbation is admitted


@dataclass(frozen=True)
class FittedHeads:
    """Trained cell heads and what they reach on cells they never saw."""

    heads: CellHeads
    genes: tuple[str, ...]
    inputs: CellInputs
    directions: Directions
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
    held_out: Sequence[HeldOut],
    known: Callable[[np.ndarray], np.ndarray],
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

    Half of the held-out cells stop the training, choose how cells are presented and set temperature and weights of
    the evidence; the other half give the scores.

    Parameters
    ----------
    cells
        Perturbed cells; numbers of perturbations refer to ``effects``.
    targets
        (P, d) perturbation points in the unit ball.
    held_out
        Predicted effects of held-out genes (:func:`~hyperperturb.models.direction_training.held_out_effects`); they
        calibrate what is said about states and about perturbations whose cells were never seen.
    known
        Rows of cells → effects as they are known from these alone
        (:func:`~hyperperturb.models.direction_training.effects_from_cells`); they calibrate what is said about states
        of measured perturbations.
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
    label = cells.perturbation.astype(np.int32)
    strength = np.sqrt(energy_distance(effects)).astype(np.float32)
    train, tune, test = _split(label, validation_split, seed)
    control_mean, spread = control_spread(effects, cells.genes)
    candidates = candidate_inputs(cells.values[train], control_mean, spread)
    inputs, share, rule = choose_discriminants(candidates, cells.values, label, train, tune, len(targets))
    shift = inputs(cells.values).astype(np.float32)
    heads = _make_heads(
        shift.shape[1], label[train], targets, hidden_dim=hidden_dim, curvature=curvature, stdp=stdp
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
    logistic = choose_logistic(rule, shift, label, train, tune)
    evidence = [(rule.kernel, rule.bias), *([] if logistic is None else [logistic[1]])]
    weights = _weigh(heads, evidence, shift[tune], label[tune])
    _add_evidence(heads, evidence, weights)
    scores = naming_scores(_logits(heads, shift[test]), label[test])
    standard = candidates[0](cells.values)
    centroid = class_means(standard[train], label[train], len(targets))
    nearest = 2.0 * standard[test] @ centroid.T - np.sum(centroid**2, axis=1)
    frequent = np.tile(np.bincount(label[train], minlength=len(targets)).astype(float), (len(test), 1))
    for name, other in (("nearest_centroid", nearest), ("most_frequent", frequent)):
        scores |= {f"{name}_{k}": v for k, v in accuracy(other, label[test]).items()}
    directions = fit_directions(
        inputs,
        rule,
        cells.values,
        label,
        train,
        tune,
        effects.restrict_genes(cells.genes).effect.astype(np.float64),
        spread,
        held_out,
        known(train),
        seed=seed,
    )
    # What has been judged is then fitted to all cells, with the choices and weights that held-out cells made.
    rule = fit_discriminants(shift, label, len(targets), diagonals=[share])[0]
    evidence = [(rule.kernel, rule.bias)]
    if logistic is not None:
        evidence.append(fit_logistic(shift, label, rule, ridge=logistic[0]) or logistic[1])
    _add_evidence(heads, evidence, weights)
    directions = replace(directions, rule=rule)
    return FittedHeads(heads, cells.genes, inputs, directions, scores | {"n_test_cells": len(test)})


def _make_heads(
    n_inputs: int, label: np.ndarray, targets: np.ndarray, *, hidden_dim: int, curvature: float, stdp: float
) -> CellHeads:
    """Cell heads before training."""
    heads = CellHeads(
        n_inputs,
        hidden_dim,
        targets.shape[1],
        len(targets),
        curvature=curvature,
        stdp=STDP(stdp) if stdp > 0 else None,
    )
    heads.perturbation_points.assign(targets)
    heads.offset.assign(np.log(np.bincount(label, minlength=len(targets)) + 1.0).astype(np.float32))
    return heads


def _weigh(heads: CellHeads, evidence: list[Linear], shift: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Weights of the distance and of linear evidence, from cells that taught neither."""
    parts = [_logits(heads, shift), *(shift @ kernel + bias for kernel, bias in evidence)]
    return combine(parts, label)[0]


def _add_evidence(heads: CellHeads, evidence: list[Linear], weights: np.ndarray) -> None:
    """Give trained heads their temperature and linear evidence."""
    heads.temperature.assign(1.0 / weights[0])
    for total, each in ((heads.evidence_kernel, 0), (heads.evidence_bias, 1)):
        weighed = sum(w * part[each] for w, part in zip(weights[1:], evidence, strict=True))
        total.assign(weighed.astype(np.float32))


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
