"""How the disk is drawn: which gene, measured to which, coloured, sized and named by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from app.components.poincare_disk import CENTRALITIES, LABELS
from app.ui.frame import table
from app.ui.state import chosen_gene, chosen_look, select
from app.ui.text import GLOSSARY

if TYPE_CHECKING:
    import pandas as pd

    from hyperperturb.models.inference import HyperPerturbInference

PREDICTED = "predicted_effect"
# Columns that colour may show, and whether they are categories.
COLOURS = {
    "community": True,
    "sensitivity": False,
    "control_mean": False,
    PREDICTED: False,
    "support": False,
    **dict.fromkeys(CENTRALITIES, False),
    "n_perturbations": False,
    "is_target": True,
    "is_response": True,
}


@dataclass(frozen=True)
class Look:
    """What the disk shows: columns of `table`, and the gene that distances are measured to."""

    table: pd.DataFrame
    colour: str
    size: str
    hubs: str
    second: str

    @property
    def categorical(self) -> bool:
        """Whether the colour stands for categories."""
        return COLOURS[self.colour]


def word(column: str) -> str:
    """A column as people read it."""
    return {"is_target": "perturbed or not", "is_response": "measured or not"}.get(
        column, LABELS.get(column, column.replace("_", " "))
    )


def choose(inference: HyperPerturbInference, gene: str) -> Look:
    """The controls above the disk; what they say is in the address."""
    genes = inference.genes
    every = genes.assign(
        sensitivity=genes["gene"].map(inference.sensitivity), community=community_names(genes)
    )
    names = sorted(every["gene"].astype(str))
    there = [name for name in COLOURS if name in every and every[name].notna().any()]
    colours = [name for name in COLOURS if name in there or (name == PREDICTED and gene)]
    measures = [name for name in there if not COLOURS[name]]
    hubs = [name for name in CENTRALITIES if name in there]
    find, measure, by, more = st.columns([1.5, 1.2, 1.2, 0.7], vertical_alignment="bottom")
    _gene_box(find, "Find a gene", "gene", names, chosen_gene())
    with measure:
        others = [name for name in names if name != gene]
        second = chosen_look("second", others)
        help_text = GLOSSARY["hyperbolic distance"] + " In the picture: Shift-click."
        _gene_box(st, "Measure to", "second", others, second, help=help_text, disabled=not gene)
    with by:
        colour = _choice(
            "Colour", "colour", colours, help=_help(chosen_look("colour", colours) or colours[0])
        )
    with more, st.popover("More", width="stretch"):
        size = _choice("Size", "size", measures, first="degree")
        named = _choice("Hubs are named by", "hubs", hubs, help=GLOSSARY["centrality"])
    if colour == PREDICTED:
        every = _with_prediction(inference, every, gene)
    return Look(every, colour, size, named, second if gene else "")


def community_names(genes: pd.DataFrame) -> pd.Series:
    """Each gene's community, called after its gene with the most links."""
    hubs = genes.sort_values("degree", ascending=False, kind="stable").groupby("community")["gene"].first()
    return genes["community"].map(hubs).astype(str) + " …"


def _gene_box(where, label: str, name: str, names: list[str], now: str, **options) -> None:
    key = f"disk_{name}"
    st.session_state[key] = now if now in names else None

    def changed() -> None:
        wanted = st.session_state[key] or ""
        select(**({"gene": wanted, "second": ""} if name == "gene" else {"second": wanted}))

    where.selectbox(
        label, names, key=key, index=None, placeholder="Type a symbol", on_change=changed, **options
    )


def _choice(label: str, name: str, options: list[str], *, first: str = "", **more) -> str:
    """A box whose choice is in the address, unless it is what is shown anyway."""
    usual = first if first in options else options[0]
    key = f"disk_{name}"
    st.session_state[key] = chosen_look(name, options) or usual

    def changed() -> None:
        wanted = st.session_state[key]
        select(**{name: "" if wanted == usual else wanted})

    return st.selectbox(label, options, key=key, format_func=word, on_change=changed, **more)


def _help(column: str) -> str | None:
    if column in CENTRALITIES:
        return GLOSSARY["centrality"]
    return GLOSSARY.get({"control_mean": "control", PREDICTED: "effect"}.get(column, column))


def as_table(look: Look, *, name: str) -> None:
    """Every gene with what the disk can show of it, the hubs first; the file has the model's coordinates too."""
    columns = [column for column in COLOURS if column in look.table]
    rows = look.table.sort_values(look.hubs, ascending=False, kind="stable")
    table(
        rows[["gene", "radius", *columns]],
        name,
        key="genes",
        data=rows,
        column_config={
            "radius": st.column_config.NumberColumn(word("radius"), format="%.3g", help=GLOSSARY["radius"]),
            **{
                column: st.column_config.Column(word(column), help=_help(column))
                if COLOURS[column]
                else st.column_config.NumberColumn(word(column), format="%.3g", help=_help(column))
                for column in columns
            },
        },
    )


def _with_prediction(inference: HyperPerturbInference, genes: pd.DataFrame, gene: str) -> pd.DataFrame:
    """The genes with the predicted effect of `gene` as one more column; empty where there is none."""
    try:
        effect = inference.predict_effects([gene]).table.set_index("gene")["effect"]
    except ValueError:  # a refusal, which the card explains
        effect = {}
    return genes.assign(**{PREDICTED: genes["gene"].map(effect).astype(float)})
