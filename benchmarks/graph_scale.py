"""Wall time and peak memory of the diffusion objective at 2,000 to 20,000 genes, and what the sparse form loses.

2,000: the genes of highest degree in STRING (exact similarities); 10,335: all of STRING with high confidence (sparse);
20,000: these and as many more that are attached one by one to three genes each, drawn by degree, which is how networks
with such degrees grow (Barabási & Albert 1999). Each runs in a process of its own, with the settings of the gene
space (16 dimensions, 30 epochs unless told otherwise).

The second table compares the sparse similarities with exact ones: of 400 random genes and 400 relatives of them, whose
walks are followed to their end.

Run: ``python benchmarks/graph_scale.py [--epochs N]``
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._report import header
from benchmarks.graph_common import most_connected, peak_memory, string_network
from hyperperturb.models.similarity import KEEP, RESTART, _steps, walk_profiles


def grown(adjacency: sparse.csr_array, n: int, seed: int = 0) -> sparse.csr_array:
    """Return the network grown to ``n`` nodes, three edges each, to nodes drawn by degree."""
    rng = np.random.default_rng(seed)
    upper = sparse.triu(adjacency, k=1).tocoo()
    ends = np.empty(2 * (upper.nnz + 3 * (n - adjacency.shape[0])), dtype=np.int64)
    filled = 2 * upper.nnz
    ends[:filled:2], ends[1:filled:2] = upper.coords
    for node in range(adjacency.shape[0], n):
        chosen = ends[rng.integers(filled, size=3)]  # an end of an edge at random: by degree
        ends[filled : filled + 6 : 2], ends[filled + 1 : filled + 6 : 2] = node, chosen
        filled += 6
    matrix = sparse.csr_array((np.ones(len(ends) // 2), (ends[::2], ends[1::2])), shape=(n, n))
    matrix = sparse.csr_array(((matrix + matrix.T) > 0).astype(np.float32))
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    return matrix


def one(n: int, epochs: int) -> dict[str, float]:
    """Embed in this process; return times and memory."""
    graph = string_network()
    adjacency = graph.adjacency
    if n < adjacency.shape[0]:
        adjacency = most_connected(graph, n).adjacency
    elif n > adjacency.shape[0]:
        adjacency = grown(adjacency, n)
    import keras  # noqa: F401  (its import belongs to neither figure)

    from hyperperturb import embed_graph
    from hyperperturb.models.gene_space import fit_quality
    from hyperperturb.models.similarity import network_similarity

    before = peak_memory()
    started = time.monotonic()
    similarity = network_similarity([adjacency])
    prepared = time.monotonic() - started
    started = time.monotonic()
    made = embed_graph(adjacency, dim=16, epochs=epochs, hub_weight=0.4)
    seconds = time.monotonic() - started
    peak = peak_memory()
    unit = made.points * np.sqrt(made.curvature)
    return {
        "nodes": adjacency.shape[0],
        "edges": adjacency.nnz // 2,
        "similarity_seconds": prepared,
        "seconds": seconds,
        "before": before,
        "peak": peak,
        "fit": fit_quality(unit, made.curvature, similarity),
    }


def truncation() -> None:
    """Print what the sparse form loses, for several numbers of kept entries."""
    adjacency = string_network().adjacency
    n = adjacency.shape[0]
    rng = np.random.default_rng(0)
    back = _steps(adjacency).T.tocsr()

    def walks(rows: np.ndarray) -> np.ndarray:
        start = np.zeros((n, len(rows)), np.float32)
        start[rows, np.arange(len(rows))] = 1.0
        walk = start
        for _ in range(30):
            walk = RESTART * start + (1.0 - RESTART) * (back @ walk)
        return np.sqrt(walk.T)

    first = rng.choice(n, 400, replace=False)
    visited = np.argsort(-walks(first[:100]), axis=1)[:, 1:5].ravel()
    print(
        f"\n| entries kept | genes | correlation | root mean square error | mean similarity |\n{'|---' * 5}|"
    )
    for label, rows in (("random", np.sort(first)), ("relatives", np.unique(visited)[:400])):
        exact = walks(rows)
        upper = np.triu_indices(len(rows), 1)
        exact = (exact @ exact.T)[upper]
        for keep in (64, 128, KEEP, 512):
            part = walk_profiles(adjacency, keep=keep)[rows]
            got = (part @ part.T).toarray()[upper]
            error = np.sqrt(np.mean((got - exact) ** 2))
            correlation = np.corrcoef(got, exact)[0, 1]
            print(f"| {keep} | {label} | {correlation:.4f} | {error:.4f} | {exact.mean():.4f} |", flush=True)


def main() -> None:
    """Print the tables; with ``--one`` measure in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 10_335, 20_000])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.epochs)))
        return
    print(header("numpy", "keras", "tensorflow"))
    print(
        "| genes | edges | similarity, s | whole call, s | memory before, MB | peak, MB | fit |\n"
        + "|---" * 7
        + "|"
    )
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--one", str(size), "--epochs", str(arguments.epochs)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        r = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"| {r['nodes']:,} | {r['edges']:,} | {r['similarity_seconds']:.1f} | {r['seconds']:.0f} "
            f"| {r['before']:.0f} | {r['peak']:.0f} | {r['fit']:.3f} |",
            flush=True,
        )
    truncation()


if __name__ == "__main__":
    main()
