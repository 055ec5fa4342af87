"""Predict: what happens if these genes go, one perturbation, many, two against each other; and what makes a change."""

from __future__ import annotations

import streamlit as st

from app.ui import cache, comparing, many, prediction, wanted
from app.ui.answers import MOST_TARGETS, VIEWS, choose_genes, spelled, title
from app.ui.frame import guard, no_model, question
from app.ui.state import chosen_genes, chosen_versus, chosen_view, chosen_wanted, current, select
from app.ui.text import count
from hyperperturb.errors import HyperPerturbError


def choose_view(view: str) -> None:
    """The kinds of question."""
    st.session_state["view"] = view
    st.segmented_control(
        "View",
        list(VIEWS),
        key="view",
        required=True,
        format_func=VIEWS.get,
        label_visibility="collapsed",
        on_change=lambda: select(view=st.session_state["view"]),
    )


def one(inference, genes: list[str], known: list[str]) -> None:
    """One perturbation: the genes, then the answer."""
    genes = spelled(genes, known)  # from a list of many, A+B may be one of them
    if len(genes) > MOST_TARGETS:
        st.warning(
            f"The list has {count(len(genes))} genes; one combination may have {MOST_TARGETS}. They can be asked about "
            "one by one."
        )
        st.button("Predict each of them", key="each", on_click=select, kwargs={"view": "many"})
        return
    choose_genes(
        "Genes",
        "genes",
        genes,
        known,
        max_selections=MOST_TARGETS,
        placeholder="Type gene symbols",
        help="Several genes are asked about as one combined perturbation.",
    )
    if genes:
        prediction.show(inference, genes)
        return
    hubs = inference.genes[inference.genes["is_target"].astype(bool)].nlargest(6, "degree")["gene"]
    st.markdown(":gray[Choose one gene, or several for a combination. For example:]")
    with st.container(horizontal=True, gap="small", key="examples"):
        for name in hubs:
            st.button(str(name), key=f"example_{name}", on_click=select, kwargs={"genes": [str(name)]})


with guard():
    now = current()
    if now.run is None:
        question("What happens if a gene goes?")
        no_model(now, "Predictions come from a trained model.", key="predict")
    else:
        select(run=now.run.name)
        view, genes = chosen_view(list(VIEWS)), chosen_genes()
        try:
            inference = cache.inference(now.run)
        except HyperPerturbError:
            question(title(view, genes, now.run.config.mode))
            raise
        known = sorted(str(name) for name in inference.genes["gene"])
        mode = inference.config.mode
        if view == "many":
            found = many.asked(inference)
            question(title(view, genes, mode, n=len(found.targets)))
            choose_view(view)
            many.show(inference, found)
        else:
            question(title(view, genes, mode, versus=chosen_versus(), wanted=chosen_wanted()[:2]))
            choose_view(view)
            if view == "compare":
                comparing.show(inference, known)
            elif view == "wanted":
                wanted.show(now, inference)
            else:
                one(inference, genes, known)
