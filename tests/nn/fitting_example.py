"""A small model with everything that an exact resume has to keep, and a program that trains it on several devices.

Run as a program: ``python fitting_example.py {devices|together|again} FOLDER``; what came out lies in the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cell_training import fit_cell_heads
from hyperperturb.models.cells import Cells
from hyperperturb.models.direction_training import HeldOut
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.nn import HyperbolicEmbedding, RiemannianAdam
from hyperperturb.nn.cluster import Cluster
from hyperperturb.nn.distribution import make_strategy, replicas, scope
from hyperperturb.nn.fitting import fit
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.worker import execute

EPOCHS = 5


class Numbers(keras.utils.PyDataset):
    """Items and what is to be said of them: a function of (epoch, step)."""

    def __init__(self, *, validation: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.validation, self.seed, self.epoch = validation, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 2 if self.validation else 4

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.seed, 0 if self.validation else self.epoch + 1, step))
        items = rng.integers(0, 30, size=12).astype(np.int32)
        return items, np.sin(items, dtype=np.float32)[:, None]


def make(*, dropout: float, learning_rate: float = 0.05) -> keras.Model:
    """Points on a manifold, flat weights, dropout with a seed of its own, a schedule, several steps at once."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            HyperbolicEmbedding(30, 4),
            keras.layers.Dropout(dropout, seed=1),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dense(1),
        ]
    )
    model.build((12,))
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, 40)
    model.compile(
        RiemannianAdam(schedule), loss="mse", metrics=["mae"], jit_compile=False, steps_per_execution=3
    )
    return model


def train(model: keras.Model, **options) -> keras.callbacks.History:
    """Train it."""
    return fit(model, Numbers(), epochs=EPOCHS, validation_data=Numbers(validation=True), **options)


class DieAt(keras.callbacks.Callback):
    """Kills its own process when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None) -> None:
        if epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def _save(folder: Path, name: str, model: keras.Model, history: keras.callbacks.History) -> None:
    np.savez(folder / f"{name}.npz", *[v.numpy() for v in [*model.variables, *model.optimizer.variables]])
    (folder / f"{name}.json").write_text(json.dumps({"epoch": history.epoch, **history.history}))


class _Remember(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.rows.append({name: float(value) for name, value in logs.items()})


def train_cells(folder: Path, name: str) -> None:
    """Train the cell heads, with both techniques that keep a memory."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(6, 20)).astype(np.float32)
    label = rng.integers(6, size=500)
    values = (effect[label] + rng.normal(size=(500, 20))).astype(np.float32)
    names, genes = tuple(f"P{i}" for i in range(6)), tuple(f"R{i}" for i in range(20))
    effects = Effects(
        perturbations=names,
        targets=tuple((n,) for n in names),
        genes=genes,
        effect=effect,
        standard_error=np.full(effect.shape, 0.05, dtype=np.float32),
        n_cells=np.bincount(label),
        control="control",
        control_mean=np.zeros(20, dtype=np.float32),
        control_variance=np.ones(20, dtype=np.float32),
        n_control_cells=100,
    )
    kept = _Remember()
    fitted = fit_cell_heads(
        Cells(genes, values, label),
        effects,
        (0.4 * rng.uniform(-1, 1, size=(6, 4))).astype(np.float32),
        [HeldOut(np.arange(6), effect.astype(float))],
        lambda rows: effect.astype(float),
        curvature=1.0,
        hidden_dim=8,
        epochs=3,
        batch_size=64,
        learning_rate=0.01,
        validation_split=0.3,
        seed=0,
        stdp=0.1,
        curriculum=True,
        callbacks=[kept],
    )
    np.savez(folder / f"{name}.npz", *[v.numpy() for v in fitted.heads.trainable_variables])
    (folder / f"{name}.json").write_text(
        json.dumps({key: [r[key] for r in kept.rows] for key in kept.rows[0]})
    )


def _devices(folder: Path) -> None:
    strategy = make_strategy("mirrored")
    model = make(dropout=0.0)
    _save(folder, "single", model, train(model))
    train_cells(folder, "cells-single")
    with scope(strategy):
        train_cells(folder, "cells-mirrored")
        assert replicas() == 2
        model = make(dropout=0.0)
        _save(folder, "mirrored", model, train(model))
        with contextlib.suppress(KeyboardInterrupt):
            train(make(dropout=0.2), checkpoint=folder / "mirrored-dropout.npz", callbacks=[_StopAt(2)])
        resumed, whole = make(dropout=0.2), make(dropout=0.2)
        _save(folder, "mirrored-resumed", resumed, train(resumed, checkpoint=folder / "mirrored-dropout.npz"))
        _save(folder, "mirrored-whole", whole, train(whole))
    settings = TrainingSettings(epochs=2, max_cells=600, batch_size=64, strategy="mirrored")
    config = RunConfig(
        screen=folder / "screen.h5ad", column="perturbation", control="non-targeting", settings=settings
    )
    run = RunDirectory.create(folder, config, name="run")
    assert execute(run) == "finished", run.status.error


class _StopAt(keras.callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def _together(folder: Path, cluster: Cluster) -> None:
    for name, dropout in (("workers", 0.0), ("whole", 0.2)):
        model = make(dropout=dropout)
        _save(folder, f"{name}-{cluster.index}", model, train(model))
    train_cells(folder, f"cells-workers-{cluster.index}")
    deadly = [] if cluster.chief else [DieAt(3)]
    train(make(dropout=0.2), callbacks=deadly, checkpoint=folder / f"checkpoint-{cluster.index}.npz")


def _again(folder: Path, cluster: Cluster) -> None:
    model = make(dropout=0.2)
    history = train(model, checkpoint=folder / f"checkpoint-{cluster.index}.npz")
    _save(folder, f"resumed-{cluster.index}", model, history)
    train(make(dropout=0.0, learning_rate=0.05 if cluster.chief else 0.01))


def main(what: str, folder: Path) -> int:
    """Do one of the three things; a sentence for people goes into the folder."""
    if what == "devices":
        _devices(folder)
        return 0
    cluster = Cluster.from_environment()
    strategy = make_strategy("multiworker", wait=300)
    try:
        with scope(strategy):
            {"together": _together, "again": _again}[what](folder, cluster)
    except HyperPerturbError as error:
        (folder / f"{what}-{cluster.index}.txt").write_text(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
