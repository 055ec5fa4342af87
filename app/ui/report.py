"""A finished run: the verdict first, the scores under it, what they were measured on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.ui import cache, watch
from app.ui.frame import facts, go, section
from app.ui.text import GLOSSARY, duration, number, plain, signed
from hyperperturb.runs.directory import RunDirectory

SCORES = {
    "label": "Predictor",
    "error": "Error",
    "error_interval": "95 % interval",
    "pearson_control": "Correlation",
    "pearson_mean": "Beyond the mean",
    "cosine_discrimination": "Discrimination",
    "centroid_accuracy": "Centroid",
}
HELP = {
    "error": "Squared error on held-out genes, relative to predicting no change (1). Lower is better.",
    "error_interval": "Bootstrap over the held-out perturbations.",
    "pearson_control": "Correlation of predicted and measured effect over the response genes.",
    "pearson_mean": "The same after subtracting the mean effect of the training perturbations: what a predictor knows "
    "beyond the average perturbation.",
    "cosine_discrimination": "How often a prediction is closer to its own perturbation than to another. Chance is 0.5.",
    "centroid_accuracy": "How often the prediction ranks its own perturbation ahead of another one.",
}


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
    methods = pd.DataFrame(found.get("methods") or [])
    if not methods.empty:
        section("Scores on held-out genes", help=GLOSSARY["baseline"])
        _methods(methods)
    _details(run, found)


def _methods(methods: pd.DataFrame) -> None:
    from hyperperturb.plots.evaluation import method_scores

    with st.container(key="scores"):  # three panels need a width; on a phone they are scrolled
        st.plotly_chart(method_scores(methods, model=str(methods["name"].iloc[0])), key="method_scores")
    if {"error_low", "error_high"} <= set(methods):
        methods = methods.assign(
            error_interval=[
                f"{number(low)} to {number(high)}"
                for low, high in zip(methods["error_low"], methods["error_high"], strict=True)
            ]
        )
    methods = methods.sort_values("error", kind="stable")
    shown = [name for name in SCORES if name in methods and methods[name].notna().any()]
    st.dataframe(
        methods[shown],
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(SCORES[name], format="%.3f", help=HELP.get(name))
            if methods[name].dtype.kind == "f"
            else st.column_config.TextColumn(SCORES[name], help=HELP.get(name))
            for name in shown
        },
    )


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
            ("Trained in", duration(known.seconds), None),
        ]
    )
    with st.expander("Hubs in the middle"):
        from hyperperturb.plots.evaluation import hub_radius

        st.plotly_chart(hub_radius(cache.inference(run).genes), key="hub_radius")
    with st.expander("Loss curves"):
        watch.draw_curves(run.history(), key="report", components=True)
    with st.expander("Card of this run"):
        st.markdown(run.card())
        st.download_button(
            "Download the card",
            run.card(),
            file_name=f"{run.name}.md",
            mime="text/markdown",
            on_click="ignore",
        )
    with st.expander("Log"):
        st.code(watch.lines(watch.events(run)), language=None, height=200)
    watch.remove(run)
