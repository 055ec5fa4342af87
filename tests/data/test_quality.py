"""The quality of a screen: every figure beside a plain calculation, every warning on a screen made to deserve it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats
from scipy.spatial.distance import cdist

from hyperperturb.data.effects import compute_effects
from hyperperturb.data.quality import assess_quality
from hyperperturb.data.quality_measures import (
    EnergyTester,
    adjusted,
    imbalance,
    principal_components,
)
from hyperperturb.data.simulate import simulate_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.energy import energy_distance

BY = {"column": "perturbation", "control": "non-targeting"}
FEW = {"permutations": 99}


@pytest.fixture(scope="module")
def screen(small_simulation):
    return small_simulation.adata


@pytest.fixture(scope="module")
def judged(screen):
    return assess_quality(screen, **BY, mode="knockdown", permutations=199)


@pytest.fixture(scope="module")
def logs(screen):
    """log1p(CP10k), dense."""
    copy = screen.copy()
    sc.pp.normalize_total(copy, target_sum=1e4)
    sc.pp.log1p(copy)
    return np.asarray(copy.X.toarray(), dtype=np.float64)


def codes(found):
    return {entry.code for entry in found.warnings}


def test_energy_distance_is_pertpys_and_chance_is_what_permutations_give():
    rng = np.random.default_rng(0)
    control, cells = rng.normal(size=(40, 6)), rng.normal(0.3, 1.2, size=(25, 6))
    found = EnergyTester(control, permutations=400, seed=1)(cells)
    # pertpy's Edistance, and scPerturb's with dist="euclidean": distances that are not squared, means over all pairs
    want = 2 * cdist(cells, control).mean() - cdist(cells, cells).mean() - cdist(control, control).mean()
    assert found.distance == pytest.approx(want, abs=1e-9)
    assert found.distance == pytest.approx(energy_distance(cells, control), abs=1e-6)
    pooled = np.vstack([cells, control])
    by_chance = []
    for _ in range(400):
        order = rng.permutation(65)
        by_chance.append(energy_distance(pooled[order[:25]], pooled[order[25:]]))
    assert found.chance == pytest.approx(np.mean(by_chance), rel=0.03)
    assert found.p == pytest.approx((1 + np.sum(np.array(by_chance) >= want)) / 401, abs=0.03)


def test_p_values_are_uniform_where_there_is_no_effect():
    rng = np.random.default_rng(1)
    tester = EnergyTester(rng.normal(size=(60, 4)), permutations=99)
    p = [tester(rng.normal(size=(20, 4))).p for _ in range(150)]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert tester(rng.normal(1.5, 1, size=(20, 4))).p == 0.01
    assert np.isnan(tester(np.zeros((1, 4))).p)


def test_energies_of_a_screen_are_those_of_its_cells_on_principal_components(screen, logs, judged):
    centred = logs - logs.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:50].T
    places = centred @ axes
    labels = screen.obs["perturbation"].to_numpy()
    for row in judged.perturbations[::6]:
        want = energy_distance(places[labels == row.perturbation], places[labels == "non-targeting"])
        assert row.energy == pytest.approx(want, rel=1e-3)
    assert judged.n_components == 50


def test_principal_components_are_those_of_the_centred_values():
    values = sp.random(80, 12, density=0.4, format="csr", random_state=0, dtype=np.float64)
    found = principal_components(values, np.arange(12), k=3)
    dense = values.toarray()
    want = (dense - dense.mean(axis=0)) @ np.linalg.svd(dense - dense.mean(axis=0))[2][:3].T
    np.testing.assert_allclose(np.abs(values @ found.axes - found.centre), np.abs(want), atol=1e-4)


def test_genes_are_tested_as_the_judge_tests_them(screen, logs, judged):
    effects = compute_effects(screen, **BY)
    p = effects.p_values()
    labels = screen.obs["perturbation"].to_numpy()
    genes = list(screen.var_names)
    for row in judged.perturbations[::5]:
        cells, control = logs[labels == row.perturbation], logs[labels == "non-targeting"]
        want = p[effects.index(row.perturbation)]
        others = [i for i, gene in enumerate(genes) if gene not in row.targets and np.isfinite(want[i])]
        assert row.significant_genes == (stats.false_discovery_control(want[others]) < 0.05).sum()
        at = genes.index(row.target)
        assert row.target_p == pytest.approx(want[at], rel=1e-4, abs=1e-300)
        assert row.target_effect == pytest.approx(cells[:, at].mean() - control[:, at].mean(), abs=1e-6)


def test_silent_genes_of_few_cells_are_no_effect():
    """Cells of no effect, rarely expressed genes: plain Welch finds dozens of genes, the moderated test hardly any."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.08, size=(900, 400)).astype(np.float32)
    counts[:, 0] += 20  # so that all cells are about as deep
    label = np.where(np.arange(900) < 500, "non-targeting", [f"X{i % 10}" for i in range(900)])
    screen = AnnData(
        sp.csr_matrix(counts), obs=pd.DataFrame({"perturbation": label}, index=map(str, range(900)))
    )
    screen.var_names = [f"G{i}" for i in range(400)]
    control = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    plain = 0
    for name in set(label) - {"non-targeting"}:
        with np.errstate(all="ignore"):
            p = stats.ttest_ind(
                control[label == name], control[label == "non-targeting"], equal_var=False
            ).pvalue
        plain += (adjusted(p) < 0.05).sum()
    found = assess_quality(screen, **BY, **FEW)
    assert plain > 30
    assert sum(row.significant_genes for row in found.perturbations) < 0.05 * plain


