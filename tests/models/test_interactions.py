"""Interactions of pairs against a process written out by hand, and on screens with and without planted epistasis."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.error_scale import ErrorScale
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, design_matrix
from hyperperturb.models.interactions import Interaction, interaction_score, pair_covariance, split_effect
from hyperperturb.models.predictor import fit_head
from hyperperturb.models.universe import build_universe

N, R = 9, 6
GENES = tuple(f"G{i}" for i in range(N))
RESPONSE = tuple(f"R{i}" for i in range(R))
TARGETS = (*((g,) for g in GENES[:6]), ("G0", "G1"), ("G3", "G2"), ("G0", "G4", "G5"), ("G1", "G6"))
ASKED = (*TARGETS, ("G2", "G0"), ("G1", "G5"), ("G7", "G0"), ("G7",), ("G1", "G2", "G5", "G0"))
FIXED = KernelParameters(
    mean=0.3, diffusion=0.8, hyperbolic=0.5, own=0.2, noise=0.1, factor=0.85, pair=0.6, pair_own=0.3
)
VARIANCE = FIXED.diffusion + FIXED.hyperbolic + FIXED.own


def similarity(seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(N, 3))
    return np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1))


@pytest.fixture(scope="module")
def kernels() -> GeneKernels:
    return GeneKernels(GENES, similarity(1), similarity(2))


@pytest.fixture(scope="module")
def effect() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(len(TARGETS), R)) + 0.5


@pytest.fixture(scope="module")
def head(kernels, effect) -> EffectHead:
    return EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, parameters=FIXED)


def gene_covariance(kernels: GeneKernels, g: str, h: str) -> float:
    i, j = GENES.index(g), GENES.index(h)
    shared = FIXED.diffusion * kernels.diffusion[i, j] + FIXED.hyperbolic * kernels.hyperbolic[i, j]
    return FIXED.mean + shared + FIXED.own * (g == h)


def alike(kernels: GeneKernels, g: str, h: str) -> float:
    return 0.2 + 0.8 * (gene_covariance(kernels, g, h) - FIXED.mean) / VARIANCE


def additive(kernels: GeneKernels, a, b) -> float:
    weight = (1.0 if len(a) == 1 else FIXED.factor) * (1.0 if len(b) == 1 else FIXED.factor)
    return weight * sum(gene_covariance(kernels, g, h) for g in a for h in b)


def interaction(kernels: GeneKernels, a, b) -> float:
    """Covariance of two combinations' interactions, pair by pair."""
    total = 0.0
    for p, q in combinations(a, 2):
        for r, s in combinations(b, 2):
            k = {(x, y): alike(kernels, x, y) for x in (p, q) for y in (r, s)}
            total += (1 - FIXED.pair_own) * 0.5 * (k[p, r] * k[q, s] + k[p, s] * k[q, r])
            total += FIXED.pair_own * ({p, q} == {r, s})
    return FIXED.pair * total


def written_out(kernels, effect):
    """Mean and variance of the additive part and of the interaction, each by the textbook formula."""
    parts = []
    C = np.array([[additive(kernels, a, b) + interaction(kernels, a, b) for b in TARGETS] for a in TARGETS])
    inverse = np.linalg.inv(C + FIXED.noise * np.eye(len(TARGETS)))
    functions = (
        (lambda a, b: additive(kernels, a, b) + interaction(kernels, a, b)),
        (lambda a, b: interaction(kernels, a, b)),
    )
    for covariance in functions:
        cross = np.array([[covariance(q, t) for t in TARGETS] for q in ASKED])
        prior = np.array([covariance(q, q) for q in ASKED])
        parts.append((cross @ inverse @ effect, prior - np.einsum("qp,pr,qr->q", cross, inverse, cross)))
    return parts


