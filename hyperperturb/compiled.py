"""Loops that are compiled for one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(signature: str) -> Callable[[Any], Any]:
    """Compile a function for a signature of numba's, without Python's lock; once, and kept on disk where that can be.

    Examples
    --------
    >>> @compiled("float64(float64)")
    ... def twice(x):
    ...     return 2 * x
    >>> twice(1.5)
    3.0
    """

    def wrap(function: Any) -> Any:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except RuntimeError:  # nowhere to keep compiled code (read-only installation and home)
            return numba.njit(signature, nogil=True)(function)

    return wrap
