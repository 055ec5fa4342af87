"""Leaving a perturbation out of a finished run is the process without everything that shares a gene with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.calibration import inside
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.left_out import left_out_effects
from hyperperturb.models.local_process import LocalProcess

GENES = tuple(f"G{i}" for i in range(10))
RESPONSE = ("G0", "G1", *(f"R{i}" for i in range(6)))
TARGETS = (*((g,) for g in GENES[:6]), ("G0", "G1"), ("G2", "G6"))
FIXED = KernelParameters(mean=0.3, diffusion=0.8, hyperbolic=0.5, own=0.2, noise=0.1, factor=0.85)
PAIRS = replace(FIXED, pair=0.3, pair_own=0.5)


def similarity(seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(len(GENES), 3))
    return np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1))


@pytest.fixture(scope="module")
def effects() -> Effects:
    rng = np.random.default_rng(3)
    effect = rng.normal(size=(len(TARGETS), len(RESPONSE))).astype(np.float32)
    return Effects(
        perturbations=tuple("+".join(target) for target in TARGETS),
        targets=TARGETS,
        genes=RESPONSE,
        effect=effect,
        standard_error=rng.uniform(0.1, 0.4, size=effect.shape).astype(np.float32),
        n_cells=np.full(len(TARGETS), 50),
        control="control",
        control_mean=np.linspace(0.2, 1.0, len(RESPONSE)).astype(np.float32),
        control_variance=None,
        n_control_cells=100,
        mode="knockdown",
    )


def fitted(effects: Effects, parameters: KernelParameters = FIXED) -> EffectHead:
    return EffectHead.fit(
        effects.targets,
        effects.genes,
        effects.effect,
        kernels=GeneKernels(GENES, similarity(1), similarity(2)),
        standard_error=effects.standard_error,
        control_mean=effects.control_mean,
        parameters=parameters,
    )


@pytest.mark.parametrize("parameters", [FIXED, PAIRS], ids=["additive", "with interactions"])
@pytest.mark.parametrize("label", ["G0", "G0+G1", "G5"])
def test_it_is_the_prediction_of_a_head_that_never_saw_its_genes(effects, label, parameters):
    found = left_out_effects(fitted(effects, parameters), effects, label)
    own = set(label.split("+"))
    rest = [
        p for p, target in zip(effects.perturbations, effects.targets, strict=True) if not own & {*target}
    ]
    assert len(rest) < len(effects.perturbations)
    mean, error = fitted(effects.select(rest), parameters).predict([tuple(label.split("+"))])
    # a run keeps its similarities as float32
    np.testing.assert_allclose(found["effect"], mean[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["standard_error"], error[0], rtol=1e-4)
    row = effects.index(label)
    np.testing.assert_allclose(found["measured"], effects.effect[row], rtol=1e-6)
    assert set(found.loc[found["own"], "gene"]) == own & set(RESPONSE)
    expected = inside(mean, error, effects.effect[[row]], effects.standard_error[[row]])
    assert found["inside"].tolist() == expected[0].tolist()


def test_what_it_leaves_out_does_not_reach_the_prediction(effects):
    changed = effects.effect.copy()
    rows = [effects.index(p) for p in ("G0", "G0+G1")]
    changed[rows] += 5
    other = replace(effects, effect=changed)
    before, after = (left_out_effects(fitted(e), e, "G0") for e in (effects, other))
    np.testing.assert_allclose(before["effect"], after["effect"], atol=1e-6)
    assert not np.allclose(before["measured"], after["measured"])


def test_what_cannot_be_left_out_is_a_sentence(effects):
    head = fitted(effects)
    with pytest.raises(HyperPerturbError, match="NOT"):
        left_out_effects(head, effects, "NOT")
    few = effects.select(["G0", "G1", "G0+G1"])
    with pytest.raises(HyperPerturbError, match="remain to learn from"):
        left_out_effects(fitted(few), few, "G0+G1")
    local = LocalProcess.__new__(LocalProcess)  # never looked into: there is one, and that is enough
    with pytest.raises(HyperPerturbError, match="too many to leave one out"):
        left_out_effects(replace(head, local=local), effects, "G0")
