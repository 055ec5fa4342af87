"""The target's own neighbours respond: what edges of the networks say about which genes change.

The process over genes relates targets with targets. Edges between a target and a response gene say something else: this
gene may change. There are four kinds, each with one strength γ for the whole screen, so that a perturbation has, beside
what the process says of it, the effect

    Σ_g in targets (γ_a · [g and r are joined] + γ_1 · S + γ_2 · S² + γ_3 · S³)[g, r]

on response gene r, shrunken for combinations as sums are. S are the signs of directed regulons, where a network has
them: +1 where g activates r, −1 where it represses. S² and S³ add up the signs of the paths of two and three such
edges, because a regulator's regulator moves what it regulates: a loss runs down the cascade.

The strengths minimise the squared error of genes that are left out, which is closed form because that error is linear
in them. Whether they help is asked of each gene with strengths from the others: they are given up where they do not
lower the error by its standard error over genes, count in full from two of these on, and in part in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network
from hyperperturb.models.measurements import LeftOut, Precision, columns_at_once

_LONGEST_PATH = 3


@dataclass(frozen=True)
class Links:
    """Edges from genes to response genes.

    Attributes
    ----------
    genes, response_genes
        The N genes and R response genes.
    kinds
        (N, R) sparse each: whether they are joined; where there are signs, the sums over the paths of one, two and
        three signed edges, +1 or −1 each.
    """

    genes: tuple[str, ...]
    response_genes: tuple[str, ...]
    kinds: tuple[sparse.csr_array, ...]
    _row: dict[str, int] = field(init=False, repr=False, compare=False)
    _column: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {g: i for i, g in enumerate(self.genes)})
        object.__setattr__(self, "_column", {g: i for i, g in enumerate(self.response_genes)})

    def of(self, genes: Sequence[str], response_genes: Sequence[str]) -> list[sparse.csr_array]:
        """The edges of some genes with some response genes, (len(genes), len(response_genes)) sparse each.

        What is not known has none.
        """
        rows = _places([self._row.get(g, -1) for g in genes], len(self.genes))
        found = [rows @ kind for kind in self.kinds]
        if tuple(response_genes) == self.response_genes:
            return [sparse.csr_array(kind) for kind in found]
        columns = _places([self._column.get(g, -1) for g in response_genes], len(self.response_genes))
        return [sparse.csr_array(kind @ columns.T) for kind in found]

    def renamed(self, names: Mapping[str, str]) -> Links:
        """The same edges with other names for some genes; response genes keep theirs."""
        return Links(tuple(names.get(g, g) for g in self.genes), self.response_genes, self.kinds)


def _places(index: Sequence[int], n: int) -> sparse.csr_array:
    """(len(index), n) with a 1 at each place, and nothing where it is −1."""
    index = np.asarray(index, dtype=np.int64)
    known = np.flatnonzero(index >= 0)
    return sparse.csr_array((np.ones(len(known)), (known, index[known])), shape=(len(index), n))


def links_of(network: Network, genes: Sequence[str], response_genes: Sequence[str]) -> Links:
    """The edges of a network.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> network = network_from_edges(["A", "B"], ["B", "C"], name="toy")
    >>> [kind.toarray().tolist() for kind in links_of(network, ["A", "B"], ["C", "A"]).kinds]
    [[[0.0, 0.0], [1.0, 1.0]]]
    """
    place = {gene: i for i, gene in enumerate(network.genes)}
    rows, columns = (
        _places([place.get(g, -1) for g in some], len(network.genes)) for some in (genes, response_genes)
    )
    joined = (network.adjacency > 0).astype(np.float64)
    found = [sparse.csr_array(rows @ joined @ columns.T)]
    if network.signs is not None:
        signs = sparse.csr_array(network.signs.astype(np.float64))
        paths = rows
        for _ in range(_LONGEST_PATH):
            paths = sparse.csr_array(paths @ signs)
            paths = sparse.csr_array(paths - paths.multiply(rows))  # those that are back where they began
            paths.eliminate_zeros()
            found.append(sparse.csr_array(paths @ columns.T))
    return Links(tuple(genes), tuple(response_genes), tuple(found))


def link_effects(
    links: Links,
    design: sparse.csr_array | np.ndarray,
    genes: Sequence[str],
    response_genes: Sequence[str],
) -> list[sparse.csr_array]:
    """What each kind of edge adds to perturbations for a strength of 1, (P, R) sparse each.

    Parameters
    ----------
    links
        All edges.
    design
        (P, T) perturbations as sums of ``genes``.
    """
    shares = sparse.csr_array(design)
    return [sparse.csr_array(shares @ kind) for kind in links.of(genes, response_genes)]


def without_entries(effect: sparse.csr_array, rows: np.ndarray, columns: np.ndarray) -> sparse.csr_array:
    """The same with nothing at some places: of a target's own response edges say nothing."""
    there = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=effect.shape) > 0
    return sparse.csr_array(effect - effect.multiply(there))


def weighed(strengths: Sequence[float], effects: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """What all kinds of edges add, of what each adds for a strength of 1."""
    return sum((s * each for s, each in zip(strengths, effects, strict=True)), start=0.0 * effects[0])


def fit_strengths(
    precision: Precision, left: LeftOut, Y: np.ndarray, effects: Sequence[sparse.csr_array]
) -> tuple[float, ...]:
    """The strengths under which left-out genes are predicted best, or zeros.

    Parameters
    ----------
    precision
        Of the measured effects.
    left
        For each gene the perturbations that are left out with it.
    Y
        (P, R) effects.
    effects
        What each kind of edge adds for a strength of 1, (P, R) sparse each.
    """
    n = len(effects)
    gram, wanted = np.zeros((len(left.starts), n, n)), np.zeros((len(left.starts), n))
    by_column = [sparse.csc_array(effect) for effect in effects]
    for part in columns_at_once(Y.shape[1]):
        values = (Y[:, part].astype(np.float64), *(effect[:, part].toarray() for effect in by_column))
        error, *changes = (left.weights @ (precision @ each) for each in values)

        def of_genes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return np.add.reduceat(np.einsum("nr,nr->n", first, second), left.starts)

        for a, change in enumerate(changes):
            wanted[:, a] += of_genes(change, error)
            for b, other in enumerate(changes):
                gram[:, a, b] += of_genes(change, other)
    total, all_wanted = gram.sum(axis=0), wanted.sum(axis=0)
    from_others = np.stack([_solve(total - g, all_wanted - w) for g, w in zip(gram, wanted, strict=True)])
    gain = 2.0 * np.sum(from_others * wanted, axis=1) - np.einsum(
        "ga,gab,gb->g", from_others, gram, from_others
    )
    spread = float(np.std(gain) * np.sqrt(len(gain)))
    trust = float(np.clip(gain.sum() / spread - 1.0, 0.0, 1.0)) if spread > 0 else 0.0
    return tuple((trust * _solve(total, all_wanted)).tolist())


def _solve(gram: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares that leaves out what is not there."""
    return np.linalg.lstsq(gram, wanted, rcond=1e-6)[0]
