"""Many perturbations, one by one: a pasted list, what was understood of it, the map of effects, the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt
from app.ui.answers import csv_button, h5ad_button, not_ahead
from app.ui.frame import draw, section, table
from app.ui.state import chosen_genes, select
from app.ui.text import GLOSSARY, count, listing, plain, plural
from hyperperturb.data.perturbation_list import PerturbationList, read_perturbations
from hyperperturb.models.predictions import Predictions, cluster_order, perturbation_name, predict_many

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

MOST = 500
"""Perturbations answered at once."""
ORDERS = {"alike": "Like beside like", "strength": "Strongest first", "listed": "As listed"}
GENES = (30, 60, 120)


def asked(inference: HyperPerturbInference) -> PerturbationList:
    """What the address asks for, as far as the run knows its genes."""
    known = inference.genes["gene"].astype(str)
    return read_perturbations("\n".join(chosen_genes()), set(known), control=inference.effects.control)


def show(inference: HyperPerturbInference, found: PerturbationList) -> None:
    """The list, what became of it, the map and the table."""
    if not chosen_genes():
        _edit(inference)
        return
    with st.expander(f"Change the list ({count(len(found.targets) + len(found.unknown))})"):
        _edit(inference)
    _unknown(found)
    if not found.targets:
        return
    if len(found.targets) > MOST:
        st.warning(f"The list names {count(len(found.targets))} perturbations; the first {MOST} are shown.")
    answer = predict_many(inference, found.targets[:MOST])
    _support(answer)
    not_ahead(inference)
    if len(answer):
        _map(answer)
        _table(answer)
        name = f"effects-of-{len(answer)}"
        with st.container(horizontal=True, gap="small", key="files"):
            csv_button(answer.table(), "Download all effects (CSV)", name, key="download_effects")
            h5ad_button(inference, answer, name=name)


def _edit(inference: HyperPerturbInference) -> None:
    st.session_state["many_text"] = "\n".join(chosen_genes())

    def changed() -> None:
        known = set(inference.genes["gene"].astype(str))
        text = st.session_state["many_text"]
        found = read_perturbations(text, known, control=inference.effects.control)
        select(genes=[*map(perturbation_name, found.targets), *found.unknown])

    st.text_area(
        "Perturbations",
        key="many_text",
        height=180,
        on_change=changed,
        placeholder="Paste gene symbols, separated by lines, commas or blanks",
        help="A+B is a combination. Upper and lower case do not matter.",
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Predict all", key="many_go", type="primary"
        )  # leaving the field has taken the text over already
        tested = [perturbation_name(targets) for targets in inference.effects.targets]
        st.button(
            f"Take all that were measured ({count(min(len(tested), MOST))})",
            key="many_measured",
            on_click=select,
            kwargs={"genes": list(dict.fromkeys(tested))[:MOST]},
        )


def _unknown(found: PerturbationList) -> None:
    if not found.unknown:
        return
    said = [
        f"**{plain(name)}**" + (f" (perhaps {listing(map(plain, like), last='or')})" if like else "")
        for name, like in found.unknown.items()
    ]
    st.warning(f"Not recognised: {listing(said, limit=12)}.", icon=None)


def _support(answer: Predictions) -> None:
    levels = pd.Series([support.level for support in answer.support]).value_counts()
    words = {"measured": "measured", "supported": "supported", "weak": "weakly supported"}
    parts = [f"{count(int(levels[level]))} {word}" for level, word in words.items() if level in levels]
    said = f"{plural(len(answer), 'prediction')}" + (f": {listing(parts)}." if parts else ".")
    with st.container(key="many_support"):
        st.markdown(said, help=GLOSSARY["support"])
        if answer.refused:
            with st.expander(f"No prediction for {count(len(answer.refused))}"):
                table(
                    pd.DataFrame(
                        [(r.name, r.why, ", ".join(r.nearest)) for r in answer.refused],
                        columns=["perturbation", "why", "ask instead about"],
                    ),
                    "refused",
                    key="many_refused",
                )


def _map(answer: Predictions) -> None:
    from hyperperturb.plots.predictions import effect_map

    section("Effects, side by side", help=GLOSSARY["effect"])
    left, right = st.columns([2, 1])
    order = left.segmented_control(
        "Order", list(ORDERS), key="many_order", default="alike", required=True, format_func=ORDERS.get
    )
    most = right.segmented_control("Response genes shown", GENES, key="many_genes", default=60, required=True)
    columns = answer.strongest_genes(int(most))
    response = answer.response[:, columns]
    rows = np.arange(len(answer))
    if order == "alike":
        rows = cluster_order(response)
        across = cluster_order(response.T)
        columns, response = columns[across], response[:, across]
    elif order == "strength":
        rows = np.argsort(-np.nansum(answer.response**2, axis=1), kind="stable")
    names, genes = np.array(answer.names)[rows], np.array(answer.genes)[columns]
    values = pd.DataFrame(response[rows], index=names, columns=genes)
    errors = pd.DataFrame(answer.standard_error[np.ix_(rows, columns)], index=names, columns=genes)
    draw(
        effect_map(values, errors),
        "effects-of-many",
        key=f"many_map_{order}_{most}",
        alt=alt.effect_map(values),
    )
    st.caption(
        f"The {count(len(genes))} response genes that these perturbations move most. Empty: the target itself."
    )


def _table(answer: Predictions) -> None:
    section("Every perturbation")
    summary = answer.summary()
    event = table(
        summary,
        "perturbations",
        key="many_table",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "support": st.column_config.TextColumn("support", help=GLOSSARY["support"]),
            "strength": st.column_config.NumberColumn("strength", format="%.3g", help=GLOSSARY["strength"]),
            "genes_up": st.column_config.NumberColumn(
                "genes up", help="Up by more than two standard errors."
            ),
            "genes_down": st.column_config.NumberColumn(
                "genes down", help="Down by more than two standard errors."
            ),
            "measured": None,  # the support says it
            "most_up": "most up",
            "most_down": "most down",
        },
    )
    chosen = [answer.targets[i] for i in event.selection.rows if i < len(answer)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="many_chosen"):
        if not chosen:
            st.caption("Choose a row to open it, two to compare them.")
        elif len(chosen) == 1:
            name = plain(perturbation_name(chosen[0]))
            st.button(
                f"Open {name}", key="many_open", on_click=select, kwargs={"genes": chosen[0], "view": "one"}
            )
        elif len(chosen) == 2:
            names = [plain(perturbation_name(targets)) for targets in chosen]
            st.button(
                f"Compare {names[0]} with {names[1]}",
                key="many_compare",
                on_click=select,
                kwargs={"genes": chosen[0], "versus": chosen[1], "view": "compare"},
            )
        else:
            st.button(
                f"Keep only these {len(chosen)}",
                key="many_keep",
                on_click=select,
                kwargs={"genes": [perturbation_name(targets) for targets in chosen]},
            )
