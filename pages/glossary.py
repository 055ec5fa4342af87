"""Glossary: every word and every measure of the app, in a sentence or two."""

from __future__ import annotations

import streamlit as st

from app.ui.frame import guard, question, section
from app.ui.text import GLOSSARY, halves, plain
from hyperperturb.evaluation.metrics import METRICS


def definitions(words: dict[str, str], asked: str) -> None:
    """The words that hold `asked` in their name or text, in two columns; in their order, read down."""
    fold = asked.strip().casefold()
    found = [(word, said) for word, said in words.items() if fold in f"{word} {said}".casefold()]
    if not found:
        st.markdown(":gray[Nothing like this.]")
        return
    for column, part in zip(st.columns(2, gap="large"), halves(found), strict=True):
        for word, said in part:
            column.markdown(f"**{plain(word[:1].upper() + word[1:])}**  \n{plain(said)}")


with guard():
    question(
        "What do the words mean?",
        "The same words are used on every page; the question marks there say the same.",
    )
    asked = st.text_input("Find a word", key="glossary_find", placeholder="support", width=420)
    section("Words")
    definitions(dict(sorted(GLOSSARY.items())), asked)
    section("Measures of a prediction")
    definitions(
        {
            metric.label: f"{metric.definition} {'Higher' if metric.best == 'high' else 'Lower'} is better."
            for metric in METRICS.values()
        },
        asked,
    )
