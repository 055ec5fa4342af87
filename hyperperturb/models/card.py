"""The card of a run: what it was made of, how good it is, in words a person can check."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version

import keras

from hyperperturb import __version__
from hyperperturb.data.effects import Effects
from hyperperturb.data.network import Coverage, Network
from hyperperturb.evaluation.report import ProteinMetrics, RunMetrics, held_out_lines
from hyperperturb.files import atomic_path
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.universe import Universe
from hyperperturb.runs.directory import RunDirectory

_LIBRARIES = ("keras", "tensorflow", "numpy", "scipy", "pandas", "anndata")


def write_card(
    run: RunDirectory,
    effects: Effects,
    networks: Sequence[Network],
    covers: Sequence[Coverage],
    universe: Universe,
    head: EffectHead,
    metrics: RunMetrics,
    *,
    seconds: float,
) -> None:
    """Write ``card.md`` atomically."""
    config = run.config
    p = head.parameters
    lines = [
        f"# {config.title or run.name}",
        "",
        metrics.verdict,
        "",
        "## Held-out genes",
        "",
        *held_out_lines(metrics),
        "The saved model is fitted on all perturbations.",
        "",
        "## Cells",
        "",
        *_cells(metrics.policy),
        "",
        *_proteins(metrics.proteins),
        "## Space",
        "",
        f"- {len(universe.genes):,} genes, {config.settings.embedding_dim} dimensions, curvature "
        f"−{metrics.curvature:.3f} (at these points the similarities fit best between −{metrics.curvature_low:.3f} "
        f"and −{metrics.curvature_high:.3f}: 95 % interval over genes)",
        f"- correlation of exp(−distance) with the networks' diffusion similarity: {metrics.fit:.3f}",
        f"- rank correlation of a gene's radius with its degree: {metrics.hub_radius['spearman']:.3f}",
        f"- kernel (variances relative to the mean squared effect): mean {p.mean:.3g}, diffusion {p.diffusion:.3g}, "
        f"hyperbolic {p.hyperbolic:.3g}, own {p.own:.3g}, noise {p.noise:.3g}; combination factor {p.factor:.3g}",
        f"- interactions of genes: variance {p.pair:.3g}, {p.pair_own:.0%} of it a pair's own"
        if head.interactions is not None
        else "- interactions of genes: no evidence of any, combinations are sums",
        "",
        "## Made from",
        "",
        f"- effects: {len(effects.perturbations):,} perturbations x {len(effects.genes):,} response genes, mode "
        f"{effects.mode}, control '{effects.control}' ({effects.n_control_cells:,} cells), SHA-256 {_digest(effects)}",
        f"- label column: {config.column or '–'}; compared with "
        + (
            f"the controls of the same batch (column '{config.batch_column}')"
            if config.batch_column
            else "all controls"
        )
        + f"; taken out before training: {', '.join(config.exclude) or 'none'}",
        *(
            f"- network {network.name}: {len(network.genes):,} genes, {network.n_edges:,} edges, "
            f"{cover.n_targets_in_network} of {cover.n_targets} targets"
            for network, cover in zip(networks, covers, strict=True)
        ),
        f"- settings: {config.settings.model_dump_json()}",
        f"- HyperPerturb {__version__}; Python {platform.python_version()}; Keras backend {keras.backend.backend()}; "
        + ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES),
        f"- device: {run.status.device or 'not known'}; {seconds:.0f} s",
        "",
    ]
    with atomic_path(run.file("card.md")) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _proteins(found: ProteinMetrics | None) -> list[str]:
    if found is None:
        return []
    return ["## Proteins", "", found.joined, "", found.verdict, "", *held_out_lines(found)]


def _cells(policy: dict[str, float] | None) -> list[str]:
    if policy is None:
        return ["No cell heads: the run was trained on effects alone."]
    return [
        f"Naming the perturbation of {policy['n_test_cells']:,} held-out cells:",
        "",
        "| | top 1 | top 5 |",
        "| --- | --- | --- |",
        f"| policy head | {policy['top1']:.3f} | {policy['top5']:.3f} |",
        f"| nearest centroid | {policy['nearest_centroid_top1']:.3f} | {policy['nearest_centroid_top5']:.3f} |",
        f"| always the most frequent | {policy['most_frequent_top1']:.3f} | {policy['most_frequent_top5']:.3f} |",
        "",
        f"Expected calibration error {policy['ece']:.3f}.",
    ]


def _digest(effects: Effects) -> str:
    digest = hashlib.sha256()
    digest.update("\n".join((*effects.perturbations, "", *effects.genes)).encode())
    digest.update(effects.effect.tobytes())
    return digest.hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "–"
