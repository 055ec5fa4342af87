"""How strong an effect is, and how strongly a gene answers."""

from __future__ import annotations

import numpy as np

from hyperperturb.data.effects import Effects


def energy_distance(effects: Effects) -> np.ndarray:
    """Energy distance of each perturbation's cells to the control cells, (P,), squared Euclidean.

    With squared Euclidean distances 2 E|x − y|² − E|x − x'|² − E|y − y'|² is twice the squared distance of the means,
    so it follows from the effects; what sampling adds to it (twice the summed squared standard errors) is taken
    off, and 0 is the least.
    """
    # Row by row: a copy in float64 would be the largest thing in memory.
    square, noise = (
        np.array([np.nansum(np.square(row, dtype=np.float64)) for row in values])
        for values in (effects.effect, effects.standard_error)
    )
    return 2.0 * np.maximum(square - noise, 0.0)


def sensitivity(effects: Effects) -> np.ndarray:
    """How strongly each response gene answers to the screen's perturbations.

    The root mean square of a gene's effect over the perturbations that do not target it, with what the measurement's
    own noise adds to the square taken off. Every perturbation counts the same, so a gene that one perturbation moves
    by 1 and 99 others leave alone has 0.1.

    Parameters
    ----------
    effects
        Measured effects of P perturbations on G genes.

    Returns
    -------
    numpy.ndarray
        ``(G,)`` float64, natural-log units of the effect, at least 0; NaN where no perturbation measured the gene.

    Examples
    --------
    >>> targets, effect, error = (("A",), ("B",)), np.array([[9.0, 4.0], [3.0, 9.0]]), np.zeros((2, 2))
    >>> measured = Effects(("A", "B"), targets, ("A", "B"), effect, error, np.array([50, 60]), "ctrl")
    >>> sensitivity(measured).tolist()
    [3.0, 4.0]
    """
    place = {gene: j for j, gene in enumerate(effects.genes)}
    total, times = np.zeros(len(place)), np.zeros(len(place))
    for effect, error, targets in zip(effects.effect, effects.standard_error, effects.targets, strict=True):
        square = np.square(effect, dtype=np.float64) - np.square(np.nan_to_num(error), dtype=np.float64)
        square[[place[gene] for gene in targets if gene in place]] = np.nan
        known = np.isfinite(square)
        total[known] += square[known]
        times += known
    mean = np.divide(total, times, out=np.full(len(place), np.nan), where=times > 0)
    return np.sqrt(np.maximum(mean, 0.0))
