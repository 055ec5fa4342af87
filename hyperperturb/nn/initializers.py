"""Initial points on a manifold."""

from __future__ import annotations

from typing import Any

import keras

from hyperperturb.manifolds import spaces


@keras.saving.register_keras_serializable(package="hyperperturb")
class WrappedNormal(keras.initializers.Initializer):
    """Points of a wrapped normal distribution about the origin of a manifold.

    A tangent vector at the origin with independent normal components, sent through the exponential map.

    Parameters
    ----------
    manifold
        A :class:`~hyperperturb.manifolds.Manifold`, its name, or its serialised data.
    stddev
        Standard deviation of each component, in units of distance.
    seed
        An integer or a ``keras.random.SeedGenerator``.

    Examples
    --------
    >>> points = WrappedNormal("PoincareBall", stddev=0.1, seed=0)((5, 2))
    >>> tuple(points.shape)
    (5, 2)
    """

    def __init__(self, manifold: Any, stddev: float = 1e-2, seed: Any = None) -> None:
        self.manifold = spaces.get(manifold)
        self.stddev = float(stddev)
        self.seed = keras.random.SeedGenerator(seed) if seed is None else seed
        self._config_seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return points of the given shape, whose last entry is the number of coordinates."""
        space = (*shape[:-1], shape[-1] - (self.manifold.ambient_dim(1) - 1))
        scale = self.stddev * self.manifold._origin_unit()
        tangent = keras.random.normal(space, stddev=scale, dtype=dtype, seed=self.seed)
        return self.manifold.projx(self.manifold.expmap0(self.manifold.from_space(tangent)))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        seed = self._config_seed
        return {
            "manifold": spaces.serialize(self.manifold),
            "stddev": self.stddev,
            "seed": seed
            if seed is None or isinstance(seed, int)
            else keras.saving.serialize_keras_object(seed),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WrappedNormal:
        """Return the initializer of a configuration."""
        config = dict(config)
        if isinstance(config.get("seed"), dict):
            config["seed"] = keras.saving.deserialize_keras_object(config["seed"])
        return cls(**config)
