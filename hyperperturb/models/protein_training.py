"""Learning what perturbations do to proteins: a second effect head over the same genes, scored on held-out genes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hyperperturb.data.effects import Effects
from hyperperturb.data.proteins import ProteinReport
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.cross_validation import CrossValidation, cross_validate
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.predictor import fit_head, model_predictor


@dataclass(frozen=True)
class TrainedProteins:
    """What a training learned about proteins, and from what.

    Attributes
    ----------
    effects
        The measured effects on proteins, centred log-ratios.
    head
        Fitted on all of them.
    scores
        On held-out genes, beside the baselines.
    report
        How the proteins and the screen fit together; None where the effects came from elsewhere.
    """

    effects: Effects
    head: EffectHead
    scores: CrossValidation
    report: ProteinReport | None = None


def above_background(effects: Effects) -> Effects:
    """The same effects with levels counted from the dimmest protein of the control cells.

    A centred log-ratio has no zero of its own. What the loss of a gene does to its own protein is in proportion to how
    far that protein stands above the background, for which the dimmest one is the best guess at hand.
    """
    if effects.control_mean is None:
        return effects
    return replace(effects, control_mean=effects.control_mean - effects.control_mean.min())


def train_proteins(
    effects: Effects,
    known: Effects,
    kernels: GeneKernels | Neighbourhoods,
    *,
    folds: int,
    seed: int,
    report: ProteinReport | None = None,
) -> TrainedProteins:
    """Score the head on held-out genes, then fit it on all effects on proteins.

    Parameters
    ----------
    effects
        On proteins.
    known
        The effects on genes that the run is trained on: only their perturbations are taken.
    kernels
        Similarities of the genes, as for the effects on genes.
    folds, seed
        Of the cross-validation.
    report
        Kept with the result.

    Raises
    ------
    HyperPerturbError
        Fewer than three perturbations have proteins, or nothing differs from zero.
    """
    there = set(known.perturbations)
    effects = effects.select([label for label in effects.perturbations if label in there])
    if len(effects.perturbations) < 3:
        raise HyperPerturbError(
            f"{len(effects.perturbations)} perturbation(s) have cells with proteins; at least 3 are needed.",
            hint="Give the proteins of more cells.",
        )
    levelled = above_background(effects)
    methods = {MODEL: model_predictor(kernels, seed), **simple_baselines(kernels)}
    scores = cross_validate(levelled, methods, folds=folds, seed=seed)
    return TrainedProteins(effects, fit_head(levelled, kernels, seed), scores, report)
