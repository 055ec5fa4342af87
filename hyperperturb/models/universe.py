"""The universe: the genes of the gene graph, how similar the networks find them, and how central they are."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from hyperperturb.data.network import Network, combine_networks
from hyperperturb.data.network_terms import shared_neighbours
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.links import Links, links_of
from hyperperturb.models.similarity import RESTART, Similarity, diffusion_similarity, network_similarity

__all__ = ["RESTART", "Universe", "build_universe", "centralities", "diffusion_similarity"]


@dataclass(frozen=True)
class Universe:
    """Genes, their combined network and their diffusion similarity.

    Attributes
    ----------
    genes
        The N genes.
    adjacency
        (N, N) symmetric weights of the combined network, zero diagonal.
    similarity
        Diffusion similarity along the networks; sparse for more genes than a dense matrix is good for.
    n_left_out
        Genes of the networks that did not fit under the limit.
    links
        Edges of the N genes with the response genes.
    """

    genes: tuple[str, ...]
    adjacency: sparse.csr_array
    similarity: Similarity
    n_left_out: int
    links: Links | None = None

    @property
    def diffusion(self) -> np.ndarray:
        """The similarity as an (N, N) float32 matrix with ones on the diagonal; for small universes."""
        return self.similarity.block(np.arange(len(self.genes)))


def build_universe(
    networks: Sequence[Network],
    *,
    targets: Collection[str],
    response_genes: Sequence[str],
    max_genes: int,
) -> Universe:
    """Choose the genes that the space is made of and compare them along every network.

    All targets are kept; then the genes that random walks from targets and response genes visit most, until
    ``max_genes``. Genes that are in no network and no target stay outside. Several networks are compared along two
    graphs: the network that knows most of the targets, and the one that joins genes with the same neighbours in all
    of them (:func:`hyperperturb.data.network_terms.shared_neighbours`).

    Raises
    ------
    HyperPerturbError
        When the networks contain none of the targets, or there are more targets than ``max_genes``.
    """
    if not networks:
        raise HyperPerturbError(
            "No gene network was given, so genes cannot be related to each other.",
            hint="Add an edge list, or leave the co-expression network switched on.",
        )
    combined = networks[0] if len(networks) == 1 else combine_networks(networks)
    index = {g: i for i, g in enumerate(combined.genes)}
    covered = [g for g in targets if g in index]
    if not covered:
        raise HyperPerturbError(
            f"None of the {len(targets)} perturbation targets (such as {_some(targets)}) is in the networks "
            f"(whose genes are such as {_some(combined.genes)}).",
            hint="Use networks with the same kind of gene names as the screen.",
        )
    if len(targets) > max_genes:
        raise HyperPerturbError(
            f"The screen has {len(targets)} targets, more than max_genes = {max_genes}.",
            hint="Raise max_genes.",
        )
    measured = [index[g] for g in response_genes if g in index]
    score = _visits(combined.adjacency, [index[g] for g in covered], measured)
    ranked = [combined.genes[i] for i in np.argsort(-score, kind="stable") if score[i] > 0]
    chosen = dict.fromkeys(sorted(targets))
    for gene in ranked:
        if len(chosen) >= max_genes:
            break
        chosen.setdefault(gene)
    genes = tuple(sorted(chosen))
    return Universe(
        genes=genes,
        adjacency=induced(combined, genes),
        similarity=network_similarity(_graphs(networks, genes, covered)),
        n_left_out=len(set(combined.genes) - set(genes)),
        links=links_of(combined, genes, response_genes),
    )


def _graphs(
    networks: Sequence[Network], genes: Sequence[str], targets: Sequence[str]
) -> list[sparse.csr_array]:
    """The graphs that genes are compared along; the order of the networks does not matter."""
    if len(networks) == 1:
        return [induced(networks[0], genes)]
    widest = max(networks, key=lambda net: ((net.index(targets) >= 0).sum(), net.n_genes, net.name))
    return [induced(widest, genes), shared_neighbours(networks, genes)]


def _some(names: Collection[str], n: int = 3) -> str:
    return ", ".join(sorted(names)[:n])


def _visits(adjacency: sparse.csr_array, targets: list[int], response: list[int]) -> np.ndarray:
    """Share of time that walks spend at each gene when half start at targets, half at response genes."""
    n = adjacency.shape[0]
    start = np.zeros(n)
    start[targets] += 1.0 / len(targets)
    if response:
        start[response] += 1.0 / len(response)
    start /= start.sum()
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    step = (sparse.diags_array(1.0 / np.where(degree > 0, degree, 1.0)) @ adjacency).T.tocsr()
    visits = start
    for _ in range(40):
        visits = RESTART * start + (1.0 - RESTART) * (step @ visits)
    return visits


def induced(network: Network, genes: Sequence[str]) -> sparse.csr_array:
    """The network's weights among ``genes`` in that order; genes it does not know are isolated."""
    index = {g: i for i, g in enumerate(network.genes)}
    rows = np.array([i for i, g in enumerate(genes) if g in index], dtype=np.int64)
    source = np.array([index[genes[i]] for i in rows], dtype=np.int64)
    place = sparse.csr_array(
        (np.ones(len(rows), dtype=np.float32), (rows, source)), shape=(len(genes), len(network.genes))
    )
    return (place @ network.adjacency @ place.T).tocsr()


