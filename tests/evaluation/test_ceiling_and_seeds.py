"""The ceiling from two halves, averages over seeds, groups by what training had seen, and the report of it all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.cross_validation import averaged_over_seeds, cross_validate
from hyperperturb.evaluation.metrics import METRICS
from hyperperturb.evaluation.report import HeldOut, held_out, held_out_lines, variant_sentences
from hyperperturb.evaluation.splits import make_splits
from hyperperturb.evaluation.verdict import CEILING, MODEL
from hyperperturb.models.baselines import additive, no_change, training_mean

R = 400


def measured(truth: np.ndarray, targets, spread: float, rng) -> Effects:
    noise = spread * rng.normal(size=truth.shape)
    return Effects(
        perturbations=tuple("_".join(t) for t in targets),
        targets=tuple(targets),
        genes=tuple(f"R{i}" for i in range(truth.shape[1])),
        effect=(truth + noise).astype(np.float32),
        standard_error=np.full(truth.shape, spread, dtype=np.float32),
        n_cells=np.full(len(targets), 50),
        control="control",
    )


@pytest.fixture(scope="module")
def world():
    """Twenty genes and ten pairs; a whole experiment has noise of variance 1/4, a half of 1/2, and is their mean."""
    rng = np.random.default_rng(0)
    single = 0.7 * rng.normal(size=R) + rng.normal(size=(20, R))
    targets = [(f"G{i}",) for i in range(20)] + [(f"G{i}", f"G{i + 1}") for i in range(10)]
    truth = np.array([sum(single[int(g[1:])] for g in t) for t in targets])
    first, second = (measured(truth, targets, np.sqrt(0.5), rng) for _ in range(2))
    whole = replace(first, effect=(first.effect + second.effect) / 2)
    fresh = measured(truth, targets, 0.5, rng)
    known = {t: truth[i] for i, t in enumerate(targets)}

    def oracle(training, asked):
        return np.array([known[tuple(t)] for t in asked])

    def copier(training, asked):
        row = {t: i for i, t in enumerate(fresh.targets)}
        return np.array([fresh.effect[row[tuple(t)]] for t in asked])

    return whole, (first, second), {"oracle": oracle, "copier": copier}


METHODS = {"no_change": no_change, "training_mean": training_mean}


@pytest.fixture(scope="module")
def scored(world):
    whole, halves, makers = world
    return cross_validate(
        whole, {MODEL: makers["oracle"], "copier": makers["copier"], **METHODS}, halves=halves
    )


def test_the_ceiling_is_what_another_whole_experiment_reaches(scored):
    """Halves raised to whole experiments agree as well as a fresh experiment does with this one."""
    rows = {row["name"]: row for row in scored.summary()}
    assert list(rows)[-1] == CEILING
    for metric in ("error", "pearson_control", "pearson_mean"):
        assert rows[CEILING][metric] == pytest.approx(rows["copier"][metric], rel=0.08), metric
        assert rows["copier"][f"{metric}_scaled"] == pytest.approx(1.0, abs=0.08)
        assert rows[CEILING][f"{metric}_scaled"] == pytest.approx(1.0)
        assert rows["training_mean"][f"{metric}_scaled"] == pytest.approx(0.0, abs=1e-12)
        assert rows[MODEL][f"{metric}_scaled"] > 1.0, "who knows the truth beats a replicate, which is noisy"
    assert CEILING not in scored.methods
    assert scored.verdict().baseline != CEILING


def test_perturbations_without_halves_have_no_ceiling(world):
    whole, halves, makers = world
    some = tuple(half.select(whole.perturbations[:12]) for half in halves)
    scored = cross_validate(whole, {MODEL: makers["oracle"], **METHODS}, halves=some)
    assert scored.table(CEILING)["squared_error"].notna().sum() == 12
    row = next(row for row in scored.summary() if row["name"] == "training_mean")
    assert row["error_scaled"] == pytest.approx(0.0, abs=1e-12)


def test_nothing_is_scaled_where_halves_do_not_agree(world):
    whole, _, makers = world
    rng = np.random.default_rng(5)
    noise = tuple(measured(np.zeros(whole.effect.shape), whole.targets, 1.0, rng) for _ in range(2))
    mean = replace(whole, effect=(noise[0].effect + noise[1].effect) / 2)
    scored = cross_validate(mean, {MODEL: makers["oracle"], **METHODS}, halves=noise)
    assert all(row["pearson_mean_scaled"] is None for row in scored.summary())


def test_seeds_are_averaged_and_kept(world):
    whole, halves, makers = world
    methods = {MODEL: makers["oracle"], **METHODS}
    parts = [cross_validate(whole, methods, seed=seed, halves=halves) for seed in range(3)]
    both = averaged_over_seeds(parts)
    name = whole.perturbations[3]
    wanted = np.mean([part.table("training_mean").loc[name, "squared_error"] for part in parts])
    assert both.table("training_mean").loc[name, "squared_error"] == pytest.approx(wanted)
    leads = both.seed_leads("training_mean")
    assert len(leads["error"]) == 3
    for lead, part in zip(leads["error"], parts, strict=True):
        assert lead == pytest.approx(part.lead("training_mean")[0])
    assert both.leads("training_mean")["error"][0] == pytest.approx(both.lead("training_mean")[0])
    assert averaged_over_seeds(parts[:1]) is parts[0]


def test_leads_are_positive_where_the_model_is_better(scored):
    leads = scored.leads("no_change")
    assert all(low <= value <= high for value, low, high in leads.values())
    assert leads["error"][0] > 0
    assert leads["pearson_control"][0] > 0
    assert set(leads) <= set(METRICS)


def test_groups_by_what_was_seen(world):
    whole, _, makers = world
    splits = make_splits("genes", whole.perturbations, whole.targets, folds=5, seed=0)
    methods = {MODEL: makers["oracle"], "additive": additive, **METHODS}
    groups = cross_validate(whole, methods, splits=splits).groups()
    assert set(groups) == {(1, 0), (2, 0), (2, 1)} or set(groups) == {(1, 0), (2, 1)}
    assert sorted(groups[1, 0].perturbations) == sorted(p for p in whole.perturbations if "_" not in p)
    splits = make_splits("combinations", whole.perturbations, whole.targets, folds=3, seed=0)
    pairs = cross_validate(whole, methods, splits=splits, held_out="combinations")
    assert set(pairs.groups()) == {(2, 2)}
    assert pairs.verdict().baseline == "additive"
    assert "on combinations it never saw" in pairs.verdict().sentence


def test_the_report_says_all_of_it_and_survives_json(world):
    whole, halves, makers = world
    methods = {MODEL: makers["oracle"], **METHODS, "flat_twin": makers["copier"]}
    parts = [cross_validate(whole, methods, seed=seed, halves=halves) for seed in range(3)]
    found = held_out(
        averaged_over_seeds(parts), strength=dict.fromkeys(whole.perturbations, 1.0), halves="cells at random"
    )
    again = HeldOut.model_validate_json(json.dumps(json.loads(found.model_dump_json()), allow_nan=False))
    assert again == found
    assert found.n_seeds == 3
    assert found.best_baseline == "training_mean"
    assert found.scores("flat_twin").error > found.scores(MODEL).error
    lead = next(lead for lead in found.leads if (lead.name, lead.metric) == ("flat_twin", "error"))
    assert lead.seeds_low <= lead.lead <= lead.seeds_high
    assert "hyperbolic instead of flat space helps the prediction" in variant_sentences(found)[0]
    text = "\n".join(held_out_lines(found))
    assert "averaged over 3 seeds" in text
    assert "cells at random" in text
    assert "combinations of 2 genes, 1 of them seen" in text
    assert "| Ceiling (the screen repeated) |" in text


def test_a_twin_that_is_level_claims_nothing(world):
    whole, _, makers = world
    scored = cross_validate(whole, {MODEL: makers["copier"], "flat_twin": makers["copier"], **METHODS})
    found = held_out(scored, strength=dict.fromkeys(whole.perturbations, 1.0))
    assert "does not clearly matter" in variant_sentences(found)[0]
