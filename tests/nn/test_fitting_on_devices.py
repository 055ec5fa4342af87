"""Training on several devices and by several processes: equal losses, exact resume, and what happens when one dies."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hyperperturb.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("fitting_example.py")


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(what: str, folder: Path, root: Path, **variables: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), what, str(folder)], env=environment, stdout=log, stderr=log
        )


def start_workers(what: str, folder: Path, root: Path) -> list[subprocess.Popen]:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return [
        start(
            what,
            folder,
            root,
            TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}),
        )
        for i in range(2)
    ]


def wait(processes: list[subprocess.Popen], folder: Path, seconds: float = 400) -> list[int]:
    deadline = time.monotonic() + seconds
    try:
        return [p.wait(max(deadline - time.monotonic(), 0.1)) for p in processes]
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running: {(folder / 'log.txt').read_text()[-3000:]}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, root, small_screen) -> Path:
    """One process with two devices and none, two workers of which one dies, and the two started again."""
    folder = tmp_path_factory.mktemp("devices")
    assert wait(start_workers("together", folder, root), folder) == [1, -9], (folder / "log.txt").read_text()
    again = start_workers("again", folder, root)
    assert wait(again, folder) == [1, 1], (folder / "log.txt").read_text()
    shutil.copy(small_screen, folder / "screen.h5ad")
    one = start("devices", folder, root, HYPERPERTURB_CPU_DEVICES="2")
    assert wait([one], folder) == [0], (folder / "log.txt").read_text()
    return folder


def history(folder: Path, name: str) -> dict[str, list[float]]:
    return json.loads((folder / f"{name}.json").read_text())


def arrays(folder: Path, name: str) -> list[np.ndarray]:
    with np.load(folder / f"{name}.npz") as file:
        return [file[key] for key in file.files]


@pytest.mark.parametrize("name", ["mirrored", "workers-0", "workers-1"])
def test_the_same_losses_as_one_process_with_the_same_global_batch(folder, name):
    single, other = history(folder, "single"), history(folder, name)
    assert set(other) == set(single) == {"epoch", "loss", "mae", "val_loss", "val_mae"}
    for key, values in single.items():
        assert other[key] == pytest.approx(values, abs=1e-5), key
    assert single["loss"][-1] < 0.7 * single["loss"][0], "it learns"


@pytest.mark.parametrize("name", ["mirrored", "workers-0", "workers-1"])
def test_the_cell_heads_are_those_of_one_process(folder, name):
    single, other = history(folder, "cells-single"), history(folder, f"cells-{name}")
    assert {"policy_loss", "value_loss", "val_value_loss", "active", "curriculum"} <= set(single)
    for key, values in single.items():
        assert other[key] == pytest.approx(values, rel=1e-5, abs=1e-5), key
    for a, b in zip(arrays(folder, "cells-single"), arrays(folder, f"cells-{name}"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    ("resumed", "whole"),
    [("mirrored-resumed", "mirrored-whole"), ("resumed-0", "whole-0"), ("resumed-1", "whole-1")],
)
def test_an_interrupted_training_ends_with_the_same_bits(folder, resumed, whole):
    for a, b in zip(arrays(folder, resumed), arrays(folder, whole), strict=True):
        assert np.array_equal(a, b)
    assert history(folder, resumed) == history(folder, whole)


def test_a_whole_run_on_two_devices(folder):
    run = RunDirectory.open(folder / "run")
    assert run.usable
    assert run.history()["stage"].tolist() == ["genes"] * 2 + ["cells"] * 2
    assert np.isfinite(run.history()["val_loss"]).all()
    assert run.status.device == "2 devices made of the CPU, mirrored"
    assert f"device: {run.status.device};" in run.card()


def test_workers_hold_the_same_weights(folder):
    for a, b in zip(arrays(folder, "whole-0"), arrays(folder, "whole-1"), strict=True):
        assert np.array_equal(a, b)


def test_a_worker_that_dies_is_named(folder):
    said = (folder / "together-0.txt").read_text()
    assert said.startswith("Worker 1 (127.0.0.1:")
    assert "does not answer any more; the training stopped after 3 whole epochs" in said
    assert "--resume" in said


def test_only_the_first_worker_keeps_a_checkpoint(folder):
    assert (folder / "checkpoint-0.npz").exists()
    assert not (folder / "checkpoint-1.npz").exists()


def test_a_worker_that_was_told_something_else_is_named(folder):
    for index in range(2):
        said = (folder / f"again-{index}.txt").read_text()
        assert said.startswith("Worker 1 (127.0.0.1:")
        assert "has other data or settings than worker 0 (" in said
