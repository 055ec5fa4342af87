"""Starting, watching and stopping the process that trains, with a stand-in for the training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.process import is_alive, stderr_into
from hyperperturb.runs.worker import execute, main
from tests.runs.conftest import wait_for

PRELUDE = """
import os, signal, subprocess, sys, time
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.worker import execute

def train(run):
    run.stage("work", "working", 0.1)
{body}

run = RunDirectory.open(sys.argv[-1])
execute(run, train=train)
"""


def launcher(body: str, **options) -> LocalLauncher:
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return LocalLauncher(command=(sys.executable, "-c", PRELUDE.format(body=indented)), **options)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs", RunConfig(effects=tmp_path / "effects.csv"))


def test_a_run_is_trained_in_a_session_of_its_own(run):
    launcher('run.epoch({"stage": "genes", "epoch": 1, "epochs": 1, "loss": 1.0})').submit(run)
    pid, started = run.process()
    assert os.getsid(pid) != os.getsid(0)
    assert is_alive(pid, started)
    wait_for(lambda: run.status.done)
    assert run.status.state == "finished"
    assert run.history()["loss"].tolist() == [1.0]
    assert run.status.pid == pid


def test_a_run_is_started_once(run):
    start = launcher("time.sleep(0.1)")
    start.submit(run)
    with pytest.raises(HyperPerturbError, match="started already"):
        start.submit(run)
    wait_for(lambda: run.status.done)


def test_a_run_survives_the_process_that_started_it(run):
    code = PRELUDE.format(body="    time.sleep(1.5)")
    starter = (
        "import sys\n"
        "from hyperperturb.runs.directory import RunDirectory\n"
        "from hyperperturb.runs.launcher import LocalLauncher\n"
        f"LocalLauncher(command=(sys.executable, '-c', {code!r})).submit(RunDirectory.open(sys.argv[1]))\n"
    )
    subprocess.run([sys.executable, "-c", starter, str(run.path)], check=True, timeout=60)
    assert not run.status.done
    wait_for(lambda: run.status.done)
    assert run.status.state == "finished"


def test_cancel_stops_a_training_that_listens(run):
    start = launcher("time.sleep(120)", grace=60.0)
    start.submit(run)
    wait_for(lambda: run.status.stage == "work")
    started = time.monotonic()
    start.cancel(run)
    assert time.monotonic() - started < 30, "it need not be killed"
    assert run.status.state == "cancelled"
    assert not is_alive(*run.process())
    start.cancel(run)
    assert run.status.state == "cancelled"


def test_cancel_kills_a_training_that_does_not_listen_and_its_children(run):
    start = launcher(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'])\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "run.log(f'child {child.pid}')\n"
        "time.sleep(120)",
        grace=0.5,
    )
    start.submit(run)
    wait_for(lambda: run.status.message.startswith("child"))
    child = int(run.status.message.split()[1])
    assert is_alive(child)
    start.cancel(run)
    assert run.status.state == "cancelled"
    assert not is_alive(*run.process())
    wait_for(lambda: not is_alive(child), 60)


def test_cancel_also_takes_the_children_of_a_training_that_listens(run):
    start = launcher(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'])\n"
        "run.log(f'child {child.pid}')\n"
        "time.sleep(120)"
    )
    start.submit(run)
    wait_for(lambda: run.status.message.startswith("child"))
    child = int(run.status.message.split()[1])
    start.cancel(run)
    wait_for(lambda: not is_alive(child), 60)
    assert run.status.state == "cancelled"


def test_a_run_that_never_started_can_be_cancelled(run):
    LocalLauncher().cancel(run)
    assert run.status.state == "cancelled"
    with pytest.raises(HyperPerturbError, match="cancelled already"):
        execute(run, train=lambda run: None)


def test_a_killed_training_reads_as_failed(run):
    launcher("time.sleep(120)").submit(run)
    wait_for(lambda: run.status.stage == "work")
    os.kill(run.process()[0], signal.SIGKILL)
    wait_for(lambda: run.status.done, 60)
    assert run.status.state == "failed"
    assert "ended without finishing" in run.status.error


def test_a_training_that_dies_before_it_begins_reads_as_failed(run):
    LocalLauncher(command=(sys.executable, "-c", "print('no such module'); raise SystemExit(1)")).submit(run)
    wait_for(lambda: run.status.done)
    assert run.status.state == "failed"
    assert "no such module" in run.file("log.txt").read_text()


def test_a_command_that_does_not_exist_is_a_failed_run(run):
    with pytest.raises(HyperPerturbError, match="cannot be started"):
        LocalLauncher(command=("/no/such/program",)).submit(run)
    assert run.status.state == "failed"


def test_an_error_for_people_becomes_the_runs_sentence(run):
    def train(run):
        raise HyperPerturbError("The network has none of the genes.", hint="Choose another network.")

    assert execute(run, train=train) == "failed"
    assert run.status.error == "The network has none of the genes. Choose another network."


def test_any_other_error_becomes_a_sentence_with_the_traceback_in_the_log(run):
    def train(run):
        raise KeyError("gene\nsecond line")

    assert execute(run, train=train) == "failed"
    assert "unexpected error (KeyError" in run.status.error
    assert "\n" not in run.status.error
    assert "Traceback" in run.file("log.txt").read_text()


def test_too_little_memory_says_what_to_do(run):
    def train(run):
        raise MemoryError

    assert execute(run, train=train) == "failed"
    assert "Choose fewer genes" in run.status.error


def test_a_keyboard_interrupt_cancels(run):
    def train(run):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    assert execute(run, train=train) == "cancelled"
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_compiled_libraries_write_to_stderr_can_be_kept_in_a_file(tmp_path, capfd):
    log = tmp_path / "log.txt"
    with stderr_into(log):
        os.write(2, b"noise\n")
    os.write(2, b"said\n")
    assert log.read_text() == "noise\n"
    assert capfd.readouterr().err == "said\n"


def test_the_worker_wants_a_run(tmp_path, capsys):
    assert main([]) == 2
    assert main([str(tmp_path)]) == 1
    assert "is not a run" in capsys.readouterr().err
