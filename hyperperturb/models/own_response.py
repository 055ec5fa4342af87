"""What a perturbation does to its own targets, which says nothing about what their network neighbours do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def own_entries(
    targets: Sequence[Sequence[str]], response_genes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    column = {g: i for i, g in enumerate(response_genes)}
    pairs = [(row, column[g]) for row, target in enumerate(targets) for g in target if g in column]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(rows, dtype=int), np.array(columns, dtype=int)


def own_response(
    Y: np.ndarray, rows: np.ndarray, columns: np.ndarray, control_mean: np.ndarray | None
) -> tuple[float, float, np.ndarray]:
    """Least-squares slope of a target's own change on its control level, the residuals' size, and the level."""
    level = np.zeros(Y.shape[1]) if control_mean is None else np.asarray(control_mean, dtype=np.float64)
    x, y = level[columns], Y[rows, columns]
    if len(rows) < 2 or not np.any(x > 0):
        return 0.0, 0.0, level
    slope = float(np.dot(x, y) / np.dot(x, x))
    return slope, float(np.sqrt(np.sum((y - slope * x) ** 2) / (len(rows) - 1))), level


def without_own(Y: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Effects with each target's own entry replaced by its mean over the other perturbations.

    A target goes down because it was hit, which says nothing about what its network neighbours do.
    """
    if not len(rows):
        return Y
    masked = Y.copy()
    masked[rows, columns] = 0.0
    others = np.full(Y.shape[1], len(Y))
    np.subtract.at(others, columns, 1)
    mean = masked.sum(axis=0, dtype=np.float64) / np.maximum(others, 1)
    masked[rows, columns] = mean[columns]
    return masked
