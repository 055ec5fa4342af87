"""Runs beside each other on the Train page: which are chosen, their curves, what they were told, their scores."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from app.ui import alt, cache
from app.ui.frame import draw, section, table
from app.ui.state import Current, chosen_comparison, select
from app.ui.text import count, number, plain, plural, when
from hyperperturb.errors import HyperPerturbError
from hyperperturb.plots.comparison import MOST_RUNS
from hyperperturb.runs.comparison import differing, preset_of
from hyperperturb.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hyperperturb.evaluation.comparison import Difference

SHOWN = ("error", "pearson_mean", "cosine_discrimination")


def choose(now: Current) -> list[RunDirectory]:
    """The box in which runs are put beside each other; the chosen runs where there are two or more."""
    by_name = {run.name: run for run in now.runs_of_dataset if run.status.started is not None}
    if len(by_name) < 2:
        return []
    wanted = [name for name in chosen_comparison() if name in by_name][:MOST_RUNS]
    if st.session_state.get("compare_drawn") != wanted:  # the address, or a button, chose otherwise
        st.session_state["compare"] = wanted
    picked = st.multiselect(
        "Compare runs",
        list(by_name),
        key="compare",
        format_func=lambda name: title(by_name[name]),
        max_selections=MOST_RUNS,
        placeholder="Choose two or more",
        wrap=True,
        help="Their curves on one picture, which settings differ, and their scores beside each other.",
    )
    st.session_state["compare_drawn"] = picked
    if picked != chosen_comparison():
        select(compare=picked)
    return [by_name[name] for name in picked] if len(picked) > 1 else []


def title(run: RunDirectory) -> str:
    """When a run was started and with which preset."""
    return f"{when(run.config.created)}, {preset_of(run.config) or 'own settings'}"


def show(now: Current, runs: Sequence[RunDirectory]) -> None:
    """The comparison of two or more runs."""
    letters = dict(zip(ascii_uppercase, runs, strict=False))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"{count(len(runs))} runs beside each other", anchor=False)
        st.button("Close", key="compare_close", on_click=select, kwargs={"compare": ()})
    names = {letter: f"{letter}: {title(run)}" for letter, run in letters.items()}
    _curves({names[letter]: run.history() for letter, run in letters.items()})
    _told(letters)
    _scores(now, letters, names)


def _curves(histories: dict[str, pd.DataFrame]) -> None:
    from hyperperturb.plots.comparison import compared_losses

    section("Validation loss")
    draw(
        compared_losses(histories),
        "losses-compared",
        key="compared_losses",
        alt=" ".join(f"{name}: {alt.losses(history)}" for name, history in histories.items()),
        wide=True,
    )
    st.caption(
        "With other genes or cells a loss is the loss of something else: what counts are the scores below."
    )


def _told(letters: dict[str, RunDirectory]) -> None:
    section("Settings that differ")
    rows = differing({letter: run.config for letter, run in letters.items()})
    if not rows:
        st.markdown(":gray[Nothing: data, networks and settings are the same.]")
        return
    table(pd.DataFrame(rows), "settings-compared", key="compared_settings")


def _scores(now: Current, letters: dict[str, RunDirectory], names: dict[str, str]) -> None:
    from hyperperturb.evaluation.verdict import MODEL
    from hyperperturb.plots.comparison import compared_scores

    section("Scores on held-out genes")
    judged = {letter: found for letter, run in letters.items() if (found := cache.metrics(run)) is not None}
    if not judged:
        st.markdown(":gray[None of these runs has scores: they are made in the middle of a training.]")
        return
    rows = []
    for letter, found in judged.items():
        model, baseline = found.scores(MODEL), found.scores(found.best_baseline)
        if model is not None:
            best = None if baseline is None else baseline.model_dump()
            rows.append({"run": names[letter], "model": model.model_dump(), "baseline": best})
    draw(
        compared_scores(rows, shown=SHOWN),
        "scores-compared",
        key="compared_scores",
        alt="Held-out scores of the runs with their intervals. "
        + "; ".join(f"{row['run']}: squared error {number(row['model']['error'])}" for row in rows),
        wide=True,
    )
    st.caption(
        "Solid: the run; hollow: the best simple baseline on the same perturbations. Bars: 95 % intervals over target "
        "genes."
    )
    table(pd.DataFrame(_score_rows(judged)), "scores-compared-table", key="compared_table")
    missing = [letter for letter in letters if letter not in judged]
    if missing:
        st.caption(f"Without scores: {', '.join(missing)}.")
    first, *others = judged
    if others:
        _differences(judged, first, _targets(now, letters[first]))


def _differences(judged: dict, first: str, targets: dict[str, Sequence[str]]) -> None:
    from hyperperturb.evaluation.comparison import differences

    section(f"Are they better than {first}?")
    found = {
        letter: differences(judged[first], judged[letter], targets) for letter in judged if letter != first
    }
    known = {letter: rows for letter, rows in found.items() if rows}
    if not known:
        st.markdown(":gray[They have too few held-out perturbations in common to say.]")
        return
    for letter, rows in known.items():
        if (error := next((d for d in rows if d.metric == "error"), None)) is not None:
            st.markdown(
                f"In squared error {letter} is **{error.verdict}** {first}: {_signed(error)}, over "
                f"{plural(error.n, 'perturbation')}."
            )
    shown: dict[str, dict[str, str]] = {}
    for letter, rows in known.items():
        for d in rows:
            row = shown.setdefault(d.label, {"score": d.label})
            row |= {letter: _signed(d), f"{letter} is": d.verdict.rpartition(" ")[0]}
    table(pd.DataFrame(list(shown.values())).fillna("–"), "differences", key="compared_differences")
    st.caption(
        "Paired over the perturbations that both held out; positive is better, whatever the score. In brackets the "
        "95 % interval over target genes; only where it excludes 0 do they clearly differ."
    )


def _signed(d: Difference) -> str:
    """A difference with its interval, to three decimals."""
    value, low, high = (
        f"{x:+.3f}".replace("-", "−") if abs(x) >= 0.0005 else "0.000" for x in (d.difference, d.low, d.high)
    )
    return f"{value} ({low} to {high})"


def _score_rows(judged: dict) -> list[dict[str, str]]:
    from hyperperturb.evaluation.metrics import METRICS
    from hyperperturb.evaluation.verdict import MODEL

    rows = []
    for name, metric in METRICS.items():
        values = {letter: found.scores(MODEL).model_dump() for letter, found in judged.items()}
        if all(value.get(name) is None for value in values.values()):
            continue
        rows.append(
            {"score": metric.label, **{letter: _interval(value, name) for letter, value in values.items()}}
        )
    return rows


def _interval(scores: dict, name: str) -> str:
    value, low, high = (scores.get(f"{name}{side}") for side in ("", "_low", "_high"))
    if value is None:
        return "–"
    return number(value) + (
        f" ({number(low)} to {number(high)})" if low is not None and high is not None else ""
    )


def _targets(now: Current, run: RunDirectory) -> dict[str, Sequence[str]]:
    """Perturbation → target genes, from the dataset; empty where it is gone."""
    dataset = next((d for d in now.datasets if d.name == run.config.dataset and d.confirmed), None)
    if dataset is None:
        return {}
    try:
        effects = cache.effects(now.workspace, dataset)
    except HyperPerturbError as error:
        st.caption(plain(error))
        return {}
    return dict(zip(effects.perturbations, effects.targets, strict=True))
