"""A training whose effect head sees landmarks and neighbourhoods, as beyond two thousand targets, and its run."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from hyperperturb.data.simulate import simulate_screen, write_simulation
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models import judging, predictor
from hyperperturb.models.comparison import compare
from hyperperturb.models.inference import HyperPerturbInference
from hyperperturb.models.neighbourhoods import find_neighbourhoods
from hyperperturb.models.predictions import predict_many
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.universe import build_universe
from hyperperturb.runs.config import NetworkSource, RunConfig
from hyperperturb.runs.directory import RunDirectory

pytestmark = [
    pytest.mark.slow,
    # Keras 3's own saving of a model converts variables in a way NumPy 2 has deprecated.
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name → (model, its run): exact, with all targets as landmarks, and with few."""
    from hyperperturb.models.train import train_model

    sim = simulate_screen(seed=1, n_genes=120, n_regulators=20, n_single=40, n_double=5, n_cells=2500)
    out = {}
    for name, limit, sizes in (
        ("exact", 2000, {}),
        ("all", 10, {}),
        ("few", 10, {"landmarks": 12, "block": 12}),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predictor, "EXACT_UP_TO", limit)
            patch.setattr(predictor, "find_neighbourhoods", partial(find_neighbourhoods, **sizes))
            model, _ = train_model(
                sim.true_effects, networks=[sim.network], epochs=2, model_dir=tmp_path_factory.mktemp(name)
            )
        out[name] = model, HyperPerturbInference(model.run)
    assert out["exact"][1]._head.local is None
    return out


def asked(inference) -> list[tuple[str, ...]]:
    genes = inference.genes.loc[inference.genes["support"] > 0.05, "gene"].tolist()
    return [(g,) for g in genes] + [t for t in inference.effects.targets if len(t) == 2] + [tuple(genes[:3])]


def test_with_all_targets_as_landmarks_nothing_is_lost(runs):
    exact, local = runs["exact"][1], runs["all"][1]
    targets = asked(exact)
    one, other = (i._head.predict(targets) for i in (exact, local))
    size = np.abs(one[0]).max()
    assert np.abs(other[0] - one[0]).max() < 0.01 * size
    single = [i for i, target in enumerate(targets) if len(target) == 1]
    assert other[1][single] == pytest.approx(one[1][single], rel=0.02, abs=1e-6)
    assert any(exact._head.link_strengths)
    assert local._head.link_strengths == pytest.approx(exact._head.link_strengths, rel=0.02)
    assert local.genes["support"].to_numpy() == pytest.approx(exact.genes["support"].to_numpy(), abs=0.01)
    first, second = (i.metrics["methods"] for i in (exact, local))
    for a, b in zip(first, second, strict=True):
        assert a["error"] == pytest.approx(b["error"], abs=0.02), a["name"]


def test_with_few_landmarks_the_loss_is_small(runs):
    exact, local = runs["exact"][1], runs["few"][1]
    targets = asked(exact)
    one, other = (i._head.predict(targets, standard_error=False)[0] for i in (exact, local))
    assert np.linalg.norm(one - other) < 0.3 * np.linalg.norm(one)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95
    first, second = ({m["name"]: m["error"] for m in i.metrics["methods"]} for i in (exact, local))
    assert second["hyperperturb"] < first["hyperperturb"] + 0.05


@pytest.mark.parametrize("name", ["all", "few"])
def test_the_keras_model_and_the_arrays_agree(runs, name):
    import keras

    model, inference = runs[name]
    targets = asked(inference)[-12:]
    genes = inference.genes["gene"].tolist()
    membership = np.zeros((len(targets), len(genes)), dtype=np.float32)
    for row, target in enumerate(targets):
        membership[row, [genes.index(g) for g in target]] = 1.0
    loaded = keras.saving.load_model(f"{model.run}/model.keras")
    arrays = inference._head.predict(targets, standard_error=False)[0]
    for either in (model, loaded):
        np.testing.assert_allclose(either({"targets": membership})["effects"].numpy(), arrays, atol=1e-5)


def test_what_is_asked_of_a_run_works_here_too(runs):
    inference = runs["few"][1]
    tested = {g for target in inference.effects.targets for g in target}
    table = inference.genes.set_index("gene")
    gene = table[~table.index.isin(tested)]["support"].idxmax()
    support = inference.support([gene])
    assert support.level in ("supported", "weak")
    assert any(g in support.why for g in inference._head.nearest(gene))
    answer = inference.predict_effects([gene])
    assert np.isfinite(answer.table[["effect", "standard_error"]]).all(axis=None)
    pair = inference.predict_effects([gene, min(tested)])
    assert not pair.interaction.found
    assert (answer.table["standard_error"] > 0).all()


def test_many_and_two_are_asked_about_in_such_a_run_too(runs):
    exact, local = runs["exact"][1], runs["all"][1]
    sets = asked(exact)[:12]
    one, other = predict_many(exact, sets), predict_many(local, sets)
    assert other.targets == one.targets
    assert np.abs(other.effect - one.effect).max() < 0.01 * np.abs(one.effect).max()
    for first in exact.effects.targets[
        :10
    ]:  # of two that were never perturbed the exact head keeps no similarity
        second = sets[0]
        assert local.shared_error(first, second) == pytest.approx(exact.shared_error(first, second), abs=0.03)
    table = compare(local, sets[0], sets[1]).table
    assert np.isfinite(table["standard_error"]).all()


def test_such_a_run_is_judged_with_a_variant_on_one_universe(tmp_path, monkeypatch):
    from hyperperturb.models.train import train_run

    monkeypatch.setattr(predictor, "EXACT_UP_TO", 10)
    sim = simulate_screen(seed=2, n_genes=100, n_regulators=20, n_single=24, n_double=0, n_cells=1500)
    files = write_simulation(sim, tmp_path / "screen.h5ad")
    config = RunConfig(
        effects=files["true_effects"],
        networks=(NetworkSource.from_path(files["network"]),),
        settings=TrainingSettings(epochs=1, embedding_dim=3),
    )
    run = RunDirectory.create(tmp_path / "runs", config)
    run.begin()
    train_run(run)
    run.finish()
    assert HyperPerturbInference(run.path)._head.local is not None

    built = []
    monkeypatch.setattr(judging, "build_universe", lambda *a, **k: built.append(a) or build_universe(*a, **k))
    _, found = judging.evaluate_run(run, judging.Question(folds=3, variants=("rewired_network",)))
    assert len(built) == 1
    assert np.isfinite([found.scores(name).error for name in (MODEL, "rewired_network")]).all()
    assert found.verdict in run.card()
