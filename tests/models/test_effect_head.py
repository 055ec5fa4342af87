"""The effect head against a Gaussian process written out by hand, and against every odd table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.error_scale import ErrorScale
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, design_matrix, gene_kernel

N, R = 12, 7
GENES = tuple(f"G{i}" for i in range(N))
RESPONSE = tuple(f"R{i}" for i in range(R))
TARGETS = (*((g,) for g in GENES[:6]), ("G0", "G1"), ("G2", "G6"), ("G3", "G4", "G5"))
FIXED = KernelParameters(mean=0.3, diffusion=0.8, hyperbolic=0.5, own=0.2, noise=0.1, factor=0.85)


def similarity(seed: int) -> np.ndarray:
    """A positive definite matrix with ones on its diagonal and entries in (0, 1)."""
    points = np.random.default_rng(seed).normal(size=(N, 3))
    return np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1))


@pytest.fixture(scope="module")
def kernels() -> GeneKernels:
    return GeneKernels(GENES, similarity(1), similarity(2))


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    effect = rng.normal(size=(len(TARGETS), R)) * rng.uniform(0.5, 2.0, size=R) + 0.5
    return effect, rng.uniform(0.1, 0.4, size=effect.shape)


@pytest.fixture(scope="module")
def head(kernels, table) -> EffectHead:
    return EffectHead.fit(
        TARGETS, RESPONSE, table[0], kernels=kernels, standard_error=table[1], parameters=FIXED
    )


def weight_of(target: tuple[str, ...], p: KernelParameters = FIXED) -> float:
    return 1.0 if len(target) == 1 else p.factor


def by_hand(kernels: GeneKernels, p: KernelParameters, a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Covariance of two perturbations, summed over pairs of their targets."""
    total = 0.0
    for g in a:
        for h in b:
            i, j = GENES.index(g), GENES.index(h)
            k = p.mean + p.diffusion * kernels.diffusion[i, j] + p.hyperbolic * kernels.hyperbolic[i, j]
            total += k + (p.own if g == h else 0.0)
    return weight_of(a, p) * weight_of(b, p) * total


def gaussian_process(kernels, p, targets, effect, noise, asked):
    """Mean (Q, R) and variance (Q,) relative to the signal, by the textbook formula with one inverse."""
    C = np.array([[by_hand(kernels, p, a, b) for b in targets] for a in targets])
    inverse = np.linalg.inv(C + np.diag(noise))
    cross = np.array([[by_hand(kernels, p, q, a) for a in targets] for q in asked])
    prior = np.array([by_hand(kernels, p, q, q) for q in asked])
    return cross @ inverse @ effect, prior - np.array([c @ inverse @ c for c in cross])


def relative_noise(effect, error, p=FIXED):
    return p.noise + (error**2).mean(axis=1) / (effect**2).mean()


ASKED = (*TARGETS, ("G7",), ("G11",), ("G0", "G8"), ("G1", "G2"), ("G0", "G2", "G4"))


def test_prediction_equals_the_process_written_out(head, kernels, table):
    effect, error = table
    mean, _ = gaussian_process(kernels, FIXED, TARGETS, effect, relative_noise(effect, error), ASKED)
    assert head.predict(ASKED)[0] == pytest.approx(mean, abs=1e-6)


def test_standard_errors_equal_the_process_written_out(head, kernels, table):
    effect, error = table
    noise = relative_noise(effect, error)
    _, variance = gaussian_process(kernels, FIXED, TARGETS, effect, noise, ASKED)
    plain = replace(head, error=ErrorScale()).predict(ASKED)[1]
    assert plain == pytest.approx(np.sqrt(np.outer(variance, head.scale)), rel=1e-5)
    mean, error = head.predict(ASKED)
    scale = head.error
    weight = np.array([len(q) * weight_of(q) ** 2 for q in ASKED])
    square = (mean**2).sum(axis=1)
    larger = (0.3 + square / (scale.size * weight)) / 1.3
    nearer = (0.3 + np.array([connected_by_hand(kernels, q) for q in ASKED]) / scale.connection) / 1.3
    wider = np.minimum(plain[:, 0] ** 2 / head.scale[0], scale.cap * weight)
    wider *= larger**scale.growth * nearer**scale.reach
    beyond = np.array([len(q) > 1 for q in ASKED]) * scale.combination * square / head.scale.sum()
    assert error == pytest.approx(np.sqrt(np.outer(wider + beyond, head.scale)), rel=1e-5)


def connected_by_hand(kernels, target):
    """Mean diffusion similarity of the targets with the genes that are hit, themselves left out."""
    hit = sorted({g for t in TARGETS for g in t})
    alike = [[kernels.diffusion[GENES.index(g), GENES.index(h)] for h in hit if h != g] for g in target]
    return np.mean([np.mean(row) for row in alike])


