"""Home: what this is, what is chosen, and the next step."""

from __future__ import annotations

import streamlit as st

from app.ui import cache, demo
from app.ui.frame import facts, go, guard
from app.ui.picture import tree_mask
from app.ui.state import Current, current, usable
from app.ui.text import count, plain

STEPS = (
    ("Data", "Load the demo, or bring a screen of your own."),
    ("Controls", "Say which cells were left alone."),
    ("Train", "Watch a model learn from screen and network."),
    ("Explore", "Look at the genes; ask what each one does."),
)


def step_of(now: Current) -> int:
    """Which of the four steps comes next."""
    if usable(now.run):
        return 3
    if now.dataset is None:
        return 0
    return 2 if now.dataset.confirmed else 1


def next_step(now: Current, step: int) -> None:
    """The one primary button, and quiet ways round it."""
    if step == 0 or demo.busy():
        demo.offer(primary=True, key="home")
        if not demo.busy():
            go("data", "Bring my own data", key="home_own")
    elif step == 1:
        go("controls", "Confirm controls", key="home_next", primary=True, dataset=now.dataset.name)
    elif step == 2 and now.active:
        go("train", "Watch the training", key="home_next", primary=True, run=now.active[0].name)
    elif step == 2:
        go("train", "Train a model", key="home_next", primary=True, dataset=now.dataset.name)
    else:
        go("disk", "Explore the genes", key="home_next", primary=True, run=now.run.name)
        go("predict", "Ask what a gene does", key="home_ask", run=now.run.name)


def steps(step: int) -> None:
    """The order of work, with what is done and what comes next."""
    columns = st.columns(4, gap="medium")
    for index, (column, (name, what)) in enumerate(zip(columns, STEPS, strict=True)):
        state = "done" if index < step else "next" if index == step else ""
        with column.container(key=f"step_{index}_{state or 'later'}"):
            mark = f" :primary[**{state}**]" if state == "next" else f" :gray[{state}]" if state else ""
            st.markdown(f"**{index + 1} {name}**{mark}  \n:gray[{what}]")


def chosen(now: Current) -> None:
    """The current dataset and model, in figures."""
    left, right = st.columns(2, gap="medium")
    if now.dataset is not None:
        with left.container(border=True, height="stretch"):
            st.markdown(f":small[:gray[Dataset]]  \n**{plain(now.dataset.title)}**")
            report = now.dataset.report
            if report is not None:
                facts([("cells", count(report.n_cells), None), ("genes", count(report.n_genes), None)])
            st.caption("controls confirmed" if now.dataset.confirmed else "controls not confirmed yet")
    if usable(now.run):
        with right.container(border=True, height="stretch"):
            run = cache.run_facts(now.run)
            st.markdown(f":small[:gray[Model]]  \n**{plain(run.title)}**")
            st.markdown(plain(run.verdict))


with guard():
    demo.follow()
    now = current()
    step = step_of(now)
    words, picture = st.columns([1.25, 1], gap="large", vertical_alignment="center")
    with words:
        st.title("What does perturbing a gene do?", anchor=False)
        st.markdown(
            "HyperPerturb learns from a pooled CRISPR screen with single-cell readout and from networks of genes. "
            "It places the genes in hyperbolic space, hubs in the middle, and predicts what knocking out any of them "
            "would change. It says how good its predictions are against simple baselines, and refuses where the data "
            "give it no ground."
        )
        with st.container(horizontal=True, key="next_step"):
            next_step(now, step)
    with picture:
        st.html(tree_mask())
    st.space("small")
    steps(step)
    if now.dataset is not None:
        st.space("small")
        chosen(now)
