"""Lists as people paste them."""

from __future__ import annotations

import pytest

from hyperperturb.data.perturbation_list import read_perturbations

KNOWN = {"JAK2", "STAT1", "IRF1", "HLA-A", "Y_RNA", "C11orf95", "c11ORF95", "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("JAK2\nSTAT1\r\nIRF1", (("JAK2",), ("STAT1",), ("IRF1",))),
        ("jak2, Stat1;irf1 | JAK2", (("JAK2",), ("STAT1",), ("IRF1",))),
        ("\"JAK2\"\t'STAT1'", (("JAK2",), ("STAT1",))),
        ("STAT1+jak2 JAK2_STAT1", (("JAK2", "STAT1"),)),
        ("HLA-A Y_RNA hla-a+y_rna", (("HLA-A",), ("Y_RNA",), ("HLA-A", "Y_RNA"))),
        ("# my genes, by hand\nJAK2", (("JAK2",),)),
        ("JAK2+ctrl\nnon-targeting\nctrl", (("JAK2",),)),
        ("C11orf95 c11ORF95", (("C11orf95",), ("c11ORF95",))),
        ("1", (("1",),)),
        ("", ()),
        (" ,;\n", ()),
    ],
)
def test_what_is_understood(text, expected):
    found = read_perturbations(text, KNOWN, control="ctrl")
    assert found.targets == expected
    assert not found.unknown


def test_what_is_not_known_is_named_beside_what_is_like_it():
    found = read_perturbations("STAT11 IRF1 XYZ JAK2+NOBODY jak2 JAK2", KNOWN)
    assert found.targets == (("IRF1",), ("JAK2",))
    assert list(found.unknown) == ["STAT11", "XYZ", "JAK2+NOBODY"]
    assert found.unknown["STAT11"] == ("STAT1",)
    assert found.repeated == 1


def test_a_long_list_is_read_at_once():
    known = {f"GENE{i}" for i in range(20_000)}
    text = "\n".join([*(f"gene{i}" for i in range(2000)), *(f"QQ{i}" for i in range(20))])
    found = read_perturbations(text, known)
    assert len(found.targets) == 2000
    assert len(found.unknown) == 20
