"""Variances of few cells, and what is called significant with them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.moderation import Moderation, shape_of_levels, two_sided
from hyperperturb.evaluation.metrics import significant_genes

NORMAL = np.full(2000, 3.0)


def variances(d0: float, n: int, labels: int, rng: np.random.Generator) -> np.ndarray:
    """Sample variances of n normal cells around one, whose truth is scaled inverse chi-square of d0."""
    truth = d0 / rng.chisquare(d0, size=(labels, len(NORMAL))) if np.isfinite(d0) else 1.0
    return truth * rng.chisquare(n - 1, size=(labels, len(NORMAL))) / (n - 1)


@pytest.mark.parametrize("d0", [4.0, 20.0])
def test_the_prior_is_worth_what_it_was_drawn_with(d0):
    found = variances(d0, 30, 20, np.random.default_rng(1))
    prior = np.full(len(NORMAL), d0 / (d0 - 2))
    assert Moderation.fit(found, np.full(20, 30), prior, NORMAL).freedom == pytest.approx(d0, rel=0.1)


def test_variances_that_differ_by_chance_alone_are_pooled():
    found = variances(np.inf, 30, 20, np.random.default_rng(0))
    fitted = Moderation.fit(found, np.full(20, 30), np.ones(len(NORMAL)), NORMAL)
    assert fitted.freedom > 1000
    np.testing.assert_allclose(fitted(found[0], 30), 1.0, atol=0.1)


def test_shrinking_comes_nearer_to_the_truth_than_either():
    rng = np.random.default_rng(3)
    truth = 6 / rng.chisquare(6, size=(40, len(NORMAL)))
    own = truth * rng.chisquare(9, size=truth.shape) / 9
    pooled = own.mean(axis=0)
    fitted = Moderation.fit(own, np.full(40, 10), pooled, NORMAL)
    shrunk = np.array([fitted(row, 10) for row in own])

    def error(x):
        return np.mean(np.log(x / truth) ** 2)

    assert error(shrunk) < 0.8 * min(error(own), error(np.broadcast_to(pooled, own.shape)))


def test_the_variance_of_one_cell_is_the_pooled_one():
    fitted = Moderation(np.array([2.0, 3.0]), np.array([3.0, 9.0]), 5.0)
    np.testing.assert_array_equal(fitted(np.full(2, np.nan), 1), [2.0, 3.0])


def test_a_rare_gene_has_few_degrees_of_freedom():
    """Against the spread of variances of 20 cells, drawn many times."""
    rng = np.random.default_rng(0)
    for share in (0.02, 0.1):
        levels = np.where(rng.random((20_000, 20)) < share, rng.normal(2.0, 0.3, (20_000, 20)), 0.0)
        _, kurtosis = shape_of_levels(
            np.array([levels.mean()]), np.array([levels.var()]), np.array([(levels > 0).mean()]), levels.size
        )
        drawn = levels.var(axis=1, ddof=1)
        want = 2 * drawn.mean() ** 2 / drawn.var()
        assert Moderation(np.ones(1), kurtosis, 1.0).own_freedom(20)[0] == pytest.approx(want, rel=0.1)


def test_skewness_is_that_of_the_cells():
    rng = np.random.default_rng(0)
    levels = np.where(rng.random(400_000) < 0.1, rng.normal(2.0, 0.3, 400_000), 0.0)
    moments = (np.array([x]) for x in (levels.mean(), levels.var(), (levels > 0).mean()))
    skewness, kurtosis = shape_of_levels(*moments, len(levels))
    assert skewness[0] == pytest.approx(stats.skew(levels), rel=0.02)
    assert kurtosis[0] == pytest.approx(stats.kurtosis(levels, fisher=False), rel=0.02)


def test_p_values_are_those_of_pearsons_third_type():
    z = np.array([1.5, 3.0, 6.0])
    for skewness in (0.0, 0.3, 2.0):
        want = 2 * stats.pearson3.sf(z, skewness)
        np.testing.assert_allclose(two_sided(z, skewness), np.minimum(want, 1), rtol=1e-6)
        np.testing.assert_allclose(two_sided(-z, -skewness), np.minimum(want, 1), rtol=1e-6)
        np.testing.assert_allclose(two_sided(-z, skewness), 2 * stats.norm.sf(z))
    assert np.isnan(two_sided(np.array([np.nan]), 1.0)).all()


def test_cells_of_no_effect_have_no_significant_genes():
    """Rare genes, 15 cells a label: Welch's tests find dozens in each, the moderated ones what is there."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(-2.0, 1.5, 800)
    label = np.where(np.arange(1500) < 900, "control", [f"X{i % 40}" for i in range(1500)])
    counts = rng.poisson(level * rng.lognormal(0, 0.3, (1500, 1)))
    up = np.argsort(-level)[50:60]
    for gene in up:
        counts[label == "X0", gene] = rng.poisson(6 * level[gene] + 2, (label == "X0").sum())
    counts[:, -1] += 200
    adata = AnnData(sp.csr_matrix(counts.astype(np.float32)))
    adata.obs["perturbation"] = label
    effects = compute_effects(adata, column="perturbation", control="control")
    own = np.zeros(effects.effect.shape, dtype=bool)
    found = significant_genes(effects.p_values(), own)
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    with np.errstate(all="ignore"):
        plain = np.array(
            [
                stats.ttest_ind(logs[label == name], logs[label == "control"], equal_var=False).pvalue
                for name in effects.perturbations
            ]
        )
    idle = [i for i, name in enumerate(effects.perturbations) if name != "X0"]
    assert significant_genes(plain, own)[idle].any(axis=1).mean() > 0.9
    assert found[idle].any(axis=1).mean() < 0.15
    assert found[effects.index("X0"), up].mean() > 0.5
