"""A gene set gathered in the disk: who is in it, which terms it is rich in, and what can be asked about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.ui import alt, cache
from app.ui.frame import draw, go, section, sentence, table
from app.ui.state import Current, chosen_gene_set, select
from app.ui.text import count, italic, listing, plural
from hyperperturb.data.genes import speller

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference


def show(now: Current, inference: HyperPerturbInference, *, run: str) -> None:
    """The section under the disk; a fold with a way to list a set while there is none."""
    genes = chosen_gene_set()
    if unknown := st.session_state.pop("set_unknown", []):
        st.warning(f"Not in the universe of this run, and left out: {listing(italic(unknown))}.")
    if not genes:
        with st.expander("Work with a set of genes"):
            st.markdown(
                ":gray[Draw a loop around genes with the lasso in the picture (on the keyboard: L, then Enter), "
                "or list them here.]"
            )
            _edit(inference, genes)
        return
    section("The gene set", help="Gathered with the lasso, or listed by hand; the address keeps it.")
    st.markdown(f"{plural(len(genes), 'gene')}: {listing(italic(genes), limit=25)}.")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        go(
            *("predict", "Predict all of them"),
            key="set_predict",
            primary=True,
            run=run,
            genes=",".join(genes),
            view="many",
        )
        st.button("Clear the set", key="set_clear", on_click=select, kwargs={"gene_set": ()})
        with st.popover("Edit the set"):
            _edit(inference, genes)
    _terms(now, inference, genes)


def _edit(inference: HyperPerturbInference, genes: list[str]) -> None:
    st.session_state["set_words"] = ", ".join(genes)
    spell = speller(inference.genes["gene"].astype(str))

    def changed() -> None:
        words = st.session_state["set_words"].replace(",", " ").replace(";", " ").split()
        found = [spell(word) for word in words]
        st.session_state["set_unknown"] = [word for word, name in zip(words, found, strict=True) if not name]
        select(gene_set=list(dict.fromkeys(name for name in found if name)))

    st.text_area(
        "Genes, separated by commas, spaces or lines", key="set_words", on_change=changed, height=120
    )


def _terms(now: Current, inference: HyperPerturbInference, genes: list[str]) -> None:
    """The terms that the set is rich in, over a file of terms that the reader has added."""
    from hyperperturb.evaluation.enrichment import MAX_SIZE, MIN_SIZE
    from hyperperturb.plots.enrichment import enriched_terms

    files = _term_files(now, inference)
    st.markdown("**What do they have in common?**")
    if not files:
        st.markdown(
            ":gray[No file here has terms of these genes. Add one on the page Train, under “Add a network”: gene sets "
            "(`.gmt`, such as Reactome’s pathways), pairs of gene and GO term, or GO annotation (GAF).]"
        )
        return
    path = st.selectbox("Terms of", files, key="set_terms", format_func=lambda file: file.name, width=420)
    try:
        found = cache.enrichment(path, tuple(genes), inference)
    except Exception as error:  # noqa: BLE001 - one file must not take the set away
        st.error(sentence(error))
        return
    numbers = found.attrs
    sure = int((found["q_value"] < 0.05).sum())
    many = found[found["in_set"] > 1]
    st.caption(
        f"Fisher’s exact test over {plural(numbers['n_tested'], 'term')} of {MIN_SIZE} to {MAX_SIZE} genes, against "
        f"the {count(numbers['n_background'])} genes of this run that have a term; {count(numbers['n_set'])} of the "
        f"set do. {plural(sure, 'term')} below a false discovery rate of 5 % (Benjamini–Hochberg)."
    )
    if path in _networks(inference):
        st.caption(
            "This file is also one of the networks that placed the genes: that genes lying together share its terms is "
            "in part by construction."
        )
    draw(enriched_terms(many), "enriched-terms", key="set_figure", alt=alt.terms(many))
    st.caption("Beside each dot the number of genes of the set that have the term.")
    table(
        found,
        "enriched-terms",
        key="set_table",
        column_config={
            "term": st.column_config.TextColumn(width="large"),
            "in_set": "in the set",
            "in_background": "in the run",
            "expected": st.column_config.NumberColumn("by chance", format="%.2f"),
            "fold": st.column_config.NumberColumn("times chance", format="%.1f"),
            "p_value": st.column_config.NumberColumn("p", format="%.1e"),
            "q_value": st.column_config.NumberColumn("false discovery rate", format="%.1e"),
        },
    )


def _term_files(now: Current, inference: HyperPerturbInference) -> list[Path]:
    """Files with terms of the run's genes, among the networks of the workspace, of the dataset and of the run."""
    from hyperperturb.runs.datasets import list_networks

    own = list(now.dataset.networks) if now.dataset is not None else []
    paths = dict.fromkeys([*list_networks(now.workspace), *own, *_networks(inference)])
    known = frozenset(inference.genes["gene"].astype(str))
    return [path for path in paths if path.is_file() and cache.has_terms(path, known)]


def _networks(inference: HyperPerturbInference) -> list[Path]:
    """The networks that placed the genes of the run."""
    return [Path(source.path) for source in inference.config.networks]
