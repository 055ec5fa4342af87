"""What linear rules say about the perturbation of a cell: Gaussian discriminants and ridge logistic regression.

NumPy and scikit-learn only. Both rules are linear in a cell's inputs, so that together they are one kernel and one
bias; how much each counts is decided on cells that neither was fitted on.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from hyperperturb.models.cells import CellInputs, present
from hyperperturb.models.directions import Discriminants

_DIAGONAL = (0.3, 0.6, 0.9)
_RIDGE = (0.01, 0.003)
_LOGISTIC_WORK = 4e10  # cells x genes x perturbations x iterations: about half a minute
_FEWEST_ITERATIONS, _MOST_ITERATIONS = 10, 150
_BINS = 15


def candidate_inputs(
    values: np.ndarray, control_mean: np.ndarray, control_spread: np.ndarray
) -> list[CellInputs]:
    """The two presentations, fitted to training cells.

    Parameters
    ----------
    values
        (n, H) log1p(CP10k) of training cells.
    control_mean, control_spread
        (H,) mean and standard deviation of the control cells.
    """
    root = present(values, "root")
    centre = root.mean(axis=0)
    unit = float(np.sqrt(np.mean(root.var(axis=0)))) or 1.0
    return [
        CellInputs("log", control_mean.astype(np.float32), control_spread.astype(np.float32)),
        CellInputs("root", centre.astype(np.float32), np.full(centre.shape, unit, dtype=np.float32)),
    ]


def fit_discriminants(
    inputs: np.ndarray, label: np.ndarray, n: int, *, diagonals: Sequence[float] = _DIAGONAL
) -> list[Discriminants]:
    """Discriminants of training cells, one for each share of the diagonal in the covariance.

    The covariance is Ledoit and Wolf's, mixed with its own diagonal: with hundreds of genes that hardly co-vary
    Ledoit and Wolf shrink too little for the purpose. The centroids are shrunken by James and Stein's rule in the
    whitened space.

    Parameters
    ----------
    inputs
        (m, H) training cells.
    label
        (m,) perturbation numbers.
    n
        Number of perturbations P.
    diagonals
        Shares of the diagonal.
    """
    counts = np.bincount(label, minlength=n)
    mean = class_means(inputs, label, n)
    covariance, _ = ledoit_wolf(inputs - mean[label], assume_centered=True)
    # A gene that never varies still needs a scale of its own.
    floor = 1e-6 * float(np.mean(np.diag(covariance))) + 1e-12
    out = []
    for share in diagonals:
        mixed = (1.0 - share) * covariance + np.diag(share * np.diag(covariance) + floor)
        precision = np.linalg.inv(mixed)
        centroid = shrink_means(mean, counts, precision)
        out.append(Discriminants(centroid, precision, np.log((counts + 1.0) / (counts + 1.0).sum())))
    return out


def class_means(inputs: np.ndarray, label: np.ndarray, n: int) -> np.ndarray:
    """Mean inputs of the cells of each perturbation, (n, H) float64; the mean of all where there is none."""
    counts = np.bincount(label, minlength=n)
    mean = np.zeros((n, inputs.shape[1]))
    np.add.at(mean, label, inputs)
    mean /= np.maximum(counts, 1)[:, None]
    mean[counts == 0] = inputs.mean(axis=0)
    return mean


def shrink_means(mean: np.ndarray, counts: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Means drawn towards their common mean by what sampling adds to their distance from it.

    The factor is James and Stein's: the share of the squared (Mahalanobis) length that is not the noise of the cells.

    Parameters
    ----------
    mean
        (P, H) means of cells.
    counts
        (P,) cells of each.
    precision
        (H, H) inverse covariance of cells.
    """
    common = np.average(mean, axis=0, weights=np.maximum(counts, 1e-9))
    offset = mean - common
    length = np.maximum(np.einsum("ph,ph->p", offset @ precision, offset), np.finfo(float).tiny)
    kept = np.clip(1.0 - mean.shape[1] / np.maximum(counts, 1) / length, 0.0, 1.0)
    return common + offset * kept[:, None]


def choose_discriminants(
    candidates: Sequence[CellInputs],
    values: np.ndarray,
    label: np.ndarray,
    train: np.ndarray,
    tune: np.ndarray,
    n: int,
) -> tuple[CellInputs, float, Discriminants]:
    """Presentation and covariance under which held-out cells are most likely, each with its best temperature.

    Returns the presentation, the share of the diagonal and the discriminants.

    Parameters
    ----------
    candidates
        Presentations.
    values
        (m, H) log1p(CP10k).
    label
        (m,) perturbation numbers.
    train, tune
        Row numbers of the cells to fit on and to judge by.
    n
        Number of perturbations.
    """
    best = None
    for inputs in candidates:
        fitted, judged = inputs(values[train]), inputs(values[tune])
        for share, rule in zip(_DIAGONAL, fit_discriminants(fitted, label[train], n), strict=True):
            _, loss = combine([rule(judged)], label[tune])
            if best is None or loss < best[0]:
                best = (loss, inputs, share, rule)
    return best[1:]