def test_nine_tenths_of_left_out_effects_lie_inside_the_intervals(head, kernels, table):
    """Every gene left out by hand: its predictions' size, and how far the measured effects are from them."""
    effect, error = table
    noise = relative_noise(effect, error)
    C = np.array([[by_hand(kernels, FIXED, a, b) for b in TARGETS] for a in TARGETS]) + np.diag(noise)
    likely = np.array([y @ np.linalg.solve(C, y) / len(TARGETS) for y in effect.T])
    assert head.scale / likely == pytest.approx(np.full(R, head.scale[0] / likely[0]), rel=1e-6)
    sizes, cases = [], []
    for gene in sorted({g for t in TARGETS for g in t}):
        out = [i for i, t in enumerate(TARGETS) if gene in t]
        rest = [i for i, t in enumerate(TARGETS) if gene not in t]
        asked = [TARGETS[i] for i in out]
        mean, variance = gaussian_process(
            kernels, FIXED, [TARGETS[i] for i in rest], effect[rest], noise[rest], asked
        )
        square = (mean**2).sum(axis=1) / [len(q) * weight_of(q) ** 2 for q in asked]
        sizes += square.tolist()
        for k, i in enumerate(out):
            weight = len(TARGETS[i]) * weight_of(TARGETS[i]) ** 2
            about = variance[k], (mean[k] ** 2).sum(), weight, connected_by_hand(kernels, TARGETS[i])
            expected = head.error.variance(*np.array([about]).T, np.array([False]), 1.0)[0]
            cases.append((expected, (effect[i] - mean[k]) ** 2, error[i] ** 2))
    assert head.error.size == pytest.approx(np.mean(sizes), rel=1e-6)
    inside = [missed <= 1.645**2 * (expected * head.scale + measured) for expected, missed, measured in cases]
    assert np.mean(inside) == pytest.approx(0.9, abs=1.5 / (len(cases) * R))


def test_a_pair_of_unseen_genes_is_never_more_certain_than_the_process_allows(head, kernels, table):
    """Their similarity is not kept; given the data they count as independent, or as the common mean ties them."""
    effect, error = table
    noise = relative_noise(effect, error)
    for pair in (("G7", "G8"), ("G9", "G11"), ("G7", "G10")):
        _, alone = gaussian_process(kernels, FIXED, TARGETS, effect, noise, [(g,) for g in pair])
        _, both = gaussian_process(kernels, FIXED, TARGETS, effect, noise, [pair])
        got = replace(head, error=ErrorScale()).predict([pair])[1][0] ** 2 / head.scale
        independent = FIXED.factor**2 * alone.sum()
        assert got.min() >= independent - 1e-6
        assert got.max() <= max(independent, both[0]) + 2 * FIXED.factor**2 * FIXED.mean


def test_combinations_are_shrunk_sums(head):
    singles, _ = head.predict([("G0",), ("G7",), ("G9",)])
    triple, _ = head.predict([("G0", "G7", "G9")])
    assert triple[0] == pytest.approx(FIXED.factor * singles.sum(axis=0), rel=1e-10)


def test_the_order_of_targets_and_of_questions_is_irrelevant(head):
    a = head.predict([("G0", "G8", "G3"), ("G7",)])
    b = head.predict([("G7",), ("G3", "G0", "G8")])
    for x, y in zip(a, b, strict=True):
        assert x[0] == pytest.approx(y[1], rel=1e-10)
        assert x[1] == pytest.approx(y[0], rel=1e-10)


def test_the_order_of_the_table_is_irrelevant(kernels, table):
    effect, error = table
    order = np.random.default_rng(0).permutation(len(TARGETS))
    fits = [
        EffectHead.fit(
            [TARGETS[i] for i in rows], RESPONSE, effect[rows], kernels=kernels, standard_error=error[rows]
        ).predict(ASKED)
        for rows in (np.arange(len(TARGETS)), order)
    ]
    assert fits[0][0] == pytest.approx(fits[1][0], abs=1e-3)


def test_the_search_error_is_that_of_leaving_each_gene_out(kernels, table):
    effect, error = table
    fitted = EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, standard_error=error)
    p = fitted.parameters
    # Noise is relative to the mean square of the whole table, which a refit on a part would not know.
    noise = relative_noise(effect, error, p)
    missed = size = 0.0
    for gene in sorted({g for t in TARGETS for g in t}):
        out = [i for i, t in enumerate(TARGETS) if gene in t]
        rest = [i for i, t in enumerate(TARGETS) if gene not in t]
        mean, _ = gaussian_process(
            kernels, p, [TARGETS[i] for i in rest], effect[rest], noise[rest], [TARGETS[i] for i in out]
        )
        missed += ((mean - effect[out]) ** 2).sum()
        size += (effect[out] ** 2).sum()
    assert p.leave_one_gene_out == pytest.approx(missed / size, rel=1e-6)


