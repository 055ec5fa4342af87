"""The embedding layer, its initializer, and the mark on its variable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, PoincareBall

keras = pytest.importorskip("keras")
# Keras 3.15 itself reads its variables through np.array when it saves a model, and NumPy 2.4 objects.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

from hyperperturb import nn  # noqa: E402
from hyperperturb.nn import HyperbolicEmbedding, WrappedNormal, manifold_of, set_manifold  # noqa: E402

SPACES = [PoincareBall(0.5), Lorentz(0.5), Euclidean()]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_looks_points_up(space: Manifold) -> None:
    layer = HyperbolicEmbedding(10, 3, manifold=space)
    out = layer(np.array([[1, 2, 3], [9, 0, 1]]))
    assert tuple(out.shape) == (2, 3, space.ambient_dim(3)) == layer.compute_output_shape((2, 3))
    table = layer.embeddings.numpy()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(out)[1, 0], table[9])
    assert space.check_point(table)
    assert 0.0 < space.dist0(table).max() < 0.1, "near the origin at the start"
    assert manifold_of(layer.embeddings) == space


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_configuration_and_saving(space: Manifold, tmp_path: Any) -> None:
    layer = HyperbolicEmbedding(10, 3, manifold=space, name="points")
    copy = HyperbolicEmbedding.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.manifold == space

    items = keras.Input((4,), dtype="int32")
    model = keras.Model(items, layer(items))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    batch = np.array([[0, 1, 2, 9]])
    np.testing.assert_array_equal(model.predict(batch, verbose=0), loaded.predict(batch, verbose=0))
    assert manifold_of(loaded.get_layer("points").embeddings) == space


def test_points_are_never_half_precision() -> None:
    layer = HyperbolicEmbedding(10, 3, manifold="PoincareBall", dtype="mixed_float16")
    out = layer(np.array([1, 2]))
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert layer(keras.KerasTensor((None,), dtype="int32")).dtype == "float32"


def test_own_initializer_is_projected() -> None:
    layer = HyperbolicEmbedding(5, 2, manifold=PoincareBall(4.0), embeddings_initializer="ones")
    layer.build()
    assert PoincareBall(4.0).check_point(layer.embeddings)


def test_float_indices_are_taken() -> None:
    layer = HyperbolicEmbedding(5, 2)
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(layer(np.array([1, 4], t))) for t in ("float32", "int64"))
    )


@pytest.mark.parametrize(
    ("sizes", "name"), [((0, 2), "input_dim"), ((5, -1), "output_dim"), ((5, 2.5), "output_dim")]
)
def test_impossible_sizes_are_refused(sizes: tuple, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer"):
        HyperbolicEmbedding(*sizes)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_wrapped_normal(space: Manifold) -> None:
    make = WrappedNormal(space, stddev=0.3, seed=1)
    points = keras.ops.convert_to_numpy(make((2000, space.ambient_dim(2)), dtype="float32"))
    assert space.check_point(points)
    assert space.dist0(points).mean() == pytest.approx(0.3 * np.sqrt(np.pi / 2), rel=0.1)
    copy = keras.initializers.deserialize(keras.initializers.serialize(make))
    np.testing.assert_array_equal(copy((2000, space.ambient_dim(2)), dtype="float32"), points)
    unseeded = keras.initializers.deserialize(keras.initializers.serialize(WrappedNormal(space)))
    assert unseeded.manifold == space
    generator = WrappedNormal(space, seed=keras.random.SeedGenerator(3))
    assert WrappedNormal.from_config(generator.get_config()).manifold == space


def test_marks() -> None:
    variable = keras.Variable(np.zeros((2, 2), "float32"))
    assert manifold_of(variable) == Euclidean()
    assert set_manifold(variable, PoincareBall(2.0)) is variable
    assert manifold_of(variable) == PoincareBall(2.0)
    with pytest.raises(TypeError, match=r"must be a keras\.Variable"):
        set_manifold(np.zeros(3), PoincareBall(1.0))
    with pytest.raises(TypeError, match="must be a Manifold"):
        set_manifold(variable, "PoincareBall")


def test_every_public_name_is_there() -> None:
    for name in nn.__all__:
        assert getattr(nn, name) is not None
    assert set(nn.__all__) == set(dir(nn))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        nn.Nothing  # noqa: B018
