"""Splits by combination, one by one, and from a person's table."""

from __future__ import annotations

import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.splits import combination_folds, leave_one_out, make_splits, read_folds

TARGETS = [("A",), ("B",), ("C",), ("A", "B"), ("B", "C"), ("A", "C")]
LABELS = ["_".join(target) for target in TARGETS]


def held(splits) -> list[list[int]]:
    return [split.test.tolist() for split in splits]


def test_every_combination_is_held_out_once_and_no_single_gene():
    splits = combination_folds(TARGETS, folds=2, seed=0)
    assert sorted(i for test in held(splits) for i in test) == [3, 4, 5]
    for split in splits:
        assert not set(split.train) & set(split.test)
        assert len(split.train) + len(split.test) == 6
    assert held(splits) == held(make_splits("combinations", LABELS, TARGETS, folds=2, seed=0))
    with pytest.raises(HyperPerturbError, match="at least 2"):
        combination_folds(TARGETS[:4], folds=2, seed=0)


def test_one_by_one():
    splits = leave_one_out(TARGETS)
    assert held(splits) == [[i] for i in range(6)]
    assert splits[0].genes == (), "A is seen in combinations"
    assert leave_one_out(TARGETS[:3])[0].genes == ("A",)
    assert held(make_splits("leave-one-out", LABELS, TARGETS, folds=9, seed=9)) == held(splits)


def test_a_table_of_folds(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_text("perturbation,fold\nA,1\nA_B,1\nB,2\nC,train\nB_C,\n")
    splits = make_splits(str(path), LABELS, TARGETS, folds=5, seed=0)
    assert held(splits) == [[0, 3], [1]]
    assert splits[0].train.tolist() == [1, 2, 4, 5]
    assert splits[0].genes == (), "A is still seen with C"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label,fold\nA,1\n", "no column perturbation"),
        ("perturbation,fold\nD,1\n", "names the perturbation 'D'"),
        ("perturbation,fold\nA,1\nA,2\n", "names 'A' again"),
        ("perturbation,fold\nA,train\n", "holds nothing out"),
        ("perturbation,fold\nA,1\nB,1\nC,1\nA_B,1\nB_C,1\n", "leaves 1 perturbation"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, says):
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(HyperPerturbError, match=says):
        read_folds(path, LABELS, TARGETS)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        read_folds(tmp_path / "none.csv", LABELS, TARGETS)
