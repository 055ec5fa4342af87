"""Gene networks: the type, and what is done with networks once they are read.

A network is a sparse symmetric matrix over named genes with weights in (0, 1]. The readers of the file
formats live in :mod:`hyperperturb.data.network_readers`, the network of co-expression in the control cells
in :mod:`hyperperturb.data.coexpression`; both are reachable from here as well.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects

_FORMAT = 1
_LAZY = {
    "read_network": "hyperperturb.data.network_readers",
    "NETWORK_KINDS": "hyperperturb.data.network_readers",
    "coexpression_network": "hyperperturb.data.coexpression",
}

__all__ = [
    "NETWORK_KINDS",
    "Coverage",
    "Network",
    "Provenance",
    "coexpression_network",
    "combine_networks",
    "coverage",
    "load_network",
    "network_from_adjacency",
    "network_from_edges",
    "read_network",
    "save_network",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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


def network_from_edges(
    source: Sequence[str] | np.ndarray,
    target: Sequence[str] | np.ndarray,
    weight: Sequence[float] | np.ndarray | None = None,
    *,
    name: str,
    sign: Sequence[int] | np.ndarray | None = None,
    genes: Sequence[str] | None = None,
    kind: str = "edges",
    path: str | None = None,
    notes: Sequence[str] = (),
) -> Network:
    """A network from pairs of gene names.

    An edge listed several times, or in both directions, counts once with its largest weight. Self loops are
    dropped and counted in the provenance. Weights are divided by their maximum if that exceeds 1.

    Parameters
    ----------
    source, target
        Gene names, length E.
    weight
        Positive weights, length E; all 1 if None. Edges of weight zero are dropped.
    name
        Short name of the network.
    sign
        +1, −1 or 0 (unknown) of the directed edge source → target, length E.
    genes
        The nodes and their order; default: every gene of an edge, sorted.
    kind, path, notes
        For the provenance.

    Raises
    ------
    HyperPerturbError
        If no edge is left.

    Examples
    --------
    >>> network_from_edges(["A", "B"], ["B", "A"], [2.0, 4.0], name="toy").adjacency.toarray().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    source = np.asarray(source, dtype=object)
    target = np.asarray(target, dtype=object)
    codes, names = _factorise(np.concatenate([source, target]), genes)
    i, j = codes[: source.size], codes[source.size :]
    w = np.ones(i.size) if weight is None else np.asarray(weight, dtype=np.float64)
    s = None if sign is None else np.asarray(sign, dtype=np.int64)
    return network_from_codes(
        i, j, w, names, name=name, sign=s, kind=kind, path=path, notes=notes, keep_all=genes is not None
    )


