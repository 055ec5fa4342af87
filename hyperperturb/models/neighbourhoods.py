"""What a process over very many genes looks at: a few landmarks that all genes are compared with, and neighbourhoods.

Made of networks only, so the folds of a held-out score may share it. The full kernel of T targets has T² entries; what
is kept here grows linearly: every gene's similarity with the landmarks, and the similarities within blocks of genes
that the networks place near each other. See :mod:`hyperperturb.models.local_process` for what is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular

from hyperperturb.models.gene_kernels import GeneKernels
from hyperperturb.models.links import Links
from hyperperturb.models.similarity import Similarity
from hyperperturb.models.universe import louvain

LANDMARKS = 500
"""Genes that every gene is compared with."""
BLOCK = 300
"""Most targets in a neighbourhood."""
_AT_ONCE = 50
_SMALL, _FINEST = 3, 1000.0

Proximity = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Row numbers, column numbers → similarity of the gene points in whatever space they are."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Similarities with landmarks and within blocks.

    Attributes
    ----------
    genes
        The N genes.
    landmarks
        (N, M) similarities of all genes with M of the targets.
    blocks
        Square similarities within each block; every gene is in one.
    look_up
        Row numbers, column numbers → the exact similarities of any genes, computed anew.
    mean_similarity
        Row numbers → the mean diffusion similarity of each of the N genes with these, without itself.
    inside
        Share of the network's weight between genes of one block: the lower, the more is left to the landmarks.
    """

    genes: tuple[str, ...]
    landmarks: GeneKernels
    blocks: tuple[GeneKernels, ...]
    look_up: Callable[[np.ndarray, np.ndarray], GeneKernels]
    mean_similarity: Callable[[np.ndarray], np.ndarray]
    inside: float

    def __contains__(self, gene: str) -> bool:
        return gene in self.landmarks

    @property
    def hyperbolic(self) -> np.ndarray | None:
        """The similarities of the gene points with the landmarks, or None for a process without the space."""
        return self.landmarks.hyperbolic

    @property
    def links(self) -> Links | None:
        """Edges of genes with response genes, or None for a process without them."""
        return self.landmarks.links

    def renamed(self, names: Mapping[str, str]) -> Neighbourhoods:
        """The same similarities with other names for some genes."""

        def named(kernels: GeneKernels) -> GeneKernels:
            return kernels.renamed(names)

        return Neighbourhoods(
            genes=tuple(names.get(g, g) for g in self.genes),
            landmarks=named(self.landmarks),
            blocks=tuple(named(block) for block in self.blocks),
            look_up=lambda rows, columns: named(self.look_up(rows, columns)),
            mean_similarity=self.mean_similarity,
            inside=self.inside,
        )

    def between(self, a: Sequence[str], b: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The exact similarities of some genes, as :meth:`GeneKernels.between` gives them; computed anew."""
        return self.look_up(*(self._numbers([g for g in names if g in self]) for names in (a, b))).between(
            a, b
        )

    def connection(self, genes: Sequence[str], others: Sequence[str]) -> np.ndarray:
        """See :meth:`GeneKernels.connection`; all of both are among the N genes."""
        return self.mean_similarity(self._numbers(others))[self._numbers(genes)]

    def _numbers(self, genes: Sequence[str]) -> np.ndarray:
        row = {g: i for i, g in enumerate(self.genes)}
        return np.array([row[g] for g in genes], dtype=np.int64)


def find_neighbourhoods(
    genes: Sequence[str],
    adjacency: sparse.csr_array,
    similarity: Similarity,
    proximity: Proximity | None,
    targets: Collection[str],
    *,
    links: Links | None = None,
    landmarks: int = LANDMARKS,
    block: int = BLOCK,
    seed: int = 0,
) -> Neighbourhoods:
    """Choose landmarks and blocks along the networks.

    The landmarks are drawn by randomly pivoted Cholesky decomposition of the targets' diffusion similarity (Chen,
    Epperly, Tropp & Webber 2025, Algorithm 2): each time among the genes that those before explain least. The blocks
    are communities of the combined network (Louvain, finer where a community is too large).

    Parameters
    ----------
    genes
        The N genes.
    adjacency
        (N, N) symmetric weights of their network.
    similarity
        Their diffusion similarity.
    proximity
        Similarity of their points, or None for a process without the space.
    targets
        Genes that some perturbation targets, all among ``genes``.
    links
        Edges of the genes with response genes.
    landmarks, block
        How many landmarks, and at most how many targets in a block.
    seed
        Of the drawing.
    """
    row = {g: i for i, g in enumerate(genes)}
    hit = np.array([row[g] for g in sorted(targets)])
    rng = np.random.default_rng(seed)
    everything = np.arange(len(genes))
    chosen = _pivots(similarity, hit, landmarks, rng)

    def between(rows: np.ndarray, columns: np.ndarray) -> GeneKernels:
        return GeneKernels(
            tuple(genes[i] for i in rows),
            similarity.block(rows, columns),
            None if proximity is None else proximity(rows, columns),
            tuple(genes[i] for i in columns),
        )

    is_target = np.zeros(len(genes), dtype=bool)
    is_target[hit] = True
    parts = _communities(adjacency, is_target, block, seed)
    return Neighbourhoods(
        genes=tuple(genes),
        landmarks=replace(between(everything, chosen), links=links),
        blocks=tuple(between(part, part) for part in parts),
        look_up=between,
        mean_similarity=similarity.connection,
        inside=sum(float(adjacency[part][:, part].sum()) for part in parts)
        / max(float(adjacency.sum()), 1e-12),
    )


def _pivots(similarity: Similarity, hit: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the genes that span the similarity of the genes ``hit`` best."""
    left = np.ones(len(hit))
    factor = np.zeros((len(hit), 0))
    chosen: list[int] = []
    n = min(n, len(hit))
    while len(chosen) < n and left.sum() > 1e-6 * len(hit):
        some = np.flatnonzero(left > 1e-6)
        draw = min(_AT_ONCE, n - len(chosen), len(some))
        new = np.sort(rng.choice(some, draw, replace=False, p=left[some] / left[some].sum()))
        columns = similarity.block(hit, hit[new]).astype(np.float64) - factor @ factor[new].T
        # Of genes that were drawn together some may say the same; the diagonal keeps the factor finite.
        corner = columns[new] + 1e-6 * np.eye(draw)
        added = solve_triangular(cholesky(corner, lower=True), columns.T, lower=True).T
        factor = np.hstack([factor, added])
        left = np.maximum(left - np.sum(added**2, axis=1), 0.0)
        left[new] = 0.0
        chosen += new.tolist()
    return hit[np.array(chosen)]


