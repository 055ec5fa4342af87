"""How true a run's disk is: measured once, by a process of its own, kept in the run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import write_json
from hyperperturb.manifolds import poincare
from hyperperturb.runs import fidelity
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path, RunConfig(mode="knockout", control="control"))


def test_nothing_is_known_before_and_a_foreign_file_counts_as_nothing(run):
    assert fidelity.load_fidelity(run) is None
    run.file(fidelity.FILE).write_text('{"n_genes": "many"}')
    assert fidelity.load_fidelity(run) is None


def test_what_was_measured_comes_back(run):
    found = fidelity.DiskFidelity(n_genes=9, neighbours=3, disk=fidelity.Fidelity(0.5, 0.75, 0.25))
    write_json(run.file(fidelity.FILE), found)
    assert fidelity.load_fidelity(run) == found


def test_a_run_that_is_not_finished_says_why(run):
    with pytest.raises(HyperPerturbError, match=r"could not be measured.*cannot be used"):
        fidelity.measure_fidelity(run)
    assert fidelity.load_fidelity(run) is None


@pytest.mark.slow
def test_umap_keeps_neighbours_and_no_tensorflow_is_loaded(tmp_path):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np\n"
        "sys.modules['tensorflow'] = None\n"
        "from hyperperturb.runs.fidelity import umap_distances\n"
        "np.save(sys.argv[2], umap_distances(np.load(sys.argv[1]), k=10, seed=0))\n"
        "assert not any(name.startswith('keras') for name in sys.modules)\n"
    )
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 0.02, (40, 4)) for centre in np.eye(4) * 0.8])
    true = poincare.pairwise_dist(points, c=1.0)
    np.save(tmp_path / "true.npy", true)
    subprocess.run([sys.executable, script, tmp_path / "true.npy", tmp_path / "flat.npy"], check=True)
    flat = np.load(tmp_path / "flat.npy")
    found = fidelity.fidelity(true, flat, k=10)
    assert found.trustworthiness > 0.95
    assert found.neighbours_kept > 0.4
