"""A training that is killed with signal 9 and taken up again ends with the same bits as one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from hyperperturb.models.settings import TrainingSettings
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.queue import AT_ONCE

pytestmark = pytest.mark.slow

EPOCHS = 4


def kill_when(run: RunDirectory, condition: Callable[[], bool], seconds: float = 400) -> None:
    """Wait for a condition with eyes open, and kill the training at once."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, run.file("log.txt").read_text()[-3000:]
        time.sleep(0.001)
    os.kill(run.process()[0], signal.SIGKILL)
    while not run.status.done:
        time.sleep(0.01)
    assert run.status.state == "failed"


def finished(run: RunDirectory, seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not run.status.done:
        assert time.monotonic() < deadline, run.file("log.txt").read_text()[-3000:]
        time.sleep(0.1)
    assert run.status.state == "finished", run.status.error


def epochs_of(run: RunDirectory, stage: str) -> int:
    return sum(e["kind"] == "epoch" and e["stage"] == stage for e in run.events()[0])


def writes_checkpoint(run: RunDirectory, stage: str) -> bool:
    return any(run.path.glob(f".checkpoint-{stage}.*"))


def test_killed_twice_and_resumed(small_screen, tmp_path, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "2")
    settings = TrainingSettings(
        epochs=EPOCHS, max_cells=1200, batch_size=128, annealing=0.3, stdp=0.01, curriculum=True
    )
    config = RunConfig(screen=small_screen, column="perturbation", control="non-targeting", settings=settings)
    launcher = LocalLauncher()
    whole = RunDirectory.create(tmp_path, config, name="whole")
    broken = RunDirectory.create(tmp_path, config, name="broken")
    launcher.submit(broken)
    launcher.submit(whole)
    # in the middle of replacing the checkpoint, or right after the last epoch where that moment was missed
    kill_when(
        broken,
        lambda: (
            epochs_of(broken, "genes") >= 2
            and (writes_checkpoint(broken, "genes") or epochs_of(broken, "genes") == EPOCHS)
        ),
    )
    assert not broken.usable
    launcher.resume(broken)
    # at whatever moment of the second epoch of the cells
    kill_when(broken, lambda: epochs_of(broken, "cells") >= 1)
    launcher.resume(broken)
    finished(broken)
    finished(whole)
    assert whole.usable, whole.missing_files()

    with np.load(whole.file("arrays.npz")) as expected, np.load(broken.file("arrays.npz")) as found:
        assert set(found.files) == set(expected.files)
        for name in expected.files:
            assert expected[name].tobytes() == found[name].tobytes(), name
    assert whole.metrics() == broken.metrics()
    histories = [pd.read_csv(run.file("history.csv")).drop(columns="time") for run in (whole, broken)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    assert histories[0]["epoch"].tolist() == [*range(1, EPOCHS + 1)] * 2
    assert {p.name for p in broken.path.iterdir()} - {p.name for p in whole.path.iterdir()} == set()
    assert sum(e.get("message") == "Going on from the last whole epoch." for e in broken.events()[0]) == 2
