"""Work of some seconds inside the server: in a thread, watched by the page, stoppable, deaf to reloads.

A job lives in the server, not in the session: leaving the page or reloading it leaves the job running, and
whoever opens the page sees the same job. Stopping works through the progress callback, from which `Stopped` is raised.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import streamlit as st

from app.ui.frame import sentence
from app.ui.text import duration

Work = Callable[[Callable[[float, str], None]], Any]


class Stopped(Exception):  # noqa: N818 - nothing went wrong; a person asked for it
    """Raised inside the work when a person stops it."""


@dataclass
class Job:
    """One piece of work: what it is called, how far it is, how it ended."""

    key: str
    title: str
    fraction: float = 0.0
    message: str = ""
    state: Literal["running", "done", "failed", "stopped"] = "running"
    result: Any = None
    error: str = ""
    started: float = field(default_factory=time.monotonic)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    stop: threading.Event = field(default_factory=threading.Event)

    def report(self, fraction: float, message: str) -> None:
        """The progress callback that the work is given."""
        if self.stop.is_set():
            raise Stopped
        self.fraction, self.message = min(max(float(fraction), 0.0), 1.0), str(message)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the time used so far; none in the first second and before a tenth is done."""
        elapsed = time.monotonic() - self.started
        if elapsed < 1 or self.fraction < 0.1:
            return None
        return elapsed * (1 - self.fraction) / self.fraction


@st.cache_resource(show_spinner=False)
def _registry() -> dict[str, Job]:
    return {}


def get(key: str) -> Job | None:
    """The latest job of that key, running or ended."""
    return _registry().get(key)


def start(key: str, title: str, work: Work) -> Job:
    """Start `work(progress)` in a thread unless the same job is already running."""
    found = get(key)
    if found is not None and found.state == "running":
        return found
    job = Job(key, title)
    _registry()[key] = job

    def body() -> None:
        try:
            result = work(job.report)
        except Exception as error:  # noqa: BLE001 - the page shows it as a sentence
            if job.stop.is_set():
                job.state = "stopped"
            else:
                job.error = sentence(error)
                job.state = "failed"
        else:
            job.result, job.fraction = result, 1.0
            job.state = "done"

    st.session_state[f"watched_{key}"] = job.id
    threading.Thread(target=body, name=f"job-{key}", daemon=True).start()
    # Most jobs on small files end at once: waiting a moment saves the flash of a progress bar.
    deadline = time.monotonic() + 0.2
    while job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    return job


def _watched(job: Job) -> bool:
    """Whether this session started the job or saw it run; others are not told how it ended."""
    return st.session_state.get(f"watched_{job.key}") == job.id


def collect(key: str, deliver: Callable[[Any], None] | None = None) -> Any:
    """The result of a finished job, given once to each session that watched it; otherwise None.

    `deliver(result)` is called before the job is forgotten: Streamlit may end a script at any access to the session to
    begin the next one, and what had been forgotten but not delivered would be lost.
    """
    job = get(key)
    if job is None or job.state != "done" or not _watched(job):
        return None
    if deliver is not None:
        deliver(job.result)
    del st.session_state[f"watched_{key}"]
    return job.result


def running(key: str) -> bool:
    """Whether the job of that key is running."""
    job = get(key)
    return job is not None and job.state == "running"


def watch(key: str, *, stoppable: bool = True) -> bool:
    """Show the job: progress and a way to stop while it runs, its sentence when it failed. True while it runs."""
    job = get(key)
    if job is None:
        return False
    if job.state == "running":
        st.session_state[f"watched_{key}"] = job.id
        _progress(key, job.id, stoppable)
        return True
    if job.state == "failed" and _watched(job):
        st.error(job.error)
    elif job.state == "stopped" and _watched(job):
        del st.session_state[f"watched_{key}"]
        st.info("Stopped. Nothing was changed.")
    return False


def told(key: str) -> bool:
    """Whether there is something to show about the job: it runs, or it failed in this session."""
    job = get(key)
    return job is not None and (job.state == "running" or (job.state == "failed" and _watched(job)))


@st.fragment(run_every=0.5)
def _progress(key: str, job_id: str, stoppable: bool) -> None:
    job = get(key)
    if job is None or job.id != job_id or job.state != "running":
        st.rerun()
    with st.container(border=True):
        left = job.seconds_left
        st.markdown(f"**{job.title}**")
        doing = job.message or "starting"
        if (
            stoppable and left is not None
        ):  # one estimate is enough: below is that of the whole, not of this step
            doing = without_time_left(doing)
        st.progress(job.fraction, text=doing)
        if not stoppable:  # a step that cannot say how far it is cannot be asked to stop either
            return
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(f"about {duration(left)} left" if left is not None else "estimating the time left")
            if st.button("Stop", key=f"stop_{key}", disabled=job.stop.is_set()):
                job.stop.set()
                st.rerun(scope="fragment")


def without_time_left(message: str) -> str:
    """What a step says of itself, less its own estimate of the time it still takes."""
    return re.sub(r", [^,]* left$", "", message)


def new_id() -> str:
    """A name that no other job has."""
    return uuid.uuid4().hex