def test_the_search_improves_on_its_start(drawn):
    fitted = EffectHead.fit(
        drawn.targets,
        drawn.response,
        drawn.effect,
        kernels=drawn.kernels,
        standard_error=drawn.standard_error,
    )
    p = fitted.parameters
    assert p.leave_one_gene_out < 0.75
    assert p.factor == pytest.approx(0.9, abs=0.05), "the factor that the effects were drawn with"
    assert p.hyperbolic == 0.0, "without a space there is no weight on it"


def test_a_gene_outside_the_universe_gets_the_mean_effect_and_the_widest_error(head):
    mean, _ = head.predict([("ELSEWHERE",), *((g,) for g in GENES)])
    cross = FIXED.mean * np.ones(len(head.target_genes))
    assert mean[0] == pytest.approx(cross @ head.coefficients)
    _, error = replace(head, error=ErrorScale()).predict([("ELSEWHERE",), *((g,) for g in GENES)])
    assert (error[0] >= error[1:] - 1e-12).all(), "before it is widened by the size of the effect"


def test_design_matrix_and_kernel_blocks(kernels):
    A = design_matrix([("G1",), ("G0", "G2")], ("G0", "G1", "G2"), 0.7)
    assert A.tolist() == [[0, 1, 0], [0.7, 0, 0.7]]
    block = gene_kernel(kernels, FIXED, ["G3", "OUT"], ["G3", "OUT", "G5"])
    whole = FIXED.mean + FIXED.diffusion + FIXED.hyperbolic + FIXED.own
    assert block[[0, 1], [0, 1]] == pytest.approx([whole, whole])
    assert block[0, 1] == block[1, 0] == block[1, 2] == pytest.approx(FIXED.mean)
    kept = kernels.restricted_to(["G5", "OUT", "G3"])
    assert kept.columns == ("G5", "G3")
    assert kept.between(["G0"], ["G3"])[0] == pytest.approx(kernels.between(["G0"], ["G3"])[0], rel=1e-6)


# What a perturbation does to its own target


def own_table(levels: np.ndarray, slope: float = -0.7) -> tuple[list, tuple, np.ndarray]:
    """Six perturbations; the first four response genes are targets that fall by 0.7 of their level."""
    rng = np.random.default_rng(0)
    response = (*GENES[:4], *RESPONSE)
    targets = [(g,) for g in GENES[:6]]
    effect = rng.normal(scale=0.3, size=(6, len(response)))
    effect[np.arange(4), np.arange(4)] = slope * levels[:4]
    return targets, response, effect


def test_a_targets_own_response_follows_its_control_level(kernels):
    levels = np.array([1.0, 2.0, 3.0, 0.5, *np.ones(R)])
    targets, response, effect = own_table(levels)
    head = EffectHead.fit(targets, response, effect, kernels=kernels, control_mean=levels, parameters=FIXED)
    assert head.own_slope == pytest.approx(-0.7)
    mean, _ = head.predict([("G0",), ("G2", "G1"), ("G9",)])
    assert mean[0, 0] == pytest.approx(-0.7 * 1.0)
    assert mean[1, [1, 2]] == pytest.approx([-1.4, -2.1]), "also inside a combination"
    assert abs(mean[2, :4]).max() < 0.6, "another gene's perturbation does not get it"


def test_own_responses_teach_nothing_about_relatives(kernels):
    """That a target falls when it is hit must not make its neighbours' perturbations lower it."""
    levels = np.array([1.0, 2.0, 3.0, 0.5, *np.ones(R)])
    targets, response, effect = own_table(levels)
    fits = []
    for value in (-1.0, -50.0):
        changed = effect.copy()
        changed[np.arange(4), np.arange(4)] = value
        head = EffectHead.fit(targets, response, changed, kernels=kernels, parameters=FIXED)
        fits.append(head.predict([("G8",), ("G4",)])[0])
    assert fits[0] == pytest.approx(fits[1], abs=1e-9)


@pytest.mark.parametrize("control_mean", [None, np.zeros(4 + R)])
def test_without_a_control_level_the_process_answers_for_the_target_too(kernels, control_mean):
    targets, response, effect = own_table(np.ones(4 + R))
    head = EffectHead.fit(targets, response, effect, kernels=kernels, control_mean=control_mean)
    assert head.own_slope == 0.0
    assert np.isfinite(head.predict(targets)[0]).all()


