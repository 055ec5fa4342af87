"""``fit`` on one device: an interruption at any epoch leaves no trace, and foreign checkpoints are refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.nn import HyperbolicEmbedding, QuantumAnnealing, RiemannianAdam
from hyperperturb.nn.cluster import Cluster
from hyperperturb.nn.fitting import fit

EPOCHS = 4


class Numbers(keras.utils.PyDataset):
    """Items and what is to be said of them: a function of (epoch, step)."""

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.epoch = seed, None

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 5

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        items = np.random.default_rng((self.seed, self.epoch or 0, step)).integers(0, 30, size=8)
        return items.astype(np.int32), np.sin(items, dtype=np.float32)[:, None]


class Best(keras.callbacks.Callback):
    """Remembers the lowest loss, as long as it is told what it knew; may stop the training."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.stop_at = stop_at

    def on_train_begin(self, logs=None) -> None:
        self.lowest = np.inf

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.lowest = min(self.lowest, logs["val_loss"])
        logs["lowest"] = self.lowest
        self.model.stop_training = epoch == self.stop_at

    def get_state(self) -> dict[str, np.ndarray]:
        return {"lowest": np.array(self.lowest)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.lowest = float(state["lowest"])


class StopAt(keras.callbacks.Callback):
    """Interrupts the training in an epoch or at its end."""

    def __init__(self, epoch: int, step: int | None) -> None:
        super().__init__()
        self.at, self.now = (epoch, step), None

    def on_epoch_begin(self, epoch, logs=None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None) -> None:
        if (self.now, batch) == self.at:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None) -> None:
        if (epoch, None) == self.at:
            raise KeyboardInterrupt


def make() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            HyperbolicEmbedding(30, 4),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(6, "tanh"),
            keras.layers.GaussianNoise(0.1, seed=2),
            keras.layers.Dense(1),
        ]
    )
    model.build((8,))
    schedule = keras.optimizers.schedules.CosineDecay(0.05, EPOCHS * 5)
    optimizer = RiemannianAdam(schedule, amsgrad=True, annealing=QuantumAnnealing(0.2, 12))
    model.compile(optimizer, loss="mse", metrics=["mae"], jit_compile=False)
    return model


def make_small(width: int = 6) -> keras.Model:
    """A model whose step takes no time to trace."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.layers.Embedding(30, width), keras.layers.Dropout(0.3, seed=1), keras.layers.Dense(1)]
    )
    model.build((8,))
    model.compile("adam", loss="mse", jit_compile=False)
    return model


def train(model: keras.Model, *callbacks: keras.callbacks.Callback, data=None, best=None, **options):
    best = best or Best()
    data = data or Numbers()
    return fit(
        model,
        data,
        epochs=EPOCHS,
        validation_data=Numbers(seed=1),
        callbacks=[best, *callbacks],
        **options,
    )


def state(model: keras.Model) -> list[bytes]:
    return [v.numpy().tobytes() for v in [*model.variables, *model.optimizer.variables]]


@pytest.fixture(scope="module")
def whole() -> tuple[list[bytes], dict]:
    model = make()
    history = train(model)
    assert history.epoch == list(range(EPOCHS))
    assert set(history.history) == {"loss", "mae", "val_loss", "val_mae", "lowest"}
    assert history.history["loss"][-1] < history.history["loss"][0]
    return state(model), history.history


def test_interruptions_leave_no_trace(whole, tmp_path):
    checkpoint = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        train(make(), StopAt(1, 2), checkpoint=checkpoint)
    with pytest.raises(KeyboardInterrupt):
        train(make(), StopAt(2, None), checkpoint=checkpoint)
    model = make()
    history = train(model, checkpoint=checkpoint)
    assert state(model) == whole[0]
    assert history.history == whole[1]
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize("at", [(0, 3), (0, None), (1, 4), (2, 0), (3, None)])
def test_an_interruption_at_any_moment(tmp_path, at):
    expected = make_small()
    history = train(expected).history
    checkpoint = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        train(make_small(), StopAt(*at), checkpoint=checkpoint)
    # an interruption before the epoch's state is written costs that epoch
    assert checkpoint.exists() == (at[0] > 0)
    model = make_small()
    assert train(model, checkpoint=checkpoint).history == history
    assert state(model) == state(expected)


def test_a_finished_training_is_not_repeated(tmp_path):
    checkpoint = tmp_path / "state.npz"
    one, two = make_small(), make_small()
    history = train(one, checkpoint=checkpoint).history
    assert train(two, StopAt(0, None), checkpoint=checkpoint).history == history
    assert state(one) == state(two)


def test_more_epochs_go_on_from_a_finished_training(tmp_path):
    checkpoint = tmp_path / "state.npz"
    model = make_small()
    fit(model, Numbers(), epochs=2, checkpoint=checkpoint)
    history = fit(make_small(), Numbers(), epochs=3, checkpoint=checkpoint)
    assert history.epoch == [0, 1, 2]


def test_a_training_that_a_callback_stopped_stays_stopped(tmp_path):
    checkpoint = tmp_path / "state.npz"
    history = train(make_small(), best=Best(stop_at=1), checkpoint=checkpoint)
    assert history.epoch == [0, 1]
    again = train(make_small(), best=Best(stop_at=1), checkpoint=checkpoint)
    assert again.history == history.history


def test_the_data_are_told_the_epoch_and_an_unbuilt_model_is_built():
    seen = []

    class Watched(Numbers):
        def set_epoch(self, epoch):
            seen.append(epoch)
            super().set_epoch(epoch)

    model = keras.Sequential([keras.layers.Embedding(30, 4), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", jit_compile=False)
    fit(model, Watched(), epochs=3)
    assert seen == [0, 1, 2]


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    checkpoint = tmp_path / "state.npz"
    train(make_small(), checkpoint=checkpoint)
    with pytest.raises(HyperPerturbError, match="belongs to a model of another shape"):
        train(make_small(width=7), checkpoint=checkpoint)
    with pytest.raises(HyperPerturbError, match="was made with other data"):
        train(make_small(), data=Numbers(seed=5), checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(HyperPerturbError, match="is damaged"):
        train(make_small(), checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "TF_CONFIG is not set"),
        ("{", "does not describe a cluster"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "does not describe a cluster"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "does not describe a cluster",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "one worker only"),
    ],
)
def test_a_cluster_that_is_none_is_refused(monkeypatch, text, says):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(HyperPerturbError, match=says):
        Cluster.from_environment()


def test_the_chief_comes_first(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG",
        '{"cluster": {"worker": ["w:1"], "chief": ["c:1"]}, "task": {"type": "worker", "index": 0}}',
    )
    cluster = Cluster.from_environment()
    assert not cluster.chief
    assert cluster.addresses == ("c:1", "w:1")
