"""What the graph benchmarks share: their data, and the line that says when, where and with what they ran."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hyperperturb.models.graph_input import Graph, read_graph  # noqa: E402  (the path above comes first)

DATA = ROOT.parent / "shared" / "data"


def mammals() -> pd.DataFrame:
    """Return the closure of WordNet's mammals: descendant, ancestor."""
    return pd.read_csv(DATA / "graphs" / "wordnet_mammals_closure.csv").iloc[:, :2]


def string_network() -> Graph:
    """Return STRING with high confidence, 10,335 genes."""
    return read_graph(pd.read_csv(DATA / "networks" / "string_high_confidence.csv").iloc[:, :2])


def most_connected(graph: Graph, n: int) -> Graph:
    """Return the part of a graph among its ``n`` nodes of highest degree."""
    degree = np.diff(graph.adjacency.indptr)
    top = np.sort(np.argsort(-degree, kind="stable")[:n])
    return Graph(tuple(graph.nodes[i] for i in top), graph.adjacency[top][:, top], graph.directed)


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
