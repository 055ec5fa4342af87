"""Splits by gene: nothing about a held-out gene is seen in training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.splits import gene_folds

GENES = [f"G{i:02d}" for i in range(12)]
SINGLES = [(g,) for g in GENES]
DOUBLES = [("G00", "G01"), ("G00", "G05"), ("G03", "G11"), ("G02", "G07")]
TARGETS = SINGLES + DOUBLES


def seen(rows) -> set[str]:
    return {g for row in rows for g in TARGETS[row]}


@given(folds=st.integers(2, 15), seed=st.integers(0, 1000))
def test_a_held_out_gene_is_in_no_training_perturbation(folds, seed):
    for split in gene_folds(TARGETS, folds=folds, seed=seed):
        assert not seen(split.train) & set(split.genes)
        assert all(set(TARGETS[row]) & set(split.genes) for row in split.test)
        assert sorted([*split.train, *split.test]) == list(range(len(TARGETS)))


@given(folds=st.integers(2, 15), seed=st.integers(0, 1000))
def test_every_gene_is_held_out_once_and_folds_are_even(folds, seed):
    splits = gene_folds(TARGETS, folds=folds, seed=seed)
    held = [g for split in splits for g in split.genes]
    assert sorted(held) == GENES
    sizes = [len(split.genes) for split in splits]
    assert len(splits) == min(folds, len(GENES))
    assert max(sizes) - min(sizes) <= 1


def test_a_combination_across_folds_is_held_out_with_each_of_its_genes():
    splits = gene_folds(TARGETS, folds=12, seed=0)
    row = TARGETS.index(("G00", "G05"))
    assert [split.genes for split in splits if row in split.test] != []
    assert {g for split in splits if row in split.test for g in split.genes} == {"G00", "G05"}


def test_the_seed_decides_and_nothing_else():
    def genes(targets, seed):
        return [split.genes for split in gene_folds(targets, folds=4, seed=seed)]

    assert genes(TARGETS, 3) == genes(TARGETS, 3)
    assert genes(TARGETS, 3) == genes(TARGETS[::-1], 3), "the order of the table does not matter"
    assert genes(TARGETS, 3) != genes(TARGETS, 4)


@pytest.mark.parametrize("targets", [[], [("A",)], [("A",), ("B",), ("A", "B")]])
def test_fewer_than_three_genes_are_refused(targets):
    with pytest.raises(HyperPerturbError, match="at least 3 are needed"):
        gene_folds(targets, folds=5, seed=0)


def test_a_gene_in_every_perturbation_leaves_nothing_to_learn_from():
    with pytest.raises(HyperPerturbError, match="No gene can be held out"):
        gene_folds([("A", "B"), ("A", "C"), ("A", "D")], folds=1, seed=0)


def test_a_fold_without_two_training_perturbations_is_left_out():
    splits = gene_folds([("HUB", g) for g in "ABCDEF"] + [("A",), ("B",)], folds=7, seed=0)
    assert all(len(split.train) >= 2 for split in splits)
    assert all(isinstance(split.train, np.ndarray) for split in splits)


def test_of_very_many_genes_only_the_first_folds_are_held_out():
    every = gene_folds(TARGETS, folds=4, seed=3)
    for most, n in ((1, 1), (3, 1), (4, 2), (9, 3), (10, 4), (100, 4)):
        some = gene_folds(TARGETS, folds=4, seed=3, most=most)
        assert [split.genes for split in some] == [split.genes for split in every[:n]]
        assert sum(len(split.genes) for split in some) >= min(most, len(GENES))
