"""Public screens and networks by name: what there is, the download with its progress, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app.ui import jobs
from app.ui.frame import guard, table
from app.ui.state import select
from app.ui.text import count, plain, plural, size
from hyperperturb.runs.workspace import Workspace

if TYPE_CHECKING:
    from hyperperturb.data.catalogue import CatalogueEntry
    from hyperperturb.runs.downloads import Download

KINDS = {"screen": "Screens", "network": "Networks", "protein": "Proteins"}
_TOLD = "downloaded"


def offer(workspace: Workspace) -> None:
    """The button that opens the catalogue; under it downloads that run or failed, and what the last one brought."""
    from hyperperturb.data.catalogue import catalogue

    with guard():
        for entry in catalogue():
            key = _job(entry.name)
            brought = jobs.collect(key, _arrived)
            if brought is not None and brought.dataset is not None:
                st.rerun()  # the page is drawn anew for the dataset that came
            jobs.watch(key)
        told = st.session_state.get(_TOLD)
        if told:
            st.success(told)
    if st.button(
        "Public data",
        key="public",
        icon=":material/download:",
        help="Published screens and gene networks, by name: downloaded to the server, checked, and registered.",
    ):
        st.session_state.pop(_TOLD, None)
        _choose(workspace)


def _job(name: str) -> str:
    return f"download:{name}"


def _arrived(brought: Download) -> None:
    if brought.dataset is not None:
        select(dataset=brought.dataset.name)
        return
    title = plain(brought.entry.title)
    if brought.network is not None:
        st.session_state[_TOLD] = f"**{title}** is there: choose it among the networks when you train."
    else:
        where = ", ".join(plain(path) for path in brought.files)
        st.session_state[_TOLD] = f"**{title}** is there: {where}."


@st.dialog("Download public data", width="large")
def _choose(workspace: Workspace) -> None:
    from hyperperturb.data.catalogue import catalogue

    with guard():
        entries = catalogue()
        kinds = [kind for kind in KINDS if any(entry.kind == kind for entry in entries)]
        kind = st.segmented_control(
            "Kind",
            kinds,
            default=kinds[0],
            format_func=KINDS.get,
            key="public_kind",
            label_visibility="collapsed",
        )
        offered = {entry.name: entry for entry in entries if entry.kind == (kind or kinds[0])}
        name = st.selectbox(
            "What to download",
            list(offered),
            format_func=lambda name: _line(offered[name]),
            key=f"public_entry_{kind}",
            label_visibility="collapsed",
        )
        entry = offered[name]
        _about(workspace, entry)
        if jobs.running(_job(name)):
            st.info("This is being downloaded already: close this window to watch it.")
        elif st.button("Download", key="public_start", type="primary"):
            from hyperperturb.runs.downloads import download

            jobs.start(
                _job(name),
                f"Downloading {plain(entry.title)}",
                lambda progress: download(workspace, name, progress=progress),
            )
            st.rerun()
        with st.expander("All of them as a table"):
            table(_table(entries), f"public-{kind}s", key=f"public_{kind}")


def _line(entry: CatalogueEntry) -> str:
    parts = [entry.title]
    if entry.cells:
        parts.append(f"{count(entry.cells)} cells")
    parts.append(_size(entry))
    return " · ".join(parts)


def _size(entry: CatalogueEntry) -> str:
    if entry.size is None:
        return "size unknown"
    return size(entry.size) if entry.exact else f"about {size(entry.size)}"


def _about(workspace: Workspace, entry: CatalogueEntry) -> None:
    from hyperperturb.runs.downloads import missing_files

    if entry.about:
        st.markdown(plain(entry.about))
    facts = []
    if entry.cells and entry.genes:
        facts.append(f"{count(entry.cells)} cells × {count(entry.genes)} genes")
    if entry.perturbations:
        facts.append(plural(entry.perturbations, "perturbation"))
    facts += [word for word in (entry.species, entry.mode, _size(entry)) if word]
    st.markdown(f"**{' · '.join(plain(fact) for fact in facts)}**")
    source = [plain(entry.citation)] if entry.citation else []
    if entry.doi:
        source.append(f"[doi:{plain(entry.doi)}](https://doi.org/{entry.doi})")
    source += [plain(word) for word in (entry.licence, entry.archive) if word]
    if source:
        st.markdown(f":gray[Source] {', '.join(source)}")
    if entry.note:
        st.markdown(f":gray[Note] {plain(entry.note)}")
    missing = missing_files(workspace, entry)
    if not missing:
        st.markdown(":gray[It is on the server already; it is checked and registered again.]")
    with st.expander("By hand, when the server cannot reach the internet"):
        lines = [
            f"1. Download [{plain(file.name)}]({file.url}) on a machine that can, and copy it to the server."
            for file in entry.files
        ]
        then = (
            "Register it here under *Or a path on the server*."
            if entry.kind == "screen"
            else "Give its path when you choose networks for a training."
            if entry.kind == "network"
            else "Attach it to its screen, under *Proteins* on this page."
        )
        st.markdown("\n".join([*lines, f"1. {then}"]))


def _table(entries: tuple[CatalogueEntry, ...]) -> pd.DataFrame:
    rows = [
        (
            KINDS[e.kind].lower().rstrip("s"),
            e.title,
            e.cells,
            e.perturbations,
            _size(e),
            e.citation,
            e.licence,
        )
        for e in entries
    ]
    return pd.DataFrame(
        rows, columns=["kind", "title", "cells", "perturbations", "size", "publication", "licence"]
    )
