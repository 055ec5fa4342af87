"""The pages of the app: one place that knows their files, titles, addresses and order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

PAGES_DIR = Path(__file__).resolve().parents[2] / "pages"


@dataclass(frozen=True)
class Route:
    """One page: its file in ``pages/``, the name in the sidebar, its address, its section, what its address carries."""

    file: str
    title: str
    url_path: str
    section: str
    carries: tuple[str, ...]


ROUTES: dict[str, Route] = {
    "home": Route("home.py", "Home", "home", "", ("dataset", "run")),
    "data": Route("datasets.py", "Data", "data", "", ("dataset",)),
    "controls": Route("controls.py", "Controls", "controls", "", ("dataset",)),
    "train": Route("train.py", "Train", "train", "", ("dataset", "run", "compare")),
    "disk": Route(
        *("disk.py", "Poincaré disk", "disk", "Explore"),
        ("run", "gene", "second", "colour", "size", "hubs", "set"),
    ),
    "cells": Route(
        "cells.py", "Cells", "cells", "Explore", ("run", "goal", "group", "area", "to", "shade", "gene")
    ),
    "predict": Route(
        *("predict.py", "Predict", "predict", "Ask"),
        ("run", "genes", "view", "picture", "versus", "up", "down", "untested"),
    ),
    "evaluate": Route("evaluate.py", "Evaluate", "evaluate", "Ask", ("run", "perturbation")),
    "glossary": Route("glossary.py", "Glossary", "glossary", "Help", ()),
}


_UNNAMED = "start"


def page(key: str):
    """The Streamlit page called `key` (a key of `ROUTES`)."""
    route = ROUTES[key]
    return st.Page(
        PAGES_DIR / route.file,
        title=route.title,
        # the page at "/" reserves a name that cannot be opened, so it is not the one that people write: see below
        url_path=_UNNAMED if key == "home" else route.url_path,
        default=key == "home",
    )


def _home_by_name():
    """Home once more: it is the page without a name in the address, and somebody may write the name."""
    route = ROUTES["home"]
    return st.Page(PAGES_DIR / route.file, title=route.title, url_path=route.url_path, visibility="hidden")


def navigation():
    """The sidebar in the order of work; returns the page to run and its key."""
    sections: dict[str, list] = {}
    by_path = {}
    for key, route in ROUTES.items():
        entry = page(key)
        sections.setdefault(route.section, []).append(entry)
        by_path[entry.url_path] = key
    named = _home_by_name()
    sections[ROUTES["home"].section].append(named)
    by_path[named.url_path] = "home"
    chosen = st.navigation(sections)
    return chosen, by_path[chosen.url_path]


def moved(page_key: str) -> str | None:
    """The page that an old address means now, by what its query says; None for an address that is as it should be."""
    if page_key == "predict" and st.query_params.get("view") == "cells":
        return "cells"
    return None
