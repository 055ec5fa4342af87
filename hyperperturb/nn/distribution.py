"""How many devices share a training step, and how a step's data and loss are divided among them.

Models are made and compiled inside a strategy's scope without knowing it. Two things they do have to know: an element
of the data holds the *global* batch, whose length divides by :func:`replicas`, and a loss that is computed by hand
is this replica's :func:`share` of the global mean, because the gradients of all replicas are added up.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from functools import lru_cache
from typing import Any, Literal

import keras
import numpy as np

from hyperperturb import machine
from hyperperturb.errors import HyperPerturbError
from hyperperturb.machine import CPU_DEVICES
from hyperperturb.nn.cluster import Cluster

Strategy = Literal["auto", "default", "mirrored", "multiworker"]


def replicas() -> int:
    """How many devices share each training step.

    Returns
    -------
    int
        1 outside a strategy's scope, and on every backend but TensorFlow.

    Examples
    --------
    >>> replicas()
    1
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def share(loss: Any) -> Any:
    """Return a replica's share of the loss, given the mean over the replica's own part of the batch.

    Keras scales the losses it is given in ``compile`` itself; a ``compute_loss`` written by hand must return
    ``share(loss)``, because the optimizer adds the gradients of all replicas. ``train_step`` reports the loss
    unscaled again; metrics updated by hand are given the unscaled loss.

    Parameters
    ----------
    loss
        A scalar tensor.

    Returns
    -------
    tensor
        ``loss / replicas()``.

    Examples
    --------
    >>> share(3.0)
    3.0
    """
    n = replicas()
    return loss if n == 1 else loss / n


def make_strategy(name: Strategy, *, wait: float = 300.0) -> Any:
    """Make a ``tf.distribute`` strategy; the first thing a process does with TensorFlow.

    Parameters
    ----------
    name
        ``default``: one device. ``mirrored``: every GPU of this machine (where there is none, the CPU, divided into
        as many devices as the environment variable ``HYPERPERTURB_CPU_DEVICES`` says). ``multiworker``: the machines
        that ``TF_CONFIG`` names. ``auto``: mirrored where there is more than one GPU, else default.
    wait
        Seconds that the other workers have to come up.

    Returns
    -------
    tf.distribute.Strategy or None
        None for one device.

    Raises
    ------
    HyperPerturbError
        On another backend; when TF_CONFIG does not describe a cluster, or the other workers do not come.
    """
    if name == "default" or (name == "auto" and keras.backend.backend() != "tensorflow"):
        return None
    if keras.backend.backend() != "tensorflow":
        raise HyperPerturbError(
            f"The strategy {name} needs Keras on TensorFlow, not on {keras.backend.backend()}.",
            hint="Set KERAS_BACKEND=tensorflow.",
        )
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if name == "multiworker":
        return _multi_worker(Cluster.from_environment(), wait)
    if name == "auto" and len(gpus) < 2:
        return None
    return _mirrored(() if gpus else tuple(_cpus(int(os.environ.get(CPU_DEVICES, "1")))))


