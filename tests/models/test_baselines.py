"""What a model has to beat: baselines that are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.models import baselines
from hyperperturb.models.baselines import (
    _RIDGE,
    NetworkKernelRidge,
    NetworkNeighbours,
    additive,
    effect_neighbours,
    no_change,
    ridge_pca,
    simple_baselines,
    training_mean,
)
from hyperperturb.models.neighbourhoods import find_neighbourhoods
from hyperperturb.models.similarity import DenseSimilarity


def effects_of(drawn) -> Effects:
    return Effects(
        perturbations=tuple("_".join(t) for t in drawn.targets),
        targets=drawn.targets,
        genes=drawn.response,
        effect=drawn.effect.astype(np.float32),
        standard_error=drawn.standard_error.astype(np.float32),
        n_cells=np.full(len(drawn.targets), 50),
        control="control",
    )


@pytest.fixture(scope="module")
def effects(drawn) -> Effects:
    return effects_of(drawn)


def test_no_change_and_the_mean(effects):
    asked = [("G000",), ("NOWHERE", "G001")]
    assert (no_change(effects, asked) == np.zeros((2, len(effects.genes)))).all()
    mean = training_mean(effects, asked)
    assert mean.shape == (2, len(effects.genes))
    assert mean[0] == pytest.approx(effects.effect.astype(float).mean(axis=0), rel=1e-6)
    assert (mean[0] == mean[1]).all()


def ridge_by_hand(drawn, effects, asked):
    """Every ridge, every perturbation really left out (around the mean of all), the best refitted."""

    def alike(a, b):
        index = [[drawn.genes.index(g) for g in t] for t in (a, b)]
        return np.mean([[drawn.kernels.diffusion[i, j] for j in index[1]] for i in index[0]])

    Y = effects.effect.astype(float)
    mean = Y.mean(axis=0)
    K = np.array([[alike(a, b) for b in effects.targets] for a in effects.targets])
    errors = []
    for ridge in _RIDGE:
        error = 0.0
        for out in range(len(Y)):
            rest = np.arange(len(Y)) != out
            weights = np.linalg.solve(K[np.ix_(rest, rest)] + ridge * np.eye(rest.sum()), (Y - mean)[rest])
            error += ((mean + K[out, rest] @ weights - Y[out]) ** 2).sum()
        errors.append(error)
    ridge = _RIDGE[int(np.argmin(errors))]
    cross = np.array([[alike(a, b) for b in effects.targets] for a in asked])
    return mean + cross @ np.linalg.solve(K + ridge * np.eye(len(Y)), Y - mean)


def test_kernel_ridge_equals_leaving_each_perturbation_out(draw):
    drawn = draw(7, n_genes=40, n_hit=14, n_double=3, n_response=6)
    effects = effects_of(drawn)
    asked = [(drawn.unseen[0],), (drawn.unseen[1], drawn.unseen[2]), drawn.targets[0], drawn.targets[-1]]
    got = NetworkKernelRidge(drawn.kernels)(effects, asked)
    assert got == pytest.approx(ridge_by_hand(drawn, effects, asked), abs=1e-6)


def test_kernel_ridge_is_ahead_of_the_mean_where_effects_follow_the_network(draw):
    drawn = draw(1, on_graph=0.9)
    effects = effects_of(drawn)
    asked = [(g,) for g in drawn.unseen]
    truth = drawn.truth(asked)
    ridge = NetworkKernelRidge(drawn.kernels)(effects, asked)
    assert np.sum((ridge - truth) ** 2) < 0.9 * np.sum((training_mean(effects, asked) - truth) ** 2)


def test_kernel_ridge_knows_nothing_about_strangers(drawn, effects):
    ridge = NetworkKernelRidge(drawn.kernels)(effects, [("ELSEWHERE",)])
    assert ridge == pytest.approx(training_mean(effects, [("ELSEWHERE",)]), abs=1e-9)


def test_the_order_of_targets_is_irrelevant(drawn, effects):
    predict = NetworkKernelRidge(drawn.kernels)
    a, b = drawn.unseen[:2]
    assert predict(effects, [(a, b)]) == pytest.approx(predict(effects, [(b, a)]), abs=1e-12)


def table(targets, effect, genes=None, control_mean=None) -> Effects:
    effect = np.asarray(effect, dtype=np.float32)
    return Effects(
        perturbations=tuple("_".join(t) for t in targets),
        targets=tuple(targets),
        genes=tuple(genes or (f"R{i}" for i in range(effect.shape[1]))),
        effect=effect,
        standard_error=np.full(effect.shape, np.nan, dtype=np.float32),
        n_cells=np.zeros(len(effect), dtype=np.int64),
        control="control",
        control_mean=control_mean,
    )


def test_additive_sums_what_was_measured_alone():
    effects = table([("A",), ("B",), ("A", "C")], [[1, 0], [0, 3], [9, 9]])
    got = additive(effects, [("A", "B"), ("C",), ("A", "C"), ("C", "D")])
    assert got.tolist() == [[1, 3], [0.5, 1.5], [1.5, 1.5], [1, 3]], "the mean of A and B stands for C and D"
    combinations = table([("A", "B"), ("B", "C")], [[1, 0], [3, 2]])
    assert additive(combinations, [("A",)]).tolist() == [[2, 1]], (
        "nothing was perturbed alone: the mean of all"
    )


def test_ridge_pca_is_the_formula():
    """Against the formula written out with a plain singular value decomposition and explicit inverses."""
    rng = np.random.default_rng(0)
    genes = [f"G{i}" for i in range(40)]
    targets = [(g,) for g in genes[:25]] + [("ELSEWHERE",), (genes[0], genes[1])]
    effect = rng.normal(size=(len(targets), 6)) @ rng.normal(size=(6, 40)) + 0.1 * rng.normal(size=(27, 40))
    control = rng.uniform(0, 3, size=40).astype(np.float32)
    effects = table(targets, effect, genes, control)
    Y = effects.effect.astype(float).T
    level = Y + control[:, None]
    left, values, _ = np.linalg.svd(level - level.mean(axis=0), full_matrices=False)
    G = left[:, :10] * values[:10]
    known = [i for i, t in enumerate(targets) if t[0] != "ELSEWHERE"]
    P = np.array([sum(G[genes.index(g)] for g in targets[i]) for i in known])
    inverse = [np.linalg.inv(m.T @ m + 0.1 * np.eye(10)) for m in (G, P)]
    W = inverse[0] @ G.T @ (Y[:, known] - Y.mean(axis=1, keepdims=True)) @ P @ inverse[1]
    asked = [(genes[30],), (genes[30], genes[31]), ("ELSEWHERE",)]
    vectors = np.array([G[30], G[30] + G[31], np.zeros(10)])
    assert ridge_pca(effects, asked) == pytest.approx(Y.mean(axis=1) + vectors @ W.T @ G.T, abs=1e-6)


def test_ridge_pca_finds_effects_that_follow_coexpression():
    """Genes of one of three modules respond alike, and perturbing them does alike."""
    rng = np.random.default_rng(1)
    genes = [f"G{i}" for i in range(60)]
    module = np.arange(60) % 3
    does = rng.normal(size=(3, 3))
    effect = does[module][:, module] + 0.2 * rng.normal(size=(60, 60))
    effects = table([(g,) for g in genes], effect, genes)
    seen, asked = effects.select(genes[:40]), [(g,) for g in genes[40:]]
    truth = effect[40:]
    wrong = {
        f.__name__: np.sum((f(seen, asked) - truth) ** 2)
        for f in (ridge_pca, effect_neighbours, training_mean)
    }
    assert wrong["ridge_pca"] < 0.5 * wrong["training_mean"]
    assert wrong["effect_neighbours"] < 0.5 * wrong["training_mean"]


def test_unmeasured_targets_leave_the_simple_answers():
    effects = table([("A",), ("B",), ("C",), ("A", "B")], np.eye(4))
    asked = [("A", "C"), ("D",)]
    assert ridge_pca(effects, asked) == pytest.approx(training_mean(effects, asked))
    assert effect_neighbours(effects, asked) == pytest.approx(additive(effects, asked))


def test_nearest_neighbours_are_ahead_of_the_mean_where_effects_follow_the_network(draw):
    drawn = draw(2, on_graph=0.95, noise=0.1)
    effects = effects_of(drawn)
    asked = [(g,) for g in drawn.unseen]
    truth = drawn.truth(asked)
    predict = NetworkNeighbours(drawn.kernels)
    near = predict(effects, asked)
    assert np.sum((near - truth) ** 2) < 0.95 * np.sum((training_mean(effects, asked) - truth) ** 2)
    assert predict(effects, [("ELSEWHERE",)]) == pytest.approx(training_mean(effects, [("ELSEWHERE",)]))


def test_a_neighbour_is_copied_where_one_is_enough():
    """Two groups of genes, alike inside and unlike outside: whoever is in a group does what the group does."""
    from hyperperturb.models.gene_kernels import GeneKernels

    genes = tuple("ABCDEF")
    group = np.array([0, 0, 0, 1, 1, 1])
    kernels = GeneKernels(genes, (group[:, None] == group[None, :]).astype(float))
    effects = table([("A",), ("B",), ("D",), ("E",)], [[1, 0], [1, 0], [0, 5], [0, 5]])
    assert NetworkNeighbours(kernels)(effects, [("C",), ("F",)]).tolist() == [[1, 0], [0, 5]]


def test_every_baseline_answers_every_question(drawn, effects):
    asked = [(drawn.unseen[0],), (drawn.targets[0][0], drawn.unseen[1]), ("ELSEWHERE",), drawn.targets[-1]]
    for name, predict in simple_baselines(drawn.kernels).items():
        answer = predict(effects, asked)
        assert answer.shape == (4, len(effects.genes)), name
        assert np.isfinite(answer).all(), name


def test_over_neighbourhoods_kernel_ridge_is_the_same_up_to_the_projections(drawn, effects, make_graph):
    """With all targets among the landmarks the kernel is exact, and so is the answer if the same ridge is chosen."""
    targets = sorted({g for target in drawn.targets for g in target})
    neighbourhoods = find_neighbourhoods(
        drawn.genes, make_graph(len(drawn.genes)), DenseSimilarity(drawn.kernels.diffusion), None, targets
    )
    asked = [(g,) for g in drawn.unseen[:9]] + [tuple(drawn.unseen[:2])]
    exact = NetworkKernelRidge(drawn.kernels)(effects, asked)
    local = NetworkKernelRidge(neighbourhoods)(effects, asked)
    size = np.linalg.norm(exact - effects.effect.mean(axis=0))
    assert np.linalg.norm(local - exact) < 0.1 * size
    for name in ("network_neighbours", "effect_neighbours"):
        one, other = (simple_baselines(k)[name](effects, asked) for k in (drawn.kernels, neighbourhoods))
        assert other == pytest.approx(one, abs=1e-6)


def test_neighbours_among_thousands_are_found_without_sorting_them_all(monkeypatch):
    rng = np.random.default_rng(0)
    similarity = rng.normal(size=(70, 90))
    similarity[3], similarity[4] = -1.0, -np.inf
    Y = rng.normal(size=(90, 5))
    slow = baselines._Nearest.find(lambda rows: similarity[rows], 70)
    monkeypatch.setattr(baselines, "_SORT_ALL", 10)
    monkeypatch.setattr(baselines, "_ROWS", 16)
    fast = baselines._Nearest.find(lambda rows: similarity[rows], 70)
    for k in (1, 12, 50):
        assert fast.mean(Y, k) == pytest.approx(slow.mean(Y, k), abs=1e-12)
    assert fast.mean(Y, 5)[3] == pytest.approx(Y.mean(axis=0))
