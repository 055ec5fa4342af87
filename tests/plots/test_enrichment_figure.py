"""The picture of a gene set's terms."""

from __future__ import annotations

import pandas as pd

from hyperperturb.plots.enrichment import enriched_terms

LONG = "A pathway whose name goes on for much longer than any axis has room for, part "


def rows(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": [f"{LONG}{k}" for k in range(n)],
            "in_set": range(n + 2, 2, -1),
            "in_background": [40] * n,
            "expected": [0.5] * n,
            "fold": [10.0 - k / n for k in range(n)],
            "p_value": [10.0 ** (k - n) for k in range(n)],
            "q_value": [0.01 if k < 5 else 0.2 for k in range(n)],
        }
    )


def test_the_best_is_on_top_and_certainty_is_filled():
    figure = enriched_terms(rows(20), n=8)
    sure, other = figure.data
    assert len(sure.y) + len(other.y) == 8
    best = max(range(len(sure.y)), key=lambda k: sure.y[k])
    assert sure.x[best] == 10.0
    assert sure.y[best] == 7  # the topmost place
    assert sure.marker.color != other.marker.color
    assert "0.01" in sure.customdata[best][2]


def test_terms_with_the_same_beginning_keep_places_of_their_own():
    figure = enriched_terms(rows(6))
    places = [y for trace in figure.data for y in trace.y]
    assert sorted(places) == list(range(6))
    assert len(figure.layout.yaxis.ticktext) == 6


def test_nothing_is_said_in_words():
    figure = enriched_terms(rows(3).head(0))
    assert "No term" in figure.layout.annotations[0].text
