"""``fit`` with exact resume: an interrupted training goes on as if nothing had happened, to the last bit.

What a training step does depends on nothing but the variables and (seed, epoch, step): the data are a pure function of
those, dropout draws from seed generators whose state is among the variables, and noise is drawn statelessly from
(seed, iteration). So the variables of model and optimizer at an epoch's end, with the callbacks' own memory, are all
there is to keep. They are written in one file that is replaced by one rename.

``keras.callbacks.BackupAndRestore`` does not do this: it forgets seed generators, metrics' history and the other
callbacks' state.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.nn import distribution
from hyperperturb.nn.cluster import Cluster

_FORMAT = 1


def fit(
    model: keras.Model,
    data: keras.utils.PyDataset,
    *,
    epochs: int,
    validation_data: keras.utils.PyDataset | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: str | Path | None = None,
) -> keras.callbacks.History:
    """Train a model epoch by epoch; go on where an interrupted training of the same kind stopped.

    Parameters
    ----------
    model
        Compiled. Its layers draw random numbers only from seeded generators.
    data
        What an epoch trains on, a pure function of its seed, the epoch and the step: ``set_epoch(epoch)`` is called
        before each epoch (counted from 0).
    epochs
        Number of epochs in all, those before an interruption included.
    validation_data
        What an epoch is judged on; ``set_epoch`` is called on it too, where it has one.
    callbacks
        Keras callbacks, called in their order. One that remembers something across epochs has ``get_state() ->
        dict[str, np.ndarray]`` and ``set_state(state)``; the latter is called after ``on_train_begin``. A callback's
        ``on_epoch_end`` may be called again for the epoch in which the training was interrupted.
    checkpoint
        File that holds the state at the end of the last whole epoch, replaced atomically; nothing is kept when None.
        When it exists, training goes on from it.

    Returns
    -------
    keras.callbacks.History
        Of all epochs, those before an interruption included.

    Raises
    ------
    HyperPerturbError
        When the checkpoint is damaged or belongs to another model or other data; when another worker is gone, or was
        told something else.

    Notes
    -----
    On one device and under ``MirroredStrategy`` this is ``model.fit``. Under ``MultiWorkerMirroredStrategy`` it is a
    loop of ``strategy.run`` over ``model.train_step`` with the same logs and the same callbacks; only the first
    worker reads and writes the checkpoint.
    """
    if not model.built:
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, data[0][0]))
    model.optimizer.build(model.trainable_variables)
    if distribution.replicas() > 1:
        # XLA does not compile the sums over devices, and Keras' loop of several steps fails on their data
        model.jit_compile, model.steps_per_execution = False, 1
    cluster = distribution.cluster_in_scope()
    keeper = _Keeper(model, data, callbacks, None if checkpoint is None else Path(checkpoint))
    together = [_SetEpoch(data, validation_data), *callbacks, keeper]
    if cluster is None:
        keeper.load()
        model.fit(
            data,
            validation_data=validation_data,
            epochs=keeper.last if keeper.stopped else epochs,
            initial_epoch=keeper.last,
            shuffle=False,  # Keras would shuffle the steps of an epoch with a generator nobody seeds
            verbose=0,
            callbacks=together,
        )
    else:
        import tensorflow as tf

        try:
            keeper.load(cluster)
            _check_equal(model, keeper, cluster, epochs)
            _fit_with_others(model, data, validation_data, epochs, keeper, together)
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.FailedPreconditionError,
        ) as error:
            raise distribution.lost_worker(error, cluster, keeper.last) from error
    history = model.history
    history.epoch = list(range(keeper.last))
    history.history = {name: [row.get(name) for row in keeper.rows] for name in _names(keeper.rows)}
    return history


def _fit_with_others(
    model: keras.Model,
    data: keras.utils.PyDataset,
    validation_data: keras.utils.PyDataset | None,
    epochs: int,
    keeper: _Keeper,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Do what ``model.fit`` does, with several workers in lockstep, where Keras 3.15's own fit fails.

    Every worker makes the whole batch and takes its part, so no data travel; only gradients and metrics do.
    """
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()

    def stepping(step: Any) -> Any:
        def once(element: Any) -> None:
            step(element)  # what it returns is this replica's; the epoch's figures are read from the metrics

        return tf.function(lambda element: strategy.run(once, args=(element,)), reduce_retracing=True)

    train, test = stepping(model.train_step), stepping(model.test_step)
    container = keras.callbacks.CallbackList(
        callbacks, add_history=True, model=model, epochs=epochs, steps=len(data), verbose=0
    )
    model.stop_training = keeper.stopped
    container.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(keeper.last, epochs):
        if model.stop_training:
            break
        model.reset_metrics()
        container.on_epoch_begin(epoch)
        for i in range(len(data)):
            container.on_train_batch_begin(i)
            train(distribution.local_part(_as_tuple(data[i])))
            container.on_train_batch_end(i)
        logs = _metrics(model)
        if validation_data is not None:
            model.reset_metrics()
            container.on_test_begin()
            for i in range(len(validation_data)):
                container.on_test_batch_begin(i)
                test(distribution.local_part(_as_tuple(validation_data[i])))
                container.on_test_batch_end(i)
            judged = _metrics(model)
            container.on_test_end(judged)
            logs |= {f"val_{name}": value for name, value in judged.items()}
        container.on_epoch_end(epoch, logs)
    model.optimizer.finalize_variable_values(model.trainable_weights)
    container.on_train_end(logs)


