"""Methods side by side on perturbations of genes they never saw, and the sentence about it."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation import scoring
from hyperperturb.evaluation.cross_validation import CrossValidation, cross_validate
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.verdict import MODEL, Verdict
from hyperperturb.models.baselines import no_change, training_mean

GENES = tuple(f"G{i}" for i in range(10))
RESPONSE = (*GENES[:4], *(f"R{i}" for i in range(20)))


def planted(seed: int = 0) -> tuple[Effects, dict[str, np.ndarray]]:
    """Ten single perturbations and three doubles that are sums, with a common mean effect."""
    rng = np.random.default_rng(seed)
    single = {g: rng.normal(size=len(RESPONSE)) + 1.0 for g in GENES}
    targets = [*((g,) for g in GENES), ("G0", "G1"), ("G2", "G3"), ("G4", "G9")]
    effect = np.array([sum(single[g] for g in t) for t in targets], dtype=np.float32)
    for row, target in enumerate(targets):
        for gene in target:
            if gene in RESPONSE:
                effect[row, RESPONSE.index(gene)] = -9.0
    return (
        Effects(
            perturbations=tuple("_".join(t) for t in targets),
            targets=tuple(targets),
            genes=RESPONSE,
            effect=effect,
            standard_error=np.full(effect.shape, np.nan, dtype=np.float32),
            n_cells=np.zeros(len(targets), dtype=np.int64),
            control="control",
        ),
        single,
    )


def oracle(single, spread: float = 0.0):
    rng = np.random.default_rng(5)

    def predict(training, targets):
        out = np.array([sum(single[g] for g in t) for t in targets])
        return out + spread * rng.normal(size=out.shape)

    return predict


@pytest.fixture(scope="module")
def effects_and_truth():
    return planted()


@pytest.fixture(scope="module")
def scored(effects_and_truth) -> CrossValidation:
    effects, single = effects_and_truth
    methods = {MODEL: oracle(single, 0.3), "no_change": no_change, "training_mean": training_mean}
    return cross_validate(effects, methods, folds=5, seed=0)


def test_every_perturbation_is_scored_once_by_every_method(scored, effects_and_truth):
    effects, _ = effects_and_truth
    assert scored.folds == 5
    for _, table in scored.scores.groupby("method"):
        assert sorted(table["perturbation"]) == sorted(effects.perturbations)
    needs_more = {"significant_overlap", "sign_agreement", "energy_distance"}  # errors, cells
    there = [name for name in METRICS if name not in needs_more]
    assert scored.scores[[*there, "squared_error", "squared_size"]].notna().all(axis=None)
    assert scored.scores[list(needs_more)].isna().all(axis=None)
    assert all(row[name] is None for row in scored.summary() for name in needs_more)


def test_an_oracle_is_ahead_of_the_mean(scored):
    rows = {row["name"]: row for row in scored.summary()}
    assert rows[MODEL]["error"] < 0.1 < rows["training_mean"]["error"] < rows["no_change"]["error"]
    assert rows["no_change"]["error"] == pytest.approx(1.0)
    assert rows[MODEL]["pearson_mean"] > 0.9
    assert rows["training_mean"]["pearson_mean"] == 0.0
    assert rows[MODEL]["centroid_accuracy"] > 0.95
    verdict = scored.verdict()
    assert verdict.ahead
    assert verdict.baseline == "training_mean"
    assert verdict.sentence.startswith("Yes, the model beats the simple baselines on your data")


def test_the_pooled_error_is_the_ratio_of_sums(scored, effects_and_truth):
    effects, _ = effects_and_truth
    error = size = 0.0
    from hyperperturb.evaluation.splits import gene_folds

    per_perturbation: dict[str, list[tuple[float, float]]] = {}
    for split in gene_folds(effects.targets, folds=5, seed=0):
        mean = effects.effect[split.train].astype(float).mean(axis=0)
        for row in split.test:
            keep = [i for i, g in enumerate(RESPONSE) if g not in effects.targets[row]]
            measured = effects.effect[row, keep].astype(float)
            per_perturbation.setdefault(effects.perturbations[row], []).append(
                (((mean[keep] - measured) ** 2).sum(), (measured**2).sum())
            )
    for pairs in per_perturbation.values():
        error += np.mean([e for e, _ in pairs])
        size += np.mean([s for _, s in pairs])
    row = next(row for row in scored.summary() if row["name"] == "training_mean")
    assert row["error"] == pytest.approx(error / size, rel=1e-9)
    assert scored.verdict().baseline_error == pytest.approx(error / size, rel=1e-9)


def test_predictors_see_no_held_out_perturbation(effects_and_truth):
    effects, _ = effects_and_truth

    def watch(training, targets):
        asked = {g for t in targets for g in t}
        shown = {g for t in training.targets for g in t}
        for target in targets:
            assert set(target) - shown, "a perturbation is asked for because one of its genes is held out"
        assert asked
        assert not set(training.targets) & set(map(tuple, targets))
        return np.zeros((len(targets), len(training.genes)))

    cross_validate(effects, {MODEL: watch}, folds=4, seed=2)


def test_scores_depend_on_the_seed_alone(effects_and_truth):
    effects, _ = effects_and_truth
    methods = {MODEL: training_mean, "no_change": no_change}
    first, second = (cross_validate(effects, methods, seed=1).scores for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(cross_validate(effects, methods, seed=2).scores)


def test_intervals_hold_the_estimate_and_narrow_with_more_perturbations(scored):
    for row in scored.summary():
        for metric in ("error", "pearson_control", "cosine_discrimination"):
            assert row[f"{metric}_low"] <= row[metric] + 1e-12
            assert row[metric] <= row[f"{metric}_high"] + 1e-12
    json.dumps(scored.summary(), allow_nan=False)

    def width(n):
        rng = np.random.default_rng(0)
        table = pd.DataFrame({"method": MODEL, "perturbation": [f"P{i}" for i in range(n)]})
        for name in (*METRICS, "squared_error"):
            table[name] = rng.uniform(size=n)
        table["squared_size"] = 1.0
        row = CrossValidation(table, 5).summary()[0]
        return row["error_high"] - row["error_low"]

    # Four times the perturbations, half the width; a uniform variable's own is 2 · 1.96 · 0.289 / √n.
    assert width(400) == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 400), rel=0.15)
    assert width(100) == pytest.approx(2 * width(400), rel=0.25)


def table_of(model: np.ndarray, baseline: np.ndarray) -> CrossValidation:
    names = [f"P{i}" for i in range(len(model))]
    return CrossValidation(
        pd.concat(
            pd.DataFrame({"method": m, "perturbation": names, "squared_error": e, "squared_size": 1.0})
            for m, e in ((MODEL, model), ("training_mean", baseline), ("no_change", np.ones(len(model))))
        ),
        5,
    )


def test_the_three_sentences():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.9, 60)
    noise = rng.normal(0, 0.05, 60)
    ahead = table_of(base - 0.1 + noise, base).verdict()
    level = table_of(base + noise - noise.mean(), base).verdict()
    behind = table_of(base + 0.1 + noise, base).verdict()
    assert (ahead.ahead, level.ahead, behind.ahead) == (True, False, False)
    assert ahead.sentence.startswith("Yes, the model beats the simple baselines on your data:")
    assert level.sentence.startswith("No, the model does not clearly beat the simple baselines")
    assert behind.sentence.startswith("No, the model is behind the best simple baseline on your data:")
    for verdict in (ahead, level, behind):
        assert f"{verdict.model_error:.2f} of predicting no change" in verdict.sentence
        assert f"{verdict.lead:.3f} (95 % interval".replace("-", "−") in verdict.sentence
        assert "mean of the training perturbations" in verdict.sentence
        assert "60 perturbations" in verdict.sentence
        assert verdict.lead == pytest.approx(verdict.baseline_error - verdict.model_error)
        assert verdict.lead_low <= verdict.lead <= verdict.lead_high


def test_the_interval_is_paired():
    """A steady small lead is clear although the perturbations differ far more among themselves."""
    base = np.random.default_rng(1).uniform(0.05, 0.95, 40)
    assert table_of(base - 0.02, base).verdict().ahead


def test_a_lead_that_excludes_zero_only_just():
    figures = {"model_error": 0.5, "baseline": "no_change", "baseline_error": 0.6, "n_perturbations": 10}
    assert not Verdict(lead=0.1, lead_low=0.0, lead_high=0.2, **figures).ahead
    assert Verdict(lead=0.1, lead_low=1e-6, lead_high=0.2, **figures).ahead


def test_the_best_baseline_is_the_one_to_beat():
    n = 30
    better, worse = np.full(n, 0.2), np.full(n, 0.9)
    scores = table_of(np.full(n, 0.4), better).scores
    extra = scores[scores["method"] == "no_change"].assign(method="network_kernel_ridge", squared_error=worse)
    verdict = CrossValidation(pd.concat([scores, extra]), 5).verdict()
    assert verdict.baseline == "training_mean"
    assert not verdict.ahead


def test_progress_is_told_and_an_exception_stops(effects_and_truth):
    effects, _ = effects_and_truth
    told = []
    methods = {MODEL: training_mean, "no_change": no_change}
    cross_validate(effects, methods, folds=3, progress=lambda f, m: told.append((f, m)))
    fractions = [f for f, _ in told]
    assert len(told) == 6
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] < 1
    assert "fold 1 of 3" in told[0][1]

    class StopError(Exception):
        pass

    def stop(fraction, message):
        raise StopError

    with pytest.raises(StopError):
        cross_validate(effects, methods, progress=stop)


def test_too_few_genes_are_refused(effects_and_truth):
    effects, _ = effects_and_truth
    with pytest.raises(HyperPerturbError, match="at least 3"):
        cross_validate(effects.select(["G0", "G1", "G0_G1"]), {MODEL: training_mean})


@pytest.mark.parametrize("answer", [np.zeros((1, 2)), (np.zeros((3, 24)), np.zeros((3, 2)))])
def test_an_answer_of_another_shape_is_refused(effects_and_truth, answer):
    with pytest.raises(HyperPerturbError, match="'hyperperturb' answered in the shape"):
        cross_validate(effects_and_truth[0], {MODEL: lambda training, targets: answer}, folds=4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(effects_and_truth, bad):
    def predict(training, targets):
        return np.full((len(targets), len(training.genes)), bad)

    with pytest.raises(HyperPerturbError, match="not finite"):
        cross_validate(effects_and_truth[0], {MODEL: predict})


def test_negative_standard_errors_are_refused(effects_and_truth):
    def predict(training, targets):
        zero = np.zeros((len(targets), len(training.genes)))
        return zero, zero - 1.0

    with pytest.raises(HyperPerturbError, match="below zero"):
        cross_validate(effects_and_truth[0], {MODEL: predict})


def test_how_many_targets_were_seen(scored):
    table = scored.table(MODEL)
    for label, row in table.iterrows():
        assert row["n_targets"] == len(label.split("_"))
        assert 0 <= row["n_seen"] < row["n_targets"]


def test_a_table_too_large_for_a_copy_is_scored_alike(effects_and_truth, monkeypatch):
    effects, single = effects_and_truth
    methods = {MODEL: oracle(single, 0.5), "training_mean": training_mean}
    usual = cross_validate(effects, methods)
    monkeypatch.setattr(scoring, "_WIDE_UP_TO", 0)
    methods = {MODEL: oracle(single, 0.5), "training_mean": training_mean}
    large = cross_validate(effects, methods)
    columns = usual.scores.columns.difference(["method", "perturbation"])
    assert large.scores[columns].to_numpy() == pytest.approx(
        usual.scores[columns].to_numpy(), rel=1e-4, abs=1e-5, nan_ok=True
    )
