"""Peers: a worker in another process is judged by the same numbers as a predictor of ours."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.peers import compare
from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.evaluation.cross_validation import cross_validate
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.models.baselines import training_mean

# Predicts the mean of the training perturbations from the cells of the task, with nothing of hyperperturb.
WORKER = """
import sys
from pathlib import Path
import h5py, numpy as np
from scipy import sparse
sys.path.insert(0, {here!r})
from exchange import Meter, read_task, write_answer
folder, meter = Path(sys.argv[1]), Meter()
task = read_task(folder)
with h5py.File(folder / "screen.h5ad") as file:
    genes = len(file["var"][file["var"].attrs["_index"]])
    labels = file["obs/perturbation"]
    label = labels["categories"].asstr()[:][labels["codes"][:]] if "codes" in labels else labels.asstr()[:]
    parts = [file["X"][name][:] for name in ("data", "indices", "indptr")]
cells = sparse.csr_matrix(tuple(parts), shape=(len(label), genes))
mean = lambda name: np.asarray(cells[label == name].mean(axis=0)).ravel()
control, folds = mean(task["control"]), []
for fold in task["folds"]:
    average = np.mean([mean(name) - control for name in fold["train"]], axis=0)
    folds.append(np.repeat(average[None], len(fold["test"]), axis=0))
meter.stage("all")
write_answer(Path(sys.argv[2]), folds, meter, epochs=0, about="")
"""


@pytest.fixture
def task(tmp_path):
    screen = simulate_screen(n_genes=60, n_regulators=8, n_single=10, n_double=3, n_cells=400).adata
    compare.median_log(screen).write_h5ad(tmp_path / "screen.h5ad")
    effects = compute_effects(tmp_path / "screen.h5ad", column="perturbation", control=compare.CONTROL)
    splits = gene_folds(effects.targets, folds=3, seed=0)
    compare.write_task(tmp_path, effects, splits)
    return tmp_path, effects, splits


def test_a_worker_that_predicts_the_training_mean_scores_as_the_training_mean(task):
    folder, effects, splits = task
    script = folder / "worker.py"
    script.write_text(WORKER.format(here=str(compare.HERE)))
    folds, cost = compare.work(sys.executable, str(script), folder, "peer")
    peer = compare.Recorded(effects, splits, folds)
    scores = cross_validate(effects, {"peer": peer, "training_mean": training_mean}, splits=splits)
    a, b = scores.table("peer"), scores.table("training_mean")
    assert not np.allclose(a["error"], 1.0)
    for metric in METRICS.keys() - {
        "pearson_mean"
    }:  # of the mean itself that is a correlation of rounding errors
        np.testing.assert_allclose(a[metric], b[metric], atol=2e-4, err_msg=metric)
    assert cost["seconds"]["all"] > 0
    assert cost["peak_mb"] > 10
    assert "| peer |" in compare.table(scores, {})
    script.write_text("raise SystemExit(3)")  # an answer that is there is not made again
    assert np.array_equal(compare.work(sys.executable, str(script), folder, "peer")[0][0], folds[0])


def test_a_worker_that_fails_says_why(task):
    folder, _, _ = task
    script = folder / "worker.py"
    script.write_text("raise ValueError('no such gene')")
    with pytest.raises(SystemExit, match="no such gene"):
        compare.work(sys.executable, str(script), folder, "broken")


def test_an_answer_to_another_question_is_refused(task):
    _, effects, splits = task
    recorded = compare.Recorded(
        effects, splits, [np.zeros((len(s.test), len(effects.genes))) for s in splits]
    )
    training = effects.select([effects.perturbations[i] for i in splits[0].train])
    with pytest.raises(ValueError, match="other perturbations"):
        recorded(training, [effects.targets[i] for i in splits[1].test])