def _as_tuple(element: Any) -> tuple:
    return element if isinstance(element, tuple) else (element,)


def _metrics(model: keras.Model) -> dict[str, float]:
    """Read the metrics of all replicas together: outside a replica, reading sums their variables up."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _check_equal(model: keras.Model, keeper: _Keeper, cluster: Cluster, epochs: int) -> None:
    """Refuse to train with workers that were told something else, which would quietly go apart.

    Raises
    ------
    HyperPerturbError
        Naming the worker that differs from the chief.
    """
    digest = hashlib.blake2b(digest_size=16)
    told = {"optimizer": model.optimizer.get_config(), "epochs": epochs, "last": keeper.last}
    digest.update(json.dumps(told, sort_keys=True, default=str).encode())
    keeper.data.set_epoch(0)
    digest.update(_fingerprint(keeper.data[0]).encode())
    digest.update(_fingerprint([v.numpy() for v in model.variables]).encode())
    gathered = distribution.gather_bytes(digest.digest())
    for index, theirs in enumerate(gathered):
        if theirs != gathered[0]:
            raise HyperPerturbError(
                f"{cluster.name(index).capitalize()} has other data or settings than {cluster.name(0)}.",
                hint="Start the same command with the same files and the same versions on every worker.",
            )


def _names(rows: list[dict[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


class _SetEpoch(keras.callbacks.Callback):
    """Tells the data which epoch begins."""

    def __init__(self, *data: Any) -> None:
        super().__init__()
        self.data = [d for d in data if hasattr(d, "set_epoch")]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for data in self.data:
            data.set_epoch(epoch)


class _Keeper(keras.callbacks.Callback):
    """Keeps the state at each epoch's end and puts it back; the last of the callbacks.

    The state is put back in ``on_train_begin``, after that of the other callbacks, which is where they forget.
    """

    def __init__(
        self,
        model: keras.Model,
        data: keras.utils.PyDataset,
        callbacks: Sequence[keras.callbacks.Callback],
        path: Path | None,
    ) -> None:
        super().__init__()
        self.subject, self.data, self.path = model, data, path
        self.keeping = [c for c in callbacks if hasattr(c, "get_state")]
        self.state: State | None = None
        self.rows: list[dict[str, float]] = []
        self.stopped = False

    @property
    def last(self) -> int:
        """Number of whole epochs so far."""
        return len(self.rows)

    def load(self, cluster: Cluster | None = None) -> None:
        """Read the checkpoint, where there is one; with several workers, all of them read the chief's."""
        if self.path is None:
            return
        self.data.set_epoch(0)
        self.fingerprint = _fingerprint(self.data[0])
        chief = cluster is None or cluster.chief
        content = self.path.read_bytes() if chief and self.path.exists() else b""
        if cluster is not None:
            content = distribution.from_chief(content)
            self.path = self.path if chief else None
        if content:
            self.state = State.parse(content, str(self.path or "the chief's"))
            self.state.check(self._variables(), self.fingerprint, len(self.keeping), str(self.path))
            self.rows, self.stopped = list(self.state.rows), self.state.stopped

    def _variables(self) -> list[keras.Variable]:
        return [*self.subject.variables, *self.subject.optimizer.variables]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self.state is None:
            return
        for variable, value in zip(self._variables(), self.state.variables, strict=True):
            variable.assign(value)
        for callback, state in zip(self.keeping, self.state.callbacks, strict=True):
            callback.set_state(state)
        self.state = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.rows.append({name: float(value) for name, value in (logs or {}).items()})
        if self.path is not None:
            State(
                variables=[variable.numpy() for variable in self._variables()],
                callbacks=[callback.get_state() for callback in self.keeping],
                rows=self.rows,
                stopped=bool(self.subject.stop_training),
                fingerprint=self.fingerprint,
            ).write(self.path)