def test_predictions_equal_the_process_written_out(head, kernels, effect):
    (total, variance), (beyond, beyond_variance) = written_out(kernels, effect)
    mean, error = replace(head, error=ErrorScale()).predict(ASKED)
    part, part_error = head.interaction(ASKED)
    # Kept similarities are float32.
    assert mean == pytest.approx(total, abs=1e-5)
    assert part == pytest.approx(beyond, abs=1e-5)
    kept = np.array([set(q) <= set(head.target_genes) for q in ASKED])
    assert kept.sum() == len(ASKED) - 2
    assert error[kept] == pytest.approx(np.sqrt(np.outer(variance, head.scale))[kept], rel=1e-4)
    assert part_error[kept] == pytest.approx(
        np.sqrt(np.outer(np.maximum(beyond_variance, 0), head.scale))[kept], rel=1e-3, abs=1e-4
    )


def test_single_genes_do_not_interact(head):
    part, error = head.interaction([("G0",), ("G7",)])
    assert not part.any()
    assert not error.any()


def test_the_order_of_genes_and_a_gene_named_twice_change_nothing(head):
    a, b = head.interaction([("G0", "G2"), ("G2", "G0")])[0]
    assert a == pytest.approx(b, abs=1e-12)


def test_without_variance_the_head_is_additive(kernels, effect):
    plain = EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, parameters=replace(FIXED, pair=0.0))
    assert plain.interactions is None
    assert not np.any(plain.interaction(ASKED))
    single = plain.predict([("G0",), ("G7",)])[0].sum(axis=0)
    assert plain.predict([("G7", "G0")])[0][0] == pytest.approx(FIXED.factor * single)


def test_a_targets_own_response_is_no_interaction(kernels, effect):
    response = ("G0", *RESPONSE[1:])
    level = np.full(R, 2.0)
    head = EffectHead.fit(TARGETS, response, effect, kernels=kernels, control_mean=level, parameters=FIXED)
    part, error = head.interaction([("G0", "G1"), ("G2", "G3")])
    assert part[0, 0] == error[0, 0] == 0.0
    assert part[1, 0] != 0.0


def test_a_saved_head_interacts_as_before(tmp_path, head):
    # The space is stored as points, so that this head is given kernels that come from points.
    from hyperperturb.models.export import hyperbolic_similarity, load_arrays, save_arrays

    points = 0.2 * np.random.default_rng(5).normal(size=(N, 3))
    row = [GENES.index(g) for g in head.target_genes]
    near = hyperbolic_similarity(points, 0.7, slice(None), row)
    kept = replace(head, kernels=GeneKernels(GENES, head.kernels.diffusion, near, head.target_genes))
    save_arrays(tmp_path / "arrays.npz", points=points, curvature=0.7, head=kept, cells=None)
    again = load_arrays(tmp_path / "arrays.npz")[2]
    for old, new in zip(kept.predict(ASKED), again.predict(ASKED), strict=True):
        assert new == pytest.approx(old, rel=1e-5, abs=1e-6)
    for old, new in zip(kept.interaction(ASKED), again.interaction(ASKED), strict=True):
        assert new == pytest.approx(old, rel=1e-5, abs=1e-6)


def test_the_keras_model_interacts_as_the_arrays_do(head):
    from hyperperturb.models.export import hyperbolic_similarity
    from hyperperturb.models.model import HyperPerturbModel, assemble

    points = (0.2 * np.random.default_rng(5).normal(size=(N, 3))).astype(np.float32)
    near = hyperbolic_similarity(points, 0.7, slice(None), [GENES.index(g) for g in head.target_genes])
    head = replace(head, kernels=GeneKernels(GENES, head.kernels.diffusion, near, head.target_genes))
    model = assemble(points, 0.7, head, None)
    membership = np.array([[float(g in target) for g in GENES] for target in ASKED])
    assert np.asarray(model({"targets": membership})["effects"]) == pytest.approx(
        head.predict(ASKED)[0], abs=1e-4
    )
    again = HyperPerturbModel.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert np.asarray(again({"targets": membership})["effects"]) == pytest.approx(
        head.predict(ASKED)[0], abs=1e-4
    )