def _communities(
    adjacency: sparse.csr_array, is_target: np.ndarray, size: int, seed: int
) -> list[np.ndarray]:
    """Split the genes into parts of the network with at most ``size`` targets each."""
    waiting, parts, small = [(np.arange(adjacency.shape[0]), 1.0)], [], []
    while waiting:
        part, resolution = waiting.pop()
        label = louvain(adjacency[part][:, part], seed=seed, resolution=resolution)
        order = np.argsort(label, kind="stable")
        pieces = np.split(part[order], np.flatnonzero(np.diff(label[order])) + 1)
        if len(pieces) == 1 and resolution > _FINEST:  # everything is joined to everything
            pieces = np.array_split(part, -(-int(is_target[part].sum()) // size))
        for piece in pieces:
            n = int(is_target[piece].sum())
            if n > size:
                waiting.append((piece, 2.0 * resolution))
            else:
                (parts if len(piece) > _SMALL else small).append(piece)
    parts = _merged(parts, adjacency, is_target, size)
    # Genes that are (nearly) alone are so in whatever company.
    if small:
        parts += np.array_split(np.concatenate(small), -(-sum(map(len, small)) // size))
    return [np.sort(part) for part in parts]


def _merged(
    parts: list[np.ndarray], adjacency: sparse.csr_array, is_target: np.ndarray, size: int
) -> list[np.ndarray]:
    """Join parts that are near each other while there is room: first where most of the smaller one's edges lead."""
    k = len(parts)
    if k < 2:
        return parts
    part_of = np.repeat(np.arange(k), [len(part) for part in parts])
    shape = (k, adjacency.shape[0])
    member = sparse.csr_array((np.ones(len(part_of)), (part_of, np.concatenate(parts))), shape=shape)
    weight = (member @ adjacency @ member.T).toarray()
    edges, n = weight.sum(axis=1), member @ is_target
    np.fill_diagonal(weight, 0.0)
    joined = [[part] for part in parts]
    share = weight / np.maximum(np.minimum(edges[:, None], edges), np.finfo(float).tiny)
    share[n[:, None] + n > size] = 0.0
    while k > 1 and share.max() > 0:
        i, j = np.unravel_index(np.argmax(share), share.shape)
        joined[i] += joined[j]
        joined[j] = []
        weight[i] += weight[j]
        weight[i, i] = 0.0
        weight[:, i] = weight[i]
        edges[i] += edges[j]
        n[i] += n[j]
        weight[j] = weight[:, j] = share[j] = share[:, j] = 0.0
        row = weight[i] / np.maximum(np.minimum(edges[i], edges), np.finfo(float).tiny)
        share[i] = share[:, i] = np.where(n[i] + n > size, 0.0, row)
    return [np.concatenate(pieces) for pieces in joined if pieces]
