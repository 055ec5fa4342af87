"""How many devices share a training step, and how a step's data and loss are divided among them.

Models are made and compiled inside a strategy's scope without knowing it. Two things they do have to know: an element
of the data holds the *global* batch, whose length divides by :func:`replicas`, and a loss that is computed by hand
is this replica's :func:`share` of the global mean, because the gradients of all replicas are added up.
"""

from __future__ import annotations

from typing import Any

import keras


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
