"""A gene set gathered in the disk: who is in it, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.ui.frame import go, section
from app.ui.state import Current, chosen_gene_set, select
from app.ui.text import italic, listing, plural

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference


def show(now: Current, inference: HyperPerturbInference, *, run: str) -> None:
    """The section under the disk; a fold with a way to type a set while there is none."""
    genes = chosen_gene_set()
    if not genes:
        with st.expander("Work with a set of genes"):
            st.markdown(
                ":gray[Draw a loop around genes with the lasso in the picture (or press L and Enter on the keyboard), or "
                "list them here.]"
            )
            _edit(inference, genes)
        return
    section("The gene set", help="Gathered with the lasso, or listed by hand. It is part of the address.")
    st.markdown(f"{plural(len(genes), 'gene')}: {listing(italic(genes), limit=25)}.")
    with st.container(horizontal=True, gap="small"):
        go("predict", "Predict all of them", key="set_predict", primary=True, run=run, genes=",".join(genes), view="many")
        st.button("Let the set go", key="set_clear", on_click=select, kwargs={"gene_set": ()})
        with st.popover("Edit the set"):
            _edit(inference, genes)


def _edit(inference: HyperPerturbInference, genes: list[str]) -> None:
    st.session_state["set_words"] = ", ".join(genes)
    known = {name.casefold(): name for name in inference.genes["gene"].astype(str)}

    def changed() -> None:
        words = st.session_state["set_words"].replace(",", " ").replace(";", " ").split()
        found = [known.get(word.casefold(), "") for word in words]
        st.session_state["set_unknown"] = [word for word, name in zip(words, found, strict=True) if not name]
        select(gene_set=list(dict.fromkeys(name for name in found if name)))

    st.text_area(
        "Genes, separated by commas, spaces or lines", key="set_words", on_change=changed, height=120
    )
    if unknown := st.session_state.pop("set_unknown", []):
        st.warning(f"Not in the universe of this run, and left out: {listing(italic(unknown))}.")
