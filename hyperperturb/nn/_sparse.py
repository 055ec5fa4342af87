"""Gradients of embedding tables on the TensorFlow backend.

Everything has static shapes, so that it compiles under XLA, where ``tf.unique`` does not.
"""

from __future__ import annotations

from typing import Any

import keras


def is_sparse(gradient: Any) -> bool:
    """Tell whether a gradient is a ``tf.IndexedSlices``."""
    kind = type(gradient)
    return kind.__name__ == "IndexedSlices" and kind.__module__.startswith("tensorflow")


def sum_duplicates(gradient: Any) -> tuple[Any, Any]:
    """Return row indices, sorted, and for each the sum of all gradients of that row.

    A row that occurs several times stays several times, each with the whole sum: all its copies then
    compute and write the same update, which needs no shape that depends on the data.

    Parameters
    ----------
    gradient
        ``tf.IndexedSlices`` with ``n`` slices.

    Returns
    -------
    tuple
        Indices ``(n,)`` and values ``(n, ...)``.
    """
    import tensorflow as tf

    order = tf.argsort(gradient.indices, stable=True)
    rows = tf.gather(gradient.indices, order)
    new = tf.cast(rows[1:] != rows[:-1], tf.int32)
    segments = tf.concat([tf.zeros_like(rows[:1], tf.int32), tf.cumsum(new)], axis=0)
    total = tf.math.unsorted_segment_sum(tf.gather(gradient.values, order), segments, tf.shape(rows)[0])
    return rows, tf.gather(total, segments)


def _native(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable


def gather(variable: Any, rows: Any) -> Any:
    """Return the rows of a variable."""
    import tensorflow as tf

    return tf.gather(_native(variable), rows)


def scatter(variable: Any, rows: Any, values: Any) -> None:
    """Write rows of a variable; repeated rows must carry equal values."""
    import tensorflow as tf

    native = _native(variable)
    native.scatter_update(tf.IndexedSlices(tf.cast(values, native.dtype), rows))
