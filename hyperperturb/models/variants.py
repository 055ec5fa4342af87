"""The model with one thing taken away, to tell what that thing is worth: genes dealt out at random, rewired networks,
flat space.

Each is the model's own predictor on other knowledge about genes, with the same settings, parameters and budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network, tidy
from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.gene_space import place_genes
from hyperperturb.models.neighbourhoods import Neighbourhoods
from hyperperturb.models.predictor import target_kernels
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.universe import Universe, build_universe, igraph_draws, igraph_of

if TYPE_CHECKING:
    from hyperperturb.manifolds.base import Manifold

_SWAPS = 10  # attempted swaps an edge; the shuffle has then long forgotten where it began (Milo et al. 2003)


def permuted_genes(
    kernels: GeneKernels | Neighbourhoods, targets: Sequence[str], *, seed: int
) -> GeneKernels | Neighbourhoods:
    """The same similarities with the target genes' names dealt out at random.

    What is left is how alike genes are in general, without who is like whom.

    Parameters
    ----------
    kernels
        Similarities over at least the targets.
    targets
        The genes whose names change places.
    seed
        Of the deal.

    Examples
    --------
    >>> kernels = GeneKernels(("A", "B", "C"), np.eye(3), np.eye(3))
    >>> sorted(permuted_genes(kernels, ("A", "B", "C"), seed=1).genes)
    ['A', 'B', 'C']
    """
    known = sorted({gene for gene in targets if gene in kernels})
    dealt = dict(zip(known, np.random.default_rng(seed).permutation(known).tolist(), strict=True))
    return kernels.renamed(dealt)


def rewired(network: Network, *, seed: int) -> Network:
    """A random network in which each gene has as many neighbours as before, with the same weights shuffled.

    Pairs of edges swap ends (ten tries an edge), without loops and double edges.

    Parameters
    ----------
    network
        Any network.
    seed
        Of the swaps and of the shuffle.

    Examples
    --------
    >>> from hyperperturb.data.network import network_from_edges
    >>> network = network_from_edges(list("ABCDEF"), list("BCDEFA"), name="ring")
    >>> rewired(network, seed=0).degree.tolist()
    [2, 2, 2, 2, 2, 2]
    """
    adjacency = rewired_adjacency(network.adjacency, seed=seed)
    return replace(network, adjacency=adjacency, name=f"{network.name}, rewired", signs=None)


def rewired_adjacency(adjacency: sparse.csr_array, *, seed: int) -> sparse.csr_array:
    """The same for symmetric (N, N) weights; see :func:`rewired`."""
    graph, weights = igraph_of(adjacency)
    with igraph_draws(seed):
        graph.rewire(n=_SWAPS * graph.ecount())
    row, column = np.array(graph.get_edgelist(), dtype=np.int64).reshape(-1, 2).T
    weight = np.random.default_rng(seed).permutation(np.array(weights, dtype=adjacency.dtype))
    half = sparse.coo_array((weight, (row, column)), shape=adjacency.shape)
    return tidy(half + half.T)


def proximity(
    positions: np.ndarray, manifold: Manifold, curvature: float, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """exp(−distance) of some points with others, (len(rows), len(columns)) float32, in whatever space they are.

    Parameters
    ----------
    positions
        (N, D) points of the manifold of curvature −1, or flat.
    curvature
        Distances are divided by its square root.
    rows, columns
        Rows of ``positions``.
    """
    distance = manifold.pairwise_dist(positions[rows], positions[columns]) / np.sqrt(curvature)
    return np.exp(-distance).astype(np.float32)


def trained_kernels(
    universe: Universe,
    targets: Sequence[str],
    settings: TrainingSettings,
    *,
    manifold: str = "PoincareBall",
    seed: int | None = None,
) -> GeneKernels | Neighbourhoods:
    """What the effect head knows about genes once their points are trained; see :func:`place_genes`."""
    import keras

    space = place_genes(universe, settings, manifold=manifold, seed=seed)
    near = partial(proximity, space.all_positions(), space.manifold, float(space.curvature))
    keras.utils.clear_session()  # or the graphs of every training stay, 50 MB and more each
    return target_kernels(universe, near, targets)


def variant_kernels(
    name: str,
    kernels: GeneKernels | Neighbourhoods,
    *,
    networks: Sequence[Network],
    universe: Universe,
    targets: Sequence[str],
    response_genes: Sequence[str],
    settings: TrainingSettings,
    seed: int,
) -> GeneKernels | Neighbourhoods:
    """What the effect head knows about genes in a variant of the model.

    Parameters
    ----------
    name
        One of :data:`hyperperturb.evaluation.verdict.VARIANTS`.
    kernels
        The model's own.
    networks, universe, targets, response_genes, settings
        What those were made from.
    seed
        Of the variant.
    """
    makers: dict[str, Callable[[], Any]] = {
        "random_embedding": lambda: permuted_genes(kernels, targets, seed=seed),
        "rewired_network": lambda: trained_kernels(
            build_universe(
                [rewired(network, seed=seed) for network in networks],
                targets=targets,
                response_genes=response_genes,
                max_genes=settings.max_genes,
            ),
            targets,
            settings,
            seed=seed,
        ),
        "flat_twin": lambda: trained_kernels(universe, targets, settings, manifold="Euclidean", seed=seed),
    }
    return makers[name]()
