"""The model as the judge sees it: from training effects and targets to effects and their standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hyperperturb.data.effects import Effects
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.universe import Universe


def target_kernels(universe: Universe, proximity: np.ndarray, targets: Sequence[str]) -> GeneKernels:
    """What the effect head knows about genes.

    Parameters
    ----------
    universe
        N genes and their diffusion similarity.
    proximity
        (N, M): exp(−distance) of all gene points with those of the targets, in whatever space the points are.
    targets
        The M genes of the columns.
    """
    row = {g: i for i, g in enumerate(universe.genes)}
    columns = np.array([row[g] for g in targets])
    diffusion = universe.similarity.block(np.arange(len(universe.genes)), columns)
    return GeneKernels(universe.genes, diffusion, proximity, tuple(targets))


def fit_head(effects: Effects, kernels: GeneKernels, seed: int) -> EffectHead:
    """Fit the effect head on all these effects."""
    return EffectHead.fit(
        effects.targets,
        effects.genes,
        effects.effect,
        kernels=kernels,
        standard_error=effects.standard_error,
        control_mean=effects.control_mean,
        seed=seed,
    )


def model_predictor(
    kernels: GeneKernels, seed: int
) -> Callable[[Effects, Sequence[Sequence[str]]], tuple[np.ndarray, np.ndarray]]:
    """The model as a predictor: everything about effects is fitted on the training part it is given.

    The gene points may be shared by the folds: they are made of networks and control cells only.
    """

    def predict(training: Effects, targets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        return fit_head(training, kernels, seed).predict(targets)

    return predict
