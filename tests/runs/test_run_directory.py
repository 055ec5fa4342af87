"""The run directory: states, atomicity, uniqueness, reading while another process writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import write_json
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import REQUIRED_FILES, RunDirectory, RunStatus
from hyperperturb.runs.folder import delete_run, find_run, list_runs


@pytest.fixture
def config(tmp_path) -> RunConfig:
    return RunConfig(effects=tmp_path / "effects.csv", exclude=("JAK2",), title="A run")


@pytest.fixture
def run(tmp_path, config) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs", config)


def fill(run: RunDirectory) -> None:
    for name in REQUIRED_FILES:
        if not run.file(name).exists():
            run.file(name).write_text("{}")


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_new_run_is_queued_and_keeps_its_config(run, config):
    assert run.name.startswith("hyperperturb-2")
    assert run.status.state == "queued"
    assert run.config == config
    assert not run.usable
    assert list(run.history().columns)[:4] == ["time", "stage", "epoch", "epochs"]
    assert (run.metrics(), run.card()) == ({}, "")


def test_the_states_of_a_training_that_ends_well(run):
    run.begin()
    assert run.status.state == "running"
    assert run.status.pid == os.getpid()
    run.stage("effects", "reading", 0.25)
    assert (run.status.stage, run.status.fraction) == ("effects", 0.25)
    run.epoch(
        {"stage": "genes", "epoch": 1, "epochs": 2, "loss": np.float32(0.5), "val_loss": float("nan")},
        fraction=0.5,
    )
    run.epoch({"stage": "genes", "epoch": 2, "epochs": 2, "loss": 0.25, "val_loss": 0.5}, fraction=0.75)
    assert (run.status.epoch, run.status.epochs, run.status.fraction) == (2, 2, 0.75)
    fill(run)
    assert not run.usable, "all files are there, but nobody said that they are whole"
    run.finish()
    assert run.usable
    assert run.status.done
    assert run.status.seconds_left == 0.0
    history = run.history()
    assert history["loss"].tolist() == [0.5, 0.25]
    assert np.isnan(history["val_loss"][0])
    assert run.file("history.csv").read_text().startswith("time,stage,epoch,epochs,loss,val_loss")


@pytest.mark.parametrize("missing", REQUIRED_FILES)
def test_a_finished_run_without_one_of_its_files_is_not_usable(run, missing):
    run.begin()
    fill(run)
    run.finish()
    run.file(missing).unlink()
    assert not run.usable


def test_a_failed_and_a_cancelled_run_are_final_and_not_usable(run, config, tmp_path):
    run.begin()
    fill(run)
    run.fail("The file is gone.")
    assert (run.status.state, run.status.error) == ("failed", "The file is gone.")
    assert not run.usable
    other = RunDirectory.create(tmp_path / "runs", config)
    other.begin()
    other.cancelled()
    assert other.status.state == "cancelled"
    with pytest.raises(HyperPerturbError, match="cancelled already"):
        other.begin()


def test_a_dead_process_reads_as_failed(run):
    run.begin()
    write_json(run.file("status.json"), run.status.model_copy(update={"pid": dead_process()}))
    status = RunDirectory.open(run.path).status
    assert status.state == "failed"
    assert "ended without finishing" in status.error


def test_a_process_id_that_was_given_away_again_reads_as_failed(run):
    run.begin()
    assert run.status.state == "running"
    write_json(run.file("status.json"), run.status.model_copy(update={"pid_started": 1.0}))
    assert RunDirectory.open(run.path).status.state == "failed"


def test_a_dead_process_that_was_told_to_stop_reads_as_cancelled(run):
    run.begin()
    write_json(run.file("status.json"), run.status.model_copy(update={"pid": dead_process()}))
    run.file("cancel").touch()
    assert RunDirectory.open(run.path).status.state == "cancelled"


def test_events_are_followed_by_offset_and_half_a_line_waits(run):
    run.log("one")
    events, offset = run.events()
    assert [e["message"] for e in events] == ["one"]
    with run.file("events.jsonl").open("a") as handle:
        handle.write('{"kind": "log", "mess')
    assert run.events(offset) == ([], offset)
    with run.file("events.jsonl").open("a") as handle:
        handle.write('age": "two"}\nnot json\n')
    events, offset = run.events(offset)
    assert [e["message"] for e in events] == ["two"]
    assert run.events(offset)[0] == []


def test_listeners_hear_what_is_written(run):
    heard = []
    run.listeners.append(heard.append)
    run.log("loading")
    assert heard == run.events()[0]


def test_many_stage_reports_in_a_moment_write_few_files(run, monkeypatch):
    writes = []
    monkeypatch.setattr("hyperperturb.runs.directory.write_json", lambda path, obj: writes.append(obj))
    run._current = run._stored()
    for i in range(1000):
        run.stage("effects", f"cell {i}", i / 1000)
    assert 1 <= len(writes) < 10


CREATE = """
import sys
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
for _ in range(15):
    print(RunDirectory.create(sys.argv[1], RunConfig(effects=sys.argv[2]), name="same").name)
