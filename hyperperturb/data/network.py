"""Gene networks: the type, and what is done with networks once they are there.

A network is a sparse symmetric matrix over named genes with weights in (0, 1]. It is built from pairs or a matrix in
:mod:`~hyperperturb.data.network_build`, read from the common file formats in
:mod:`~hyperperturb.data.network_readers`, computed from the control cells in
:mod:`~hyperperturb.data.coexpression`, kept in :mod:`~hyperperturb.data.network_store`. All of these functions can be
imported from here as well; they are loaded on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from hyperperturb.errors import HyperPerturbError
from hyperperturb.lazy import lazy

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects

__getattr__ = lazy(
    "hyperperturb.data",
    {
        "coexpression": "coexpression_network",
        "network_build": "network_from_adjacency network_from_codes network_from_edges",
        "network_readers": "NETWORK_KINDS read_network",
        "network_store": "load_network save_network",
    },
)[0]


class Provenance(BaseModel):
    """Where the edges of a network come from.

    Attributes
    ----------
    name
        Short name of the source, shown to people.
    path
        File it was read from; None for a network that was computed.
    kind
        ``edges``, ``string``, ``regulons``, ``terms``, ``gmt``, ``coexpression``, ``adjacency`` or
        ``simulated``.
    n_edges, n_genes
        Undirected edges and genes that this source contributed.
    note
        What was left out or changed on the way (self loops, duplicates, terms that were too large …).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    path: str | None = None
    kind: str
    n_edges: int
    n_genes: int
    note: str = ""


def tidy(matrix: Any) -> sparse.csr_array:
    """A CSR array with sorted indices, no duplicates and no stored zeros."""
    matrix = sparse.csr_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


