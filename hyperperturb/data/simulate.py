"""A simulated CRISPR screen with known truth: the demo, and the ground that tests stand on.

A hierarchical, scale-free, signed regulatory network; its steady state after knocking genes down (both in
:mod:`hyperperturb.data.regulation`); cells drawn from that state with the noise of a real experiment. The network and
the noise-free effects come with the cells.

Counts are negative binomial with a mean of library size times the cell's expression fractions; library sizes are
log-normal; batches shift each gene a little. Regulators differ in activity from cell to cell, so that the genes they
regulate vary together in the controls. Zeros come from the low depth alone.

Pairs of genes may interact beyond what the network makes of their losses (epistasis,
:mod:`hyperperturb.data.guide_library`); which do, how, and by how much comes with the truth.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse, stats

from hyperperturb.data.guide_library import (
    CONTROL,
    Guide,
    Kind,
    activity_left,
    draw_epistasis,
    influence,
    make_guides,
)
from hyperperturb.data.network import Network
from hyperperturb.data.regulation import REGULATORS, Regulation, make_regulation, steady_states
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.data.effects import Effects
    from hyperperturb.data.simulate_proteins import SimulatedProteins

_CONTROL_FRACTION = 0.12
_MEDIAN_DEPTH = 2000.0
_DEPTH_SPREAD = 0.35
_BATCH_SPREAD = 0.08
_DISPERSION = 0.08
_ACTIVITY_SPREAD = 0.35  # of the logarithm of a regulator's activity, from cell to cell


@dataclass(frozen=True)
class SimulatedScreen:
    """A simulated screen and the truth behind it.

    Parameters
    ----------
    adata
        Cells x genes, raw counts (CSR, float32) in ``X``; ``obs``: ``perturbation``, ``guide``, ``batch``
        (categories); ``var``: ``module`` and ``role`` (``top``, ``mid``, ``low``, ``stress``, ``signalling``,
        ``target``).
    network
        The regulatory network, undirected weights and directed signs.
    true_effects
        Expected effects without noise of sampling (see :func:`simulate_screen`).
    true_interactions
        Of every combination, what epistasis does to its effect: the true effect minus that of the same screen without
        epistasis; zeros where no pair of it interacts.
    epistasis
        The pairs that interact -> ``buffering``, ``synergy`` or ``suppression`` (by the second gene of the first).
    seed
        The seed it was made with.
    proteins
        Antibody counts of the same cells and their true effects, where they were asked for.
    """

    adata: AnnData
    network: Network
    true_effects: Effects
    true_interactions: Effects
    epistasis: dict[tuple[str, str], Kind]
    seed: int
    proteins: SimulatedProteins | None = None


def simulate_screen(
    *,
    seed: int = 0,
    n_genes: int = 600,
    n_regulators: int = 60,
    n_single: int = 80,
    n_double: int = 20,
    n_triple: int = 0,
    n_cells: int = 12000,
    n_batches: int = 3,
    epistasis: float = 0.0,
    n_proteins: int = 0,
) -> SimulatedScreen:
    """Simulate a knock-down screen with known network and known effects.

    The true effect of a perturbation is the quantity that the estimator (difference of the means of
    log1p(CP10k)) converges to with many cells: the expected value of log1p(CP10k) of a count, over the
    negative binomial noise, the library sizes, the batches and the guides (weighted with their share of the
    cells), minus the same for the controls. It is *not* the log1p of the expected expression, from which it
    differs for genes with few counts.

    Parameters
    ----------
    seed
        The same seed gives the same screen.
    n_genes, n_regulators
        Measured genes, and how many of them are regulators.
    n_single, n_double, n_triple
        Perturbations of one gene (most of the regulators first, then signalling and target genes), of two
        and of three genes out of those.
    n_cells, n_batches
        Cells in total (about 12 % controls) and batches.
    epistasis
        Fraction of the doubles whose genes interact (and of the further pairs that triples contain). The singles of a
        seed are the same whatever the fraction.
    n_proteins
        Antibodies, for genes that perturbations move (:mod:`hyperperturb.data.simulate_proteins`). The RNA of a seed is
        the same with and without.

    Returns
    -------
    SimulatedScreen

    Raises
    ------
    HyperPerturbError
        If the numbers do not fit together.

    Examples
    --------
    >>> screen = simulate_screen(n_genes=80, n_regulators=12, n_single=10, n_double=2, n_cells=300)
    >>> screen.adata.shape, len(screen.true_effects.perturbations), screen.network.n_genes
    ((300, 80), 12, 80)
    """
    _check(n_genes, n_regulators, n_single, n_double, n_triple, n_cells, n_batches, epistasis, n_proteins)
    rng = np.random.default_rng(seed)
    regulation = make_regulation(rng, n_genes=n_genes, n_regulators=n_regulators)
    # What was added to the simulation draws from its own source, so that a seed's demo stays what it was.
    extra = np.random.default_rng([seed, 1])
    guides = make_guides(rng, extra, regulation, n_single=n_single, n_double=n_double, n_triple=n_triple)
    pairs = draw_epistasis(extra, regulation, guides, epistasis)
    left = activity_left(guides, n_genes)
    state = steady_states(regulation, left, influence=influence(guides, n_genes, pairs))
    base = rng.normal(0.0, 1.1, n_genes)
    # what a regulator does can only be seen if it is expressed at all
    base[regulation.role != "target"] = rng.normal(0.3, 0.6, int((regulation.role != "target").sum()))
    dispersion = np.exp(rng.normal(np.log(_DISPERSION), 0.4, n_genes))
    batch_shift = rng.normal(0.0, _BATCH_SPREAD, (n_batches, n_genes))
    batch_depth = np.exp(rng.normal(0.0, 0.1, n_batches))
    logits = base + state  # (guides, genes)
    adata = _draw_cells(rng, regulation, guides, logits, dispersion, batch_shift, batch_depth, n_cells)
    adata.uns["simulation"] = {"seed": seed, "control": CONTROL}
    # gamma noise times log-normal noise of the regulators: the variances of independent factors multiply
    overall = (1.0 + dispersion) * np.exp(_response(regulation)[1]) - 1.0
    noise = (overall, batch_shift, batch_depth)
    effects = _true_effects(adata, regulation, guides, logits, *noise)
    without = effects
    if pairs:
        alone = base + steady_states(regulation, left)
        without = _true_effects(adata, regulation, guides, alone, *noise)
    names = regulation.genes
    epistatic = [{names[a], names[b]} for a, b in pairs]
    labelled = list(zip(effects.perturbations, effects.targets, strict=True))
    touched = np.array([any(pair <= set(targets) for pair in epistatic) for _, targets in labelled])
    # The lookup table of the expected values has another grid without epistasis: exactly zero is set, not computed.
    difference = np.where(touched[:, None], effects.effect - without.effect, np.float32(0))
    several = [label for label, targets in labelled if len(targets) > 1]
    interactions = replace(effects, effect=difference).select(several)
    proteins = None
    if n_proteins:
        from hyperperturb.data.simulate_proteins import simulate_proteins

        own = np.random.default_rng([seed, 2])
        proteins = simulate_proteins(own, adata, guides, names, logits, n_proteins, effects)
    return SimulatedScreen(
        adata=adata,
        network=regulation.network(),
        true_effects=effects,
        true_interactions=interactions,
        epistasis={(names[a], names[b]): kind for (a, b), kind in pairs.items()},
        seed=seed,
        proteins=proteins,
    )


def _check(
    n_genes: int,
    n_regulators: int,
    n_single: int,
    n_double: int,
    n_triple: int,
    n_cells: int,
    n_batches: int,
    epistasis: float,
    n_proteins: int,
) -> None:
    n_label = n_single + n_double + n_triple
    for ok, sentence in (
        (n_regulators >= 6, f"A simulated screen needs at least 6 regulators, not {n_regulators}."),
        (
            n_genes >= 3 * n_regulators,
            f"{n_regulators} regulators need at least {3 * n_regulators} genes, not {n_genes}.",
        ),
        (
            1 <= n_single <= n_genes,
            f"The number of single perturbations must be 1 to {n_genes}, not {n_single}.",
        ),
        (
            0 <= n_double <= n_single * (n_single - 1) // 2,
            f"{n_single} genes cannot make {n_double} different pairs.",
        ),
        (
            0 <= n_triple <= n_single * (n_single - 1) * (n_single - 2) // 6,
            f"{n_single} genes cannot make {n_triple} different triples.",
        ),
        (0.0 <= epistasis <= 1.0, f"The fraction of interacting pairs must be 0 to 1, not {epistasis:g}."),
        (
            n_cells >= 10 * (n_label + 1),
            f"{n_label} perturbations need at least {10 * (n_label + 1)} cells, not {n_cells}.",
        ),
        (
            n_proteins == 0 or 2 <= n_proteins <= n_genes - n_single,
            f"A simulated screen of {n_genes} genes, {n_single} of them perturbed, can have no or 2 to "
            f"{n_genes - n_single} proteins, not {n_proteins}.",
        ),
        (n_batches >= 1, f"A screen needs at least one batch, not {n_batches}."),
    ):
        if not ok:
            raise HyperPerturbError(sentence, hint="Change the sizes of the simulation.")


def _response(regulation: Regulation) -> tuple[np.ndarray, np.ndarray]:
    """What the regulators' activity in one cell does to log expression, ``(regulators, genes)``, and its variance."""
    regulators = np.flatnonzero(np.isin(regulation.role, REGULATORS))
    response = regulation.weight[regulators].copy()
    response[np.arange(regulators.size), regulators] += 1.0
    response *= _ACTIVITY_SPREAD
    return response, (response**2).sum(axis=0)


