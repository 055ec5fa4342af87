"""Genes that share something: terms (annotation, pathways, gene sets), or neighbours in networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.errors import HyperPerturbError

MAX_TERM_SIZE = 500
NEIGHBOURS = 20
_ROWS = 1000


@dataclass(frozen=True)
class Terms:
    """Which gene has which term, as a file says it.

    Attributes
    ----------
    genes, terms
        The pairs, ``(E,)`` names each; a pair may be named twice.
    kind
        The kind of file, see :mod:`~hyperperturb.data.network_readers`.
    notes
        What was left out in reading.
    """

    genes: np.ndarray
    terms: np.ndarray
    kind: str
    notes: tuple[str, ...] = ()


def network_from_terms(
    genes: Sequence[str] | np.ndarray,
    terms: Sequence[str] | np.ndarray,
    *,
    name: str,
    kind: str = "terms",
    path: str | None = None,
    max_term_size: int = MAX_TERM_SIZE,
    neighbours: int = NEIGHBOURS,
    min_score: float | None = None,
    notes: Sequence[str] = (),
) -> Network:
    """Join genes that share terms.

    The weight of an edge is the cosine of the two genes' terms, each term counted with its information
    ln(number of genes / number of genes with the term): sharing a small term says more than sharing a large one.

    Parameters
    ----------
    genes, terms
        The pairs, length E.
    max_term_size
        Terms with more genes are left out, they say next to nothing; so are terms with one gene.
    neighbours
        Edges kept for each gene, the strongest first; an edge stays if either end keeps it.
    min_score
        Edges with a smaller weight are left out.
    name, kind, path, notes
        For the network and its provenance.

    Raises
    ------
    HyperPerturbError
        If no two genes share a term that is small enough.

    Examples
    --------
    >>> network = network_from_terms(["A", "B", "B", "C"], ["t1", "t1", "t2", "t2"], name="toy")
    >>> network.genes, network.n_edges
    (('A', 'B', 'C'), 2)
    """
    import pandas as pd

    gene_code, gene_names = pd.factorize(np.asarray(genes, dtype=object))
    term_code, term_names = pd.factorize(np.asarray(terms, dtype=object))
    n_genes, n_terms = len(gene_names), len(term_names)
    member = sparse.csr_array((np.ones(gene_code.size), (gene_code, term_code)), shape=(n_genes, n_terms))
    member.sum_duplicates()
    member.data[:] = 1.0
    size = np.asarray(member.sum(axis=0)).ravel()
    notes = list(notes)
    if (n_large := int((size > max_term_size).sum())) > 0:
        notes.append(f"{n_large:,} terms with more than {max_term_size} genes left out")
    scaled = _informative(member, max_term_size)
    if not scaled.nnz:
        raise HyperPerturbError(
            f"No two genes of '{name}' share a term of at most {max_term_size} genes.",
            hint="Check that one column names genes and the other terms.",
        )
    i, j, weight = strongest_products(scaled, neighbours)
    if min_score is not None:
        keep = weight >= min_score
        i, j, weight = i[keep], j[keep], weight[keep]
    weight = np.minimum(weight, 1.0)
    network = network_from_codes(
        i, j, weight, gene_names.tolist(), name=name, kind=kind, path=path, keep_all=False
    )
    entry = network.provenance[0].model_copy(update={"note": "; ".join(notes)})
    return Network(network.genes, network.adjacency, network.name, (entry,))


def shared_neighbours(
    networks: Sequence[Network], genes: Sequence[str], *, neighbours: int = NEIGHBOURS
) -> sparse.csr_array:
    """Join genes whose neighbours, over several networks, are the same.

    A gene's neighbours in one network, itself among them, are weighted like terms and make a vector of length 1; the
    vectors of the networks that know the gene lie side by side. The weight of an edge is the cosine.

    Parameters
    ----------
    networks
        At least one.
    genes
        The N genes to join; their neighbours may be others.
    neighbours
        Edges kept for each gene, the strongest first; an edge stays if either end keeps it.

    Returns
    -------
    scipy.sparse.csr_array
        (N, N) float32 weights in (0, 1], symmetric, empty diagonal.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> network = network_from_edges(["A", "B", "C"], ["X", "X", "Y"], name="toy")
    >>> (shared_neighbours([network], ["A", "B", "C"]).toarray() > 0).astype(int).tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    parts = []
    for network in networks:
        known = sparse.diags_array((network.degree > 0).astype(np.float64))
        scaled = _informative(sparse.csr_array(network.adjacency + known), MAX_TERM_SIZE)
        rows = network.index(genes)
        here = np.flatnonzero(rows >= 0)
        place = sparse.csr_array(
            (np.ones(len(here)), (here, rows[here])), shape=(len(genes), network.n_genes)
        )
        parts.append(place @ scaled)
    i, j, weight = strongest_products(_unit_rows(sparse.hstack(parts, format="csr")), neighbours)
    weight = np.minimum(weight, 1.0).astype(np.float32)
    one_way = sparse.csr_array((weight, (i, j)), shape=(len(genes), len(genes)))
    return sparse.csr_array(one_way.maximum(one_way.T))


def _informative(member: sparse.csr_array, max_size: int) -> sparse.csr_array:
    """Rows of length 1 (or empty) in which a column that few rows share counts for more, ln(rows / rows with it).

    Columns that one row alone has, or more than ``max_size``, are left out.
    """
    size = np.diff(sparse.csc_array(member).indptr)
    use = (size >= 2) & (size <= max_size)
    n_rows = int((np.diff(member.indptr) > 0).sum())
    # at least a small weight, so that a term that all genes share still joins them in a small file
    information = np.maximum(np.log(max(n_rows, 1) / np.maximum(size[use], 1)), 0.1)
    return _unit_rows(sparse.csr_array(member[:, np.flatnonzero(use)] * information))


def _unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    length = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)).ravel())
    return sparse.csr_array(sparse.diags_array(1.0 / np.where(length > 0, length, 1.0)) @ matrix)


def strongest_products(scaled: sparse.csr_array, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `k` largest off-diagonal entries in each row of ``scaled @ scaled.T``.

    Worked off in blocks of rows, so that the full product never stands in memory.

    Parameters
    ----------
    scaled
        ``(N, T)`` with entries of at least 0.
    k
        Entries a row.

    Returns
    -------
    tuple
        Rows, columns and values, each ``(E,)``.
    """
    right = sparse.csr_array(scaled.T)
    rows, columns, values = [], [], []
    for start in range(0, scaled.shape[0], _ROWS):
        block = sparse.csr_array(scaled[start : start + _ROWS] @ right).tocoo()
        row, column, value = block.row + start, block.col, block.data
        keep = row != column
        row, column, value = row[keep], column[keep], value[keep]
        order = np.lexsort((column, -value, row))  # ties go to the first gene: the result is reproducible
        row, column, value = row[order], column[order], value[order]
        begin = np.searchsorted(row, row, side="left")
        keep = np.arange(row.size) - begin < k
        rows.append(row[keep])
        columns.append(column[keep])
        values.append(value[keep])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
