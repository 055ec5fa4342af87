"""Predict: what happens if these genes go."""

from __future__ import annotations

import streamlit as st

from app.ui import cache, prediction
from app.ui.frame import empty_state, guard, question
from app.ui.state import chosen_genes, current, select
from app.ui.text import HAPPENS, HAPPENS_PLURAL, italic, listing
from hyperperturb.errors import HyperPerturbError


def title(genes: list[str], mode: str) -> str:
    """The question as a sentence with the genes in it."""
    if not genes:
        return f"What happens if a gene {HAPPENS[mode]}?"
    verb = HAPPENS[mode] if len(genes) == 1 else HAPPENS_PLURAL[mode]
    return f"What happens if {listing(italic(genes))} {verb}?"


def spelled(names: list[str], known: list[str]) -> list[str]:
    """The names as the universe spells them, where it knows them in another case; unknown ones as typed."""
    by_fold = {name.casefold(): name for name in known}
    out = [name if name in known else by_fold.get(name.strip().casefold(), name.strip()) for name in names]
    return list(dict.fromkeys(name.replace(",", " ").strip() for name in out if name.strip(" ,")))


def ask(genes: list[str], known: list[str]) -> None:
    """The genes of the question, by name; names that the model does not know may be typed."""
    st.session_state["ask"] = genes
    st.multiselect(
        "Genes",
        [*known, *(name for name in genes if name not in known)],
        key="ask",
        max_selections=8,
        accept_new_options=True,
        placeholder="Type gene symbols",
        help="Several genes are asked about as one combined perturbation.",
        on_change=lambda: select(genes=spelled(st.session_state["ask"], known)),
    )


with guard():
    now = current()
    if now.run is None:
        question("What happens if a gene goes?")
        empty_state(
            "No model yet",
            "Predictions come from a trained model.",
            to="train" if now.dataset is not None and now.dataset.confirmed else "home",
            label="Train a model"
            if now.dataset is not None and now.dataset.confirmed
            else "See the next step",
            key="predict",
        )
    else:
        select(run=now.run.name)
        genes = chosen_genes()
        try:
            inference = cache.inference(now.run)
        except HyperPerturbError:
            question(title(genes, now.run.config.mode))
            raise
        question(title(genes, inference.config.mode))
        known = sorted(str(name) for name in inference.genes["gene"])
        ask(genes, known)
        if not genes:
            hubs = inference.genes[inference.genes["is_target"].astype(bool)].nlargest(6, "degree")["gene"]
            st.markdown(":gray[Choose one gene, or several for a combination. For example:]")
            with st.container(horizontal=True, gap="small", key="examples"):
                for name in hubs:
                    st.button(
                        str(name), key=f"example_{name}", on_click=select, kwargs={"genes": [str(name)]}
                    )
        else:
            try:
                answer = inference.predict_effects(genes)
            except HyperPerturbError as error:
                prediction.refusal(error, genes)
            else:
                prediction.support_line(answer.support, exact=bool(answer.table["measured"].notna().any()))
                prediction.not_ahead(inference)
                prediction.show(inference, answer)