"""


def test_names_are_unique_when_several_processes_create_at_once(tmp_path):
    command = [sys.executable, "-c", CREATE, str(tmp_path / "runs"), str(tmp_path / "e.csv")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [name for process in processes for name in process.communicate(timeout=120)[0].split()]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(found) == len(set(found)) == 45
    assert {r.name for r in list_runs(tmp_path / "runs")} == set(found)


def test_a_reader_never_sees_half_a_status(run):
    run.begin()
    code = (
        "import sys\n"
        "from hyperperturb.runs.directory import RunDirectory\n"
        "run = RunDirectory.open(sys.argv[1])\n"
        "for i in range(200):\n"
        "    run.log('x' * (i * 20))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(run.path)])
    looks = 0
    while writer.poll() is None:
        assert RunDirectory(run.path)._stored().state == "running"
        looks += 1
    assert writer.returncode == 0
    assert looks > 5
    assert len(run.events()[0]) == 201
    assert not [p for p in run.path.iterdir() if p.name.startswith(".")], "no temporary file stays"


def test_listing_is_newest_first_and_passes_over_junk(tmp_path, config):
    folder = tmp_path / "runs"
    old = config.model_copy(update={"created": datetime.now(UTC) - timedelta(days=1)})
    first = RunDirectory.create(folder, old, name="zzz")
    second = RunDirectory.create(folder, config, name="aaa")
    (folder / "a file.txt").write_text("x")
    (folder / "empty").mkdir()
    (folder / ".incoming-1").mkdir()
    broken = RunDirectory.create(folder, config, name="broken")
    broken.file("config.json").write_text('{"screen": ')
    other = RunDirectory.create(folder, config, name="other")
    other.file("status.json").write_text(json.dumps({"state": "strange"}))
    assert [r.name for r in list_runs(folder)] == [second.name, first.name]
    assert list_runs(tmp_path / "nowhere") == []


def test_opening_what_is_not_a_run_says_so(tmp_path, run):
    with pytest.raises(HyperPerturbError, match="There is no run"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(HyperPerturbError, match="is not a run"):
        RunDirectory.open(tmp_path)
    run.file("status.json").unlink()
    with pytest.raises(HyperPerturbError, match="is not a run"):
        RunDirectory.open(run.path)


def test_runs_are_found_by_name_path_and_latest(tmp_path, config, run, monkeypatch):
    folder = tmp_path / "runs"
    assert find_run(run.name, folder).path == run.path
    assert find_run(run.path, folder).path == run.path
    monkeypatch.chdir(folder)
    assert find_run(f"./{run.name}", tmp_path / "elsewhere").path == run.path
    with pytest.raises(HyperPerturbError, match="no finished run"):
        find_run("latest", folder)
    run.begin()
    fill(run)
    run.finish()
    RunDirectory.create(folder, config)  # newer, but not finished
    assert find_run("latest", folder).path == run.path


def test_a_running_run_is_not_deleted(run, tmp_path):
    run.begin()
    with pytest.raises(HyperPerturbError, match="Cancel that first"):
        delete_run(run)
    run.cancelled()
    delete_run(run)
    assert not run.path.exists()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HyperPerturbError, match="Cannot make a run"):
        RunDirectory.create(tmp_path / "file" / "runs", config)


def test_status_of_a_run_knows_its_duration():
    start = datetime(2026, 1, 31, tzinfo=UTC)
    assert RunStatus(started=start, updated=start + timedelta(seconds=5)).seconds == 5.0
    assert RunStatus(updated=start).seconds == 0.0


def test_the_status_says_how_much_memory_the_training_process_held(run, monkeypatch):
    assert run.status.memory is None
    run.begin()
    held = run.status.memory
    assert held > 10**7
    monkeypatch.setattr(
        "hyperperturb.runs.directory.os.getpid", lambda: -1
    )  # somebody else: the page, on cancelling
    monkeypatch.setattr("hyperperturb.runs.directory.peak_memory", lambda: 1)
    run.cancelled()
    assert run.status.memory == held
