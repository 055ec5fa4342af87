"""From cells to perturbations: which explains these cells, brings them back, or leads them to another state."""

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
from app.ui.state import Current, chosen_goal, chosen_group, select
from app.ui.text import count, number, plain
from hyperperturb.data.screen import open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.incoming import file_suffix

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

GOALS = {
    "explain": "Which perturbation explains them?",
    "revert": "Which would bring them back to control?",
    "target": "Which would lead them to another state?",
    "lists": "Which moves these genes up and those down?",
}
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
    per_cell: pd.DataFrame | None


def show(now: Current, inference: HyperPerturbInference) -> None:
    """Choose cells, ask, read the ranking."""
    config = inference.config
    sources = (["label"] if config.screen is not None else []) + ["upload"]
    left, right = st.columns([1, 1.9], gap="large")
    job = f"cells:{st.session_state.setdefault('cells_id', jobs.new_id())}"
    with left:
        st.session_state["cells_goal"] = chosen_goal() if chosen_goal() in GOALS else "explain"
        goal = st.radio(
            "Question",
            list(GOALS),
            format_func=GOALS.get,
            key="cells_goal",
            on_change=lambda: select(goal=st.session_state["cells_goal"]),
        )
        if goal == "lists":
            _choose_lists(inference, job)
        else:
            source = st.radio(
                "Cells",
                sources,
                format_func={"label": "Of this screen, by label", "upload": "From a file"}.get,
                key="cells_source",
            )
            labels = [x for x in (config.control, *inference.effects.perturbations) if x]
            to = None
            if goal == "target":
                to = st.selectbox("Wanted state: that of the label", labels, index=0, key="cells_to")
            if source == "label":
                st.session_state["cells_label"] = chosen_group() if chosen_group() in labels else labels[1]
                label = st.selectbox(
                    "Label",
                    labels,
                    key="cells_label",
                    on_change=lambda: select(group=st.session_state["cells_label"]),
                )
                if st.button("Rank perturbations", key="cells_ask", type="primary", disabled=label is None):
                    jobs.start(
                        job,
                        f"Asking about the cells labelled {plain(label)}",
                        lambda progress: ask_label(inference, label, goal, to, progress),
                    )
                    st.rerun()
            else:
                uploaded = st.file_uploader(
                    "Upload cells",
                    type=["h5ad", "h5", "loom", "zip"],
                    key="cells_upload",
                    max_upload_size=500,
                    help="Counts or log-normalised values with gene names; the first "
                    f"{count(MOST_CELLS)} cells are used.",
                )
                if st.button(
                    "Rank perturbations", key="cells_ask", type="primary", disabled=uploaded is None
                ):
                    content, name = uploaded.getvalue(), uploaded.name
                    jobs.start(
                        job,
                        f"Asking about the cells of {plain(name)}",
                        lambda progress: ask_upload(inference, content, name, goal, to, progress),
                    )
                    st.rerun()
    with right:
        where = str(now.run.path)
        jobs.collect(job, lambda answer: st.session_state.update(cells_answer=(where, answer)))
        if jobs.watch(job):
            return
        path, kept = st.session_state.get("cells_answer", ("", None))
        if kept is not None and path == str(now.run.path):
            _answer(inference, kept)
        else:
            st.markdown(
                ":gray[Choose cells and ask. Every perturbation of the screen, and its opposite, is ranked by how well "
                "it fits the state that they share, with a probability.]"
            )


def _choose_lists(inference: HyperPerturbInference, job: str) -> None:
    genes = list(inference.compared_genes)
    up = st.multiselect("Up", genes, key="cells_up")
    down = st.multiselect("Down", genes, key="cells_down")
    if st.button("Rank perturbations", key="cells_ask", type="primary", disabled=not (up or down)):
        jobs.start(
            job, "Asking about lists of genes", lambda progress: ask_lists(inference, up, down, progress)
        )
        st.rerun()


