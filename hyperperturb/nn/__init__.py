"""Everything that is a Keras object: layers, optimizers, initializers. Names are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "FermiDirac": "decoders",
    "FromManifold": "dense",
    "HyperbolicAttention": "attention",
    "HyperbolicDense": "dense",
    "HyperbolicEmbedding": "embedding",
    "HyperbolicGraphConv": "graph_conv",
    "PlasticDense": "plasticity",
    "QuantumAnnealing": "annealing",
    "RiemannianAdam": "optimizers",
    "RiemannianSGD": "optimizers",
    "STDP": "plasticity",
    "ToManifold": "dense",
    "WrappedNormal": "initializers",
    "manifold_of": "manifold_variable",
    "replicate_points": "annealing",
    "set_manifold": "manifold_variable",
}

__all__ = [
    "STDP",
    "FermiDirac",
    "FromManifold",
    "HyperbolicAttention",
    "HyperbolicDense",
    "HyperbolicEmbedding",
    "HyperbolicGraphConv",
    "PlasticDense",
    "QuantumAnnealing",
    "RiemannianAdam",
    "RiemannianSGD",
    "ToManifold",
    "WrappedNormal",
    "manifold_of",
    "replicate_points",
    "set_manifold",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