@lru_cache(maxsize=1)
def _mirrored(devices: tuple[str, ...]) -> Any:
    """Make the strategy once a process: sums over devices of two strategies get the same numbers and are mixed up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices) or None)


def _cpus(n: int) -> list[str]:
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    if n > 1 and len(tf.config.get_logical_device_configuration(cpu) or ()) != n:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * n)
    return [f"CPU:{i}" for i in range(n)]


def _multi_worker(cluster: Cluster, wait: float) -> Any:
    """Make the strategy in a thread: it blocks in compiled code until all workers are there, deaf to Ctrl-C."""
    import tensorflow as tf

    kinds = tf.distribute.experimental.CommunicationImplementation
    gpus = bool(tf.config.list_physical_devices("GPU"))
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.AUTO if gpus else kinds.RING
    )
    made: list[Any] = []

    def make() -> None:
        try:
            made.append(tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
        except Exception as error:  # noqa: BLE001  handed to the thread that waits
            made.append(error)

    thread = threading.Thread(target=make, name="waiting for the workers", daemon=True)
    thread.start()
    deadline = time.monotonic() + wait
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.2)
    if not made:
        others = ", ".join(cluster.name(i) for i in range(len(cluster.addresses)) if i != cluster.index)
        raise HyperPerturbError(
            f"Not all workers came within {wait:.0f} s; this one waited for {others}.",
            hint="Start the same command on each, with its own index in TF_CONFIG, and see that the ports are open.",
        )
    if isinstance(made[0], Exception):
        raise HyperPerturbError(
            f"The workers cannot work together ({_first_line(made[0])}).",
            hint=f"Is the port of {cluster.addresses[cluster.index]} free?",
        ) from made[0]
    return made[0]


def describe(strategy: Any) -> str:
    """Say what trains, as people name it: the devices and, where there are several, how the work is divided.

    Parameters
    ----------
    strategy
        What :func:`make_strategy` gave.
    """
    if keras.backend.backend() != "tensorflow":
        return f"Keras on {keras.backend.backend()}"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    n = 1 if strategy is None else int(strategy.num_replicas_in_sync)
    kind = machine.cpu()
    if gpus:
        kind = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return f"{n} devices of {len(Cluster.from_environment().addresses)} workers ({kind})"
    return machine.in_words(n, kind, gpu=bool(gpus))


def scope(strategy: Any) -> contextlib.AbstractContextManager:
    """Return the scope in which models are made and trained; nothing for None."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def cluster_in_scope() -> Cluster | None:
    """Return the workers that train together here, or None outside a scope of several workers."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return None
    return Cluster.from_environment()


def local_part(element: Any) -> Any:
    """Return what this worker's replicas take of a global batch: equal parts along axis 0, in the replicas' order.

    Parameters
    ----------
    element
        A structure of arrays whose lengths divide by the number of replicas.

    Raises
    ------
    ValueError
        When a length does not divide.
    """
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    n = strategy.num_replicas_in_sync

    def divide(array: Any) -> Any:
        array = np.asarray(array)
        if array.shape[0] % n:
            raise ValueError(
                f"A step's data must divide by the number of replicas ({n}). Received: shape={array.shape}"
            )
        size = array.shape[0] // n
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.convert_to_tensor(array[size * context.replica_id_in_sync_group :][:size])
        )

    return keras.tree.map_structure(divide, element)


def gather_bytes(mine: bytes) -> list[bytes]:
    """Return what every worker gave, in their order; all of them must call this at the same point.

    Parameters
    ----------
    mine
        This worker's bytes, equally many on every worker.
    """
    cluster = Cluster.from_environment()
    table = np.zeros((len(cluster.addresses), -(-len(mine) // 4)), dtype=np.int32)
    table[cluster.index] = _words(mine)
    return [row.tobytes()[: len(mine)] for row in _sum_over_workers(table)]


def from_chief(mine: bytes) -> bytes:
    """Return the chief's bytes on every worker; all of them must call this at the same point.

    Parameters
    ----------
    mine
        What the chief gives; what the others give does not count.
    """
    chief = Cluster.from_environment().chief
    length = _sum_over_workers(np.array([len(mine) if chief else 0], dtype=np.int32))[0]
    words = _words(mine) if chief else np.zeros(-(-length // 4), dtype=np.int32)
    return _sum_over_workers(words).tobytes()[:length] if length else b""


def _words(data: bytes) -> np.ndarray:
    return np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), dtype=np.int32)


def _sum_over_workers(values: np.ndarray) -> np.ndarray:
    """Add up integers: where only one worker gives other than zero, this hands on its bits."""
    import tensorflow as tf

    strategy, cluster = tf.distribute.get_strategy(), Cluster.from_environment()
    first = cluster.index * (strategy.num_replicas_in_sync // len(cluster.addresses))

    @tf.function
    def total(values: tf.Tensor) -> Any:
        def add(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # the other devices of a worker give nothing, or its values would be counted several times
            own = tf.cast(tf.equal(context.replica_id_in_sync_group, first), values.dtype)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values * own)

        return strategy.run(add, args=(values,))

    return strategy.experimental_local_results(total(tf.constant(values)))[0].numpy()


def lost_worker(error: Exception, cluster: Cluster, epochs: int) -> HyperPerturbError:
    """Turn what TensorFlow reports when a worker is gone into a sentence that names the worker.

    Parameters
    ----------
    error
        The error of a collective operation.
    cluster
        The workers.
    epochs
        Whole epochs that are kept.
    """
    named = [
        (job, int(number))
        for job, number in re.findall(r"/job:(\w+)(?:/replica:\d+)?/task:(\d+)", str(error))
    ]
    others = [
        cluster.tasks.index(t)
        for t in named
        if t in cluster.tasks and cluster.tasks.index(t) != cluster.index
    ]
    who = cluster.name(others[0]).capitalize() if others else "Another worker"
    return HyperPerturbError(
        f"{who} does not answer any more; the training stopped after {epochs} whole epochs of this part.",
        hint="Start all workers again, the first of them with --resume: the run goes on from there.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
