"""Trainings of one folder take turns; the processes are real, what they train is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from hyperperturb.cli import main
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import cell_views, evaluations
from hyperperturb.runs.config import NetworkSource, RunConfig
from hyperperturb.runs.directory import ENDED_WAITING, REQUIRED_FILES, RunDirectory
from hyperperturb.runs.folder import delete_run
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.process import is_alive
from hyperperturb.runs.queue import AT_ONCE, before, place, title, training, waiting
from hyperperturb.runs.worker import execute
from tests.runs.conftest import wait_for

CODE = """
import sys, time
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.worker import execute

def train(run):
    run.stage("work", "working", 0.1)
    limit = time.monotonic() + 60
    while not run.file("enough").exists() and time.monotonic() < limit:
        time.sleep(0.02)

execute(RunDirectory.open(sys.argv[-1]), train=train)
"""
LAUNCHER = LocalLauncher(command=(sys.executable, "-c", CODE))


@pytest.fixture
def make(tmp_path):
    """Makes runs whose training lasts until :func:`enough`; whatever is left of them is stopped at the end."""
    made: list[RunDirectory] = []
    effects, network = tmp_path / "effects.csv", tmp_path / "network.csv"
    effects.write_text("effects")
    network.write_text("a,b,1")

    def create(name: str, *, start: bool = True, **more: object) -> RunDirectory:
        source = more or {"effects": effects}
        config = RunConfig(networks=(NetworkSource(path=network),), title=f"screen {name}", **source)
        run = RunDirectory.create(tmp_path / "runs", config, name=name)
        made.append(run)
        if start:
            LAUNCHER.submit(run)
        return run

    yield create
    for run in made:
        LAUNCHER.cancel(run)


def enough(run: RunDirectory) -> None:
    """End the training of a run well."""
    run.file("enough").touch()


def works(run: RunDirectory) -> bool:
    return run.status.stage == "work" and run.status.state == "running"


def times(run: RunDirectory) -> tuple[datetime, datetime]:
    """When the training began and ended."""

    def said() -> dict[str, datetime]:
        events = run.events()[0]
        return {e["state"]: datetime.fromisoformat(e["time"]) for e in events if e["kind"] == "state"}

    wait_for(lambda: "finished" in said())  # the status comes first, then the event
    return said()["running"], said()["finished"]


def test_they_go_one_after_another_in_the_order_in_which_they_were_started(make):
    first = make("first")
    wait_for(lambda: works(first))
    # names and creation in another order than the starts
    third, second = make("a-third", start=False), make("b-second", start=False)
    LAUNCHER.submit(second)
    wait_for(lambda: place(second) == 1)
    LAUNCHER.submit(third)
    wait_for(lambda: place(third) == 2)
    wait_for(lambda: third.status.message == "Waiting until this has ended: screen first.")
    assert [run.name for run in before(third)] == ["first", "b-second"]
    assert before(first) is None
    folder = first.path.parent
    assert [run.name for run in waiting(folder)] == ["b-second", "a-third"]
    assert [run.name for run in training(folder)] == ["first"]
    assert place(first) is None
    for run in (first, second, third):
        wait_for(lambda run=run: works(run))
        assert len(training(folder)) == 1
        enough(run)
    wait_for(lambda: third.status.done)
    spans = [times(run) for run in (first, second, third)]
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    assert waiting(folder) == training(folder) == []


def test_one_that_waits_can_be_cancelled_and_never_begins(make):
    first, second, third = make("first"), make("second"), make("third")
    wait_for(lambda: works(first) and place(third) is not None)
    LAUNCHER.cancel(second)
    assert second.status.state == "cancelled"
    assert second.status.started is None
    assert not is_alive(*second.process())
    wait_for(lambda: place(third) == 1)
    enough(first)
    wait_for(lambda: works(third))
    assert [e["state"] for e in second.events()[0] if e["kind"] == "state"] == ["cancelled"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_begins_when_the_training_process_is_ended(make, how):
    first, second = make("first"), make("second")
    wait_for(lambda: works(first) and place(second) == 1)
    os.kill(first.process()[0], how)
    wait_for(lambda: works(second))
    assert first.status.state == {signal.SIGKILL: "failed", signal.SIGTERM: "cancelled"}[how]


def test_one_that_died_while_it_waited_says_so_and_can_be_resumed_at_the_end_of_the_line(make):
    first, second, third = make("first"), make("second"), make("third")
    wait_for(lambda: works(first) and place(third) == 2)
    os.kill(second.process()[0], signal.SIGKILL)
    wait_for(lambda: second.status.state == "failed")
    assert second.status.error == ENDED_WAITING
    assert place(third) == 1
    LAUNCHER.resume(second)
    wait_for(lambda: place(second) == 2)


def test_of_many_that_are_started_at_the_same_moment_one_trains(make):
    runs = [make(f"run-{i}", start=False) for i in range(4)]
    code = (
        "import sys\n"
        "from hyperperturb.runs.directory import RunDirectory\n"
        "from hyperperturb.runs.launcher import LocalLauncher\n"
        f"LocalLauncher(command=(sys.executable, '-c', {CODE!r})).submit(RunDirectory.open(sys.argv[1]))\n"
    )
    starters = [subprocess.Popen([sys.executable, "-c", code, str(run.path)]) for run in runs]
    assert [starter.wait(60) for starter in starters] == [0] * 4  # and those who started them are gone
    folder = runs[0].path.parent
    for left in range(4, 0, -1):
        wait_for(lambda: any(works(run) for run in runs))
        assert len(training(folder)) == 1
        wait_for(lambda left=left: len(waiting(folder)) == left - 1)
        enough(training(folder)[0])
        wait_for(lambda left=left: sum(run.status.done for run in runs) == 5 - left)
    spans = sorted(times(run) for run in runs)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_more_than_one_at_a_time_where_that_is_wanted(make, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "2")
    first, second, third = make("first"), make("second"), make("third")
    wait_for(lambda: len(training(first.path.parent)) == 2)
    wait_for(lambda: sum(place(run) == 1 for run in (first, second, third)) == 1)
    monkeypatch.setenv(AT_ONCE, "none")
    with pytest.raises(HyperPerturbError, match="not a number of trainings"):
        make("fourth")


def test_the_real_worker_waits_without_loading_anything(make):
    first, second = make("first"), make("second", start=False)
    wait_for(lambda: works(first))
    LocalLauncher().submit(second)
    wait_for(lambda: second.status.message.startswith("Waiting"))
    pid = second.process()[0]
    assert "tensorflow" not in Path(f"/proc/{pid}/maps").read_text()
    resident = next(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    assert resident < 100_000  # kB


def test_the_command_line_shows_the_line_and_takes_runs_out_of_it(make, capsys):
    first, second = make("first"), make("second")
    wait_for(lambda: works(first) and place(second) == 1)
    folder = ["--output_dir", str(first.path.parent)]
    assert main(["runs", *folder]) == 0
    said = capsys.readouterr().out
    assert "queued (1 in line)" in said
    assert "running" in said
    assert main(["cancel", "second", *folder, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["status"]["state"], summary["place"]) == ("cancelled", None)
    assert main(["cancel", "second", *folder]) == 1
    assert "nothing to cancel" in capsys.readouterr().err
    assert main(["cancel", "first", *folder]) == 0
    assert "--resume first" in capsys.readouterr().out
    assert first.status.state == "cancelled"


def test_ctrl_c_while_a_run_waits_cancels_it(make, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    first, run = make("first"), make("second", start=False)
    wait_for(lambda: works(first))
    monkeypatch.setattr("hyperperturb.runs.queue.time.sleep", interrupt)
    assert execute(run, train=lambda run: None) == "cancelled"
    monkeypatch.undo()
    assert run.status.started is None


@pytest.mark.parametrize(
    ("module", "begin", "words", "refusal"),
    [
        (evaluations, evaluations.start_evaluation, "the evaluation of", "being judged"),
        (
            cell_views,
            partial(cell_views.start_drawing, max_cells=10),
            "the drawing of the cells of",
            "being drawn",
        ),
    ],
)
def test_what_works_inside_a_run_stands_in_the_line_of_the_trainings(
    make, monkeypatch, tmp_path, module, begin, words, refusal
):
    monkeypatch.setattr(module, "LAUNCHER", LAUNCHER)
    judged = make("judged", screen=tmp_path / "effects.csv", column="perturbation", control="control")
    wait_for(lambda: works(judged))
    enough(judged)
    wait_for(lambda: judged.status.done)
    for name in REQUIRED_FILES:
        judged.file(name).touch()
    busy = make("busy")
    wait_for(lambda: works(busy))
    job = begin(judged)
    after = make("after")
    wait_for(lambda: (place(job), place(after)) == (1, 2))
    assert [title(other) for other in before(after)] == ["screen busy", f"{words} screen judged"]
    with pytest.raises(HyperPerturbError, match=refusal):
        delete_run(judged)
    with pytest.raises(HyperPerturbError, match="still training"):
        delete_run(after)
    enough(busy)
    wait_for(lambda: works(job))
    assert place(after) == 1
    enough(job)
    wait_for(lambda: works(after))
    assert job.status.state == "finished"
