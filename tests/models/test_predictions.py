"""Many perturbations at once, two compared, the network around one; and all of it in a file."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

from hyperperturb.data import compute_effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.manifolds import poincare
from hyperperturb.models.comparison import compare
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.inference import HyperPerturbInference, Refusal
from hyperperturb.models.predictions import cluster_order, predict_many, to_anndata, write_predictions
from hyperperturb.models.response_network import response_network


@pytest.fixture(scope="module")
def inference(tmp_path_factory, small_simulation, finished_run) -> HyperPerturbInference:
    effects = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    run = finished_run(tmp_path_factory.mktemp("runs"), effects, small_simulation.network, cells=True)
    return HyperPerturbInference(run.path)


@pytest.fixture(scope="module")
def double(inference) -> tuple[str, ...]:
    return next(targets for targets in inference.effects.targets if len(targets) == 2)


def test_many_are_what_each_is_by_itself_and_refusals_are_listed(inference, double):
    single = inference.effects.targets[0]
    found = predict_many(inference, [single, double[::-1], ("NOBODY",), single, ()])
    assert found.targets == (single, tuple(sorted(double)))
    assert found.names[1] == "+".join(sorted(double))
    assert [(r.name, len(r.nearest)) for r in found.refused] == [("NOBODY", 3)]
    for i, targets in enumerate(found.targets):
        alone = inference.predict_effects(targets)
        np.testing.assert_allclose(found.effect[i], alone.table["effect"])
        np.testing.assert_allclose(found.standard_error[i], alone.table["standard_error"])
        np.testing.assert_allclose(found.measured[i], alone.table["measured"])
        assert found.support[i] == alone.support
        np.testing.assert_allclose(found.points[i], inference.point(targets), atol=1e-12)


def test_the_support_that_a_run_keeps_is_the_heads_own_and_is_not_computed_again(inference, monkeypatch):
    genes = inference.genes["gene"].tolist()
    of_head = inference._head.support(genes)
    monkeypatch.setattr(EffectHead, "support", lambda *_: pytest.fail("computed again"))
    kept = [found.score for found in predict_many(inference, [(gene,) for gene in genes]).support]
    assert kept == pytest.approx(
        [s for s, g in zip(of_head, genes, strict=True) if inference.support([g]).level != "none"]
    )


def test_a_target_does_not_count_among_what_it_moves(inference):
    measured = next(t for t in inference.effects.targets if len(t) == 1 and t[0] in inference.response_genes)
    found = predict_many(inference, [measured])
    own = found.genes.index(measured[0])
    assert np.isnan(found.response[0, own])
    assert np.isfinite(np.delete(found.response[0], own)).all()
    assert own not in found.strongest_genes(10)
    order = found.strongest_genes(10)
    assert (np.diff(np.abs(found.effect[0, order])) <= 0).all()
    row = found.summary().iloc[0]
    assert measured[0] not in row["most_down"]
    certain = np.abs(found.response[0]) > 2 * found.standard_error[0]
    assert row["genes_up"] + row["genes_down"] == certain.sum()


def test_nothing_asked_is_an_empty_answer(inference):
    found = predict_many(inference, [("NOBODY",)])
    assert len(found) == 0
    assert found.effect.shape == (0, len(inference.response_genes))
    assert found.summary().empty
    assert found.response.shape == found.effect.shape
    assert found.table().empty


def test_like_stands_beside_like():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 40))
    kind = rng.permutation(np.repeat([0, 1, 2], 5))
    values = kinds[kind] + 0.2 * rng.normal(size=(15, 40))
    values[0, 0] = np.nan
    ordered = kind[cluster_order(values)]
    assert (np.diff(ordered) != 0).sum() == 2
    assert sorted(cluster_order(np.zeros((5, 4)))) == [0, 1, 2, 3, 4]
    assert cluster_order(np.zeros((0, 4))).size == 0


def test_the_file_holds_what_was_predicted(inference, double, tmp_path):
    found = predict_many(inference, [inference.effects.targets[0], double, ("NOBODY",)])
    write_predictions(inference, found, tmp_path / "out.h5ad")
    read = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert list(read.obs_names) == list(found.names)
    assert list(read.var_names) == list(inference.response_genes)
    np.testing.assert_allclose(read.X, found.effect, rtol=1e-5, atol=1e-7)
    for name in ("standard_error", "measured", "measured_standard_error"):
        np.testing.assert_allclose(read.layers[name], getattr(found, name), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(read.obsm["X_poincare"], found.points)
    assert (np.linalg.norm(read.obsm["X_poincare"], axis=1) < 1).all()
    assert list(read.obs["support"]) == [s.level for s in found.support]
    assert read.uns["hyperperturb"]["run"] == inference.run.name
    assert read.uns["hyperperturb"]["verdict"] == inference.verdict
    assert inference.verdict in read.uns["hyperperturb"]["card"]
    assert list(read.uns["refused"]["perturbation"]) == ["NOBODY"]
    np.testing.assert_allclose(read.var["control_mean"], inference.effects.control_mean, rtol=1e-6)
    with pytest.raises(HyperPerturbError, match="nothing to write"):
        write_predictions(inference, predict_many(inference, [("NOBODY",)]), tmp_path / "none.h5ad")
    assert to_anndata(inference, predict_many(inference, [double])).n_obs == 1


def test_two_perturbations_side_by_side(inference, double):
    first, second = inference.effects.targets[0], double
    found = compare(inference, first, second)
    back = compare(inference, second, first)
    np.testing.assert_allclose(found.table["difference"], -back.table["difference"])
    np.testing.assert_allclose(found.table["standard_error"], back.table["standard_error"])
    assert found.correlation == pytest.approx(back.correlation)
    places = [inference.point(t) for t in (first, second)]
    expected = poincare.dist(*places, c=1.0) / np.sqrt(inference.curvature)
    assert found.distance == pytest.approx(back.distance) == pytest.approx(float(expected))
    beyond = found.table["difference"].abs() > 2 * found.table["standard_error"]
    assert (found.table["clear"] == beyond).all()
    same = compare(inference, first, first)
    assert same.distance == pytest.approx(0, abs=1e-9)
    assert same.correlation == pytest.approx(1)
    assert (same.table["standard_error"] < 1e-9).all()
    assert not same.table["clear"].any()
    with pytest.raises(Refusal):
        compare(inference, first, ["NOBODY"])


def test_errors_of_two_predictions_go_together_as_the_process_says():
    """Against the posterior covariance of the process written out."""
    rng = np.random.default_rng(0)
    genes = tuple(f"G{i}" for i in range(8))
    points = rng.normal(size=(8, 2))
    similarity = np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1))
    targets = (("G0",), ("G1",), ("G2",), ("G0", "G3"))
    p = KernelParameters(mean=0.4, diffusion=0.6, hyperbolic=0.0, own=0.1, noise=0.2, factor=0.9)
    head = EffectHead.fit(
        targets,
        ("R0", "R1"),
        rng.normal(size=(4, 2)),
        kernels=GeneKernels(genes, similarity),
        parameters=p,
    )
    k = 0.4 + 0.6 * similarity + 0.1 * np.eye(8)
    A = np.zeros((4, 8))
    A[0, 0] = A[1, 1] = A[2, 2] = 1
    A[3, [0, 3]] = 0.9
    posterior = k - k @ A.T @ np.linalg.solve(A @ k @ A.T + 0.2 * np.eye(4), A @ k)
    for first, second in ((("G0",), ("G1",)), (("G1", "G2"), ("G3",)), (("G0",), ("G0", "G2"))):
        w, v = np.zeros((2, 8))
        for weights, names in ((w, first), (v, second)):
            weights[[int(g[1]) for g in names]] = 1.0 if len(names) == 1 else 0.9
        expected = w @ posterior @ v / np.sqrt((w @ posterior @ w) * (v @ posterior @ v))
        assert head.error_correlation(first, second) == pytest.approx(expected, abs=1e-6)
    assert head.error_correlation(("G0", "G1"), ("G1", "G0")) == 1.0


def test_the_network_around_a_prediction(inference):
    hub = str(inference.genes.loc[inference.genes["degree"].idxmax(), "gene"])
    answer = inference.predict_effects([hub])
    found = response_network(inference, answer, near=6, beyond=3)
    roles = found.nodes.set_index("gene")["role"]
    assert roles[hub] == "target"
    near = roles.index[roles == "neighbour"]
    linked = set(inference.neighbours(hub, k=len(inference.genes))["gene"])
    assert set(near) <= linked
    size = answer.table.set_index("gene")["effect"].abs()
    others = [gene for gene in linked & set(size.index) if gene not in set(near)]
    assert size[near].min() >= size[others].max()  # the strongest of the neighbours
    assert (roles == "beyond").sum() <= 3
    assert len(near) == 6
    ends = set(zip(found.links["first"], found.links["second"], strict=True))
    assert len(ends) == len(found.links)
    assert not ends & {(b, a) for a, b in ends}
    for gene in roles.index[roles != "target"]:  # nobody hangs in the air
        assert any(gene in pair for pair in ends), gene
    for row in found.links.itertuples():
        weight = inference.neighbours(row.first, k=len(inference.genes)).set_index("gene")["weight"]
        assert weight[row.second] == pytest.approx(row.weight)


def test_a_wanted_change_finds_the_perturbation_that_makes_it(inference):
    row = int(np.argmax(np.nansum(inference.effects.effect**2, axis=1)))
    effect = inference.effects.effect[row]
    order = np.argsort(effect)
    up = [inference.response_genes[i] for i in order[::-1][:8]]
    down = [inference.response_genes[i] for i in order[:8]]
    ranking = inference.rank_perturbations(goal="target", up=up, down=down)
    wanted = inference.perturbations[row]
    assert wanted in ranking["perturbation"].head(3).tolist()
    turned = inference.rank_perturbations(goal="target", up=down, down=up)
    assert turned.set_index("perturbation").loc[wanted, "sign"] == "wrong"


def test_labels_and_candidates(inference, double):
    label = inference.label(double[::-1])
    assert set(inference.effects.targets[inference.effects.index(label)]) == set(double)
    assert inference.label(["NOBODY"]) is None
    tested = {gene for targets in inference.effects.targets for gene in targets}
    assert not tested & set(inference.untested)
    assert all(inference.support([gene]).level == "supported" for gene in inference.untested)
