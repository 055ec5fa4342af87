"""Training: from a screen or a table of effects and networks to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata, spearmanr

from hyperperturb.data.effects import Effects, compute_effects, read_effects
from hyperperturb.data.network import (
    Network,
    coexpression_network,
    coverage,
    network_from_adjacency,
    save_network,
)
from hyperperturb.data.screen import inspect_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.cross_validation import MODEL, CrossValidation, Verdict, cross_validate
from hyperperturb.files import atomic_path, write_json
from hyperperturb.models.baselines import NetworkKernelRidge, no_change, training_mean
from hyperperturb.models.card import write_card
from hyperperturb.models.cell_training import FittedHeads, fit_cell_heads, perturbation_points
from hyperperturb.models.cells import read_cells
from hyperperturb.models.disk import disk_layout
from hyperperturb.models.effect_head import EffectHead, GeneKernels
from hyperperturb.models.export import CellHeadArrays, hyperbolic_similarity, save_arrays
from hyperperturb.models.gene_space import fit_gene_space, fit_quality
from hyperperturb.models.model import HyperPerturbModel, assemble
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.strength import energy_distance
from hyperperturb.models.universe import Universe, build_universe, centralities
from hyperperturb.progress import scaled
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.directory import RunDirectory

if TYPE_CHECKING:
    from anndata import AnnData

# Where each part of a training ends, as a fraction of the whole: what the progress bar shows.
_EFFECTS, _NETWORKS, _UNIVERSE, _GENES, _SCORES, _HEAD, _CELLS = 0.08, 0.15, 0.22, 0.55, 0.68, 0.72, 0.95


@dataclass(frozen=True)
class CellSource:
    """Where the cells of the cell heads are: a screen, its label column and layer."""

    screen: Path | AnnData
    column: str
    layer: str | None = None


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
    column: str | None = None,
    control: str | None = None,
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
    embedding_dim, hidden_dim, validation_split, max_genes, max_cells, seed, cell_heads
        See :class:`hyperperturb.models.settings.TrainingSettings`.
    column, control
        Label column and control label; what the detection proposes when not given.
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
    )
    if isinstance(data, str | Path):
        data = read_effects(data)
    cells = None
    if isinstance(data, Effects):
        effects = data
    else:
        column, control = _labels_of(data, column, control)
        effects = compute_effects(data, column=column, control=control)
        cells = CellSource(data, column)
    networks = list(networks)
    if adj_matrix is not None:
        names = effects.genes if cells is None else tuple(data.var_names.astype(str))
        networks.insert(0, network_from_adjacency(adj_matrix, names, name="adjacency"))
    if not networks:
        networks.append(_coexpression(cells, effects, seed))
    config = RunConfig(column=column, control=effects.control, mode=effects.mode, settings=settings)
    run = RunDirectory.create(model_dir, config)
    if on_event is not None:
        run.listeners.append(on_event)
    run.begin()
    try:
        model = _train(run, effects, networks, cells, settings)
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


def _coexpression(cells: CellSource | None, effects: Effects, seed: int) -> Network:
    if cells is None:
        raise HyperPerturbError(
            "A table of effects has no cells, so no co-expression network can be made of it.",
            hint="Give at least one gene network.",
        )
    return coexpression_network(
        cells.screen, column=cells.column, control=effects.control, layer=cells.layer, seed=seed
    )


def train_run(run: RunDirectory) -> HyperPerturbModel:
    """Do what a run's configuration says; what the worker process calls.

    Raises
    ------
    HyperPerturbError
        When files cannot be read or do not fit together; the run directory's status is left to the caller.
    """
    config = run.config.checked()
    settings = config.settings
    cells = None
    if config.screen is not None:
        cells = CellSource(config.screen, str(config.column), config.layer)
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
            mode=config.mode,
            progress=report,
        )
    effects = _without(effects, config.exclude)
    networks = []
    for i, source in enumerate(config.networks):
        run.stage("networks", f"reading {source.path.name}", _EFFECTS + 0.03 * i / len(config.networks))
        networks.append(source.read())
    if config.coexpression and cells is not None:
        run.stage("networks", "correlating genes in the control cells", _EFFECTS + 0.03)
        try:
            networks.append(_coexpression(cells, effects, settings.seed))
        except HyperPerturbError as error:
            if not networks:
                raise
            run.log(f"Training goes on without the co-expression network. {error}")
    return _train(run, effects, networks, cells, settings)


def _without(effects: Effects, exclude: Sequence[str]) -> Effects:
    for label in exclude:
        effects.index(label)
    return effects.select([p for p in effects.perturbations if p not in set(exclude)]) if exclude else effects


def _stage(run: RunDirectory, name: str, start: float, end: float) -> Callable[[float, str], None]:
    return scaled(lambda fraction, message: run.stage(name, message, fraction), start, end)


class _Epochs(keras.callbacks.Callback):
    """Reports every epoch to the run."""

    def __init__(self, run: RunDirectory, stage: str, curvature: Callable[[], float], span: tuple) -> None:
        super().__init__()
        self.run, self.stage, self.read_curvature, self.span = run, stage, curvature, span

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        total = int(self.params["epochs"])
        start, end = self.span
        self.run.epoch(
            {
                "stage": self.stage,
                "epoch": epoch + 1,
                "epochs": total,
                **{k: float(v) for k, v in (logs or {}).items()},
                "learning_rate": float(self.model.optimizer.learning_rate),
                "curvature": self.read_curvature(self.model),
            },
            fraction=start + (end - start) * (epoch + 1) / total,
        )


def _train(
    run: RunDirectory,
    effects: Effects,
    networks: Sequence[Network],
    cells: CellSource | None,
    settings: TrainingSettings,
) -> HyperPerturbModel:
    started = time.monotonic()
    targets = sorted({g for target in effects.targets for g in target})
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
    space = fit_gene_space(
        universe.diffusion,
        _rank(central["degree"].to_numpy()),
        dim=settings.embedding_dim,
        epochs=settings.epochs,
        learning_rate=settings.point_learning_rate,
        curvature=settings.curvature,
        validation_split=settings.validation_split,
        seed=settings.seed,
        callbacks=[_Epochs(run, "genes", lambda model: float(model.curvature), (_UNIVERSE, _GENES))],
    )
    points, curvature = space.points.embeddings.numpy(), float(space.curvature)
    kernels = _kernels(universe, points, curvature, targets)

    report = _stage(run, "scores", _GENES, _SCORES)
    scores = cross_validate(
        effects,
        {
            MODEL: _effect_head_predictor(kernels, settings.seed),
            "no_change": no_change,
            "training_mean": training_mean,
            "network_kernel_ridge": NetworkKernelRidge(kernels),
        },
        folds=settings.folds,
        seed=settings.seed,
        progress=report,
    )
    verdict = scores.verdict(seed=settings.seed)
    run.log(verdict.sentence)

    run.stage("effect head", "fitting the effect head on all perturbations", _SCORES)
    head = _fit_head(effects, kernels, settings.seed)
    fitted = None
    if cells is not None and settings.cell_heads:
        run.stage("cells", "reading the perturbed cells", _HEAD)
        row = {g: i for i, g in enumerate(universe.genes)}
        table = read_cells(
            cells.screen,
            effects,
            column=cells.column,
            layer=cells.layer,
            max_cells=settings.max_cells,
            seed=settings.seed,
        )
        fitted = fit_cell_heads(
            table,
            effects,
            perturbation_points(points, [[row[g] for g in target] for target in effects.targets]),
            curvature=curvature,
            hidden_dim=settings.hidden_dim,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            validation_split=settings.validation_split,
            seed=settings.seed,
            callbacks=[_Epochs(run, "cells", lambda _: curvature, (_HEAD, _CELLS))],
        )
    run.stage("writing", "writing the run", _CELLS)
    model = assemble(points, curvature, head, None if fitted is None else fitted.heads)
    _write(
        run,
        effects,
        networks,
        universe,
        central,
        points,
        curvature,
        head,
        fitted,
        scores,
        verdict,
        model,
        started,
    )
    model.run = str(run.path)
    return model


def _rank(values: np.ndarray) -> np.ndarray:
    """Ranks scaled to [0, 1], ties in the middle; 1 is the largest."""
    return (rankdata(values) - 1.0) / max(len(values) - 1, 1)


def _kernels(universe: Universe, points: np.ndarray, curvature: float, targets: Sequence[str]) -> GeneKernels:
    row = {g: i for i, g in enumerate(universe.genes)}
    columns = [row[g] for g in targets]
    return GeneKernels(
        universe.genes,
        np.ascontiguousarray(universe.diffusion[:, columns]),
        hyperbolic_similarity(points, curvature, columns),
        tuple(targets),
    )


def _fit_head(effects: Effects, kernels: GeneKernels, seed: int) -> EffectHead:
    return EffectHead.fit(
        effects.targets,
        effects.genes,
        effects.effect,
        kernels=kernels,
        standard_error=effects.standard_error,
        control_mean=effects.control_mean,
        seed=seed,
    )


def _effect_head_predictor(kernels: GeneKernels, seed: int) -> Callable[..., np.ndarray]:
    """The model as a predictor: everything about effects is fitted on the training part it is given.

    The gene points may be shared by the folds: they are made of networks and control cells only.
    """

    def predict(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        return _fit_head(training, kernels, seed).predict(targets, standard_error=False)[0]

    return predict


def _gene_table(
    universe: Universe,
    central: pd.DataFrame,
    points: np.ndarray,
    curvature: float,
    head: EffectHead,
    effects: Effects,
    seed: int,
) -> pd.DataFrame:
    layout = disk_layout(points, seed=seed)
    norm = np.minimum(np.linalg.norm(points.astype(np.float64), axis=1), 1.0 - 1e-7)
    genes = list(universe.genes)
    counts = pd.Series([g for target in effects.targets for g in target]).value_counts()
    response = set(effects.genes)
    level = {}
    if effects.control_mean is not None:
        level = dict(zip(effects.genes, effects.control_mean.tolist(), strict=True))
    table = pd.DataFrame({"gene": genes, "x": layout[:, 0], "y": layout[:, 1]})
    table["radius"] = 2.0 * np.arctanh(norm) / np.sqrt(curvature)
    table = pd.concat([table, central.reset_index(drop=True)], axis=1)
    table["support"] = head.support(genes)
    table["predicted_strength"] = _predicted_strength(head, genes)
    table["is_target"] = [g in counts.index for g in genes]
    table["is_response"] = [g in response for g in genes]
    table["n_perturbations"] = [int(counts.get(g, 0)) for g in genes]
    table["control_mean"] = [level.get(g, np.nan) for g in genes]
    coordinates = pd.DataFrame(points, columns=[f"h{i}" for i in range(points.shape[1])])
    return pd.concat([table, coordinates], axis=1)


def _predicted_strength(head: EffectHead, genes: Sequence[str]) -> np.ndarray:
    """Energy distance (squared Euclidean) of the predicted effect of each gene, in blocks to bound the memory."""
    out = []
    for start in range(0, len(genes), 512):
        mean, _ = head.predict([(g,) for g in genes[start : start + 512]], standard_error=False)
        out.append(2.0 * np.sum(mean**2, axis=1))
    return np.concatenate(out)


def _metrics(
    scores: CrossValidation,
    verdict: Verdict,
    genes: pd.DataFrame,
    curvature: float,
    fit: float,
    fitted: FittedHeads | None,
    effects: Effects,
) -> dict[str, Any]:
    connected = genes[genes["degree"] > 0]
    rho, p_value = spearmanr(connected["radius"], connected["degree"])
    errors = scores.scores.pivot_table(index="perturbation", columns="method", values="error")
    strength = dict(zip(effects.perturbations, energy_distance(effects).tolist(), strict=True))
    return {
        "verdict": verdict.sentence,
        "ahead": verdict.ahead,
        "lead": verdict.lead,
        "lead_low": verdict.lead_low,
        "lead_high": verdict.lead_high,
        "best_baseline": verdict.baseline,
        "n_perturbations": verdict.n_perturbations,
        "n_folds": scores.folds,
        "methods": scores.summary(),
        "hub_radius": {"spearman": float(rho), "p_value": float(p_value)},
        "curvature": curvature,
        "fit": fit,
        "policy": None if fitted is None else fitted.scores,
        "per_perturbation": [
            {
                "perturbation": label,
                "error": float(row[MODEL]),
                "baseline_error": float(row[verdict.baseline]),
                "strength": strength[label],
            }
            for label, row in errors.iterrows()
        ],
    }


def _cell_arrays(fitted: FittedHeads) -> CellHeadArrays:
    heads = fitted.heads
    temperature, weight = float(heads.temperature), float(heads.evidence_weight)
    sharpness = float(keras.ops.softplus(heads.sharpness))
    hidden, tangent, value = (layer.get_weights() for layer in (heads.hidden, heads.tangent, heads.value))
    return CellHeadArrays(
        genes=fitted.genes,
        scale=sharpness / float(np.sqrt(heads.curvature)) / temperature,
        control_mean=fitted.control_mean,
        control_spread=fitted.control_spread,
        hidden_kernel=hidden[0],
        hidden_bias=hidden[1],
        tangent_kernel=tangent[0],
        tangent_bias=tangent[1],
        value_kernel=value[0],
        value_bias=value[1],
        offset=heads.offset.numpy() / temperature + weight * heads.evidence_bias.numpy(),
        evidence_kernel=weight * heads.evidence_kernel.numpy(),
        perturbation_points=heads.perturbation_points.numpy(),
    )


def _write(
    run: RunDirectory,
    effects: Effects,
    networks: Sequence[Network],
    universe: Universe,
    central: pd.DataFrame,
    points: np.ndarray,
    curvature: float,
    head: EffectHead,
    fitted: FittedHeads | None,
    scores: CrossValidation,
    verdict: Verdict,
    model: HyperPerturbModel,
    started: float,
) -> None:
    """Write every file of the contract; the status is what makes them usable, and it comes last."""
    seed = run.config.settings.seed
    genes = _gene_table(universe, central, points, curvature, head, effects, seed)
    fit = fit_quality(points, curvature, universe.diffusion)
    metrics = _metrics(scores, verdict, genes, curvature, fit, fitted, effects)
    with atomic_path(run.file("genes.parquet")) as temporary:
        genes.to_parquet(temporary, index=False)
    effects.save(run.file("effects.parquet"))
    combined = network_from_adjacency(universe.adjacency, universe.genes, name="combined")
    save_network(combined, run.file("network.npz"))
    save_arrays(
        run.file("arrays.npz"),
        points=points,
        curvature=curvature,
        head=head,
        cells=None if fitted is None else _cell_arrays(fitted),
    )
    # Keras chooses the format by the suffix, so the temporary name must keep it.
    with atomic_path(run.file("model.keras")) as temporary:
        named = temporary.with_name(f"{temporary.name}.keras")
        try:
            model.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
    write_json(run.file("metrics.json"), metrics)
    covers = [coverage(network, effects) for network in networks]
    write_card(run, effects, networks, covers, universe, head, metrics, seconds=time.monotonic() - started)
