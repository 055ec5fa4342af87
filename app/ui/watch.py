"""Watching a training: the line of what is happening, the curves, the time left, and a way to stop."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from app.ui import alt, settings
from app.ui.frame import draw, fold, guard
from app.ui.text import GLOSSARY, count, duration, listing, number, ordinal, plain, size
from hyperperturb.runs import queue
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.events import last_of_each_epoch
from hyperperturb.runs.folder import delete_run
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.log import lines, whole_log
from hyperperturb.runs.status import RunStatus

STAGES = {
    "effects": "Reading the effects",
    "networks": "Reading the networks",
    "genes": "Placing the genes",
    "scores": "Scoring on held-out genes",
    "effect head": "Learning the effects",
    "cells": "Learning from the cells",
    "writing": "Writing the run",
}
STATES = {
    "queued": "waiting",
    "running": "in progress",
    "finished": "finished",
    "failed": "failed",
    "cancelled": "cancelled",
}


def events(run: RunDirectory) -> list[dict[str, Any]]:
    """Everything the run has reported; each look reads only what is new."""
    store = st.session_state.setdefault("run_events", {})
    offset, seen = store.get(run.name, (0, []))
    fresh, offset = run.events(offset)
    seen = [*seen, *fresh]
    st.session_state["run_events"] = {run.name: (offset, seen)}  # one run at a time is enough
    return seen


def history(found: list[dict[str, Any]]) -> pd.DataFrame:
    """The epochs among the events, one row each; of an epoch that a resumed run did again, the last."""
    return pd.DataFrame(last_of_each_epoch(found))


@st.fragment(run_every=1)
def live(run: RunDirectory) -> None:
    """The waiting or running training; renewed every second until it ends, then the page is drawn anew."""
    with guard():
        status = run.status
        if status.done:
            st.rerun()
        found = events(run)
        curves = history(found)
        with st.container(border=True, key="live"):
            left, right = st.columns([3, 1], vertical_alignment="center")
            with left:
                title, said = _waits(run) if status.state == "queued" else _does(status, curves)
                st.markdown(f"**{plain(title)}**")
                st.markdown(f":gray[{plain(said)}]")
            with right, st.container(horizontal_alignment="right"):
                if st.button("Cancel", key="cancel_run", help="Stop this training."):
                    with st.spinner("Stopping the training"):
                        LocalLauncher().cancel(run)
                    st.rerun()
            st.progress(min(max(status.fraction, 0.0), 1.0))
            parts = [f"{round(100 * status.fraction)} %"]
            if status.epochs:
                parts.append(f"epoch {count(status.epoch)} of {count(status.epochs)}")
            if status.started:
                parts.append(f"{duration((datetime.now(UTC) - status.started).total_seconds())} so far")
            if status.seconds_left is not None:
                parts.append(f"about {duration(status.seconds_left)} left")
            if status.memory:
                parts.append(f"{size(status.memory)} of memory")
            if status.device:
                parts.append(plain(status.device))
            st.caption(" · ".join(parts))
        draw_curves(curves, key="live", components=True)
        with st.expander("Log", expanded=curves.empty):
            st.code(lines(found, last=200) or "waiting for the first line", language=None, height=180)


def _does(status: RunStatus, curves: pd.DataFrame) -> tuple[str, str]:
    """What a training does now."""
    stage = STAGES.get(status.stage, status.stage.capitalize()) or "Starting"
    said = f"validation loss {last_loss(curves)}" if status.epochs else status.message
    return stage, said or "starting the training process …"


def _waits(run: RunDirectory) -> tuple[str, str]:
    """What a training waits for."""
    ahead = queue.before(run)
    if not ahead:
        return "Starting", "starting the training process …"
    place = queue.place(run) or 1
    left = [other.status.seconds_left for other in ahead]
    when_free = f" About {duration(sum(left))} until then." if all(s is not None for s in left) else ""
    return f"{ordinal(place).capitalize()} in line", (
        f"Trainings go one after another. Before this one: {listing(map(queue.title, ahead))}.{when_free} It begins by "
        "itself, also when this page is closed."
    )


def draw_curves(curves: pd.DataFrame, *, key: str, components: bool = False) -> None:
    """Training and validation loss; nothing before the first epoch."""
    if curves.empty:
        return
    from hyperperturb.plots.training import component_curves, loss_curves

    draw(loss_curves(curves), "losses", key=f"curves_{key}", alt=alt.losses(curves), wide=True)
    if components:
        st.caption("Solid: training. Dashed: validation.", help=GLOSSARY["training curves"])
        draw(
            component_curves(curves), "loss-parts", key=f"parts_{key}", alt=alt.loss_parts(curves), wide=True
        )


def ended_badly(run: RunDirectory) -> None:
    """Why a run failed, or that it was cancelled, with the ways on and its log."""
    status = run.status
    failed = status.state == "failed"
    if failed:
        st.error(plain(status.error or "The training ended without saying why."))
        st.caption(_where(status))
    else:
        st.info("This training was cancelled. Nothing of it is used unless you resume it.")
    with st.container(horizontal=True):
        if run.resumable and st.button(
            "Resume",
            key=f"resume_{run.name}",
            type="primary",
            icon=":material/resume:",
            help="Goes on after the last whole epoch; the result is that of an uninterrupted training. Where the "
            "reason is still there it fails again.",
        ):
            LocalLauncher().resume(run)
            st.rerun()
        again(run)
    draw_curves(history(events(run)), key="ended")
    log(run)
    remove(run)


def _where(status: RunStatus) -> str:
    """At which step a run failed, and after how long."""
    if status.started is None:
        return "It had not begun."
    step = STAGES.get(status.stage, status.stage)
    doing = f", at the step “{plain(step)}”" if step else ", before its first step"
    held = f", when it had held up to {size(status.memory)} of memory" if status.memory else ""
    return (
        f"It stopped after {duration(status.seconds)}{doing}{held}. Resume it when the reason is gone, or change its "
        "settings and start anew."
    )


def again(run: RunDirectory) -> None:
    """A button that puts a run's settings into the form, to be changed and started anew."""
    st.button(
        "Use its settings",
        key=f"again_{run.name}",
        help="Puts the settings, networks and left-out perturbations of this run into the form, where you change them "
        "and start anew.",
        on_click=settings.take,
        args=(run.config,),
    )


