"""One perturbation, of a gene or of several: support before numbers, one picture at a time, the table, the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt, cache, proteins
from app.ui.answers import csv_button, gene_table, h5ad_button, not_ahead, refusal, support_line
from app.ui.frame import draw, facts, section
from app.ui.state import chosen_picture, select
from app.ui.text import GLOSSARY, count, number, plain
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.models.inference import EffectPrediction, HyperPerturbInference

PICTURES = {
    "certainty": "Effect against certainty",
    "largest": "Largest effects",
    "network": "In the network",
    "measured": "Predicted against measured",
    "parts": "Gene by gene",
    "sum": "Sum against combination",
}
_PARTS_SHOWN = 40


def choose_picture(pictures: dict[str, str]) -> str:
    """Which of the pictures is shown; the choice is part of the address."""
    st.session_state["picture"] = chosen_picture(list(pictures))
    return st.segmented_control(
        "Picture",
        list(pictures),
        key="picture",
        required=True,
        format_func=pictures.get,
        label_visibility="collapsed",
        on_change=lambda: select(picture=st.session_state["picture"]),
    )


def show(inference: HyperPerturbInference, genes: list[str]) -> None:
    """What the model says about perturbing these genes at once, or why it says nothing."""
    try:
        prediction = inference.predict_effects(genes)
    except HyperPerturbError as error:
        refusal(error, genes)
        return
    measured = bool(prediction.table["measured"].notna().any())
    support_line(prediction.support, exact=measured)
    not_ahead(inference)
    there = {
        "measured": measured,
        "parts": len(prediction.targets) > 1,
        "sum": prediction.interaction is not None and prediction.interaction.found,
    }
    picture = choose_picture({key: word for key, word in PICTURES.items() if there.get(key, True)})
    left, right = st.columns([2.4, 1], gap="large")
    with left:
        _picture(inference, prediction, picture)
    with right:
        _figures(prediction)
        if prediction.interaction is not None:
            st.markdown(plain(prediction.interaction.sentence), help=GLOSSARY["interaction"])
    proteins.predicted(prediction)
    _table(inference, prediction)


def _picture(inference: HyperPerturbInference, prediction: EffectPrediction, picture: str) -> None:
    from hyperperturb.plots import effects

    table, name = prediction.table, "_".join(prediction.targets)
    if picture == "network":
        _network(inference, prediction)
        return
    if picture == "parts":
        _parts(inference, prediction)
        return
    if picture == "measured":
        _measured(inference, prediction)
        return
    if picture == "largest":
        figure, said = effects.ranked_bars(table, n=24), alt.ranked(table, 24)
    elif picture == "sum":
        parts = prediction.interaction.table
        figure = effects.additive_vs_predicted(parts, height=520)
        said = alt.agreement(
            parts["additive"],
            parts["additive"] + parts["interaction"],
            across="sum of the single effects",
            upwards="prediction",
        )
    else:
        figure, said = effects.volcano(table, height=480), alt.volcano(table)
    draw(figure, f"{picture}-{name}", key=f"picture_{picture}", alt=said)


def _network(inference: HyperPerturbInference, prediction: EffectPrediction) -> None:
    from hyperperturb.models.response_network import response_network
    from hyperperturb.plots.network import response_graph

    found, name = response_network(inference, prediction), "_".join(prediction.targets)
    key = f"network_{name}"

    def clicked() -> None:
        points = st.session_state[key].selection.points
        if points and points[0].get("customdata"):
            gene = points[0]["customdata"]
            select(genes=[str(gene[0] if isinstance(gene, list) else gene)])

    draw(
        response_graph(found.nodes, found.links),
        f"network-{name}",
        key=key,
        alt=alt.network(found.nodes, found.links),
        on_select=clicked,
        selection_mode="points",
    )
    st.caption(
        "The targets and the genes around them that respond most, with the strongest links among them. Click a gene to "
        "ask what happens if it is perturbed instead."
    )


def _measured(inference: HyperPerturbInference, prediction: EffectPrediction) -> None:
    """Predicted against measured: as if it had not been measured, where the run can say that; else as it was fitted."""
    from hyperperturb.plots.effects import predicted_vs_measured
    from hyperperturb.plots.held_out import left_out_scatter

    name = "_".join(prediction.targets)
    left_out = st.toggle(
        "Predicted as if it had not been measured",
        value=True,
        key="as_if_unmeasured",
        help="Otherwise the prediction has seen this very measurement, and agreement is no merit.",
    )
    pair, figure = prediction.table, None
    if left_out:
        try:
            pair = cache.left_out(inference.run, inference.label(prediction.targets))
        except HyperPerturbError as error:
            st.info(plain(error))
        else:
            figure = left_out_scatter(pair, height=520)
    if figure is None:
        figure = predicted_vs_measured(pair, height=520)
    said = alt.agreement(
        pair["effect"], pair["measured"], across="predicted effect", upwards="measured effect"
    )
    draw(figure, f"measured-{name}", key=f"picture_measured_{left_out}", alt=said)
    st.caption(
        GLOSSARY["left out"] if pair is not prediction.table else "Fitted to this measurement among others."
    )


def _parts(inference: HyperPerturbInference, prediction: EffectPrediction) -> None:
    """Every gene of a combination by itself, their sum, and what is predicted together."""
    from hyperperturb.models.predictions import predict_many
    from hyperperturb.plots.predictions import effect_map

    alone = predict_many(inference, [(gene,) for gene in prediction.targets])
    together = predict_many(inference, [prediction.targets])
    columns = together.strongest_genes(_PARTS_SHOWN)
    columns = columns[np.argsort(-together.effect[0, columns], kind="stable")]
    own = np.isnan(together.response[0])
    rows = dict(zip(alone.names, alone.effect, strict=True))
    rows |= {"sum of the genes": alone.effect.sum(axis=0), "together": together.effect[0]}
    if np.isfinite(together.measured[0]).any():
        rows["measured together"] = together.measured[0]
    values = pd.DataFrame(
        np.where(own, np.nan, list(rows.values()))[:, columns],
        index=list(rows),
        columns=np.array(together.genes)[columns],
    )
    name = "_".join(prediction.targets)
    draw(effect_map(values), f"parts-{name}", key="picture_parts", alt=alt.effect_map(values))
    st.caption(
        "Each gene by itself, the plain sum, and the prediction for all at once; the genes that respond most together, "
        "without the targets."
    )


def _figures(prediction: EffectPrediction) -> None:
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
    facts(values, stacked=True)


def _table(inference: HyperPerturbInference, prediction: EffectPrediction) -> None:
    from hyperperturb.models.predictions import predict_many

    section("All response genes")
    table, name = prediction.table, "_".join(prediction.targets)
    ranked = table.reindex(table["effect"].abs().sort_values(ascending=False, kind="stable").index)
    ranked = ranked.dropna(axis=1, how="all")
    gene_table(
        ranked,
        key="effects",
        clear=ranked["effect"].abs() > 2 * ranked["standard_error"],
        columns={
            "gene": "gene",
            "effect": st.column_config.NumberColumn("effect (ln)", format="%.3f", help=GLOSSARY["effect"]),
            "standard_error": st.column_config.NumberColumn(
                "± standard error", format="%.3f", help=GLOSSARY["standard error"]
            ),
            "measured": st.column_config.NumberColumn("measured (ln)", format="%.3f"),
            "measured_standard_error": st.column_config.NumberColumn("± measured", format="%.3f"),
        },
    )
    with st.container(horizontal=True, gap="small", key="files"):
        csv_button(table, "Download the prediction", f"effects-{name}", key="download_prediction")
        h5ad_button(inference, predict_many(inference, [prediction.targets]), name=f"effects-{name}")
