"""The model as the judge sees it: from training effects and targets to effects and their standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hyperperturb.data.effects import Effects
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.neighbourhoods import Neighbourhoods, Proximity, find_neighbourhoods
from hyperperturb.models.universe import Universe

EXACT_UP_TO = 2000
"""Target genes up to which the effect head is exact; of more it sees landmarks and neighbourhoods."""


def target_kernels(
    universe: Universe, proximity: Proximity, targets: Sequence[str]
) -> GeneKernels | Neighbourhoods:
    """What the effect head knows about genes.

    Parameters
    ----------
    universe
        N genes and their diffusion similarity.
    proximity
        exp(−distance) of some gene points with others, in whatever space they are.
    targets
        The genes that some perturbation targets.
    """
    if len(targets) > EXACT_UP_TO:
        return find_neighbourhoods(
            universe.genes,
            universe.adjacency,
            universe.similarity,
            proximity,
            targets,
            links=universe.links,
        )
    row = {g: i for i, g in enumerate(universe.genes)}
    columns, everything = np.array([row[g] for g in targets]), np.arange(len(universe.genes))
    diffusion = universe.similarity.block(everything, columns)
    return GeneKernels(
        universe.genes, diffusion, proximity(everything, columns), tuple(targets), universe.links
    )


def fit_head(
    effects: Effects,
    kernels: GeneKernels | Neighbourhoods,
    seed: int = 0,
    *,
    parameters: KernelParameters | None = None,
) -> EffectHead:
    """Fit the effect head on all these effects; with ``parameters`` without a search of its own."""
    return EffectHead.fit(
        effects.targets,
        effects.genes,
        effects.effect,
        kernels=kernels,
        standard_error=effects.standard_error,
        control_mean=effects.control_mean,
        parameters=parameters,
        seed=seed,
    )


def model_predictor(
    kernels: GeneKernels | Neighbourhoods, seed: int
) -> Callable[[Effects, Sequence[Sequence[str]]], tuple[np.ndarray, np.ndarray]]:
    """The model as a predictor: everything about effects is fitted on the training part it is given.

    The gene points may be shared by the folds: they are made of networks and control cells only.
    """

    def predict(training: Effects, targets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        return fit_head(training, kernels, seed).predict(targets)

    return predict
