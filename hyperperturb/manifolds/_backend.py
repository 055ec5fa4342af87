"""One formula for NumPy and Keras: the operations are taken from the arrays that a function is given.

``keras.ops`` carries NumPy's names, so a formula written as ``ops.sum(ops.square(x), axis=-1)`` runs on
both. Keras is imported only when an argument belongs to it (a Keras variable, a symbolic tensor, or a
tensor of one of its backends).
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np

_KERAS_FAMILY = frozenset({"keras", "tensorflow", "jax", "jaxlib", "torch"})


@lru_cache(maxsize=256)
def _belongs_to_keras(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] in _KERAS_FAMILY for base in kind.__mro__)


def ops_of(*arrays: Any) -> Any:
    """Return the namespace of operations that fits the arrays.

    Parameters
    ----------
    arrays
        Arrays, tensors, numbers or None.

    Returns
    -------
    module
        ``keras.ops`` if any argument is a Keras variable or a tensor of a Keras backend, ``numpy`` otherwise.

    Examples
    --------
    >>> ops_of([1.0, 2.0], 3.0).__name__
    'numpy'
    """
    for array in arrays:
        if _belongs_to_keras(type(array)):
            from keras import ops

            return ops if not _jax_with_float64(*arrays) else _JaxOps()
    return np


class _JaxOps:
    """``keras.ops`` on JAX with float64: by the promotion rules of Keras most of its operations give float32 there."""

    _OF_KERAS = frozenset(
        {
            "cast",
            "cholesky",
            "convert_to_numpy",
            "convert_to_tensor",
            "fori_loop",
            "solve_triangular",
            "stop_gradient",
        }
    )

    def __getattr__(self, name: str) -> Any:
        from keras import ops

        return getattr(ops if name in self._OF_KERAS else sys.modules["jax"].numpy, name)


def _jax_with_float64(*arrays: Any) -> bool:
    import keras

    if keras.backend.backend() != "jax" or not _keras_has_float64():
        return False
    return not any(isinstance(array, keras.KerasTensor) for array in arrays)


def dtype_of(x: Any) -> str:
    """Return the name of the dtype of an array or tensor, such as ``"float32"``."""
    dtype = x.dtype
    if isinstance(dtype, np.dtype):
        return dtype.name
    import keras

    return keras.backend.standardize_dtype(dtype)


def prepare(*arrays: Any, c: Any = None) -> tuple[Any, ...]:
    """Bring arguments to one library and one floating dtype of at least 32 bits.

    Tensors decide: a NumPy array or a number beside a float32 tensor becomes float32. Half precision is
    raised to float32, integers become the default float. The curvature follows the dtype of the arrays and
    never sets it.

    Parameters
    ----------
    arrays
        Points and vectors, any shapes.
    c
        Curvature magnitude, a number or array; passed through the same conversion.

    Returns
    -------
    tuple
        ``(ops, *arrays, c)``.

    Examples
    --------
    >>> ops, x, c = prepare(np.zeros(2, "float32"), c=1.0)
    >>> x.dtype.name, c.dtype.name
    ('float32', 'float32')
    """
    ops = ops_of(*arrays, c)
    if ops is np:
        arrays = tuple(np.asarray(a) for a in arrays)
        # Python numbers (0-d) adapt to the arrays beside them, as they do in an expression.
        kinds = [a.dtype for a in arrays if a.ndim] or [a.dtype for a in arrays]
        dtype = np.result_type(*kinds)
        if dtype.kind != "f":
            dtype = np.dtype("float64")
        elif dtype.itemsize < 4:
            dtype = np.dtype("float32")
        return (ops, *(a.astype(dtype, copy=False) for a in arrays), np.asarray(c, dtype=dtype))

    import keras

    names = {dtype_of(a) for a in arrays if _belongs_to_keras(type(a))}
    if not names:  # NumPy points beside a curvature that is a variable
        names = {np.asarray(a).dtype.name for a in arrays}
    if "float64" in names:
        dtype = "float64"
    elif names & {"float32", "float16", "bfloat16"}:
        dtype = "float32"
    else:
        dtype = keras.backend.floatx()

    def convert(a: Any) -> Any:
        if _belongs_to_keras(type(a)):
            tensor = as_tensor(a)
            return tensor if dtype_of(tensor) == dtype else ops.cast(tensor, dtype)
        return ops.convert_to_tensor(a, dtype=dtype)

    return (ops, *(convert(a) for a in arrays), convert(c))


def as_tensor(x: Any) -> Any:
    """Return the present value of a Keras variable or of a TensorFlow one, and any other tensor as it is."""
    import keras

    if isinstance(x, keras.Variable):
        x = x.value
    # Keras counts a raw tf.Variable among the tensors, but not all of its operations take one.
    return x.read_value() if hasattr(x, "read_value") else x


def to_numpy(x: Any) -> np.ndarray:
    """Return an array or tensor as a NumPy array."""
    ops = ops_of(x)
    return np.asarray(x) if ops is np else ops.convert_to_numpy(as_tensor(x))


@lru_cache(maxsize=1)
def _keras_has_float64() -> bool:
    import keras

    if keras.backend.backend() != "jax":
        return True
    return bool(sys.modules["jax"].config.read("jax_enable_x64"))


def wide(ops: Any, x: Any) -> Any:
    """Cast to float64 where the library has it.

    Only for the few sums that cancel (``1 - c|x|²`` near the rim, Gram matrices). JAX without
    ``jax_enable_x64`` has no float64: there the array stays as it is and those sums carry float32 rounding.
    """
    if ops is np:
        return x.astype(np.float64, copy=False)
    return ops.cast(x, "float64") if _keras_has_float64() else x


def narrow(ops: Any, x: Any, like: Any) -> Any:
    """Cast back to the dtype of ``like``."""
    if ops is np:
        return x.astype(like.dtype, copy=False)
    return ops.cast(x, dtype_of(like))


def stop_gradient(ops: Any, x: Any) -> Any:
    """Return ``x`` as a constant for differentiation; NumPy arrays are constants already."""
    return x if ops is np else ops.stop_gradient(x)


def solve_positive(ops: Any, a: Any, b: Any) -> Any:
    """Return the solutions of symmetric positive definite systems, ``(..., d, d)`` and ``(..., d)``."""
    if ops is np:
        return np.linalg.solve(a, b[..., None])[..., 0]
    factor = ops.cholesky(a)
    half = ops.solve_triangular(factor, b[..., None], lower=True)
    return ops.solve_triangular(ops.swapaxes(factor, -1, -2), half, lower=False)[..., 0]