def test_the_score_is_the_share_of_the_sum():
    rng = np.random.default_rng(0)
    sum_of_genes = rng.normal(size=50)
    score, error = interaction_score(sum_of_genes, -0.4 * sum_of_genes, np.full(50, 0.1))
    assert score == pytest.approx(-0.4)
    assert error == pytest.approx(0.1 / np.linalg.norm(sum_of_genes))
    assert interaction_score(np.zeros(3), np.ones(3), np.ones(3)) == (0.0, 0.0)


def test_the_score_leaves_the_targets_own_responses_out():
    effect, part, error = np.array([5.0, 1.0, 1.0]), np.array([0.0, 0.5, 0.5]), np.zeros(3)
    got = split_effect(("A", "X", "Y"), ("A", "B"), effect, part, error, found=True)
    assert got.score == pytest.approx(1.0)
    assert (got.table["additive"] + got.table["interaction"]).tolist() == effect.tolist()


def with_pairs(drawn, *, variance: float, seed: int):
    """Sixty doubles of the drawn genes, with interactions drawn from the process over pairs."""
    rng = np.random.default_rng(seed)
    hit = [t[0] for t in drawn.targets]
    every = list(combinations(sorted(hit), 2))
    doubles = [every[i] for i in np.sort(rng.choice(len(every), 60, replace=False))]
    targets = (*drawn.targets, *doubles)
    truth = design_matrix(targets, drawn.genes, 0.9) @ drawn.single
    p = KernelParameters(0.3, 0.8, 0.0, 0.2, 0.1, 0.9, pair=variance, pair_own=0.3)
    covariance = pair_covariance(doubles, doubles, drawn.kernels, p) + 1e-9 * np.eye(len(doubles))
    truth[len(hit) :] += np.linalg.cholesky(covariance) @ rng.normal(size=(len(doubles), truth.shape[1]))
    error = np.full(truth.shape, 0.2)
    return targets, doubles, truth, truth + error * rng.normal(size=truth.shape), error


@pytest.mark.parametrize(
    ("score", "error", "found", "said"),
    [
        (-0.4, 0.05, True, "Together they do 40 % less (± 5) than"),
        (0.3, 0.1, True, "Together they do 30 % more (± 10) than"),
        (-0.1, 0.1, True, "No clear interaction: −10 %"),
        (0.0, 0.0, False, "The screen gives no evidence of interactions"),
    ],
)
def test_the_score_in_words(score, error, found, said):
    assert Interaction(pd.DataFrame(), score, error, found).sentence.startswith(said)


@pytest.mark.parametrize("seed", range(3))
def test_interactions_drawn_from_the_process_are_found(draw, seed):
    """Measured doubles, and doubles that were left out, are both predicted better than by the sum."""
    drawn = draw(seed, n_hit=25, n_double=0, noise=0.2)
    targets, doubles, truth, measured, error = with_pairs(drawn, variance=1.0, seed=seed)
    for kept in (len(targets), len(targets) - 15):
        head = EffectHead.fit(
            targets[:kept],
            drawn.response,
            measured[:kept],
            kernels=drawn.kernels,
            standard_error=error[:kept],
        )
        assert head.parameters.pair > 0
        asked = doubles[-15:]
        mean, part = head.predict(asked)[0], head.interaction(asked)[0]
        left = np.sum((mean - truth[-15:]) ** 2) / np.sum((mean - part - truth[-15:]) ** 2)
        assert left < (0.5 if kept == len(targets) else 0.95)


@pytest.mark.parametrize("seed", range(3))
def test_without_interactions_the_head_stays_additive(draw, seed):
    drawn = draw(seed, n_hit=25, n_double=0, noise=0.2)
    targets, _, _, measured, error = with_pairs(drawn, variance=0.0, seed=seed)
    head = EffectHead.fit(targets, drawn.response, measured, kernels=drawn.kernels, standard_error=error)
    assert head.parameters.pair == 0.0
    assert head.interactions is None


