"""From cells to perturbations: which perturbation explains these cells, which would bring them back."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import jobs
from app.ui.frame import facts, section
from app.ui.state import Current
from app.ui.text import count, number, plain
from hyperperturb.data.screen import open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.incoming import file_suffix

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

GOALS = {"explain": "Which perturbation explains them?", "revert": "Which would bring them back to control?"}
MOST_CELLS = 1000


@dataclass(frozen=True)
class Answer:
    """What the model says about a group of cells."""

    title: str
    label: str
    goal: str
    n_cells: int
    n_of: int
    strength: float
    ranking: pd.DataFrame
    per_cell: pd.DataFrame


def show(now: Current, inference: HyperPerturbInference) -> None:
    """Choose cells, ask, read the ranking."""
    config = inference.config
    sources = (["label"] if config.screen is not None else []) + ["upload"]
    left, right = st.columns([1, 1.9], gap="large")
    job = f"cells:{st.session_state.setdefault('cells_id', jobs.new_id())}"
    with left:
        source = st.radio(
            "Cells",
            sources,
            format_func={"label": "Of this screen, by label", "upload": "From a file"}.get,
            key="cells_source",
        )
        goal = st.radio("Question", list(GOALS), format_func=GOALS.get, key="cells_goal")
        if source == "label":
            labels = [config.control, *inference.effects.perturbations]
            label = st.selectbox("Label", [x for x in labels if x], index=1, key="cells_label")
            if st.button("Rank perturbations", key="cells_ask", type="primary", disabled=label is None):
                jobs.start(
                    job,
                    f"Asking about the cells labelled {plain(label)}",
                    lambda progress: ask_label(inference, label, goal, progress),
                )
                st.rerun()
        else:
            uploaded = st.file_uploader(
                "Upload cells",
                type=["h5ad", "h5", "loom", "zip"],
                key="cells_upload",
                max_upload_size=500,
                help=f"Counts or log-normalised values with gene names; the first {count(MOST_CELLS)} cells are used.",
            )
            if st.button("Rank perturbations", key="cells_ask", type="primary", disabled=uploaded is None):
                content, name = uploaded.getvalue(), uploaded.name
                jobs.start(
                    job,
                    f"Asking about the cells of {plain(name)}",
                    lambda progress: ask_upload(inference, content, name, goal, progress),
                )
                st.rerun()
    with right:
        answer = jobs.collect(job)
        if answer is not None:
            st.session_state["cells_answer"] = (str(now.run.path), answer)
        if jobs.watch(job):
            return
        path, kept = st.session_state.get("cells_answer", ("", None))
        if kept is not None and path == str(now.run.path):
            _answer(inference, kept)
        else:
            st.markdown(
                ":gray[Choose cells and ask. Every perturbation of the screen is ranked by how well it fits them, "
                "with a probability.]"
            )


def _answer(inference: HyperPerturbInference, answer: Answer) -> None:
    section(answer.title)
    policy = (inference.metrics or {}).get("policy") or {}
    facts(
        [
            (
                "Cells",
                count(answer.n_cells),
                f"Of {count(answer.n_of)}; drawn evenly." if answer.n_of > answer.n_cells else None,
            ),
            (
                "Predicted strength",
                number(answer.strength),
                "How far these cells are from control, on the model's scale.",
            ),
        ]
    )
    if policy.get("top1") is not None:
        st.caption(
            f"On held-out cells the first answer is right in {number(100 * policy['top1'])} % of cells, one of the "
            f"first five in {number(100 * policy.get('top5', float('nan')))} %."
        )
    ranking = answer.ranking
    st.dataframe(
        ranking.head(20),
        hide_index=True,
        column_config={
            "perturbation": "perturbation",
            "probability": st.column_config.ProgressColumn(
                "mean probability",
                format="%.3g",
                min_value=0.0,
                max_value=float(max(ranking["probability"].max(), 1e-9)),
            ),
            "first": st.column_config.NumberColumn(
                "share of cells", format="percent", help="Cells in which this perturbation comes first."
            ),
        },
    )
    st.download_button(
        "Download every cell as CSV",
        data=lambda: answer.per_cell.to_csv(index=False).encode(),
        file_name=f"cells-{answer.label}-{answer.goal}.csv",
        mime="text/csv",
        on_click="ignore",
        key="download_cells",
    )


def ask_label(inference: HyperPerturbInference, label: str, goal: str, progress: Progress) -> Answer:
    """Rank perturbations for the cells of one label of the run's own screen."""
    from hyperperturb.models.cells import screen_values

    config = inference.config
    progress(0.05, "opening the screen")
    with open_screen(existing_screen(config.screen), layer=config.layer, tables=config.tables) as screen:
        found = np.flatnonzero(np.asarray(screen.labels(config.column)) == label)
        if len(found) == 0:
            raise HyperPerturbError(
                f"No cell of the screen is labelled '{label}'.", hint="Choose another label."
            )
        rows = _draw(found)
        position = {gene: i for i, gene in enumerate(screen.genes)}
        columns = np.array([position[gene] for gene in inference.response_genes])
        progress(0.2, f"reading {count(len(rows))} cells")
        expression = screen_values(screen, rows, columns)
        names = np.asarray(screen.cell_names())[rows].astype(str)
    what = f"the cells labelled {plain(label)}"
    return _ask(inference, expression, names, len(found), _title(goal, what), label, goal, progress)


