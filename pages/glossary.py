"""Glossary: every word and every measure of the app, in a sentence or two."""

from __future__ import annotations

import streamlit as st

from app.ui.frame import guard, question, section
from app.ui.text import GLOSSARY, plain, sentence_case
from hyperperturb.evaluation.metrics import METRICS


def definitions(words: dict[str, str], asked: str) -> int:
    """The words that hold `asked` in their name or text, one under the other; returns how many they are."""
    fold = asked.strip().casefold()
    found = {word: said for word, said in words.items() if fold in f"{word} {said}".casefold()}
    for word, said in found.items():
        st.markdown(f"**{sentence_case(word).removesuffix(chr(92) + '.')}**  \n{plain(said)}")
    return len(found)


with guard():
    question(
        "What do the words mean?",
        "The same words are used on every page; the question marks there say the same.",
    )
    asked = st.text_input("Find a word", key="glossary_find", placeholder="support")
    left, right = st.columns(2, gap="large")
    with left:
        section("Words")
        n = definitions(GLOSSARY, asked)
        if not n:
            st.markdown(":gray[No word like this.]")
    with right:
        section("Measures of a prediction")
        n = definitions(
            {
                metric.label: f"{metric.definition} {'Higher' if metric.best == 'high' else 'Lower'} is better."
                for metric in METRICS.values()
            },
            asked,
        )
        if not n:
            st.markdown(":gray[No measure like this.]")
