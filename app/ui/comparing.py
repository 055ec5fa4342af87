"""Two perturbations side by side: how alike their effects are, where they differ, how far apart they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.ui import alt
from app.ui.answers import (
    MOST_TARGETS,
    choose_genes,
    csv_button,
    gene_table,
    h5ad_button,
    not_ahead,
    refusal,
    spelled,
    support_line,
)
from app.ui.frame import draw, facts, section
from app.ui.prediction import choose_picture
from app.ui.state import chosen_genes, chosen_versus
from app.ui.text import GLOSSARY, count, number, plain, signed
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.comparison import Comparison, compare
from hyperperturb.models.predictions import perturbation_name, predict_many

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

PICTURES = {"against": "Effects against each other", "differences": "Largest differences"}


def show(inference: HyperPerturbInference, known: list[str]) -> None:
    """Ask for the two, and show how they relate."""
    if max(len(chosen_genes()), len(chosen_versus())) > MOST_TARGETS:
        st.warning(f"One combination may have {MOST_TARGETS} genes; the first {MOST_TARGETS} are compared.")
    first, second = (spelled(genes, known)[:MOST_TARGETS] for genes in (chosen_genes(), chosen_versus()))
    left, right = st.columns(2, gap="large")
    help_text = "One gene, or several as one combined perturbation."
    with left:
        choose_genes(
            "First",
            "genes",
            first,
            known,
            max_selections=MOST_TARGETS,
            placeholder="Type gene symbols",
            help=help_text,
        )
    with right:
        choose_genes(
            "Second",
            "versus",
            second,
            known,
            max_selections=MOST_TARGETS,
            placeholder="Type gene symbols",
            help=help_text,
        )
    refused = False
    for side, name, genes in ((left, "genes", first), (right, "versus", second)):
        with side:
            if genes:
                try:
                    answer = inference.predict_effects(genes)
                except HyperPerturbError as error:
                    refusal(error, genes, name=name)
                    refused = True
                else:
                    exact = bool(answer.table["measured"].notna().any())
                    support_line(answer.support, exact=exact, of=f"_{name}")
    if not (first and second):
        st.markdown(":gray[Name two perturbations: two genes, or two combinations.]")
    elif not refused:
        not_ahead(inference)
        _answer(inference, compare(inference, first, second))


def _answer(inference: HyperPerturbInference, found: Comparison) -> None:
    from hyperperturb.plots.predictions import effects_compared, largest_differences

    names = (perturbation_name(found.first), perturbation_name(found.second))
    file, table = f"{names[0]}-against-{names[1]}", found.table
    picture = choose_picture(PICTURES)
    left, right = st.columns([2.4, 1], gap="large")
    with left:
        if picture == "differences":
            figure, said = largest_differences(table, names), alt.differences(table, names)
        else:
            figure = effects_compared(table, names)
            said = alt.agreement(
                table["first"],
                table["second"],
                across=f"effect of {names[0]}",
                upwards=f"effect of {names[1]}",
            )
        draw(figure, f"{picture}-{file}", key=f"compare_{picture}", alt=said)
    with right:
        clear = table["clear"]
        facts(
            [
                (
                    "Correlation",
                    signed(found.correlation),
                    "Of the two predicted effects, over the genes that neither perturbs.",
                ),
                (
                    "Hyperbolic distance",
                    number(found.distance),
                    "Between the two perturbations in the model’s space.",
                ),
                (
                    "Genes that differ",
                    count(int(clear.sum())),
                    "By more than two standard errors of the difference; errors that both predictions share cancel.",
                ),
                ("Higher in the second", count(int((clear & (table["difference"] > 0)).sum())), None),
            ],
            stacked=True,
        )
    section("All response genes")
    first, second = (plain(name) for name in names)
    ranked = table.reindex(table["difference"].abs().sort_values(ascending=False, kind="stable").index)
    gene_table(
        ranked.drop(columns="clear"),
        key="compare_table",
        clear=ranked["clear"],
        columns={
            "first": st.column_config.NumberColumn(f"{first} (ln)", format="%.3f", help=GLOSSARY["effect"]),
            "first_standard_error": st.column_config.NumberColumn(
                f"± {first}", format="%.3f", help=GLOSSARY["standard error"]
            ),
            "second": st.column_config.NumberColumn(f"{second} (ln)", format="%.3f", help=GLOSSARY["effect"]),
            "second_standard_error": st.column_config.NumberColumn(
                f"± {second}", format="%.3f", help=GLOSSARY["standard error"]
            ),
            "difference": st.column_config.NumberColumn(
                "difference", format="%.3f", help="Second minus first."
            ),
            "standard_error": st.column_config.NumberColumn("± difference", format="%.3f"),
        },
    )
    with st.container(horizontal=True, gap="small", key="files"):
        csv_button(ranked, "Download the comparison", f"comparison-{file}", key="download_comparison")
        h5ad_button(
            inference, predict_many(inference, [found.first, found.second]), name=f"comparison-{file}"
        )
