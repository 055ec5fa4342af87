"""What labels mean: controls in every spelling, targets in every convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperperturb.data.controls import candidates_in, column_rank, propose_control
from hyperperturb.data.frames import Labels, factorise
from hyperperturb.data.labels import (
    control_codes,
    control_stem,
    is_unassigned,
    normalise_label,
    parse_targets,
)

GENES = frozenset({"HLA-A", "NKX2-1", "Y_RNA", "STAT1", "JAK2", "IFNGR1", "CDC42", "GATA1", "AT"})


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("A_B", ("A", "B")),
        ("B_A", ("A", "B")),
        ("A+B", ("A", "B")),
        ("A + B", ("A", "B")),
        ("A,B", ("A", "B")),
        ("A|B", ("A", "B")),
        ("A;B", ("A", "B")),
        ("A__B", ("A", "B")),
        ("A_A", ("A",)),
        ("A_B_C", ("A", "B", "C")),
        ("A+ctrl", ("A",)),
        ("ctrl+A", ("A",)),
        ("A-ctrl", ("A",)),
        ("HLA-A", ("HLA-A",)),
        ("HLA-A-ctrl", ("HLA-A",)),
        ("A_control", ("A",)),
        ("A_1", ("A",)),
        ("A_sg2", ("A",)),
        ("ARID1A_NegCtrl0__ARID1A_NegCtrl0", ("ARID1A",)),
        ("non-targeting_00025|STAT1_1", ("STAT1",)),
        ("10005_ACTR3_P1P2_ENSG00000115091", ("ACTR3",)),
        ("G00012_G00034", ("G00012", "G00034")),
        ("1", ("1",)),
        (" A ", ("A",)),
        ("ctrl", ()),
        ("", ()),
        ("non-targeting", ()),
        ("unassigned", ()),
    ],
)
def test_parse_targets_without_known_genes(label, expected):
    assert parse_targets(label, control="ctrl") == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("HLA-A", ("HLA-A",)),
        ("HLA-A_STAT1", ("HLA-A", "STAT1")),
        ("Y_RNA", ("Y_RNA",)),
        ("Y_RNA_STAT1", ("STAT1", "Y_RNA")),
        ("NKX2-1-ctrl", ("NKX2-1",)),
        ("STAT1-JAK2", ("JAK2", "STAT1")),
        ("STAT1g2", ("STAT1",)),
        ("IFNGR1g12", ("IFNGR1",)),
        ("CDC42g1", ("CDC42",)),
        ("STAT1-2", ("STAT1",)),
        ("sgSTAT1-2", ("STAT1",)),
        ("GATA1 guide 2", ("GATA1",)),
        ("GATA12", ("GATA12",)),  # no mark between name and number: another gene
        ("ATG12", ("ATG12",)),  # not a guide of AT
        ("unknown1", ("unknown1",)),
    ],
)
def test_parse_targets_with_known_genes(label, expected):
    assert parse_targets(label, control="ctrl", known_genes=GENES) == expected


def test_parse_targets_uses_the_control_given():
    assert parse_targets("A+WT7cells", control="WT7cells") == ("A",)
    assert parse_targets("WT7cells", control="WT7cells") == ()
    assert parse_targets("A_AAVS1", control="control", known_genes={"A", "AAVS1"}) == ("A", "AAVS1")
    assert parse_targets("A_AAVS1", control="control") == ("A",)


symbols = st.from_regex(r"[A-Z]{2,6}[0-9]{0,2}", fullmatch=True).filter(
    lambda name: control_stem(name) is None and not is_unassigned(name)
)


@given(st.sets(symbols, min_size=1, max_size=3), st.sampled_from(["_", "+", ",", "|", ";"]), st.booleans())
def test_parse_targets_inverts_joining(genes, separator, with_control):
    parts = [*sorted(genes, reverse=True), *(["ctrl"] if with_control else [])]
    assert parse_targets(separator.join(parts), control="ctrl", known_genes=genes) == tuple(sorted(genes))


@given(st.text(max_size=30))
def test_any_text_is_a_label(label):
    targets = parse_targets(label, control="control", known_genes=GENES)
    assert list(targets) == sorted(set(targets))
    assert all(targets)


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("non-targeting", "non-targeting"),
        ("Non_Targeting", "Non_Targeting"),
        ("NTC", "NTC"),
        ("NTC_1", "NTC"),
        ("Non-Targeting-0023", "Non-Targeting"),
        ("NTg4", "NT"),
        ("sgNTC_1", "NTC"),
        ("CTRL00012", "CTRL"),
        ("NegCtrl0_NegCtrl10", "NegCtrl"),
        ("ctrl+ctrl", "ctrl"),
        ("non-targeting_00025|non-targeting_00123", "non-targeting"),
        ("STAT1", None),
        ("NTRK1", None),
        ("CTRL1A_STAT1", None),
        ("control_ctrl", None),
        ("", None),
    ],
)
def test_control_stem(label, stem):
    assert control_stem(label) == stem


def test_normalise_label():
    assert (
        normalise_label("Non-Targeting")
        == normalise_label("non_targeting")
        == normalise_label("NON TARGETING")
    )


def test_control_codes():
    labels = ["NTC_1", "NTC_2", "A_1", "ctrl"]
    assert control_codes(labels, "NTC").tolist() == [True, True, False, False]
    assert control_codes(labels, "NTC_1").tolist() == [True, False, False, False]
    assert control_codes(labels, "A").tolist() == [False] * 4
    assert control_codes([], "NTC").tolist() == []


def test_label_order_of_the_design():
    counts = {"ctrl": 900, "control": 50, "non-targeting": 5, "A": 10}
    assert [c.label for c in candidates_in("perturbation", counts)] == ["non-targeting", "control", "ctrl"]
    del counts["non-targeting"]
    assert candidates_in("perturbation", counts)[0].label == "control"
    counts = {"Non-Targeting": 5, "control": 50, "A": 10}
    assert candidates_in("perturbation", counts)[0].label == "control"  # exact spellings come first
    assert candidates_in("perturbation", {"NEG_CTRL": 4, "A": 3})[0].label == "NEG_CTRL"


def test_column_order_of_the_design():
    control = {"control": 5, "A": 5}
    names = ["guide", "target", "gene", "condition", "perturbation_2", "perturbation_type", "perturbation"]
    while names:
        proposal = propose_control(dict.fromkeys(names, control))
        assert proposal.column == names[-1]
        assert [c.column for c in proposal.candidates] == names[::-1]
        names.pop()


def test_columns_are_recognised_whatever_their_case():
    assert column_rank("Perturbation_Type") == column_rank("perturbation_type") == 1
    assert propose_control({"Gene.Target": {"ctrl": 4, "A": 4}}).column == "Gene.Target"


def test_a_column_without_control_is_passed_over():
    columns = {
        "perturbation": {"A": 3, "B": 3},
        "perturbation_type": {"CRISPR": 6},
        "condition": {"ctrl": 3, "A+ctrl": 3},
    }
    proposal = propose_control(columns)
    assert (proposal.column, proposal.label, proposal.n_control_cells) == ("condition", "ctrl", 3)
    assert "condition" in proposal.why


def test_unknown_columns_come_last():
    columns = {"cluster": {"wt": 5, "x": 3}, "guide": {"NTC_1": 2, "NTC_2": 3, "A_1": 4}}
    proposal = propose_control(columns)
    assert (proposal.column, proposal.label, proposal.n_control_cells) == ("guide", "NTC", 5)
    assert [c.column for c in proposal.candidates] == ["guide", "cluster"]
    assert "NTC_1" in proposal.why


def test_no_control():
    assert propose_control({"perturbation": {"A": 3, "B": 3}}) is None
    assert propose_control({"perturbation": {"control": 3}}) is None
    assert propose_control({}) is None


def labels_of(values):
    codes, known = factorise(np.array(values, dtype=object))
    return Labels(codes, tuple(known))


def test_gears_control_column_names_the_label():
    condition, flag = labels_of(["K562", "K562", "A", "B"]), labels_of([1, 1, 0, 0])
    columns = {"condition": condition.counts(), "control": flag.counts()}
    proposal = propose_control(columns, {"control": {"flag": flag, "condition": condition}})
    assert (proposal.column, proposal.label, proposal.n_control_cells) == ("condition", "K562", 2)
    assert "column 'control'" in proposal.why
    mixed = labels_of([1, 0, 0, 0])
    assert propose_control(columns, {"control": {"flag": mixed, "condition": condition}}) is None


def test_factorise_merges_and_drops_missing():
    codes, known = factorise(np.array(["a", None, float("nan"), "nan", b"a", "NA", " b "], dtype=object))
    assert codes.tolist() == [0, -1, -1, -1, 0, -1, 1]
    assert list(known) == ["a", "b"]
    codes, known = factorise(np.array([2.0, np.nan, 2.5]))
    assert (codes.tolist(), list(known)) == ([0, -1, 1], ["2", "2.5"])


def test_labels_counts_and_values():
    labels = labels_of(["b", "a", None, "a"])
    assert labels.counts() == {"a": 2, "b": 1}
    assert list(labels.counts()) == ["a", "b"]
    assert labels.values().tolist() == ["b", "a", "", "a"]
