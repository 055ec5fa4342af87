"""From genes and their terms (annotation, pathways, gene sets) to a gene–gene network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.errors import HyperPerturbError

MAX_TERM_SIZE = 500
NEIGHBOURS = 20
_ROWS = 1000


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
    use = (size >= 2) & (size <= max_term_size)
    notes = list(notes)
    if (n_large := int((size > max_term_size).sum())) > 0:
        notes.append(f"{n_large:,} terms with more than {max_term_size} genes left out")
    if not use.any():
        raise HyperPerturbError(
            f"No two genes of '{name}' share a term of at most {max_term_size} genes.",
            hint="Check that one column names genes and the other terms.",
        )
    # at least a small weight, so that a term that all genes share still joins them in a small file
    information = np.maximum(np.log(n_genes / size[use]), 0.1)
    scaled = sparse.csr_array(member[:, np.flatnonzero(use)] * information)
    length = np.sqrt(np.asarray((scaled * scaled).sum(axis=1)).ravel())
    scaled = sparse.csr_array(sparse.diags_array(1.0 / np.where(length > 0, length, 1.0)) @ scaled)
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
