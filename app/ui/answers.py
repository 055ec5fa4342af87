"""What every answer of the Predict page shares: what it stands on, refusals, tables that can be searched, files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app.ui.state import select
from app.ui.text import GLOSSARY, HAPPENS, HAPPENS_PLURAL, count, italic, listing, plain
from hyperperturb.data.genes import speller
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference, Support
    from hyperperturb.models.predictions import Predictions

LEVELS = {
    "measured": ("Measured", "primary"),
    "supported": ("Supported", "primary"),
    "weak": ("Weak support", "gray"),
    "none": ("No support", "gray"),
}
VIEWS = {"one": "One perturbation", "many": "Many", "compare": "Compare two", "wanted": "Wanted change"}
"""The kinds of question on the Predict page."""
MOST_TARGETS = 8
"""Genes of one combination."""


def title(
    view: str,
    genes: Sequence[str],
    mode: str,
    *,
    n: int = 0,
    versus: Sequence[str] = (),
    wanted: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> str:
    """The question as a sentence with the genes in it.

    `n` is the length of a list of perturbations, `versus` what is compared with the genes, `wanted` genes up and down.
    """
    if view == "wanted":
        sides = [(word, side) for word, side in zip(("raise", "lower"), wanted, strict=True) if side]
        change = " and ".join(f"{word} {listing(italic(side), limit=3)}" for word, side in sides)
        return f"What would {change or 'make the change you want'}?"
    if view == "compare":
        both = " and ".join(" + ".join(italic(side)) for side in (genes, versus) if side)
        return f"How do {both} differ?" if genes and versus else "How do two perturbations differ?"
    if view == "many" and n != 1:
        if not n:
            return f"What happens if genes {HAPPENS_PLURAL[mode]}, one by one?"
        return f"What happens if each of these {count(n)} {HAPPENS[mode]}?"
    if not genes:
        return f"What happens if a gene {HAPPENS[mode]}?"
    verb = HAPPENS[mode] if len(genes) == 1 else HAPPENS_PLURAL[mode]
    return f"What happens if {listing(italic(genes))} {verb}?"


def support_line(support: Support, *, exact: bool = True, of: str = "") -> None:
    """How much ground the answer stands on, in a word and a sentence.

    `exact`: this very perturbation was measured; `of`: its name, where several are on the page.
    """
    word, colour = LEVELS[support.level]
    if support.level == "measured" and not exact:
        word = "Parts measured"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"support{of}"):
        st.badge(word, color=colour, help=GLOSSARY["support"])
        st.markdown(plain(support.why))


def not_ahead(inference: HyperPerturbInference) -> None:
    """The quiet line beside every prediction of a model that is not ahead of the baselines."""
    if not inference.ahead:
        st.caption(f"This model is not ahead of the baselines on this dataset. {plain(inference.verdict)}")


def refusal_reason(error: Exception) -> str:
    """The sentence of a refusal, as Markdown; what could be asked instead stands in buttons beside it."""
    return plain(getattr(error, "message", "") or "The model cannot answer for this gene.")


def refusal(error: HyperPerturbError, genes: Sequence[str], *, name: str = "genes") -> None:
    """Why there is no number, and the nearest supported genes as buttons, which ask about them as `name`."""
    with st.container(key="refused" if name == "genes" else f"refused_{name}", border=True):
        st.markdown(refusal_reason(error))
        nearest = [str(gene) for gene in getattr(error, "nearest", ())]
        if nearest:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown("Ask instead about", width="content")
                for gene in nearest[:6]:
                    st.button(
                        plain(gene), key=f"instead_{name}_{gene}", on_click=select, kwargs={name: [gene]}
                    )
        if len(genes) > 1:
            st.caption("Or take the gene out of the question.")


def spelled(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names as the run spells them, where it knows them in another case; several pasted at once are taken apart."""
    there, spell = set(known), speller(known)
    out: list[str] = []
    for name in names:
        parts = (
            [name] if name in there else name.replace(",", " ").replace(";", " ").replace("+", " ").split()
        )
        out += [spell(part) or part for part in parts]
    return list(dict.fromkeys(out))


def choose_genes(
    label: str, name: str, genes: Sequence[str], known: Sequence[str], **options: object
) -> None:
    """A field for genes that writes what is chosen into the address as `name`; unknown names may be typed too."""
    key = f"ask_{name}"
    st.session_state[key] = list(genes)
    st.multiselect(
        label,
        [*known, *(gene for gene in genes if gene not in set(known))],
        key=key,
        accept_new_options=True,
        wrap=True,
        on_change=lambda: select(**{name: spelled(st.session_state[key], known)}),
        **options,
    )


def gene_table(table: pd.DataFrame, *, key: str, clear: pd.Series, columns: dict) -> None:
    """A long table of genes that can be searched by name and cut to the clear effects.

    `clear` says which rows those are; `columns` how the columns are shown.
    """
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key=f"{key}_filter"):
        words = st.text_input(
            "Find genes",
            key=f"{key}_find",
            placeholder="IRF1, STAT",
            help="Parts of names, separated by blanks or commas.",
            width=280,
        )
        only = st.toggle(
            f"Only the {count(int(clear.sum()))} beyond two standard errors",
            key=f"{key}_clear",
            disabled=not clear.any(),
        )
    kept = found(table["gene"], words)
    if only and clear.any():
        kept &= clear
    shown = table[kept]
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="–",
        key=f"{key}_rows",
        height=min(380, 38 + 35 * max(1, len(shown))),
        column_config=columns,
    )
    if len(shown) < len(table):
        st.caption(f"{count(len(shown))} of {count(len(table))} genes; the files have all of them.")


def csv_button(table: pd.DataFrame, label: str, name: str, *, key: str) -> None:
    """Download a table as a CSV file of that name."""
    st.download_button(
        label,
        data=lambda: table.to_csv(index=False).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=key,
        on_click="ignore",
    )


def found(genes: pd.Series, words: str) -> pd.Series:
    """Which genes have one of the words in their name; all of them where there is no word.

    >>> found(pd.Series(["IRF1", "STAT1", "JAK2"]), "stat, jak").tolist()
    [False, True, True]
    """
    parts = words.replace(",", " ").replace(";", " ").casefold().split()
    names = genes.astype(str).str.casefold()
    out = pd.Series(not parts, index=genes.index)
    for part in parts:
        out |= names.str.contains(part, regex=False)
    return out


def h5ad_button(inference: HyperPerturbInference, answer: Predictions, *, name: str) -> None:
    """Download predictions as an AnnData file."""
    st.download_button(
        "Download as AnnData (h5ad)",
        data=lambda: _h5ad(inference, answer),
        file_name=f"{name}.h5ad",
        mime="application/octet-stream",
        key="download_h5ad",
        on_click="ignore",
        help="Perturbations by response genes: effects, standard errors, what was measured, the perturbations’ points "
        "in the Poincaré ball, and what the run says of itself.",
    )


def _h5ad(inference: HyperPerturbInference, answer: Predictions) -> bytes:
    from hyperperturb.models.predictions import write_predictions

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.h5ad"
        write_predictions(inference, answer, path)
        return path.read_bytes()
