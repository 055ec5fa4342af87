"""The quality of a screen: what a reviewer would ask about its perturbations, guides, batches and controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperperturb.data.assignment import Assignment, assign_cells
from hyperperturb.data.effects import Mode
from hyperperturb.data.moderation import shape_of_levels, skewness_of_difference, two_sided
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.data.placing import place_cells, sampled_values
from hyperperturb.data.quality_guides import (
    MIN_GUIDE_CELLS,
    Units,
    count_doublets,
    find_guide_column,
    guide_agreement,
    make_units,
)
from hyperperturb.data.quality_measures import (
    N_VARIABLE,
    EnergyTester,
    adjusted,
    imbalance,
    principal_components,
)
from hyperperturb.data.quality_report import RATE, BatchQuality, GuideQuality, PerturbationQuality, Quality
from hyperperturb.data.quality_warnings import find_warnings
from hyperperturb.data.screen import count_labels, find_batch_column
from hyperperturb.data.statistics import CellTally, label_sums
from hyperperturb.data.sums import effects_of_sums, moderation_of_sums, moments
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import finite
from hyperperturb.progress import Progress, RateMeter, scaled

if TYPE_CHECKING:
    from anndata import AnnData

CONTROL_CELLS, PERTURBED_CELLS = 1500, 300
"""Most cells of the controls and of a perturbation that energy distances are measured on, drawn at random."""
_FITTING_CELLS = 10_000  # that principal components are found on
_VISIBLE = 3.0  # standard errors that half (or twice) the expression of a target must amount to, to be missed
_SUMS_LIMIT = 1 << 30  # bytes of sums by guide


def assess_quality(
    source: str | Path | AnnData | Screen,
    *,
    column: str,
    control: str,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    mode: Mode = "knockout",
    batch_column: str | None = None,
    guide_column: str | None = None,
    within_batches: bool = False,
    permutations: int = 999,
    seed: int = 0,
    progress: Progress | None = None,
) -> Quality:
    """Judge a screen.

    The cells are read twice, in blocks (CSC files four times). Statistics of genes use all cells; energy distances at
    most 1,500 controls and 300 cells of each perturbation, on 50 principal components of the 2,000 most variable genes
    (centred, not scaled).

    Parameters
    ----------
    source, column, control, layer, tables, mode
        As in :func:`~hyperperturb.data.effects.compute_effects`.
    batch_column, guide_column
        Columns of ``obs``; None looks for them.
    within_batches
        Whether effects are computed within these batches: that cells are spread unevenly over them is then a note, not
        a warning. What is measured here is against all controls.
    permutations
        Of each energy distance; the smallest p-value is one over their number plus one.
    seed
        Of permutations and of drawing cells.
    progress
        Told what is being done; an exception it raises stops the work.

    Returns
    -------
    Quality
        The same for the same file and seed, every time.

    Raises
    ------
    HyperPerturbError
        What :func:`~hyperperturb.data.effects.compute_effects` refuses; no such batch or guide column.
    """
    if permutations < 19:
        raise HyperPerturbError(
            f"{permutations} permutations cannot show a p-value below 5 %.",
            hint="Give at least 19; 999 is usual.",
        )
    if not isinstance(source, Screen):
        with open_screen(source, layer=layer, tables=tables) as screen:
            return assess_quality(
                screen,
                column=column,
                control=control,
                mode=mode,
                batch_column=batch_column,
                guide_column=guide_column,
                within_batches=within_batches,
                permutations=permutations,
                seed=seed,
                progress=progress,
            )
    assigned = assign_cells(source, column, control)
    guide_column = guide_column or find_guide_column(source, column, assigned)
    batch_column = batch_column or find_batch_column(source, count_labels(source)[0])
    units = make_units(source, assigned, guide_column, seed=seed)
    too_many = guide_column is not None and len(units.n_cells) * source.n_genes * 24 > _SUMS_LIMIT
    if too_many:  # sums of so many guides have no room in memory
        guide_column = None
        units = make_units(source, assigned, None, seed=seed)
    rows, fit = _drawn(assigned, seed)
    tally = CellTally.of(source, fit)
    sums = label_sums(
        source, units.codes, len(units.n_cells), tally=tally, progress=scaled(progress, 0.0, 0.4)
    )
    genes = _variable(sums, int(units.n_cells.sum()))
    components = principal_components(sampled_values(source, tally, genes), genes)
    by_genes, guides, within, between = _judge_genes(
        source, assigned, units, sums, control, mode, seed, scaled(progress, 0.4, 0.5)
    )
    del sums
    places = place_cells(source, rows, tally, components, progress=scaled(progress, 0.5, 0.8))
    by_energy = _judge_energies(assigned, rows, places, permutations, seed, scaled(progress, 0.8, 1.0))
    by_batch, batches, distance, p = _judge_batches(source, batch_column, assigned, tally)
    doublets, doublets_left_out = count_doublets(source, column, guide_column, assigned)
    found = Quality(
        column=column,
        control=control,
        mode=mode,
        guide_column=guide_column,
        batch_column=batch_column,
        n_cells=source.n_cells,
        n_control_cells=int(assigned.n_cells[0]),
        n_left_out=int((assigned.codes < 0).sum()),
        n_components=places.shape[1],
        permutations=permutations,
        doublets=doublets,
        doublets_left_out=doublets_left_out,
        control_batch_distance=distance,
        control_batch_p=p,
        guides_within=within,
        guides_between=between,
        perturbations=tuple(
            PerturbationQuality(
                perturbation=label,
                targets=assigned.targets[i],
                cells=int(assigned.n_cells[i + 1]),
                **by_genes[i],
                **by_energy[i],
                **by_batch[i],
            )
            for i, label in enumerate(assigned.perturbations)
        ),
        guides=guides,
        batches=batches,
    )
    return found.model_copy(
        update={"warnings": find_warnings(found, guides_left_out=too_many, within_batches=within_batches)}
    )


def _judge_genes(
    screen: Screen,
    assigned: Assignment,
    units: Units,
    sums: np.ndarray,
    control: str,
    mode: Mode,
    seed: int,
    report: Progress,
) -> tuple[list[dict[str, Any]], tuple[GuideQuality, ...], float | None, float | None]:
    """Significant genes, the targets' own response and the agreement of guides, from sums by unit."""
    n_controls = int(assigned.n_cells[0])
    halves = [moments(sums[half], max(int(units.n_cells[half]), 1))[0] for half in (0, 1)]
    labels = _by_label(sums, units.perturbation, len(assigned.n_cells))
    effects = effects_of_sums(labels, assigned, screen.genes, control=control, mode=mode)
    mean, variance = moments(labels[0], n_controls)
    moderate = moderation_of_sums(labels, assigned.n_cells)
    del labels
    skewness, _ = shape_of_levels(mean, variance, effects.control_detected, n_controls)
    place = {gene: i for i, gene in enumerate(screen.genes)}
    own = [np.array([place[g] for g in t if g in place], dtype=np.int64) for t in assigned.targets]
    names = [[screen.genes[g] for g in targets] for targets in own]
    members: list[list[int]] = [[] for _ in assigned.n_cells]
    for unit, number in enumerate(units.perturbation.tolist()):
        members[number].append(unit)

    rows: list[dict[str, Any]] = []
    signal = np.zeros(len(assigned.n_cells))
    meter = RateMeter(report, len(own), "Testing genes", "perturbations")
    for i, targets in enumerate(own):
        difference, error = effects.effect[i].astype(np.float64), effects.standard_error[i]
        p = effects.p_values(np.array([i]))[0]
        keep = np.ones(screen.n_genes, dtype=bool)
        keep[targets] = False
        known = bool(np.isfinite(p).any())
        if known and keep.any():
            apart = difference[keep].var() - np.nanmean(np.square(error[keep], dtype=np.float64))
            signal[i + 1] = max(float(apart), 0.0)
        found = (adjusted(np.where(keep, p, np.nan)) < RATE).sum()
        row = {"significant_genes": int(found) if known else None}
        rows.append(
            row
            | _judge_target(difference[targets], error[targets], p[targets], mean[targets], names[i], mode)
        )
        meter(i + 1)

    named = [unit for unit in range(2, len(units.guide)) if units.guide[unit] and n_controls >= 4]
    numbers = units.perturbation[named].tolist()
    of_controls = moderate(variance, n_controls) / n_controls
    differences, noise, guides = [], [], []
    for unit, number in zip(named, numbers, strict=True):
        n = int(units.n_cells[unit])
        own_mean, own_variance = moments(sums[unit], n)
        square = moderate(own_variance, n) / n
        differences.append(np.stack([own_mean - half for half in halves]).astype(np.float32))
        noise.append(float((square + 2 * of_controls).mean()))
        at = own[number - 1]
        difference, error = own_mean[at] - mean[at], np.sqrt(square[at] + of_controls[at])
        few = skewness_of_difference(skewness[at], n, n_controls)
        p = two_sided(np.divide(difference, error, out=np.full(len(at), np.nan), where=error > 0), few)
        guides.append(_judge_target(difference, error, p, mean[at], names[number - 1], mode))
    agreement = guide_agreement(
        differences,
        numbers,
        units.n_cells[named].tolist(),
        [own[number - 1] for number in numbers],
        noise=noise,
        signal=signal[numbers].tolist(),
        seed=seed,
    )
    for i, row in enumerate(rows):
        usable = [u for u in members[i + 1] if units.guide[u] and units.n_cells[u] >= MIN_GUIDE_CELLS]
        row["guides"] = len(usable)
        row["guide_agreement"] = finite(agreement.by_perturbation.get(i + 1, np.nan))
        row["guide_expected"] = finite(agreement.expected.get(i + 1, np.nan))
    table = tuple(
        GuideQuality(
            perturbation=assigned.perturbations[number - 1],
            guide=units.guide[unit],
            cells=int(units.n_cells[unit]),
            target_effect=found["target_effect"],
            target_p=found["target_p"],
            agreement=finite(agreement.by_guide[at]),
        )
        for at, (unit, number, found) in enumerate(zip(named, numbers, guides, strict=True))
    )
    return rows, table, finite(agreement.within), finite(agreement.between)


