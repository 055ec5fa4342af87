"""Taking up a run that stopped: when it is possible, when it is refused, and that only one process does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from hyperperturb.cli import main
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import FolderLock, write_json
from hyperperturb.runs.config import NetworkSource, RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.folder import find_resumable
from hyperperturb.runs.inputs import InputFile
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.resuming import CHECKPOINTS, check_resumable
from hyperperturb.runs.worker import execute


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """A run whose files exist and that nobody has trained."""
    effects, network = tmp_path / "effects.csv", tmp_path / "network.csv"
    effects.write_text("effects")
    network.write_text("a,b,1")
    config = RunConfig(effects=effects, networks=(NetworkSource(path=network),))
    return RunDirectory.create(tmp_path / "runs", config)


@pytest.fixture
def stopped(run) -> RunDirectory:
    """The same after a training that failed, with what a killed process leaves."""

    def train(run):
        run.keep_inputs()
        for name in CHECKPOINTS:
            run.file(name).write_bytes(b"state")
        run.file(".checkpoint-genes.ab12.tmp.npz").write_bytes(b"half")
        raise HyperPerturbError("A worker is gone.")

    assert execute(run, train=train) == "failed"
    return RunDirectory.open(run.path)


def test_a_run_that_failed_goes_on_and_loses_its_checkpoints_when_it_is_finished(stopped):
    assert stopped.resumable
    stopped.requeue()
    assert stopped.status.state == "queued"
    assert stopped.status.error is None

    def train(run):
        run.keep_inputs()
        assert run.file(CHECKPOINTS[0]).read_bytes() == b"state"
        assert not run.file(".checkpoint-genes.ab12.tmp.npz").exists()
        run.epoch({"stage": "genes", "epoch": 1, "epochs": 1, "loss": 1.0})

    assert execute(stopped, train=train) == "finished"
    assert not any(stopped.file(name).exists() for name in CHECKPOINTS)
    assert not stopped.resumable
    with pytest.raises(HyperPerturbError, match="is finished: there is nothing to resume"):
        stopped.requeue()


def test_a_run_that_was_cancelled_goes_on(run):
    LocalLauncher().cancel(run)
    assert run.file("cancel").exists()
    run.requeue()
    assert not run.file("cancel").exists()
    assert execute(RunDirectory.open(run.path), train=lambda run: None) == "finished"


def test_a_run_that_waits_or_trains_is_refused(run):
    with pytest.raises(HyperPerturbError, match="has not begun yet"):
        check_resumable(run)
    run.begin()
    with pytest.raises(HyperPerturbError, match="is still training"):
        RunDirectory.open(run.path).requeue()
    assert not run.resumable


def test_a_killed_process_lets_go_of_its_run_and_a_living_one_does_not(run):
    code = (
        "import sys, time\n"
        "from hyperperturb.runs.directory import RunDirectory\n"
        "run = RunDirectory.open(sys.argv[1])\n"
        "run.begin()\n"
        "run.stage('work')\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(run.path)])
    try:
        deadline = time.monotonic() + 30
        while run.status.stage != "work":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not FolderLock(run.path).take()
        write_json(run.file("status.json"), run.status.model_copy(update={"state": "queued"}))
        with pytest.raises(HyperPerturbError, match="is trained by another process"):
            execute(RunDirectory.open(run.path), train=lambda run: None)
        write_json(run.file("status.json"), run.status.model_copy(update={"state": "running"}))
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert run.status.state == "failed"
    assert run.resumable
    run.requeue()
    assert execute(run, train=lambda run: None) == "finished"


def test_files_that_changed_are_named(stopped, tmp_path):
    network = tmp_path / "network.csv"
    os.utime(network, (1, 1))
    assert stopped.resumable, "another date is not another content"
    network.write_text("a,b,2")
    assert not stopped.resumable
    with pytest.raises(HyperPerturbError, match=r"network\.csv' has changed since the run began"):
        stopped.requeue()
    network.unlink()
    with pytest.raises(HyperPerturbError, match=r"no file '.*network\.csv'"):
        stopped.requeue()
    assert stopped.status.state == "failed"


def test_a_file_that_changes_while_the_run_waits_is_noticed(stopped, tmp_path):
    stopped.requeue()
    (tmp_path / "effects.csv").write_text("others!")
    assert execute(stopped, train=lambda run: run.keep_inputs()) == "failed"
    assert "has changed since the run began" in stopped.status.error


def test_large_files_are_compared_by_size_and_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("hyperperturb.runs.inputs._WHOLE", 4 << 10)
    monkeypatch.setattr("hyperperturb.runs.inputs._BLOCK", 1 << 10)
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(100_000))
    known = InputFile.of(path)
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, (1, 1))
    assert not known.same(path)
    path.write_bytes(bytes(100_000))
    assert known.same(path)
    path.write_bytes(bytes(100_001))
    assert not known.same(path)


def test_data_in_memory_cannot_be_read_again(tmp_path):
    run = RunDirectory.create(tmp_path, RunConfig())
    run.begin()
    run.fail("Something.")
    with pytest.raises(HyperPerturbError, match="trained from data in memory"):
        check_resumable(run)


def test_an_epoch_reported_again_has_one_row(run):
    run.begin()
    for epoch, loss in ((1, 3.0), (2, 2.0), (2, 1.5), (3, 1.0)):
        run.epoch({"stage": "genes", "epoch": epoch, "epochs": 3, "loss": loss})
    assert run.history()["loss"].tolist() == [3.0, 1.5, 1.0]


def test_events_after_half_a_line_are_whole(run):
    with run.file("events.jsonl").open("a") as file:
        file.write('{"kind": "log", "mess')
    run.log("after it")
    assert [e["message"] for e in run.events()[0]] == ["after it"]


def test_last_is_the_newest_that_can_be_resumed(run, stopped, tmp_path):
    folder = run.path.parent
    RunDirectory.create(folder, run.config, name="waiting")
    assert find_resumable("last", folder).path == stopped.path
    assert find_resumable(stopped.name, folder).path == stopped.path
    with pytest.raises(HyperPerturbError, match="no run to resume"):
        find_resumable("last", tmp_path / "none")


def test_the_launcher_resumes(stopped):
    code = (
        "import sys\n"
        "from hyperperturb.runs.directory import RunDirectory\n"
        "from hyperperturb.runs.worker import execute\n"
        "execute(RunDirectory.open(sys.argv[-1]), train=lambda run: run.log('went on'))\n"
    )
    LocalLauncher(command=(sys.executable, "-c", code)).resume(stopped)
    deadline = time.monotonic() + 30
    while not stopped.status.done:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert stopped.status.state == "finished"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--epochs", "3"], "--epochs would do nothing beside --resume"),
        (["--rna_path", "a.h5ad"], "--rna_path would do nothing beside --resume"),
    ],
)
def test_the_command_refuses_what_would_do_nothing(capsys, stopped, words, says):
    assert main(["train", "--resume", str(stopped.path), *words]) == 1
    assert says in capsys.readouterr().err


def test_the_command_resumes_by_name(capsys, monkeypatch, stopped):
    monkeypatch.setattr(
        "hyperperturb.runs.worker.execute", lambda run: execute(run, train=lambda run: run.log("went on"))
    )
    assert main(["train", "--resume", "last", "--output_dir", str(stopped.path.parent)]) == 0
    said = capsys.readouterr().out
    assert str(stopped.path) in said
    assert "went on" in said
    assert stopped.status.state == "finished"
    assert main(["train", "--resume", str(stopped.path)]) == 1
    assert "there is nothing to resume" in capsys.readouterr().err
