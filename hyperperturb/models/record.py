"""What a training leaves behind: the files of its run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from hyperperturb.data.effects import Effects
from hyperperturb.data.network import Network, coverage, network_from_adjacency, save_network
from hyperperturb.evaluation.cross_validation import CrossValidation
from hyperperturb.evaluation.report import ProteinMetrics, RunMetrics, held_out
from hyperperturb.files import atomic_path, write_json
from hyperperturb.models.card import write_card
from hyperperturb.models.cell_training import FittedHeads
from hyperperturb.models.disk import disk_layout
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.export import CellHeadArrays, save_arrays
from hyperperturb.models.gene_space import curvature_interval, fit_quality
from hyperperturb.models.model import HyperPerturbModel
from hyperperturb.models.protein_training import TrainedProteins
from hyperperturb.models.strength import energy_distance, sensitivity
from hyperperturb.models.universe import Universe
from hyperperturb.runs.directory import PROTEIN_EFFECTS, RunDirectory


@dataclass(frozen=True)
class Trained:
    """Everything that a training made, and what it was made from.

    Parameters
    ----------
    central
        The genes' centralities, a row for each gene of the universe.
    points, curvature
        (N, d) unit-ball gene points and the learned curvature magnitude.
    fitted
        The cell heads, or None when the run has none.
    proteins
        What was learned about proteins, or None.
    """

    effects: Effects
    networks: Sequence[Network]
    universe: Universe
    central: pd.DataFrame
    points: np.ndarray
    curvature: float
    head: EffectHead
    fitted: FittedHeads | None
    scores: CrossValidation
    proteins: TrainedProteins | None = None


def write_run(run: RunDirectory, trained: Trained, model: HyperPerturbModel, *, seconds: float) -> None:
    """Write every file of the contract; the status is what makes them usable, and it comes last.

    Parameters
    ----------
    seconds
        How long the training took.
    """
    t = trained
    genes = _gene_table(t, seed=run.config.settings.seed)
    metrics = _metrics(t, genes)
    with atomic_path(run.file("genes.parquet")) as temporary:
        genes.to_parquet(temporary, index=False)
    t.effects.save(run.file("effects.parquet"))
    if t.proteins is not None:
        t.proteins.effects.save(run.file(PROTEIN_EFFECTS))
    combined = network_from_adjacency(t.universe.adjacency, t.universe.genes, name="combined")
    save_network(combined, run.file("network.npz"))
    save_arrays(
        run.file("arrays.npz"),
        points=t.points,
        curvature=t.curvature,
        head=t.head,
        cells=None if t.fitted is None else cell_arrays(t.fitted),
        proteins=None if t.proteins is None else t.proteins.head,
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
    covers = [coverage(network, t.effects) for network in t.networks]
    write_card(run, t.effects, t.networks, covers, t.universe, t.head, metrics, seconds=seconds)


def _gene_table(t: Trained, *, seed: int) -> pd.DataFrame:
    points, head, effects = t.points, t.head, t.effects
    layout = disk_layout(points, seed=seed)
    norm = np.minimum(np.linalg.norm(points.astype(np.float64), axis=1), 1.0 - 1e-7)
    genes = list(t.universe.genes)
    counts = pd.Series([g for target in effects.targets for g in target]).value_counts()
    response = set(effects.genes)
    level = {}
    if effects.control_mean is not None:
        level = dict(zip(effects.genes, effects.control_mean.tolist(), strict=True))
    table = pd.DataFrame({"gene": genes, "x": layout[:, 0], "y": layout[:, 1]})
    table["radius"] = 2.0 * np.arctanh(norm) / np.sqrt(t.curvature)
    table = pd.concat([table, t.central.reset_index(drop=True)], axis=1)
    table["support"] = head.support(genes)
    table["predicted_strength"] = _predicted_strength(head, genes)
    table["is_target"] = [g in counts.index for g in genes]
    table["is_response"] = [g in response for g in genes]
    table["n_perturbations"] = [int(counts.get(g, 0)) for g in genes]
    table["control_mean"] = [level.get(g, np.nan) for g in genes]
    table["sensitivity"] = table["gene"].map(dict(zip(effects.genes, sensitivity(effects), strict=True)))
    coordinates = pd.DataFrame(points, columns=[f"h{i}" for i in range(points.shape[1])])
    return pd.concat([table, coordinates], axis=1)


def _predicted_strength(head: EffectHead, genes: Sequence[str]) -> np.ndarray:
    """Energy distance (squared Euclidean) of the predicted effect of each gene."""
    out = np.empty(len(genes))
    for part, mean in head.means(genes):
        out[part] = 2.0 * np.sum(mean**2, axis=1)
    return out


def _metrics(t: Trained, genes: pd.DataFrame) -> RunMetrics:
    connected = genes[genes["degree"] > 0]
    rho, p_value = spearmanr(connected["radius"], connected["degree"])
    strength = dict(zip(t.effects.perturbations, energy_distance(t.effects).tolist(), strict=True))
    low, high = curvature_interval(t.points, t.curvature, t.universe.similarity)
    return RunMetrics(
        **held_out(t.scores, strength=strength).model_dump(),
        hub_radius={"spearman": float(rho), "p_value": float(p_value)},
        curvature=t.curvature,
        curvature_low=low,
        curvature_high=high,
        fit=fit_quality(t.points, t.curvature, t.universe.similarity),
        policy=None if t.fitted is None else t.fitted.scores,
        proteins=None if t.proteins is None else _on_proteins(t.proteins),
    )


def _on_proteins(proteins: TrainedProteins) -> ProteinMetrics:
    labels = proteins.effects.perturbations
    strength = dict(zip(labels, energy_distance(proteins.effects).tolist(), strict=True))
    found = held_out(proteins.scores, strength=strength)
    joined = "" if proteins.report is None else proteins.report.sentence
    return ProteinMetrics(**found.model_dump(), joined=joined, n_proteins=len(proteins.effects.genes))


def cell_arrays(fitted: FittedHeads) -> CellHeadArrays:
    heads = fitted.heads
    # .numpy(): a variable shared by several devices is no number
    temperature = float(heads.temperature.numpy())
    sharpness = float(keras.ops.softplus(heads.sharpness))
    hidden, tangent, value = (layer.get_weights() for layer in (heads.hidden, heads.tangent, heads.value))
    return CellHeadArrays(
        genes=fitted.genes,
        scale=sharpness / float(np.sqrt(heads.curvature)) / temperature,
        inputs=fitted.inputs,
        directions=fitted.directions,
        hidden_kernel=hidden[0],
        hidden_bias=hidden[1],
        tangent_kernel=tangent[0],
        tangent_bias=tangent[1],
        value_kernel=value[0],
        value_bias=value[1],
        offset=heads.offset.numpy() / temperature + heads.evidence_bias.numpy(),
        evidence_kernel=heads.evidence_kernel.numpy(),
        perturbation_points=heads.perturbation_points.numpy(),
    )
