"""The simulated screen: what it promises about its network, its effects and its cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import spearmanr

from hyperperturb.data.effects import compute_effects, read_effects
from hyperperturb.data.network import coexpression_network, read_network
from hyperperturb.data.regulation import REGULATORS, make_regulation, steady_states
from hyperperturb.data.simulate import CONTROL, simulate_screen, write_simulation
from hyperperturb.errors import HyperPerturbError


@pytest.fixture(scope="module")
def demo():
    return simulate_screen(seed=0)


@pytest.fixture(scope="module")
def measured(demo):
    return compute_effects(demo.adata, column="perturbation", control=CONTROL, mode="knockdown")


def small(**options):
    return simulate_screen(
        **{"n_genes": 90, "n_regulators": 12, "n_single": 12, "n_double": 3, "n_cells": 400} | options
    )


def test_default_sizes(demo):
    adata = demo.adata
    assert adata.shape == (12000, 600)
    assert sparse.issparse(adata.X)
    assert adata.X.format == "csr"
    assert adata.X.data.min() >= 0
    assert np.array_equal(adata.X.data, np.round(adata.X.data))
    assert list(adata.obs.columns) == ["perturbation", "guide", "batch"]
    assert adata.obs["batch"].nunique() == 3
    assert adata.var["role"].isin(REGULATORS).sum() == 60
    n_targets = [len(targets) for targets in demo.true_effects.targets]
    assert n_targets.count(1) == 80
    assert n_targets.count(2) == 20
    assert adata.var_names.is_unique
    assert not adata.var_names.str.contains("_").any()  # the sign between two targets


def test_labels_and_targets_agree(demo):
    effects = demo.true_effects
    assert set(demo.adata.obs["perturbation"].unique()) == {*effects.perturbations, CONTROL}
    for label, targets in zip(effects.perturbations, effects.targets, strict=True):
        assert tuple(sorted(label.split("_"))) == targets
    counts = demo.adata.obs["perturbation"].value_counts()
    assert np.array_equal(effects.n_cells, counts[list(effects.perturbations)])
    assert effects.n_cells.min() >= 30
    assert 0.10 <= counts[CONTROL] / 12000 <= 0.15
    doubles = [label for label in effects.perturbations if "_" in label]
    assert all(part in effects.perturbations for label in doubles for part in label.split("_"))


def test_depth_varies_and_makes_zeros(demo):
    depth = np.asarray(demo.adata.X.sum(axis=1)).ravel()
    assert depth.min() > 0
    assert 0.25 < np.log(depth).std() < 0.6
    assert 0.1 < 1 - demo.adata.X.nnz / np.prod(demo.adata.shape) < 0.6


def test_counts_are_overdispersed(demo):
    control = demo.adata[demo.adata.obs["perturbation"] == CONTROL].X.toarray()
    depth = control.sum(axis=1, keepdims=True)
    fraction = control.sum(axis=0) / depth.sum()
    expected = depth * fraction
    pearson = ((control - expected) ** 2 / expected).mean(axis=0)[fraction > 1e-3]
    assert np.median(pearson) > 1.2  # Poisson counts would give 1


def test_guides_differ_in_efficiency(demo):
    """The target's own level in the cells of different guides of one gene."""
    obs, adata = demo.adata.obs, demo.adata
    guides = obs.loc[obs["perturbation"] != CONTROL].groupby("perturbation", observed=True)["guide"].nunique()
    assert guides.between(2, 3).all()
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    spread = []
    for gene in [label for label in demo.true_effects.perturbations if "_" not in label]:
        own = (obs["perturbation"] == gene).to_numpy()
        level = pd.Series(adata[own, gene].X.toarray().ravel() / depth[own]).groupby(
            obs["guide"][own].to_numpy()
        )
        spread.append(level.mean().max() / max(level.mean().min(), 1e-9))
    assert np.median(spread) > 1.5


def test_network_is_scale_free_and_hierarchical(demo):
    degree = demo.network.degree
    role = demo.adata.var["role"].to_numpy()
    assert (degree > 0).all()
    assert degree.max() >= 150
    assert degree.max() > 40 * np.median(degree)
    regulators = np.sort(degree[np.isin(role, REGULATORS)])
    assert regulators[-1] > 20 * regulators[5]  # hubs of widely different degree
    median = {name: np.median(degree[role == name]) for name in ("top", "mid", "low", "target")}
    assert median["top"] > 2 * median["mid"]
    assert median["mid"] > median["low"] > 3 * median["target"]
    assert set(np.unique(demo.network.signs.data)) == {-1, 1}
    # edges run downwards, except for some feedback
    rank = {"top": 0, "signalling": 0, "mid": 1, "low": 2, "stress": 3, "target": 4}
    edges = demo.network.signs.tocoo()
    level = np.array([rank[name] for name in role])
    assert (level[edges.row] < level[edges.col]).mean() > 0.97