@dataclass
class State:
    """What a checkpoint holds."""

    variables: list[np.ndarray]
    callbacks: list[dict[str, np.ndarray]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False
    fingerprint: str = ""

    def write(self, path: Path) -> None:
        """Replace the file by one rename, so that at every moment it holds one whole epoch."""
        about = {
            "format": _FORMAT,
            "rows": self.rows,
            "stopped": self.stopped,
            "fingerprint": self.fingerprint,
            "callbacks": [list(state) for state in self.callbacks],
        }
        arrays = {f"variable-{i}": value for i, value in enumerate(self.variables)}
        for i, state in enumerate(self.callbacks):
            arrays |= {f"callback-{i}-{name}": np.asarray(value) for name, value in state.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def parse(cls, content: bytes, name: str) -> State:
        """Read a checkpoint.

        Raises
        ------
        HyperPerturbError
            When it is damaged or of another version.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                if about["format"] != _FORMAT:
                    raise ValueError(f"format {about['format']}")
                count = sum(name.startswith("variable-") for name in file.files)
                return cls(
                    variables=[file[f"variable-{i}"] for i in range(count)],
                    callbacks=[
                        {name: file[f"callback-{i}-{name}"] for name in names}
                        for i, names in enumerate(about["callbacks"])
                    ],
                    rows=about["rows"],
                    stopped=about["stopped"],
                    fingerprint=about["fingerprint"],
                )
        except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise HyperPerturbError(
                f"The checkpoint '{name}' is damaged or of another version ({error}).",
                hint="Remove it to start this part of the training from its beginning.",
            ) from error

    def check(self, variables: list[keras.Variable], fingerprint: str, keeping: int, name: str) -> None:
        """Refuse to go on with another model or other data.

        Raises
        ------
        HyperPerturbError
            When the checkpoint belongs to something else.
        """
        mine = [(tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in variables]
        theirs = [(value.shape, str(value.dtype)) for value in self.variables]
        hint = "Remove it to start this part of the training from its beginning."
        if mine != theirs or keeping != len(self.callbacks):
            raise HyperPerturbError(
                f"The checkpoint '{name}' belongs to a model of another shape.", hint=hint
            )
        if fingerprint != self.fingerprint:
            raise HyperPerturbError(f"The checkpoint '{name}' was made with other data.", hint=hint)


def _fingerprint(element: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in keras.tree.flatten(element):
        array = np.ascontiguousarray(array)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
