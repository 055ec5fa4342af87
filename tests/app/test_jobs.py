"""Work in a thread: progress, results for who watched, failures as sentences, stopping."""

from __future__ import annotations

import threading
import time

import pytest
import streamlit as st

from app.ui import jobs
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import RateMeter


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """A session and a registry of its own."""
    registry: dict = {}
    monkeypatch.setattr(jobs, "_registry", lambda: registry)
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path))
    return tmp_path


def ended(job: jobs.Job) -> str:
    deadline = time.monotonic() + 10
    while job.state == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    return job.state


def test_a_result_is_given_once_and_only_to_who_watched(monkeypatch):
    job = jobs.start("a", "Counting", lambda progress: progress(1.0, "done") or 42)
    assert ended(job) == "done"
    assert job.fraction == 1.0

    def ended_early(_):  # as a script is that a rerun overtakes
        raise RuntimeError

    with pytest.raises(RuntimeError):
        jobs.collect("a", ended_early)
    given = []
    assert jobs.collect("a", given.append) == 42
    assert given == [42]
    assert jobs.collect("a") is None
    monkeypatch.setattr(st, "session_state", {})  # somebody else
    assert jobs.collect("a") is None


def test_a_second_start_joins_the_running_one():
    go = threading.Event()
    first = jobs.start("a", "Waiting", lambda _: go.wait(10))
    assert jobs.start("a", "Waiting", lambda _: 1) is first
    go.set()
    assert ended(first) == "done"


def test_stopping_raises_inside_the_work():
    def work(progress):
        while True:
            progress(0.5, "half")
            time.sleep(0.01)

    job = jobs.start("a", "Endless", work)
    assert jobs.running("a")
    job.stop.set()
    assert ended(job) == "stopped"
    assert not jobs.told("a")


def test_a_known_failure_keeps_its_sentence():
    def work(_):
        raise HyperPerturbError("The file has no cells.", hint="Choose another.")

    job = jobs.start("a", "Reading", work)
    assert ended(job) == "failed"
    assert "The file has no cells" in job.error
    assert jobs.told("a")


def test_an_unknown_failure_is_logged_and_not_shown(session):
    def work(_):
        raise KeyError("secret detail")

    job = jobs.start("a", "Reading", work)
    assert ended(job) == "failed"
    assert "secret detail" not in job.error
    log = (session / "data" / "app.log").read_text()
    assert "secret detail" in log
    assert "Traceback" in log


def test_a_step_says_its_rate_without_its_own_time_left():
    seen = []
    meter = RateMeter(lambda _, message: seen.append(message), 200, "Adding up cells", "cells", every=0.0)
    meter.started -= 10  # ten seconds ago
    meter(50)
    assert seen[-1].endswith("5 a second, 30 s left")
    assert jobs.without_time_left(seen[-1]) == "Adding up cells: 50 of 200 cells, 5 a second"
    assert jobs.without_time_left("Guides that are left") == "Guides that are left"
