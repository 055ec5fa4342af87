"""A thorough evaluation is a process of its own beside a finished run; here with a stand-in for the judge."""

from __future__ import annotations

import sys

import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import evaluations
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import REQUIRED_FILES, RunDirectory
from hyperperturb.runs.folder import delete_run, list_runs
from hyperperturb.runs.launcher import LocalLauncher
from tests.runs.conftest import wait_for

BODY = """
import sys, time
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.worker import execute

def judge(job):
    job.stage("judging", "fold 1 of 5", 0.2)
    {what}

execute(RunDirectory.open(sys.argv[-1]), train=judge)
"""


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    run = RunDirectory.create(tmp_path / "runs", RunConfig(effects=tmp_path / "effects.csv"))
    run.begin()
    for name in REQUIRED_FILES:
        if not run.file(name).exists():
            run.file(name).write_text("{}")
    run.finish()
    return run


@pytest.fixture
def stand_in(monkeypatch):
    """Let the process do something else than to judge."""

    def install(what: str) -> None:
        command = (sys.executable, "-c", BODY.format(what=what))
        monkeypatch.setattr(evaluations, "LAUNCHER", LocalLauncher(command=command))

    return install


def test_it_runs_beside_the_run_and_can_be_done_again(run, stand_in):
    assert evaluations.evaluation_of(run) is None
    for _ in range(2):
        stand_in("pass")
        job = evaluations.start_evaluation(run)
        wait_for(lambda job=job: job.status.done)
        assert job.status.state == "finished"
        assert job.path == run.path / "evaluation"
    assert not evaluations.evaluating(run)
    assert run.usable
    assert [found.name for found in list_runs(run.path.parent)] == [run.name], "it is no run of its own"


def test_it_is_watched_stopped_and_started_once(run, stand_in):
    stand_in("time.sleep(60)")
    job = evaluations.start_evaluation(run)
    wait_for(lambda: job.status.fraction == 0.2)
    assert job.status.message == "fold 1 of 5"
    with pytest.raises(HyperPerturbError, match="being judged already"):
        evaluations.start_evaluation(run)
    with pytest.raises(HyperPerturbError, match="being judged"):
        delete_run(run)
    evaluations.LAUNCHER.cancel(evaluations.evaluation_of(run))
    assert evaluations.evaluation_of(run).status.state == "cancelled"
    assert run.usable
    delete_run(run)
    assert not run.path.exists()


def test_what_goes_wrong_is_a_sentence_and_the_run_stays_usable(run, stand_in):
    stand_in("raise ValueError('inner')")
    job = evaluations.start_evaluation(run)
    wait_for(lambda: job.status.done)
    assert job.status.state == "failed"
    assert "unexpected error" in job.status.error
    assert run.usable


def test_an_unfinished_run_is_not_judged(tmp_path):
    run = RunDirectory.create(tmp_path / "runs", RunConfig(effects=tmp_path / "effects.csv"))
    with pytest.raises(HyperPerturbError, match="not finished"):
        evaluations.start_evaluation(run)


def test_the_command_says_what_it_wants(tmp_path, capsys):
    assert evaluations.main([]) == 2
    assert evaluations.main([str(tmp_path / "none")]) == 1
    assert "Usage" in capsys.readouterr().err
