"""Poincaré disk: the genes of a run, hubs in the middle; a click shows what a gene does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components.poincare_disk import LABELS, poincare_disk
from app.ui import cache, gene_card
from app.ui.frame import empty_state, guard, question
from app.ui.state import chosen_gene, current, select
from app.ui.text import count, number

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

# Columns that colour and size may show, and whether they are categories.
COLOURS = {
    "community": True,
    "degree": False,
    "strength": False,
    "pagerank": False,
    "betweenness": False,
    "core": False,
    "eigenvector": False,
    "support": False,
    "control_mean": False,
    "n_perturbations": False,
    "is_target": True,
    "is_response": True,
}
PREDICTED = "predicted effect"


def word(column: str) -> str:
    """A column as people read it."""
    return {
        "strength": "link strength",
        "is_target": "perturbed or not",
        "is_response": "measured or not",
    }.get(column, LABELS.get(column, column.replace("_", " ")))


def controls(inference: HyperPerturbInference, gene: str) -> tuple[str, str]:
    """Search, colour and size; returns the columns chosen."""
    genes = inference.genes
    search, colour, size = st.columns([1.6, 1, 1])
    names = sorted(genes["gene"].astype(str))
    st.session_state["disk_search"] = gene if gene in names else None
    search.selectbox(
        "Find a gene",
        names,
        key="disk_search",
        index=None,
        placeholder="Type a symbol",
        on_change=lambda: select(gene=st.session_state["disk_search"] or ""),
    )
    there = [name for name in COLOURS if name in genes and genes[name].notna().any()]
    by = colour.selectbox(
        "Colour", [*there, PREDICTED] if gene else there, key="disk_colour", format_func=word
    )
    measures = [name for name in there if not COLOURS[name]]
    by_size = size.selectbox("Size", measures, key="disk_size", format_func=word)
    return by, by_size


@st.fragment
def explore(run_name: str) -> None:
    """The disk and the card; a click renews only these."""
    with guard():
        now = current()
        run = next(entry for entry in now.runs if entry.name == run_name)
        inference = cache.inference(run)
        gene = chosen_gene()
        colour, size = controls(inference, gene)
        table = inference.genes
        if colour == PREDICTED:
            table = with_prediction(inference, gene)
        picture, card = st.columns([2.1, 1], gap="large")
        with picture:
            picked = poincare_disk(
                table,
                color=colour,
                size=size,
                selected=gene or None,
                neighbours=inference.neighbours,
                categorical=COLOURS.get(colour, False),
                diverging=colour == PREDICTED,
                curvature=inference.curvature,
                height=680,
                key="disk",
                on_select=lambda name: select(gene=name or ""),
            )
        with card, st.container(key="gene_card"):
            if picked:
                gene_card.show(inference, picked, run=run_name)
            else:
                overview(inference)


def with_prediction(inference: HyperPerturbInference, gene: str):
    """The genes with the predicted effect of `gene` as one more column; empty where there is none."""
    try:
        effect = inference.predict_effects([gene]).table.set_index("gene")["effect"]
    except ValueError:
        effect = {}
    return inference.genes.assign(**{PREDICTED: inference.genes["gene"].map(effect).astype(float)})


def overview(inference: HyperPerturbInference) -> None:
    """What the card says before a gene is chosen."""
    genes = inference.genes
    hubs = genes.nlargest(6, "degree")
    st.markdown("### Choose a gene")
    st.markdown(
        ":gray[Click a point, or type a symbol. The card then shows who is near it and what perturbing it is predicted "
        "to do.]"
    )
    st.markdown("The six with the most links")
    with st.container(horizontal=True, gap="small", key="hubs"):
        for name in hubs["gene"]:
            st.button(str(name), key=f"hub_{name}", on_click=select, kwargs={"gene": str(name)})
    st.caption(
        f"{count(len(genes))} genes, {count(int(genes['is_target'].sum()))} of them perturbed. The space has curvature "
        f"−{number(inference.curvature)}; equal distances look shorter towards the rim."
    )


with guard():
    now = current()
    question("Which genes sit at the centre?")
    if now.run is None:
        empty_state(
            "No model yet",
            "The disk shows the genes as a trained model places them: hubs in the middle, periphery at the rim.",
            to="train" if now.dataset is not None and now.dataset.confirmed else "home",
            label="Train a model"
            if now.dataset is not None and now.dataset.confirmed
            else "See the next step",
            key="disk",
        )
    else:
        select(run=now.run.name)
        explore(now.run.name)