def _draw_cells(
    rng: np.random.Generator,
    regulation: Regulation,
    guides: list[Guide],
    logits: np.ndarray,
    dispersion: np.ndarray,
    batch_shift: np.ndarray,
    batch_depth: np.ndarray,
    n_cells: int,
) -> AnnData:
    import anndata

    labels = list(dict.fromkeys(guide.label for guide in guides))
    n_control = round(_CONTROL_FRACTION * n_cells)
    # guides are unequally represented in a library; nobody keeps a perturbation with a handful of cells
    share = np.exp(rng.normal(0.0, 0.25, len(labels) - 1))
    count = 3 + np.floor(share / share.sum() * (n_cells - n_control - 3 * share.size)).astype(np.int64)
    count = np.concatenate([[n_cells - count.sum()], count])
    row_of_label = {label: [k for k, g in enumerate(guides) if g.label == label] for label in labels}
    guide_of_cell = np.concatenate(
        [
            rng.choice(row_of_label[label], size=size, p=[guides[k].share for k in row_of_label[label]])
            for label, size in zip(labels, count, strict=True)
        ]
    )
    guide_of_cell = rng.permutation(guide_of_cell)
    batch = rng.integers(len(batch_shift), size=n_cells)
    depth = np.exp(rng.normal(np.log(_MEDIAN_DEPTH), _DEPTH_SPREAD, n_cells)) * batch_depth[batch]
    response, variance = _response(regulation)
    blocks = []
    for start in range(0, n_cells, 2000):
        part = slice(start, start + 2000)
        state = logits[guide_of_cell[part]] + batch_shift[batch[part]]
        activity = rng.normal(size=(state.shape[0], response.shape[0]))
        mean = np.exp(state + activity @ response - variance / 2.0)
        mean *= (depth[part] / mean.sum(axis=1))[:, None]
        rate = rng.gamma(1.0 / dispersion, mean * dispersion)
        blocks.append(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    # several non-targeting guides, so that the guide column looks as it does in a real screen
    guide_names = np.array([guide.name for guide in guides], dtype=object)[guide_of_cell]
    is_control = guide_of_cell == 0
    guide_names[is_control] = [f"{CONTROL}-g{k}" for k in rng.integers(1, 6, int(is_control.sum()))]
    cell_labels = np.array([guide.label for guide in guides], dtype=object)[guide_of_cell]
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(cell_labels),
            "guide": pd.Categorical(guide_names),
            "batch": pd.Categorical([f"batch{k + 1}" for k in batch]),
        },
        index=[f"cell{k:05d}" for k in range(1, n_cells + 1)],
    )
    var = pd.DataFrame(
        {
            "role": pd.Categorical(regulation.role),
            "module": pd.Categorical([f"module{k + 1}" for k in regulation.module]),
        },
        index=list(regulation.genes),
    )
    return anndata.AnnData(X=sparse.vstack(blocks, format="csr"), obs=obs, var=var)


