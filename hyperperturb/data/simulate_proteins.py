"""Antibody counts for a simulated screen: a few proteins that follow their genes, with the noise of an experiment.

The abundance of a protein follows the logarithm of its gene's expression in the cell's steady state, damped, with a
cell-to-cell spread of its own; the count is Poisson around abundance times the cell's antibody depth, above a
background that every cell has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse, stats

from hyperperturb.data.guide_library import CONTROL, Guide

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.data.effects import Effects

_GAIN = 0.8  # of the change of log expression that reaches the protein
_SPREAD = 0.35  # of the logarithm of a protein's abundance among cells in the same state
_DEPTH_SPREAD = 0.3  # of the logarithm of a cell's antibody depth, all antibodies together
_LEVELS = (5.0, 120.0)  # counts of the dimmest and of the brightest antibody in a control cell
_BACKGROUND = 2.0  # counts that any cell has


@dataclass(frozen=True)
class SimulatedProteins:
    """Antibody counts of a simulated screen and the truth behind them.

    Attributes
    ----------
    adata
        Cells x antibodies, counts (CSR, float32) in ``X``; an antibody is called like the gene of its protein.
    true_effects
        Expected effects on the centred log-ratios, without noise of sampling.
    """

    adata: AnnData
    true_effects: Effects


def simulate_proteins(
    rng: np.random.Generator,
    screen: AnnData,
    guides: Sequence[Guide],
    genes: Sequence[str],
    logits: np.ndarray,
    n_proteins: int,
    true_effects: Effects,
) -> SimulatedProteins:
    """Draw antibody counts for the cells of a simulated screen.

    Parameters
    ----------
    rng
        Source of noise.
    screen
        Its cells.
    guides
        The library; the first targets nothing.
    genes
        ``(G,)`` measured genes.
    logits
        ``(guides, G)`` log expression in the steady state of each guide.
    n_proteins
        Antibodies: for the genes that perturbations move most, perturbed genes left out.
    true_effects
        Of the screen, for its perturbations.
    """
    import anndata

    change = logits - logits[0]
    hit = {gene for guide in guides for gene in guide.efficiency}
    free = np.array([g not in hit for g in range(len(genes))])
    moved = np.where(free, np.square(change).mean(axis=0), -1.0)
    chosen = np.sort(np.argsort(-moved, kind="stable")[:n_proteins])
    level = np.exp(np.linspace(*np.log(_LEVELS), n_proteins))[rng.permutation(n_proteins)]
    log_mean = np.log(level) + _GAIN * change[:, chosen]  # (guides, antibodies)

    row = {guide.name: k for k, guide in enumerate(guides)}
    of_cell = np.array([row.get(name, 0) for name in screen.obs["guide"].astype(str)])
    of_cell[(screen.obs["perturbation"] == CONTROL).to_numpy()] = 0
    noise = rng.normal(0.0, _SPREAD, (screen.n_obs, n_proteins))
    depth = np.exp(rng.normal(0.0, _DEPTH_SPREAD, (screen.n_obs, 1)))
    counts = rng.poisson(depth * (np.exp(log_mean[of_cell] + noise) + _BACKGROUND))
    names = [genes[g] for g in chosen]
    adata = anndata.AnnData(
        X=sparse.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=screen.obs_names.copy()),
        var=pd.DataFrame({"feature_types": pd.Categorical(["Antibody Capture"] * n_proteins)}, index=names),
    )
    return SimulatedProteins(adata, _truth(guides, log_mean, names, true_effects))


def _truth(
    guides: Sequence[Guide], log_mean: np.ndarray, names: Sequence[str], true_effects: Effects
) -> Effects:
    from dataclasses import replace

    logs = _expected_log1p(log_mean)
    level = logs - logs.mean(axis=1, keepdims=True)
    effect = np.zeros((len(true_effects.perturbations), len(names)), dtype=np.float32)
    for row, label in enumerate(true_effects.perturbations):
        own = [k for k, guide in enumerate(guides) if guide.label == label]
        effect[row] = np.array([guides[k].share for k in own]) @ level[own] - level[0]
    return replace(
        true_effects,
        genes=tuple(names),
        effect=effect,
        standard_error=np.zeros(effect.shape, dtype=np.float32),
        control_mean=level[0].astype(np.float32),
    )


def _expected_log1p(log_mean: np.ndarray) -> np.ndarray:
    """E[ln(1 + count)] over Poisson noise, spread and depth, by quadrature over the two log-normal factors."""
    node, weight = np.polynomial.hermite_e.hermegauss(9)
    weight = weight / weight.sum()
    out = np.zeros_like(log_mean)
    for z, w in zip(node, weight, strict=True):
        for y, v in zip(node, weight, strict=True):
            mean = np.exp(_DEPTH_SPREAD * y) * (np.exp(log_mean + _SPREAD * z) + _BACKGROUND)
            out += w * v * _log1p_of_poisson(mean)
    return out


def _log1p_of_poisson(mean: np.ndarray) -> np.ndarray:
    """E[ln(1 + x)] of Poisson counts: summed on a grid of means and interpolated in their logarithm."""
    grid = np.exp(np.linspace(np.log(mean.min()) - 1e-9, np.log(mean.max()) + 1e-9, 200))
    x = np.arange(int(grid[-1] + 12 * np.sqrt(grid[-1])) + 15)
    values = np.log1p(x) @ stats.poisson.pmf(x[:, None], grid)
    return np.interp(np.log(mean), np.log(grid), values)
