"""From sums over cells to means, variances and effects."""

from __future__ import annotations

import numpy as np

from hyperperturb.data.assignment import Assignment
from hyperperturb.data.effects import Effects, Mode
from hyperperturb.data.moderation import Moderation, shape_of_levels


def effects_of_sums(
    sums: np.ndarray,
    assigned: Assignment,
    genes: tuple[str, ...],
    *,
    control: str,
    mode: Mode,
    cells: np.ndarray | None = None,
    zeros: bool = True,
) -> Effects:
    """Turn sums over cells into effects.

    Parameters
    ----------
    sums
        ``(B + P, R, 3)``: what :func:`~hyperperturb.data.statistics.label_sums` gives, the controls of each batch
        first.
    assigned
        Perturbations and their numbers of cells, at least one each.
    genes, control, mode
        As in :class:`Effects`.
    cells
        ``(P + 1, B)`` cells of the controls and of each perturbation in each batch; None is a single batch.
    zeros
        Whether the level of a cell that does not show a gene is 0; it is not for centred ratios of proteins.

    Returns
    -------
    Effects
        Against the controls of each batch, weighted by the perturbation's own cells there; control mean and variance
        are those of all controls, as measured. Standard errors come from moderated variances.
    """
    cells = assigned.n_cells[:, None] if cells is None else cells
    n, n_batches = assigned.n_cells, cells.shape[1]
    weight = cells[1:] / n[1:, None]
    moderate = moderation_of_sums(sums, np.concatenate([cells[0], n[1:]]), zeros=zeros)
    by_batch = [moments(part, m) for part, m in zip(sums[:n_batches], cells[0], strict=True)]
    batch_mean = np.stack([mean for mean, _ in by_batch])
    spread = np.stack(
        [moderate(variance, int(m)) / m for (_, variance), m in zip(by_batch, cells[0], strict=True)]
    )
    mean, variance = moments(sums[:n_batches].sum(axis=0), n[0])
    effect = np.empty((len(n) - 1, len(genes)), dtype=np.float32)
    error, detected = np.empty_like(effect), np.empty_like(effect)
    for row in range(len(effect)):  # one at a time: the float64 sums are the largest thing in memory
        own = sums[n_batches + row]
        own_mean, own_variance = moments(own, n[row + 1])
        own_variance = moderate(own_variance, int(n[row + 1]))
        there = np.flatnonzero(weight[row])
        effect[row] = own_mean - weight[row, there] @ batch_mean[there]
        error[row] = np.sqrt(own_variance / n[row + 1] + weight[row, there] ** 2 @ spread[there])
        detected[row] = own[:, 2] / n[row + 1]
    return Effects(
        perturbations=assigned.perturbations,
        targets=assigned.targets,
        genes=genes,
        effect=effect,
        standard_error=error,
        n_cells=n[1:],
        control=control,
        control_mean=mean.astype(np.float32),
        control_variance=variance.astype(np.float32),
        n_control_cells=int(n[0]),
        mode=mode,
        detected=detected,
        control_detected=(sums[:n_batches, :, 2].sum(axis=0) / n[0]).astype(np.float32),
    )


def moderation_of_sums(sums: np.ndarray, n_cells: np.ndarray, *, zeros: bool = True) -> Moderation:
    """Find what variances are shrunk towards, from sums over the cells of every label.

    Parameters
    ----------
    sums
        ``(L, R, 3)``: what :func:`~hyperperturb.data.statistics.label_sums` gives.
    n_cells
        ``(L,)`` cells of each label.
    zeros
        As in :func:`effects_of_sums`.
    """
    n = int(n_cells.sum())
    within = np.zeros(sums.shape[1])
    for part, m in zip(sums, n_cells, strict=True):
        if m > 1:
            within += (m - 1) * moments(part, m)[1]
    free = int(np.maximum(n_cells - 1, 0).sum())
    pooled = within / free if free else np.full_like(within, np.nan)
    total = sums.sum(axis=0)
    seen = total[:, 2] / n if zeros else np.ones(len(pooled))
    _, kurtosis = shape_of_levels(total[:, 0] / n, pooled, seen, n)
    variances = (moments(part, m)[1] for part, m in zip(sums, n_cells, strict=True))
    return Moderation.fit(variances, n_cells, pooled, kurtosis)


def moments(sums: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and unbiased variance from sums and sums of squares, ``(R, 3)``; NaN variance for one cell."""
    mean = sums[:, 0] / n
    if n < 2:
        return mean, np.full_like(mean, np.nan)
    return mean, np.maximum(sums[:, 1] - n * mean * mean, 0.0) / (n - 1)
