"""How well points reconstruct a hierarchy: WordNet's mammals and a balanced tree, beside flat space and gensim.

The edges objective of ``hyperperturb.embed_graph`` with its default settings in hyperbolic and in flat space; the rank
of each ancestor among the non-ancestors and the mean average precision (Nickel & Kiela 2017). For the tree, whose edges
have no direction, also the average distortion of the shortest paths. Wall times are of the whole call, compilation
included, Python's imports not.

Run: ``python benchmarks/graph_reconstruction.py [--graph mammals|tree] [--dims 2 5 10 20] [--peer-python PATH]``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._report import header
from benchmarks.graph_common import mammals
from hyperperturb import GraphEmbedding, embed_graph
from hyperperturb.evaluation.graph import distortion, reconstruction
from hyperperturb.manifolds import PoincareBall


def with_gensim(python: str, edges: pd.DataFrame, dim: int, epochs: int) -> tuple[GraphEmbedding, float, str]:
    """Train gensim's model in another Python; return its points, seconds and version."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "edges.csv", Path(folder) / "points.npz"
        edges.to_csv(source, index=False, header=False)
        script = Path(__file__).with_name("graph_gensim.py")
        subprocess.run([python, str(script), str(source), str(dim), str(epochs), str(out)], check=True)
        with np.load(out) as file:
            points, nodes = file["points"], tuple(file["nodes"].tolist())
            seconds, version = float(file["seconds"]), str(file["version"])
    # Not rounded to float32: gensim's points may lie nearer to the rim than float32 can say.
    made = GraphEmbedding(nodes, points, PoincareBall(1.0), "edges", pd.DataFrame())
    return made, seconds, version


def balanced_tree(branching: int, depth: int) -> pd.DataFrame:
    """Return the edges parent, child."""
    n = (branching ** (depth + 1) - 1) // (branching - 1)
    child = np.arange(1, n)
    return pd.DataFrame({"parent": (child - 1) // branching, "child": child})


def row(
    name: str, dim: int, made: GraphEmbedding, edges: pd.DataFrame, seconds: float, *, directed: bool
) -> None:
    """Print one row of the table."""
    rank, precision = reconstruction(made, edges, directed=directed)
    cells = [str(dim), name, f"{rank:.3f}", f"{precision:.4f}"]
    if not directed:
        cells.append(f"{distortion(made, edges):.3f}")
    learned = f"{made.curvature:.3g}" if name.startswith("hyper") else "–"
    print("| " + " | ".join([*cells, learned, f"{seconds:.0f}"]) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", choices=["mammals", "tree"], default="mammals")
    parser.add_argument("--dims", type=int, nargs="+", default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--manifolds", nargs="+", default=["PoincareBall", "Euclidean"])
    parser.add_argument("--peer-python", default=None, help="a Python with gensim, to compare with")
    parser.add_argument("--peer-epochs", type=int, default=50)
    arguments = parser.parse_args()
    directed = arguments.graph == "mammals"
    edges = mammals() if directed else balanced_tree(3, 6)
    dims = arguments.dims or ([2, 5, 10, 20] if directed else [2])
    names = {"Lorentz": "hyperboloid", "PoincareBall": "hyperbolic", "Euclidean": "flat twin"}
    print(header("numpy", "keras", "tensorflow"))
    columns = [
        "dimensions",
        "space",
        "mean rank",
        "mAP",
        *([] if directed else ["distortion"]),
        "c",
        "seconds",
    ]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)
    for dim in dims:
        for manifold in arguments.manifolds:
            started = time.monotonic()
            made = embed_graph(
                edges,
                dim=dim,
                manifold=manifold,
                objective="edges",
                directed=directed,
                epochs=arguments.epochs,
                seed=arguments.seed,
            )
            row(names[manifold], dim, made, edges, time.monotonic() - started, directed=directed)
        if arguments.peer_python and directed:
            made, seconds, version = with_gensim(arguments.peer_python, edges, dim, arguments.peer_epochs)
            name = f"gensim {version}, {arguments.peer_epochs} epochs"
            row(name, dim, made, edges, seconds, directed=directed)


if __name__ == "__main__":
    main()
