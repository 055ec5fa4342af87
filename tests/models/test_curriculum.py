"""Difficulty, pace and batches of the cell heads' training."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from hyperperturb.data.effects import Effects  # noqa: E402
from hyperperturb.models import curriculum as module  # noqa: E402
from hyperperturb.models.curriculum import (  # noqa: E402
    CellBatches,
    Curriculum,
    HeldOutCells,
    KeepBest,
    difficulty,
)


def effects_of(size, n_cells, targets) -> Effects:
    effect = np.zeros((len(size), 3), dtype=np.float32)
    effect[:, 0] = size
    return Effects(
        tuple(f"P{i}" for i in range(len(size))),
        tuple(tuple(f"G{i}_{k}" for k in range(n)) for i, n in enumerate(targets)),
        ("a", "b", "c"),
        effect,
        np.zeros_like(effect),
        np.array(n_cells),
        "control",
    )


def test_easy_is_strong_often_seen_and_of_few_targets():
    base = {"size": [1.0, 1.0, 1.0], "n_cells": [50, 50, 50], "targets": [1, 1, 1]}
    for change in (
        {"size": [2.0, 1.0, 0.5]},
        {"n_cells": [90, 50, 10]},
        {"targets": [1, 2, 3]},
    ):
        assert difficulty(effects_of(**(base | change))).tolist() == [0.0, 0.5, 1.0]
    assert difficulty(effects_of(**base)).tolist() == [0.5, 0.5, 0.5]
    # The formula: sqrt(2·size²·n)/k
    assert difficulty(effects_of([3.0, 1.0], [4, 49], [1, 1])).tolist() == [1.0, 0.0]
    assert difficulty(effects_of([3.0, 1.0], [4, 49], [1, 2])).tolist() == [0.0, 1.0]
    assert difficulty(effects_of([0.0], [5], [1])).tolist() == [0.0]


def test_the_pace_follows_the_validation_loss():
    pace = Curriculum(np.linspace(0, 1, 8), start=0.25, growth=2.0, patience=2, deadline=20)
    shares = []
    for epoch, loss in enumerate([5, 4, 3, 3, 3, 2, 2, 2.1, 2.2]):
        logs = {"val_loss": loss}
        pace.on_epoch_end(epoch, logs)
        shares.append(logs["curriculum"])
    assert shares == [0.25] * 5 + [0.5] * 3 + [1.0]
    falling = Curriculum(np.linspace(0, 1, 8), deadline=20)
    for epoch in range(10):
        falling.on_epoch_end(epoch, {"val_loss": 10.0 - epoch})
    assert falling.share == 0.25, "no need to go on while it falls"


def test_everything_is_admitted_from_the_deadline_on():
    pace = Curriculum(np.arange(5) / 4, deadline=3)
    for epoch in range(3):
        assert pace.share < 1
        pace.on_epoch_end(epoch, {"val_loss": 10.0 - epoch})
    assert pace.share == 1.0
    assert pace.admitted().all()
    assert Curriculum(np.arange(5), deadline=0).share == 1.0


def test_the_easiest_are_admitted_first_and_stay():
    hard = np.random.default_rng(0).permutation(20) / 19
    pace = Curriculum(hard, start=0.2, growth=1.7, deadline=50)
    before = np.zeros(20, dtype=bool)
    for epoch in range(6):
        mask = pace.admitted()
        assert hard[mask].max() < hard[~mask].min() if (~mask).any() else True
        assert (mask | ~before).all()
        before = mask
        pace.on_epoch_end(epoch, {"val_loss": 1.0})
    assert mask.all()
    assert Curriculum(hard, start=1e-6, deadline=5).admitted().sum() == 1


def test_pace_and_best_weights_go_on_where_they_were():
    losses = [5, 4, 4, 3, 3, 3, 3, 2]
    whole, first = (Curriculum(np.arange(9), deadline=8) for _ in range(2))
    for epoch, loss in enumerate(losses):
        whole.on_epoch_end(epoch, {"val_loss": loss})
        if epoch < 4:
            first.on_epoch_end(epoch, {"val_loss": loss})
    second = Curriculum(np.arange(9), deadline=8)
    second.set_state(first.get_state())
    for epoch, loss in enumerate(losses[4:], start=4):
        second.on_epoch_end(epoch, {"val_loss": loss})
    assert {k: v.tolist() for k, v in second.get_state().items()} == {
        k: v.tolist() for k, v in whole.get_state().items()
    }
    for kept in (None, [np.ones((2, 3)), np.array(4.0)]):
        best, again = KeepBest(), KeepBest()
        best.weights, best.lowest = kept, 3.5 if kept else np.inf
        again.set_state(best.get_state())
        assert again.lowest == best.lowest
        assert (again.weights is None) == (kept is None)
        for a, b in zip(again.weights or (), kept or (), strict=True):
            assert (a == b).all()


def batches(n: int = 50, **options) -> CellBatches:
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return CellBatches(x, {"y": x[:, 0]}, np.arange(3, n), batch_size=16, seed=5, **options)


def rows_of(data: CellBatches) -> np.ndarray:
    return np.concatenate([data[i][1]["y"] for i in range(len(data))]) / 2


def test_batches_are_a_pure_function_of_seed_epoch_and_step():
    one, other = batches(dropout=0.3), batches(dropout=0.3)
    other.set_epoch(7)
    other.set_epoch(1)
    one.set_epoch(1)
    for step in (2, 0, 1):  # in any order
        np.testing.assert_array_equal(one[step][0], other[step][0])
    first = rows_of(one)
    one.set_epoch(2)
    assert (rows_of(one) != first).any()


def test_every_cell_comes_once_and_batches_are_whole(monkeypatch):
    data = batches()
    rows = rows_of(data)
    assert len(data) == 3
    assert all(len(data[i][0]) == 16 for i in range(3))
    assert sorted(rows[:47]) == list(range(3, 50))
    monkeypatch.setattr(module, "replicas", lambda: 3)
    assert len(batches()[0][0]) == 18


def test_dropout_scales_what_it_leaves():
    data = CellBatches(
        np.ones((40, 500), dtype=np.float32),
        {"y": np.zeros(40)},
        np.arange(40),
        batch_size=40,
        seed=0,
        dropout=0.2,
    )
    x = data[0][0]
    assert x.dtype == np.float32
    assert set(np.unique(x)) == {0.0, np.float32(1.25)}
    assert (x == 0).mean() == pytest.approx(0.2, abs=0.01)
    data.set_epoch(1)
    assert (data[0][0] != x).any()


def test_a_stage_trains_on_its_perturbations_with_the_same_number_of_steps():
    label = np.arange(50) % 5
    pace = Curriculum(np.array([4, 3, 2, 1, 0]), start=0.4, deadline=9)
    data = batches(label=label, curriculum=pace)
    rows = rows_of(data).astype(int)
    assert len(rows) == 48
    assert set(label[rows]) == {3, 4}
    assert np.bincount(rows).max() - np.bincount(rows)[np.unique(rows)].min() <= 1, "each as often"
    pace.on_epoch_end(8, {"val_loss": 1.0})
    assert set(label[rows_of(data).astype(int)]) == {3, 4}, "not before the next epoch"
    data.set_epoch(9)
    assert set(label[rows_of(data).astype(int)]) == set(range(5))


@pytest.mark.parametrize(("n", "replicas"), [(10, 1), (11, 4), (1, 2)])
def test_the_held_out_loss_is_the_mean_over_cells(monkeypatch, n, replicas):
    monkeypatch.setattr(module, "replicas", lambda: replicas)
    rng = np.random.default_rng(0)
    x, rows = rng.normal(size=(30, 2)).astype(np.float32), rng.permutation(30)[:n]
    data = HeldOutCells(x, {"y": x[:, 0]}, rows, batch_size=4)
    assert len({len(part[0]) for part in data.parts}) == 1
    assert len(data[0][0]) % replicas == 0
    means = [np.mean(part[2]["y"] * part[0][:, 1] ** 2) for part in data.parts]
    assert np.mean(means) == pytest.approx(np.mean(x[rows, 1] ** 2), rel=1e-6)