def _factorise(values: np.ndarray, genes: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if genes is None:
        names, codes = np.unique(values.astype(str), return_inverse=True)
        return codes, tuple(names.tolist())
    names = tuple(genes)
    position = {gene: k for k, gene in enumerate(names)}
    return np.array([position[str(v)] for v in values], dtype=np.int64), names


def network_from_codes(
    i: np.ndarray,
    j: np.ndarray,
    weight: np.ndarray,
    names: Sequence[str],
    *,
    name: str,
    sign: np.ndarray | None = None,
    kind: str = "edges",
    path: str | None = None,
    notes: Sequence[str] = (),
    keep_all: bool = False,
) -> Network:
    """The same as :func:`network_from_edges` for edges given as positions in `names`.

    Parameters
    ----------
    i, j
        Positions of the ends of each edge, ``(E,)``.
    weight
        Weights ``(E,)``, not negative.
    names
        Gene names that the positions refer to.
    keep_all
        Keep genes without an edge; otherwise they are left out and the genes are sorted by name.
    name, sign, kind, path, notes
        As in :func:`network_from_edges`.
    """
    notes = list(notes)
    n = len(names)
    loops = i == j
    keep = ~loops & (weight > 0)
    if loops.any():
        notes.append(f"{int(loops.sum()):,} self loops dropped")
    if (n_zero := int((~loops & (weight <= 0)).sum())) > 0:
        notes.append(f"{n_zero:,} edges of weight zero dropped")
    i, j, weight = i[keep], j[keep], weight[keep]
    if i.size == 0:
        where = f" '{Path(path).name}'" if path else ""
        raise HyperPerturbError(
            f"The network{where} has no edge between two different genes.", hint="Check the two name columns."
        )
    low, high = np.minimum(i, j).astype(np.int64), np.maximum(i, j).astype(np.int64)
    key, weight = _largest(low * n + high, weight)
    if key.size < i.size:
        notes.append(f"{i.size - key.size:,} repeated edges (or other directions) merged")
    low, high = key // n, key % n
    if weight.max() > 1:
        weight = weight / weight.max()
    adjacency = sparse.coo_array((weight.astype(np.float32), (low, high)), shape=(n, n)).tocsr()
    adjacency = _tidy(adjacency + adjacency.T)
    signs = None
    if sign is not None:
        # a pair listed as activation and as repression sums to nothing: its sign is unknown
        total = sparse.coo_array((sign[keep].astype(np.int64), (i, j)), shape=(n, n)).tocsr()
        total.data = np.sign(total.data).astype(np.int8)
        signs = _tidy(total)
    genes = tuple(names)
    if not keep_all:
        used = np.flatnonzero(np.diff(adjacency.indptr))
        used = used[np.argsort(np.array(genes, dtype=object)[used], kind="stable")]
        genes = tuple(genes[k] for k in used)
        adjacency = _tidy(adjacency[used][:, used])
        signs = None if signs is None else _tidy(signs[used][:, used])
    provenance = Provenance(
        name=name, path=path, kind=kind, n_edges=adjacency.nnz // 2, n_genes=len(genes), note="; ".join(notes)
    )
    return Network(genes=genes, adjacency=adjacency, name=name, provenance=(provenance,), signs=signs)


def _largest(key: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique keys with the largest weight of each."""
    order = np.lexsort((-weight, key)) if np.ptp(weight) > 0 else np.argsort(key, kind="stable")
    key, weight = key[order], weight[order]
    first = np.ones(key.size, dtype=bool)
    first[1:] = key[1:] != key[:-1]
    return key[first], weight[first]


def _tidy(matrix: Any) -> sparse.csr_array:
    matrix = sparse.csr_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def network_from_adjacency(adjacency: Any, genes: Sequence[str], *, name: str) -> Network:
    """A network from a matrix.

    Where the two directions differ the larger weight holds; the diagonal is dropped; weights are divided by
    their maximum if that exceeds 1.

    Parameters
    ----------
    adjacency
        ``(N, N)`` dense or sparse, finite and not negative.
    genes
        N unique names.
    name
        Short name of the network.

    Raises
    ------
    HyperPerturbError
        If the shape does not fit, names repeat, or a weight is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> network_from_adjacency(np.array([[5, 2], [0, 0]]), ["A", "B"], name="toy").adjacency.toarray().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    genes = tuple(str(gene) for gene in genes)
    matrix = sparse.csr_array(adjacency).astype(np.float64)
    if matrix.shape != (len(genes), len(genes)):
        raise HyperPerturbError(
            f"The adjacency matrix of the network '{name}' is {matrix.shape[0]:,} x {matrix.shape[1]:,}, "
            f"but {len(genes):,} gene names were given.",
            hint="Give a square matrix with one name for each row.",
        )
    if len(set(genes)) < len(genes):
        twice = next(gene for k, gene in enumerate(genes) if gene in genes[:k])
        raise HyperPerturbError(
            f"The gene name '{twice}' stands for more than one row of the network '{name}'.",
            hint="Make the names unique.",
        )
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise HyperPerturbError(
            f"The adjacency matrix of the network '{name}' has negative or non-finite weights.",
            hint="Weights must be numbers of at least 0.",
        )
    coo = matrix.tocoo()
    if (coo.row != coo.col).any() and (coo.data[coo.row != coo.col] > 0).any():
        return network_from_codes(
            coo.row, coo.col, coo.data, genes, name=name, kind="adjacency", keep_all=True
        )
    raise HyperPerturbError(f"The adjacency matrix of the network '{name}' has no edges.")


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
        adjacency=_tidy(total.astype(np.float32)),
        name=name,
        provenance=tuple(entry for network in networks for entry in network.provenance),
        signs=_tidy(signs.astype(np.int8)) if signed else None,
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


def save_network(network: Network, path: Path | str) -> Path:
    """Write a network to an ``.npz`` file, atomically and without pickles.

    Parameters
    ----------
    network
        The network.
    path
        File to write; its folder must exist.

    Returns
    -------
    Path
        The file.
    """
    from hyperperturb.files import atomic_path

    path = Path(path)
    about = {
        "format": _FORMAT,
        "name": network.name,
        "provenance": [entry.model_dump(mode="json") for entry in network.provenance],
    }
    arrays = {
        "about": np.array(json.dumps(about)),
        "genes": np.array(network.genes, dtype=np.str_),
        "data": network.adjacency.data,
        "indices": network.adjacency.indices,
        "indptr": network.adjacency.indptr,
    }
    if network.signs is not None:
        arrays |= {f"sign_{key}": getattr(network.signs, key) for key in ("data", "indices", "indptr")}
    with atomic_path(path) as temporary, Path(temporary).open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def load_network(path: Path | str) -> Network:
    """Read a network that :func:`save_network` wrote.

    Parameters
    ----------
    path
        The ``.npz`` file.

    Raises
    ------
    HyperPerturbError
        If the file is missing or was not written by :func:`save_network`.
    """
    path = Path(path)
    if not path.is_file():
        raise HyperPerturbError(f"There is no network file '{path}'.", hint="Check the path.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            genes = tuple(arrays["genes"].tolist())
            shape = (len(genes), len(genes))
            parts = [tuple(arrays[key] for key in ("data", "indices", "indptr"))]
            if "sign_data" in arrays:
                parts.append(tuple(arrays[f"sign_{key}"] for key in ("data", "indices", "indptr")))
        matrices = [sparse.csr_array(part, shape=shape) for part in parts]
        provenance = tuple(Provenance.model_validate(entry) for entry in about["provenance"])
        name = about["name"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise HyperPerturbError(
            f"'{path.name}' is not a network saved by HyperPerturb.",
            hint="To use an edge list, read it with read_network.",
        ) from error
    return Network(genes, matrices[0], name, provenance, matrices[1] if len(matrices) > 1 else None)
