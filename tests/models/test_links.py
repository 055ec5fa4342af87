"""Edges between targets and response genes: found where they say something, given up where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.data.network import network_from_edges
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels, design_matrix, gene_groups
from hyperperturb.models.links import Links, fit_strengths, link_effects, links_of

N, R = 60, 90
GENES = tuple(f"G{i:02d}" for i in range(N))
RESPONSE = (*GENES[:30], *(f"R{i:02d}" for i in range(R - 30)))
STRENGTHS = (-0.5, -0.8)


@pytest.fixture(scope="module")
def links() -> Links:
    """One edge in twelve, half of them with a sign; no gene is joined with itself."""
    rng = np.random.default_rng(0)
    joined = rng.uniform(size=(N, R)) < 1 / 12
    joined[np.arange(30), np.arange(30)] = False
    signs = joined * rng.choice([-1.0, 0.0, 0.0, 1.0], size=(N, R))
    return Links(GENES, RESPONSE, tuple(sparse.csr_array(x.astype(float)) for x in (joined, signs)))


def screen(links: Links, strengths=STRENGTHS, *, seed: int = 1, noise: float = 0.3):
    """Forty singles and ten doubles of them: what the edges say, and what else happens."""
    rng = np.random.default_rng(seed)
    targets = [(g,) for g in GENES[:40]] + [(GENES[2 * i], GENES[2 * i + 1]) for i in range(10)]
    A = design_matrix(targets, GENES, 0.9)
    own = 0.4 * rng.normal(size=(N, R)) + 0.3 * rng.normal(size=R)
    effect = A @ own + sum(
        s * e for s, e in zip(strengths, link_effects(links, A, GENES, RESPONSE), strict=True)
    )
    return targets, effect + noise * rng.normal(size=effect.shape), np.full(effect.shape, noise), own


def fitted(targets, effect, error, links) -> EffectHead:
    return EffectHead.fit(
        targets, RESPONSE, effect, kernels=GeneKernels(GENES, np.eye(N), links=links), standard_error=error
    )


def test_edges_are_those_of_the_network_and_directed_where_signs_are():
    network = network_from_edges(["A", "B", "C"], ["B", "C", "D"], name="toy")
    signs = sparse.csr_array(np.array([[0, -1, 0, 0], [0, 0, 1, 0], [0] * 4, [0] * 4], dtype=np.int8))
    found = links_of(replace(network, signs=signs), ["B", "X", "C"], ["C", "A", "Y"])
    joined, signed = (kind.toarray().tolist() for kind in found.kinds)
    assert joined == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert signed == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    again = found.renamed({"B": "C", "C": "B"})
    assert again.of(["C"], ["C"])[0].toarray().tolist() == [[1]]
    assert found.of(["B", "Z"], ["A"])[0].toarray().tolist() == [[1], [0]]


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
        missed.append([values[rows] - weights @ values[rest] for values in (effect, *added)])
    error, *changes = (np.concatenate(parts).ravel() for parts in zip(*missed, strict=True))
    wanted = np.linalg.lstsq(np.column_stack(changes), error, rcond=None)[0]
    assert fit_strengths(np.linalg.inv(C), effect, added, groups) == pytest.approx(wanted, rel=1e-6)
    assert wanted == pytest.approx(STRENGTHS, abs=0.1)


def test_neighbours_of_unseen_genes_are_predicted_to_respond(links):
    targets, effect, error, own = screen(links)
    head, plain = fitted(targets, effect, error, links), fitted(targets, effect, error, None)
    assert head.link_strengths == pytest.approx(STRENGTHS, abs=0.1)
    assert plain.link_strengths == ()
    asked = [(g,) for g in GENES[40:]]
    truth = own[40:] + sum(
        s * e for s, e in zip(STRENGTHS, link_effects(links, np.eye(N)[40:], GENES, RESPONSE), strict=True)
    )
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
    truth = own[40:] + sum(
        s * e for s, e in zip(STRENGTHS, link_effects(links, np.eye(N)[40:], GENES, RESPONSE), strict=True)
    )
    mean, standard_error = head.predict(asked)
    assert 0.8 < np.mean(np.abs(mean - truth) < 1.645 * standard_error) < 0.97
