"""Train a small mixed model with both Riemannian optimizers; run by tests in processes of their own.

Run: python riemannian_training.py RESULT.npz [mirrored]
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if "mirrored" in sys.argv:  # before TensorFlow looks at its devices
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
import numpy as np

from hyperperturb.manifolds import Lorentz, PoincareBall
from hyperperturb.nn import HyperbolicEmbedding, QuantumAnnealing, RiemannianAdam, RiemannianSGD

ITEMS, BATCH = 8, 16


def optimizers() -> dict[str, Any]:
    """Return one of each kind with everything switched on."""
    common = {"clip_riemannian_norm": 0.5, "weight_decay": 0.01}
    return {
        "adam": RiemannianAdam(0.05, amsgrad=True, annealing=QuantumAnnealing(0.05, 8, seed=3), **common),
        "sgd": RiemannianSGD(
            0.1, momentum=0.8, nesterov=True, annealing=QuantumAnnealing(0.02, 8, seed=4), **common
        ),
    }


def train(name: str, scope: Any) -> list[np.ndarray]:
    """Return the losses and the trained weights: two tables of points on two manifolds, and a dense layer."""
    rng = np.random.default_rng(0)
    # Every batch has every item, so that sparse and dense gradients concern the same rows.
    items = np.concatenate([rng.permutation(np.repeat(np.arange(ITEMS), 2)) for _ in range(4)])
    pairs = np.stack([items, np.roll(items.reshape(4, BATCH), 1, axis=1).ravel()], axis=1)
    values = (np.abs(pairs[:, :1] - pairs[:, 1:]) / ITEMS).astype("float32")
    with scope:
        one, other = keras.Input((), dtype="int32"), keras.Input((), dtype="int32")
        spaces = PoincareBall(0.8), Lorentz(1.0)
        points = [
            HyperbolicEmbedding(ITEMS, 3, manifold=space)(x)
            for space, x in zip(spaces, (one, other), strict=True)
        ]
        model = keras.Model([one, other], keras.layers.Dense(1)(keras.layers.Concatenate()(points)))
        model.compile(optimizers()[name], loss="mse", jit_compile=False)
        model.set_weights(
            [
                spaces[0].random(ITEMS, 3, seed=1, scale=0.5),
                spaces[1].random(ITEMS, 4, seed=2, scale=0.5),
                rng.standard_normal((7, 1)),
                np.zeros(1),
            ]
        )
    history = model.fit(
        [pairs[:, 0], pairs[:, 1]], values, epochs=4, batch_size=BATCH, shuffle=False, verbose=0
    ).history
    table, second, *_ = weights = [w.numpy() for w in model.weights]
    assert spaces[0].check_point(table)
    assert spaces[1].check_point(second)
    return [np.array(history["loss"]), *weights]


def main() -> None:
    """Write the results of both optimizers, on one device and, if asked, on two."""
    results = {}
    for name in optimizers():
        scopes = {"single": nullcontext()}
        if "mirrored" in sys.argv:
            scopes["mirrored"] = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
        for kind, scope in scopes.items():
            for i, array in enumerate(train(name, scope)):
                results[f"{name}/{kind}/{i}"] = array
    np.savez(sys.argv[1], **results)


if __name__ == "__main__":
    main()
