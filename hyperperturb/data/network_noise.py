"""Networks with a known amount of error: what a simulated screen's network is spoilt with before a model gets it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.errors import HyperPerturbError


def with_wrong_edges(network: Network, fraction: float, *, seed: int = 0) -> Network:
    """Replace a fraction of the edges by edges that are wrong.

    A wrong edge keeps its weight and one of its genes (either is as likely) and leads to a gene, drawn evenly, that the
    first is not connected with. So the numbers of edges and genes stay, and hubs stay hubs.

    Parameters
    ----------
    network
        The network.
    fraction
        Of the undirected edges, 0 to 1.
    seed
        The same seed makes the same errors.

    Returns
    -------
    Network
        Over the same genes in the same order, without signs.

    Raises
    ------
    HyperPerturbError
        For a fraction outside 0 to 1, or a network so dense that no wrong edge is left.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> path = network_from_edges(list("ABCDE"), list("BCDEF"), name="path")
    >>> wrong = with_wrong_edges(path, 0.4, seed=1)
    >>> wrong.n_edges, int((path.adjacency.multiply(wrong.adjacency)).nnz / 2)
    (5, 3)
    """
    if not 0.0 <= fraction <= 1.0:
        raise HyperPerturbError(f"The fraction of wrong edges must be 0 to 1, not {fraction:g}.")
    rng = np.random.default_rng(seed)
    upper = sparse.triu(network.adjacency, k=1).tocoo()
    ends, weight = np.stack(upper.coords).astype(np.int64), upper.data.astype(np.float64)
    n = network.n_genes
    taken = {(int(a), int(b)) for a, b in ends.T}
    n_wrong = round(fraction * len(weight))
    if n_wrong > n * (n - 1) // 2 - len(weight):
        raise HyperPerturbError(
            f"{len(weight):,} edges among {n:,} genes leave no room for {n_wrong:,} wrong ones.",
            hint="Lower the fraction.",
        )
    for edge in rng.permutation(len(weight))[:n_wrong]:
        while True:
            kept = ends[rng.integers(2), edge]
            pair = sorted((int(kept), int(rng.integers(n))))
            if pair[0] != pair[1] and tuple(pair) not in taken:
                break
            # A gene that is connected with all others has no wrong partner; the edge then moves as a whole.
            if rng.random() < 0.01:
                ends[:, edge] = rng.choice(n, size=2, replace=False)
        ends[:, edge] = pair
        taken.add((pair[0], pair[1]))
    percent = f"{100 * fraction:.0f} % wrong"
    return network_from_codes(
        *ends, weight, network.genes, name=f"{network.name}, {percent}", kind="simulated", keep_all=True
    )


def with_permuted_genes(network: Network, *, seed: int = 0) -> Network:
    """The same network with the names of its genes dealt out anew: the same graph, and of no use.

    Parameters
    ----------
    network
        The network.
    seed
        The same seed deals the same.

    Returns
    -------
    Network
        Over the same genes in another order, with its signs.
    """
    order = np.random.default_rng(seed).permutation(network.n_genes)
    return replace(network, genes=tuple(network.genes[k] for k in order))
