"""A wanted change: genes that should rise and fall, and which interventions do that, with their sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt, cache
from app.ui.answers import choose_genes, not_ahead
from app.ui.frame import draw, section, table
from app.ui.ranking import ranking_columns
from app.ui.state import Current, chosen_wanted, select
from app.ui.text import listing, plain, plural

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

_EXAMPLES, _EXAMPLE_GENES = 4, 10


def show(now: Current, inference: HyperPerturbInference) -> None:
    """Ask for the lists, and rank the interventions."""
    if not inference.has_cells:
        st.info(
            "This run was trained on a table of effects, without cells. What the screen’s control cells look like is "
            "needed to weigh the genes of a wanted change: train on the screen itself."
        )
        return
    genes = list(inference.compared_genes)
    up, down, untested = chosen_wanted()
    left, right = st.columns(2, gap="large")
    options = {"placeholder": "Type or paste gene symbols"}
    with left:
        choose_genes("Genes that should rise", "up", up, genes, **options)
    with right:
        choose_genes("Genes that should fall", "down", down, genes, **options)
    st.session_state["wanted_untested"] = untested
    st.toggle(
        "Also genes that were never perturbed",
        key="wanted_untested",
        on_change=lambda: select(untested=st.session_state["wanted_untested"]),
        help="Every gene of the run whose prediction has support is a candidate too.",
    )
    there = set(genes)
    strangers = [gene for gene in (*up, *down) if gene not in there]
    both = [gene for gene in up if gene in set(down)]
    up = [gene for gene in up if gene in there and gene not in both]
    down = [gene for gene in down if gene in there and gene not in both]
    if strangers:
        st.warning(f"Not measured in this screen, and left out: {listing(map(plain, strangers), limit=12)}.")
    if both:
        st.warning(f"In both lists, and left out: {listing(map(plain, both), limit=12)}.")
    if not (up or down):
        st.markdown(
            ":gray[Name genes that should rise, that should fall, or both. Or undo what a perturbation does:]"
        )
        _examples(inference)
        return
    not_ahead(inference)
    _answer(cache.wanted(now.run, tuple(up), tuple(down), untested=untested), inference)


def _examples(inference: HyperPerturbInference) -> None:
    """Reversals of the strongest measured effects."""
    effects = inference.effects.restrict_genes(inference.compared_genes)
    size = np.nansum(np.square(effects.effect, dtype=float), axis=1)
    with st.container(horizontal=True, gap="small", key="examples"):
        for row in np.argsort(-size, kind="stable")[:_EXAMPLES]:
            order = np.argsort(effects.effect[row], kind="stable")
            order = order[~np.isin(np.array(effects.genes)[order], effects.targets[row])]
            lowered = [effects.genes[i] for i in order[:_EXAMPLE_GENES] if effects.effect[row, i] < 0]
            raised = [effects.genes[i] for i in order[::-1][:_EXAMPLE_GENES] if effects.effect[row, i] > 0]
            name = effects.perturbations[row]
            st.button(
                plain(name), key=f"undo_{name}", on_click=select, kwargs={"up": lowered, "down": raised}
            )


def _answer(ranking: pd.DataFrame, inference: HyperPerturbInference) -> None:
    from hyperperturb.plots.predictions import interventions

    wrong = ranking["sign"].head(5) == "wrong"
    draw(interventions(ranking), "interventions", key="wanted_bars", alt=alt.interventions(ranking))
    said = f"Beside each bar its probability, among {plural(len(ranking), 'perturbation')} and as many opposites."
    if wrong.any():
        said += f" The screen did {inference.config.mode}s; where the opposite would fit better, the bar points left."
    st.caption(said)
    section("Every intervention")
    shown = ranking.drop(columns="perturbation").rename(columns={"targets": "target"})
    shown.insert(0, "rank", np.arange(1, len(shown) + 1))
    event = table(
        shown,
        "interventions",
        key="wanted_table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            **ranking_columns(ranking, calibrated_on="perturbations"),
            "rank": st.column_config.NumberColumn("rank", width="small"),
            "intervention": st.column_config.TextColumn(
                "intervention", help="Where the screen's own would go the wrong way, the opposite is named."
            ),
        },
        column_order=("rank", "target", "intervention", "probability", "score", "evidence"),
    )
    rows = [row for row in event.selection.rows if row < len(ranking)]
    if not rows:
        st.caption("Choose a row to see all that it does.")
        return
    targets = ranking["targets"].iloc[rows[0]].split(" + ")
    st.button(
        f"Open {plain('+'.join(targets))}",
        key="wanted_open",
        on_click=select,
        kwargs={"genes": targets, "view": "one"},
    )
