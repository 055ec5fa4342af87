"""The effect head: an additive Gaussian process over genes, solved in closed form.

Every gene g has an unknown effect vector f(g) over the response genes, f ~ GP(0, k) with

    k(g, g') = a² + w_d · diffusion(g, g') + w_h · exp(−d(h_g, h_g')) + w_o · [g = g'],

where a² is the common mean effect, ``diffusion`` the networks' diffusion similarity, d the hyperbolic
distance of the gene points (exp(−d) is positive definite on hyperbolic space) and w_o what is a gene's own. A
perturbation of one gene is f(g), of several s · Σ f(g). Measured effects are these plus noise whose variance
is the measured squared standard error plus a constant. The six parameters are chosen on the
leave-one-gene-out error, which is closed form too (Rasmussen & Williams 2006, eq. 5.12, in its block form).

NumPy only: training, inference and the tests share this file, and none of it needs Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from hyperperturb.errors import HyperPerturbError

# Where the search starts and what its mild penalty pulls towards (logarithms, then the combination factor s);
# from Papalexi 2021 and Norman 2019, where the optimum of every fold lies within a unit or two.
_START = {"mean": -1.5, "diffusion": -0.7, "hyperbolic": -0.7, "own": -2.0, "noise": -1.5}
_START_FACTOR = 0.9
_PULL = 0.002
# The parameters are six numbers: three hundred perturbations determine them well, and each look costs their cube.
_MAX_PERTURBATIONS_IN_SEARCH = 300


@dataclass(frozen=True)
class KernelParameters:
    """The few numbers the effect head learns besides its coefficients.

    ``mean``, ``diffusion``, ``hyperbolic``, ``own`` and ``noise`` are variances relative to the mean squared
    effect of the training perturbations; ``factor`` is s, the shrinkage of a sum of single effects;
    ``leave_one_gene_out`` is the squared error relative to no change that the search reached.
    """

    mean: float
    diffusion: float
    hyperbolic: float
    own: float
    noise: float
    factor: float
    leave_one_gene_out: float = float("nan")


@dataclass(frozen=True)
class GeneKernels:
    """What the process knows about genes: two similarities over the same ordered genes.

    Parameters
    ----------
    genes
        The N genes.
    diffusion
        Array (N, M): diffusion similarity of all genes with the M ``columns``.
    hyperbolic
        Array (N, M): exp(−distance) of the gene points, or None for a process without the space.
    columns
        The M genes of the columns; all genes when None (then the arrays are square).
    """

    genes: tuple[str, ...]
    diffusion: np.ndarray
    hyperbolic: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    _row: dict[str, int] = field(init=False, repr=False, compare=False)
    _column: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {g: i for i, g in enumerate(self.genes)})
        columns = self.genes if self.columns is None else self.columns
        object.__setattr__(self, "_column", {g: i for i, g in enumerate(columns)})

    def __contains__(self, gene: str) -> bool:
        return gene in self._row

    def between(self, a: Sequence[str], b: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The two similarity blocks of genes ``a`` with ``b``, each (len(a), len(b)), float64.

        A gene outside the kernels is similar to itself only.
        """
        out = []
        rows = np.array([self._row.get(g, -1) for g in a])
        columns = np.array([self._column.get(g, -1) for g in b])
        known = (rows[:, None] >= 0) & (columns[None, :] >= 0)
        same = np.array(a, dtype=object)[:, None] == np.array(b, dtype=object)[None, :]
        for matrix in (self.diffusion, self.hyperbolic):
            if matrix is None:
                out.append(np.zeros((len(a), len(b))))
                continue
            if not known.any():
                out.append(same.astype(np.float64))
                continue
            block = np.asarray(matrix[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))], dtype=np.float64)
            out.append(np.where(known, block, same.astype(np.float64)))
        return out[0], out[1]

    def restricted_to(self, columns: Sequence[str]) -> GeneKernels:
        """The same similarities, keeping only these columns: what a saved run needs."""
        keep = tuple(g for g in columns if g in self._column)
        index = [self._column[g] for g in keep]
        return GeneKernels(
            self.genes,
            np.ascontiguousarray(self.diffusion[:, index], dtype=np.float32),
            None
            if self.hyperbolic is None
            else np.ascontiguousarray(self.hyperbolic[:, index], dtype=np.float32),
            keep,
        )


def gene_kernel(
    kernels: GeneKernels, parameters: KernelParameters, a: Sequence[str], b: Sequence[str]
) -> np.ndarray:
    """The covariance k(a, b) of the process between two lists of genes, (len(a), len(b)), float64."""
    diffusion, hyperbolic = kernels.between(a, b)
    same = np.array(a, dtype=object)[:, None] == np.array(b, dtype=object)[None, :]
    return (
        parameters.mean
        + parameters.diffusion * diffusion
        + parameters.hyperbolic * hyperbolic
        + parameters.own * same
    )


