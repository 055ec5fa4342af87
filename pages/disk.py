"""Poincaré disk: the genes of a run, hubs in the middle; a click shows what a gene does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.components.poincare_disk import poincare_disk
from app.ui import cache, disk_look, disk_truth, gene_card, gene_set
from app.ui.frame import guard, no_model, question
from app.ui.state import chosen_gene, chosen_gene_set, current, select
from app.ui.text import count, number

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference


@st.fragment
def explore(run_name: str) -> None:
    """The disk and the card; a click renews only these."""
    with guard():
        now = current()
        run = next(entry for entry in now.runs if entry.name == run_name)
        inference = cache.inference(run)
        gene = chosen_gene()
        look = disk_look.choose(inference, gene)
        picture, card = st.columns([2.1, 1], gap="large")
        with picture:
            picked = poincare_disk(
                look.table,
                color=look.colour,
                size=look.size,
                hubs=look.hubs,
                selected=gene or None,
                second=look.second or None,
                second_distance=inference.distance(gene, look.second) if look.second else None,
                neighbours=inference.neighbours,
                gene_set=chosen_gene_set(),
                categorical=look.categorical,
                diverging=look.colour == disk_look.PREDICTED,
                curvature=inference.curvature,
                height=680,
                key="disk",
                on_select=lambda name: select(gene=name or "", second=""),
                on_second=lambda name: select(second=name or ""),
                on_lasso=lambda names: select(gene_set=names or ()),
                file_name=f"disk-{run_name}",
            )
            disk_truth.show(run)
        with card, st.container(key="gene_card"):
            if picked:
                gene_card.show(inference, picked, run=run_name, second=look.second)
            else:
                overview(inference, look.hubs)
        gene_set.show(now, inference, run=run_name)
        if st.toggle("Show the genes as a table", key="disk_table"):
            disk_look.as_table(look, name=f"genes-{run_name}")


def overview(inference: HyperPerturbInference, by: str) -> None:
    """What the card says before a gene is chosen."""
    genes = inference.genes
    hubs = genes.nlargest(6, by)
    st.markdown("### Choose a gene")
    st.markdown(
        ":gray[Click a point, or type a symbol. The card then shows who is near it and what perturbing it is predicted "
        "to do.]"
    )
    st.markdown(f"The six largest by {disk_look.word(by)}")
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
        no_model(
            now,
            "The disk shows the genes as a trained model places them: hubs in the middle, periphery at the rim.",
            key="disk",
        )
    else:
        select(run=now.run.name)
        explore(now.run.name)
