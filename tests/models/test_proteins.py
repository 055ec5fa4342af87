"""The head for proteins: planted effects come back better than the baselines', and survive being written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hyperperturb.data import simulate_screen
from hyperperturb.data.effects import compute_effects
from hyperperturb.data.proteins import compute_protein_effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.export import hyperbolic_similarity, load_arrays, save_arrays
from hyperperturb.models.predictor import fit_head, target_kernels
from hyperperturb.models.protein_training import above_background, train_proteins
from hyperperturb.models.proteins import Proteins
from hyperperturb.models.universe import build_universe

LABELS = {"column": "perturbation", "control": "non-targeting", "mode": "knockdown"}


@pytest.fixture(scope="module")
def world():
    """A screen of 60 perturbations with ten antibodies; effects, and kernels of its true network."""
    screen = simulate_screen(
        seed=1, n_genes=240, n_regulators=40, n_single=50, n_double=10, n_cells=7000, n_proteins=10
    )
    effects = compute_effects(screen.adata, **LABELS)
    proteins, report = compute_protein_effects(screen.adata, screen.proteins.adata, **LABELS)
    targets = sorted({g for target in effects.targets for g in target})
    universe = build_universe([screen.network], targets=targets, response_genes=effects.genes, max_genes=2000)
    points = np.random.default_rng(0).normal(0, 0.1, (len(universe.genes), 4))
    kernels = target_kernels(universe, partial(hyperbolic_similarity, points, 1.0), targets)
    return screen, effects, proteins, report, kernels, points


@pytest.fixture(scope="module")
def trained(world):
    _, effects, proteins, report, kernels, _ = world
    return train_proteins(proteins, effects, kernels, folds=5, seed=0, report=report)


def test_unseen_genes_are_predicted_better_than_by_the_baselines(world, trained):
    """Held-out genes, against the truth without noise: the head beats no change and the mean of the others."""
    screen, _, proteins, _, kernels, _ = world
    scores = {row["name"]: row["error"] for row in trained.scores.summary()}
    assert scores["hyperperturb"] < min(scores["no_change"], scores["training_mean"])
    truth = screen.proteins.true_effects
    levelled = above_background(proteins)
    error = {"model": 0.0, "mean": 0.0, "nothing": 0.0}
    genes = sorted({g for target in proteins.targets for g in target})
    for fold in range(5):
        held = set(genes[fold::5])
        train = [
            p for p, t in zip(proteins.perturbations, proteins.targets, strict=True) if held.isdisjoint(t)
        ]
        test = [i for i, t in enumerate(proteins.targets) if not held.isdisjoint(t)]
        part = levelled.select(train)
        mean, _ = fit_head(part, kernels).predict([proteins.targets[i] for i in test])
        true = truth.effect[test]
        error["model"] += np.sum((mean - true) ** 2)
        error["mean"] += np.sum((part.effect.mean(axis=0) - true) ** 2)
        error["nothing"] += np.sum(true**2)
    assert error["model"] < 0.9 * error["mean"]
    assert error["model"] < 0.9 * error["nothing"]


def test_intervals_hold_the_truth(world, trained):
    """Of measured perturbations about as often as they say, and they are no wider than the effects."""
    screen, _, proteins, *_ = world
    truth = screen.proteins.true_effects.effect
    mean, error = trained.head.predict(proteins.targets)
    assert 0.75 < (np.abs(mean - truth) < 1.645 * error).mean() <= 1.0
    strong = np.abs(truth) > 0.2
    assert np.median(error[strong]) < np.median(np.abs(truth[strong]))
    assert np.corrcoef(mean.ravel(), truth.ravel())[0, 1] > 0.9


def test_a_written_head_answers_the_same(world, trained, tmp_path):
    _, effects, proteins, _, kernels, points = world
    rna = fit_head(effects, kernels)
    save_arrays(tmp_path / "a.npz", points=points, curvature=1.0, head=rna, cells=None, proteins=trained.head)
    _, _, head, _, again = load_arrays(tmp_path / "a.npz")
    asked = [("R001",), *proteins.targets[:5], *proteins.targets[-2:]]
    asked = [target for target in asked if all(g in kernels for g in target)]
    for one, other in ((trained.head, again), (rna, head)):
        for a, b in zip(one.predict(asked), other.predict(asked), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    save_arrays(tmp_path / "b.npz", points=points, curvature=1.0, head=rna, cells=None)
    assert load_arrays(tmp_path / "b.npz")[4] is None


def test_answers_say_what_was_measured_and_refuse_without_ground(world, trained):
    _, _, proteins, _, kernels, _ = world
    asked = Proteins(trained.head, lambda: proteins)
    label = proteins.perturbations[0]
    answer = asked.predict(tuple(sorted(proteins.targets[0])))
    assert answer.table["protein"].tolist() == list(proteins.genes)
    np.testing.assert_allclose(answer.table["measured"], proteins.effect[proteins.index(label)], atol=1e-6)
    assert (answer.table["standard_error"] > 0).all()
    assert "measured" in answer.why
    unknown = Proteins(trained.head, lambda: proteins).predict(("NOWHERE",))
    assert unknown.table is None
    assert "NOWHERE was never perturbed in cells with proteins" in unknown.why
    untested = [g for g in kernels.genes if g not in trained.head.target_genes]
    best = max(untested, key=lambda g: trained.head.support([g])[0])
    predicted = asked.predict((best,))
    assert predicted.table is not None
    assert predicted.table["measured"].isna().all()


def test_a_target_that_is_a_protein_falls_by_how_far_it_stands_above_the_background(world):
    """The knock-out of CD86 takes CD86 from its level to that of the dimmest antibody, also when it is held out."""
    _, effects, proteins, _, kernels, _ = world
    single = [i for i, target in enumerate(proteins.targets) if len(target) == 1][:6]
    names = [proteins.targets[i][0] for i in single]
    renamed = replace(proteins, genes=(*names, *proteins.genes[6:]), effect=proteins.effect.copy())
    level = above_background(renamed).control_mean
    assert level.min() == 0
    for column, row in enumerate(single):
        renamed.effect[row, column] = -0.9 * level[column]
    held = single[int(np.argmax(level[:6]))]
    training = [p for i, p in enumerate(renamed.perturbations) if i != held]
    found = train_proteins(renamed.select(training), effects, kernels, folds=3, seed=0).head
    mean, _ = found.predict([renamed.targets[held]])
    column = names.index(renamed.targets[held][0])
    np.testing.assert_allclose(mean[0, column], -0.9 * level[column], rtol=0.05)


@pytest.mark.parametrize("n", [2, 3])
def test_few_antibodies_are_enough(world, n):
    _, effects, proteins, _, kernels, _ = world
    some = proteins.restrict_genes(proteins.genes[:n])
    found = train_proteins(some, effects, kernels, folds=3, seed=0)
    assert np.isfinite(found.scores.verdict().model_error)


def test_too_few_perturbations_are_said(world):
    _, effects, proteins, _, kernels, _ = world
    with pytest.raises(HyperPerturbError, match="2 perturbation"):
        train_proteins(proteins.select(proteins.perturbations[:2]), effects, kernels, folds=3, seed=0)
