"""The one normalisation of cells: counts to log1p of counts per ten thousand."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

TARGET_SUM = 10_000.0


def log_normalise(block: sp.csr_matrix, total: np.ndarray | None = None) -> sp.csr_matrix:
    """Counts to log1p of counts per ten thousand, row by row; an empty row stays empty.

    Parameters
    ----------
    block
        (cells, genes) counts, CSR; not changed.
    total
        (cells,) counts of each cell over all its genes, where ``block`` holds only some of them.

    Returns
    -------
    scipy.sparse.csr_matrix
        Of the same floating-point type, float32 for integers.

    Examples
    --------
    >>> log_normalise(sp.csr_matrix([[1.0, 1.0]])).toarray().astype(float).round(3).tolist()
    [[8.517, 8.517]]
    """
    total = np.asarray(block.sum(axis=1) if total is None else total, dtype=np.float64).ravel()
    factor = np.divide(TARGET_SUM, total, out=np.zeros_like(total), where=total > 0)
    dtype = block.dtype if np.issubdtype(block.dtype, np.floating) else np.float32
    out = block.astype(dtype)
    out.data = np.log1p(block.data * np.repeat(factor, np.diff(block.indptr))).astype(dtype)
    return out
