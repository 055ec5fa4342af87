"""The cost of a training: growing with what is asked for, corrected by what trainings here took."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb import machine
from hyperperturb.data.effects import Effects
from hyperperturb.data.network import network_from_adjacency
from hyperperturb.models.settings import PRESETS
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.cost import COST, Cost, Workload, costs, estimate, memory, seconds, write_cost
from hyperperturb.runs.directory import RunDirectory


def effects(n_genes: int, n_perturbations: int, n_cells: int) -> Effects:
    genes = tuple(f"G{i}" for i in range(n_genes))
    shape = (n_perturbations, n_genes)
    return Effects(
        perturbations=genes[:n_perturbations],
        targets=tuple((gene,) for gene in genes[:n_perturbations]),
        genes=genes,
        effect=np.zeros(shape, np.float32),
        standard_error=np.ones(shape, np.float32),
        n_cells=np.full(n_perturbations, n_cells // n_perturbations),
        control="control",
    )


def workload(
    preset: str, genes: int, perturbations: int, response_genes: int, cells: int, edges: int
) -> Workload:
    chosen = PRESETS[preset]
    return Workload(
        genes=min(genes, chosen.max_genes),
        cells=min(cells, chosen.max_cells),
        perturbations=perturbations,
        targets=perturbations,
        response_genes=response_genes,
        edges=edges,
        epochs=chosen.epochs,
        compiled=chosen.jit_compile,
    )


DEMO = (600, 100, 600, 10_511, 2217)
PAPALEXI = (9555, 25, 299, 18_343, 116_118)


@pytest.mark.parametrize(
    ("preset", "screen", "took", "peak"),
    [
        # quiet trainings of 2026-11-27 on two cores; None where the machine was not quiet
        ("quick", DEMO, 28.7, 1167),
        ("standard", DEMO, 40.6, 1232),
        ("thorough", DEMO, None, 1476),
        ("quick", PAPALEXI, 28.6, 1163),
        ("standard", PAPALEXI, 36.8, 1527),
        ("thorough", PAPALEXI, None, 1846),
    ],
)
def test_what_was_measured_is_met_within_a_factor_of_two(preset, screen, took, peak):
    work = workload(preset, *screen)
    if took is not None:
        assert took / 1.5 < seconds(work) < 1.5 * took
    assert peak / 1.3 < memory(work) / 1e6 < 1.3 * peak


def test_a_workload_is_what_the_training_will_see():
    measured = effects(3000, 20, 9000)
    n = 3100
    adjacency = np.zeros((n, n), np.float32)
    adjacency[0, 1] = adjacency[1, 0] = 1.0
    network = network_from_adjacency(adjacency, [f"G{i}" for i in range(n)], name="n")
    quick, standard = (
        Workload.of(PRESETS[p], measured, [network], cells=True) for p in ("quick", "standard")
    )
    assert (quick.genes, standard.genes) == (2000, 3100)
    assert (quick.cells, standard.cells) == (8000, 9000)
    assert standard.edges == 1
    assert standard.targets == 20
    assert Workload.of(PRESETS["standard"], measured, [], cells=False).cells == 0
    assert Workload.of(PRESETS["standard"], effects(5000, 5000, 9000), [], cells=False).folds == 2


@pytest.mark.parametrize(
    "more", [{"genes": 9000}, {"cells": 18_000}, {"epochs": 60}, {"edges": 10**6}, {"perturbations": 2000}]
)
def test_more_of_anything_costs_more_time(more):
    work = workload("standard", *DEMO)
    assert seconds(work.model_copy(update=more)) > seconds(work)


def test_earlier_trainings_on_this_machine_correct_the_estimate():
    work = workload("standard", *DEMO)

    def took(
        factor: float, where: str = machine.name(), peak: float | None = 2.0, device: str = "CPU"
    ) -> Cost:
        return Cost(
            workload=work,
            seconds=factor * seconds(work),
            peak_memory=None if peak is None else round(peak * memory(work)),
            machine=where,
            device=device,
        )

    plain = estimate(work)
    assert plain.earlier == 0
    assert plain.seconds == pytest.approx(seconds(work))
    assert estimate(work, [took(9.0, "elsewhere"), took(9.0, device="GPU")], device="CPU") == plain
    corrected = estimate(work, [took(2.0), took(30.0, "elsewhere"), took(3.0), took(50.0, peak=None)])
    assert corrected.earlier == 3
    assert corrected.seconds == pytest.approx(
        3 * seconds(work), rel=1e-6
    )  # one disturbed training is no matter
    assert corrected.memory == pytest.approx(2 * memory(work), rel=1e-6)
    assert estimate(work, [took(1.0)] * 5 + [took(7.0)] * 20).seconds == pytest.approx(seconds(work))


def test_a_run_says_what_it_took(tmp_path):
    run = RunDirectory.create(tmp_path, RunConfig(effects="effects.csv"))
    other = RunDirectory.create(tmp_path, RunConfig(effects="effects.csv"))
    other.file(COST).write_text("{}")
    run.begin()
    run.uses("CPU (x86_64, 2 cores)")
    assert run.status.device == "CPU (x86_64, 2 cores)"
    work = workload("quick", *DEMO)
    write_cost(run, work)
    (cost,) = costs([run, other])
    assert cost.workload == work
    assert cost.machine == machine.name()
    assert cost.device == run.status.device
    assert 0 <= cost.seconds < 60
    assert cost.peak_memory > 10**7