def test_what_cannot_be_tested_is_not_counted():
    np.testing.assert_array_equal(np.isnan(adjusted(np.array([np.nan, 0.5]))), [True, False])
    assert np.isnan(imbalance(np.array([5]), np.array([7]))).all()
    assert imbalance(np.array([5, 0]), np.array([0, 7]))[0] == 1.0


def test_batches_are_compared_with_those_of_the_controls(screen, judged):
    table = pd.crosstab(screen.obs["perturbation"], screen.obs["batch"])
    for row in judged.perturbations:
        both = table.loc[[row.perturbation, "non-targeting"]]
        assert row.batch_p == pytest.approx(stats.chi2_contingency(both, correction=False).pvalue)
        share = both.div(both.sum(axis=1), axis=0)
        assert row.batch_distance == pytest.approx(share.diff().abs().iloc[1].sum() / 2)
    depth = np.asarray(screen.X.sum(axis=1)).ravel()
    for batch in judged.batches:
        inside = (screen.obs["batch"] == batch.batch).to_numpy()
        assert (batch.cells, batch.control_cells) == (inside.sum(), table.loc["non-targeting", batch.batch])
        assert batch.median_counts == np.median(depth[inside])
        assert batch.median_genes == np.median(np.diff(screen.X.indptr)[inside])


def test_guides_of_a_target_agree_and_shuffled_ones_do_not(screen, judged):
    assert judged.guide_column == "guide"
    assert judged.guides_within > 0.2 > judged.guides_between
    counts = screen.obs.groupby(["perturbation", "guide"], observed=True).size()
    for guide in judged.guides:
        assert guide.cells == counts[guide.perturbation, guide.guide]
    # cells of no effect at all: the halves of the controls keep the guides from agreeing through them
    rng = np.random.default_rng(0)
    null = simulate_screen(seed=1, n_genes=120, n_regulators=18, n_single=2, n_double=0, n_cells=9000).adata
    null = null[null.obs["perturbation"] == "non-targeting"][:1000].copy()
    label = rng.choice(["non-targeting", *(f"X{i}" for i in range(24))], size=null.n_obs)
    null.obs["perturbation"] = label
    null.obs["guide"] = [f"{x}-{i}" for x, i in zip(label, rng.integers(2, size=null.n_obs), strict=True)]
    found = assess_quality(null, **BY, **FEW)
    assert abs(found.guides_within) < 0.1
    assert abs(found.guides_between) < 0.1
    assert "no-effect" in codes(found)


