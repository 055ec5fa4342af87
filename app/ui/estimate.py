"""What a training will take, said before it begins."""

from __future__ import annotations

import streamlit as st

from app.ui.text import count, duration, plain, plural, size
from hyperperturb import machine
from hyperperturb.runs.cost import Estimate, Workload

_BUSY = 1.5  # processes that want each core, from which on a training is slowed down


def sentence(found: Estimate, work: Workload, *, device: str) -> str:
    """Time, memory and device, and what says so."""
    source = (
        f"{plural(found.earlier, 'earlier training')} here"
        if found.earlier
        else "trainings on another machine"
    )
    return (
        f"About {duration(found.seconds)} and {size(found.memory)} of memory for {count(work.genes)} genes on "
        f"{device}, going by {source}."
    )


def doubts(found: Estimate, *, free: int | None, busy: float, before: int) -> list[str]:
    """What may make it longer, or impossible, as sentences.

    Parameters
    ----------
    found
        What it will take.
    free
        Bytes of free memory; None where nobody knows.
    busy
        Processes that want each core.
    before
        Trainings that run or wait.
    """
    said = []
    if before:
        said.append(
            f"It begins when {plural(before, 'other training')} {'has' if before == 1 else 'have'} ended."
        )
    if busy > _BUSY and not before:
        said.append("The machine is busy with other work, so it may take longer.")
    if free is not None and found.memory > free:
        said.append(
            f"Only {size(free)} of memory are free on this machine: choose fewer genes or cells under All settings, "
            "or close other work."
        )
    return said


def show(found: Estimate, work: Workload, *, device: str, before: int) -> None:
    """The estimate under the settings."""
    free = machine.free_memory()
    said = [sentence(found, work, device=device)]
    said += doubts(found, free=free, busy=machine.busy(), before=before)
    short = free is not None and found.memory > free
    (st.warning if short else st.caption)(plain(" ".join(said)))
