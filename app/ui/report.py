"""A finished run: the verdict first, the scores under it, what they were measured on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.ui import alt, cache, proteins, watch
from app.ui.frame import draw, facts, fold, go, section
from app.ui.text import GLOSSARY, duration, number, plain, signed, size
from hyperperturb.runs.cost import cost_of
from hyperperturb.runs.directory import RunDirectory


def show(run: RunDirectory) -> None:
    """Draw the report of a usable run."""
    found = run.metrics()
    known = cache.run_facts(run)
    with st.container(border=True, key="verdict"):
        st.markdown(
            f"**{'Ahead of' if known.ahead else 'Not ahead of'} the baselines.** {plain(known.verdict)}"
        )
        with st.container(horizontal=True):
            go("disk", "Explore the genes", key="report_disk", primary=True, run=run.name)
            go("predict", "Ask what a gene does", key="report_predict", run=run.name)
            go("evaluate", "See how good it is", key="report_evaluate", run=run.name)
    methods = pd.DataFrame(found.get("methods") or [])
    if not methods.empty:
        section("Scores on held-out genes", help=GLOSSARY["baseline"])
        _methods(methods)
    on_proteins = cache.metrics(run)
    proteins.scored(run, None if on_proteins is None else on_proteins.proteins)
    _details(run, found)


def _methods(methods: pd.DataFrame) -> None:
    from hyperperturb.plots.evaluation import method_scores

    figure = method_scores(methods, model=str(methods["name"].iloc[0]))
    draw(figure, "scores", key="method_scores", alt=alt.methods(methods), wide=True)


def _details(run: RunDirectory, found: dict) -> None:
    hub = found.get("hub_radius") or {}
    known = cache.run_facts(run)
    facts(
        [
            (
                "Radius against centrality",
                signed(hub.get("spearman")),
                "Rank correlation of a gene's distance from the middle with its centrality: −1 when the hubs are "
                "exactly in the order of their centrality from the middle outwards.",
            ),
            ("Curvature", number(found.get("curvature")), GLOSSARY["curvature"]),
            (
                "Fit of the points",
                number(found.get("fit")),
                "Correlation of exp(−distance) between gene points with the networks' similarity.",
            ),
            ("Trained in", duration(known.seconds), _spent(run)),
        ]
    )
    fold(
        "Loss curves",
        lambda: watch.draw_curves(run.history(), key="report", components=True),
        key=f"losses_{run.name}",
    )
    fold("Card of this run", lambda: _card(run), key=f"card_{run.name}")
    watch.log(run)
    with st.container(horizontal=True):
        watch.again(run)
        watch.remove(run)


def _spent(run: RunDirectory) -> str | None:
    """Device and memory of the training, as the help beside its time; None for runs that do not say."""
    took = cost_of(run)
    if took is None:
        return run.status.device or None
    peak = f", {size(took.peak_memory)} of memory at most" if took.peak_memory else ""
    return f"{took.device or 'device not known'}{peak}."


def _card(run: RunDirectory) -> None:
    st.markdown(run.card())
    st.download_button(
        "Download the card",
        run.card(),
        file_name=f"{run.name}.md",
        mime="text/markdown",
        on_click="ignore",
    )