def design_matrix(targets: Sequence[Sequence[str]], genes: Sequence[str], factor: float) -> np.ndarray:
    """Perturbations as sums of genes, (P, T): 1 for a single target, ``factor`` for each of several."""
    column = {g: i for i, g in enumerate(genes)}
    out = np.zeros((len(targets), len(genes)))
    for row, target in enumerate(targets):
        for gene in target:
            out[row, column[gene]] = 1.0 if len(target) == 1 else factor
    return out


def _gene_groups(targets: Sequence[Sequence[str]], genes: Sequence[str]) -> list[np.ndarray]:
    members: dict[str, list[int]] = {g: [] for g in genes}
    for row, target in enumerate(targets):
        for gene in target:
            members[gene].append(row)
    return [np.array(rows) for rows in members.values() if rows]


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
    own_slope, own_level, own_error
        What a perturbation does to its own target: ``own_slope`` times the target's control level (R,), give or take
        ``own_error`` (natural-log units).
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

    @classmethod
    def fit(
        cls,
        targets: Sequence[Sequence[str]],
        response_genes: Sequence[str],
        effect: np.ndarray,
        *,
        kernels: GeneKernels,
        standard_error: np.ndarray | None = None,
        control_mean: np.ndarray | None = None,
        parameters: KernelParameters | None = None,
        seed: int = 0,
    ) -> EffectHead:
        """Choose the parameters on the leave-one-gene-out error and solve for the coefficients.

        Parameters
        ----------
        targets
            Target genes of each of the P training perturbations.
        response_genes
            The R response genes.
        effect
            Δ, (P, R), natural-log units.
        kernels
            Square similarities over at least the target genes.
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
        Y = np.asarray(effect, dtype=np.float64)
        if len(Y) < 2:
            raise HyperPerturbError(
                f"{len(Y)} perturbation(s) remain to learn from; at least 2 are needed.",
                hint="Bring a screen with more perturbations, or exclude fewer.",
            )
        own_rows, own_columns = _own_entries(targets, response_genes)
        slope, own_error, level = _own_response(Y, own_rows, own_columns, control_mean)
        Y = _without_own(Y, own_rows, own_columns)
        mean_square = float(np.mean(Y**2))
        if not np.isfinite(mean_square) or mean_square == 0:
            raise HyperPerturbError(
                "Every effect in the table is zero, so there is nothing to learn.",
                hint="Check the control label and the values of the table.",
            )
        noise = _relative_noise(standard_error, mean_square, len(Y))
        genes = tuple(sorted({g for target in targets for g in target}))
        if parameters is None:
            parameters = _search(targets, genes, Y, noise, kernels, seed)
        A = design_matrix(targets, genes, parameters.factor)
        C = A @ gene_kernel(kernels, parameters, genes, genes) @ A.T + np.diag(parameters.noise + noise)
        factor = cho_factor(C, lower=True)
        solved = cho_solve(factor, Y)
        # The scale of each response gene is its maximum-likelihood value (Rasmussen & Williams 2006, §5.4.1),
        # made to agree, in total, with the leave-one-gene-out residuals: those are what a held-out gene
        # meets.
        scale = np.maximum(np.einsum("pr,pr->r", Y, solved) / len(Y), 1e-12)
        scale = scale * _calibration(factor, solved, scale, _gene_groups(targets, genes))
        return cls(
            parameters=parameters,
            kernels=kernels.restricted_to(genes),
            target_genes=genes,
            response_genes=tuple(response_genes),
            coefficients=A.T @ solved,
            precision=A.T @ cho_solve(factor, A),
            scale=scale,
            own_slope=slope,
            own_error=own_error,
            own_level=level,
        )

    def predict(
        self, targets: Sequence[Sequence[str]], *, standard_error: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predicted effects and their standard errors.

        Parameters
        ----------
        targets
            Q sets of target genes; a gene outside the universe gets the common mean effect and the widest
            error.

        Returns
        -------
        mean, error
            (Q, R) each, natural-log units; ``error`` is None when not asked for.
        """
        genes = tuple(sorted({g for target in targets for g in target}))
        B = design_matrix(targets, genes, self.parameters.factor)
        cross = B @ gene_kernel(self.kernels, self.parameters, genes, self.target_genes)
        mean = cross @ self.coefficients
        rows, columns = _own_entries(targets, self.response_genes)
        known = (self.own_level[columns] > 0) & (self.own_slope != 0)
        rows, columns = rows[known], columns[known]
        mean[rows, columns] = self.own_slope * self.own_level[columns]
        if not standard_error:
            return mean, None
        error = np.sqrt(np.outer(self._variance(B, genes), self.scale))
        error[rows, columns] = self.own_error
        return mean, error

    def _variance(self, B: np.ndarray, genes: tuple[str, ...]) -> np.ndarray:
        """Posterior variance of Q sums of genes ``B``, (Q,), relative to ``scale``.

        The similarity of two genes that are no columns is not kept; given the training perturbations such a
        pair is taken as independent. To leave out its prior covariance alone would still subtract what explains
        both genes at once, and pairs of unseen genes would look too certain.
        """
        between = gene_kernel(self.kernels, self.parameters, genes, self.target_genes)
        covariance = self._prior(genes) - between @ self.precision @ between.T
        kept = set(self.target_genes)
        unseen = np.array([g not in kept for g in genes], dtype=bool)
        pair = np.outer(unseen, unseen) & ~np.eye(len(genes), dtype=bool)
        covariance = np.where(pair, np.maximum(covariance, 0.0), covariance)
        return np.maximum(np.einsum("qg,gh,qh->q", B, covariance, B, optimize=True), 1e-9)

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
        p = replace(self.parameters, mean=0.0)
        cross = gene_kernel(self.kernels, p, genes, self.target_genes)
        explained = np.einsum("gt,tu,gu->g", cross, self.precision, cross)
        return np.clip(explained / self._gene_variance, 0.0, 1.0)


