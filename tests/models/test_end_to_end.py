"""One training on a small simulated screen, and all that can be asked of the run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import softmax

from hyperperturb.data.simulate import SimulatedScreen, simulate_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.inference import HyperPerturbInference, Refusal
from hyperperturb.runs.directory import REQUIRED_FILES, RunDirectory

pytestmark = [
    pytest.mark.slow,
    # Keras 3's own saving of a model converts variables in a way NumPy 2 has deprecated.
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]

QUICK = {"epochs": 3, "batch_size": 128, "learning_rate": 3e-3, "max_cells": 2000}


@dataclass(frozen=True)
class Trained:
    sim: SimulatedScreen
    model: object
    history: pd.DataFrame
    path: Path
    isolated: str
    folder: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    """Trained the way the seed calls it; one gene that nothing perturbs is cut out of the network."""
    from hyperperturb.models.train import train_model

    sim = simulate_screen(
        seed=1, n_genes=120, n_regulators=20, n_single=25, n_double=5, n_cells=2500, n_batches=2
    )
    hit = {g for t in sim.true_effects.targets for g in t}
    genes = list(sim.adata.var_names)
    isolated = next(g for g in reversed(genes) if g not in hit)
    order = [sim.network.genes.index(g) for g in genes]
    adjacency = sim.network.adjacency.toarray()[np.ix_(order, order)]
    cut = genes.index(isolated)
    adjacency[cut] = adjacency[:, cut] = 0.0
    folder = tmp_path_factory.mktemp("runs")
    events = []
    model, history = train_model(
        sim.adata,
        adj_matrix=sparse.csr_matrix(adjacency),
        **QUICK,
        model_dir=folder,
        on_event=events.append,
    )
    assert [e["state"] for e in events if e["kind"] == "state"] == ["running", "finished"]
    return Trained(sim, model, history, Path(model.run), isolated, folder)


@pytest.fixture(scope="module")
def inference(trained) -> HyperPerturbInference:
    return HyperPerturbInference(trained.path)


@pytest.fixture(scope="module")
def unseen(inference, trained) -> str:
    """A gene that was never perturbed and that the run has something to say about."""
    table = inference.genes[~inference.genes["is_target"]]
    return str(table.loc[table["support"].idxmax(), "gene"])


# The run


def test_the_run_is_whole(trained):
    run = RunDirectory.open(trained.path)
    assert run.usable
    assert run.status.state == "finished"
    assert run.status.fraction == 1.0
    wanted = {*REQUIRED_FILES, "history.csv", "events.jsonl", "status.json"}
    assert wanted == {p.name for p in trained.path.iterdir()}, "and nothing half-written beside it"


def test_history_has_an_epoch_a_row(trained):
    history = trained.history
    assert history["stage"].tolist() == ["genes"] * 3 + ["cells"] * 3
    assert history["epoch"].tolist() == [1, 2, 3, 1, 2, 3]
    for column in ("loss", "val_loss", "learning_rate", "curvature"):
        assert history[column].notna().all(), column
    written = pd.read_csv(trained.path / "history.csv")
    assert written["loss"].to_numpy() == pytest.approx(history["loss"].to_numpy())


def test_genes_table(inference, trained):
    genes = inference.genes
    columns = "gene x y radius degree strength pagerank betweenness core eigenvector community support"
    for column in f"{columns} is_target is_response control_mean n_perturbations sensitivity".split():
        assert column in genes, column
    norm = np.hypot(genes["x"], genes["y"])
    assert (norm < 1).all()
    assert genes["radius"].to_numpy() == pytest.approx(
        2 * np.arctanh(norm) / np.sqrt(inference.curvature), rel=1e-4, abs=1e-4
    )
    assert genes["support"].between(0, 1).all()
    assert genes["sensitivity"].notna().equals(genes["is_response"])
    targets = {g for t in trained.sim.true_effects.targets for g in t}
    assert set(genes.loc[genes["is_target"], "gene"]) == targets
    assert genes.loc[genes["is_target"], "support"].min() > genes.loc[~genes["is_target"], "support"].median()


def test_metrics_and_card(inference, trained):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    names = {row["name"] for row in metrics["methods"]}
    assert names == {"hyperperturb", *simple_baselines(None)}
    assert metrics["n_perturbations"] == 30
    assert len(metrics["per_perturbation"]) == 30
    assert metrics["hub_radius"]["spearman"] < -0.6, "after three epochs"
    assert metrics["curvature"] == inference.curvature > 0
    assert 0 < metrics["curvature_low"] <= metrics["curvature_high"]
    assert f"between −{metrics['curvature_low']:.3f}" in inference.run.file("card.md").read_text()
    assert inference.verdict == metrics["verdict"]
    assert inference.verdict.startswith("Yes" if inference.ahead else "No")
    card = (trained.path / "card.md").read_text()
    assert metrics["verdict"] in card
    assert "SHA-256" in card


def test_effects_are_those_of_the_screen(inference, trained):
    from hyperperturb.data.effects import compute_effects

    effects = compute_effects(trained.sim.adata, column="perturbation", control="non-targeting")
    assert inference.perturbations == effects.perturbations
    assert np.array_equal(inference.effects.effect, effects.effect)


# Gene to effects


def test_a_measured_gene(inference):
    label = next(
        p for p, t in zip(inference.perturbations, inference.effects.targets, strict=True) if len(t) == 1
    )
    gene = inference.effects.targets[inference.perturbations.index(label)][0]
    answer = inference.predict_effects([gene])
    table = answer.table
    assert table["gene"].tolist() == list(inference.response_genes)
    measured = inference.effects.effect[inference.perturbations.index(label)]
    assert table["measured"].to_numpy() == pytest.approx(measured)
    assert (table["measured_standard_error"] >= 0).all()
    assert (table["standard_error"] > 0).all()
    assert answer.support.level == "measured"
    assert "This perturbation was measured" in answer.support.why
    assert np.corrcoef(table["effect"], table["measured"])[0, 1] > 0.5
    assert answer.strength == pytest.approx(2 * (table["effect"] ** 2).sum())


def test_a_gene_never_perturbed(inference, unseen):
    answer = inference.predict_effects([unseen])
    assert answer.support.level in ("supported", "weak")
    assert 0 < answer.support.score < 1
    assert f"{unseen} was never perturbed" in answer.support.why
    assert answer.table["measured"].isna().all()
    assert np.isfinite(answer.table["effect"]).all()
    known = inference.predict_effects(inference.effects.targets[0][:1])
    assert answer.table["standard_error"].mean() > known.table["standard_error"].mean()


def test_a_pair_in_any_order(inference, unseen):
    gene = inference.effects.targets[0][0]
    one, other = inference.predict_effects([gene, unseen]), inference.predict_effects([unseen, gene, gene])
    assert one.targets == other.targets == tuple(sorted([gene, unseen]))
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.support == other.support


def test_a_measured_double(inference):
    targets = next(t for t in inference.effects.targets if len(t) == 2)
    answer = inference.predict_effects(list(targets)[::-1])
    assert answer.support.level == "measured"
    assert answer.table["measured"].notna().all()
    parts = answer.interaction.table
    assert (parts["additive"] + parts["interaction"]).to_numpy() == pytest.approx(
        answer.table["effect"].to_numpy()
    )
    assert inference.predict_effects([targets[0]]).interaction is None


@pytest.mark.parametrize("spoil", [lambda g: "NOSUCHGENE", lambda g: g[:-1] + "XX"])
def test_an_unknown_name_is_refused_with_the_nearest(inference, unseen, spoil):
    with pytest.raises(Refusal) as refused:
        inference.predict_effects([spoil(unseen)])
    assert "not in the universe of this run" in str(refused.value)
    assert refused.value.reason == "not_in_universe"
    assert refused.value.nearest
    assert set(refused.value.nearest) <= set(inference.genes["gene"])


def test_a_slip_of_the_pen_finds_the_gene(inference):
    gene = inference.effects.targets[0][0]
    with pytest.raises(Refusal) as refused:
        inference.predict_effects([gene.lower() + "-"])
    assert gene in refused.value.nearest


def test_a_gene_that_no_network_connects_is_refused(inference, trained):
    support = inference.support([trained.isolated])
    assert support.level == "none"
    assert support.score < 0.005
    with pytest.raises(Refusal) as refused:
        inference.predict_effects([trained.isolated])
    assert f"{trained.isolated} was never perturbed, and none of the networks" in str(refused.value)
    assert refused.value.reason == support.reason == "in_no_network"
    assert refused.value.nearest
    for gene in refused.value.nearest:
        assert inference.predict_effects([gene]).support.level != "none"
    partner = inference.effects.targets[0][0]
    with pytest.raises(Refusal):
        inference.predict_effects([partner, trained.isolated])


def test_a_refusal_says_whether_it_is_the_gene_or_the_screen(inference, trained, monkeypatch):
    """A gene far from all tested ones; and a screen on which the networks say nothing about any gene."""
    row = inference._row[trained.isolated]
    degree = inference.network.degree.copy()
    degree[row] = 1
    monkeypatch.setattr(type(inference.network), "degree", degree)
    assert inference.support([trained.isolated]).reason == "no_tested_neighbour"
    tested = {g for target in inference.effects.targets for g in target}
    useless = inference.genes.assign(support=inference.genes["gene"].isin(tested).astype(float))
    monkeypatch.setattr(inference, "genes", useless)
    support = inference.support([trained.isolated])
    assert support.reason == "common_mean_only"
    assert "the networks do not help" in support.why
    assert set(support.nearest) <= tested


@pytest.mark.parametrize("nothing", [[], [""], [" "]])
def test_no_gene_at_all(inference, nothing):
    with pytest.raises(HyperPerturbError, match="No gene was given"):
        inference.predict_effects(nothing)


def test_neighbours_nearest_and_inward(inference, trained):
    hub = str(inference.genes.loc[inference.genes["degree"].idxmax(), "gene"])
    network, row = trained.sim.network, trained.sim.network.genes.index(hub)
    near = inference.neighbours(hub, k=5)
    assert len(near) == 5
    assert near["weight"].is_monotonic_decreasing
    for gene in near["gene"]:
        assert network.adjacency[row, network.genes.index(gene)] > 0
    closest = inference.nearest(hub, k=4)
    assert closest["distance"].is_monotonic_increasing
    assert hub not in set(closest["gene"])
    leaf = str(inference.genes.loc[inference.genes["radius"].idxmax(), "gene"])
    inward = inference.inward(leaf)
    own = float(inference.genes.set_index("gene").loc[leaf, "radius"])
    assert (inward["radius"] < own).all()
    assert len(inference.outward(leaf)) == 0  # nothing lies further out
    outward = inference.outward(hub)
    assert (outward["radius"] > float(inference.genes.set_index("gene").loc[hub, "radius"])).all()
    nearest = closest["gene"].iloc[1]
    assert inference.distance(hub, nearest) == pytest.approx(closest["distance"].iloc[1])
    assert inference.distance(nearest, hub) == pytest.approx(inference.distance(hub, nearest))
    assert inference.distance(hub, hub) == pytest.approx(0, abs=1e-6)
    assert inference.nearness(hub, nearest) == 2
    assert len(inference.neighbours(trained.isolated)) == 0
    with pytest.raises(Refusal):
        inference.nearest("NOSUCHGENE")


# Cell to perturbations


@pytest.fixture(scope="module")
def cells(trained):
    return trained.sim.adata[trained.sim.adata.obs["perturbation"] != "non-targeting"][:150].copy()


def test_explaining_cells(inference, cells):
    expression = inference.align(cells)
    top, scores, values = inference.predict_perturbations(expression, k=4)
    assert top.shape == scores.shape == (150, 4)
    assert values.shape == (150,)
    assert ((top >= 0) & (top < len(inference.perturbations))).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (values >= 0).all()
    every, all_scores, _ = inference.predict_perturbations(expression, k=len(inference.perturbations))
    assert all_scores.sum(axis=1) == pytest.approx(np.ones(150))
    assert (np.sort(every, axis=1) == np.arange(len(inference.perturbations))).all()
    assert np.array_equal(every[:, :4], top)
    names = np.array(inference.perturbations)[top]
    right = (names == cells.obs["perturbation"].to_numpy()[:, None]).any(axis=1).mean()
    assert right > 2 * 4 / len(inference.perturbations)


def test_counts_and_logarithms_give_the_same_answer(inference, cells):
    import anndata as ad

    counts = cells[:, list(inference.response_genes)].X
    aligned = inference.align(cells)
    logged = ad.AnnData(
        sparse.csr_matrix(aligned), obs=cells.obs, var=cells[:, list(inference.response_genes)].var
    )
    answers = [
        inference.predict_perturbations(x)
        for x in (counts, counts.toarray(), aligned, sparse.csc_matrix(aligned), inference.align(logged))
    ]
    for top, scores, values in answers[1:]:
        assert np.array_equal(top, answers[0][0])
        np.testing.assert_allclose(scores, answers[0][1], atol=1e-5)
        np.testing.assert_allclose(values, answers[0][2], rtol=1e-4)


def test_genes_in_another_order_or_partly_missing(inference, cells):
    shuffled = cells[:, np.random.default_rng(0).permutation(cells.n_vars)].copy()
    np.testing.assert_allclose(inference.align(shuffled), inference.align(cells), atol=1e-6)
    few = cells[:, :10].copy()
    with pytest.raises(HyperPerturbError, match="Only 10 of the 120 genes"):
        inference.align(few)


def test_reverting_and_aiming(inference, cells):
    expression = inference.align(cells)[:20]
    everything = len(inference.perturbations)
    top, scores, _ = inference.predict_perturbations(expression, k=everything, goal="revert")
    assert top.shape == scores.shape == (20, everything)
    assert (np.diff(scores, axis=1) <= 0).all()
    # The rest of the probability belongs to opposite interventions.
    assert (scores.sum(axis=1) < 1).all()
    # The way from one cell to itself leads nowhere, so nothing is likelier than anything else.
    _, nowhere, _ = inference.predict_perturbations(expression, k=2, goal="target", target=expression)
    np.testing.assert_allclose(nowhere, 0.5 / everything, rtol=1e-3)
    # From cell a to cell b is the reverse of the way from b to a.
    there, back = expression[:1], expression[1:2]
    one = inference.rank_perturbations(there, "target", target=back).set_index("perturbation")
    two = inference.rank_perturbations(back, "target", target=there).set_index("perturbation")
    np.testing.assert_allclose(one["score"], -two["score"].reindex(one.index), atol=1e-6)


@pytest.fixture(scope="module")
def strongest(inference) -> str:
    singles = [i for i, t in enumerate(inference.effects.targets) if len(t) == 1]
    return inference.perturbations[
        max(singles, key=lambda i: float((inference.effects.effect[i] ** 2).sum()))
    ]


def test_a_state_that_cells_share_is_explained_and_reverted_with_its_sign(inference, trained, strongest):
    same = trained.sim.adata[trained.sim.adata.obs["perturbation"] == strongest]
    expression = inference.align(same)
    table = inference.rank_perturbations(expression)
    assert len(table) == len(inference.perturbations)
    assert list(table.columns) == [
        *("perturbation", "targets", "sign", "intervention", "score", "probability", "evidence")
    ]
    first = table.iloc[0]
    assert (first["perturbation"], first["sign"]) == (strongest, "right")
    assert first["intervention"] == inference.config.mode
    assert first["evidence"] > 0.5
    assert table["probability"].is_monotonic_decreasing
    assert 0.5 < table["probability"].sum() <= 1.0
    # What was done to these cells must be undone: the same gene, the other way.
    back = inference.rank_perturbations(expression, "revert").iloc[0]
    assert (back["perturbation"], back["sign"], back["intervention"]) == (strongest, "wrong", "activation")
    assert back["score"] == pytest.approx(-first["score"])
    # A label of the screen is a state too: control, and the perturbation's own.
    home = inference.rank_perturbations(expression, "target", target="non-targeting")
    assert (
        home["perturbation"].tolist()
        == inference.rank_perturbations(expression, "revert")["perturbation"].tolist()
    )
    start = inference.align(trained.sim.adata[trained.sim.adata.obs["perturbation"] == "non-targeting"])
    named = inference.rank_perturbations(start, "target", target=strongest).iloc[0]
    assert (named["perturbation"], named["sign"]) == (strongest, "right")
    # From control to these cells is what explains them.
    there = inference.rank_perturbations(start, "target", target=expression).iloc[0]
    assert (there["perturbation"], there["sign"]) == (strongest, "right")


def test_lists_of_genes_as_a_target(inference, strongest):
    row = inference.perturbations.index(strongest)
    order = np.argsort(inference.effects.effect[row])
    up = [inference.response_genes[i] for i in order[-8:]]
    down = [inference.response_genes[i] for i in order[:8]]
    table = inference.rank_perturbations(goal="target", up=up, down=down).set_index("perturbation")
    assert list(table.index).index(strongest) < 3
    assert table.loc[strongest, "sign"] == "right"
    turned = inference.rank_perturbations(goal="target", up=down, down=up).set_index("perturbation")
    assert turned.loc[strongest, "sign"] == "wrong"
    np.testing.assert_allclose(turned["score"].reindex(table.index), -table["score"])
    with pytest.raises(HyperPerturbError, match="NOSUCHGENE is not among"):
        inference.rank_perturbations(goal="target", up=["NOSUCHGENE"])
    with pytest.raises(HyperPerturbError, match="cannot go both up and down"):
        inference.rank_perturbations(goal="target", up=up[:1], down=up[:1])
    with pytest.raises(HyperPerturbError, match="both given"):
        inference.rank_perturbations(goal="target", up=up, target=inference.effects.control_mean)
    with pytest.raises(HyperPerturbError, match="no cells to ask about"):
        inference.rank_perturbations(goal="revert")
    with pytest.raises(HyperPerturbError, match="no cells to ask about"):
        inference.rank_perturbations(np.zeros((0, len(inference.response_genes))))
    with pytest.raises(HyperPerturbError, match="no question for the goal 'revert'"):
        inference.rank_perturbations(inference.effects.control_mean, "revert", up=up)
    with pytest.raises(HyperPerturbError, match="needs a target state"):
        inference.rank_perturbations(inference.effects.control_mean, "target")


def test_perturbations_whose_cells_were_never_seen(inference, cells, trained, unseen):
    expression = inference.align(cells)
    n = len(inference.perturbations)
    top, scores, _ = inference.predict_perturbations(expression, k=n + 1, unseen=[(unseen,)])
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(expression)))
    assert (np.sort(top, axis=1) == np.arange(n + 1)).all()
    named = inference.interpret_perturbations(cells, top[:, :3], unseen=[(unseen,)])
    assert set(named["perturbation"]) <= {*inference.perturbations, unseen}
    every = inference.interpret_perturbations(cells, top, unseen=[(unseen,)]).groupby("perturbation")
    assert every.get_group(unseen)["measured_strength"].isna().all()
    assert (every.get_group(unseen)["n_cells"] == 0).all()
    table = inference.rank_perturbations(expression, unseen=[(unseen,)]).set_index("perturbation")
    assert np.isnan(table.loc[unseen, "evidence"])
    assert np.isfinite(table.drop(index=unseen)["evidence"]).all()
    with pytest.raises(Refusal):
        inference.rank_perturbations(expression, unseen=[(trained.isolated,)])
    with pytest.raises(HyperPerturbError, match="Use rank_perturbations"):
        inference.predict_perturbations(expression, goal="revert", unseen=[(unseen,)])


def test_wrong_questions_about_cells(inference, cells):
    expression = inference.align(cells)[:5]
    ask = inference.predict_perturbations
    with pytest.raises(HyperPerturbError, match="has 119 genes, but this run has 120"):
        ask(expression[:, 1:])
    with pytest.raises(HyperPerturbError, match="k = 0 is out of range"):
        ask(expression, k=0)
    with pytest.raises(HyperPerturbError, match="k = 99 is out of range"):
        ask(expression, k=99)
    with pytest.raises(HyperPerturbError, match="Unknown goal"):
        ask(expression, goal="confuse")
    with pytest.raises(HyperPerturbError, match="needs a target state"):
        ask(expression, goal="target")
    with pytest.raises(HyperPerturbError, match="negative or non-finite"):
        ask(-expression)
    with pytest.raises(HyperPerturbError, match="negative or non-finite"):
        ask(np.where(expression > 0, np.nan, expression))


def test_interpreting(inference, cells):
    top, _, _ = inference.predict_perturbations(inference.align(cells), k=2)
    table = inference.interpret_perturbations(cells, top)
    assert len(table) == 300
    assert table["cell"].tolist() == np.repeat(cells.obs_names, 2).tolist()
    assert table["rank"].tolist() == [1, 2] * 150
    assert table["perturbation"].tolist() == [inference.perturbations[i] for i in top.ravel()]
    first = table.iloc[0]
    row = inference.perturbations.index(first["perturbation"])
    assert first["targets"] == " + ".join(inference.effects.targets[row])
    assert first["n_cells"] == inference.effects.n_cells[row]
    with pytest.raises(HyperPerturbError, match="150 rows of indices but 10 cells"):
        inference.interpret_perturbations(cells[:10], top)


# The Keras model and the arrays


def test_the_keras_model_survives_saving_and_agrees_with_the_arrays(inference, trained, unseen, cells):
    import keras

    import hyperperturb.models.model  # noqa: F401  registers the classes

    loaded = keras.saving.load_model(trained.path / "model.keras")
    genes = inference.genes["gene"].tolist()
    measured = [t for t in inference.effects.targets if len(t) == 2][:2]
    asked = [
        inference.effects.targets[0][:1],
        (unseen,),
        *measured,
        tuple(sorted([unseen, genes[3], genes[9]])),
    ]
    membership = np.zeros((len(asked), len(genes)), dtype=np.float32)
    for row, target in enumerate(asked):
        membership[row, [genes.index(g) for g in target]] = 1.0
    shift = inference._cells.inputs(inference.align(cells))
    question = {"targets": membership, "cells": shift.astype(np.float32)}
    before, after = trained.model(question), loaded(question)
    assert set(before) == {"effects", "policy", "value"}
    for name in before:
        np.testing.assert_allclose(after[name].numpy(), before[name].numpy(), atol=1e-6, rtol=1e-6)
    arrays = np.array([inference._head.predict([t], standard_error=False)[0][0] for t in asked])
    np.testing.assert_allclose(after["effects"].numpy(), arrays, atol=1e-5)
    logits, value = inference._cells(shift)
    policy = after["policy"].numpy()
    np.testing.assert_allclose(softmax(policy, axis=1), softmax(logits, axis=1), atol=1e-5)
    # Near the rim float32 moves all distances of a cell alike, which no probability feels.
    centred = policy - policy.mean(axis=1, keepdims=True), logits - logits.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(*centred, atol=1e-4)
    np.testing.assert_allclose(after["value"].numpy(), value, atol=1e-5, rtol=1e-5)


def test_the_run_answers_without_tensorflow(trained, inference):
    gene = inference.effects.targets[0][0]
    script = (
        "import sys, time; start = time.perf_counter()\n"
        "from hyperperturb import HyperPerturbInference\n"
        "inference = HyperPerturbInference(sys.argv[1])\n"
        "effect = inference.predict_effects([sys.argv[2]]).table['effect'].to_numpy()\n"
        "inference.predict_perturbations(inference.effects.mean, k=2)\n"
        "loaded = [m for m in ('tensorflow', 'keras', 'scanpy', 'umap', 'torch') if m in sys.modules]\n"
        "start2 = time.perf_counter(); inference.predict_effects([sys.argv[2]])\n"
        "print(loaded, float(effect[0]), time.perf_counter() - start2)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(trained.path), gene],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.split()
    assert said[0] == "[]"
    assert float(said[1]) == pytest.approx(inference.predict_effects([gene]).table["effect"][0], abs=1e-6)
    assert float(said[2]) < 2  # about 0.01 s; the machine may be busy


# Runs that are not whole


@pytest.mark.parametrize("missing", [*REQUIRED_FILES, "status.json"])
def test_a_half_written_run_is_refused(trained, tmp_path, missing):
    copy = tmp_path / "half"
    shutil.copytree(trained.path, copy)
    (copy / missing).unlink()
    with pytest.raises(HyperPerturbError) as refused:
        HyperPerturbInference(copy)
    assert missing in str(refused.value)


@pytest.mark.parametrize("damaged", ["arrays.npz", "genes.parquet", "effects.parquet", "network.npz"])
def test_a_damaged_run_is_refused(trained, tmp_path, damaged):
    copy = tmp_path / "damaged"
    shutil.copytree(trained.path, copy)
    file = copy / damaged
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    def read_everything():
        inference = HyperPerturbInference(copy)
        return inference.effects, inference.network

    with pytest.raises(HyperPerturbError) as refused:
        read_everything()
    assert damaged in str(refused.value)


# Other ways in


def test_effects_alone(trained, inference, tmp_path):
    from hyperperturb.models.train import train_model

    table = inference.effects.save(tmp_path / "effects.csv")
    model, history = train_model(table, networks=[trained.sim.network], epochs=1, model_dir=tmp_path)
    alone = HyperPerturbInference(model.run)
    assert set(history["stage"]) == {"genes"}
    assert alone.metrics["policy"] is None
    assert np.isfinite(alone.predict_effects(inference.effects.targets[0]).table["effect"]).all()
    with pytest.raises(HyperPerturbError, match="Train on the screen itself to ask about cells"):
        alone.predict_perturbations(inference.effects.mean)
    with pytest.raises(HyperPerturbError, match="no co-expression network can be made"):
        train_model(inference.effects, epochs=1, model_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists(), "nothing half-written"


def test_the_same_seed_gives_the_same_scores(trained, inference, tmp_path):
    from hyperperturb.models.train import train_model

    paths = []
    for _ in range(2):
        model, _ = train_model(
            inference.effects, networks=[trained.sim.network], epochs=1, model_dir=tmp_path, seed=4
        )
        paths.append(model.run)
    one, two = (HyperPerturbInference(p) for p in paths)
    assert paths[0] != paths[1]
    for a, b in zip(one.metrics["methods"], two.metrics["methods"], strict=True):
        assert a.pop("name") == b.pop("name")
        assert a.pop("label") == b.pop("label")
        assert {k for k, v in a.items() if v is None} == {k for k, v in b.items() if v is None}
        known = [k for k, v in a.items() if v is not None]
        assert [a[k] for k in known] == pytest.approx([b[k] for k in known], rel=1e-4, abs=1e-5)
    assert one.metrics["curvature"] == pytest.approx(two.metrics["curvature"], rel=1e-5)


def test_a_training_that_fails_leaves_no_usable_run(trained, tmp_path):
    from hyperperturb.models.train import train_model

    def stop(event):
        if event["kind"] == "epoch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(
            trained.sim.true_effects,
            networks=[trained.sim.network],
            epochs=2,
            model_dir=tmp_path,
            on_event=stop,
        )
    (path,) = (p for p in tmp_path.iterdir() if not p.name.startswith("."))
    run = RunDirectory.open(path)
    assert run.status.state in ("cancelled", "failed")
    assert not run.usable
    with pytest.raises(HyperPerturbError, match="cannot be used"):
        HyperPerturbInference(path)


def test_too_few_genes_are_refused_before_anything_is_trained(trained, tmp_path):
    from hyperperturb.models.train import train_model

    effects = trained.sim.true_effects
    single = [p for p, target in zip(effects.perturbations, effects.targets, strict=True) if len(target) == 1]
    seen = []
    with pytest.raises(HyperPerturbError, match="perturbs 2 gene"):
        train_model(
            effects.select(single[:2]),
            networks=[trained.sim.network],
            epochs=2,
            model_dir=tmp_path,
            on_event=seen.append,
        )
    assert not [event for event in seen if event["kind"] == "epoch"]
