"""Trivial predictors that every model has to beat before it may claim anything.

A predictor is a function (training effects, targets to predict) → (Q, R) effects; see
:class:`hyperperturb.evaluation.cross_validation.Predictor`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hyperperturb.data.effects import Effects
from hyperperturb.models.gene_kernels import GeneKernels

_RIDGE = np.geomspace(0.01, 100, 25)


def no_change(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Predict that nothing happens: zeros, (Q, R)."""
    return np.zeros((len(targets), len(training.genes)))


def training_mean(training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
    """Predict the mean effect of the training perturbations for everything, (Q, R)."""
    return np.repeat(training.effect.mean(axis=0, dtype=np.float64)[None], len(targets), axis=0)


class NetworkKernelRidge:
    """Kernel ridge regression over perturbations on the networks' diffusion similarity.

    Two perturbations are as similar as their targets are on average; the ridge is chosen among 25 values on
    the leave-one-out error of the training perturbations (closed form), the mean effect is not penalised.

    Parameters
    ----------
    kernels
        Similarities over at least all target genes; only the diffusion part is used.
    """

    def __init__(self, kernels: GeneKernels) -> None:
        self.kernels = kernels

    def _similarity(self, a: Sequence[Sequence[str]], b: Sequence[Sequence[str]]) -> np.ndarray:
        genes = sorted({g for target in (*a, *b) for g in target})
        diffusion, _ = self.kernels.between(genes, genes)
        return _membership(a, genes) @ diffusion @ _membership(b, genes).T

    def __call__(self, training: Effects, targets: Sequence[Sequence[str]]) -> np.ndarray:
        """Fit on the training effects and predict, (Q, R)."""
        Y = training.effect.astype(np.float64)
        mean = Y.mean(axis=0)
        K = self._similarity(training.targets, training.targets)
        residual = Y - mean
        gram = residual @ residual.T
        best, best_error = None, np.inf
        for ridge in _RIDGE:
            inverse = np.linalg.inv(K + ridge * np.eye(len(K)))
            held_out = np.einsum("ij,jk,ik->i", inverse, gram, inverse, optimize=True)
            error = float(np.sum(held_out / np.diag(inverse) ** 2))
            if error < best_error:
                best, best_error = inverse, error
        return mean + self._similarity(targets, training.targets) @ (best @ residual)


def _membership(targets: Sequence[Sequence[str]], genes: Sequence[str]) -> np.ndarray:
    column = {g: i for i, g in enumerate(genes)}
    out = np.zeros((len(targets), len(genes)))
    for row, target in enumerate(targets):
        for gene in target:
            out[row, column[gene]] = 1.0 / len(target)
    return out
