"""The few numbers of the effect head, weighed by the leave-one-gene-out error.

That error is closed form (Rasmussen & Williams 2006, eq. 5.12, in its block form): leaving a gene out takes all
perturbations with it that it takes part in. A hundred perturbations do not tell one best set of numbers from many
others that do nearly as well, so none is picked: the numbers are means over a grid, in which each place counts by its
error. Whether the networks help at all is asked by itself, so that networks that do not are given up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, design_matrix, gene_groups
from hyperperturb.models.neighbourhoods import Neighbourhoods

# Variances are relative to the mean squared effect. The common mean's matters little and is fixed. So is the smaller of
# a gene's own and the noise: in the prediction of an unseen gene only their sum counts, and what scatters beyond known
# measurement errors is the genes' own; where these are not known, it counts as noise.
_MEAN, _LEAST = 0.8, 0.08
_WEIGHTS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_SCATTER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_HYPERBOLIC = (0.0, 0.5, 1.0)
_FACTORS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
_FACTOR = 0.9
# A place in the grid counts by exp(−error / _TEMPERATURE), the error relative to that of no change.
_TEMPERATURE = 0.01
# A few numbers: three hundred perturbations determine them well, and each look costs their cube.
_MAX_PERTURBATIONS_IN_SEARCH = 300
_AROUND = 50


def search_parameters(
    targets: Sequence[Sequence[str]],
    genes: tuple[str, ...],
    Y: np.ndarray,
    noise: np.ndarray,
    kernels: GeneKernels | Neighbourhoods,
    seed: int,
) -> KernelParameters:
    """Average the parameters over a grid by their leave-one-gene-out error.

    First the weight of the networks, the share in it of the hyperbolic kernel, and the scatter (a gene's own variance,
    or noise); then, given these, the combination factor. The networks keep their weight where they lower the error by
    at least its standard error over genes, lose it where they do not lower it, and keep a part in between.

    Parameters
    ----------
    targets
        Target genes of the P perturbations.
    genes
        All of those, sorted.
    Y
        (P, R) effects.
    noise
        (P,) measurement variances over the mean squared effect.
    kernels
        Similarities over at least ``genes``.
    seed
        Of the subset that is looked at when there are more than three hundred perturbations.
    """
    from threadpoolctl import threadpool_limits  # imported here: answering questions does not need it

    if len(Y) > _MAX_PERTURBATIONS_IN_SEARCH:
        keep = relatives_sample(targets, genes, kernels, _MAX_PERTURBATIONS_IN_SEARCH, seed=seed)
        targets, Y, noise = [targets[i] for i in keep], Y[keep], noise[keep]
        genes = tuple(sorted({g for target in targets for g in target}))
    Y = np.asarray(Y, dtype=np.float64)
    look = _LeaveOneGeneOut(targets, genes, Y, noise, kernels)
    # Threads cost more than they give on matrices of a few hundred rows.
    with threadpool_limits(1 if len(Y) < 500 else None):
        return _weighed(look, several=any(len(t) > 1 for t in targets), space=kernels.hyperbolic is not None)


def relatives_sample(
    targets: Sequence[Sequence[str]],
    genes: Sequence[str],
    kernels: GeneKernels | Neighbourhoods,
    n: int,
    *,
    seed: int,
) -> np.ndarray:
    """Rows of ``n`` of the P perturbations that have each other's relatives among them, as all of them have.

    Fifty around each of a few random ones. In a random sample of thousands hardly any gene is beside another that the
    networks relate it to, so that they would seem to say little.

    Parameters
    ----------
    targets, genes, kernels, seed
        See :func:`search_parameters`.
    """
    of_gene: dict[str, list[int]] = {}
    for i, target in enumerate(targets):
        of_gene.setdefault(target[0], []).append(i)
    chosen: dict[int, None] = {}
    for start in np.random.default_rng(seed).permutation(len(targets)):
        if len(chosen) >= n:
            break
        near = np.argsort(-kernels.between(targets[start][:1], genes)[0][0], kind="stable")
        rows = [i for j in near[: 2 * _AROUND] for i in of_gene.get(genes[j], ())]
        chosen.update(dict.fromkeys(rows[:_AROUND]))
    return np.sort(list(chosen)[:n])


def _weighed(look: _LeaveOneGeneOut, *, several: bool, space: bool) -> KernelParameters:
    shares = _HYPERBOLIC if space else (0.0,)
    grid = [(w, h, v) for w in _WEIGHTS for h in shares for v in _SCATTER]
    counts = _counts([look(*place).sum() for place in grid])
    weight, scatter = (float(np.exp(counts @ np.log([place[i] for place in grid]))) for i in (0, 2))
    share = float(counts @ [place[1] for place in grid])

    counts = _counts([look(0.0, 0.0, v).sum() for v in _SCATTER])
    alone = float(np.exp(counts @ np.log(_SCATTER)))
    gain = look(0.0, 0.0, alone) - look(weight, share, scatter)
    spread = float(np.std(gain) * np.sqrt(len(gain)))
    trust = float(np.clip(gain.sum() / spread, 0.0, 1.0)) if spread > 0 else 0.0
    weight, scatter = trust * weight, scatter**trust * alone ** (1.0 - trust)

    factor = _FACTOR
    if several:
        counts = _counts([look(weight, share, scatter, factor).sum() for factor in _FACTORS])
        factor = float(counts @ _FACTORS)
    own, noise = look.own_and_noise(scatter)
    return KernelParameters(
        mean=_MEAN,
        diffusion=(1.0 - share) * weight,
        hyperbolic=share * weight,
        own=own,
        noise=noise,
        factor=factor,
        leave_one_gene_out=float(look(weight, share, scatter, factor).sum()),
    )


def _counts(errors: Sequence[float]) -> np.ndarray:
    """What each place counts, adding up to one."""
    counts = np.exp(-(np.asarray(errors) - min(errors)) / _TEMPERATURE)
    return counts / counts.sum()


class _LeaveOneGeneOut:
    """Squared error of the perturbations of each gene when it is left out, over that of no change for all."""

    def __init__(
        self,
        targets: Sequence[Sequence[str]],
        genes: tuple[str, ...],
        Y: np.ndarray,
        noise: np.ndarray,
        kernels: GeneKernels | Neighbourhoods,
    ) -> None:
        self.targets, self.genes, self.noise = targets, genes, noise
        self.diffusion, self.hyperbolic = kernels.between(genes, genes)
        self.gram = Y @ Y.T / np.mean(Y**2) / Y.shape[1]
        groups = gene_groups(targets, genes)
        self.single = np.array([g[0] for g in groups if len(g) == 1], dtype=int)
        self.larger = [g for g in groups if len(g) > 1]
        self.total = float(sum(np.trace(self.gram[np.ix_(g, g)]) for g in groups))

    def own_and_noise(self, scatter: float) -> tuple[float, float]:
        """A gene's own variance, and what is added to the measurements' variance."""
        return (scatter, _LEAST) if np.any(self.noise > 0) else (_LEAST, scatter)

    def __call__(self, weight: float, share: float, scatter: float, factor: float = _FACTOR) -> np.ndarray:
        """One number a gene.

        Parameters
        ----------
        weight
            Variance of what the networks say.
        share
            Part of it that follows the hyperbolic kernel.
        scatter
            Variance of what is a gene's own, or noise.
        factor
            Of a sum of several genes' effects.
        """
        A = design_matrix(self.targets, self.genes, factor)
        own, noise = self.own_and_noise(scatter)
        K = _MEAN + weight * ((1.0 - share) * self.diffusion + share * self.hyperbolic)
        K[np.diag_indices_from(K)] += own
        inverse = np.linalg.inv(A @ K @ A.T + np.diag(self.noise + noise))
        alone = inverse[self.single]
        out = [np.sum((alone @ self.gram) * alone, axis=1) / np.diag(inverse)[self.single] ** 2]
        spread = inverse @ self.gram @ inverse if self.larger else None
        for rows in self.larger:
            # trace(B⁻¹ S B⁻¹) with B = [C⁻¹]_rows and S = [C⁻¹ G C⁻¹]_rows
            block = np.linalg.inv(inverse[np.ix_(rows, rows)])
            out.append([np.sum((block @ spread[np.ix_(rows, rows)]) * block)])
        return np.concatenate(out) / self.total
