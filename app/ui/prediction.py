"""Showing a prediction: support before numbers, the pictures, the table, the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt
from app.ui.frame import draw, facts, section
from app.ui.state import select
from app.ui.text import GLOSSARY, count, number, plain
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.models.inference import EffectPrediction, HyperPerturbInference, Support

LEVELS = {
    "measured": ("Measured", "primary"),
    "supported": ("Supported", "primary"),
    "weak": ("Weak support", "gray"),
    "none": ("No support", "gray"),
}


def support_line(support: Support, *, exact: bool = True) -> None:
    """How much ground the answer stands on, in a word and a sentence; `exact`: this very perturbation was measured."""
    word, colour = LEVELS[support.level]
    if support.level == "measured" and not exact:
        word = "Parts measured"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="support"):
        st.badge(word, color=colour, help=GLOSSARY["support"])
        st.markdown(plain(support.why))


def not_ahead(inference: HyperPerturbInference) -> None:
    """The quiet line beside every prediction of a model that is not ahead of the baselines."""
    if not inference.ahead:
        st.caption(f"This model is not ahead of the baselines on this dataset. {plain(inference.verdict)}")


def refusal_reason(error: Exception) -> str:
    """The sentence of a refusal, as Markdown; what could be asked instead stands in buttons beside it."""
    return plain(getattr(error, "message", "") or "The model cannot answer for this gene.")


def refusal(error: HyperPerturbError, genes: list[str]) -> None:
    """Why there is no number, and the nearest supported genes as buttons."""
    with st.container(key="refused", border=True):
        st.markdown(refusal_reason(error))
        nearest = [str(name) for name in getattr(error, "nearest", ())]
        if nearest:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown("Ask instead about", width="content")
                for name in nearest[:6]:
                    st.button(plain(name), key=f"instead_{name}", on_click=select, kwargs={"genes": [name]})
        if len(genes) > 1:
            st.caption("Or take the gene out of the question.")


def show(inference: HyperPerturbInference, prediction: EffectPrediction) -> None:
    """The prediction in figures, pictures and a table."""
    from hyperperturb.plots.effects import (
        additive_vs_predicted,
        predicted_vs_measured,
        ranked_bars,
        volcano,
    )

    table, name = prediction.table, "_".join(prediction.targets)
    has_measured = bool(table["measured"].notna().any())
    _figures(prediction, has_measured)
    left, right = st.columns(2, gap="large")
    with left:
        section("Effect against certainty", help=GLOSSARY["effect"] + " " + GLOSSARY["standard error"])
        draw(volcano(table), f"volcano-{name}", key="volcano", alt=alt.volcano(table))
    with right:
        section("Largest effects")
        draw(ranked_bars(table, n=20), f"largest-{name}", key="bars", alt=alt.ranked(table, 20))
    interaction = prediction.interaction
    if interaction is not None:
        section("Sum of the genes against the combination", help=GLOSSARY["interaction"])
        st.markdown(plain(interaction.sentence))
        if interaction.found:
            parts = interaction.table
            said = alt.agreement(
                parts["additive"],
                parts["additive"] + parts["interaction"],
                across="sum of the single effects",
                upwards="prediction",
            )
            draw(additive_vs_predicted(parts), f"interaction-{name}", key="additive", alt=said)
    if has_measured:
        left, right = st.columns(2, gap="large")
        with left:
            section("Predicted against measured")
            said = alt.agreement(
                table["effect"], table["measured"], across="predicted effect", upwards="measured effect"
            )
            draw(predicted_vs_measured(table), f"measured-{name}", key="against", alt=said)
        with right:
            _table(prediction)
    else:
        _table(prediction)


def correlation(table: pd.DataFrame, targets: tuple[str, ...]) -> float:
    """Correlation of predicted and measured effect over the genes that were not themselves perturbed."""
    both = table[table["measured"].notna() & table["effect"].notna() & ~table["gene"].isin(targets)]
    if len(both) < 3 or both["measured"].std() == 0 or both["effect"].std() == 0:
        return float("nan")
    return float(np.corrcoef(both["effect"], both["measured"])[0, 1])


def _figures(prediction: EffectPrediction, has_measured: bool) -> None:
    table = prediction.table
    certain = table["effect"].abs() > 2 * table["standard_error"]
    values = [
        ("Strength", number(prediction.strength), GLOSSARY["strength"]),
        (
            "Genes up",
            count(int((certain & (table["effect"] > 0)).sum())),
            "Genes predicted up by more than two standard errors.",
        ),
        (
            "Genes down",
            count(int((certain & (table["effect"] < 0)).sum())),
            "Genes predicted down by more than two standard errors.",
        ),
    ]
    interaction = prediction.interaction
    if interaction is not None and interaction.found:
        values.append(
            (
                "Interaction",
                f"{number(interaction.score)} ± {number(interaction.standard_error)}",
                f"{interaction.sentence} {GLOSSARY['interaction']}",
            )
        )
    if has_measured:
        values.append(
            (
                "Correlation with measured",
                number(correlation(table, tuple(prediction.targets))),
                "Over the response genes, without the perturbed genes themselves. The model has seen this "
                "measurement unless the perturbation was left out of its training.",
            )
        )
    facts(values)


def _table(prediction: EffectPrediction) -> None:
    section("All response genes")
    table = prediction.table
    shown = table.reindex(table["effect"].abs().sort_values(ascending=False, kind="stable").index)
    shown = shown.dropna(axis=1, how="all")
    st.dataframe(
        shown,
        hide_index=True,
        height=380,
        column_config={
            "gene": "gene",
            "effect": st.column_config.NumberColumn("effect (ln)", format="%.3g", help=GLOSSARY["effect"]),
            "standard_error": st.column_config.NumberColumn(
                "± standard error", format="%.3g", help=GLOSSARY["standard error"]
            ),
            "measured": st.column_config.NumberColumn("measured (ln)", format="%.3g"),
            "measured_standard_error": st.column_config.NumberColumn("± measured", format="%.3g"),
        },
    )
    st.download_button(
        "Download the prediction",
        data=lambda: table.to_csv(index=False).encode(),
        file_name=f"effects-{'_'.join(prediction.targets)}.csv",
        mime="text/csv",
        key="download_prediction",
        on_click="ignore",
    )
