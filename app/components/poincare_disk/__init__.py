"""The genes of a run in the Poincaré disk, drawn and moved in the page; the clicked gene comes back to Python."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from hyperperturb.errors import HyperPerturbError
from hyperperturb.plots import encode

_HERE = Path(__file__).parent
_SCRIPTS = (
    *("geometry.js", "points.js", "labels.js", "furniture.js", "picture.js"),
    *("hand.js", "svg.js", "save.js", "disk.js"),
)
_LARGEST_RADIUS = 1 - 1e-7
CENTRALITIES = ("degree", "pagerank", "betweenness", "core", "eigenvector", "strength")
"""Columns that may say which genes are hubs; the first that a table has is taken where none is asked for."""

LABELS: dict[str, str] = {
    "pagerank": "PageRank",
    "core": "k-core",
    "is_target": "perturbed in the screen",
    "is_response": "measured",
    "control_mean": "expression in controls",
    "degree": "number of links",
    "strength": "link strength",
    "n_perturbations": "perturbations",
    "radius": "distance from the middle",
}
"""Words for column names; others are shown with their underscores as spaces."""

HINT = (
    "Distance from the middle: how central a gene is, hubs inside, rings at whole hyperbolic distances. Direction: "
    "genes that work together lie the same way; the angle itself means nothing. Drag to move, scroll to zoom, "
    "double-click to centre, Shift-click to measure to a second gene."
)

# What the component is made of; the page also gets it as data, to write itself into a file that stands alone.
_SHELL = {
    "html": (_HERE / "disk.html").read_text(encoding="utf-8"),
    "css": (_HERE / "disk.css").read_text(encoding="utf-8"),
    "js": "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
}
_component = st.components.v2.component("hyperperturb_poincare_disk", **_SHELL)


def _label(column: str) -> str:
    return LABELS.get(column, column.replace("_", " "))


def _check(genes: pd.DataFrame, *columns: str) -> None:
    for column in ("gene", "x", "y", *columns):
        if column not in genes.columns:
            message = f"The gene table has no column '{column}'."
            raise HyperPerturbError(message, hint=f"It has: {', '.join(map(str, genes.columns))}.")


def _points(
    genes: pd.DataFrame, color: str, size: str, hubs: str | None, colours: encode.Colouring
) -> pd.DataFrame:
    """What the page needs of each gene, with the most central first."""
    x = genes["x"].to_numpy(np.float64)
    y = genes["y"].to_numpy(np.float64)
    radius = np.hypot(x, y)
    shrink = np.where(radius > _LARGEST_RADIUS, _LARGEST_RADIUS / np.maximum(radius, _LARGEST_RADIUS), 1.0)
    points = pd.DataFrame(
        {
            "gene": genes["gene"].astype(str).to_numpy(dtype=object),
            "x": x * shrink,
            "y": y * shrink,
            "r": encode.radii(genes[size]),
            "bin": colours.bins,
            "size_value": pd.to_numeric(genes[size], errors="coerce").to_numpy(np.float64, na_value=np.nan),
        }
    )
    if colours.kind == "categorical":
        text = genes[color].astype(object).where(genes[color].notna(), "")
        points["colour_text"] = text.astype(str).to_numpy(dtype=object)
    else:
        points["colour_value"] = pd.to_numeric(genes[color], errors="coerce").to_numpy(
            np.float64, na_value=np.nan
        )
    by = hubs or next((name for name in CENTRALITIES if name in genes.columns), size)
    rank = pd.to_numeric(genes[by], errors="coerce").fillna(-np.inf).to_numpy(np.float64)
    points = points.iloc[np.argsort(-rank, kind="stable")]
    return points[np.isfinite(points["x"]) & np.isfinite(points["y"])].reset_index(drop=True)


def _fingerprint(points: pd.DataFrame, columns: tuple[str, ...]) -> str:
    hashed = pd.util.hash_pandas_object(points.loc[:, list(columns)], index=False)
    return hashlib.blake2b(hashed.to_numpy().tobytes(), digest_size=12).hexdigest()


def _ring_step(points: pd.DataFrame, curvature: float) -> float:
    """Whole distances 1, 2, 3, …, or coarser ones where the genes lie much further out than the rings would reach."""
    if points.empty:
        return 1.0
    far = 2 * np.arctanh(np.hypot(points["x"], points["y"])).quantile(0.95) / np.sqrt(curvature)
    return 1.0 if far < 12 else float(np.ceil(far / 8))


def _current(key: str, selected: str | None) -> tuple[str | None, int]:
    """The gene selected now, and when it was clicked: the newest of the reader's click and Python's `selected` wins."""
    memory: dict[str, Any] = st.session_state.setdefault(
        f"_{key}_selection", {"gene": None, "said": None, "at": 0}
    )
    picked = (st.session_state.get(key) or {}).get("picked") or {}
    if picked.get("at", 0) > memory["at"]:
        memory.update(gene=picked.get("gene"), at=int(picked["at"]))
    elif selected != memory["said"]:
        memory.update(gene=selected)
    memory["said"] = selected
    return memory["gene"], memory["at"]


def poincare_disk(
    genes: pd.DataFrame,
    *,
    color: str,
    size: str,
    hubs: str | None = None,
    selected: str | None = None,
    second: str | None = None,
    second_distance: float | None = None,
    neighbours: pd.DataFrame | Callable[[str], pd.DataFrame] | None = None,
    gene_set: Sequence[str] = (),
    categorical: bool = False,
    diverging: bool = False,
    height: int = 640,
    key: str,
    labels: Mapping[str, str] | None = None,
    curvature: float = 1.0,
    on_select: Callable[[str | None], None] | None = None,
    on_second: Callable[[str | None], None] | None = None,
    on_lasso: Callable[[list[str]], None] | None = None,
    file_name: str = "poincare-disk",
) -> str | None:
    """Draw genes in the Poincaré disk and return the selected one.

    The picture is moved, zoomed and searched in the page, without a rerun; only a click that changes the selection
    reruns the script. The view stays as it is while the places of the genes do, whatever else changes.

    Parameters
    ----------
    genes : pandas.DataFrame
        One row a gene: ``gene``, ``x``, ``y`` (inside the unit disk) and the columns named by the other arguments.
    color : str
        Column that colours the points.
    size : str
        Column that sizes them, area growing with the value.
    hubs : str, optional
        Column that says which genes are named first; else the first of `CENTRALITIES` in the table, else `size`.
    selected : str, optional
        The gene selected by the rest of the page. A change of it selects that gene in the disk and, where it is not
        in clear view, moves it to the middle; an unchanged value does not undo a later click.
    second : str, optional
        A second gene, joined to the selected one by a marked geodesic.
    second_distance : float, optional
        Their hyperbolic distance in the model's space, written on the geodesic.
    neighbours : pandas.DataFrame or callable, optional
        Columns ``gene`` and ``weight``: joined to the selected gene by geodesics. A callable is given the selected
        gene (``HyperPerturbInference.neighbours``) and so needs no second run after a click; a table belongs to
        `selected`.
    gene_set : sequence of str
        Genes that are shown while all others are dimmed.
    categorical, diverging : bool
        How `color` is to be read; text is always categorical. See :func:`hyperperturb.plots.encode.colouring`.
    height : int
        Height of the picture in pixels; never more than its width.
    key : str
        Unique key; the selection is also in ``st.session_state[key]``.
    labels : mapping, optional
        Words for columns, shown in the legend and the tooltip, with the unit.
    curvature : float
        Magnitude of the curvature, c > 0, for the rings and distances.
    on_select : callable, optional
        Called with the gene (or None) before the rerun that a click causes.
    on_second : callable, optional
        The same for the second gene, which is chosen with Shift-click or Shift and Enter.
    on_lasso : callable, optional
        Called with the genes that the reader has drawn a loop around, the most central first.
    file_name : str
        Name, without its ending, of the files that the reader saves.

    Returns
    -------
    str or None
        The gene selected now: clicked, or given as `selected`, whichever came last.

    Raises
    ------
    HyperPerturbError
        When the table lacks a column.
    """
    _check(genes, color, size, *((hubs,) if hubs else ()))
    colours = encode.colouring(genes[color], categorical=categorical, diverging=diverging)
    points = _points(genes, color, size, hubs, colours)
    gene, at = _current(key, selected)
    words = {**LABELS, **(labels or {})}
    near = None
    if gene is not None:
        if callable(neighbours):
            near = neighbours(gene) if bool((points["gene"] == gene).any()) else None
        elif neighbours is not None and gene == selected:
            near = neighbours
    data: dict[str, Any] = {
        "spec": {
            "key": key,
            "version": _fingerprint(points, tuple(points.columns)) + repr((color, size, hubs, colours.ticks)),
            "layout": _fingerprint(points.sort_values("gene"), ("gene", "x", "y")),
            "kind": colours.kind,
            "light": colours.light,
            "dark": colours.dark,
            "ticks": colours.ticks,
            "categories": colours.categories,
            "missing": colours.missing,
            "colourLabel": words.get(color, _label(color)),
            "sizeLabel": words.get(size, _label(size)),
            "hasColourText": colours.kind == "categorical",
            "selected": gene,
            "selectedAt": at,
            "second": second,
            "secondDistance": second_distance,
            "neighboursOf": gene if near is not None else None,
            "height": int(height),
            "curvature": float(curvature),
            "ringStep": _ring_step(points, curvature),
            "gathered": list(gene_set),
            "fileName": file_name,
            "hint": HINT,
        },
        "points": points,
        "shell": _SHELL,
    }
    if near is not None and len(near):
        data["neighbours"] = pd.DataFrame(
            {"gene": near["gene"].astype(str).to_numpy(object), "weight": near["weight"].to_numpy(np.float64)}
        )

    def tell(name: str, what: str, hear: Callable[[Any], None] | None) -> None:
        if hear is not None:
            hear(((st.session_state.get(key) or {}).get(name) or {}).get(what))

    _component(
        key=key,
        data=data,
        on_picked_change=lambda: tell("picked", "gene", on_select),
        on_measured_change=lambda: tell("measured", "gene", on_second),
        on_taken_change=lambda: tell("taken", "genes", on_lasso),
    )
    return gene