def log(run: RunDirectory) -> None:
    """The log of a run that has ended, folded, with what its process printed, and as a file."""
    fold("Log", lambda: _whole_log(run), key=f"log_of_{run.name}")


def _whole_log(run: RunDirectory) -> None:
    st.code(whole_log(run), language=None, height=260)
    st.download_button(
        "Download the log",
        lambda: whole_log(run),
        file_name=f"{run.name}-log.txt",
        mime="text/plain",
        key=f"log_{run.name}",
        on_click="ignore",
    )


def remove(run: RunDirectory) -> None:
    """A quiet button that deletes the run, once it has been asked again."""
    if st.button("Delete this run", key=f"delete_{run.name}", type="tertiary"):
        _ask(run)


@st.dialog("Delete this run?")
def _ask(run: RunDirectory) -> None:
    from app.ui.state import select

    st.markdown(f"The run **{plain(run.name)}** and everything in it are removed. The dataset stays.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="run_keep"):
            st.rerun()
        if st.button("Delete", key="run_delete", type="primary"):
            with guard():
                delete_run(run)
                select(run="")
                st.rerun()


def last_loss(curves: pd.DataFrame) -> str:
    """The last validation loss, or a dash."""
    if "val_loss" not in curves:
        return "–"
    values = pd.to_numeric(curves["val_loss"], errors="coerce").dropna()
    return number(float(values.iloc[-1])) if len(values) else "–"
