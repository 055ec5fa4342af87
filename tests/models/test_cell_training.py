"""Cell heads on made-up cells: they learn, are calibrated, and beat what they are compared with."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from hyperperturb.data.effects import Effects  # noqa: E402
from hyperperturb.manifolds import poincare  # noqa: E402
from hyperperturb.models.cell_training import (  # noqa: E402
    _split,
    fit_cell_heads,
    perturbation_points,
)
from hyperperturb.models.cells import Cells  # noqa: E402
from hyperperturb.models.direction_training import HeldOut  # noqa: E402
from hyperperturb.models.model import CellHeads  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

P, R, N = 6, 20, 900


def made_up() -> tuple[Cells, Effects, np.ndarray]:
    """Six perturbations whose cells overlap; the last leaves no trace."""
    rng = np.random.default_rng(0)
    effect = 0.5 * rng.normal(size=(P, R)).astype(np.float32)
    effect[-1] = 0.0
    label = rng.integers(P, size=N)
    values = (1.0 + effect[label] + rng.normal(size=(N, R))).astype(np.float32)
    genes = tuple(f"R{i}" for i in range(R))
    effects = Effects(
        perturbations=tuple(f"P{i}" for i in range(P)),
        targets=tuple((f"P{i}",) for i in range(P)),
        genes=genes,
        effect=effect,
        standard_error=np.full(effect.shape, 0.05, dtype=np.float32),
        n_cells=np.bincount(label),
        control="control",
        control_mean=np.ones(R, dtype=np.float32),
        control_variance=np.ones(R, dtype=np.float32),
        n_control_cells=100,
    )
    return Cells(genes, values, label), effects, label


def fit(epochs: int = 8, seed: int = 0, **options):
    cells, effects, _ = made_up()
    points = 0.4 * np.random.default_rng(1).uniform(-1, 1, size=(P, 4)).astype(np.float32)
    return fit_cell_heads(
        cells,
        effects,
        points,
        [HeldOut(np.arange(P), effects.effect.astype(float))],
        lambda rows: effects.effect.astype(float),
        curvature=1.3,
        hidden_dim=16,
        epochs=epochs,
        batch_size=64,
        learning_rate=1e-2,
        validation_split=0.4,
        seed=seed,
        **options,
    )


@pytest.fixture(scope="module")
def fitted():
    return fit()


@pytest.mark.slow
def test_cells_are_named_better_than_by_chance_and_about_as_well_as_can_be(fitted):
    scores = fitted.scores
    assert scores["n_test_cells"] == 180
    assert scores["top1"] > 1.5 * scores["most_frequent_top1"]
    # Equal spherical noise: the nearest centroid is the best rule there is, but for its own error.
    assert scores["top1"] > scores["nearest_centroid_top1"] - 0.05
    assert scores["top5"] >= scores["top1"]
    assert scores["ece"] < 0.12
    assert scores["surprise"] < np.log(P)
    assert float(fitted.heads.temperature) > 0


@pytest.mark.slow
def test_the_value_head_knows_strong_cells_from_weak_ones(fitted):
    cells, effects, label = made_up()
    shift = fitted.inputs(cells.values)
    value = fitted.heads.predict(shift, verbose=0, batch_size=1024)["value"]
    assert (value >= 0).all()
    strongest = int(np.argmax((effects.effect**2).sum(axis=1)))
    assert value[label == strongest].mean() > value[label == P - 1].mean()


class Rows(keras.callbacks.Callback):
    """Keeps the logs, and in the middle of the third epoch a copy of the checkpoint: what a kill would leave."""

    def __init__(self, checkpoint, copy=None) -> None:
        super().__init__()
        self.checkpoint, self.copy, self.rows = checkpoint, copy, []

    def on_train_batch_end(self, batch, logs=None) -> None:
        if self.copy is not None and len(self.rows) == 2:
            shutil.copy(self.checkpoint, self.copy)

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.rows.append(dict(logs))


@pytest.mark.slow
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path):
    """With everything that remembers: traces of the STDP rule, pace of the curriculum, best weights, dropout."""
    options = {"epochs": 4, "stdp": 0.5, "curriculum": True}
    path, left = tmp_path / "whole.npz", tmp_path / "killed.npz"
    whole, rest = Rows(path, left), Rows(left)
    uninterrupted = fit(**options, callbacks=[whole], checkpoint=path)
    resumed = fit(**options, callbacks=[rest], checkpoint=left)
    assert rest.rows == whole.rows[2:]
    assert resumed.scores == uninterrupted.scores
    for a, b in zip(resumed.heads.weights, uninterrupted.heads.weights, strict=True):
        assert (a.numpy() == b.numpy()).all(), a.path
    assert uninterrupted.heads.hidden.memory.numpy().any()
    assert whole.rows[0]["curriculum"] == 0.25
    assert whole.rows[-1]["curriculum"] == 1.0
    active = [row["active"] for row in whole.rows]
    assert 0 < active[-1] < 0.99


@pytest.mark.slow
def test_thinned_heads_save_and_load_in_the_whole_model(tmp_path):
    """The rule travels with the configuration; the answers stay the same."""
    from hyperperturb.models.model import HyperPerturbModel
    from hyperperturb.nn import STDP

    effect = {
        "n_genes": 3,
        "n_targets": 2,
        "n_response": 2,
        "parameters": {
            "mean": 0.1,
            "diffusion": 0.2,
            "hyperbolic": 0.3,
            "own": 0.1,
            "noise": 1.0,
            "factor": 0.9,
        },
        "own_slope": 0.0,
    }
    heads = CellHeads(5, 4, 2, 3, curvature=1.0, stdp=STDP(0.1))
    config = {k: v for k, v in heads.get_config().items() if k not in ("name", "trainable", "dtype")}
    model = HyperPerturbModel(3, 2, effect=effect, cells=config)
    shift = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    model({"cells": shift}, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.cells.hidden.stdp.strength == 0.1
    for a, b in zip(model.weights, again.weights, strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert again.cells.hidden.memory.numpy().any()


def test_training_tuning_and_test_cells_are_apart():
    parts = _split(np.zeros(103, dtype=int), 0.2, seed=4)
    together = np.concatenate(parts)
    assert sorted(together) == list(range(103))
    assert [len(p) for p in parts] == [82, 10, 11]


def test_perturbation_points_are_order_free_midpoints():
    points = 0.5 * np.random.default_rng(0).uniform(-1, 1, size=(6, 3))
    a = perturbation_points(points, [[0], [1, 2], [3, 4, 5]])
    b = perturbation_points(points, [[0], [2, 1], [5, 3, 4]])
    np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(a[0], points[0], atol=1e-6)
    apart = [float(poincare.dist(a[1].astype(float), points[i], c=1.0)) for i in (1, 2)]
    assert apart[0] == pytest.approx(apart[1], abs=1e-5)
    assert sum(apart) == pytest.approx(float(poincare.dist(points[1], points[2], c=1.0)), abs=1e-5)
    assert (np.linalg.norm(a, axis=1) < 1).all()
