"""On effects drawn from the assumed process: the head finds what is there, and knows how well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.kernel_search import relatives_sample


def fitted(drawn) -> EffectHead:
    return EffectHead.fit(
        drawn.targets,
        drawn.response,
        drawn.effect,
        kernels=drawn.kernels,
        standard_error=drawn.standard_error,
    )


def error_of(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sum((predicted - truth) ** 2) / np.sum(truth**2))


@pytest.mark.parametrize("seed", range(3))
def test_effects_that_are_smooth_on_the_graph_are_recovered(draw, seed):
    drawn = draw(seed)
    head = fitted(drawn)
    unseen = [(g,) for g in drawn.unseen]
    truth = drawn.truth(unseen)
    mean = np.repeat(drawn.effect.mean(axis=0)[None], len(unseen), axis=0)
    assert error_of(head.predict(unseen)[0], truth) < 0.85 * error_of(mean, truth)
    pairs = [(a[0], b[0]) for a, b in zip(unseen[::2], unseen[1::2], strict=True)]
    assert error_of(head.predict(pairs)[0], drawn.truth(pairs)) < 0.7


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("on_graph", [0.3, 0.9])
def test_ninety_per_cent_intervals_hold_nine_in_ten(draw, seed, on_graph):
    """Singles never seen, pairs never seen, and what was measured (against the noise-free truth, which is wider than
    needed: a measured effect is larger than what is predicted of one that was left out)."""
    drawn = draw(seed, on_graph=on_graph)
    head = fitted(drawn)
    unseen = [(g,) for g in drawn.unseen]
    pairs = [(a[0], b[0]) for a, b in zip(unseen[::2], unseen[1::2], strict=True)]
    for asked in (unseen, pairs, drawn.targets):
        mean, error = head.predict(asked)
        covered = np.mean(np.abs(mean - drawn.truth(asked)) < 1.645 * error)
        assert 0.80 <= covered <= 0.999 if asked is drawn.targets else 0.80 <= covered <= 0.97


def test_a_network_with_its_genes_permuted_helps_no_more_than_the_mean(draw):
    drawn = draw(1)
    order = np.random.default_rng(0).permutation(len(drawn.genes))
    wrong = GeneKernels(drawn.genes, drawn.kernels.diffusion[np.ix_(order, order)])
    unseen = [(g,) for g in drawn.unseen]
    truth = drawn.truth(unseen)
    right = error_of(fitted(drawn).predict(unseen)[0], truth)
    head = EffectHead.fit(
        drawn.targets, drawn.response, drawn.effect, kernels=wrong, standard_error=drawn.standard_error
    )
    permuted = error_of(head.predict(unseen)[0], truth)
    mean = error_of(np.repeat(drawn.effect.mean(axis=0)[None], len(unseen), axis=0), truth)
    assert right < mean < permuted * 1.1
    assert head.parameters.diffusion < fitted(drawn).parameters.diffusion


@pytest.mark.parametrize("seed", range(3))
def test_a_useless_network_costs_next_to_nothing(draw, seed):
    drawn = draw(seed, on_graph=0.0)
    unseen = [(g,) for g in drawn.unseen]
    truth = drawn.truth(unseen)
    with_network = error_of(fitted(drawn).predict(unseen)[0], truth)
    none = replace(drawn, kernels=GeneKernels(("X",), np.eye(1)))
    assert with_network < 1.01 * error_of(fitted(none).predict(unseen)[0], truth)


def test_combinations_teach_about_their_genes(draw):
    """With the singles of some genes taken away, their doubles still say something about them."""
    drawn = draw(2, n_double=20)
    hidden = {g for target in drawn.targets[60:] for g in target[:1]}
    rows = [i for i, t in enumerate(drawn.targets) if len(t) > 1 or t[0] not in hidden]
    without = [i for i in rows if not set(drawn.targets[i]) & hidden]
    asked = [(g,) for g in sorted(hidden)]
    errors = []
    for keep in (rows, without):
        head = EffectHead.fit(
            [drawn.targets[i] for i in keep],
            drawn.response,
            drawn.effect[keep],
            kernels=drawn.kernels,
            standard_error=drawn.standard_error[keep],
        )
        errors.append(error_of(head.predict(asked)[0], drawn.truth(asked)))
    assert errors[0] < 0.6 * errors[1]


def test_the_space_is_used_where_it_carries_the_signal(draw):
    """Effects that follow the second similarity and not the first move the weight over."""
    drawn = draw(3)
    order = np.random.default_rng(0).permutation(len(drawn.genes))
    other = drawn.kernels.diffusion[np.ix_(order, order)]
    head = EffectHead.fit(
        drawn.targets,
        drawn.response,
        drawn.effect,
        kernels=GeneKernels(drawn.genes, other, drawn.kernels.diffusion),
        standard_error=drawn.standard_error,
    )
    assert head.parameters.hyperbolic > 3 * head.parameters.diffusion


def test_the_search_may_look_at_a_part_of_a_large_screen(draw, monkeypatch):
    """The parameters come from a part drawn by the seed; the coefficients are solved for all."""
    monkeypatch.setattr("hyperperturb.models.kernel_search._MAX_PERTURBATIONS_IN_SEARCH", 40)
    drawn = draw(4, noise=0.1)
    head, again, other = (
        EffectHead.fit(drawn.targets, drawn.response, drawn.effect, kernels=drawn.kernels, seed=seed)
        for seed in (5, 5, 6)
    )
    assert head.parameters == again.parameters
    assert head.parameters != other.parameters
    assert len(head.target_genes) == 60
    assert error_of(head.predict(drawn.targets)[0], drawn.truth(drawn.targets)) < 0.1
    monkeypatch.undo()
    whole = EffectHead.fit(drawn.targets, drawn.response, drawn.effect, kernels=drawn.kernels)
    unseen = [(g,) for g in drawn.unseen]
    part, full = (error_of(h.predict(unseen)[0], drawn.truth(unseen)) for h in (head, whole))
    assert part == pytest.approx(full, abs=0.03), "forty perturbations determine six numbers"


def test_the_sample_that_parameters_are_chosen_on_has_relatives_in_it(draw):
    drawn = draw(2, n_genes=600, n_hit=400, n_double=0, n_response=2)
    genes = tuple(sorted({g for target in drawn.targets for g in target}))
    rows = relatives_sample(drawn.targets, genes, drawn.kernels, 100, seed=1)
    assert len(set(rows.tolist())) == len(rows) == 100

    def nearest(rows):
        """How alike each one's nearest relative in the sample is, on average."""
        names = [drawn.targets[i][0] for i in rows]
        alike = drawn.kernels.between(names, names)[0] - 2.0 * np.eye(len(names))
        return alike.max(axis=1).mean()

    rng = np.random.default_rng(0)
    random = [nearest(rng.choice(400, 100, replace=False)) for _ in range(20)]
    assert nearest(rows) > max(random)
    everything = relatives_sample(drawn.targets, genes, drawn.kernels, 1000, seed=1)
    assert everything.tolist() == list(range(400))
