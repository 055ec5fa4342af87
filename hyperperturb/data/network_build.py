"""Networks from pairs of names and from matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network, Provenance, tidy
from hyperperturb.errors import HyperPerturbError


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
    adjacency = tidy(adjacency + adjacency.T)
    signs = None
    if sign is not None:
        # a pair listed as activation and as repression sums to nothing: its sign is unknown
        total = sparse.coo_array((sign[keep].astype(np.int64), (i, j)), shape=(n, n)).tocsr()
        total.data = np.sign(total.data).astype(np.int8)
        signs = tidy(total)
    genes = tuple(names)
    if not keep_all:
        used = np.flatnonzero(np.diff(adjacency.indptr))
        used = used[np.argsort(np.array(genes, dtype=object)[used], kind="stable")]
        genes = tuple(genes[k] for k in used)
        adjacency = tidy(adjacency[used][:, used])
        signs = None if signs is None else tidy(signs[used][:, used])
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
