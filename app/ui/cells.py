"""From cells to perturbations: which explains these cells, brings them back, or leads them to another state."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from app.ui import alt, jobs
from app.ui.cell_maps import Drawn, strongest
from app.ui.frame import draw, facts, go, section, table
from app.ui.ranking import ranking_columns
from app.ui.state import Current, chosen_of_cells, select
from app.ui.text import GLOSSARY, count, number, plain, plural
from hyperperturb.data.screen import open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.guarded import guarded
from hyperperturb.runs.incoming import file_suffix

if TYPE_CHECKING:
    from hyperperturb.models.inference import HyperPerturbInference

GOALS = {
    "explain": "What explains them?",
    "revert": "What would bring them back to control?",
    "target": "What would lead them to another state?",
}
MOST_CELLS = 1000
_LINE, _FILE = "\0line", "\0file"  # among labels, which hold no such sign


@dataclass(frozen=True)
class Asked:
    """A question about a group of cells: run, goal, wanted state, and the label, the line or the file's name."""

    run: str
    goal: str
    to: str
    group: str


@dataclass(frozen=True)
class Answer:
    """What the model says about a group of cells; `shift` is the wanted one, over the response genes."""

    title: str
    label: str
    goal: str
    n_cells: int
    n_of: int
    strength: float
    ranking: pd.DataFrame
    per_cell: pd.DataFrame
    shift: np.ndarray


def show(now: Current, inference: HyperPerturbInference, drawn: Drawn | None) -> None:
    """Choose cells, ask, read the ranking."""
    section("Ask about a group of cells")
    left, right = st.columns([1, 1.9], gap="large")
    job = f"cells:{st.session_state.setdefault('cells_id', jobs.new_id())}"
    with left:
        asked = _question(now, inference, drawn, job)
    with right:
        jobs.collect(job, lambda answer: st.session_state.update(cells_answer=answer))
        if jobs.watch(job):
            return
        about, answer = st.session_state.get("cells_answer", (None, None))
        if answer is not None and about == asked:
            _answer(now, inference, answer)
        else:
            st.markdown(
                ":gray[Every perturbation of the screen, and its opposite, is ranked by how well it fits the state "
                "that the cells share, with a probability and the measured effect beside it.]"
            )


def _question(now: Current, inference: HyperPerturbInference, drawn: Drawn | None, job: str) -> Asked:
    """The widgets of a question; what they ask now."""
    config = inference.config
    chosen_goal, chosen_label, _, chosen_to, _ = chosen_of_cells()
    labels = [x for x in (config.control, *inference.effects.perturbations) if x]
    known = labels if config.screen is not None else []
    groups = [*([_LINE] if drawn is not None else []), *known, _FILE]
    said = {_FILE: "Cells of a file"}
    if drawn is not None:
        said[_LINE] = f"{plural(len(drawn.rows), 'cell')} inside the line"
    if st.session_state.get("cells_group") != _FILE:
        first = _LINE if drawn is not None else chosen_label
        st.session_state["cells_group"] = (
            first if first in groups else strongest(inference)[0] if known else _FILE
        )

    def changed() -> None:
        group = st.session_state["cells_group"]
        if group == _LINE:
            select(group="")
        elif group != _FILE:
            select(group=group, area="")

    group = st.selectbox(
        "Cells", groups, key="cells_group", format_func=lambda name: said.get(name, name), on_change=changed
    )
    uploaded = None
    if group == _FILE:
        uploaded = st.file_uploader(
            "Upload cells",
            type=["h5ad", "h5", "loom", "zip"],
            key="cells_upload",
            max_upload_size=500,
            help=f"Counts or log-normalised values with gene names; the first {count(MOST_CELLS)} cells are used.",
        )
    st.session_state["cells_goal"] = chosen_goal if chosen_goal in GOALS else "explain"
    goal = st.radio(
        "Question",
        list(GOALS),
        format_func=GOALS.get,
        key="cells_goal",
        on_change=lambda: select(goal=st.session_state["cells_goal"]),
    )
    to = ""
    if goal == "target":
        st.session_state["cells_to"] = chosen_to if chosen_to in labels else labels[0]
        to = st.selectbox(
            "Wanted state: that of the label",
            labels,
            key="cells_to",
            on_change=lambda: select(to=st.session_state["cells_to"]),
        )
    none = (group == _FILE and uploaded is None) or (group == _LINE and not len(drawn.rows))
    name = uploaded.name if uploaded is not None else str(drawn.area) if group == _LINE else group
    asked = Asked(str(now.run.path), goal, to, name)
    if st.button("Rank perturbations", key="cells_ask", type="primary", disabled=none):
        if uploaded is not None:
            content = uploaded.getvalue()
            work = partial(ask_upload, inference, content, uploaded.name, goal, to or None)
            what = f"the cells of {plain(uploaded.name)}"
        elif group == _LINE:
            what = f"{plural(len(drawn.rows), 'cell')} inside the line"
            work = partial(ask_rows, inference, drawn.rows, what, "line", goal, to or None)
        else:
            what = f"the cells labelled {plain(group)}"
            work = partial(ask_label, inference, group, goal, to or None)
        jobs.start(job, f"Asking about {what}", lambda progress: (asked, work(progress)))
        st.rerun()
    return asked