def _by_label(sums: np.ndarray, label: np.ndarray, n_labels: int) -> np.ndarray:
    """Sums of the units of each label, (n_labels, G, 3)."""
    out = np.zeros((n_labels, *sums.shape[1:]))
    for unit, number in enumerate(label):
        out[number] += sums[unit]
    return out


def _judge_target(
    difference: np.ndarray,
    error: np.ndarray,
    p: np.ndarray,
    control_mean: np.ndarray,
    names: list[str],
    mode: Mode,
) -> dict[str, Any]:
    """The measured target that moved least in the wanted direction, from the tests of all of them."""
    if not names:
        return {
            "target": None,
            "target_effect": None,
            "target_remaining": None,
            "target_p": None,
            "target_visible": False,
        }
    sign = 1.0 if mode == "activation" else -1.0
    at = int(np.argmin(sign * difference))
    level = np.expm1(control_mean[at])  # counts per 10,000 of a typical control cell
    wanted = abs(np.log1p(level * (2.0 if mode == "activation" else 0.5)) - control_mean[at])
    left = np.expm1(control_mean[at] + difference[at]) / level if level > 0 else np.nan
    return {
        "target": names[at],
        "target_effect": finite(difference[at]),
        "target_remaining": finite(left),
        "target_p": finite(p[at]),
        "target_visible": bool(wanted > _VISIBLE * error[at]),
    }


