"""What a training step of graph points looks at, as data sets whose content depends on (seed, epoch, step) only."""

from __future__ import annotations

import keras
import numpy as np
from scipy import sparse

from hyperperturb.models.graph_points import HELD_OUT
from hyperperturb.models.similarity import Similarity

BLOCK = 256
STEPS_PER_EPOCH = 40
ALL_CANDIDATES_UP_TO = 4096
"""Up to so many nodes all of them are candidates of the softmax; of more nodes half as many are drawn."""
NEIGHBOURS = 32
"""Neighbours of a node that a step looks at; of more neighbours so many are drawn."""
_RELATIVES = 20


class DiffusionBlocks(keras.utils.PyDataset):
    """Blocks of nodes with their similarities, the held-out pairs marked.

    Half of a block is drawn at random, the other half from the twenty nearest relatives of those, because among
    thousands of nodes a random pair is hardly ever alike. The order depends on (seed, epoch) only.

    Parameters
    ----------
    similarity
        Of N nodes.
    validation_split
        Share of pairs that training does not see.
    seed
        Of all choices.
    validation
        Yield the held-out pairs instead of the training pairs.
    blocks
        Blocks S in a step.
    """

    def __init__(
        self,
        similarity: Similarity,
        *,
        validation_split: float,
        seed: int,
        validation: bool = False,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.similarity, self.seed, self.validation, self.blocks = similarity, seed, validation, blocks
        self.threshold = int(validation_split * 1000)
        self.block = min(BLOCK, len(similarity))
        self.relatives = similarity.relatives(_RELATIVES)
        # Large graphs need longer epochs: half of a block is drawn at random, so this is a pass over the nodes.
        self.steps = max(STEPS_PER_EPOCH, -(-2 * len(similarity) // (BLOCK * blocks)))
        if validation:
            self.steps = max(1, self.steps // 10)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose steps are given out."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch = 0 if self.validation else self.epoch + 1
        parts = [
            self._one(np.random.default_rng((self.seed, epoch, step * self.blocks + i)))
            for i in range(self.blocks)
        ]
        return np.stack([nodes for nodes, _ in parts]), np.stack([values for _, values in parts])

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.similarity)
        if self.block == n:
            nodes = rng.permutation(n)
        else:
            nodes = rng.choice(n, self.block // 2, replace=False)
            relatives = self.relatives[nodes, rng.integers(self.relatives.shape[1], size=len(nodes))]
            nodes = np.unique(np.concatenate([nodes, relatives]))
            rest = np.setdiff1d(
                rng.choice(n, min(n, 2 * self.block), replace=False), nodes, assume_unique=True
            )
            nodes = np.concatenate([nodes, rest])[: self.block]
        nodes = nodes.astype(np.int32)
        values = self.similarity.block(nodes)
        held_out = _pair_hash(nodes, self.seed) < self.threshold
        values[held_out if not self.validation else ~held_out] = HELD_OUT
        return nodes, values


def _pair_hash(nodes: np.ndarray, seed: int) -> np.ndarray:
    """A number in 0..999 for each unordered pair of node numbers, the same in every block."""
    a = np.minimum(nodes[:, None], nodes[None]).astype(np.uint32)
    b = np.maximum(nodes[:, None], nodes[None]).astype(np.uint32)
    mixed = a * np.uint32(0x9E3779B1) + b * np.uint32(0x85EBCA77) + np.uint32((seed * 0xC2B2AE3D) % 2**32)
    mixed ^= mixed >> np.uint32(15)
    return (mixed * np.uint32(0x27D4EB2F) >> np.uint32(10)) % np.uint32(1000)


class EdgeBlocks(keras.utils.PyDataset):
    """Blocks of nodes with their neighbours and with candidates that are not.

    Parameters
    ----------
    adjacency
        ``(N, N)`` CSR array of positive weights; row a holds the neighbours of a.
    seed
        Of all choices.
    blocks
        Blocks S in a step.
    block
        Nodes B in a block.
    """

    def __init__(
        self, adjacency: sparse.csr_array, *, seed: int, blocks: int = 1, block: int = BLOCK
    ) -> None:
        super().__init__()
        self.adjacency, self.seed, self.blocks = adjacency, seed, blocks
        self.n = adjacency.shape[0]
        self.degree = np.diff(adjacency.indptr)
        self.anchors = np.flatnonzero(self.degree)
        self.block = min(block, len(self.anchors))
        self.n_neighbours = int(min(NEIGHBOURS, self.degree.max()))
        self.sampled = self.n > ALL_CANDIDATES_UP_TO
        self.n_candidates = ALL_CANDIDATES_UP_TO // 2 if self.sampled else self.n
        self.mean_weight = float(adjacency.data.mean())
        self.pass_steps = -(-len(self.anchors) // (self.block * blocks))
        self.steps = max(STEPS_PER_EPOCH, self.pass_steps)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose steps are given out."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray]]:
        turn, place = divmod(step, self.pass_steps)
        order = np.random.default_rng((self.seed, self.epoch, turn)).permutation(self.anchors)
        width = self.block * self.blocks
        chosen = np.take(order, np.arange(place * width, (place + 1) * width), mode="wrap")
        parts = [
            self._one(anchors, np.random.default_rng((self.seed, self.epoch, step, 1 + i)))
            for i, anchors in enumerate(chosen.reshape(self.blocks, self.block))
        ]
        return ({name: np.stack([part[name] for part in parts]) for name in parts[0]},)

    def _one(self, anchors: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        rows = self.adjacency[anchors]
        degree = np.diff(rows.indptr)
        of = np.repeat(np.arange(len(anchors)), degree)
        # The first K of each row after shuffling within the rows are its K neighbours of this step.
        order = np.lexsort((rng.random(len(of)), of))
        rank = np.arange(len(of)) - np.repeat(rows.indptr[:-1], degree)
        taken = rank < self.n_neighbours
        where = (of[taken], rank[taken])
        neighbour = np.repeat(anchors[:, None], self.n_neighbours, axis=1)
        weight = np.zeros(neighbour.shape, np.float32)
        neighbour[where] = rows.indices[order][taken]
        share = np.maximum(degree / self.n_neighbours, 1.0)
        weight[where] = (rows.data[order][taken] * share[of[taken]]) / self.mean_weight
        if self.sampled:
            candidate = rng.choice(self.n, self.n_candidates, replace=False)
            column = np.full(self.n, -1)
            column[candidate] = np.arange(self.n_candidates)
        else:
            candidate = column = np.arange(self.n)
        excluded = np.zeros((len(anchors), self.n_candidates), dtype=bool)
        seen = column[rows.indices]
        excluded[of[seen >= 0], seen[seen >= 0]] = True
        own = column[anchors]
        excluded[np.flatnonzero(own >= 0), own[own >= 0]] = True
        counted = self.n_candidates - excluded.sum(axis=1)
        correction = np.log(np.maximum(self.n - 1 - degree, 1) / np.maximum(counted, 1))
        return {
            "anchor": anchors.astype(np.int32),
            "candidate": candidate.astype(np.int32),
            "neighbour": neighbour.astype(np.int32),
            "weight": weight,
            "excluded": excluded,
            "correction": correction.astype(np.float32),
        }
