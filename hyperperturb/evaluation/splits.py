"""Splits of perturbations into training and held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperperturb.errors import HyperPerturbError


@dataclass(frozen=True)
class Split:
    """Row numbers of the training and of the held-out perturbations, and the genes that were held out."""

    train: np.ndarray
    test: np.ndarray
    genes: tuple[str, ...]


MOST_GENES = 2000
"""Target genes after which no further fold is held out: the score of a whole genome is sure enough with these."""


def make_splits(
    held_out: str,
    perturbations: Sequence[str],
    targets: Sequence[Sequence[str]],
    *,
    folds: int,
    seed: int,
) -> list[Split]:
    """Splits by the name of what is held out.

    Parameters
    ----------
    held_out
        ``genes``, ``combinations``, ``leave-one-out``, or the path of a table of folds (:func:`read_folds`).
    perturbations, targets
        Labels and target genes of the P perturbations.
    folds, seed
        Of the first two; the others know their folds.
    """
    if held_out == "genes":
        return gene_folds(targets, folds=folds, seed=seed)
    if held_out == "combinations":
        return combination_folds(targets, folds=folds, seed=seed)
    if held_out == "leave-one-out":
        return leave_one_out(targets)
    return read_folds(held_out, perturbations, targets)


def gene_folds(
    targets: Sequence[Sequence[str]], *, folds: int, seed: int, most: int = MOST_GENES
) -> list[Split]:
    """Cross-validation by gene: each target gene is held out once, with every perturbation it takes part in.

    So nothing about a held-out gene is seen in training, not even through a combination. A combination whose
    genes fall in different folds is held out more than once. Of very many genes only the first folds are held out.

    Parameters
    ----------
    targets
        Target genes of the P perturbations.
    folds
        Number of folds; lowered to the number of genes when there are fewer.
    seed
        Of the assignment of genes to folds.
    most
        As many folds as it takes to hold out so many genes.

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
    for fold in range(min(folds, -(-most * folds // len(genes)))):
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


def combination_folds(targets: Sequence[Sequence[str]], *, folds: int, seed: int) -> list[Split]:
    """Cross-validation by combination: each is held out once, and everything else is training.

    So the genes of a held-out combination are seen, alone or in other combinations. Combinations of genes that were
    not seen are held out by :func:`gene_folds`; the number of targets seen is written down with every score.

    Parameters
    ----------
    targets
        Target genes of the P perturbations.
    folds
        Number of folds; lowered to the number of combinations when there are fewer.
    seed
        Of the assignment of combinations to folds.

    Raises
    ------
    HyperPerturbError
        With fewer than two combinations, or with nothing left to learn from.

    Examples
    --------
    >>> splits = combination_folds([("A",), ("B",), ("A", "B"), ("B", "C")], folds=5, seed=0)
    >>> sorted(int(i) for split in splits for i in split.test)
    [2, 3]
    """
    several = np.array([i for i, target in enumerate(targets) if len(target) > 1])
    if len(several) < 2:
        raise HyperPerturbError(
            f"The screen has {len(several)} combination(s) of genes; at least 2 are needed to hold some out.",
            hint="Hold out genes instead.",
        )
    shuffled = np.random.default_rng(seed).permutation(several)
    everything = np.arange(len(targets))
    splits = []
    for part in np.array_split(shuffled, min(folds, len(several))):
        test = np.sort(part)
        train = np.setdiff1d(everything, test)
        if len(train) >= 2:
            splits.append(Split(train, test, ()))
    if not splits:
        raise HyperPerturbError("With one part of the combinations held out, nothing is left to learn from.")
    return splits


def leave_one_out(targets: Sequence[Sequence[str]]) -> list[Split]:
    """Each perturbation is held out by itself; its genes may be seen in combinations.

    Raises
    ------
    HyperPerturbError
        With fewer than three perturbations.

    Examples
    --------
    >>> [split.test.tolist() for split in leave_one_out([("A",), ("B",), ("C",)])]
    [[0], [1], [2]]
    """
    n = len(targets)
    if n < 3:
        raise HyperPerturbError(
            f"There are {n} perturbation(s); at least 3 are needed to hold one out and learn from the rest."
        )
    splits = []
    for i in range(n):
        train = np.delete(np.arange(n), i)
        seen = {g for t in train for g in targets[t]}
        splits.append(Split(train, np.array([i]), tuple(g for g in targets[i] if g not in seen)))
    return splits


def read_folds(
    path: str | Path, perturbations: Sequence[str], targets: Sequence[Sequence[str]]
) -> list[Split]:
    """Splits that a person made: a CSV with the columns ``perturbation`` and ``fold``.

    Each fold is held out in turn and everything else is training. A perturbation that is not listed, or whose fold
    is empty or ``train``, is never held out. Perturbations of one gene are not kept together here: that is up to
    the person, and the number of targets seen in training is written down with every score.

    Parameters
    ----------
    path
        The file; tab-separated where its name ends in ``.tsv``.
    perturbations, targets
        Labels and target genes of the P perturbations.

    Raises
    ------
    HyperPerturbError
        The file cannot be read; a column is missing; a label is not in the effects or stands there twice; no fold is
        named, or one leaves nothing to learn from.
    """
    import pandas as pd

    path = Path(path)
    separator = "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","
    try:
        table = pd.read_csv(path, dtype=str, sep=separator, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise HyperPerturbError(f"There is no file '{path}' (folds).", hint="Check the path.") from None
    except (OSError, ValueError) as error:  # pandas' parser errors and decoding errors are ValueErrors
        raise HyperPerturbError(
            f"'{path}' cannot be read as a table of folds ({str(error).strip()}).",
            hint="It needs the columns perturbation and fold.",
        ) from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = {"perturbation", "fold"} - set(table.columns)
    if missing:
        raise HyperPerturbError(
            f"'{path}' has no column {' and no column '.join(sorted(missing))}; it has "
            f"{', '.join(table.columns)}.",
            hint="Give one row a perturbation with the columns perturbation and fold.",
        )
    place = {label: i for i, label in enumerate(perturbations)}
    rows: dict[str, list[int]] = {}
    seen: dict[str, int] = {}
    for line, (label, fold) in enumerate(zip(table["perturbation"], table["fold"], strict=True), start=2):
        label, fold = label.strip(), fold.strip()
        if label not in place:
            raise HyperPerturbError(
                f"Line {line} of '{path}' names the perturbation '{label}', which the effects do not have.",
                hint=f"They have {len(perturbations):,}, such as {', '.join(perturbations[:3])}.",
            )
        if label in seen:
            raise HyperPerturbError(
                f"Line {line} of '{path}' names '{label}' again (first in line {seen[label]})."
            )
        seen[label] = line
        if fold and fold.lower() != "train":
            rows.setdefault(fold, []).append(place[label])
    if not rows:
        raise HyperPerturbError(
            f"'{path}' holds nothing out: every fold is empty or 'train'.",
            hint="Number the folds, as in 1 to 5.",
        )
    splits = []
    for fold, held in rows.items():
        test = np.sort(np.array(held))
        train = np.setdiff1d(np.arange(len(perturbations)), test)
        if len(train) < 2:
            raise HyperPerturbError(
                f"Fold '{fold}' of '{path}' leaves {len(train)} perturbation(s) to learn from; at least 2 are needed."
            )
        known = {g for i in train for g in targets[i]}
        splits.append(Split(train, test, tuple(sorted({g for i in test for g in targets[i]} - known))))
    return splits