def _variable(sums: np.ndarray, n_cells: int) -> np.ndarray:
    """The genes whose log1p(CP10k) varies most from cell to cell, by their sums over all units."""
    _, variance = moments(sums.sum(axis=0), n_cells)
    return np.sort(np.argsort(-np.nan_to_num(variance), kind="stable")[:N_VARIABLE])


def _drawn(assigned: Assignment, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells that energy distances are measured on, and those of them that components are found on, rising."""
    codes = assigned.codes
    used = np.flatnonzero(codes >= 0)
    limit = np.append(CONTROL_CELLS, np.full(len(assigned.perturbations), PERTURBED_CELLS))
    order = np.random.default_rng(seed).permutation(used)
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(assigned.n_cells) - assigned.n_cells
    rank = np.arange(len(order)) - starts[codes[order]]
    rows = np.sort(order[rank < limit[codes[order]]])
    fit = np.random.default_rng(seed).choice(rows, min(len(rows), _FITTING_CELLS), replace=False)
    return rows, np.sort(fit)


def _judge_energies(
    assigned: Assignment,
    rows: np.ndarray,
    places: np.ndarray,
    permutations: int,
    seed: int,
    report: Progress,
) -> list[dict[str, Any]]:
    codes = assigned.codes[rows]
    tester = EnergyTester(places[codes == 0], permutations=permutations, seed=seed)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(assigned.n_cells) + 1))
    meter = RateMeter(report, len(assigned.perturbations), "Permuting cells", "perturbations")
    found = []
    for i in range(1, len(assigned.n_cells)):
        found.append(tester(places[order[bounds[i] : bounds[i + 1]]]))
        meter(i)
    q = adjusted(np.array([test.p for test in found]))
    return [
        {
            "energy": finite(test.distance),
            "energy_chance": finite(test.chance),
            "energy_p": finite(test.p),
            "energy_q": finite(q[i]),
        }
        for i, test in enumerate(found)
    ]


def _judge_batches(
    screen: Screen, column: str | None, assigned: Assignment, tally: CellTally
) -> tuple[list[dict[str, Any]], tuple[BatchQuality, ...], float | None, float | None]:
    if column is None:
        return [{"batch_distance": None, "batch_p": None}] * len(assigned.perturbations), (), None, None
    labels = screen.label_codes(column)
    table = np.zeros((len(assigned.n_cells), len(labels.categories)), dtype=np.int64)
    there = (assigned.codes >= 0) & (labels.codes >= 0)
    np.add.at(table, (assigned.codes[there], labels.codes[there]), 1)
    compared = [imbalance(row, table[0]) for row in table[1:]]
    rows = [{"batch_distance": finite(d), "batch_p": finite(p)} for d, p in compared]
    batches = []
    for number, name in enumerate(labels.categories):
        inside = labels.codes == number
        if not inside.any():
            continue
        batches.append(
            BatchQuality(
                batch=name,
                cells=int(inside.sum()),
                control_cells=int(table[0, number]),
                perturbed_cells=int(table[1:, number].sum()),
                perturbations=int((table[1:, number] > 0).sum()),
                median_counts=None if screen.is_log else float(np.median(tally.depth[inside])),
                median_genes=float(np.median(tally.n_detected[inside])),
            )
        )
    distance, p = imbalance(table[0], table[1:].sum(axis=0))
    return rows, tuple(batches), finite(distance), finite(p)
