"""The part of the network around a perturbation that responds most, small enough to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from hyperperturb.models.inference import EffectPrediction, HyperPerturbInference


@dataclass(frozen=True)
class ResponseNetwork:
    """A small graph around the targets of a prediction.

    Attributes
    ----------
    nodes
        ``gene``; ``role``: ``target``, ``neighbour`` (linked to a target), ``beyond`` (linked to a neighbour) or
        ``between`` (connects a gene beyond, its effect unknown or small); ``effect`` and ``standard_error`` (NaN for
        genes that were not measured).
    links
        ``first``, ``second``, ``weight``: links of the network among the nodes, each once.
    """

    nodes: pd.DataFrame
    links: pd.DataFrame


def response_network(
    inference: HyperPerturbInference, prediction: EffectPrediction, *, near: int = 18, beyond: int = 10
) -> ResponseNetwork:
    """Cut the network around the targets of a prediction to the genes that respond most.

    Parameters
    ----------
    inference
        The run.
    prediction
        Its answer.
    near
        Measured neighbours of the targets at most, those with the largest predicted effects.
    beyond
        Genes two links away at most, each with the neighbour that connects it best.

    Returns
    -------
    ResponseNetwork
        Without links where the network knows none of the targets.

    Examples
    --------
    ::

        response_network(inference, inference.predict_effects(["STAT1"])).nodes
    """
    names = inference.genes["gene"].to_numpy().astype(str)
    row = {gene: i for i, gene in enumerate(names)}
    effect, error = np.full((2, len(names)), np.nan)
    for gene, value, spread in prediction.table[["gene", "effect", "standard_error"]].itertuples(index=False):
        if gene in row:
            effect[row[gene]], error[row[gene]] = value, spread
    adjacency = sparse.csr_matrix(inference.network.adjacency)
    targets = np.array([row[gene] for gene in prediction.targets if gene in row], dtype=int)
    size = np.nan_to_num(np.abs(effect))
    reach = (
        np.asarray(adjacency[targets].max(axis=0).todense()).ravel() if len(targets) else np.zeros(len(names))
    )
    reach[targets] = 0.0
    first = _strongest(size, (reach > 0) & np.isfinite(effect), near)
    roles = dict.fromkeys(targets.tolist(), "target") | dict.fromkeys(first.tolist(), "neighbour")
    links = [(int(t), int(n)) for t in targets for n in first if adjacency[t, n] > 0]
    for gene in _strongest(
        size, np.isfinite(effect) & (reach == 0) & ~np.isin(np.arange(len(names)), targets), 4 * beyond
    ):
        if sum(role == "beyond" for role in roles.values()) == beyond:
            break
        ways = np.asarray(adjacency[[gene]].todense()).ravel() * reach
        through = int(np.argmax(ways))
        if ways[through] <= 0:
            continue
        roles[int(gene)] = "beyond"
        roles.setdefault(through, "between")
        links.append((through, int(gene)))
        links += [(int(t), through) for t in targets if adjacency[t, through] > 0]
    nodes = np.array(list(roles), dtype=int)
    links += _strong_links(adjacency, nodes, most=len(nodes))
    kept = sorted({(min(a, b), max(a, b)) for a, b in links})
    return ResponseNetwork(
        pd.DataFrame(
            {
                "gene": names[nodes],
                "role": [roles[i] for i in nodes.tolist()],
                "effect": effect[nodes],
                "standard_error": error[nodes],
            }
        ),
        pd.DataFrame(
            [(names[a], names[b], float(adjacency[a, b])) for a, b in kept],
            columns=["first", "second", "weight"],
        ),
    )


def _strongest(size: np.ndarray, allowed: np.ndarray, most: int) -> np.ndarray:
    candidates = np.flatnonzero(allowed)
    return candidates[np.argsort(-size[candidates], kind="stable")[:most]]


def _strong_links(adjacency: sparse.csr_matrix, nodes: np.ndarray, most: int) -> list[tuple[int, int]]:
    """The strongest links among the nodes: enough to show who belongs together, too few to become a hairball."""
    block = sparse.triu(adjacency[nodes][:, nodes], k=1).tocoo()
    best = np.argsort(-block.data, kind="stable")[:most]
    return [(int(nodes[block.row[i]]), int(nodes[block.col[i]])) for i in best]
