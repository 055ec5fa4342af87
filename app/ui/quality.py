"""How good a screen is: warnings first, then the picture, then the tables with their downloads."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.ui import alt, cache, frame, jobs
from app.ui.frame import facts, section
from app.ui.repair_list import entries
from app.ui.text import GLOSSARY, count, plain
from hyperperturb.data.quality_report import RATE, Quality
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.quality import judge_dataset
from hyperperturb.runs.workspace import Workspace

_NAMES = {
    "perturbation": "perturbation",
    "cells": "cells",
    "energy": "energy distance",
    "energy_chance": "by chance",
    "energy_p": "p",
    "energy_q": "p, adjusted",
    "significant_genes": "significant genes",
    "target": "target",
    "target_effect": "effect on target",
    "target_remaining": "expression left",
    "target_p": "p of target",
    "guides": "guides",
    "guide_agreement": "guides agree",
    "guide_expected": "at best",
    "batch_distance": "batch distance",
    "batch_p": "p of batches",
}
_HELP = {
    "energy distance": GLOSSARY["energy distance"],
    "by chance": GLOSSARY["by chance"],
    "p": "Share of random deals of the cells that reach the distance.",
    "p, adjusted": "Adjusted for the number of perturbations (Benjamini and Hochberg).",
    "significant genes": "Response genes that differ from the controls (moderated variances, 5 % false discovery "
    "rate), without the targets themselves.",
    "target": "Of the measured targets the one that moved least.",
    "effect on target": "In natural-log units.",
    "expression left": "Share of the control's expression of the target.",
    "guides": "Guides of five or more cells.",
    "guides agree": GLOSSARY["guide agreement"],
    "at best": "The correlation that noise would leave if all guides did the same.",
    "batch distance": "Share of its cells that would have to be in another batch to be spread as the controls are.",
    "p of batches": "Chi-square test against the controls' batches.",
}
_THREE = ("energy distance", "by chance", "effect on target", "guides agree", "at best", "batch distance")


def start(workspace: Workspace, dataset: Dataset) -> None:
    """Begin to judge the screen of a dataset whose controls are confirmed."""
    jobs.start(
        _job(dataset),
        f"Judging the quality of {plain(dataset.title)}",
        lambda progress: judge_dataset(workspace, dataset.name, progress=progress),
    )


def show(workspace: Workspace, dataset: Dataset) -> None:
    """Draw the quality of a confirmed screen; while it is being judged, how far that is."""
    if dataset.kind != "screen" or not dataset.confirmed:
        return
    job = _job(dataset)
    if jobs.collect(job) is not None:
        st.rerun()
    section(
        "Quality of the screen", help="What a reviewer would ask about its perturbations, guides and batches."
    )
    running = jobs.watch(job)
    found = cache.quality(dataset)
    if found is None:
        if not running:
            with st.container(horizontal=True, vertical_alignment="center"):
                if st.button("Judge the screen", key="judge"):
                    start(workspace, dataset)
                    st.rerun()
                st.caption(
                    "Effects beyond chance, targets that moved, guides that agree, batches: seconds to minutes."
                )
        return
    _facts(found)
    if found.warnings:
        entries(found.warnings)
    else:
        st.markdown(":gray[Nothing that a reviewer would raise.]")
    _pictures(found)
    _tables(dataset, found)


def _job(dataset: Dataset) -> str:
    return f"quality:{dataset.name}"


def _correlation(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _facts(found: Quality) -> None:
    rows = found.perturbations
    tested = [row for row in rows if row.energy_q is not None]
    beyond = sum(row.energy_q < RATE for row in tested)
    sign = 1 if found.mode == "activation" else -1
    seen = [row for row in rows if row.target_visible]
    moved = sum(
        row.target_p is not None and row.target_p < RATE and sign * row.target_effect > 0 for row in seen
    )
    values = [
        (
            "Beyond chance",
            f"{count(beyond)} of {count(len(tested))}",
            "Perturbations whose cells the energy distance tells from the controls (permutation test, 5 % false "
            "discovery rate).",
        )
    ]
    if seen:
        values.append(
            (
                "Targets that moved",
                f"{count(moved)} of {count(len(seen))}",
                "Of the targets that are measured and whose change by half (to double, for activation) would show.",
            )
        )
    if found.guides_within is not None:
        values.append(("Guides agree", _correlation(found.guides_within), GLOSSARY["guide agreement"]))
    if found.control_batch_distance is not None:
        values.append(
            (
                "Batch imbalance",
                f"{100 * found.control_batch_distance:.1f} %",
                "Share of the controls that would have to be in another batch to be spread as the perturbed cells are.",
            )
        )
    facts(values)


def _pictures(found: Quality) -> None:
    from hyperperturb.plots.quality import batch_shares, energy_distances, guide_agreements
    from hyperperturb.plots.screen import crowded

    def draw(figure: object, name: str, said: str, **options: bool) -> None:
        frame.draw(figure, name, key=f"quality_{name}", alt=said, **options)

    draw(
        energy_distances(found),
        "energy-distances",
        alt.energy_distances(found),
        wide=crowded(len(found.perturbations)),
    )
    st.caption(
        f"{GLOSSARY['energy distance']} Dashes: the same with the cells dealt out at random, which is not 0 "
        "and larger for fewer cells."
    )
    if found.guides_within is None and not found.batches:
        return
    left, right = st.columns(2, gap="medium")
    if found.guides_within is not None:
        with left:
            st.markdown("**Do guides of one gene agree?**")
            draw(guide_agreements(found), "guide-agreement", alt.guide_agreements(found))
            if found.guides_between is not None:
                st.caption(
                    f"Median correlation {_correlation(found.guides_within)}; of guides of different perturbations "
                    f"{_correlation(found.guides_between)}."
                )
    if found.batches:
        with right if found.guides_within is not None else left:
            st.markdown(f"**Are controls in every {plain(found.batch_column)}?**")
            draw(batch_shares(found), "batches", alt.batch_shares(found))


def _tables(dataset: Dataset, found: Quality) -> None:
    named = {"Perturbations": found.to_frame()}
    if found.guides:
        named["Guides"] = pd.DataFrame([row.model_dump() for row in found.guides])
    if found.batches:
        named["Batches"] = pd.DataFrame([row.model_dump() for row in found.batches])
    for tab, (name, table) in zip(st.tabs(list(named)), named.items(), strict=True):
        with tab:
            shown, columns = _perturbations(table) if name == "Perturbations" else _plain_table(table)
            frame.table(
                shown.dropna(axis=1, how="all"),
                f"{dataset.name}-quality-{name.lower()}",
                key=f"quality_{name.lower()}",
                data=table,
                column_config=columns,
            )


def _perturbations(table: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """The columns that are shown, under their names, and how."""
    shown = table[list(_NAMES)].rename(columns=_NAMES).sort_values("energy distance", ascending=False)
    shown["expression left"] *= 100
    shown["target"] = shown["target"].fillna("not measured")
    columns = {name: st.column_config.Column(help=_HELP.get(name)) for name in shown.columns}
    for name in shown.columns:
        if name in _THREE:
            columns[name] = st.column_config.NumberColumn(format="%.3f", help=_HELP[name])
        elif name.startswith("p") and name != "perturbation":
            columns[name] = st.column_config.NumberColumn(format="%.2g", help=_HELP.get(name))
    columns["expression left"] = st.column_config.NumberColumn(
        format="%.0f %%", help=_HELP["expression left"]
    )
    columns["perturbation"] = st.column_config.TextColumn(pinned=True)
    return shown, columns


def _plain_table(table: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """A table of guides or batches, under its names, and how it is shown."""
    shown = table.rename(columns=lambda name: _NAMES.get(name, name.replace("_", " ")))
    shown = shown.rename(columns={"agreement": "agrees with the others"})
    columns = {
        name: st.column_config.NumberColumn(format="%.2g" if name.startswith("p ") else "%.3f")
        for name in shown.columns
        if name in (*_THREE, "agrees with the others", "p of target")
    }
    return shown, columns
