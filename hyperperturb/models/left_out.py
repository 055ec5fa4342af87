"""What a finished run would have said about a perturbation that it was trained on, had it not been."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.calibration import LEVEL, inside
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.predictor import fit_head


def left_out_effects(head: EffectHead, effects: Effects, label: str) -> pd.DataFrame:
    """Predict a measured perturbation from those that share no target gene with it.

    The effect head is solved anew without them, which is closed form. Its few kernel parameters stay those of the run,
    which were chosen by leaving out genes of all perturbations.

    Parameters
    ----------
    head
        Fitted on ``effects``.
    effects
        The P training perturbations.
    label
        One of them.

    Returns
    -------
    pandas.DataFrame
        One row a response gene: ``gene``, ``effect`` and ``standard_error`` of the prediction, ``measured`` and
        ``measured_standard_error``, ``own`` (the gene is a target of this perturbation) and ``inside`` (the measured
        effect lies in the 90 % interval around the prediction, whose variance is that of both).

    Raises
    ------
    HyperPerturbError
        There is no such perturbation; too few share no gene with it; the run has very many target genes, for which the
        head keeps only neighbourhoods.

    Examples
    --------
    ::

        inference = HyperPerturbInference("models/saved/hyperperturb-20261122-101500")
        inference.left_out("STAT1")[["gene", "effect", "measured"]].head()
    """
    row = effects.index(label)
    if head.local is not None:
        raise HyperPerturbError(
            f"This run has {len(head.target_genes):,} target genes, too many to leave one out at once.",
            hint="Its held-out scores are in the table of perturbations.",
        )
    own_targets = set(effects.targets[row])
    others = [i for i, target in enumerate(effects.targets) if i != row and own_targets.isdisjoint(target)]
    training = effects.select([effects.perturbations[i] for i in others])
    left = fit_head(training, head.kernels, parameters=head.parameters)
    mean, error = left.predict([effects.targets[row]])
    measured, noise = effects.effect[row].astype(float), effects.standard_error[row].astype(float)
    return pd.DataFrame(
        {
            "gene": effects.genes,
            "effect": mean[0],
            "standard_error": error[0],
            "measured": measured,
            "measured_standard_error": noise,
            "own": np.isin(effects.genes, list(own_targets)),
            "inside": inside(mean[0], error[0], measured, noise, level=LEVEL),
        }
    )