def _true_effects(
    adata: AnnData,
    regulation: Regulation,
    guides: list[Guide],
    logits: np.ndarray,
    dispersion: np.ndarray,
    batch_shift: np.ndarray,
    batch_depth: np.ndarray,
) -> Effects:
    from hyperperturb.data.effects import Effects

    expected = np.zeros_like(logits)
    for shift, depth in zip(batch_shift, batch_depth, strict=True):
        fraction = np.exp(logits + shift)
        fraction /= fraction.sum(axis=1, keepdims=True)
        expected += _expected_log1p_cp10k(fraction, dispersion, _MEDIAN_DEPTH * depth) / len(batch_shift)
    labels = [label for label in dict.fromkeys(guide.label for guide in guides) if label != CONTROL]
    labels.sort()
    share = np.array([guide.share for guide in guides])
    effect, targets = np.zeros((len(labels), logits.shape[1])), []
    for row, label in enumerate(labels):
        own = [k for k, guide in enumerate(guides) if guide.label == label]
        effect[row] = share[own] @ expected[own] - expected[0]
        targets.append(tuple(sorted(regulation.genes[g] for g in guides[own[0]].efficiency)))
    counts = adata.obs["perturbation"].value_counts()
    return Effects(
        perturbations=tuple(labels),
        targets=tuple(targets),
        genes=regulation.genes,
        effect=effect.astype(np.float32),
        standard_error=np.zeros(effect.shape, dtype=np.float32),
        n_cells=np.array([counts[label] for label in labels], dtype=np.int64),
        control=CONTROL,
        control_mean=expected[0].astype(np.float32),
        control_variance=None,
        n_control_cells=int(counts[CONTROL]),
        mode="knockdown",
    )


