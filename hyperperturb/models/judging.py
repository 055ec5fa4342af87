"""The judge at work on a run or on data: the model, the baselines and, where asked for, variants and a ceiling.

Training scores itself, ``hyperperturb evaluate`` and ``hyperperturb benchmark`` all go through
:func:`hyperperturb.evaluation.cross_validation.cross_validate` with the predictors of this package.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hyperperturb.data.assignment import assign_cells
from hyperperturb.data.effects import Effects, read_effects
from hyperperturb.data.network import Network
from hyperperturb.data.opening import open_screen
from hyperperturb.data.replicates import Replicates, cells_within, compute_replicates
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.cross_validation import CrossValidation, averaged_over_seeds, cross_validate
from hyperperturb.evaluation.energy import CellSample
from hyperperturb.evaluation.report import HeldOut, RunMetrics, held_out, held_out_lines
from hyperperturb.evaluation.splits import make_splits
from hyperperturb.evaluation.verdict import HELD_OUT, MODEL
from hyperperturb.files import atomic_path, write_json
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.cells import screen_values
from hyperperturb.models.export import hyperbolic_similarity, load_arrays
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.predictor import model_predictor, target_kernels
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.sources import CellSource, gather_networks
from hyperperturb.models.strength import energy_distance
from hyperperturb.models.universe import Universe, build_universe
from hyperperturb.models.variants import trained_kernels, variant_kernels
from hyperperturb.progress import Progress, no_progress, scaled
from hyperperturb.runs.directory import RunDirectory

_PERTURBED, _CONTROLS, _GENES, _SAMPLED = 60, 300, 500, 300


@dataclass(frozen=True)
class Question:
    """What is to be judged.

    Attributes
    ----------
    held_out
        ``genes``, ``combinations``, ``leave-one-out``, or the path of a table of folds.
    folds
        Of the first two.
    seeds
        Each deals the folds anew.
    variants
        Names of :data:`hyperperturb.evaluation.verdict.VARIANTS`.

    Examples
    --------
    >>> Question(held_out="my_folds.csv").kind
    'file'
    """

    held_out: str = "genes"
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    variants: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Key of :data:`hyperperturb.evaluation.verdict.HELD_OUT`."""
        return self.held_out if self.held_out in HELD_OUT else "file"


@dataclass(frozen=True)
class Material:
    """What the judge works on.

    Attributes
    ----------
    effects
        All measured effects.
    replicates
        Halves of the screen, for the ceiling; None without cells.
    sample
        Cells for the energy distance; None without.
    networks
        For gene points that must be trained.
    """

    effects: Effects
    replicates: Replicates | None = None
    sample: CellSample | None = None
    networks: tuple[Network, ...] = ()


def judge(
    material: Material,
    question: Question,
    settings: TrainingSettings,
    *,
    kernels: GeneKernels | Neighbourhoods | None = None,
    universe: Universe | None = None,
    progress: Progress | None = None,
) -> tuple[CrossValidation, HeldOut]:
    """Score the model beside baselines and variants on what is held out.

    Parameters
    ----------
    material, question
        On what, and how.
    settings
        Of gene points that are trained.
    kernels
        What the model knows about genes; None trains gene points for each seed.
    universe
        Of the material's networks; None builds it where something needs it.
    progress
        Told what is at work; an exception it raises stops the work.

    Returns
    -------
    scores, found
        Every perturbation's scores, and what they come to.

    Raises
    ------
    HyperPerturbError
        Nothing can be held out; the networks know none of the targets.
    """
    effects, progress = material.effects, progress or no_progress
    targets = _targets(effects)
    if universe is None and (kernels is None or _needs_networks(question)):
        progress(0.0, "comparing genes along the networks")
        universe = _universe(material, settings)
    halves = None if material.replicates is None else material.replicates.halves
    parts = []
    for number, seed in enumerate(question.seeds):
        share = scaled(progress, number / len(question.seeds), (number + 1) / len(question.seeds))
        splits = make_splits(
            question.held_out, effects.perturbations, effects.targets, folds=question.folds, seed=seed
        )
        known = _kernels(
            material, question, settings, kernels, universe, targets, seed, scaled(share, 0.0, 0.6)
        )
        model = known.pop(MODEL)
        parts.append(
            cross_validate(
                effects,
                {
                    MODEL: model_predictor(model, seed),
                    **simple_baselines(model),
                    **{name: model_predictor(other, seed) for name, other in known.items()},
                },
                splits=splits,
                held_out=question.kind,
                cells=material.sample,
                halves=halves,
                progress=scaled(share, 0.6 if kernels is None or len(known) > 1 else 0.0, 1.0),
            )
        )
    scores = averaged_over_seeds(parts)
    strength = dict(zip(effects.perturbations, energy_distance(effects).tolist(), strict=True))
    words = "" if material.replicates is None else material.replicates.words
    return scores, held_out(scores, strength=strength, halves=words)