def test_the_same_from_a_file_in_every_storage(screen, tmp_path, judged):
    screen.write_h5ad(tmp_path / "a.h5ad")
    again = assess_quality(tmp_path / "a.h5ad", **BY, mode="knockdown", permutations=199)
    assert again == judged
    other = screen.copy()
    other.X = sp.csc_matrix(other.X)
    other = assess_quality(other, **BY, mode="knockdown", permutations=199)
    for row, want in zip(other.perturbations, judged.perturbations, strict=True):
        assert row.energy == pytest.approx(want.energy, rel=1e-4)
        assert row.significant_genes == want.significant_genes


def test_log_normalised_values_have_no_counts(screen, logs):
    copy = screen.copy()
    copy.X = sp.csr_matrix(logs.astype(np.float32))
    found = assess_quality(copy, **BY, mode="knockdown", **FEW)
    assert [batch.median_counts for batch in found.batches] == [None, None]
    assert found.perturbations[3].energy == pytest.approx(
        assess_quality(screen, **BY, mode="knockdown", **FEW).perturbations[3].energy, rel=1e-4
    )


def test_a_good_screen_gives_no_warning(judged):
    assert not [entry for entry in judged.warnings if entry.severity == "warning"]
    frame = judged.to_frame()
    assert frame["perturbation"].tolist() == [row.perturbation for row in judged.perturbations]
    assert frame["target_effect"].max() < 0


def take(screen, keep):
    return screen[np.asarray(keep)].copy()


def few_controls(screen):
    control = np.flatnonzero(screen.obs["perturbation"] == "non-targeting")
    return take(screen, np.setdiff1d(np.arange(screen.n_obs), control[30:]))


def controls_of_one_batch(screen):
    out = (screen.obs["perturbation"] == "non-targeting") & (screen.obs["batch"] == "batch2")
    return take(screen, ~out)


def controls_mostly_of_one_batch(screen):
    out = (screen.obs["perturbation"] == "non-targeting") & (screen.obs["batch"] == "batch2")
    return take(screen, ~out | (np.arange(screen.n_obs) % 4 == 0))


def few_cells(screen):
    label = screen.obs["perturbation"].iloc[0]
    mine = np.flatnonzero(screen.obs["perturbation"] == label)
    return take(screen, np.setdiff1d(np.arange(screen.n_obs), mine[6:]))


def targets_up(screen):
    copy = screen.copy()
    values = copy.X.tolil()
    for i, label in enumerate(copy.obs["perturbation"]):
        if label != "non-targeting":
            for gene in str(label).split("_"):
                values[i, copy.var_names.get_loc(gene)] = 6
    copy.X = values.tocsr()
    return copy


def doublets(screen):
    copy = screen.copy()
    guide = copy.obs["guide"].astype(str).to_numpy(dtype=object)
    hit = np.flatnonzero(copy.obs["perturbation"] != "non-targeting")[::12]
    guide[hit] = [f"{name}|{guide[0]}" for name in guide[hit]]
    copy.obs["guide"] = guide
    return copy


def one_batch_each(screen):
    copy = screen.copy()
    label = copy.obs["perturbation"].astype(str)
    first = sorted(set(label) - {"non-targeting"})[0]
    batch = copy.obs["batch"].astype(str).to_numpy(dtype=object)
    batch[label == first] = "batch1"
    copy.obs["batch"] = batch
    return copy


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (few_controls, "few-control-cells"),
        (controls_of_one_batch, "batches-without-controls"),
        (controls_mostly_of_one_batch, "controls-unbalanced"),
        (few_cells, "few-perturbation-cells"),
        (targets_up, "targets-not-moved"),
        (doublets, "guide-doublets"),
        (one_batch_each, "perturbations-unbalanced"),
    ],
)
def test_what_a_reviewer_would_raise(screen, judged, spoil, code):
    assert code not in codes(judged)
    found = assess_quality(spoil(screen), **BY, mode="knockdown", **FEW)
    assert code in codes(found)
    entry = next(entry for entry in found.warnings if entry.code == code)
    assert entry.severity == "warning"
    assert entry.what.endswith(".")


