"""Files are whole or absent; progress says rate and time left."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path, read_json, write_json
from hyperperturb.progress import RateMeter, no_progress, scaled, time_left


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_atomic_path_renames_on_success(tmp_path):
    target = tmp_path / "new" / "effects.csv.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".csv.gz")
        temporary.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert names(target.parent) == ["effects.csv.gz"]


def test_atomic_path_leaves_nothing_on_failure(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")

    def interrupted():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_atomic_path_replaces_a_folder(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new.txt").write_text("new")
    assert names(target) == ["new.txt"]
    assert names(tmp_path) == ["run"]


def test_atomic_path_failed_folder_is_removed(tmp_path):
    def interrupted():
        with atomic_path(tmp_path / "run") as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("a")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    assert names(tmp_path) == []


def test_parent_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")

    def write():
        with atomic_path(tmp_path / "file" / "a.json"):
            pass

    with pytest.raises(HyperPerturbError, match="Cannot write"):
        write()


def test_other_errors_pass_through(tmp_path):
    def read_missing():
        with atomic_path(tmp_path / "a"):
            (tmp_path / "missing").read_text()

    with pytest.raises(FileNotFoundError):
        read_missing()


def test_full_disk_is_explained(tmp_path):
    def fill():
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(HyperPerturbError, match="No space left"):
        fill()
    assert names(tmp_path) == []


def test_what_needs_more_room_than_there_is_is_not_begun(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(HyperPerturbError, match="are free"), atomic_path(tmp_path / "a.h5ad", room=2 * free):
        raise AssertionError("begun")
    assert list(tmp_path.iterdir()) == []
    with atomic_path(tmp_path / "a.txt", room=10) as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_long_names_fit(tmp_path):
    with atomic_path(tmp_path / ("a" * 240 + ".json")) as temporary:
        temporary.write_text("{}")
    assert names(tmp_path) == ["a" * 240 + ".json"]


def test_write_json_takes_models_paths_dates_and_numpy(tmp_path):
    class Model(BaseModel):
        name: str

    when = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    value = {"model": Model(name="é"), "path": Path("a/b"), "when": when, "n": np.int64(3), "set": {2, 1}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {
        "model": {"name": "é"},
        "path": "a/b",
        "when": when.isoformat(),
        "n": 3,
        "set": [1, 2],
    }
    write_json(tmp_path / "b.json", Model(name="x"))
    assert json.loads((tmp_path / "b.json").read_text()) == {"name": "x"}


@pytest.mark.parametrize("bad", [float("nan"), object()])
def test_write_json_refuses_what_json_cannot_hold(tmp_path, bad):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"bad": bad})
    assert names(tmp_path) == []


def test_read_json_errors(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(HyperPerturbError, match="is not JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(HyperPerturbError, match="Cannot read"):
        read_json(tmp_path)


def test_rate_meter(monkeypatch):
    clock = iter([0.0, 2.0, 2.05, 4.0])
    monkeypatch.setattr("hyperperturb.progress.time.monotonic", lambda: next(clock))
    seen = []
    meter = RateMeter(lambda fraction, message: seen.append((fraction, message)), 400, "Reading", "cells")
    for done in (100, 110, 400):
        meter(done)
    assert seen == [
        (0.25, "Reading: 100 of 400 cells, 50 a second, 6 s left"),
        (1.0, "Reading: 400 of 400 cells, 100 a second"),
    ]


def test_progress_helpers():
    assert scaled(None, 0, 1) is no_progress
    no_progress(0.5, "x")
    assert time_left(-1) == "0 s"
    assert time_left(89) == "89 s"
    assert time_left(90) == "2 min"


def test_a_helper_that_is_killed_while_it_writes_leaves_nothing(tmp_path):
    """The helper process writes atomically to a path that is itself temporary."""
    code = (
        "import sys, time; from hyperperturb.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); print('written', flush=True); time.sleep(60)"
    )

    def stopped():
        with atomic_path(tmp_path / "effects-1234.parquet") as target:
            helper = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE)
            try:
                assert helper.stdout.readline().strip() == b"written"
                assert len(list(tmp_path.iterdir())) == 1
            finally:
                helper.kill()
                helper.wait()
                helper.stdout.close()
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert list(tmp_path.iterdir()) == []
