"""Everything that is a Keras object: layers, optimizers, initializers. Names are imported on first use."""

from __future__ import annotations

from hyperperturb.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "annealing": "QuantumAnnealing replicate_points",
        "attention": "HyperbolicAttention",
        "decoders": "FermiDirac",
        "dense": "FromManifold HyperbolicDense ToManifold",
        "embedding": "HyperbolicEmbedding",
        "graph_conv": "HyperbolicGraphConv",
        "initializers": "WrappedNormal",
        "manifold_variable": "manifold_of set_manifold",
        "optimizers": "RiemannianAdam RiemannianSGD",
        "plasticity": "PlasticDense STDP",
    },
)
