"""The effect head: an additive Gaussian process over genes, solved in closed form.

Every gene g has an unknown effect vector f(g) over the response genes, f ~ GP(0, k) with

    k(g, g') = a² + w_d · diffusion(g, g') + w_h · exp(−d(h_g, h_g')) + w_o · [g = g'],

where a² is the common mean effect, ``diffusion`` the networks' diffusion similarity, d the hyperbolic
distance of the gene points (exp(−d) is positive definite on hyperbolic space) and w_o what is a gene's own. A
perturbation of one gene is f(g), of several s · Σ f(g) and the interactions of their pairs, where the screen gives
evidence of any (:mod:`hyperperturb.models.interactions`). Measured effects are these plus noise whose variance
is the measured squared standard error plus a constant. The parameters are averaged by their
leave-one-gene-out error, which is closed form too (Rasmussen & Williams 2006, eq. 5.12, in its block form).

NumPy only: training, inference and the tests share this file, and none of it needs Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.error_scale import (
    ErrorScale,
    combinations_alone,
    fit_error_scale,
    relative_noise,
)
from hyperperturb.models.gene_kernels import (
    GeneKernels,
    KernelParameters,
    gene_groups,
    gene_kernel,
    sparse_design,
)
from hyperperturb.models.interactions import (
    Interactions,
    Pair,
    memberships,
    pair_covariance,
    pairs_of,
    prior_variance,
    search_pair_parameters,
)
from hyperperturb.models.kernel_search import search_parameters
from hyperperturb.models.links import fit_strengths, link_effects, weighed, without_entries
from hyperperturb.models.local_precision import LocalPrecision, arrange
from hyperperturb.models.local_prior import make_prior
from hyperperturb.models.local_process import LocalProcess
from hyperperturb.models.measurements import ExactPrecision, LeftOut, solve
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.own_response import own_entries, own_response, without_own


@dataclass(frozen=True)
class EffectHead:
    """A fitted additive Gaussian process over genes.

    Made by :meth:`fit`; :meth:`predict` gives means and standard errors for any sets of target genes.

    Attributes
    ----------
    parameters
        The kernel's parameters.
    kernels
        Similarities of the universe (rows) with the training targets (columns).
    target_genes
        The T genes that some training perturbation targets.
    coefficients
        (T, R): the mean is s · Σ k(g, ·) @ coefficients.
    precision
        (T, T): what the training perturbations take off the prior variance.
    scale
        (R,): signal variance of every response gene, in squared effect units.
    link_strengths
        What a gene does to those it is joined with (:mod:`hyperperturb.models.links`), one number a kind of edge.
    error
        How variances follow from those of the process (:mod:`hyperperturb.models.error_scale`).
    own_slope, own_level, own_error
        What a perturbation does to its own target: ``own_slope`` times the target's control level (R,), give or take
        ``own_error`` (natural-log units).
    interactions
        What pairs of genes do beyond their sum; None where the screen gives no evidence of it.
    local
        The process over very many target genes (:mod:`hyperperturb.models.local_process`). ``kernels``,
        ``coefficients``
        and ``precision`` are then empty but for the genes' names, and the head is additive.
    """

    parameters: KernelParameters
    kernels: GeneKernels
    target_genes: tuple[str, ...]
    response_genes: tuple[str, ...]
    coefficients: np.ndarray
    precision: np.ndarray
    scale: np.ndarray
    own_slope: float
    own_error: float
    own_level: np.ndarray
    interactions: Interactions | None = None
    local: LocalProcess | None = None
    link_strengths: tuple[float, ...] = ()
    error: ErrorScale = field(default_factory=ErrorScale)

    @classmethod
    def fit(
        cls,
        targets: Sequence[Sequence[str]],
        response_genes: Sequence[str],
        effect: np.ndarray,
        *,
        kernels: GeneKernels | Neighbourhoods,
        standard_error: np.ndarray | None = None,
        control_mean: np.ndarray | None = None,
        parameters: KernelParameters | None = None,
        seed: int = 0,
    ) -> EffectHead:
        """Weigh the parameters by the leave-one-gene-out error and solve for the coefficients.

        Parameters
        ----------
        targets
            Target genes of each of the P training perturbations.
        response_genes
            The R response genes.
        effect
            Δ, (P, R), natural-log units.
        kernels
            Square similarities over at least the target genes, or what stands for them where these are very many.
        standard_error
            Of ``effect``, (P, R); NaN where unknown.
        control_mean
            (R,): mean log1p(CP10k) of the control cells, for the response of a target to its own
            perturbation.
        parameters
            Skip the search and use these.
        seed
            Of the subset the search uses when there are more than three hundred perturbations.

        Raises
        ------
        HyperPerturbError
            With fewer than two perturbations, or when no effect differs from zero.
        """
        # Of very many perturbations a copy in float64 is the largest thing in memory.
        Y = np.asarray(effect, dtype=np.float32 if isinstance(kernels, Neighbourhoods) else np.float64)
        if len(Y) < 2:
            raise HyperPerturbError(
                f"{len(Y)} perturbation(s) remain to learn from; at least 2 are needed.",
                hint="Bring a screen with more perturbations, or exclude fewer.",
            )
        own_rows, own_columns = own_entries(targets, response_genes)
        slope, own_error, level = own_response(Y, own_rows, own_columns, control_mean)
        Y = without_own(Y, own_rows, own_columns)
        mean_square = float(np.mean([np.mean(np.square(row, dtype=np.float64)) for row in Y]))
        if not np.isfinite(mean_square) or mean_square == 0:
            raise HyperPerturbError(
                "Every effect in the table is zero, so there is nothing to learn.",
                hint="Check the control label and the values of the table.",
            )
        noise = relative_noise(standard_error, mean_square, len(Y))
        genes = tuple(sorted({g for target in targets for g in target}))
        chosen = parameters or search_parameters(targets, genes, Y, noise, kernels, seed)
        noise = noise + chosen.noise
        A = sparse_design(targets, genes, chosen.factor)
        exact = isinstance(kernels, GeneKernels)
        if exact:
            covariance = (A @ gene_kernel(kernels, chosen, genes, genes)) @ A.T + np.diag(noise)
            precision = ExactPrecision(covariance)
        else:
            precision = LocalPrecision(arrange(make_prior(kernels, chosen), genes, A), noise)
        groups = gene_groups(targets, genes)
        left = LeftOut.of(precision, groups, len(Y))
        strengths, known = (), sparse.csc_array(Y.shape)
        if kernels.links is not None:
            added = link_effects(kernels.links, A, genes, response_genes)
            added = [without_entries(each, own_rows, own_columns) for each in added]
            strengths = fit_strengths(precision, left, Y, added)
            known = sparse.csc_array(weighed(strengths, added))
        pairs: tuple[Pair, ...] = ()
        if exact and parameters is None:
            chosen = search_pair_parameters(targets, covariance, Y - known.toarray(), kernels, chosen, seed)
        if exact and chosen.pair > 0:
            pairs = pairs_of(targets)
            with_pairs = memberships(targets, pairs)
            precision = ExactPrecision(
                covariance + pair_covariance(targets, pairs, kernels, chosen) @ with_pairs.T
            )
            left = LeftOut.of(precision, groups, len(Y))
        reads = [A, with_pairs] if pairs else [A] if exact else [A, precision.features]
        alone = LeftOut.of(precision, combinations_alone(groups, len(Y)), len(Y))
        answers, likely, missed = solve(precision, reads, Y, known, (left, alone))
        # The scale of each response gene is its most likely one, stretched to what a held-out gene meets.
        scale = np.maximum(likely, 1e-12)
        error, stretch = fit_error_scale(
            *missed,
            noise=noise,
            weight=(A * A).sum(axis=1),
            connected=(A > 0) @ kernels.connection(genes, genes) / np.diff(A.indptr),
            scale=scale,
            standard_error=standard_error,
        )
        common = {
            "parameters": chosen,
            "target_genes": genes,
            "response_genes": tuple(response_genes),
            "scale": stretch * scale,
            "error": error,
            "link_strengths": strengths,
            "own_slope": slope,
            "own_error": own_error,
            "own_level": level,
        }
        if not exact:
            connected = kernels.connection(precision.system.prior.genes, genes)
            return cls(
                kernels=kernels.landmarks.restricted_to(()),
                coefficients=np.zeros((0, Y.shape[1])),
                precision=np.zeros((0, 0)),
                local=LocalProcess.solved(precision, *answers, connected),
                **common,
            )
        design = A.toarray()
        return cls(
            kernels=kernels.restricted_to(genes),
            coefficients=answers[0],
            precision=design.T @ (precision @ design),
            interactions=Interactions.solved(pairs, precision, design, with_pairs, answers[1])
            if pairs
            else None,
            **common,
        )

    def predict(
        self, targets: Sequence[Sequence[str]], *, standard_error: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predicted effects and their standard errors.

        Parameters
        ----------
        targets
            Q sets of target genes; a gene outside the universe gets the common mean effect, and nothing takes off
            its variance.

        Returns
        -------
        mean, error
            (Q, R) each, natural-log units; ``error`` is None when not asked for.
        """
        genes = tuple(sorted({g for target in targets for g in target}))
        B = sparse_design(targets, genes, self.parameters.factor)
        if self.local is not None:
            mean = B @ self.local.mean(genes)
        else:
            mean = (
                B @ gene_kernel(self.kernels, self.parameters, genes, self.target_genes) @ self.coefficients
            )
        if any(self.link_strengths):
            added = link_effects(self.kernels.links, B, genes, self.response_genes)
            mean += weighed(self.link_strengths, added).toarray()
        if self.interactions is not None:
            mean += self._with_pairs(targets) @ self.interactions.coefficients
        square = np.sum(mean**2, axis=1)
        rows, columns = self._own(targets)
        mean[rows, columns] = self.own_slope * self.own_level[columns]
        if not standard_error:
            return mean, None
        n_targets = np.diff(B.indptr)
        if self.local is not None:
            connected = self.local.connection(genes)
        else:
            connected = self.kernels.connection(genes, self.target_genes)
        variance = self.error.variance(
            self._variance(targets, B, genes),
            square,
            np.asarray((B * B).sum(axis=1)).ravel(),
            (B > 0) @ connected / n_targets,
            n_targets > 1,
            float(self.scale.sum()),
        )
        error = np.sqrt(np.outer(variance, self.scale))
        error[rows, columns] = self.own_error
        return mean, error

    def interaction(self, targets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """The part of the prediction that is interaction, and its standard error.

        The rest of :meth:`predict` is the sum over genes.

        Parameters
        ----------
        targets
            Q sets of target genes.

        Returns
        -------
        mean, error
            (Q, R) each, natural-log units; zeros for single genes, for the targets' own responses, and for a head
            without interactions.
        """
        mean, error = np.zeros((2, len(targets), len(self.response_genes)))
        if self.interactions is None:
            return mean, error
        between = self._with_pairs(targets)
        mean = between @ self.interactions.coefficients
        explained = np.einsum("qm,mn,qn->q", between, self.interactions.precision, between, optimize=True)
        variance = np.maximum(prior_variance(targets, self.kernels, self.parameters) - explained, 0.0)
        error = np.sqrt(np.outer(variance, self.scale))
        rows, columns = self._own(targets)
        mean[rows, columns] = error[rows, columns] = 0.0
        return mean, error

    def _with_pairs(self, targets: Sequence[Sequence[str]]) -> np.ndarray:
        return pair_covariance(targets, self.interactions.pairs, self.kernels, self.parameters)

    def _own(self, targets: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the targets' own responses that are known."""
        rows, columns = own_entries(targets, self.response_genes)
        known = (self.own_level[columns] > 0) & (self.own_slope != 0)
        return rows[known], columns[known]

    def _variance(
        self, targets: Sequence[Sequence[str]], B: sparse.csr_array, genes: tuple[str, ...]
    ) -> np.ndarray:
        """Posterior variance of Q perturbations, sums ``B`` of genes and interactions, relative to ``scale``."""
        variance = (B * (B @ self._covariance(genes))).sum(axis=1)
        if self.interactions is not None:
            between = gene_kernel(self.kernels, self.parameters, genes, self.target_genes)
            pairs = self._with_pairs(targets)
            explained = 2.0 * (B @ between) @ self.interactions.cross_precision
            explained += pairs @ self.interactions.precision
            variance += prior_variance(targets, self.kernels, self.parameters)
            variance -= np.einsum("qm,qm->q", explained, pairs)
        return np.maximum(variance, 1e-9)

    def _covariance(self, genes: tuple[str, ...]) -> np.ndarray:
        """Posterior covariance of f over genes, relative to ``scale``.

        The similarity of two genes that are no columns is not kept; given the training perturbations such a
        pair is taken as independent. To leave out its prior covariance alone would still subtract what explains
        both genes at once, and pairs of unseen genes would look too certain.
        """
        if self.local is not None:
            return self.local.covariance(genes)
        between = gene_kernel(self.kernels, self.parameters, genes, self.target_genes)
        covariance = self._prior(genes) - between @ self.precision @ between.T
        kept = set(self.target_genes)
        unseen = np.array([g not in kept for g in genes], dtype=bool)
        pair = np.outer(unseen, unseen) & ~np.eye(len(genes), dtype=bool)
        return np.where(pair, np.maximum(covariance, 0.0), covariance)

    def error_correlation(self, first: Sequence[str], second: Sequence[str]) -> float:
        """How the errors of two predictions go together: the posterior correlation of their sums over genes.

        What two combinations have of their own, their interactions, counts as independent.

        Parameters
        ----------
        first, second
            Target genes of either perturbation.

        Returns
        -------
        float
            In [−1, 1]; 1 for the same perturbation.
        """
        if set(first) == set(second):
            return 1.0
        sets = [tuple(first), tuple(second)]
        genes = tuple(sorted({*first, *second}))
        B = sparse_design(sets, genes, self.parameters.factor)
        between = float((B @ self._covariance(genes) @ B.T)[0, 1])
        return float(np.clip(between / np.sqrt(np.prod(self._variance(sets, B, genes))), -1.0, 1.0))

    @property
    def _gene_variance(self) -> float:
        """Prior variance of a gene's own effect, without the common mean."""
        p = self.parameters
        return p.diffusion + (p.hyperbolic if self.kernels.hyperbolic is not None else 0.0) + p.own

    def _prior(self, genes: tuple[str, ...]) -> np.ndarray:
        """k over ``genes``; a similarity between two genes that are no columns is not kept and counts as 0."""
        out = gene_kernel(self.kernels, self.parameters, genes, genes)
        out = np.maximum(out, out.T)
        np.fill_diagonal(out, self.parameters.mean + self._gene_variance)
        return out

    def support(self, genes: Sequence[str]) -> np.ndarray:
        """How much of a gene's own effect the training perturbations explain, (len(genes),) in [0, 1).

        One minus posterior over prior variance of f(g) without the common mean: 0 for a gene that no network
        connects with a tested one, near 1 for a gene that was perturbed itself in many cells.
        """
        if self.local is not None:
            return self.local.support(genes)
        p = replace(self.parameters, mean=0.0)
        cross = gene_kernel(self.kernels, p, genes, self.target_genes)
        explained = np.sum((cross @ self.precision) * cross, axis=1)
        return np.clip(explained / self._gene_variance, 0.0, 1.0)

    def means(self, genes: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Predicted effects of very many single genes: numbers of some, and their (n, R) means, at a time."""
        order = np.arange(len(genes))
        if self.local is not None:  # block by block, because each block costs a look at its coefficients
            order = np.argsort(self.local.prior.rows(genes), kind="stable")
        for start in range(0, len(genes), 512):
            part = order[start : start + 512]
            yield part, self.predict([(genes[i],) for i in part], standard_error=False)[0]

    def nearest(self, gene: str, k: int = 3) -> list[str]:
        """The k tested genes that the kernel finds most like this one."""
        if self.local is not None:
            return self.local.nearest(gene, k)
        likeness = gene_kernel(self.kernels, self.parameters, [gene], self.target_genes)[0]
        return [self.target_genes[i] for i in np.argsort(-likeness, kind="stable")[:k]]
