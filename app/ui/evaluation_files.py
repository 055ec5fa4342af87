"""The report of a run as files: Markdown for people, JSON for programs, the figures as one HTML page."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import streamlit as st

from app.ui import cache
from app.ui.frame import section
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hyperperturb.evaluation.report import RunMetrics


def downloads(run: RunDirectory, found: RunMetrics, chosen: str) -> None:
    """Three buttons; the page of figures is made when it is asked for."""
    section("Take the report with you")
    with st.container(horizontal=True):
        st.download_button(
            "Report (Markdown)",
            lambda: markdown(cache.run_facts(run).title, run.name, found),
            file_name=f"{run.name}-evaluation.md",
            mime="text/markdown",
            on_click="ignore",
        )
        st.download_button(
            "Scores (JSON)",
            lambda: found.model_dump_json(indent=1),
            file_name=f"{run.name}-metrics.json",
            mime="application/json",
            on_click="ignore",
        )
        st.download_button(
            "Figures (HTML)",
            lambda: figures(run, found, chosen),
            file_name=f"{run.name}-figures.html",
            mime="text/html",
            on_click="ignore",
            help="One page that opens in any browser, without a connection.",
        )


def markdown(title: str, name: str, found: RunMetrics) -> str:
    """The report as Markdown; the verdict is its first sentence."""
    from hyperperturb.evaluation.report import held_out_lines

    rho = found.hub_radius.get("spearman")
    lines = [
        f"# How good are the predictions of {title}?",
        "",
        found.verdict,
        "",
        f"Run `{name}`.",
        "",
        *held_out_lines(found),
        "## The space",
        "",
        f"Rank correlation of radius with degree {'–' if rho is None else f'{rho:.3f}'}, curvature "
        f"{found.curvature:.3g}, correlation of exp(−distance) with the networks' similarity {found.fit:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def figures(run: RunDirectory, found: RunMetrics, chosen: str) -> str:
    """The figures of the page, as one HTML document that needs no connection."""
    from hyperperturb.plots.document import CAPTIONS, figures_page, report_figures
    from hyperperturb.plots.evaluation import hub_radius
    from hyperperturb.plots.held_out import left_out_scatter

    drawn = report_figures(found.model_dump(mode="json"), chosen=chosen)
    shown = [(CAPTIONS[name], figure) for name, figure in drawn.items()]
    shown.append(("Do hubs sit in the middle?", hub_radius(cache.inference(run).genes)))
    if chosen:
        with suppress(HyperPerturbError):  # a run whose head cannot leave one out; the page says why
            one = left_out_scatter(cache.left_out(run, chosen))
            shown.insert(2, (f"{chosen}, predicted from the others", one))
    return figures_page(cache.run_facts(run).title, found.verdict, shown)
