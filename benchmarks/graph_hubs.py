"""Do hubs lie in the middle? Rank correlation of radius and degree in STRING, beside rewired networks.

Gene points are fitted by the diffusion objective without the term that pulls hubs inwards: the degree then plays no
part in the loss nor in where points start, and the origin is the points' centroid. A correlation of radius and degree
is therefore what the diffusion structure itself says; the same on networks with every degree kept and all else random
(igraph's rewiring) tells how much of it the degrees alone explain. With ``--hub-weight 0.4``, the gene space's, the
term puts the hubs where they are, in any network.

Run: ``python benchmarks/graph_hubs.py [--rewirings N] [--epochs N] [--genes N] [--hub-weight W]``
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._report import header
from benchmarks.graph_common import most_connected, string_network
from hyperperturb import embed_graph
from hyperperturb.models.gene_space import fit_quality
from hyperperturb.models.similarity import network_similarity
from hyperperturb.models.variants import rewired_adjacency


def measure(adjacency: sparse.csr_array, options: dict) -> dict[str, float]:
    """Embed; return the rank correlation of radius and degree over connected genes, and how well the points fit."""
    started = time.monotonic()
    made = embed_graph(adjacency, **options)
    seconds = time.monotonic() - started
    degree = np.diff(adjacency.indptr)
    connected = degree > 0
    unit = made.points * np.sqrt(made.curvature)
    return {
        "rho": float(spearmanr(made.radii[connected], degree[connected]).statistic),
        "fit": fit_quality(unit, made.curvature, network_similarity([adjacency])),
        "spread": float(np.std(made.radii)),
        "c": made.curvature,
        "seconds": seconds,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rewirings", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--genes", type=int, default=None, help="only so many of highest degree")
    parser.add_argument("--hub-weight", type=float, default=0.0)
    parser.add_argument("--verbose", action="store_true", help="one line for each network")
    arguments = parser.parse_args()
    graph = string_network()
    if arguments.genes:
        graph = most_connected(graph, arguments.genes)
    options = {"dim": arguments.dim, "epochs": arguments.epochs, "hub_weight": arguments.hub_weight}
    print(header("numpy", "keras", "tensorflow", "igraph"))
    print(f"{len(graph.nodes):,} genes, {graph.n_edges:,} edges\n")
    real = measure(graph.adjacency, options)
    others = []
    for seed in range(arguments.rewirings):
        others.append(measure(rewired_adjacency(graph.adjacency, seed=seed), options))
        if arguments.verbose:
            print(seed, others[-1], file=sys.stderr, flush=True)
    print("| network | Spearman of radius and degree | fit | standard deviation of radii | c | seconds |")
    print("|---|---|---|---|---|---|")
    print(
        "| STRING | "
        + " | ".join(f"{real[k]:.3f}" for k in ("rho", "fit", "spread", "c"))
        + f" | {real['seconds']:.0f} |"
    )
    if others:
        columns = {key: np.array([o[key] for o in others]) for key in real}
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for k, v in columns.items() if k != "seconds"]
        print(f"| {len(others)} rewirings | " + " | ".join(cells) + f" | {columns['seconds'].mean():.0f} |")
        lower = int(np.sum(columns["rho"] <= real["rho"]))
        print(
            f"\n{lower} of {len(others)} rewirings have a correlation at least as negative; "
            f"theirs lie between {columns['rho'].min():.3f} and {columns['rho'].max():.3f}."
        )


if __name__ == "__main__":
    main()
