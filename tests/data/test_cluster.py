"""The sums of a screen on a Dask cluster of two processes are the local ones, also when a worker is lost."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from distributed import Client, LocalCluster

from hyperperturb.cli import main
from hyperperturb.data import cluster as cluster_module
from hyperperturb.data.effects import compute_effects, read_effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.datasets import confirm_controls, register_dataset
from hyperperturb.runs.workspace import Workspace
from tests.data.conftest import small_adata

STORAGES = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}
BY = {"column": "perturbation", "control": "control"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


@pytest.fixture
def many_parts(monkeypatch):
    monkeypatch.setattr(cluster_module, "_PART_VALUES", 200)


@pytest.fixture
def path(tmp_path):
    out = tmp_path / "a.h5ad"
    small_adata().write_h5ad(out)
    return out


def held(cluster) -> int:
    """Number of tasks that the cluster still has something of."""
    with Client(cluster, set_as_default=False) as client:
        return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))


def assert_equal(found, wanted):
    assert found.perturbations == wanted.perturbations
    for name in ("effect", "standard_error", "control_mean", "control_variance", "detected"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(found.n_cells, wanted.n_cells)


@pytest.mark.parametrize("storage", STORAGES)
def test_equal_to_the_local_pass(cluster, many_parts, tmp_path, storage):
    adata = small_adata()
    adata.X = STORAGES[storage](adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    seen = []
    found = compute_effects(
        tmp_path / "a.h5ad",
        scheduler=cluster.scheduler_address,
        progress=lambda fraction, message: seen.append((fraction, message)),
        **BY,
    )
    assert_equal(found, compute_effects(tmp_path / "a.h5ad", **BY))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert any("of 240 cells" in message or "of 60 genes" in message for _, message in seen)
    assert held(cluster) == 0


def test_a_worker_is_lost_and_its_work_done_again(path, many_parts, monkeypatch, tmp_path):
    flag = tmp_path / "lost-once"

    def dying(source, codes, n_labels, first, last, *, flag=flag, real=cluster_module._sum_cells):
        if first > 100 and not flag.exists():  # in the middle, when others have been added up
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(source, codes, n_labels, first, last)

    wanted = compute_effects(path, **BY)
    monkeypatch.setattr(cluster_module, "_sum_cells", dying)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        found = compute_effects(path, scheduler=cluster.scheduler_address, **BY)
    assert flag.exists()
    assert_equal(found, wanted)


def test_a_part_that_ends_every_worker(path, monkeypatch):
    monkeypatch.setattr(cluster_module, "_sum_cells", lambda *_: os._exit(1))
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"allowed_failures": 0},
        ) as cluster,
        pytest.raises(HyperPerturbError, match="again and again over the same part"),
    ):
        compute_effects(path, scheduler=cluster.scheduler_address, **BY)


def test_a_part_that_fails_is_tried_again(cluster, path, many_parts, monkeypatch, tmp_path):
    flag = tmp_path / "failed-once"

    def flaky(source, codes, n_labels, first, last, *, flag=flag, real=cluster_module._sum_cells):
        if first and not flag.exists():
            flag.touch()
            raise OSError("the disk was away")
        return real(source, codes, n_labels, first, last)

    monkeypatch.setattr(cluster_module, "_sum_cells", flaky)
    found = compute_effects(path, scheduler=cluster.scheduler_address, **BY)
    assert flag.exists()
    assert_equal(found, compute_effects(path, **BY))


def test_what_is_wrong_with_the_file_is_said_as_it_is_locally(cluster, tmp_path, monkeypatch):
    adata = small_adata()
    counts = adata.X.toarray()
    counts[133, 17] = -3.0
    adata.X = sp.csr_matrix(counts)
    adata.write_h5ad(tmp_path / "a.h5ad")
    monkeypatch.setattr("hyperperturb.data.values.WHOLE", 10)  # not seen here, when the file is opened
    monkeypatch.setattr("hyperperturb.data.values._STRETCHES", 1)
    with pytest.raises(HyperPerturbError, match=r"negative values \(-3") as caught:
        compute_effects(tmp_path / "a.h5ad", scheduler=cluster.scheduler_address, **BY)
    assert "cell133" in str(caught.value)
    assert held(cluster) == 0


def test_a_file_the_workers_do_not_see(cluster, path, monkeypatch):
    real = cluster_module._Source

    def elsewhere(place: Path, *rest):
        return real(place.with_name("only-here.h5ad"), *rest)

    monkeypatch.setattr(cluster_module, "_Source", elsewhere)
    with pytest.raises(HyperPerturbError, match=r"has no file .*only-here.* Put it where every worker"):
        compute_effects(path, scheduler=cluster.scheduler_address, **BY)


def test_cancelling_leaves_nothing(cluster, path, many_parts):
    class Cancelled(Exception):  # noqa: N818 - what a caller raises is its own
        pass

    def cancel(fraction, message):
        if fraction > 0.1:
            raise Cancelled

    with pytest.raises(Cancelled):
        compute_effects(path, scheduler=cluster.scheduler_address, progress=cancel, **BY)
    assert held(cluster) == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "hyperperturb-reader"]


def test_no_scheduler_and_no_workers(path, monkeypatch):
    monkeypatch.setattr(cluster_module, "_CONNECT", 1.0)
    with pytest.raises(HyperPerturbError, match=r"No Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        compute_effects(path, scheduler="tcp://127.0.0.1:9", **BY)
    with pytest.raises(HyperPerturbError, match="No Dask scheduler answers at 'nowhere at all'"):
        compute_effects(path, scheduler="nowhere at all", **BY)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(HyperPerturbError, match="has no workers"),
    ):
        compute_effects(path, scheduler=empty.scheduler_address, **BY)


def test_a_screen_in_memory_cannot_be_read_by_others(cluster):
    with pytest.raises(HyperPerturbError, match="only read a screen from a file"):
        compute_effects(small_adata(), scheduler=cluster.scheduler_address, **BY)


def test_on_the_command_line(cluster, path, tmp_path, capsys):
    out = tmp_path / "effects.parquet"
    assert main(["effects", str(path), str(out), "--scheduler", cluster.scheduler_address]) == 0
    assert "4 perturbations x 30 response genes" in capsys.readouterr().out
    assert_equal(read_effects(out), compute_effects(path, **BY))


def test_in_the_app_by_an_environment_variable(cluster, path, tmp_path, monkeypatch):
    def told(dask_scheduler):
        return dask_scheduler.transition_counter

    monkeypatch.setenv("HYPERPERTURB_SCHEDULER", cluster.scheduler_address)
    workspace = Workspace(tmp_path / "home")
    dataset = register_dataset(workspace, path)
    with Client(cluster, set_as_default=False) as client:
        before = client.run_on_scheduler(told)
        done = confirm_controls(workspace, dataset.name, **BY, mode="knockout")
        assert client.run_on_scheduler(told) > before
    assert_equal(read_effects(done.effects_path), compute_effects(path, **BY))
