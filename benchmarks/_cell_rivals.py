"""What the naming of cells is compared with: each learns from training cells and gives log-probabilities of others."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

COMPONENTS = 50
RIDGES = (0.1, 0.01, 0.003, 0.001)

Rival = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
"""(training inputs, their labels, test inputs, number of perturbations) → (test cells, perturbations) scores."""


def nearest_centroid(x: np.ndarray, label: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
    """Negative squared distances to the perturbations' means."""
    mean = np.stack([x[label == p].mean(axis=0) for p in range(n)])
    return 2.0 * there @ mean.T - np.sum(mean**2, axis=1)


def most_frequent(x: np.ndarray, label: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
    """The training frequencies, whatever the cell."""
    return np.tile(np.log(np.bincount(label, minlength=n) / len(label)), (len(there), 1))


def logistic(x: np.ndarray, label: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
    """Ridge logistic regression; the ridge that is best on a tenth of the training cells."""
    fit, judge = _tenth(len(label))
    best = max(RIDGES, key=lambda c: _logistic(x[fit], label[fit], c).score(x[judge], label[judge]))
    return _logistic(x, label, best).predict_log_proba(there)


def _logistic(x: np.ndarray, label: np.ndarray, ridge: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=ridge, max_iter=200).fit(x, label)


def boosted(x: np.ndarray, label: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
    """LightGBM, stopped on a tenth of the training cells."""
    import lightgbm

    fit, judge = _tenth(len(label))
    model = lightgbm.LGBMClassifier(
        n_estimators=150,
        learning_rate=0.05,
        num_leaves=7,
        colsample_bytree=0.5,
        reg_lambda=5.0,
        n_jobs=1,
        verbose=-1,
    )
    model.fit(
        x[fit],
        label[fit],
        eval_X=x[judge],
        eval_y=label[judge],
        callbacks=[lightgbm.early_stopping(10, verbose=False)],
    )
    return np.log(np.maximum(model.booster_.predict(there), 1e-12))


def on_components(rival: Rival) -> Rival:
    """The same on principal components of the training cells."""

    def run(x: np.ndarray, label: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
        space = PCA(min(COMPONENTS, x.shape[1] - 1), random_state=0).fit(x)
        return rival(space.transform(x), label, space.transform(there), n)

    return run


def _tenth(n: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(n)
    return order[n // 10 :], order[: n // 10]


def rivals() -> dict[str, Rival]:
    """All that can run here (LightGBM only where it is installed), on standardised logarithms but for the one that
    says otherwise."""
    out = {
        "always the most frequent": most_frequent,
        "nearest centroid": nearest_centroid,
        "nearest centroid, 50 components": on_components(nearest_centroid),
        "logistic regression": logistic,
        "logistic regression, square roots": logistic,
        "logistic regression, 50 components": on_components(logistic),
    }
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        return out
    return out | {"LightGBM, 50 components": on_components(boosted)}