def test_same_seed_same_screen():
    one, two, other = small(seed=3), small(seed=3), small(seed=4)
    assert (one.adata.X != two.adata.X).nnz == 0
    assert one.adata.obs.equals(two.adata.obs)
    assert np.array_equal(one.true_effects.effect, two.true_effects.effect)
    assert (one.network.adjacency != two.network.adjacency).nnz == 0
    assert not np.array_equal(one.true_effects.effect, other.true_effects.effect)


def test_unperturbed_state_is_the_control_and_responses_saturate():
    regulation = make_regulation(np.random.default_rng(1), n_genes=200, n_regulators=20)
    left = np.ones((3, 200))
    top = int(np.flatnonzero(regulation.role == "top")[0])
    left[1, top], left[2, top] = 0.5, 0.25  # twice the loss in log activity
    state = steady_states(regulation, left)
    assert np.abs(state[0]).max() == 0
    others = np.arange(200) != top
    once, twice = np.abs(state[1, others]).sum(), np.abs(state[2, others]).sum()
    assert once > 1
    assert once < twice < 1.95 * once  # stronger, but less than twice as strong: not linear


def test_steady_state_solves_its_equation():
    regulation = make_regulation(np.random.default_rng(2), n_genes=150, n_regulators=15)
    left = np.ones((1, 150))
    left[0, [0, 4, 9]] = 0.1
    y = steady_states(regulation, left)[0] - np.log(left[0])
    activity = (left[0] * np.exp(y)) ** 2
    drive = (2 * activity / (1 + activity) - 1) @ regulation.weight
    assert np.allclose(y, 2.5 * np.tanh(drive / 2.5), atol=1e-7)


@pytest.mark.parametrize("seed", range(8))
def test_every_seed_settles(seed):
    assert np.isfinite(small(seed=seed).true_effects.effect).all()


def test_doubles_are_not_sums(demo):
    effects = demo.true_effects
    pairs = [label for label in effects.perturbations if "_" in label]
    double = np.array([effects.effect[effects.index(pair)] for pair in pairs])
    total = np.array([sum(effects.effect[effects.index(gene)] for gene in pair.split("_")) for pair in pairs])
    assert np.corrcoef(double.ravel(), total.ravel())[0, 1] > 0.9
    assert (double**2).sum() < 0.95 * (total**2).sum()


def test_measured_effects_converge_to_the_truth():
    """With thousands of cells the difference to the truth is what the standard errors say."""
    screen = simulate_screen(seed=3, n_single=8, n_double=2, n_cells=30000)
    found = compute_effects(screen.adata, column="perturbation", control=CONTROL, mode="knockdown")
    truth = screen.true_effects
    assert found.perturbations == truth.perturbations
    assert found.genes == truth.genes
    strength = (truth.effect**2).sum(axis=1)
    for row in np.flatnonzero(strength > 5):
        assert np.corrcoef(found.effect[row], truth.effect[row])[0, 1] > 0.97
        assert np.polyfit(truth.effect[row], found.effect[row], 1)[0] == pytest.approx(1, abs=0.06)
    z = (found.effect - truth.effect) / found.standard_error
    assert z.std() == pytest.approx(1, abs=0.1)
    # the truth neglects the noise of a cell's total, which shifts levels a little and differences hardly
    assert np.abs(found.control_mean - truth.control_mean).mean() < 0.06


def test_effects_are_strong_against_the_noise(demo, measured):
    truth = demo.true_effects.effect
    strength = (truth**2).sum(axis=1)
    correlation = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(truth, measured.effect, strict=True)])
    assert correlation[strength >= np.quantile(strength, 0.8)].min() > 0.9
    assert np.median(correlation) > 0.8
    noise = np.median(((truth - measured.effect) ** 2).sum(axis=1))
    assert 1 < np.median(strength) / noise < 6  # neither hopeless nor free of noise
    genes = [targets[0] for targets in demo.true_effects.targets if len(targets) == 1]
    single = np.array([len(targets) == 1 for targets in demo.true_effects.targets])
    degree = demo.network.degree[demo.network.index(genes)]
    assert spearmanr(degree, strength[single]).statistic > 0.3


def test_knockdown_lowers_the_target(demo):
    effects = demo.true_effects
    own = [
        effects.effect[row, effects.genes.index(gene)]
        for row, targets in enumerate(effects.targets)
        for gene in targets
    ]
    assert max(own) < 0
    assert effects.mode == "knockdown"