def _own_entries(
    targets: Sequence[Sequence[str]], response_genes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    column = {g: i for i, g in enumerate(response_genes)}
    pairs = [(row, column[g]) for row, target in enumerate(targets) for g in target if g in column]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(rows, dtype=int), np.array(columns, dtype=int)


def _own_response(
    Y: np.ndarray, rows: np.ndarray, columns: np.ndarray, control_mean: np.ndarray | None
) -> tuple[float, float, np.ndarray]:
    """Least-squares slope of a target's own change on its control level, the residuals' size, and the level."""
    level = np.zeros(Y.shape[1]) if control_mean is None else np.asarray(control_mean, dtype=np.float64)
    x, y = level[columns], Y[rows, columns]
    if len(rows) < 2 or not np.any(x > 0):
        return 0.0, 0.0, level
    slope = float(np.dot(x, y) / np.dot(x, x))
    return slope, float(np.sqrt(np.sum((y - slope * x) ** 2) / (len(rows) - 1))), level


def _without_own(Y: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Effects with each target's own entry replaced by its mean over the other perturbations.

    A target goes down because it was hit, which says nothing about what its network neighbours do.
    """
    if not len(rows):
        return Y
    masked = Y.copy()
    masked[rows, columns] = 0.0
    others = np.full(Y.shape[1], len(Y))
    np.subtract.at(others, columns, 1)
    mean = masked.sum(axis=0) / np.maximum(others, 1)
    masked[rows, columns] = mean[columns]
    return masked


def _relative_noise(standard_error: np.ndarray | None, mean_square: float, n: int) -> np.ndarray:
    """Measurement variance of each perturbation, (P,), over the mean squared effect; 0 where unknown."""
    if standard_error is None:
        return np.zeros(n)
    square = np.asarray(standard_error, dtype=np.float64) ** 2
    known = np.isfinite(square)
    total = np.where(known, square, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    if known.any(axis=1).any():
        # A perturbation of one cell has no standard error; the worst that is known is the least it deserves.
        total[~known.any(axis=1)] = total.max()
    return total / mean_square


def _covariance(
    log: np.ndarray, A: np.ndarray, blocks: tuple[np.ndarray, np.ndarray, np.ndarray], noise: np.ndarray
) -> np.ndarray:
    diffusion, hyperbolic, identity = blocks
    mean, w_d, w_h, own, constant = np.exp(log)
    return A @ (mean + w_d * diffusion + w_h * hyperbolic + own * identity) @ A.T + np.diag(noise + constant)


def _search(
    targets: Sequence[Sequence[str]],
    genes: tuple[str, ...],
    Y: np.ndarray,
    noise: np.ndarray,
    kernels: GeneKernels,
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
    several = any(len(t) > 1 for t in targets)
    diffusion, hyperbolic = kernels.between(genes, genes)
    blocks = (diffusion, hyperbolic, np.eye(len(genes)))
    gram = Y @ Y.T / np.mean(Y**2) / Y.shape[1]
    groups = _gene_groups(targets, genes)
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


def _calibration(factor: tuple, solved: np.ndarray, scale: np.ndarray, groups: Sequence[np.ndarray]) -> float:
    """Ratio of the squared leave-one-gene-out residuals to the variance the process expects of them."""
    inverse = cho_solve(factor, np.eye(len(solved)))
    observed = expected = 0.0
    for rows in groups:
        block = np.linalg.inv(inverse[np.ix_(rows, rows)])
        observed += float(np.sum((block @ solved[rows]) ** 2))
        expected += float(np.trace(block)) * float(scale.sum())
    return observed / expected