def _targets(effects: Effects) -> list[str]:
    return sorted({gene for target in effects.targets for gene in target})


def _needs_networks(question: Question) -> bool:
    return bool(set(question.variants) - {"random_embedding"})


def _universe(material: Material, settings: TrainingSettings) -> Universe:
    return build_universe(
        material.networks,
        targets=_targets(material.effects),
        response_genes=material.effects.genes,
        max_genes=settings.max_genes,
    )


def _kernels(
    material: Material,
    question: Question,
    settings: TrainingSettings,
    kernels: GeneKernels | Neighbourhoods | None,
    universe: Universe | None,
    targets: Sequence[str],
    seed: int,
    progress: Progress,
) -> dict[str, GeneKernels | Neighbourhoods]:
    """What the model and each variant know about genes."""
    model = kernels
    if model is None:
        progress(0.0, f"placing the genes in hyperbolic space, seed {seed}")
        model = trained_kernels(universe, targets, settings, seed=seed)
    out = {MODEL: model}
    for i, name in enumerate(question.variants, start=1):
        progress(
            i / (len(question.variants) + 1), f"making the variant {name.replace('_', ' ')}, seed {seed}"
        )
        out[name] = variant_kernels(
            name,
            model,
            networks=material.networks,
            universe=universe,
            targets=targets,
            response_genes=material.effects.genes,
            settings=settings,
            seed=seed,
        )
    return out


def gather(
    effects: Effects | None,
    cells: CellSource | None,
    *,
    control: str,
    halves: str = "auto",
    within: tuple[str, str] | None = None,
    mode: str = "knockout",
    seed: int = 0,
    progress: Progress | None = None,
) -> Material:
    """Get effects, halves and a sample of cells from a screen, or take effects as they are.

    Parameters
    ----------
    effects
        Taken instead of the screen's own; None computes those.
    cells
        The screen; None leaves no ceiling and no energy distance.
    control
        The control label.
    halves
        As ``by`` of :func:`hyperperturb.data.replicates.compute_replicates`; ``none`` leaves no ceiling.
    within
        An ``obs`` column and the value that cells must have there; only without ``effects``.
    mode, seed, progress
        As there.
    """
    if cells is None:
        if effects is None:
            raise HyperPerturbError("There is nothing to judge.", hint="Give a screen or a table of effects.")
        return Material(effects)
    replicates = None
    if effects is None or halves != "none":
        replicates = compute_replicates(
            cells.screen,
            column=cells.column,
            control=control,
            layer=cells.layer,
            tables=cells.tables,
            mode=mode,
            batch_column=cells.batch_column,
            by=halves,
            within=within,
            seed=seed,
            progress=progress,
        )
        effects = replicates.whole if effects is None else effects
    sample = sample_cells(cells, effects, control=control, within=within, seed=seed)
    return Material(effects, replicates, sample)


def sample_cells(
    cells: CellSource, effects: Effects, *, control: str, within: tuple[str, str] | None = None, seed: int = 0
) -> CellSample:
    """Draw cells for the energy distance: 60 of each of at most 300 perturbations, 300 controls, 500 genes.

    The genes are those with the largest variance of the effect over perturbations.
    """
    rng = np.random.default_rng(seed)
    columns = np.sort(np.argsort(-effects.effect.var(axis=0), kind="stable")[:_GENES])
    with open_screen(cells.screen, layer=cells.layer, tables=cells.tables) as screen:
        assigned = assign_cells(screen, cells.column, control)
        codes = assigned.codes
        if within is not None:
            codes = np.where(cells_within(screen, *within), codes, -1)
        number = {label: i + 1 for i, label in enumerate(assigned.perturbations)}
        rows = [i for i, label in enumerate(effects.perturbations) if label in number]
        if len(rows) > _SAMPLED:
            rows = np.sort(rng.choice(rows, _SAMPLED, replace=False)).tolist()
        drawn = {-1: _draw(codes, 0, _CONTROLS, rng)}
        drawn |= {row: _draw(codes, number[effects.perturbations[row]], _PERTURBED, rng) for row in rows}
        position = {gene: i for i, gene in enumerate(screen.genes)}
        genes = np.array([position[effects.genes[i]] for i in columns])
        wanted = np.unique(np.concatenate(list(drawn.values())))
        values = screen_values(screen, wanted, genes)
    found = {row: values[np.searchsorted(wanted, chosen)] for row, chosen in drawn.items()}
    return CellSample(columns, found.pop(-1), found)


