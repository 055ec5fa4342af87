"""Home: what this is, what is chosen, and the next step."""

from __future__ import annotations

import streamlit as st

from app.ui import cache, demo, guide
from app.ui.frame import facts, go, guard
from app.ui.picture import tree_mask
from app.ui.state import Current, current, usable
from app.ui.text import count, plain


def next_step(now: Current, done: int) -> None:
    """The one primary button, and quiet ways round it."""
    if done == 0 or demo.busy():
        demo.offer(primary=True, key="home")
        if not demo.busy():
            go("data", "Bring my own data", key="home_own")
    elif done == 1:
        go("controls", "Confirm controls", key="home_next", primary=True, dataset=now.dataset.name)
    elif done == 2 and now.active:
        go("train", "Watch the training", key="home_next", primary=True, run=now.active[0].name)
    elif done == 2:
        go("train", "Train a model", key="home_next", primary=True, dataset=now.dataset.name)
    else:
        go("disk", "Explore the genes", key="home_next", primary=True, run=now.run.name)
        go("predict", "Ask what a gene does", key="home_ask", run=now.run.name)


def steps(done: int) -> None:
    """The order of work, with what is done and what comes next."""
    columns = st.columns(len(guide.STEPS), gap="medium")
    for index, (column, step, state) in enumerate(
        zip(columns, guide.STEPS, guide.states(done), strict=True), start=1
    ):
        with column.container(key=f"step_{index}_{state}"):
            said = {"done": " :gray[done]", "next": " :primary[**next**]", "later": ""}[state]
            st.markdown(f"**{index} {step.name}**{said}  \n:gray[{step.about}]")


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
    done = guide.done_here(now, "home")
    words, picture = st.columns([1.25, 1], gap="large", vertical_alignment="center")
    with words:
        st.title("What does perturbing a gene do?", anchor=False)
        st.markdown(
            "HyperPerturb learns from a pooled CRISPR screen with single-cell readout and from networks of genes. "
            "It places the genes in hyperbolic space, hubs in the middle, and predicts what knocking out any of them "
            "would change. It says how good its predictions are against simple baselines, and refuses where the data "
            "give it no ground."
        )
        with st.container(horizontal=True, vertical_alignment="center", key="next_step"):
            next_step(now, done)
    with picture:
        st.html(tree_mask())
    st.space("small")
    steps(done)
    if now.dataset is not None:
        st.space("small")
        chosen(now)