@pytest.mark.parametrize("seed", [0, 1])
def test_network_tells_about_genes_that_were_never_perturbed(seed):
    """Kernel ridge on the network's diffusion, held-out genes: better than the training mean, far from perfect."""
    screen = simulate_screen(seed=seed)
    effects = compute_effects(screen.adata, column="perturbation", control=CONTROL, mode="knockdown")
    adjacency = screen.network.adjacency.toarray().astype(np.float64)
    walk = adjacency / adjacency.sum(axis=1, keepdims=True)
    feature = np.sqrt(np.linalg.inv(np.eye(len(walk)) - 0.5 * walk))
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    member = np.zeros((len(effects.targets), len(walk)))
    for row, targets in enumerate(effects.targets):
        member[row, screen.network.index(targets)] = 1 / len(targets)
    kernel = member @ (feature @ feature.T) @ member.T
    genes = np.random.default_rng(0).permutation(sorted({gene for t in effects.targets for gene in t}))
    error = dict.fromkeys(("nothing", "mean", "network", "shuffled"), 0.0)
    shuffle = np.random.default_rng(1).permutation(len(kernel))
    for fold in range(5):
        out = set(genes[fold::5])
        train = [k for k, targets in enumerate(effects.targets) if not out & set(targets)]
        test = [k for k, targets in enumerate(effects.targets) if set(targets) <= out]
        mean = effects.effect[train].mean(axis=0)
        for name, k in (("network", kernel), ("shuffled", kernel[shuffle][:, shuffle])):
            weights = np.linalg.solve(
                k[np.ix_(train, train)] + np.eye(len(train)), effects.effect[train] - mean
            )
            predicted = mean + k[np.ix_(test, train)] @ weights
            error[name] += ((predicted - effects.effect[test]) ** 2).sum()
        error["mean"] += ((mean - effects.effect[test]) ** 2).sum()
        error["nothing"] += (effects.effect[test] ** 2).sum()
    relative = {name: value / error["nothing"] for name, value in error.items()}
    assert 0.8 < relative["mean"] < 1.02
    assert 0.5 < relative["network"] < relative["mean"] - 0.1
    assert relative["shuffled"] > relative["mean"]


def test_controls_show_coexpression_of_the_network(demo):
    found = coexpression_network(demo.adata, column="perturbation", control=CONTROL)
    truth = demo.network.restrict(found.genes)
    same = truth.adjacency.toarray() > 0
    held = found.adjacency.toarray() > 0
    assert found.n_edges > 1000
    assert same[held].mean() > 5 * same.mean()


def test_written_files_read_back(tmp_path):
    import anndata

    screen = small(seed=5)
    paths = write_simulation(screen, tmp_path / "new" / "demo.h5ad")
    assert {key: path.name for key, path in paths.items()} == {
        "screen": "demo.h5ad",
        "network": "demo.network.csv",
        "true_effects": "demo.true_effects.parquet",
    }
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        p.name for p in paths.values()
    )
    adata = anndata.read_h5ad(paths["screen"])
    assert (adata.X != screen.adata.X).nnz == 0
    assert adata.obs["perturbation"].tolist() == screen.adata.obs["perturbation"].tolist()
    network = read_network(paths["network"]).restrict(screen.network.genes)
    assert network.genes == screen.network.genes
    assert np.abs((network.adjacency - screen.network.adjacency).data).max() < 1e-3
    assert (network.signs != screen.network.signs).nnz == 0
    effects = read_effects(paths["true_effects"])
    assert effects.perturbations == screen.true_effects.perturbations
    assert effects.targets == screen.true_effects.targets
    assert np.array_equal(effects.effect, screen.true_effects.effect)
    assert effects.mode == "knockdown"


def test_written_name_must_be_h5ad(tmp_path):
    with pytest.raises(HyperPerturbError, match=r"End the name in \.h5ad"):
        write_simulation(small(), tmp_path / "demo.csv")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_regulators": 3}, "at least 6 regulators"),
        ({"n_genes": 20}, "need at least 36 genes"),
        ({"n_single": 200}, "must be 1 to 90"),
        ({"n_single": 2, "n_double": 2}, "2 genes cannot make 2 different pairs"),
        ({"n_single": 2, "n_double": 1, "n_triple": 1}, "2 genes cannot make 1 different triples"),
        ({"epistasis": 1.5}, "must be 0 to 1, not 1.5"),
        ({"n_cells": 50}, "15 perturbations need at least 160 cells, not 50"),
        ({"n_batches": 0}, "at least one batch"),
    ],
)
def test_impossible_sizes(options, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        small(**options)