def _answer(inference: HyperPerturbInference, answer: Answer) -> None:
    section(answer.title)
    if answer.n_cells:
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
                    "How far the way in question is, on the model's scale.",
                ),
            ]
        )
    ranking = answer.ranking
    if (ranking["sign"].head(5) == "wrong").any():
        st.caption(
            "Wrong-signed: the gene fits, but the screen's intervention goes the other way; the opposite one is named."
        )
    st.dataframe(
        ranking.head(20),
        hide_index=True,
        column_config={
            "probability": st.column_config.ProgressColumn(
                "probability",
                format="%.3g",
                min_value=0.0,
                max_value=float(max(ranking["probability"].max(), 1e-9)),
                help="Calibrated on held-out perturbations; over all perturbations and their opposites it is 1.",
            ),
            "score": st.column_config.NumberColumn(
                "score", format="%.2f", help="Cosine with the effect as the model knows it."
            ),
            "evidence": st.column_config.NumberColumn(
                "measured", format="%.2f", help="Cosine with the effect as it was measured."
            ),
            "first": st.column_config.NumberColumn(
                "share of cells", format="percent", help="Cells of which, one by one, it is the first answer."
            ),
        },
    )
    policy = (inference.metrics or {}).get("policy") or {}
    if answer.goal == "explain" and policy.get("top1") is not None:
        st.caption(
            f"One by one, the first answer is right in {number(100 * policy['top1'])} % of held-out cells, one of the "
            f"first five in {number(100 * policy.get('top5', float('nan')))} %."
        )
    _download(answer, "Download the ranking as CSV", answer.ranking, "ranking")
    if answer.per_cell is not None:
        _download(answer, "Download every cell as CSV", answer.per_cell, "cells")


def _download(answer: Answer, label: str, table: pd.DataFrame, what: str) -> None:
    st.download_button(
        label,
        data=lambda: table.to_csv(index=False).encode(),
        file_name=f"{what}-{answer.label}-{answer.goal}.csv",
        mime="text/csv",
        on_click="ignore",
        key=f"download_{what}",
    )


def ask_lists(inference: HyperPerturbInference, up: list[str], down: list[str], progress: Progress) -> Answer:
    """Rank perturbations by how well they move some genes up and others down."""
    progress(0.5, "asking the model")
    ranking = _numbered(inference.rank_perturbations(goal="target", up=up, down=down))
    return Answer("What moves these genes", "genes", "lists", 0, 0, float("nan"), ranking, None)


def ask_label(
    inference: HyperPerturbInference, label: str, goal: str, to: str | None, progress: Progress
) -> Answer:
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
    return _ask(inference, expression, names, len(found), _title(goal, what, to), label, goal, to, progress)


def ask_upload(
    inference: HyperPerturbInference,
    content: bytes,
    name: str,
    goal: str,
    to: str | None,
    progress: Progress,
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
    title = _title(goal, f"the cells of {plain(name)}", to)
    return _ask(inference, expression, names, total, title, Path(name).stem, goal, to, progress)


def _title(goal: str, what: str, to: str | None) -> str:
    if goal == "target":
        return f"What leads {what} to {plain(to)}"
    return f"What explains {what}" if goal == "explain" else f"What would bring back {what}"


def _numbered(ranking: pd.DataFrame) -> pd.DataFrame:
    ranking = ranking.drop(columns="targets")
    ranking.insert(0, "rank", np.arange(1, len(ranking) + 1))
    return ranking


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
    to: str | None,
    progress: Progress,
) -> Answer:
    progress(0.85, "asking the model")
    ranking = _numbered(inference.rank_perturbations(expression, goal, target=to))
    most = min(5, len(inference.perturbations))
    indices, scores, values = inference.predict_perturbations(expression, k=most, goal=goal, target=to)
    if goal == "explain":
        first = np.bincount(indices[:, 0], minlength=len(inference.perturbations)) / len(indices)
        ranking["first"] = [first[inference.perturbations.index(p)] for p in ranking["perturbation"]]
    per_cell = inference.interpret_perturbations(SimpleNamespace(obs_names=cells), indices)
    per_cell.insert(2, "probability", scores.ravel())
    return Answer(title, label, goal, len(indices), total, float(np.mean(values)), ranking, per_cell)