def test_what_effects_within_batches_take_out_is_a_note(screen):
    spoilt = controls_mostly_of_one_batch(screen)
    found = assess_quality(spoilt, **BY, mode="knockdown", batch_column="batch", within_batches=True, **FEW)
    entry = next(entry for entry in found.warnings if entry.code == "controls-unbalanced")
    assert entry.severity == "note"


def test_guides_that_disagree_are_told(screen):
    """Half of the guides of each perturbation are given the cells of another one."""
    copy = screen.copy()
    label = copy.obs["perturbation"].astype(str).to_numpy()
    names = sorted({x for x in label if x != "non-targeting" and "_" not in x})
    partner = dict(zip(names, np.roll(names, 1), strict=True))
    mixed = np.array([partner.get(x, x) if i % 2 else x for i, x in enumerate(label)])
    copy.obs["perturbation"] = mixed
    copy.obs["guide"] = [f"{m}-{int(m == x)}" for m, x in zip(mixed, label, strict=True)]
    found = assess_quality(copy, **BY, mode="knockdown", **FEW)
    assert "guides-disagree" in codes(found)


def test_cells_labelled_as_doublets_are_a_note(screen):
    copy = screen.copy()
    label = copy.obs["perturbation"].astype(str).to_numpy(dtype=object)
    label[np.flatnonzero(label != "non-targeting")[:40]] = "multiplet"
    copy.obs["perturbation"] = label
    found = assess_quality(copy, **BY, mode="knockdown", **FEW)
    assert (found.doublets_left_out, found.n_left_out) == (40, 40)
    assert "doublets-left-out" in codes(found)


def test_without_guides_and_batches(screen):
    copy = screen.copy()
    copy.obs = copy.obs[["perturbation"]]
    found = assess_quality(copy, **BY, **FEW)
    assert (found.guide_column, found.batch_column, found.guides, found.batches) == (None, None, (), ())
    assert found.perturbations[0].guide_agreement is None
    assert found.perturbations[0].batch_p is None


def test_too_many_guides_for_the_memory_are_told(screen, monkeypatch):
    monkeypatch.setattr("hyperperturb.data.quality._SUMS_LIMIT", 1000)
    found = assess_quality(screen, **BY, mode="knockdown", **FEW)
    assert (found.guide_column, found.guides) == (None, ())
    assert "guides-not-compared" in codes(found)
    assert found.perturbations[0].energy is not None


def test_refusals(screen):
    with pytest.raises(HyperPerturbError, match="cannot show a p-value below"):
        assess_quality(screen, **BY, permutations=9)
    with pytest.raises(HyperPerturbError, match="no obs column 'lane'"):
        assess_quality(screen, **BY, batch_column="lane", **FEW)
    with pytest.raises(HyperPerturbError, match="no obs column 'sg'"):
        assess_quality(screen, **BY, guide_column="sg", **FEW)


def test_one_control_cell_and_tiny_perturbations(screen):
    """Nothing can be tested, and nothing breaks."""
    control = np.flatnonzero(screen.obs["perturbation"] == "non-targeting")
    others = np.flatnonzero(screen.obs["perturbation"] != "non-targeting")[::40]
    found = assess_quality(take(screen, np.sort([control[0], *others])), **BY, **FEW)
    assert found.n_control_cells == 1
    assert {row.energy for row in found.perturbations} == {None}
