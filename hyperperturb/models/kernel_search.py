"""The few numbers of the effect head, chosen on the leave-one-gene-out error.

That error is closed form (Rasmussen & Williams 2006, eq. 5.12, in its block form): leaving a gene out takes all
perturbations with it that it takes part in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, design_matrix, gene_groups
from hyperperturb.models.neighbourhoods import Neighbourhoods

# Where the search starts and what its mild penalty pulls towards (logarithms, then the combination factor s);
# from Papalexi 2021 and Norman 2019, where the optimum of every fold lies within a unit or two.
_START = {"mean": -1.5, "diffusion": -0.7, "hyperbolic": -0.7, "own": -2.0, "noise": -1.5}
_START_FACTOR = 0.9
_PULL = 0.002
# The parameters are six numbers: three hundred perturbations determine them well, and each look costs their cube.
_MAX_PERTURBATIONS_IN_SEARCH = 300


def _covariance(
    log: np.ndarray, A: np.ndarray, blocks: tuple[np.ndarray, np.ndarray, np.ndarray], noise: np.ndarray
) -> np.ndarray:
    diffusion, hyperbolic, identity = blocks
    mean, w_d, w_h, own, constant = np.exp(log)
    return A @ (mean + w_d * diffusion + w_h * hyperbolic + own * identity) @ A.T + np.diag(noise + constant)


def search_parameters(
    targets: Sequence[Sequence[str]],
    genes: tuple[str, ...],
    Y: np.ndarray,
    noise: np.ndarray,
    kernels: GeneKernels | Neighbourhoods,
    seed: int,
) -> KernelParameters:
    """Minimise the leave-one-gene-out error over log variances and the combination factor."""
    # Imported here: they take a second, and answering questions needs neither.
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    if len(Y) > _MAX_PERTURBATIONS_IN_SEARCH:
        keep = np.random.default_rng(seed).choice(len(Y), _MAX_PERTURBATIONS_IN_SEARCH, replace=False)
        targets, Y, noise = [targets[i] for i in keep], Y[keep], noise[keep]
        genes = tuple(sorted({g for target in targets for g in target}))
    Y = np.asarray(Y, dtype=np.float64)
    several = any(len(t) > 1 for t in targets)
    diffusion, hyperbolic = kernels.between(genes, genes)
    blocks = (diffusion, hyperbolic, np.eye(len(genes)))
    gram = Y @ Y.T / np.mean(Y**2) / Y.shape[1]
    groups = gene_groups(targets, genes)
    single = np.array([g[0] for g in groups if len(g) == 1], dtype=int)
    larger = [g for g in groups if len(g) > 1]
    total = float(sum(np.trace(gram[np.ix_(g, g)]) for g in groups))
    start = np.array([*_START.values(), _START_FACTOR])
    if kernels.hyperbolic is None:
        start[2] = -30.0

    cache: dict[float, np.ndarray] = {}

    def error(theta: np.ndarray) -> float:
        s = float(theta[5]) if several else _START_FACTOR
        if s not in cache:
            cache.clear()
            cache[s] = design_matrix(targets, genes, s)
        C = _covariance(theta[:5], cache[s], blocks, noise)
        inverse = np.linalg.inv(C)
        alone = inverse[single]
        out = float(np.sum(np.sum((alone @ gram) * alone, axis=1) / np.diag(inverse)[single] ** 2))
        spread = inverse @ gram @ inverse if larger else None
        for rows in larger:
            # trace(B⁻¹ S B⁻¹) with B = [C⁻¹]_rows and S = [C⁻¹ G C⁻¹]_rows
            block = np.linalg.inv(inverse[np.ix_(rows, rows)])
            out += float(np.sum((block @ spread[np.ix_(rows, rows)]) * block))
        return out / total

    def objective(theta: np.ndarray) -> float:
        return (
            error(theta)
            + _PULL * float(np.sum((theta[:5] - start[:5]) ** 2))
            + 0.5 * float(theta[5] - 0.9) ** 2
        )

    bounds = [(-8.0, 4.0)] * 5 + [(0.5, 1.2)]
    if kernels.hyperbolic is None:
        bounds[2] = (-30.0, -30.0)
    # Threads cost more than they give on matrices of a few hundred rows.
    with threadpool_limits(1 if len(Y) < 500 else None):
        found = minimize(objective, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
    mean, w_d, w_h, own, constant = np.exp(found.x[:5])
    return KernelParameters(
        mean=float(mean),
        diffusion=float(w_d),
        hyperbolic=float(w_h) if kernels.hyperbolic is not None else 0.0,
        own=float(own),
        noise=float(constant),
        factor=float(found.x[5]) if several else _START_FACTOR,
        leave_one_gene_out=error(found.x),
    )