def _answer(now: Current, inference: HyperPerturbInference, answer: Answer) -> None:
    section(answer.title)
    of = f"Of {count(answer.n_of)}; drawn evenly." if answer.n_of > answer.n_cells else None
    said = [("Cells", count(answer.n_cells), of)]
    if answer.goal == "explain":  # the strength that the value head was trained to give
        said.append(("Predicted strength", number(answer.strength), GLOSSARY["strength"]))
    facts(said)
    ranking = answer.ranking
    if (ranking["sign"].head(5) == "wrong").any():
        st.caption("Where the screen's own intervention would go the wrong way, the opposite one is named.")
    event = table(
        ranking.head(20),
        f"ranking-{answer.label}-{answer.goal}",
        key="cells_ranking",
        data=ranking,
        on_select="rerun",
        selection_mode="single-row",
        height=388,
        column_order=("perturbation", "intervention", "probability", "score", "evidence", "first"),
        column_config={
            **ranking_columns(ranking, calibrated_on="cells"),
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
    rows = [row for row in event.selection.rows if row < len(ranking)]
    _evidence(now, inference, answer, ranking.iloc[rows[0] if rows else 0], several=len(ranking) > 1)
    st.download_button(
        "Download every cell as CSV",
        data=lambda: answer.per_cell.to_csv(index=False).encode(),
        file_name=f"cells-{answer.label}-{answer.goal}.csv",
        mime="text/csv",
        on_click="ignore",
        key="download_cells",
        help="The first answers for each cell by itself.",
    )


def _evidence(
    now: Current, inference: HyperPerturbInference, answer: Answer, row: pd.Series, *, several: bool
) -> None:
    """The shift that is asked for beside the measured effect of one answer."""
    from hyperperturb.plots.cells import shift_and_effect

    effects = inference.effects.restrict_genes(inference.response_genes)
    name = row["perturbation"]
    at = effects.index(name)
    sign = 1.0 if row["sign"] == "right" else -1.0
    shown = pd.DataFrame(
        {
            "gene": inference.response_genes,
            "shift": answer.shift,
            "effect": sign * effects.effect[at],
            "standard_error": effects.standard_error[at],
        }
    )
    turned = "" if sign > 0 else ", turned round"
    st.markdown(f"**Evidence: the measured effect of {plain(name)}{turned}**")
    draw(
        shift_and_effect(shown, f"{name}{turned}"),
        f"evidence-{answer.label}-{name}",
        key="cells_evidence",
        alt=alt.agreement(
            shown["shift"],
            shown["effect"],
            across="shift of the cells",
            upwards=f"measured effect of {name}{turned}",
        ),
    )
    said = "Choose another row of the table to see its evidence." if several else ""
    if answer.label == name:
        said = (
            f"These cells are the ones that this effect was measured on, so they lie on the diagonal. {said}"
        )
    st.caption(said)
    targets = effects.targets[at]
    go(
        "predict",
        f"Open {plain(name)} in Predict",
        key="cells_open",
        run=now.run.name,
        genes=",".join(targets),
        view="one",
    )


def ask_label(
    inference: HyperPerturbInference, label: str, goal: str, to: str | None, progress: Progress
) -> Answer:
    """Rank perturbations for the cells of one label of the run's own screen."""
    config = inference.config
    progress(0.05, "opening the screen")
    with open_screen(existing_screen(config.screen), layer=config.layer, tables=config.tables) as screen:
        rows = np.flatnonzero(np.asarray(screen.labels(config.column)) == label)
    if len(rows) == 0:
        raise HyperPerturbError(f"No cell of the screen is labelled '{label}'.", hint="Choose another label.")
    return ask_rows(inference, rows, f"the cells labelled {plain(label)}", label, goal, to, progress)


def ask_rows(
    inference: HyperPerturbInference,
    rows: np.ndarray,
    what: str,
    tag: str,
    goal: str,
    to: str | None,
    progress: Progress,
) -> Answer:
    """Rank perturbations for cells of the run's own screen, given by their rising numbers."""
    from hyperperturb.models.cells import screen_values

    config, total = inference.config, len(rows)
    progress(0.1, "opening the screen")
    with open_screen(existing_screen(config.screen), layer=config.layer, tables=config.tables) as screen:
        rows = _draw(rows)
        if not len(rows) or rows[-1] >= screen.n_cells:
            raise HyperPerturbError(
                "These cells are not in the screen any more.", hint="Draw the cells again."
            )
        position = {gene: i for i, gene in enumerate(screen.genes)}
        columns = np.array([position[gene] for gene in inference.response_genes])
        progress(0.2, f"reading {count(len(rows))} cells")
        expression = screen_values(screen, rows, columns)
        names = np.asarray(screen.cell_names())[rows].astype(str)
    return _ask(inference, expression, names, total, _title(goal, what, to), tag, goal, to, progress)


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
    shift = _shift(inference, expression, goal, to)
    return Answer(title, label, goal, len(indices), total, float(np.mean(values)), ranking, per_cell, shift)


def _shift(inference: HyperPerturbInference, expression: np.ndarray, goal: str, to: str | None) -> np.ndarray:
    """The mean shift that the goal asks for, over the response genes, natural-log units."""
    effects = inference.effects.restrict_genes(inference.response_genes)
    control = np.asarray(effects.control_mean, dtype=np.float64)
    away = np.asarray(expression, dtype=np.float64).mean(axis=0) - control
    if goal == "explain":
        return away
    wanted = 0.0 if goal == "revert" or to == effects.control else effects.effect[effects.index(to)]
    return wanted - away
