"""Numbers and words as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from app.ui import text

THIN = text.THIN


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (0.46123, "0.461"),
        (-0.5, "−0.500"),
        (1.005, "1.00"),
        (9.999, "10.0"),
        (999.6, f"1{THIN}000"),
        (20729.4, f"20{THIN}700"),
        (0.00012345, "0.000123"),
        (1.5e-7, "1.50 × 10^−7"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value, written):
    assert text.number(value) == written


def test_counts_are_exact_with_thin_spaces():
    assert text.count(20729) == f"20{THIN}729"
    assert text.count(None) == "–"
    assert text.plural(1, "entry", "entries") == "1 entry"
    assert text.plural(2386, "cell") == f"2{THIN}386 cells"


def test_signed_writes_the_plus():
    assert text.signed(0.5) == "+0.500"
    assert text.signed(-0.5) == "−0.500"


def test_lists_read_as_sentences():
    assert text.listing([]) == ""
    assert text.listing(["A"]) == "A"
    assert text.listing(["A", "B", "C"]) == "A, B and C"
    assert text.listing(list("ABCDEFGH"), limit=3) == "A, B and 6 more"


def test_plain_takes_the_meaning_from_markdown():
    assert text.plain("a_b *c* [x](y)") == r"a\_b \*c\* \[x\]\(y\)"
    assert text.plain(":red[no]") == r"\:red\[no\]"


@pytest.mark.parametrize(
    ("seconds", "said"), [(2, "a few seconds"), (41, "40 s"), (170, "3 min"), (9000, "2.5 h")]
)
def test_durations_are_coarse(seconds, said):
    assert text.duration(seconds) == said


def test_moments_without_a_zone_are_utc():
    moment = datetime(2020, 11, 3, 14, 5)
    assert text.when(moment) == text.when(moment.replace(tzinfo=UTC))
    assert "2020" in text.when(moment)


def test_places_in_a_line_are_words_and_then_numbers():
    assert [text.ordinal(n) for n in (1, 2, 10)] == ["first", "second", "tenth"]
    assert [text.ordinal(n) for n in (11, 12, 13, 21, 22, 103, 111)] == [
        *("11th", "12th", "13th", "21st", "22nd", "103rd", "111th")
    ]


def test_two_columns_are_about_as_long_as_each_other():
    entries = [(str(n), "x" * n) for n in (10, 400, 30, 900, 20, 20, 700)]
    left, right = text.halves(entries)
    assert left + right == entries
    assert [word for word, _ in left] == ["10", "400", "30", "900"]
    assert text.halves(entries[:1]) == (entries[:1], [])
    assert text.halves([]) == ([], [])
