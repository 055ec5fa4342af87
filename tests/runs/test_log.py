"""The log of a run as people read it."""

from __future__ import annotations

import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.log import lines, printed, whole_log
from hyperperturb.runs.worker import execute


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory.create(tmp_path, RunConfig(effects="effects.csv"), name="a-run")


def test_lines_have_the_time_and_no_epochs_and_say_nothing_twice(run):
    run.log("first")
    run.epoch({"stage": "genes", "epoch": 1, "epochs": 2, "loss": 1.0})
    run.log("second")
    events = run.events()[0]
    said = lines([*events, events[-1]]).splitlines()
    assert [line.split("  ", 1)[1] for line in said] == ["first", "second"]
    assert all(line[2] == line[5] == ":" for line in said)
    assert lines(events, last=1).endswith("second")
    assert lines([]) == ""


def test_a_failure_is_in_the_log_with_its_reason_and_its_traceback(run):
    def train(run):
        run.stage("networks", "reading a.csv", 0.1)
        raise HyperPerturbError("The network has none of the genes.")

    execute(run, train=train)
    text = whole_log(run)
    assert text.startswith("a-run: failed while networks\n\nThe network has none of the genes.")
    assert "reading a.csv" in text
    assert "Printed by the process:\n\nTraceback" in text


def test_only_the_end_of_a_very_long_log_is_shown(run):
    assert printed(run) == ""
    run.file("log.txt").write_text("beginning\n" + "a line\n" * 100_000 + "the end\n")
    text = printed(run)
    assert len(text) < 210_000
    assert text.startswith("[the beginning is left out]\na line\n")
    assert text.endswith("the end\n")
    assert "Printed" in whole_log(run)
