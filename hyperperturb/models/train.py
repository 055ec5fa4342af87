"""Training: from a screen or a table of effects and networks to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from hyperperturb.data.effects import Effects, compute_effects, read_effects
from hyperperturb.data.network import Network, network_from_adjacency
from hyperperturb.data.proteins import ProteinReport, compute_protein_effects
from hyperperturb.data.screen import inspect_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.cross_validation import cross_validate
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.evaluation.verdict import MODEL
from hyperperturb.models.baselines import simple_baselines
from hyperperturb.models.cell_training import fit_cell_heads, perturbation_points
from hyperperturb.models.cells import read_cells
from hyperperturb.models.direction_training import effects_from_cells, held_out_effects
from hyperperturb.models.epochs import EpochReport
from hyperperturb.models.export import hyperbolic_similarity
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.gene_space import place_genes
from hyperperturb.models.model import HyperPerturbModel, assemble
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.predictor import fit_head, model_predictor, target_kernels
from hyperperturb.models.protein_training import TrainedProteins, train_proteins
from hyperperturb.models.record import Trained, write_run
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.sources import CellSource, coexpression_of, gather_networks, without
from hyperperturb.models.universe import build_universe, centralities
from hyperperturb.nn.distribution import describe, make_strategy, scope
from hyperperturb.progress import scaled
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.cost import Workload, write_cost
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.resuming import CHECKPOINTS
from hyperperturb.runs.workers import folder_of_worker

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.data.protein_names import Rename
    from hyperperturb.nn.distribution import Strategy

# Where each part of a training ends, as a fraction of the whole: what the progress bar shows.
_EFFECTS, _NETWORKS, _UNIVERSE, _GENES, _SCORES, _HEAD, _CELLS = 0.08, 0.15, 0.22, 0.55, 0.68, 0.72, 0.95


def train_model(
    data: AnnData | Effects | str | Path,
    adj_matrix: sparse.sparray | sparse.spmatrix | np.ndarray | None = None,
    epochs: int = 30,
    batch_size: int = 16,
    learning_rate: float = 3e-4,
    curvature: float = 1.0,
    *,
    networks: Sequence[Network] = (),
    embedding_dim: int = 16,
    hidden_dim: int = 32,
    validation_split: float = 0.2,
    max_genes: int = 4000,
    max_cells: int = 20_000,
    seed: int = 0,
    cell_heads: bool = True,
    annealing: float = 0.0,
    stdp: float = 0.0,
    curriculum: bool = False,
    jit_compile: bool | None = None,
    strategy: Strategy = "auto",
    column: str | None = None,
    control: str | None = None,
    batch_column: str | None = None,
    proteins: str | Path | AnnData | None = None,
    protein_names: Rename = "",
    model_dir: str | Path = "models/saved",
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[HyperPerturbModel, pd.DataFrame]:
    """Train on a screen in memory or on effects, and write a run directory.

    Parameters
    ----------
    data
        An AnnData with a label column (raw counts, or what :func:`hyperperturb.data.preprocess_data` makes), or
        effects, or the path of an effects table.
    adj_matrix
        (n_genes, n_genes) symmetric weights over the genes of ``data``; with neither this nor ``networks`` the
        genes are related by their co-expression in the control cells.
    epochs
        Passes over the genes, and over the cells.
    batch_size, learning_rate
        Of the cell heads.
    curvature
        Curvature magnitude that learning starts from.
    networks
        Further networks.
    embedding_dim, hidden_dim, validation_split, max_genes, max_cells, seed, cell_heads, annealing, stdp, curriculum
        See :class:`hyperperturb.models.settings.TrainingSettings`.
    jit_compile, strategy
        See there too; None leaves ``jit_compile`` at its default.
    column, control
        Label column and control label; what the detection proposes when not given.
    batch_column
        Batches to compare within (:func:`~hyperperturb.data.effects.compute_effects`).
    proteins, protein_names
        Antibody counts of the same cells (:func:`hyperperturb.data.protein_files.open_proteins`), and how names of
        cells are mended to match. None takes ``obsm["protein"]`` of ``data``, where it is there.
    model_dir
        Folder that the run directory is made in.
    on_event
        Called with every progress event.

    Returns
    -------
    model, history
        The Keras model and one row an epoch (``stage``, ``epoch``, ``loss``, ``val_loss``, …). The model's ``run``
        attribute is the run directory's path.

    Raises
    ------
    HyperPerturbError
        When the data cannot be trained on; the sentence says why.
    """
    settings = TrainingSettings(
        embedding_dim=embedding_dim,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        curvature=curvature,
        hidden_dim=hidden_dim,
        max_genes=max_genes,
        max_cells=max_cells,
        validation_split=validation_split,
        seed=seed,
        cell_heads=cell_heads,
        annealing=annealing,
        stdp=stdp,
        curriculum=curriculum,
        strategy=strategy,
        **({} if jit_compile is None else {"jit_compile": jit_compile}),
    )
    strategy = make_strategy(settings.strategy)
    if isinstance(data, str | Path):
        data = read_effects(data)
    cells = measured = None
    if isinstance(data, Effects):
        if proteins is not None:
            raise HyperPerturbError(
                "Effects come without cells, so proteins cannot be joined to them.", hint="Give the screen."
            )
        effects = data
    else:
        column, control = _labels_of(data, column, control)
        effects = compute_effects(data, column=column, control=control, batch_column=batch_column)
        cells = CellSource(data, column, batch_column=batch_column)
        proteins = data if proteins is None and "protein" in data.obsm else proteins
        if proteins is not None:
            measured = compute_protein_effects(
                data,
                proteins,
                column=column,
                control=effects.control,
                rename=protein_names,
                batch_column=batch_column,
            )
    networks = list(networks)
    if adj_matrix is not None:
        names = effects.genes if cells is None else tuple(data.var_names.astype(str))
        networks.insert(0, network_from_adjacency(adj_matrix, names, name="adjacency"))
    if not networks:
        networks.append(coexpression_of(cells, effects, seed))
    config = RunConfig(
        column=column,
        control=effects.control,
        batch_column=batch_column,
        mode=effects.mode,
        settings=settings,
    )
    with folder_of_worker(settings.strategy, model_dir) as folder:
        run = RunDirectory.create(folder, config)
        if on_event is not None:
            run.listeners.append(on_event)
        run.begin()
        try:
            run.uses(describe(strategy))
            model = _train(run, effects, networks, cells, settings, strategy, measured)
        except KeyboardInterrupt:
            run.cancelled()
            raise
        except BaseException as error:
            run.fail(str(error) or type(error).__name__)
            raise
        run.finish()
        return model, run.history()


def _labels_of(adata: AnnData, column: str | None, control: str | None) -> tuple[str, str]:
    prepared = adata.uns.get("hyperperturb", {})
    column, control = column or prepared.get("column"), control or prepared.get("control")
    if column is None or control is None:
        proposal = inspect_screen(adata).require_usable()
        column, control = column or proposal.column, control or proposal.label
    return str(column), str(control)


def train_run(run: RunDirectory) -> HyperPerturbModel:
    """Do what a run's configuration says, or what is left of it to do; what the worker process calls.

    Raises
    ------
    HyperPerturbError
        When files cannot be read or do not fit together; the run directory's status is left to the caller.
    """
    run.keep_inputs()
    config = run.config.checked()
    settings = config.settings
    if settings.strategy == "multiworker":
        run.stage("workers", "waiting for the other workers", 0.0)
    strategy = make_strategy(settings.strategy)
    run.uses(describe(strategy))
    goes_on = any(run.file(name).exists() for name in CHECKPOINTS)
    cells = CellSource.of(config)
    report = _stage(run, "effects", 0.0, _EFFECTS)
    report(0.0, "reading the effects")
    if config.effects is not None:
        effects = read_effects(config.effects, mode=config.mode)
    else:
        effects = compute_effects(
            cells.screen,
            column=cells.column,
            control=str(config.control),
            layer=cells.layer,
            tables=cells.tables,
            mode=config.mode,
            batch_column=cells.batch_column,
            progress=report,
        )
    effects = without(effects, config.exclude)
    measured = None
    if config.proteins is not None:
        measured = compute_protein_effects(
            cells.screen,
            config.proteins,
            column=cells.column,
            control=str(config.control),
            layer=cells.layer,
            tables=cells.tables,
            rename=config.protein_names,
            mode=config.mode,
            batch_column=cells.batch_column,
            progress=report,
        )
    networks = gather_networks(
        config.networks,
        cells if config.coexpression else None,
        effects,
        seed=settings.seed,
        report=_stage(run, "networks", _EFFECTS, _NETWORKS),
        note=run.log,
    )
    model = _train(run, effects, networks, cells, settings, strategy, measured)
    if not goes_on:  # what is left of a training says nothing about a whole one
        work = Workload.of(settings, effects, networks, cells=cells is not None)
        write_cost(run, work)
    return model


def _stage(run: RunDirectory, name: str, start: float, end: float) -> Callable[[float, str], None]:
    return scaled(lambda fraction, message: run.stage(name, message, fraction), start, end)


def _train(
    run: RunDirectory,
    effects: Effects,
    networks: Sequence[Network],
    cells: CellSource | None,
    settings: TrainingSettings,
    strategy: Any,
    measured: tuple[Effects, ProteinReport] | None,
) -> HyperPerturbModel:
    started = time.monotonic()
    genes_checkpoint, cells_checkpoint = (run.file(name) for name in CHECKPOINTS)
    if genes_checkpoint.exists() or cells_checkpoint.exists():
        run.log("Going on from the last whole epoch.")
    targets = sorted({g for target in effects.targets for g in target})
    # Now, since a screen with too few genes is refused here.
    splits = gene_folds(effects.targets, folds=settings.folds, seed=settings.seed)
    run.stage("networks", "comparing genes along the networks", _NETWORKS)
    universe = build_universe(
        networks, targets=targets, response_genes=effects.genes, max_genes=settings.max_genes
    )
    run.log(
        f"{len(universe.genes):,} genes in the universe ({universe.n_left_out:,} left out), "
        f"{len(effects.perturbations):,} perturbations of {len(targets):,} genes, "
        f"{len(effects.genes):,} response genes."
    )
    central = centralities(universe.adjacency, seed=settings.seed)
    run.stage("genes", "placing the genes in hyperbolic space", _UNIVERSE)
    with scope(strategy):
        space = place_genes(
            universe,
            settings,
            checkpoint=genes_checkpoint,
            callbacks=[EpochReport(run, "genes", (_UNIVERSE, _GENES), _gene_values)],
        )
        points, curvature = space.points.embeddings.numpy(), float(space.curvature)
    row = {g: i for i, g in enumerate(universe.genes)}
    kernels = target_kernels(universe, partial(hyperbolic_similarity, points, curvature), targets)
    if isinstance(kernels, Neighbourhoods):
        run.log(
            f"With {len(targets):,} target genes the effect head sees {len(kernels.landmarks.columns)} landmarks and "
            f"{len(kernels.blocks)} neighbourhoods, which hold {kernels.inside:.0%} of the networks' weight."
        )

    report = _stage(run, "scores", _GENES, _SCORES)
    scores = cross_validate(
        effects,
        {MODEL: model_predictor(kernels, settings.seed), **simple_baselines(kernels)},
        splits=splits,
        progress=report,
    )
    run.log(scores.verdict().sentence)

    run.stage("effect head", "fitting the effect head on all perturbations", _SCORES)
    head = fit_head(effects, kernels, settings.seed)
    proteins = None if measured is None else _train_proteins(run, *measured, effects, kernels, settings)
    fitted = None
    if cells is not None and settings.cell_heads:
        run.stage("cells", "reading the perturbed cells", _HEAD)
        table = read_cells(
            cells.screen,
            effects,
            column=cells.column,
            layer=cells.layer,
            tables=cells.tables,
            max_cells=settings.max_cells,
            seed=settings.seed,
        )
        with scope(strategy):
            fitted = fit_cell_heads(
                table,
                effects,
                perturbation_points(points, [[row[g] for g in target] for target in effects.targets]),
                held_out_effects(effects, kernels, table.genes, folds=settings.folds, seed=settings.seed),
                partial(effects_from_cells, effects, kernels, table, parameters=head.parameters),
                curvature=curvature,
                hidden_dim=settings.hidden_dim,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                validation_split=settings.validation_split,
                seed=settings.seed,
                stdp=settings.stdp,
                curriculum=settings.curriculum,
                jit_compile=settings.jit_compile,
                checkpoint=cells_checkpoint,
                callbacks=[EpochReport(run, "cells", (_HEAD, _CELLS), lambda _: {"curvature": curvature})],
            )
    run.stage("writing", "writing the run", _CELLS)
    model = assemble(points, curvature, head, None if fitted is None else fitted.heads)
    trained = Trained(effects, networks, universe, central, points, curvature, head, fitted, scores, proteins)
    write_run(run, trained, model, seconds=time.monotonic() - started)
    model.run = str(run.path)
    return model


def _train_proteins(
    run: RunDirectory,
    measured: Effects,
    report: ProteinReport,
    effects: Effects,
    kernels: GeneKernels | Neighbourhoods,
    settings: TrainingSettings,
) -> TrainedProteins | None:
    """The head for proteins; None, with the reason in the log, where there is too little to learn from."""
    run.log(report.sentence)
    run.stage("effect head", "fitting the effect head on proteins", _SCORES)
    try:
        found = train_proteins(
            measured, effects, kernels, folds=settings.folds, seed=settings.seed, report=report
        )
    except HyperPerturbError as error:
        run.log(f"The run goes on without the proteins. {error}")
        return None
    run.log(f"On proteins: {found.scores.verdict().sentence}")
    return found


def _gene_values(model: Any) -> dict[str, float]:
    values = {"curvature": float(model.curvature)}
    annealing = getattr(model.optimizer, "annealing", None)
    if annealing is not None:
        values["field"] = float(annealing(model.optimizer.iterations))
    return values
