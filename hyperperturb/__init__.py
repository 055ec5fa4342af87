"""HyperPerturb: what does perturbing a gene do?

Learns from a single-cell CRISPR screen and gene networks, in hyperbolic space, and answers forwards (gene to
effects) and backwards (cell state to perturbations). Public names are imported on first use, so that
``import hyperperturb`` stays cheap and TensorFlow is loaded only by what trains.

Examples
--------
>>> import hyperperturb
>>> hyperperturb.__version__ != ""
True
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from hyperperturb.lazy import lazy

try:
    __version__ = version("hyperperturb")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "errors": "HyperPerturbError",
        "models.graph_embedding": "GraphEmbedding embed_graph",
        "models.inference": "HyperPerturbInference",
    },
    more=("__version__",),
)