def ask_upload(
    inference: HyperPerturbInference, content: bytes, name: str, goal: str, progress: Progress
) -> Answer:
    """Rank perturbations for the cells of an uploaded file."""
    progress(0.05, "reading the file")
    with tempfile.TemporaryDirectory() as folder:
        path, taken = Path(folder) / f"cells{file_suffix(name)}", Path(folder) / "taken.h5ad"
        path.write_bytes(content)
        try:
            read = guarded(
                "cells", about=path, progress=progress, path=str(path), target=str(taken), most=MOST_CELLS
            )
            total = read["n_cells"]
            with open_screen(taken) as screen:
                names = screen.cell_names()
            expression = inference.align(taken)
        except HyperPerturbError as error:
            sentence = str(error)
            for inner in (path, taken):
                sentence = sentence.replace(str(inner), name).replace(inner.name, name)
            raise HyperPerturbError(sentence) from error
    title = _title(goal, f"the cells of {plain(name)}")
    return _ask(inference, expression, names, total, title, Path(name).stem, goal, progress)


def _title(goal: str, what: str) -> str:
    return f"What explains {what}" if goal == "explain" else f"What would bring back {what}"


def _draw(rows: np.ndarray) -> np.ndarray:
    """At most `MOST_CELLS` of the rows, evenly spaced."""
    if len(rows) <= MOST_CELLS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST_CELLS).astype(int)]


def _ask(
    inference: HyperPerturbInference,
    expression: np.ndarray,
    cells: np.ndarray,
    total: int,
    title: str,
    label: str,
    goal: str,
    progress: Progress,
) -> Answer:
    progress(0.85, "asking the model")
    names = list(inference.perturbations)
    indices, scores, values = inference.predict_perturbations(expression, k=len(names), goal=goal)
    probability = np.zeros((len(indices), len(names)))
    np.put_along_axis(probability, indices, scores, axis=1)
    first = np.bincount(indices[:, 0], minlength=len(names)) / len(indices)
    ranking = pd.DataFrame({"perturbation": names, "probability": probability.mean(axis=0), "first": first})
    ranking = ranking.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    ranking.insert(0, "rank", np.arange(1, len(ranking) + 1))
    most = min(5, len(names))
    per_cell = inference.interpret_perturbations(SimpleNamespace(obs_names=cells), indices[:, :most])
    per_cell.insert(2, "probability", scores[:, :most].ravel())
    return Answer(title, label, goal, len(indices), total, float(np.mean(values)), ranking, per_cell)