def _expected_log1p_cp10k(fraction: np.ndarray, dispersion: np.ndarray, median_depth: float) -> np.ndarray:
    """E[log1p(10⁴ x / L)] of negative binomial counts x with mean L·fraction, over log-normal library sizes L.

    Tabulated over the logarithms of fraction and dispersion and interpolated; the library size is
    integrated by Gauss–Hermite quadrature. The noise of the observed total around L is neglected.

    Parameters
    ----------
    fraction
        ``(..., genes)``, positive.
    dispersion
        ``(genes,)``: variance = mean + dispersion · mean².
    median_depth
        Median of the library sizes.
    """
    from scipy.interpolate import RegularGridInterpolator

    node, node_weight = np.polynomial.hermite_e.hermegauss(5)
    node_weight = node_weight / node_weight.sum()
    log_fraction = np.linspace(np.log(fraction.min()) - 1e-6, np.log(fraction.max()) + 1e-6, 60)
    log_dispersion = np.linspace(np.log(dispersion.min()) - 1e-6, np.log(dispersion.max()) + 1e-6, 8)
    table = np.zeros((log_fraction.size, log_dispersion.size))
    for z, weight in zip(node, node_weight, strict=True):
        depth = median_depth * np.exp(_DEPTH_SPREAD * z)
        for i, f in enumerate(np.exp(log_fraction)):
            mean = f * depth
            size = np.exp(-log_dispersion)
            spread = np.sqrt(mean + mean**2 / size.min())
            x = np.arange(int(mean + 12 * spread) + 15)
            stride = max(1, x.size // 2000)  # beyond a few thousand counts the sum is an integral
            x = x[::stride]
            pmf = stats.nbinom.pmf(x[:, None], size, size / (size + mean))
            table[i] += weight * (np.log1p(1e4 * x / depth) @ (pmf / pmf.sum(axis=0)))
    lookup = RegularGridInterpolator((log_fraction, log_dispersion), table, method="linear")
    both = np.broadcast_arrays(np.log(fraction), np.log(dispersion))
    return lookup(np.stack(both, axis=-1))


def write_simulation(sim: SimulatedScreen, path_h5ad: Path | str) -> dict[str, Path]:
    """Write a simulated screen: the cells, the network and the true effects.

    Parameters
    ----------
    sim
        What :func:`simulate_screen` returned.
    path_h5ad
        ``OUT.h5ad``; beside it ``OUT.network.csv`` (source, target, weight, sign) and
        ``OUT.true_effects.parquet`` are written, and with epistasis ``OUT.true_interactions.parquet`` and
        ``OUT.epistasis.csv`` (gene, other, kind), with proteins ``OUT.protein.h5ad`` and
        ``OUT.true_protein_effects.parquet``. The folder is made if need be.

    Returns
    -------
    dict
        ``{"screen": …, "network": …, "true_effects": …}``, the paths; with epistasis also ``"true_interactions"`` and
        ``"epistasis"``, with proteins ``"proteins"`` and ``"true_protein_effects"``.
    """
    from hyperperturb.files import atomic_path

    path = Path(path_h5ad)
    if path.suffix != ".h5ad":
        raise HyperPerturbError(
            f"The simulated screen cannot be written to '{path.name}'.", hint="End the name in .h5ad."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = {
        "screen": path,
        "network": path.with_suffix(".network.csv"),
        "true_effects": path.with_suffix(".true_effects.parquet"),
    }
    sim.true_effects.save(paths["true_effects"])
    if sim.epistasis:
        paths["true_interactions"] = path.with_suffix(".true_interactions.parquet")
        paths["epistasis"] = path.with_suffix(".epistasis.csv")
        sim.true_interactions.save(paths["true_interactions"])
        table = pd.DataFrame(
            [(a, b, kind) for (a, b), kind in sim.epistasis.items()], columns=["gene", "other", "kind"]
        )
        with atomic_path(paths["epistasis"]) as temporary:
            table.to_csv(temporary, index=False)
    if sim.proteins is not None:
        paths["proteins"] = path.with_suffix(".protein.h5ad")
        paths["true_protein_effects"] = path.with_suffix(".true_protein_effects.parquet")
        sim.proteins.true_effects.save(paths["true_protein_effects"])
        with atomic_path(paths["proteins"], room=sys.getsizeof(sim.proteins.adata)) as temporary:
            sim.proteins.adata.write_h5ad(temporary, compression="gzip")
    signs = sim.network.signs.tocoo()
    genes = np.array(sim.network.genes, dtype=object)
    table = pd.DataFrame({"source": genes[signs.row], "target": genes[signs.col]})
    table["weight"] = [f"{w:.4f}" for w in sim.network.adjacency[signs.row, signs.col]]
    table["sign"] = signs.data
    with atomic_path(paths["network"]) as temporary:
        table.to_csv(temporary, index=False)
    # last: whoever sees the screen finds the rest beside it
    with atomic_path(path, room=sys.getsizeof(sim.adata)) as temporary:
        sim.adata.write_h5ad(temporary, compression="gzip")
    return paths
