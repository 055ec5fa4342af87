"""Enrichment: Fisher's test, its background, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from hyperperturb.data.network_readers import read_terms
from hyperperturb.data.network_terms import Terms
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.enrichment import enrichment

REACTOME = Path(__file__).parents[2].parent / "shared" / "data" / "networks" / "ReactomePathways.gmt"


@pytest.fixture
def pairs():
    """Two hundred genes, forty terms at random; the genes G0 to G19 share the term "planted"."""
    rng = np.random.default_rng(0)
    genes = rng.integers(0, 200, 900)
    terms = [f"T{k}" for k in rng.integers(0, 40, 900)]
    planted = np.arange(20)
    return Terms(
        np.array([f"G{g}" for g in (*genes, *planted)], dtype=object),
        np.array([*terms, *["planted"] * 20], dtype=object),
        "terms",
    )


BACKGROUND = [f"G{i}" for i in range(200)]


def test_every_p_value_is_fishers(pairs):
    chosen = [f"G{i}" for i in range(5, 30)]
    table = enrichment(chosen, pairs, background=BACKGROUND)
    assert table["term"].iloc[0] == "planted"
    annotated = set(pairs.genes)
    for row in table.itertuples():
        members = set(pairs.genes[pairs.terms == row.term])
        own = annotated & set(chosen)
        both = len(members & own)
        square = [
            [both, len(own) - both],
            [len(members) - both, len(annotated) - len(members) - len(own) + both],
        ]
        assert row.p_value == pytest.approx(fisher_exact(square, alternative="greater").pvalue, rel=1e-9)
        assert row.in_set == both
        assert row.genes == ", ".join(sorted(members & own))
        assert row.fold == pytest.approx(both / (len(members) * len(own) / len(annotated)))


def test_q_values_count_the_terms_that_the_set_has_none_of(pairs):
    table = enrichment([f"G{i}" for i in range(3)], pairs, background=BACKGROUND)
    missed = table.attrs["n_tested"] - len(table)
    assert missed > 0
    expected = false_discovery_control([*table["p_value"], *[1.0] * missed])[: len(table)]
    assert table["q_value"].to_numpy() == pytest.approx(expected)


def test_random_sets_are_significant_about_as_often_as_promised(pairs):
    rng = np.random.default_rng(1)
    n = 200
    wrong = sum(
        (
            enrichment(rng.choice(BACKGROUND, 30, replace=False), pairs, background=BACKGROUND)["q_value"]
            < 0.05
        ).any()
        for _ in range(n)
    )
    assert wrong / n < 0.08  # at most 0.05 but for chance


def test_the_background_decides(pairs):
    chosen = [f"G{i}" for i in range(10)]
    wide = enrichment(chosen, pairs, background=BACKGROUND).set_index("term").loc["planted"]
    narrow = (
        enrichment(chosen, pairs, background=[f"G{i}" for i in range(20)]).set_index("term").loc["planted"]
    )
    assert wide["p_value"] < 1e-8
    assert narrow["p_value"] == pytest.approx(1)  # everything that could have been chosen has the term


def test_sizes_limit_what_is_tested(pairs):
    table = enrichment(BACKGROUND[:10], pairs, background=BACKGROUND, min_size=21, max_size=25)
    assert table["in_background"].between(21, 25).all()
    assert "planted" not in set(table["term"])


def test_it_says_when_there_is_nothing_to_test(pairs):
    with pytest.raises(HyperPerturbError, match="None of the 1 genes of the set"):
        enrichment(["NOBODY"], pairs, background=[*BACKGROUND, "NOBODY"])
    with pytest.raises(HyperPerturbError, match="could have been chosen"):
        enrichment(["A"], pairs, background=["A", "B"])


@pytest.mark.skipif(not REACTOME.exists(), reason="the real gene sets in ../shared are not on this machine")
def test_a_real_pathway_is_found_among_reactomes():
    terms = read_terms(REACTOME)
    everyone = sorted(set(terms.genes))
    wanted = "Interferon gamma signaling"
    members = sorted(set(terms.genes[terms.terms == wanted]))
    assert len(members) > 30
    table = enrichment([*members[:25], *everyone[::1000]], terms, background=everyone)
    assert wanted in set(table["term"].head(3))
    assert table["q_value"].iloc[0] < 1e-10