def igraph_of(adjacency: sparse.csr_array) -> tuple[Any, list[float]]:
    """The network for igraph, and its weights."""
    import igraph

    upper = sparse.triu(adjacency, k=1).tocoo()
    graph = igraph.Graph(n=adjacency.shape[0], edges=np.column_stack([upper.row, upper.col]).tolist())
    return graph, upper.data.astype(float).tolist()


@contextmanager
def igraph_draws(seed: int) -> Iterator[None]:
    """Python's generator, which igraph draws from (for start vectors too), seeded for a while."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def louvain(adjacency: sparse.csr_array, *, seed: int = 0, resolution: float = 1.0) -> np.ndarray:
    """Community number of each gene, (N,); the higher the resolution the smaller the communities."""
    graph, weights = igraph_of(adjacency)
    with igraph_draws(seed):
        return np.array(
            graph.community_multilevel(weights=weights, resolution=resolution).membership, dtype=np.int64
        )


def centralities(adjacency: sparse.csr_array, *, seed: int = 0) -> pd.DataFrame:
    """How central each gene is, by several measures, and its community.

    Returns
    -------
    pandas.DataFrame
        One row a gene: ``degree`` (number of neighbours), ``strength`` (sum of weights), ``pagerank``,
        ``eigenvector``, ``betweenness`` (share of shortest paths of at most four steps), ``core`` (k-core
        number) and ``community`` (Louvain; numbered by size from 0).
    """
    import warnings

    graph, weights = igraph_of(adjacency)
    with igraph_draws(seed), warnings.catch_warnings():
        membership = np.array(graph.community_multilevel(weights=weights).membership)
        pagerank = np.array(graph.pagerank(weights=weights))
        # Outside the largest component the leading eigenvector is zero, which is as it should be.
        warnings.filterwarnings("ignore", ".*igenvector centralit", RuntimeWarning)
        eigenvector = np.array(graph.eigenvector_centrality(weights=weights))
    by_size = pd.Series(membership).value_counts(sort=True, ascending=False).index
    rank = {old: new for new, old in enumerate(by_size)}
    paths = np.array(graph.betweenness(directed=False, cutoff=4))
    pairs = max((graph.vcount() - 1) * (graph.vcount() - 2) / 2, 1)
    return pd.DataFrame(
        {
            "degree": np.array(graph.degree(), dtype=np.int64),
            "strength": np.asarray(adjacency.sum(axis=1)).ravel().astype(float),
            "pagerank": pagerank,
            "eigenvector": eigenvector,
            "betweenness": paths / pairs,
            "core": np.array(graph.coreness(), dtype=np.int64),
            "community": np.array([rank[m] for m in membership], dtype=np.int64),
        }
    )