def _draw(codes: np.ndarray, code: int, most: int, rng: np.random.Generator) -> np.ndarray:
    members = np.flatnonzero(codes == code)
    return members if len(members) <= most else np.sort(rng.choice(members, most, replace=False))


def evaluate_run(
    run: RunDirectory, question: Question, *, halves: str = "auto", progress: Progress | None = None
) -> tuple[CrossValidation, RunMetrics]:
    """Judge a run anew and write what is found into its ``metrics.json`` and ``card.md``, each atomically.

    Gene points are the run's own for every seed; everything learned from effects is learned in each fold.

    Parameters
    ----------
    run
        A finished run. Its files are enough, except that variants need its networks, and the ceiling and the energy
        distance its screen; a screen that is no longer there leaves those out.
    question
        What to judge.
    halves
        See :func:`gather`.
    progress
        Told what is at work.

    Raises
    ------
    HyperPerturbError
        The run is not usable; a network that a variant needs is not there.
    """
    if not run.usable:
        raise HyperPerturbError(
            f"The run '{run.name}' is not finished.", hint="List the runs: hyperperturb runs"
        )
    progress = progress or no_progress
    config, effects = run.config, read_effects(run.file("effects.parquet"))
    cells = CellSource.of(config)
    if cells is not None and not cells.screen.exists():
        cells = None
    material = gather(
        effects,
        cells,
        control=str(config.control or effects.control),
        halves=halves,
        mode=config.mode,
        seed=config.settings.seed,
        progress=scaled(progress, 0.0, 0.1),
    )
    points, curvature, head, *_ = load_arrays(run.file("arrays.npz"))
    kernels = None if head.local is not None else head.kernels
    if kernels is None or _needs_networks(question):
        networks = gather_networks(
            config.checked().networks,
            cells if config.coexpression else None,
            effects,
            seed=config.settings.seed,
            report=scaled(progress, 0.1, 0.2),
            note=lambda sentence: progress(0.2, sentence),
        )
        material = replace(material, networks=tuple(networks))
    universe = None
    if kernels is None:  # of very many targets a run keeps the solution, not what the process looks at
        universe = _universe(material, config.settings)
        if universe.genes != head.kernels.genes:
            raise HyperPerturbError(
                "The networks are no longer those of the run.", hint="Train the run anew."
            )
        kernels = target_kernels(
            universe, partial(hyperbolic_similarity, points, curvature), _targets(effects)
        )
    scores, found = judge(
        material,
        question,
        config.settings,
        kernels=kernels,
        universe=universe,
        progress=scaled(progress, 0.2, 1.0),
    )
    before = RunMetrics.model_validate(run.metrics())
    metrics = before.model_copy(update={name: getattr(found, name) for name in HeldOut.model_fields})
    write_json(run.file("metrics.json"), metrics)
    card = judged_card(run.card(), metrics)
    if card:
        with atomic_path(run.file("card.md")) as temporary:
            temporary.write_text(card, encoding="utf-8")
    return scores, metrics


def judged_card(card: str, found: HeldOut) -> str:
    """A card with another verdict and another section about held-out perturbations."""
    section = "\n".join(["## Held-out genes", "", *held_out_lines(found)])
    section += "\nThe saved model is fitted on all perturbations.\n\n"
    parts = re.split(r"(?m)^(?=## )", card)
    head = parts[0].split("\n\n")
    if len(head) > 1:
        head[1] = found.verdict
    return "".join(["\n\n".join(head), *(section if p.startswith("## Held-out") else p for p in parts[1:])])
