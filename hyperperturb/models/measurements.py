"""What a process makes of its measurements in closed form, whether it is solved exactly or by neighbourhoods.

Measured effects are y = A f + noise, with a covariance C that is the same for all response genes but for a scale. All
that is learned from them needs C⁻¹ alone: what it makes of some values, and some blocks on its diagonal. Leaving the
perturbations g out of values y misses these by

    [C⁻¹]_gg⁻¹ (C⁻¹ y)_g,   with variance [C⁻¹]_gg⁻¹

(Rasmussen & Williams 2006, eq. 5.12 in its block form). Response genes are taken some at a time, so that of very many
perturbations only the answers are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

_AT_ONCE = 1024
_COLUMNS = 500


class Precision(Protocol):
    """The inverse C⁻¹ of the covariance of P measurements."""

    def __matmul__(self, values: np.ndarray) -> np.ndarray:
        """C⁻¹ values, (P, n) float64."""

    def blocks(self, groups: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The square blocks [C⁻¹]_gg of groups g of measurements; a group's share genes."""


class ExactPrecision:
    """The inverse of a covariance that is kept as it is.

    Parameters
    ----------
    covariance
        C, (P, P).

    Examples
    --------
    >>> precision = ExactPrecision(np.diag([2.0, 4.0]))
    >>> (precision @ np.array([[1.0], [1.0]])).ravel().round(6).tolist()
    [0.5, 0.25]
    >>> [block.round(6).tolist() for block in precision.blocks([np.array([1])])]
    [[[0.25]]]
    """

    def __init__(self, covariance: np.ndarray) -> None:
        self._factor = cho_factor(covariance, lower=True)

    def __matmul__(self, values: np.ndarray) -> np.ndarray:
        """See :class:`Precision`."""
        return cho_solve(self._factor, values)

    @cached_property
    def _inverse(self) -> np.ndarray:
        return self @ np.eye(len(self._factor[0]))

    def blocks(self, groups: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`Precision`."""
        return [self._inverse[np.ix_(group, group)] for group in groups]


@dataclass(frozen=True)
class LeftOut:
    """Groups of measurements that are left out, each group at once.

    Attributes
    ----------
    rows
        (n,) the measurements, group by group; one that is in several groups is there several times.
    starts
        Where in ``rows`` each group begins.
    weights
        (n, P) sparse: ``weights @ (C⁻¹ y)`` are the errors of predicting values y.
    variance
        (n,) of these errors, noise of the measurements included.
    """

    rows: np.ndarray
    starts: np.ndarray
    weights: sparse.csr_array
    variance: np.ndarray

    @classmethod
    def of(cls, precision: Precision, groups: Sequence[np.ndarray], n_measurements: int) -> LeftOut:
        """Solve for what leaving groups out does."""
        blocks = [np.linalg.inv(b) if len(b) > 1 else 1.0 / b for b in precision.blocks(groups)]
        sizes = np.array([len(group) for group in groups], dtype=np.int64)
        empty = [np.zeros(0)]
        entries = (
            np.concatenate([block.ravel() for block in blocks] or empty),
            np.concatenate([np.tile(group, len(group)) for group in groups] or empty).astype(np.int64),
            np.concatenate([[0], np.cumsum(np.repeat(sizes, sizes))]),
        )
        return cls(
            rows=np.concatenate([*groups] or empty).astype(np.int64),
            starts=np.cumsum(sizes) - sizes,
            weights=sparse.csr_array(entries, shape=(int(sizes.sum()), n_measurements)),
            variance=np.concatenate([np.diag(block) for block in blocks] or empty),
        )


@dataclass(frozen=True)
class Missed:
    """How measurements that were left out are predicted.

    Attributes
    ----------
    rows
        (n,) which measurements, see :class:`LeftOut`.
    square
        (n,) summed squares of their predictions.
    variance
        (n,) of their errors for a scale of 1, noise included.
    errors
        (n, columns) squared errors in the response genes :func:`looked_at`.
    """

    rows: np.ndarray
    square: np.ndarray
    variance: np.ndarray
    errors: np.ndarray


def looked_at(n_response: int) -> np.ndarray:
    """Numbers of the response genes that intervals are learned from: one number needs no more than some of them."""
    return np.unique(np.linspace(0, n_response - 1, min(n_response, _COLUMNS)).astype(int))


def columns_at_once(n_response: int) -> Iterator[slice]:
    """The response genes, some at a time.

    Examples
    --------
    >>> [(part.start, part.stop) for part in columns_at_once(1500)]
    [(0, 1024), (1024, 1500)]
    """
    for start in range(0, n_response, _AT_ONCE):
        yield slice(start, min(start + _AT_ONCE, n_response))


def solve(
    precision: Precision,
    reads: Sequence[np.ndarray | sparse.csr_array],
    Y: np.ndarray,
    known: sparse.csc_array,
    left: Sequence[LeftOut],
) -> tuple[list[np.ndarray], np.ndarray, list[Missed]]:
    """Solve for measured effects, and for what leaving some of them out would have missed.

    Parameters
    ----------
    precision
        C⁻¹.
    reads
        (P, k) arrays M whose products Mᵀ C⁻¹ (Y − known) are wanted.
    Y
        (P, R) measured effects.
    known
        (P, R) what is known of them without the process; it is a part of the predictions.
    left
        Groups that are left out.

    Returns
    -------
    answers
        (k, R) of each of the ``reads``, in the type of ``Y``.
    likely
        (R,) yᵀ C⁻¹ y / P of y = Y − known: the maximum-likelihood scale of each response gene (Rasmussen & Williams
        2006, §5.4.1).
    missed
        One for each of ``left``.
    """
    n_response = Y.shape[1]
    answers = [np.empty((read.shape[1], n_response), Y.dtype) for read in reads]
    likely, columns = np.empty(n_response), looked_at(n_response)
    square = [np.zeros(len(group.rows)) for group in left]
    errors: list[list[np.ndarray]] = [[] for _ in left]
    for part in columns_at_once(n_response):
        y = np.asarray(Y[:, part], dtype=np.float64)
        rest = y - known[:, part].toarray()
        solved = precision @ rest
        for answer, read in zip(answers, reads, strict=True):
            answer[:, part] = read.T @ solved
        likely[part] = np.einsum("pr,pr->r", rest, solved) / len(Y)
        kept = columns[(columns >= part.start) & (columns < part.stop)] - part.start
        for i, group in enumerate(left):
            residual = group.weights @ solved
            errors[i].append(residual[:, kept] ** 2)
            np.subtract(y[group.rows], residual, out=residual)
            square[i] += np.einsum("nr,nr->n", residual, residual)
    missed = [
        Missed(group.rows, size, group.variance, np.hstack(parts))
        for group, size, parts in zip(left, square, errors, strict=True)
    ]
    return answers, likely, missed
