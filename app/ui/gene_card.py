"""The card of one gene: what it is, where it sits, who is near, what losing it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt
from app.ui.answers import refusal_reason, support_line
from app.ui.frame import draw, go
from app.ui.state import select
from app.ui.text import GLOSSARY, count, number, ordinal, plain, plural

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference


def role(row: pd.Series, n_genes: int, rank: int) -> str:
    """What the gene is, in one line."""
    if rank <= max(3, round(0.03 * n_genes)):
        place = "Hub"
    elif rank <= 0.5 * n_genes:
        place = "Between hubs and periphery"
    else:
        place = "Periphery"
    parts = [place]
    if row.get("is_target"):
        parts.append("perturbed in this screen")
    if row.get("is_response"):
        parts.append("measured")
    if not row.get("is_target") and not row.get("is_response"):
        parts.append("known from the network only")
    return ", ".join(parts)


def measured(inference: HyperPerturbInference, gene: str) -> tuple[str, int] | None:
    """The screen's own perturbation of that gene alone: its label and how many genes it moves; else None."""
    effects = inference.effects
    label = next(
        (p for p, t in zip(effects.perturbations, effects.targets, strict=True) if t == (gene,)), None
    )
    if label is None:
        return None
    row = effects.index(label)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.abs(effects.effect[row]) > 3 * effects.standard_error[row]
    return label, int(np.nansum(moved))


def show(inference: HyperPerturbInference, gene: str, *, run: str, second: str = "") -> None:
    """Draw the card of `gene`, with its distance to the gene `second`."""
    genes = inference.genes
    found = genes.index[genes["gene"] == gene]
    if len(found) == 0:
        st.markdown(f"#### *{plain(gene)}*")
        st.markdown(":gray[This gene is not in the model’s universe.]", help=GLOSSARY["universe"])
        return
    row = genes.loc[found[0]]
    rank = int((genes["degree"] > row["degree"]).sum()) + 1
    st.markdown(f"### *{plain(gene)}*")
    st.markdown(f":gray[{role(row, len(genes), rank)}]")
    st.markdown(
        f"Rank **{count(rank)}** of {count(len(genes))} by number of links, **{number(float(row['radius']))}** from "
        "the middle",
        help=GLOSSARY["radius"],
    )
    if second:
        _apart(inference, gene, second)
    support_line(inference.support([gene]))
    _chips("Nearest", inference.nearest(gene, k=3), "nearest", gene)
    _chips("Inward", inference.inward(gene, k=3), "inward", gene)
    _chips("Outward", inference.outward(gene, k=3), "outward", gene)
    own = measured(inference, gene)
    if own is not None:
        label, moved = own
        cells = int(inference.effects.n_cells[inference.effects.index(label)])
        st.markdown(
            f"Measured: it moves {plural(moved, 'gene')} by more than three standard errors"
            + (f", in {plural(cells, 'cell')}." if cells else "."),
            help=GLOSSARY["standard error"],
        )
    _predicted(inference, gene)
    go("predict", "Open in Predict", key="card_predict", primary=True, run=run, genes=gene)


def _apart(inference: HyperPerturbInference, gene: str, second: str) -> None:
    """How far a second gene is, and how that compares with all others."""
    rank = inference.nearness(gene, second)
    st.markdown(
        f"**{number(inference.distance(gene, second))}** to *{plain(second)}*, "
        + (
            "the nearest gene"
            if rank == 1
            else f"the {ordinal(rank)} nearest of {count(len(inference.genes) - 1)} genes"
        ),
        help=GLOSSARY["hyperbolic distance"],
    )


def _chips(title: str, near: pd.DataFrame, kind: str, gene: str) -> None:
    names = [str(name) for name in near["gene"]] if len(near) else []
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"chips_{kind}"):
        help_text = {"nearest": "The genes at the smallest hyperbolic distance."}.get(kind) or GLOSSARY[kind]
        st.markdown(f":small[:gray[{title}]]", help=help_text, width="content")
        if not names:
            st.markdown(":small[none]", width="content")
        for name in names:
            st.button(
                plain(name),
                key=f"{kind}_{gene}_{name}",
                type="tertiary",
                on_click=select,
                kwargs={"gene": name},
            )


def _predicted(inference: HyperPerturbInference, gene: str) -> None:
    from hyperperturb.plots.effects import ranked_bars

    try:
        prediction = inference.predict_effects([gene])
    except ValueError as error:
        with st.container(key="refused_card"):
            st.markdown(refusal_reason(error))
        return
    st.markdown("**Predicted effect**, ten largest", help=GLOSSARY["effect"])
    name = f"effects-{gene}"
    draw(ranked_bars(prediction.table, n=10), name, key="card_bars", alt=alt.ranked(prediction.table, 10))