def fit_logistic(
    inputs: np.ndarray, label: np.ndarray, start: Discriminants, *, ridge: float
) -> Linear | None:
    """Multinomial logistic regression with a ridge: kernel (H, P) and bias (P,); None where it would take too long.

    Parameters
    ----------
    inputs
        (m, H) training cells.
    label
        (m,) perturbation numbers below P.
    start
        Whose kernel, made less sure, the search starts from; perturbations without training cells keep its.
    ridge
        Inverse strength of the ridge (scikit-learn's ``C``).
    """
    classes = np.unique(label)
    work = float(inputs.size) * len(classes)
    iterations = int(min(_MOST_ITERATIONS, _LOGISTIC_WORK / max(work, 1.0)))
    if iterations < _FEWEST_ITERATIONS or len(classes) < 3:  # with two scikit-learn keeps one row
        return None
    kernel, bias = 0.3 * start.kernel, 0.3 * start.bias
    model = LogisticRegression(C=ridge, max_iter=iterations, tol=1e-3, warm_start=True)
    model.classes_ = classes
    model.coef_ = np.ascontiguousarray(kernel.T[classes]).astype(inputs.dtype)
    model.intercept_ = bias[classes].astype(inputs.dtype)
    with warnings.catch_warnings():
        # Stopped early it is a little more shrunken; the weight it gets is judged on other cells anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, label)
    kernel[:, classes], bias[classes] = model.coef_.T, model.intercept_
    return kernel, bias


Linear = tuple[np.ndarray, np.ndarray]
"""Kernel (H, P) and bias (P,) of a rule."""


def choose_logistic(
    rule: Discriminants, inputs: np.ndarray, label: np.ndarray, train: np.ndarray, tune: np.ndarray
) -> tuple[float, Linear] | None:
    """The ridge under which held-out cells are most likely, and the regression; None where it would take too long.

    Parameters
    ----------
    rule
        What the regression starts from.
    inputs, label
        (m, H) cells and (m,) perturbation numbers.
    train, tune
        Row numbers of the cells to fit on and to judge by.
    """
    best = None
    for ridge in _RIDGE:
        fitted = fit_logistic(inputs[train], label[train], rule, ridge=ridge)
        if fitted is None:
            return None
        loss = combine([inputs[tune] @ fitted[0] + fitted[1]], label[tune])[1]
        if best is None or loss < best[0]:
            best = (loss, ridge, fitted)
    return best[1:]


def combine(parts: Sequence[np.ndarray], label: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of scores that make held-out cells most likely, and their mean surprise (nats).

    Temperature scaling (Guo et al. 2017) of several scores at once.

    Parameters
    ----------
    parts
        (n, P) scores each, added up after weighing.
    label
        (n,) true columns.

    Examples
    --------
    >>> score = np.log(np.array([[0.8, 0.2]] * 4 + [[0.2, 0.8]]))
    >>> weights, _ = combine([score], np.array([0, 0, 0, 0, 1]))  # always right: the surer the better
    >>> bool(weights[0] > 1)
    True
    """
    parts = [log_softmax(np.asarray(part, dtype=np.float64), axis=1) for part in parts]
    rows = np.arange(len(label))

    def surprise(theta: np.ndarray) -> float:
        total = sum(np.exp(t) * part for t, part in zip(theta, parts, strict=True))
        return -float(np.mean(log_softmax(total, axis=1)[rows, label]))

    found = minimize(
        surprise,
        np.full(len(parts), -np.log(len(parts))),
        method="Nelder-Mead",
        bounds=[(-7.0, 5.0)] * len(parts),
        options={"xatol": 1e-3, "fatol": 1e-5},
    )
    return np.exp(found.x), float(found.fun)


def accuracy(scores: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Share of cells whose perturbation comes first (``top1``) and among the first five (``top5``).

    Parameters
    ----------
    scores
        (n, P).
    label
        (n,) true columns.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, : min(5, scores.shape[1])]
    hit = best == label[:, None]
    return {"top1": float(hit[:, 0].mean()), "top5": float(hit.any(axis=1).mean())}


def naming_scores(logits: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """``top1``, ``top5``, expected calibration error of the first answer (``ece``) and ``surprise`` (nats a cell).

    The calibration error is over 15 bins of equally many cells.

    Parameters
    ----------
    logits
        (n, P).
    label
        (n,) true columns.
    """
    probability = softmax(logits, axis=1)
    sure, right = probability.max(axis=1), probability.argmax(axis=1) == label
    bins = np.array_split(np.argsort(sure, kind="stable"), min(_BINS, len(sure)))
    gaps = [abs(sure[b].mean() - right[b].mean()) * len(b) / len(sure) for b in bins]
    surprise = -float(np.mean(log_softmax(logits, axis=1)[np.arange(len(label)), label]))
    return accuracy(logits, label) | {"ece": float(np.sum(gaps)), "surprise": surprise}
