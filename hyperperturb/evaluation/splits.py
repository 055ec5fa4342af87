"""Splits of perturbations into training and held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperperturb.errors import HyperPerturbError


@dataclass(frozen=True)
class Split:
    """Row numbers of the training and of the held-out perturbations, and the genes that were held out."""

    train: np.ndarray
    test: np.ndarray
    genes: tuple[str, ...]


def gene_folds(targets: Sequence[Sequence[str]], *, folds: int, seed: int) -> list[Split]:
    """Cross-validation by gene: each target gene is held out once, with every perturbation it takes part in.

    So nothing about a held-out gene is seen in training, not even through a combination. A combination whose
    genes fall in different folds is held out more than once.

    Parameters
    ----------
    targets
        Target genes of the P perturbations.
    folds
        Number of folds; lowered to the number of genes when there are fewer.
    seed
        Of the assignment of genes to folds.

    Raises
    ------
    HyperPerturbError
        With fewer than three target genes.

    Examples
    --------
    >>> split = gene_folds([("A",), ("B",), ("C",), ("A", "B")], folds=3, seed=0)[0]
    >>> bool(set(split.train) & set(split.test))
    False
    """
    genes = sorted({g for target in targets for g in target})
    if len(genes) < 3:
        raise HyperPerturbError(
            f"The screen perturbs {len(genes)} gene(s); at least 3 are needed to hold one out and learn "
            "from the rest.",
            hint="Bring a screen with more perturbations, or exclude fewer.",
        )
    folds = min(folds, len(genes))
    order = np.random.default_rng(seed).permutation(len(genes))
    fold_of = {genes[g]: i % folds for i, g in enumerate(order)}
    splits = []
    for fold in range(folds):
        held = np.array([any(fold_of[g] == fold for g in target) for target in targets])
        train, test = np.flatnonzero(~held), np.flatnonzero(held)
        if len(train) >= 2 and len(test):
            splits.append(Split(train, test, tuple(g for g in genes if fold_of[g] == fold)))
    if not splits:
        raise HyperPerturbError(
            "No gene can be held out: every perturbation shares genes with nearly all others.",
            hint="Bring a screen with more single-gene perturbations.",
        )
    return splits
