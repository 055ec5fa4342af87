"""How strong an effect is."""

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