def test_one_target_in_every_perturbation(kernels):
    """Then no perturbation says what its expression does otherwise; no warning, no NaN."""
    targets = [("G0",), ("G0", "G1"), ("G0", "G2")]
    effect = np.random.default_rng(0).normal(size=(3, R + 1))
    head = EffectHead.fit(targets, ("G0", *RESPONSE), effect, kernels=kernels)
    mean, error = head.predict([("G0",), ("G1",)])
    assert np.isfinite(mean).all()
    assert np.isfinite(error).all()


# Odd tables


def test_missing_standard_errors(kernels, table):
    effect, error = table
    gone = np.full_like(error, np.nan)
    none = EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, parameters=FIXED)
    nan = EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, standard_error=gone, parameters=FIXED)
    assert nan.coefficients == pytest.approx(none.coefficients)


def test_a_perturbation_without_an_error_is_trusted_no_more_than_the_worst(kernels, table):
    effect, error = table
    error = error.copy()
    error[2] = 5.0
    worst = error.copy()
    error[4] = np.nan
    worst[4] = 5.0
    a, b = (
        EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, standard_error=e, parameters=FIXED)
        for e in (error, worst)
    )
    assert a.coefficients == pytest.approx(b.coefficients)


def test_a_noisy_perturbation_counts_less(kernels, table):
    effect, error = table
    noisy = error.copy()
    noisy[0] = 20.0
    sure, unsure = (
        EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels, standard_error=e, parameters=FIXED)
        for e in (error, noisy)
    )
    distance = [np.linalg.norm(h.predict([TARGETS[0]])[0] - effect[0]) for h in (sure, unsure)]
    assert distance[0] < distance[1]
    assert sure.support(["G0"]) > unsure.support(["G0"])


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_perturbations_are_refused(kernels, table, n):
    with pytest.raises(HyperPerturbError, match="at least 2 are needed"):
        EffectHead.fit(TARGETS[:n], RESPONSE, table[0][:n], kernels=kernels)


def test_effects_that_are_all_zero_are_refused(kernels):
    with pytest.raises(HyperPerturbError, match="Every effect in the table is zero"):
        EffectHead.fit(TARGETS, RESPONSE, np.zeros((len(TARGETS), R)), kernels=kernels)


def test_a_response_gene_that_never_changes_is_predicted_not_to(kernels, table):
    effect = table[0].copy()
    effect[:, 2] = 0.0
    head = EffectHead.fit(TARGETS, RESPONSE, effect, kernels=kernels)
    mean, error = head.predict(ASKED)
    assert mean[:, 2] == pytest.approx(np.zeros(len(ASKED)))
    assert (error[:, 2] < 1e-4).all()


def test_effects_in_other_units_give_predictions_in_those_units(kernels, table):
    effect, error = table
    small, large = (
        EffectHead.fit(TARGETS, RESPONSE, s * effect, kernels=kernels, standard_error=s * error)
        for s in (1.0, 1000.0)
    )
    for a, b in zip(small.predict(ASKED), large.predict(ASKED), strict=True):
        assert b == pytest.approx(1000.0 * a, rel=1e-3)


def test_targets_that_no_network_knows(table):
    """Nothing relates them: the search still ends, and an unseen gene gets a shrunk mean."""
    kernels = GeneKernels(("X", "Y"), np.eye(2))
    head = EffectHead.fit(TARGETS, RESPONSE, table[0], kernels=kernels)
    mean, _ = head.predict([("NEW",)])
    assert np.isfinite(mean).all()
    assert head.support(["NEW"]) == pytest.approx([0.0])


# Support


def test_support_grows_with_what_is_known(head):
    tested, near, alone = head.support(["G0"]), head.support(["G7", "G8", "G9"]), head.support(["OUT"])
    assert 0.0 == alone[0] < near.min() < near.max() < tested[0] < 1.0


def test_support_of_isolated_genes_is_nothing(make_graph):
    from scipy import sparse

    from hyperperturb.models.universe import diffusion_similarity

    graph = sparse.block_diag([make_graph(20), sparse.csr_array((3, 3))]).tocsr()
    genes = tuple(f"G{i}" for i in range(23))
    kernels = GeneKernels(genes, diffusion_similarity(graph))
    targets = [(g,) for g in genes[:8]]
    effect = np.random.default_rng(0).normal(size=(8, R))
    support = EffectHead.fit(targets, RESPONSE, effect, kernels=kernels, parameters=FIXED).support(genes)
    assert (support[20:] == 0.0).all()
    assert (support[8:20] > 0.005).all()
    assert support[:8].min() > support[8:].max()


def test_support_does_not_count_the_common_mean(head):
    louder = replace(head, parameters=replace(FIXED, mean=50.0))
    assert louder.support(list(GENES)) == pytest.approx(head.support(list(GENES)))
