"""Random numbers that are a function of their address: no generator, no state, nothing to save.

A number depends on (seed, stream, step, element) alone. So a resumed run draws what the uninterrupted one
would have drawn, every replica of a distributed variable draws the same, a row draws the same whichever
other rows are in its batch, and TensorFlow, XLA and JAX agree.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def _word(value: Any) -> Any:
    if isinstance(value, int):
        return ops.convert_to_tensor(value & 0xFFFFFFFF, dtype="uint32")
    return ops.cast(value, "uint32")


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return two words of 32 random bits for each counter: Threefry-2x32 with 20 rounds.

    Parameters
    ----------
    key, counter
        Pairs of integers or integer tensors that broadcast; taken modulo 2³².

    Returns
    -------
    tuple
        Two uint32 tensors.

    References
    ----------
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.

    Examples
    --------
    >>> [hex(int(word)) for word in threefry((0, 0), (0, 0))]
    ['0x6b200159', '0x99ba4efe']
    """
    first, second = (_word(k) for k in key)
    keys = (first, second, ops.bitwise_xor(ops.bitwise_xor(first, second), _word(_PARITY)))
    a, b = (_word(value) + k for value, k in zip(counter, keys[:2], strict=True))
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            a = a + b
            rotated = ops.bitwise_or(ops.left_shift(b, _word(turn)), ops.right_shift(b, _word(32 - turn)))
            b = ops.bitwise_xor(rotated, a)
        a = a + keys[(group + 1) % 3]
        b = b + keys[(group + 2) % 3] + _word(group + 1)
    return a, b


def normal(*, seed: int, stream: int, step: Any, rows: Any, columns: int) -> Any:
    """Return standard normal numbers, ``columns`` of them for each row.

    Parameters
    ----------
    seed, stream
        Integers that name the sequence; two streams have nothing in common.
    step
        Integer or scalar integer tensor, such as the optimizer's iteration.
    rows
        ``(...)`` integers, the address of each row.
    columns
        Numbers a row.

    Returns
    -------
    tensor
        ``(..., columns)``, float32 (24 random bits: no number exceeds 5.9).

    Examples
    --------
    >>> import numpy as np
    >>> rows = ops.convert_to_tensor(np.array([4, 1]))
    >>> both = normal(seed=1, stream=0, step=7, rows=rows, columns=3)
    >>> one = normal(seed=1, stream=0, step=7, rows=rows[1:], columns=3)
    >>> bool(ops.all(both[1:] == one))
    True
    """
    pairs = (columns + 1) // 2
    address = ops.cast(rows, "uint32")[..., None]
    # XLA has no range of unsigned numbers; keras.ops.add would take a row of numbers for a bias of axis 1.
    address = address * _word(pairs) + _word(ops.arange(pairs, dtype="int32"))
    radial, angular = threefry((seed, stream), (step, address))
    # (k + 1/2)/2^24 lies in (0, 1], so the logarithm is finite: Box and Muller's method.
    radial, angular = (
        (ops.cast(ops.right_shift(word, _word(8)), "float32") + 0.5) * 2.0**-24 for word in (radial, angular)
    )
    length = ops.sqrt(-2.0 * ops.log(radial))
    angle = (2.0 * math.pi) * angular
    return ops.concatenate([length * ops.cos(angle), length * ops.sin(angle)], axis=-1)[..., :columns]