def test_few_combinations_are_no_evidence(draw):
    drawn = draw(0, n_hit=25, n_double=4)
    effect = drawn.effect.copy()
    effect[-4:] *= 3.0
    head = EffectHead.fit(drawn.targets, drawn.response, effect, kernels=drawn.kernels)
    assert head.interactions is None


def test_a_sample_of_many_combinations_decides_alike(draw, monkeypatch):
    drawn = draw(1, n_hit=25, n_double=0, noise=0.2)
    targets, _, _, measured, error = with_pairs(drawn, variance=1.0, seed=1)
    monkeypatch.setattr("hyperperturb.models.interactions._MAX_COMBINATIONS_IN_SEARCH", 40)
    head = EffectHead.fit(targets, drawn.response, measured, kernels=drawn.kernels, standard_error=error)
    assert head.parameters.pair > 0
    assert len(head.interactions.pairs) == 60, "all of them teach, whichever were looked at"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_planted_epistasis_of_a_simulated_screen_is_recovered(seed):
    """Which of the measured doubles interact, and what they do, better than the additive head says."""
    screen, effects, kernels = simulated(seed, epistasis=0.5)
    truth, interacts, doubles, others = true_doubles(screen, effects)
    head, additive = heads(effects, kernels)
    mean, part = head.predict(doubles)[0], head.interaction(doubles)[0]
    scores = [
        abs(interaction_score((m - p)[k], p[k], np.zeros(k.sum()))[0])
        for m, p, k in zip(mean, part, others, strict=True)
    ]
    assert roc_auc_score(interacts, scores) > 0.7
    alone = additive.predict(doubles)[0]
    assert np.sum(((mean - truth) * others) ** 2) < 0.9 * np.sum(((alone - truth) * others) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_simulated_screen_without_epistasis_is_predicted_as_additive(seed):
    screen, effects, kernels = simulated(seed, epistasis=0.0)
    truth, interacts, doubles, others = true_doubles(screen, effects)
    assert not interacts.any()
    head, additive = heads(effects, kernels)
    assert head.parameters.pair <= 0.05, "saturation is all there is"
    errors = [np.sum(((h.predict(doubles)[0] - truth) * others) ** 2) for h in (head, additive)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


def heads(effects, kernels):
    """The head, and the same without interactions."""
    head = fit_head(effects, kernels, 0)
    additive = EffectHead.fit(
        effects.targets,
        effects.genes,
        effects.effect,
        kernels=kernels,
        standard_error=effects.standard_error,
        control_mean=effects.control_mean,
        parameters=replace(head.parameters, pair=0.0),
    )
    return head, additive


def simulated(seed: int, *, epistasis: float):
    """A screen of 80 genes and 100 doubles, its measured effects and its network's similarities."""
    screen = simulate_screen(
        seed=seed, n_single=80, n_double=100, n_triple=20, n_cells=16000, epistasis=epistasis
    )
    effects = compute_effects(screen.adata, column="perturbation", control="non-targeting")
    targets = sorted({g for t in effects.targets for g in t})
    universe = build_universe([screen.network], targets=targets, response_genes=effects.genes, max_genes=4000)
    return screen, effects, GeneKernels(universe.genes, universe.diffusion)


def true_doubles(screen, effects):
    """True effects of the doubles, whether they interact, their targets, and the entries of other genes."""
    of = dict(zip(screen.true_effects.perturbations, screen.true_effects.effect, strict=True))
    doubles = [t for t in effects.targets if len(t) == 2]
    labels = [p for p, t in zip(effects.perturbations, effects.targets, strict=True) if len(t) == 2]
    epistatic = {frozenset(pair) for pair in screen.epistasis}
    others = np.array([~np.isin(effects.genes, t) for t in doubles])
    return (
        np.array([of[p] for p in labels]),
        np.array([frozenset(t) in epistatic for t in doubles]),
        doubles,
        others,
    )
