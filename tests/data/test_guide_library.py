"""Combinations of the simulated screen: doubles, triples, and the pairs whose genes interact."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest

from hyperperturb.data.effects import compute_effects, read_effects
from hyperperturb.data.simulate import CONTROL, simulate_screen, write_simulation

SIZES = {"n_genes": 240, "n_regulators": 36, "n_single": 36, "n_double": 120, "n_triple": 30, "n_cells": 2000}


@pytest.fixture(scope="module")
def plain():
    return simulate_screen(seed=1, **SIZES)


@pytest.fixture(scope="module")
def interacting():
    return simulate_screen(seed=1, **SIZES, epistasis=0.5)


def of(effects, targets) -> np.ndarray:
    return effects.effect[effects.targets.index(tuple(sorted(targets)))].astype(np.float64)


def test_the_demo_is_what_it_was():
    """What was added draws from a source of its own. The digest is of the screen before there were triples."""
    screen = simulate_screen(seed=3, n_genes=90, n_regulators=12, n_single=12, n_double=3, n_cells=400)
    guides = ",".join(screen.adata.obs["guide"])
    assert hashlib.sha256(guides.encode()).hexdigest()[:16] == "8befd79a49c707f0"
    assert screen.adata.X.sum() == 937255.0


def test_numbers_and_labels(plain):
    effects = plain.true_effects
    sizes = [len(t) for t in effects.targets]
    assert [sizes.count(n) for n in (1, 2, 3)] == [36, 120, 30]
    assert len(set(effects.targets)) == len(effects.targets)
    for label, targets in zip(effects.perturbations, effects.targets, strict=True):
        assert tuple(sorted(label.split("_"))) == targets
    doubles = {t for t in effects.targets if len(t) == 2}
    triples = [t for t in effects.targets if len(t) == 3]
    extend = [any(pair in doubles for pair in combinations(t, 2)) for t in triples]
    assert np.mean(extend) > 0.8, "a triple is mostly a double with a third gene"
    found = compute_effects(plain.adata, column="perturbation", control=CONTROL, mode="knockdown")
    assert found.targets == effects.targets
    guides = plain.adata.obs["guide"].astype(str)
    triple = plain.adata.obs["perturbation"].astype(str).str.count("_") == 2
    assert set(guides[triple].str.count(r"\+")) == {2}


def test_without_epistasis_nothing_interacts(plain):
    assert plain.epistasis == {}
    assert not plain.true_interactions.effect.any()
    assert len(plain.true_interactions.perturbations) == 150


def test_epistasis_changes_the_pairs_it_names_and_no_others(plain, interacting):
    doubles = {t for t in interacting.true_effects.targets if len(t) == 2}
    pairs = {frozenset(pair) for pair in interacting.epistasis}
    assert sum(frozenset(t) in pairs for t in doubles) == 60
    truth = interacting.true_interactions
    for targets, effect in zip(truth.targets, truth.effect, strict=True):
        touched = any(frozenset(pair) in pairs for pair in combinations(targets, 2))
        assert effect.any() == touched
    # against the same screen without it, whose lookup table of expected values has another grid
    for targets in interacting.true_effects.targets:
        difference = of(interacting.true_effects, targets) - of(plain.true_effects, targets)
        expected = of(truth, targets) if len(targets) > 1 else 0.0
        assert difference == pytest.approx(expected, abs=0.01)


def test_kinds_are_what_their_names_say(interacting):
    effects = interacting.true_effects
    along: dict[str, list[float]] = {"none": [], "synergy": [], "buffering": [], "suppression": []}
    stronger: dict[str, list[float]] = {name: [] for name in along}
    kind_of = {tuple(sorted(pair)): kind for pair, kind in interacting.epistasis.items()}
    for targets in effects.targets:
        if len(targets) != 2:
            continue
        singles = [of(effects, [g]) for g in targets]
        total, double = sum(singles), of(effects, targets)
        kind = kind_of.get(targets, "none")
        along[kind].append(float(double @ total / (total @ total)))
        stronger[kind].append(float(np.linalg.norm(double) / max(map(np.linalg.norm, singles))))
    assert all(len(values) >= 3 for values in along.values())
    assert np.median(along["none"]) == pytest.approx(1.0, abs=0.1)
    assert np.median(along["synergy"]) > 1.15
    assert np.median(along["buffering"]) < 0.85
    assert np.median(along["suppression"]) < 0.7
    assert np.median(stronger["suppression"]) < 0.85 < np.median(stronger["buffering"])


def test_interactions_are_likelier_within_a_module():
    share = {True: [], False: []}
    for seed in range(3):
        screen = simulate_screen(seed=seed, **SIZES | {"n_cells": 1900}, epistasis=0.3)
        module = screen.adata.var["module"].to_dict()
        pairs = {frozenset(pair) for pair in screen.epistasis}
        for targets in screen.true_effects.targets:
            if len(targets) == 2:
                share[module[targets[0]] == module[targets[1]]].append(frozenset(targets) in pairs)
        for pair, kind in screen.epistasis.items():
            same = module[pair[0]] == module[pair[1]]
            assert kind in (("buffering", "synergy") if same else ("suppression", "synergy"))
    assert np.mean(share[True]) > 1.5 * np.mean(share[False])


@pytest.mark.parametrize("seed", range(3))
def test_every_seed_settles_with_all_pairs_interacting(seed):
    screen = simulate_screen(seed=seed, **SIZES | {"n_cells": 1900}, epistasis=1.0)
    assert np.isfinite(screen.true_effects.effect).all()


def test_all_triples_of_few_genes():
    screen = simulate_screen(
        n_genes=40, n_regulators=6, n_single=5, n_double=0, n_triple=10, n_cells=200, epistasis=1.0
    )
    assert sum(len(t) == 3 for t in screen.true_effects.targets) == 10
    assert screen.epistasis, "the pairs of triples interact too"


def test_written_with_the_interactions(interacting, tmp_path):
    paths = write_simulation(interacting, tmp_path / "demo.h5ad")
    assert {paths[key].name for key in ("true_interactions", "epistasis")} == {
        "demo.true_interactions.parquet",
        "demo.epistasis.csv",
    }
    read = read_effects(paths["true_interactions"])
    assert read.targets == interacting.true_interactions.targets
    assert np.array_equal(read.effect, interacting.true_interactions.effect)
    lines = paths["epistasis"].read_text().splitlines()
    assert lines[0] == "gene,other,kind"
    assert len(lines) == 1 + len(interacting.epistasis)
