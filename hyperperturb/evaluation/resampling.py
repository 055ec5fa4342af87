"""How sure a mean over perturbations is: resampling that knows that combinations share genes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

DRAWS = 2000
_ENTRIES = 4_000_000  # weights held at a time


class Resampling:
    """A bootstrap over target genes for statistics over perturbations.

    Genes are drawn with replacement and a perturbation counts as often as the product of its genes' numbers (the
    pigeonhole bootstrap of Owen 2007, Annals of Applied Statistics 1:386, for data that share factors). Where every
    perturbation has a gene of its own this is the ordinary bootstrap; where combinations share genes, resampling
    perturbations would take them for independent and give intervals that are too narrow.

    Parameters
    ----------
    targets
        Target genes of the P perturbations.
    draws
        Number of resamples; lowered for very many perturbations.
    seed
        Of the drawing.

    Examples
    --------
    >>> resampling = Resampling([("A",), ("B",), ("A", "B")], seed=1)
    >>> value, low, high = resampling.ratio(np.array([[1.0], [3.0], [2.0]]), np.ones((3, 1)))
    >>> value.tolist(), bool(low[0] <= 2.0 <= high[0])
    ([2.0], True)
    """

    def __init__(self, targets: Sequence[Sequence[str]], *, draws: int = DRAWS, seed: int = 0) -> None:
        genes = sorted({g for target in targets for g in target})
        column = {g: i for i, g in enumerate(genes)}
        self.n = len(targets)
        self.genes = len(genes)
        self.seed = seed
        self.draws = int(np.clip(4 * _ENTRIES // max(self.n, 1), 200, draws))
        width = max((len(t) for t in targets), default=1)
        # a further gene that is always drawn once fills up perturbations with fewer targets
        self._columns = np.full((self.n, width), self.genes)
        for row, target in enumerate(targets):
            self._columns[row, : len(target)] = [column[g] for g in target]

    def _chunks(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        size = max(_ENTRIES // max(self.n, 1), 1)
        for start in range(0, self.draws, size):
            n = min(size, self.draws - start)
            number = np.ones((n, self.genes + 1))
            number[:, :-1] = rng.multinomial(self.genes, np.full(self.genes, 1 / self.genes), size=n)
            weights = number[:, self._columns[:, 0]]
            for column in self._columns.T[1:]:
                weights *= number[:, column]
            yield weights

    def weights(self) -> np.ndarray:
        """How often each perturbation counts in each resample, (draws, P) float64."""
        return np.concatenate(list(self._chunks()))

    def ratio(
        self, numerator: np.ndarray, denominator: np.ndarray, *, level: float = 0.95
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ratios of sums over perturbations, with intervals.

        A mean has ones in the denominator, or zeros on both sides where a perturbation has no value.

        Parameters
        ----------
        numerator, denominator
            (P, K) each.
        level
            Of the intervals.

        Returns
        -------
        tuple of numpy.ndarray
            Value, lower and upper end, (K,) each; NaN where the denominator is zero.
        """
        value = _divide(numerator.sum(axis=0), denominator.sum(axis=0))
        drawn = np.concatenate([_divide(w @ numerator, w @ denominator) for w in self._chunks()])
        low, high = np.full((2, len(value)), np.nan)
        some = np.isfinite(value)
        if some.any():
            tail = (1.0 - level) / 2
            low[some], high[some] = np.nanquantile(drawn[:, some], [tail, 1.0 - tail], axis=0)
        return value, low, high


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)
