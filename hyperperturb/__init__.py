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

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("hyperperturb")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

_LAZY = {
    "HyperPerturbError": "hyperperturb.errors",
    "HyperPerturbInference": "hyperperturb.models.inference",
    "GraphEmbedding": "hyperperturb.models.graph_embedding",
    "embed_graph": "hyperperturb.models.graph_embedding",
}

__all__ = ["GraphEmbedding", "HyperPerturbError", "HyperPerturbInference", "__version__", "embed_graph"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
