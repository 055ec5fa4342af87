"""Edges between targets and response genes: found where they say something, given up where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.data import compute_effects, simulate_screen
from hyperperturb.data.network import network_from_edges
from hyperperturb.data.network_noise import with_permuted_genes
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, design_matrix, gene_groups
from hyperperturb.models.links import Links, fit_strengths, link_effects, links_of, weighed
from hyperperturb.models.measurements import ExactPrecision, LeftOut
from hyperperturb.models.neighbourhoods import find_neighbourhoods
from hyperperturb.models.predictor import fit_head
from hyperperturb.models.similarity import DenseSimilarity, diffusion_similarity
from hyperperturb.models.universe import build_universe

N, R = 60, 90
GENES = tuple(f"G{i:02d}" for i in range(N))
RESPONSE = (*GENES[:30], *(f"R{i:02d}" for i in range(R - 30)))
STRENGTHS = (-0.5, -0.8)
ADDITIVE = KernelParameters(mean=0.3, diffusion=0.5, hyperbolic=0.0, own=0.3, noise=0.2, factor=0.9)


@pytest.fixture(scope="module")
def links() -> Links:
    """One edge in twelve, half of them with a sign; no gene is joined with itself."""
    rng = np.random.default_rng(0)
    joined = rng.uniform(size=(N, R)) < 1 / 12
    joined[np.arange(30), np.arange(30)] = False
    signs = joined * rng.choice([-1.0, 0.0, 0.0, 1.0], size=(N, R))
    return Links(GENES, RESPONSE, tuple(sparse.csr_array(x.astype(float)) for x in (joined, signs)))


def of_edges(links: Links, design: np.ndarray, strengths=STRENGTHS) -> np.ndarray:
    return weighed(strengths, link_effects(links, design, GENES, RESPONSE)).toarray()


def screen(links: Links, strengths=STRENGTHS, *, seed: int = 1, noise: float = 0.3):
    """Forty singles and ten doubles of them: what the edges say, and what else happens."""
    rng = np.random.default_rng(seed)
    targets = [(g,) for g in GENES[:40]] + [(GENES[2 * i], GENES[2 * i + 1]) for i in range(10)]
    A = design_matrix(targets, GENES, 0.9)
    own = 0.4 * rng.normal(size=(N, R)) + 0.3 * rng.normal(size=R)
    effect = A @ own + of_edges(links, A, strengths)
    return targets, effect + noise * rng.normal(size=effect.shape), np.full(effect.shape, noise), own


def fitted(targets, effect, error, links) -> EffectHead:
    return EffectHead.fit(
        targets, RESPONSE, effect, kernels=GeneKernels(GENES, np.eye(N), links=links), standard_error=error
    )


def test_edges_are_those_of_the_network_and_directed_where_signs_are():
    network = network_from_edges(["A", "B", "C"], ["B", "C", "D"], name="toy")
    signs = sparse.csr_array(np.array([[0, -1, 0, 0], [0, 0, 1, 0], [0] * 4, [0] * 4], dtype=np.int8))
    found = links_of(replace(network, signs=signs), ["B", "X", "C"], ["C", "A", "Y"])
    joined, signed, two, three = (kind.toarray().tolist() for kind in found.kinds)
    assert joined == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert signed == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert not np.any(two)
    assert not np.any(three)
    again = found.renamed({"B": "C", "C": "B"})
    assert again.of(["C"], ["C"])[0].toarray().tolist() == [[1]]
    assert found.of(["B", "Z"], ["A"])[0].toarray().tolist() == [[1], [0]]


def test_paths_of_signed_edges_add_up_their_signs():
    """Against powers of the dense matrix, whose walks leave out those that are back where they began."""
    rng = np.random.default_rng(3)
    signs = rng.choice([-1, 0, 0, 0, 1], size=(12, 12)) * ~np.eye(12, dtype=bool)
    genes = [f"G{i}" for i in range(12)]
    first, second = np.nonzero(signs)
    network = network_from_edges([genes[i] for i in first], [genes[i] for i in second], name="toy")
    order = [genes.index(g) for g in network.genes]
    network = replace(network, signs=sparse.csr_array(signs[np.ix_(order, order)].astype(np.int8)))
    wanted, walks = [], np.eye(12)
    for _ in range(3):
        walks = walks @ signs
        np.fill_diagonal(walks, 0)
        wanted.append(walks[2:5, 4:])
    found = links_of(network, genes[2:5], genes[4:]).kinds[1:]
    for kind, dense in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(kind.toarray(), dense)
    assert np.any(wanted[1]) and np.any(wanted[2])  # noqa: PT018 - both or nothing was tested


def test_strengths_are_least_squares_over_left_out_genes(links):
    """Every gene left out by hand."""
    targets, effect, _, _ = screen(links)
    A = design_matrix(targets, GENES[:40], 0.9)
    C = A @ (0.5 + np.eye(40)) @ A.T + 0.2 * np.eye(len(targets))
    added = link_effects(links, A, GENES[:40], RESPONSE)
    groups = gene_groups(targets, GENES[:40])
    missed = []
    for rows in groups:
        rest = np.setdiff1d(np.arange(len(targets)), rows)
        weights = np.linalg.solve(C[np.ix_(rest, rest)], C[np.ix_(rest, rows)]).T
        values = (effect, *(each.toarray() for each in added))
        missed.append([each[rows] - weights @ each[rest] for each in values])
    error, *changes = (np.concatenate(parts).ravel() for parts in zip(*missed, strict=True))
    wanted = np.linalg.lstsq(np.column_stack(changes), error, rcond=None)[0]
    precision = ExactPrecision(C)
    left = LeftOut.of(precision, groups, len(targets))
    assert fit_strengths(precision, left, effect, added) == pytest.approx(wanted, rel=1e-6)
    assert wanted == pytest.approx(STRENGTHS, abs=0.1)


def test_neighbours_of_unseen_genes_are_predicted_to_respond(links):
    targets, effect, error, own = screen(links)
    head, plain = fitted(targets, effect, error, links), fitted(targets, effect, error, None)
    assert head.link_strengths == pytest.approx(STRENGTHS, abs=0.1)
    assert plain.link_strengths == ()
    asked = [(g,) for g in GENES[40:]]
    truth = own[40:] + of_edges(links, np.eye(N)[40:])
    with_links, without = (
        np.sum((h.predict(asked, standard_error=False)[0] - truth) ** 2) for h in (head, plain)
    )
    assert with_links < 0.9 * without
    double = head.predict([asked[0] + asked[1]])[0][0]
    singles = head.predict(asked[:2])[0].sum(axis=0)
    others = ~np.isin(RESPONSE, asked[0] + asked[1])
    assert double[others] == pytest.approx(head.parameters.factor * singles[others])


@pytest.mark.parametrize("seed", range(3))
def test_edges_that_say_nothing_cost_next_to_nothing(links, seed):
    targets, effect, error, own = screen(links, (0.0, 0.0), seed=seed)
    asked = [(g,) for g in GENES[40:]]
    errors = [
        np.sum((fitted(targets, effect, error, known).predict(asked)[0] - own[40:]) ** 2)
        for known in (links, None)
    ]
    assert errors[0] < 1.01 * errors[1]


def test_nine_tenths_lie_inside_with_edges_too(links):
    targets, effect, error, own = screen(links)
    head = fitted(targets, effect, error, links)
    asked = [(g,) for g in GENES[40:]]
    truth = own[40:] + of_edges(links, np.eye(N)[40:])
    mean, standard_error = head.predict(asked)
    assert 0.8 < np.mean(np.abs(mean - truth) < 1.645 * standard_error) < 0.97


# Beyond the exact head: landmarks and neighbourhoods


def test_with_all_genes_as_landmarks_edges_are_worth_the_same(links, make_graph):
    """Strengths, predictions and standard errors to a hundredth of their size."""
    targets, effect, error, _ = screen(links)
    graph = make_graph(N)
    similar = diffusion_similarity(graph)
    near = find_neighbourhoods(
        GENES, graph, DenseSimilarity(similar), None, GENES[:40], links=links, landmarks=N, block=10
    )
    exact, local = (
        EffectHead.fit(targets, RESPONSE, effect, kernels=kernels, standard_error=error, parameters=ADDITIVE)
        for kernels in (GeneKernels(GENES, similar, links=links), near)
    )
    assert exact.local is None
    assert len(near.blocks) > 3
    assert local.link_strengths == pytest.approx(exact.link_strengths, rel=1e-3)
    assert local.link_strengths == pytest.approx(STRENGTHS, abs=0.1)
    asked = [*((g,) for g in GENES), *targets[40:], (GENES[41], GENES[50])]
    (mean, spread), (other, wanted) = local.predict(asked), exact.predict(asked)
    assert np.abs(mean - other).max() < 0.01 * np.abs(other).max()
    seen = slice(0, -1)  # of two genes that were never tested the exact head keeps no similarity
    assert spread[seen] == pytest.approx(wanted[seen], rel=0.01)
    # a few at a time, as a run's table of all genes is made
    for part, some in local.means(GENES):
        assert some == pytest.approx(mean[part], abs=1e-6)


@pytest.fixture(scope="module")
def simulated():
    """A screen of three hundred genes, a third of them held out, and its truth."""
    sim = simulate_screen(
        seed=4, n_genes=450, n_regulators=150, n_single=300, n_double=0, n_cells=7000, n_batches=1
    )
    effects = compute_effects(sim.adata, column="perturbation", control="non-targeting")
    split = gene_folds(effects.targets, folds=3, seed=0)[0]
    train, test = (
        effects.select([effects.perturbations[i] for i in rows]) for rows in (split.train, split.test)
    )
    true = sim.true_effects
    truth = true.restrict_genes(effects.genes).select(test.perturbations).effect
    return sim.network, train, test, truth


def held_out(network, train, test, truth, *, landmarks=None, kinds=4) -> tuple[float, float]:
    """Squared error against the truth over the training mean's, and how many measured effects lie inside.

    `kinds` is how many kinds of edges the head knows.
    """
    targets = sorted({g for target in (*train.targets, *test.targets) for g in target})
    universe = build_universe([network], targets=targets, response_genes=train.genes, max_genes=1000)
    known = replace(universe.links, kinds=universe.links.kinds[:kinds]) if kinds else None
    if landmarks is None:
        kernels = GeneKernels(universe.genes, universe.diffusion, links=known)
    else:
        kernels = find_neighbourhoods(
            universe.genes,
            universe.adjacency,
            universe.similarity,
            None,
            targets,
            links=known,
            landmarks=landmarks,
            block=60,
        )
        assert len(kernels.blocks) > 3
    mean, error = fit_head(train, kernels).predict(test.targets)
    others = np.array([~np.isin(test.genes, target) for target in test.targets])
    of_mean = np.sum((train.effect.mean(axis=0) - truth)[others] ** 2)
    spread = np.sqrt(error**2 + test.standard_error**2)
    covered = np.abs(mean - test.effect)[others] < 1.645 * spread[others]
    return float(np.sum((mean - truth)[others] ** 2) / of_mean), float(covered.mean())


def test_a_loss_runs_down_the_cascade(simulated):
    """What regulators of regulators do is told by paths of edges, not by single ones."""
    single, two, three = (held_out(*simulated, kinds=kinds)[0] for kinds in (2, 3, 4))
    assert single - two > 0.02
    assert two - three > 0.02


def test_landmarks_lose_nothing_of_what_edges_say(simulated):
    exact, plain = (held_out(*simulated, kinds=kinds)[0] for kinds in (4, 0))
    local, inside = held_out(*simulated, landmarks=60)
    without, _ = held_out(*simulated, landmarks=60, kinds=0)
    assert plain - exact > 0.1
    assert without - local > 0.9 * (plain - exact)
    assert 0.85 < inside < 0.95


def test_a_useless_network_costs_next_to_nothing_with_landmarks_too(simulated):
    network, *screen = simulated
    useless = with_permuted_genes(network, seed=0)
    error, inside = held_out(useless, *screen, landmarks=60)
    assert error < 1.01
    assert error < 1.005 * held_out(useless, *screen, landmarks=60, kinds=0)[0]
    assert 0.85 < inside < 0.95
