"""The guide: five steps from nothing to a prediction, on the demo; where one is follows from what there is."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.components.guide import guide_line
from app.ui import demo
from app.ui.routes import page
from app.ui.state import Current, chosen_gene, chosen_genes, usable


@dataclass(frozen=True)
class Step:
    """One step: its name, its page, what it is about, and what to do on the demo."""

    name: str
    page: str
    about: str
    task: str


STEPS = (
    Step(
        "Data",
        "data",
        "Load the demo, or bring a screen of your own.",
        "Load the demo screen, simulated cells whose true effects are known.",
    ),
    Step(
        "Controls",
        "controls",
        "Say which cells were left alone.",
        "Confirm the proposed control cells: every effect is measured against them.",
    ),
    Step(
        "Train",
        "train",
        "Watch a model learn from screen and network.",
        "Start a training (Quick takes about a minute), then read its verdict.",
    ),
    Step(
        "Explore",
        "disk",
        "See the genes as the model places them.",
        "Click a gene in the disk, hub or periphery; its card leads to Predict.",
    ),
    Step(
        "Predict",
        "predict",
        "Ask what a gene does.",
        "Choose a gene: what would perturbing it change, and how sure is that?",
    ),
)
DONE = "That is the whole way. Next, bring a screen of your own."


def steps_done(now: Current, *, explored: bool = False, asked: bool = False) -> int:
    """How many of the five steps are behind, from 0 to 5."""
    if now.dataset is None and not usable(now.run):
        return 0
    if not usable(now.run):
        return 2 if now.dataset.confirmed else 1
    return 5 if asked else 4 if explored else 3


def done_here(now: Current, page_key: str) -> int:
    """As `steps_done`, with what this session has looked at: a gene in the disk, an answer on Predict."""
    if page_key == "predict" and chosen_genes() and usable(now.run):
        st.session_state["asked"] = True
    return steps_done(
        now, explored=bool(chosen_gene()), asked=bool(st.session_state.get("asked")) and usable(now.run)
    )


def states(done: int) -> list[str]:
    """Of every step: ``"done"``, ``"next"`` or ``"later"``."""
    return ["done" if i < done else "next" if i == done else "later" for i in range(len(STEPS))]


def line(now: Current, page_key: str) -> None:
    """The line on top of a page, for who is at the beginning or on the demo; on Home only the way back to it."""
    done = done_here(now, page_key)
    newcomer = now.dataset is None or now.dataset.name == demo.JOB
    if not newcomer:
        return
    finished = done == len(STEPS)
    to = "data" if finished else STEPS[done].page
    count = "Guide, done" if finished else f"Guide, step {done + 1} of {len(STEPS)}"
    words = DONE if finished else STEPS[done].task
    button = "Bring your own" if finished else f"Go to {STEPS[done].name}"
    way = "" if page_key in (to, "home") else "guide_way"
    with st.container(key="guide"):
        guide_line(
            count,
            "" if page_key == "home" else words,
            states(done),
            go=button if way else "",
            way=way,
            offer=page_key == "home",
            key="guide_line",
        )
        if way:  # not seen: the button of the line follows it
            with st.container(key=way):
                st.page_link(page(to), label=button)
