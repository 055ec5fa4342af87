"""gensim's PoincareModel on an edge list; run by ``graph_reconstruction.py`` in a Python that has gensim.

Run: ``python graph_gensim.py EDGES.csv DIM EPOCHS OUT.npz``. Nothing of hyperperturb is imported here.
"""

from __future__ import annotations

import csv
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main() -> None:
    """Train and write points, nodes, seconds and gensim's version."""
    edges, dim, epochs, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    from gensim.models.poincare import PoincareModel

    with Path(edges).open(newline="") as file:
        relations = [tuple(row) for row in csv.reader(file)]
    started = time.monotonic()
    model = PoincareModel(relations, size=dim, negative=10, burn_in=10, seed=0)
    model.train(epochs=epochs, batch_size=50, print_every=10**9)
    seconds = time.monotonic() - started
    np.savez(
        out,
        points=np.asarray(model.kv.vectors, np.float64),
        nodes=np.array(model.kv.index_to_key),
        seconds=seconds,
        version=version("gensim"),
    )


if __name__ == "__main__":
    main()
