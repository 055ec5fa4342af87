"""The cells in two pictures with one colouring and one selection: UMAP, and the policy head's space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from app.components.double_click import on_double_click
from app.ui import alt
from app.ui.area import Area
from app.ui.frame import draw, section, table
from app.ui.side_work import watched
from app.ui.state import chosen_gene, chosen_of_cells, select
from app.ui.text import GLOSSARY, THIN, count, plain, plural
from hyperperturb.runs.cell_views import LAUNCHER, drawing_of, start_drawing
from hyperperturb.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hyperperturb.models.cell_view import CellView
    from hyperperturb.models.inference import HyperPerturbInference
    from hyperperturb.plots.cells import Shade

COLOURS = {
    "label": "label",
    "predicted": "named perturbation",
    "agreement": "label against model",
    "like_control": "likeness to controls",
    "probability": "certainty of the name",
    "gene": "expression of a gene",
    "batch": "batch",
    "total_counts": "counts",
}
MOST_DRAWN = 20_000
"""Points in a picture; of more cells an even part is shown, and all are in the group that a line encloses."""
_HOW_MANY = {"5000": "5 000 cells", "20000": "20 000 cells", "all": "All cells"}
_PLACES = {"umap": ("umap_1", "umap_2"), "space": ("policy_1", "policy_2")}


@dataclass(frozen=True)
class Drawn:
    """Cells inside a line that somebody drew."""

    area: Area
    inside: np.ndarray
    rows: np.ndarray


def offer(run: RunDirectory, *, again: bool) -> None:
    """How many cells to draw, and the button; while they are drawn, how far that is."""
    if watched(
        run,
        drawing_of,
        LAUNCHER,
        name="drawing",
        title="Drawing the cells",
        stop="What was drawn before stays.",
        stopped="Stopped. What was drawn before stays.",
    ):
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="draw_cells"):
        many = st.selectbox(
            "How many", list(_HOW_MANY), format_func=_HOW_MANY.get, key="draw_many", width=180
        )
        if st.button(
            "Draw again" if again else "Draw the cells", key="draw", type="secondary" if again else "primary"
        ):
            start_drawing(run, max_cells=None if many == "all" else int(many))
            st.rerun()
    st.caption(
        "Drawn at random within each label, so that every label and the controls are there. Under a minute for some "
        "thousand cells; all cells of a large screen take many. It goes on when the page is closed."
    )


def not_drawn(run: RunDirectory) -> None:
    """What stands in place of the pictures before they are drawn."""
    with st.container(border=True, key="empty_maps"):
        st.subheader("The cells are not drawn yet", anchor=False)
        st.markdown(
            ":gray[Two maps of the cells, the perturbation that the model names for each, and which look as if they "
            "had escaped it. Groups of cells can be asked about without them, below.]"
        )
        offer(run, again=False)


def enclosed(view: CellView) -> Drawn | None:
    """The cells inside the line that the address has."""
    area = Area.parse(chosen_of_cells()[2])
    if area is None:
        return None
    inside = area.holds(view.cells[list(_PLACES[area.picture])].to_numpy())
    return Drawn(area, inside, view.cells["row"].to_numpy()[inside])


def show(inference: HyperPerturbInference, view: CellView) -> Drawn | None:
    """Both pictures; returns the cells inside the line, if one is drawn."""
    from hyperperturb.plots.cells import cell_map

    shade = _shade(inference, view)
    drawn, label = enclosed(view), chosen_of_cells()[1]
    cells = view.cells
    chosen = None
    if drawn is not None:
        chosen = drawn.inside
    elif label:
        chosen = cells["label"].to_numpy() == label
        chosen = chosen if chosen.any() else None
    part = _part(len(cells))
    some = shade if len(part) == len(cells) else _of(shade, part)
    hover = [
        f"{plain_label}<br>named {name} ({probability:.0%})"
        for plain_label, name, probability in zip(
            cells["label"].to_numpy()[part],
            cells["predicted"].to_numpy()[part],
            cells["probability"].to_numpy()[part],
            strict=True,
        )
    ]
    for column, (picture, names), title in zip(
        st.columns(2, gap="medium"),
        _PLACES.items(),
        ("UMAP: alike in expression", "Hyperbolic: as the model compares them"),
        strict=True,
    ):
        with column:
            st.markdown(
                f"**{title}**", help=GLOSSARY["map"] if picture == "umap" else GLOSSARY["policy space"]
            )
            outline = drawn.area.corners if drawn is not None and drawn.area.picture == picture else None
            figure = cell_map(
                cells[list(names)].to_numpy()[part],
                some,
                hover,
                chosen=None if chosen is None else chosen[part],
                outline=outline,
                rings=picture == "space",
            )
            draw(
                figure,
                f"cells-{picture}",
                key=f"map_{picture}",
                alt=alt.cell_map(title, cells, shade),
                on_select=lambda picture=picture: _selected(picture),
                selection_mode=("lasso", "box"),
            )
    _caption(view, part, drawn)
    return drawn


def _shade(inference: HyperPerturbInference, view: CellView) -> Shade:
    """Choose what colours the cells."""
    from hyperperturb.plots.cells import Shade, shade_agreement, shade_labels

    cells, control = view.cells, view.is_control
    there = [name for name in COLOURS if name in cells or name in ("agreement", "gene")]
    _, label, _, _, wanted = chosen_of_cells()
    with st.container(horizontal=True, key="cell_colours"):
        st.session_state["cells_colour"] = wanted if wanted in there else "label"
        by = st.selectbox(
            "Colour",
            there,
            format_func=COLOURS.get,
            key="cells_colour",
            width=240,
            on_change=lambda: select(shade=st.session_state["cells_colour"]),
        )
        gene = _gene(view) if by == "gene" else ""
    names = cells["label"].to_numpy()
    if by in ("label", "predicted"):
        return shade_labels(
            COLOURS[by], cells[by].to_numpy(), control & (by == "label"), [label, *strongest(inference)]
        )
    if by == "batch":
        batches = cells["batch"].value_counts().index.tolist()
        return shade_labels("batch", cells["batch"].to_numpy(), np.zeros(len(cells), dtype=bool), batches)
    if by == "agreement":
        return shade_agreement(
            names, cells["predicted"].to_numpy(), control, cells["like_control"].to_numpy(dtype=float)
        )
    if by == "gene":
        return Shade(f"{gene}, ln(CP10k + 1)", values=view.gene(gene).astype(float))
    values = cells[by].to_numpy(dtype=float)
    if by == "total_counts":
        return Shade("counts, log10", values=np.log10(np.maximum(values, 1.0)))
    return Shade(COLOURS[by], values=values)


def _gene(view: CellView) -> str:
    genes = sorted(view.genes)
    st.session_state["cells_gene"] = chosen_gene() if chosen_gene() in view.genes else genes[0]
    return st.selectbox(
        "Gene",
        genes,
        key="cells_gene",
        width=200,
        on_change=lambda: select(gene=st.session_state["cells_gene"]),
    )


def strongest(inference: HyperPerturbInference) -> list[str]:
    """Perturbations by the size of their measured effect."""
    effects = inference.effects
    size = np.nansum(np.square(effects.effect, dtype=float), axis=1)
    return [effects.perturbations[i] for i in np.argsort(-size, kind="stable")]


def _part(n: int) -> np.ndarray:
    """The cells that are shown, rising."""
    if n <= MOST_DRAWN:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MOST_DRAWN, replace=False))


def _of(shade: Shade, part: np.ndarray) -> Shade:
    from hyperperturb.plots.cells import Shade

    return Shade(
        shade.title,
        None if shade.groups is None else shade.groups[part],
        shade.colours,
        None if shade.values is None else shade.values[part],
    )


def _selected(picture: str) -> None:
    """A line was drawn: it goes into the address, and with it the group.

    An empty selection says nothing: the button, and a double click, take a line back.
    """
    found: Any = st.session_state[f"map_{picture}"].selection
    if found.get("lasso"):
        line = found["lasso"][0]
        select(area=str(Area.drawn(picture, line["x"], line["y"])), group="")
    elif found.get("box"):
        (x0, x1), (y0, y1) = found["box"][0]["x"], found["box"][0]["y"]
        select(area=str(Area.drawn(picture, [x0, x1, x1, x0], [y0, y0, y1, y1])), group="")


def _all_cells() -> None:
    select(area="", group="")


def _caption(view: CellView, part: np.ndarray, drawn: Drawn | None) -> None:
    about = view.about
    said = f"{count(about['drawn'])} of {count(about['n_cells'])} cells"
    if len(part) < about["drawn"]:
        said += f", {count(len(part))} of them shown"
    said += ". Draw a line around cells on either picture to ask about them."
    if drawn is not None:
        said = f"**{plural(len(drawn.rows), 'cell')} inside the line.** {said}"
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.caption(said)
    if drawn is not None or chosen_of_cells()[1]:
        with right, st.container(horizontal_alignment="right"):
            st.button("Show all cells", key="clear_group", on_click=_all_cells)
        on_double_click([f"map_{picture}" for picture in _PLACES], _all_cells, key="maps_twice")


def escapers(view: CellView) -> None:
    """Which part of each perturbation's cells looks like controls."""
    from hyperperturb.plots.cells import escaped_shares

    found = view.escapers
    judged = found[found["judged"]]
    section("Which cells escaped their perturbation?", help=GLOSSARY["escaped"])
    if judged.empty:
        st.markdown(":gray[No perturbation’s cells can be told from the controls well enough to say.]")
    else:
        worst = judged.sort_values("share", ascending=False).iloc[0]
        st.markdown(
            f"Of {count(len(found))} perturbations {count(len(judged))} can be told from the controls. The largest "
            f"share of cells that look like controls is that of **{plain(worst['perturbation'])}**: "
            f"{100 * worst['share']:.0f}{THIN}%\u00a0±\u00a0{196 * worst['error']:.0f} of its "
            f"{plural(worst['cells'], 'cell')}."
        )
        few = judged if len(judged) <= 25 else judged.nlargest(25, "share")
        label = chosen_of_cells()[1]
        draw(
            escaped_shares(few, chosen=label),
            "escaped-cells",
            key="escaped_shares",
            alt=alt.escaped(few),
        )
        if len(few) < len(judged):
            st.caption(f"The {count(len(few))} largest shares; all are in the table.")
    st.caption(
        "A share is an estimate, not a count of cells without a guide: a weak effect in a cell, or an effect that the "
        "measured genes do not show, looks the same. Where changed cells overlap with controls nothing is said: a "
        "perturbation without an effect and one that all cells escaped cannot be told apart."
    )
    with st.expander("Every perturbation"):
        shown = found.sort_values(["judged", "share"], ascending=[False, False]).drop(columns="judged")
        table(
            shown.assign(share=100 * shown["share"], error=100 * shown["error"]),
            "escaped-cells",
            key="escapers",
            data=found,
            column_config={
                "cells": st.column_config.NumberColumn("cells", help="Of those drawn."),
                "told": st.column_config.NumberColumn(
                    "told from controls",
                    format="%.2f",
                    help="Probability that a cell of it lies farther out than a control; 0.5 by chance.",
                ),
                "separation": st.column_config.NumberColumn(
                    "stands off",
                    format="%.1f",
                    help="Distance of the changed cells from the controls, in their standard deviations; from 1.5 on a "
                    "share is given.",
                ),
                "share": st.column_config.NumberColumn("like controls (%)", format="%.0f"),
                "error": st.column_config.NumberColumn("standard error (%)", format="%.0f"),
            },
        )


def files(run: RunDirectory, view: CellView) -> None:
    """What can be taken along, and drawing anew."""
    with st.expander("Download or draw again"):
        with st.container(horizontal=True):
            st.download_button(
                "Cells as CSV",
                data=lambda: view.cells.to_csv(index=False).encode(),
                file_name=f"{run.name}-cells.csv",
                mime="text/csv",
                key="download_view",
                on_click="ignore",
                help=f"{plural(len(view.cells), 'row')}: places, names, probabilities.",
            )
            st.download_button(
                "Cells for scanpy (.h5ad)",
                data=view.path.read_bytes,
                file_name=f"{run.name}-cells.h5ad",
                key="download_h5ad",
                on_click="ignore",
                help="Expression of the variable and perturbed genes, components, neighbours, both maps.",
            )
        offer(run, again=True)
