"""Words and choices that the views of Predict share, and the titles of the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.ui import alt
from app.ui.answers import found, spelled, title


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["jak2", "JAK2", "Stat1"], ["JAK2", "STAT1"]),
        (["JAK2, stat1 NEW"], ["JAK2", "STAT1", "NEW"]),
        (["JAK2+STAT1"], ["JAK2", "STAT1"]),
        (["A gene, with a comma"], ["A gene, with a comma"]),
        (["  "], []),
        ([], []),
    ],
)
def test_names_are_spelled_as_the_run_spells_them(names, expected):
    assert spelled(names, ["JAK2", "STAT1", "A gene, with a comma"]) == expected


def test_tables_are_searched_by_parts_of_names():
    genes = pd.Series(["IRF1", "STAT1", "JAK2", "a+b"])
    assert found(genes, "stat, JAK").tolist() == [False, True, True, False]
    assert found(genes, "+").tolist() == [False, False, False, True]
    assert found(genes, " , ").all()
    assert not found(genes, "nothing").any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("one", [], "knockout"), "What happens if a gene goes?"),
        (("one", ["A", "B"], "knockdown"), "What happens if *A* and *B* are turned down?"),
        (("many", [], "knockout"), "What happens if genes go, one by one?"),
        (("compare", ["A"], "knockout"), "How do two perturbations differ?"),
    ],
)
def test_the_title_is_the_question(arguments, expected):
    assert title(*arguments) == expected
    assert (
        title("many", ["A"] * 200, "activation", n=200) == "What happens if each of these 200 is turned up?"
    )
    assert title("compare", ["A"], "knockout", versus=["B", "C"]) == "How do *A* and *B* + *C* differ?"
    assert (
        title("wanted", [], "knockout", wanted=(["A"], ["B", "C"]))
        == "What would raise *A* and lower *B* and *C*?"
    )


def test_pictures_in_words():
    values = pd.DataFrame([[1.0, -2.0], [0.1, np.nan]], index=["A", "B"], columns=["X", "Y"])
    said = alt.effect_map(values)
    assert "2 perturbations" in said
    assert "A: highest X (+1.00); lowest Y (−2.00)" in said
    table = pd.DataFrame({"gene": ["X", "Y"], "difference": [1.0, -0.1], "clear": [True, False]})
    assert "1 gene of 2 differ" in alt.differences(table, ("A", "B"))
    nodes = pd.DataFrame(
        {"gene": ["T", "X", "M"], "role": ["target", "neighbour", "between"], "effect": [-3.0, 0.5, np.nan]}
    )
    links = pd.DataFrame({"first": ["T"], "second": ["X"], "weight": [1.0]})
    assert "T and 2 genes" in alt.network(nodes, links)
    assert "T (" not in alt.network(nodes, links)  # what it does to itself is not news
    ranking = pd.DataFrame({"targets": ["A"], "intervention": ["knockdown"], "probability": [0.7]})
    assert "knockdown of A (70 %)" in alt.interventions(ranking)
