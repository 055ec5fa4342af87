"""What a combination does beyond its genes: a second Gaussian process, over unordered pairs of genes.

The interaction of two genes is an unknown vector over the response genes with covariance v · q,

    q({a, b}, {c, d}) = (1 − ω) · ½ (κ(a, c) κ(b, d) + κ(a, d) κ(b, c)) + ω · [{a, b} = {c, d}],

where κ is 0.2 plus 0.8 of the gene kernel of the effect head without its common mean, scaled to κ(g, g) = 1: pairs of
similar genes interact alike, pairs that share a gene somewhat alike, whichever of them is named first (the symmetric
product kernel of pairwise learning; Stock et al. 2018, Neural Computation 30:2245). ω is what a pair has of its own. A
combination of several genes has the interactions of all its pairs. Where the screen gives no evidence of interactions,
v is 0 and the head is additive.

NumPy only, as the effect head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters, gene_kernel
from hyperperturb.models.measurements import Precision

Pair = tuple[str, str]

COMMON_LIKENESS = 0.2
"""How alike two genes interact that nothing connects."""

# Variances relative to the mean squared effect, and shares that are a pair's own, that the search tries.
_VARIANCES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_OWN = (0.1, 0.3, 0.6, 0.9)
_MIN_COMBINATIONS = 5
_MAX_COMBINATIONS_IN_SEARCH = 1000


@dataclass(frozen=True)
class Interactions:
    """The fitted process over pairs; of a screen without evidence of interactions there is none.

    Attributes
    ----------
    pairs
        The M pairs that the training combinations contain, each sorted.
    coefficients
        (M, R): the mean is covariance with the pairs @ coefficients.
    precision
        (M, M): what the training perturbations take off the prior variance.
    cross_precision
        (T, M): the same between the head's T target genes and the pairs.
    """

    pairs: tuple[Pair, ...]
    coefficients: np.ndarray
    precision: np.ndarray
    cross_precision: np.ndarray

    @classmethod
    def solved(
        cls,
        pairs: tuple[Pair, ...],
        precision: Precision,
        design: np.ndarray,
        with_pairs: np.ndarray,
        coefficients: np.ndarray,
    ) -> Interactions:
        """Read the process off the solution of the whole head.

        Parameters
        ----------
        pairs
            That the training combinations contain.
        precision
            C⁻¹ of the measured effects.
        design, with_pairs
            (P, T) perturbations as sums of genes, and (P, M) of pairs.
        coefficients
            ``with_pairs``ᵀ C⁻¹ effects, (M, R).
        """
        inverse = precision @ with_pairs
        return cls(pairs, coefficients, with_pairs.T @ inverse, design.T @ inverse)


def pairs_of(targets: Sequence[Sequence[str]]) -> tuple[Pair, ...]:
    """Every unordered pair that some combination contains, in alphabetical order.

    Examples
    --------
    >>> pairs_of([("B", "A"), ("C",), ("A", "B", "C")])
    (('A', 'B'), ('A', 'C'), ('B', 'C'))
    """
    return tuple(sorted({pair for target in targets for pair in combinations(sorted(set(target)), 2)}))


def memberships(targets: Sequence[Sequence[str]], pairs: Sequence[Pair]) -> np.ndarray:
    """1 where a perturbation contains a pair, (P, M)."""
    column = {pair: i for i, pair in enumerate(pairs)}
    out = np.zeros((len(targets), len(pairs)))
    for row, target in enumerate(targets):
        for pair in combinations(sorted(set(target)), 2):
            if pair in column:
                out[row, column[pair]] = 1.0
    return out


def likeness(
    kernels: GeneKernels, parameters: KernelParameters, a: Sequence[str], b: Sequence[str]
) -> np.ndarray:
    """κ: how alike genes interact, 1 for a gene with itself, (len(a), len(b))."""
    p = replace(parameters, mean=0.0)
    similar = gene_kernel(kernels, p, a, b) / (p.diffusion + p.hyperbolic + p.own)
    return COMMON_LIKENESS + (1.0 - COMMON_LIKENESS) * similar


def product_covariance(
    targets: Sequence[Sequence[str]],
    pairs: Sequence[Pair],
    kernels: GeneKernels,
    parameters: KernelParameters,
) -> np.ndarray:
    """Covariance of the perturbations' interactions with pairs, v = 1 and ω = 0, (P, M); 0 for single genes.

    Summed over the pairs of a perturbation, the product kernel is
    ½ [(Σ_a κ(a, c)) (Σ_b κ(b, d)) − Σ_a κ(a, c) κ(a, d)].
    """
    genes = sorted({g for target in targets for g in target})
    columns = sorted({g for pair in pairs for g in pair})
    row, column = ({g: i for i, g in enumerate(names)} for names in (genes, columns))
    k = likeness(kernels, parameters, genes, columns)
    first, second = (np.array([column[pair[end]] for pair in pairs], dtype=int) for end in (0, 1))
    out = np.zeros((len(targets), len(pairs)))
    for i, target in enumerate(targets):
        if len(target) > 1:
            block = k[[row[g] for g in target]]
            c, d = block[:, first], block[:, second]
            out[i] = 0.5 * (c.sum(axis=0) * d.sum(axis=0) - np.sum(c * d, axis=0))
    return out


def pair_covariance(
    targets: Sequence[Sequence[str]],
    pairs: Sequence[Pair],
    kernels: GeneKernels,
    parameters: KernelParameters,
) -> np.ndarray:
    """Covariance of the perturbations' interactions with pairs, (P, M), relative to the head's scale."""
    own = parameters.pair_own
    shared = product_covariance(targets, pairs, kernels, parameters)
    return parameters.pair * ((1.0 - own) * shared + own * memberships(targets, pairs))


def prior_variance(
    targets: Sequence[Sequence[str]], kernels: GeneKernels, parameters: KernelParameters
) -> np.ndarray:
    """Variance of the perturbations' interactions before any data, (Q,); 0 for single genes.

    A similarity of two genes that is not kept (see :class:`~hyperperturb.models.gene_kernels.GeneKernels`) counts as 0.
    """
    out = np.zeros(len(targets))
    for i, target in enumerate(targets):
        pairs = pairs_of([target])
        if pairs:
            genes = sorted(set(target))
            k = likeness(kernels, parameters, genes, genes)
            k = np.maximum(k, k.T)
            first, second = (np.array([genes.index(pair[end]) for pair in pairs]) for end in (0, 1))
            np.fill_diagonal(k, 1.0)
            shared = 0.5 * (
                k[np.ix_(first, first)] * k[np.ix_(second, second)]
                + k[np.ix_(first, second)] * k[np.ix_(second, first)]
            )
            own = parameters.pair_own
            out[i] = parameters.pair * ((1.0 - own) * shared.sum() + own * len(pairs))
    return out


def search_pair_parameters(
    targets: Sequence[Sequence[str]],
    covariance: np.ndarray,
    Y: np.ndarray,
    kernels: GeneKernels,
    parameters: KernelParameters,
    seed: int,
) -> KernelParameters:
    """Choose v and ω by the evidence that the combinations give when the single perturbations are known.

    Given the single perturbations the n combinations have a conditional covariance S and a residual r. With
    interactions Q between them the log evidence is −½ D (n log tr((S + Q)⁻¹ r rᵀ) + log |S + Q|), its scale at the
    maximum; D is the effective number of response genes, since these change together (participation ratio of r).

    The error of combinations that are left out would see only what carries over from pair to pair: on simulated
    screens it misses interactions that stand out in the measurement.

    Parameters
    ----------
    targets
        Targets of the P training perturbations.
    covariance
        (P, P): covariance of the measured effects without interactions.
    Y
        (P, R) effects.
    parameters
        Of the head without interactions.
    seed
        Of the sample that is looked at when there are more than a thousand combinations.

    Returns
    -------
    KernelParameters
        ``parameters`` with ``pair`` and ``pair_own``; unchanged where the evidence for two more parameters is weak
        (Schwarz 1978), or where combinations that are left out (closed form) would be predicted worse.
    """
    several = np.array([i for i, target in enumerate(targets) if len(target) > 1], dtype=int)
    if len(several) < _MIN_COMBINATIONS:
        return parameters
    if len(several) > _MAX_COMBINATIONS_IN_SEARCH:
        sample = np.random.default_rng(seed).choice(len(several), _MAX_COMBINATIONS_IN_SEARCH, replace=False)
        several = several[np.sort(sample)]
    alone = np.array([i for i, target in enumerate(targets) if len(target) == 1], dtype=int)
    between = covariance[np.ix_(several, alone)]
    weight = np.linalg.solve(covariance[np.ix_(alone, alone)], between.T).T
    conditional = covariance[np.ix_(several, several)] - weight @ between.T
    residual = Y[several] - weight @ Y[alone]
    gram = residual @ residual.T
    n = len(several)

    def evidence(interaction: np.ndarray | float) -> float:
        """Per response gene, up to a constant."""
        factor = cho_factor(conditional + interaction, lower=True)
        return -0.5 * n * np.log(np.trace(cho_solve(factor, gram))) - np.log(np.diag(factor[0])).sum()

    def error(interaction: np.ndarray | float) -> float:
        """Squared error of the combinations, each left out."""
        inverse = np.linalg.inv(conditional + interaction)
        return float(np.sum(np.sum((inverse @ gram) * inverse, axis=1) / np.diag(inverse) ** 2))

    combined = [targets[i] for i in several]
    pairs = pairs_of(combined)
    B = memberships(combined, pairs)
    shared, own = product_covariance(combined, pairs, kernels, parameters) @ B.T, B @ B.T
    settings = {(v, part): v * ((1.0 - part) * shared + part * own) for v, part in product(_VARIANCES, _OWN)}
    (variance, part), interaction = max(settings.items(), key=lambda setting: evidence(setting[1]))
    white = solve_triangular(np.linalg.cholesky(conditional), residual, lower=True)
    spread = white @ white.T
    dimensions = np.trace(spread) ** 2 / np.sum(spread**2)
    gain = dimensions * (evidence(interaction) - evidence(0.0))
    if gain < np.log(n * dimensions) or error(interaction) > error(0.0):
        return parameters
    return replace(parameters, pair=variance, pair_own=part)


@dataclass(frozen=True)
class Interaction:
    """How a combination differs from the sum of its genes.

    Attributes
    ----------
    table
        One row a response gene: ``gene``, ``additive`` (what the genes do by themselves, summed), ``interaction`` (what
        the combination does beyond that; the two add up to the predicted effect) and its ``standard_error``.
    score, standard_error
        The interaction along the additive part, in shares of it, without the targets' own responses: −0.4 says that the
        combination does 40 % less than the sum (buffering), 0.4 that it does 40 % more (synergy).
    found
        Whether the screen gives evidence of interactions at all; if not, everything here but the additive part is 0.
    """

    table: pd.DataFrame
    score: float
    standard_error: float
    found: bool

    @property
    def sentence(self) -> str:
        """What the score says, in words."""
        if not self.found:
            return "The screen gives no evidence of interactions: the prediction is the sum over the genes."
        size, error = f"{abs(100 * self.score):.0f} %", f"± {100 * self.standard_error:.0f}"
        if abs(self.score) <= 1.96 * self.standard_error:
            return f"No clear interaction: {'−' if self.score < 0 else '+'}{size} of the sum over the genes ({error})."
        less = "less" if self.score < 0 else "more"
        return f"Together they do {size} {less} ({error}) than the sum over the genes."


def interaction_score(
    additive: np.ndarray, interaction: np.ndarray, standard_error: np.ndarray
) -> tuple[float, float]:
    """The interaction along the additive part, in shares of it, and its standard error.

    Parameters
    ----------
    additive, interaction
        (R,) parts of a predicted effect.
    standard_error
        (R,) of the interaction.

    Returns
    -------
    score, error
        0 and 0 where the additive part is nothing.

    Examples
    --------
    >>> interaction_score(np.array([2.0, 0.0]), np.array([-1.0, 0.3]), np.array([0.2, 0.2]))
    (-0.5, 0.1)
    """
    size = float(additive @ additive)
    if size == 0:
        return 0.0, 0.0
    return float(additive @ interaction) / size, float(np.linalg.norm(additive * standard_error)) / size


def split_effect(
    response_genes: Sequence[str],
    targets: Sequence[str],
    effect: np.ndarray,
    interaction: np.ndarray,
    standard_error: np.ndarray,
    *,
    found: bool,
) -> Interaction:
    """Take the predicted ``effect`` of a combination apart; all arrays are (R,), see :class:`Interaction`."""
    additive = effect - interaction
    others = ~np.isin(response_genes, targets)
    score, error = interaction_score(additive[others], interaction[others], standard_error[others])
    table = pd.DataFrame(
        {
            "gene": response_genes,
            "additive": additive,
            "interaction": interaction,
            "standard_error": standard_error,
        }
    )
    return Interaction(table, score, error, found)