@dataclass(frozen=True)
class Network:
    """A weighted, undirected gene–gene graph.

    Parameters
    ----------
    genes
        Unique gene names, length N.
    adjacency
        ``(N, N)`` float32 CSR array, symmetric, weights in (0, 1], empty diagonal, no stored zeros.
    name
        Short name, shown to people.
    provenance
        One entry for each source.
    signs
        Directed ``(N, N)`` int8 CSR array with +1 (source activates target) and −1 (represses), where known.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> network = network_from_edges(["A", "B"], ["B", "C"], name="toy")
    >>> network.genes, network.n_edges, network.degree.tolist()
    (('A', 'B', 'C'), 2, [1, 2, 1])
    """

    genes: tuple[str, ...]
    adjacency: sparse.csr_array
    name: str
    provenance: tuple[Provenance, ...] = ()
    signs: sparse.csr_array | None = None

    def __post_init__(self) -> None:
        n = len(self.genes)
        if self.adjacency.shape != (n, n):
            raise ValueError(f"adjacency must be ({n}, {n}) for {n} genes. Received: {self.adjacency.shape}")
        if self.signs is not None and self.signs.shape != (n, n):
            raise ValueError(f"signs must be ({n}, {n}) for {n} genes. Received: {self.signs.shape}")

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {self.n_genes:,} genes, {self.n_edges:,} edges)"

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.genes)

    @property
    def n_edges(self) -> int:
        """Number of undirected edges."""
        return int(self.adjacency.nnz // 2)

    @property
    def degree(self) -> np.ndarray:
        """Number of neighbours of each gene, ``(N,)`` int64."""
        return np.diff(self.adjacency.indptr).astype(np.int64)

    @property
    def strength(self) -> np.ndarray:
        """Sum of the weights of each gene's edges, ``(N,)`` float64."""
        return np.asarray(self.adjacency.sum(axis=1, dtype=np.float64)).ravel()

    def index(self, genes: Sequence[str]) -> np.ndarray:
        """Positions of `genes` in the network, ``(len(genes),)`` int64; −1 for a gene that it does not hold.

        Examples
        --------
        >>> from hyperperturb.data.network import network_from_edges
        >>> network_from_edges(["A"], ["B"], name="toy").index(["B", "Z"]).tolist()
        [1, -1]
        """
        position = {gene: i for i, gene in enumerate(self.genes)}
        return np.array([position.get(gene, -1) for gene in genes], dtype=np.int64)

    def restrict(self, genes: Sequence[str]) -> Network:
        """The induced network on those of `genes` that it holds, in the order of `genes`.

        Raises
        ------
        HyperPerturbError
            If the network holds none of them.
        """
        wanted = list(dict.fromkeys(genes))
        rows = self.index(wanted)
        rows = rows[rows >= 0]
        if rows.size == 0:
            raise no_overlap(self, wanted)
        signs = None if self.signs is None else sparse.csr_array(self.signs[rows][:, rows])
        return Network(
            genes=tuple(self.genes[i] for i in rows),
            adjacency=sparse.csr_array(self.adjacency[rows][:, rows]),
            name=self.name,
            provenance=self.provenance,
            signs=signs,
        )


class Coverage(BaseModel):
    """How much of a table of effects a network knows about.

    Attributes
    ----------
    n_targets, n_targets_in_network
        Different target genes of the perturbations, and how many of them the network holds.
    missing_targets
        The targets it does not hold, sorted.
    n_response_genes_in_network
        Response genes that the network holds.
    n_genes, n_edges
        Size of the network.
    """

    model_config = ConfigDict(frozen=True)

    n_targets: int
    n_targets_in_network: int
    missing_targets: tuple[str, ...]
    n_response_genes_in_network: int
    n_genes: int
    n_edges: int


def no_overlap(network: Network, genes: Sequence[str]) -> HyperPerturbError:
    """The error for a network that holds none of `genes`, with examples from both sides."""
    ours = ", ".join(list(genes)[:3]) or "none"
    theirs = ", ".join(network.genes[:3]) or "none"
    return HyperPerturbError(
        f"The network '{network.name}' holds none of the {len(genes):,} genes that were asked for: "
        f"it names genes like {theirs}, the data like {ours}.",
        hint="Use a network of the same species with the same kind of gene names (symbols or Ensembl ids).",
    )


def combine_networks(networks: Sequence[Network], *, name: str | None = None) -> Network:
    """The union of several networks: weights are added, then scaled so that the largest is 1.

    The result does not depend on the order of the networks, except for its provenance and name. A directed
    sign on which two networks disagree is dropped.

    Parameters
    ----------
    networks
        At least one.
    name
        Name of the result; default: the names joined with " + ".

    Raises
    ------
    HyperPerturbError
        If no network is given.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> one = network_from_edges(["A"], ["B"], name="one")
    >>> two = network_from_edges(["A", "B"], ["B", "C"], name="two")
    >>> both = combine_networks([one, two])
    >>> both.name, both.adjacency.toarray()[0].tolist(), both.adjacency.toarray()[1].tolist()
    ('one + two', [0.0, 1.0, 0.0], [1.0, 0.0, 0.5])
    """
    networks = list(networks)
    if not networks:
        raise HyperPerturbError("No network was given to combine.", hint="Choose at least one network.")
    name = name or " + ".join(network.name for network in networks)
    if len(networks) == 1:
        only = networks[0]
        return Network(only.genes, only.adjacency, name, only.provenance, only.signs)
    genes = tuple(sorted(set().union(*(network.genes for network in networks))))
    position = {gene: k for k, gene in enumerate(genes)}
    n = len(genes)
    # float64 until the end: sums must not depend on the order of the networks
    total, signs, signed = sparse.csr_array((n, n)), sparse.csr_array((n, n)), False
    for network in networks:
        where = np.array([position[gene] for gene in network.genes], dtype=np.int64)
        total = total + _moved(network.adjacency, where, n)
        if network.signs is not None:
            signs, signed = signs + _moved(network.signs, where, n), True
    if total.nnz:
        total.data /= total.data.max()
    signs.data = np.sign(signs.data)
    return Network(
        genes=genes,
        adjacency=tidy(total.astype(np.float32)),
        name=name,
        provenance=tuple(entry for network in networks for entry in network.provenance),
        signs=tidy(signs.astype(np.int8)) if signed else None,
    )


def _moved(matrix: sparse.csr_array, where: np.ndarray, n: int) -> sparse.csr_array:
    coo = matrix.tocoo()
    return sparse.csr_array((coo.data.astype(np.float64), (where[coo.row], where[coo.col])), shape=(n, n))


def coverage(network: Network, effects: Effects) -> Coverage:
    """How many perturbation targets and response genes a network holds.

    Parameters
    ----------
    network
        The network.
    effects
        Table of effects (its ``targets`` and ``genes`` are read).

    Returns
    -------
    Coverage

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> from types import SimpleNamespace
    >>> effects = SimpleNamespace(targets=(("A",), ("A", "Z")), genes=("B", "C"))
    >>> found = coverage(network_from_edges(["A"], ["B"], name="toy"), effects)
    >>> found.n_targets, found.n_targets_in_network, found.missing_targets, found.n_response_genes_in_network
    (2, 1, ('Z',), 1)
    """
    held = set(network.genes)
    targets = sorted({gene for targets in effects.targets for gene in targets})
    missing = tuple(gene for gene in targets if gene not in held)
    return Coverage(
        n_targets=len(targets),
        n_targets_in_network=len(targets) - len(missing),
        missing_targets=missing,
        n_response_genes_in_network=sum(gene in held for gene in effects.genes),
        n_genes=network.n_genes,
        n_edges=network.n_edges,
    )
