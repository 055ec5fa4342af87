"""What kind of numbers a matrix holds, judged from a sample: raw counts, or log-normalised values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.matrix import DenseMatrix, Matrix, SparseMatrix
from hyperperturb.errors import HyperPerturbError

WHOLE = 4_000_000  # matrices with no more stored values are looked at whole
_STRETCHES, _STRETCH = 12, 64  # of larger ones, this many stretches of this many cells
_CSC_COLUMNS = 48
_LOG_LIMIT = 20.0  # log1p of CP10k stays below 9.3, of CPM below 13.9, log2 of CPM below 20
_SAME_DEPTH = 0.01  # coefficient of variation of row sums below which cells count as brought to one depth

ValueKind = Literal["counts", "log-normalised", "normalised", "fractional", "negative"]


@dataclass(frozen=True)
class Values:
    """What a sample of a matrix says.

    Attributes
    ----------
    kind
        ``"counts"``: whole numbers. ``"log-normalised"``: logarithms of normalised counts. ``"normalised"``: brought
        to one depth, no logarithm. ``"fractional"``: estimated counts. ``"negative"``: scaled or centred values.
    log_base
        Base of the logarithm where it shows (every cell's sum is the same after undoing it), else None.
    target_sum
        The common depth of the cells, where there is one.
    bad
        Where a value stands that is not finite, ``(cell, gene, value)``; None when all are.
    negative
        Where a negative value stands, ``(cell, gene, value)``.
    n_cells
        Cells looked at whole (0 for a CSC sample, where only some genes were).
    n_empty
        Of these, cells without any count.
    complete
        Whether the whole matrix was looked at.
    processed
        Whether the file says that HyperPerturb's own preprocessing made the values.
    """

    kind: ValueKind
    log_base: float | None = None
    target_sum: float | None = None
    bad: tuple[int, int, float] | None = None
    negative: tuple[int, int, float] | None = None
    n_cells: int = 0
    n_empty: int = 0
    complete: bool = False
    processed: bool = False


def look(matrix: Matrix) -> Values:
    """Judge what a matrix holds from a sample that is the same every time.

    Parameters
    ----------
    matrix
        An open matrix.

    Returns
    -------
    Values
        The verdict. Matrices of up to 4 million stored values are looked at whole; of larger ones about 770 cells
        in 12 stretches (48 genes for CSC).

    Raises
    ------
    HyperPerturbError
        The file is damaged where it was read.
    """
    complete = matrix.nnz <= WHOLE
    by_gene = isinstance(matrix, SparseMatrix) and matrix.storage == "csc" and not complete
    bad = negative = None
    whole = True
    top = 0.0
    sums: list[np.ndarray] = []
    empty = n_cells = 0
    for start, part in _sample(matrix, complete=complete, by_gene=by_gene):
        values = part.data
        if values.size == 0:
            if not by_gene:
                n_cells, empty = n_cells + part.shape[0], empty + part.shape[0]
            continue
        finite = np.isfinite(values)
        if bad is None and not finite.all():
            bad = _place(part, start, int(np.argmin(finite)), by_gene)
        if negative is None and (values < 0).any():
            negative = _place(part, start, int(np.argmax(values < 0)), by_gene)
        if bad is not None or negative is not None:
            continue
        whole = whole and bool((values == np.rint(values)).all())
        top = max(top, float(values.max()))
        if not by_gene:
            sums.append(_row_sums(part, top))
            n_cells += part.shape[0]
            empty += int((sums[-1][0] == 0).sum())
    found = {"bad": bad, "negative": negative, "n_cells": n_cells, "n_empty": empty, "complete": complete}
    if negative is not None:
        return Values("negative", **found)
    if whole:
        return Values("counts", **found)
    table = np.concatenate(sums, axis=1) if sums else np.zeros((4, 0))
    table = table[:, table[0] > 0]
    for row, base in ((1, np.e), (2, 2.0), (3, 10.0)):
        depth = _common(table[row])
        if depth is not None and top < _LOG_LIMIT:
            return Values("log-normalised", log_base=float(base), target_sum=depth, **found)
    depth = _common(table[0])
    if depth is not None:
        return Values("normalised", target_sum=depth, **found)
    return Values("log-normalised" if top < _LOG_LIMIT else "fractional", **found)


def _row_sums(part: sp.csr_matrix, top: float) -> np.ndarray:
    """Sums of each row as it is and with the logarithm to base e, 2, 10 undone, ``(4, rows)``."""
    out = np.zeros((4, part.shape[0]))
    logs = (0.0, 1.0, np.log(2.0), np.log(10.0)) if top < _LOG_LIMIT else (0.0,)
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    for i, factor in enumerate(logs):
        values = part.data.astype(np.float64)
        if i:
            values = np.expm1(values * factor)
        out[i] = np.bincount(row, weights=values, minlength=part.shape[0])
    return out


def _common(sums: np.ndarray) -> float | None:
    if sums.size < 3:
        return None
    middle = float(np.median(sums))
    if not np.isfinite(middle) or middle <= 0 or np.std(sums) > _SAME_DEPTH * middle:
        return None
    return middle


def _place(part: sp.csr_matrix, start: int, at: int, by_gene: bool) -> tuple[int, int, float]:
    row = int(np.searchsorted(part.indptr, at, side="right")) - 1
    major, minor = start + row, int(part.indices[at])
    return (minor, major, float(part.data[at])) if by_gene else (major, minor, float(part.data[at]))


def _sample(matrix: Matrix, *, complete: bool, by_gene: bool):
    """Yield (first row, rows as CSR); by gene, rows are genes."""
    if by_gene and isinstance(matrix, SparseMatrix):
        for gene in np.unique(np.linspace(0, matrix.n_major - 1, _CSC_COLUMNS).astype(int)).tolist():
            values, indices, indptr = matrix.read(gene, gene + 1)
            matrix.check_indices(indices)
            yield gene, sp.csr_matrix((values, indices, indptr), shape=(1, matrix.n_minor))
        return
    n_cells = matrix.shape[0]
    if complete:
        if isinstance(matrix, SparseMatrix):
            yield 0, matrix.rows(0, n_cells)
        else:
            for rows, _ in matrix.tiles():
                yield rows.start, matrix.rows(rows.start, rows.stop)
        return
    if isinstance(matrix, DenseMatrix):
        cells = max(1, min(_STRETCH, WHOLE // _STRETCHES // max(matrix.shape[1], 1)))
    else:
        cells = _STRETCH
    last = max(n_cells - cells, 0)
    for start in np.unique(np.linspace(0, last, _STRETCHES).astype(int)).tolist():
        yield start, matrix.rows(start, min(start + cells, n_cells))


def refuse_bad_values(values: Values, *, where: str, name: str, cell: str, gene: str) -> None:
    """Refuse values that no count can have.

    Parameters
    ----------
    values
        What was found.
    where, name
        The place in the file and the file, for the message.
    cell, gene
        Names of the cell and gene of the offending value.

    Raises
    ------
    HyperPerturbError
        A value is not finite, or negative.
    """
    if values.bad is not None:
        row, _, value = values.bad
        raise HyperPerturbError(
            f"{where} of {name} holds a value that is not finite: {value} in cell '{cell}' (row {row:,}), "
            f"gene '{gene}'.",
            hint="Give the raw counts, with missing values mended before.",
        )
    if values.negative is not None:
        row, _, value = values.negative
        raise HyperPerturbError(
            f"{where} of {name} holds negative values ({value:g} in cell '{cell}', row {row:,}, gene '{gene}'): "
            "these are scaled or centred values, not counts.",
            hint="Put the raw counts in X or in a layer named 'counts', and load the file again.",
        )
