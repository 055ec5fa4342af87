"""The hyperbolic layers: what Keras asks of a layer, and what geometry asks of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hyperperturb.manifolds import Euclidean, Lorentz, Manifold, NormalCoordinates, PoincareBall, poincare

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="gradients are taken with tf.GradientTape"
    ),
    # Keras 3.15 itself reads its variables through np.array when it saves a model, and NumPy 2.4 objects.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

from hyperperturb.nn import (  # noqa: E402
    FermiDirac,
    FromManifold,
    HyperbolicAttention,
    HyperbolicDense,
    HyperbolicEmbedding,
    HyperbolicGraphConv,
    RiemannianAdam,
    ToManifold,
)
from hyperperturb.nn._manifold_layer import components, from_components  # noqa: E402

CURVED: list[Manifold] = [PoincareBall(0.7), Lorentz(0.7), NormalCoordinates(0.7)]
SPACES = [*CURVED, Euclidean()]
LAYERS: dict[str, Callable[..., Any]] = {
    "dense": lambda **o: HyperbolicDense(4, activation="tanh", **o),
    "tangent": lambda **o: HyperbolicGraphConv(4, activation="relu", **o),
    "midpoint": lambda **o: HyperbolicGraphConv(
        4, aggregation="midpoint", attention=True, self_loops=False, **o
    ),
    "attention": lambda **o: HyperbolicAttention(2, 3, value_dim=2, output_dim=4, **o),
    "fermi_dirac": lambda **o: FermiDirac(1.5, 0.5, learnable=True, **o),
    "to_manifold": lambda **o: ToManifold(scale=0.5, trainable_scale=True, **o),
    "from_manifold": lambda **o: FromManifold(**o),
}
EDGES = np.array([[[0, 1], [1, 2], [2, 0], [3, 0], [3, 1]], [[0, 1], [1, 0], [2, 2], [4, 3], [0, 3]]])
WEIGHTS = np.array([[1.0, 0.5, 2.0, 1.0, 0.0], [1.0, 1.0, 0.3, 2.0, 0.0]], "float32")


def layer_on(kind: str, space: Manifold, **options: Any) -> Any:
    return LAYERS[kind](manifold=space, **options)


def inputs_of(kind: str, tangent: np.ndarray, space: Manifold) -> list[np.ndarray]:
    """Inputs of a layer for components at the origin ``(2, 5, d)``."""
    if kind == "to_manifold":
        return [tangent]
    points = keras.ops.convert_to_numpy(from_components(space, tangent))
    if kind in ("tangent", "midpoint"):
        return [points, EDGES, WEIGHTS]
    return [points, points[:, ::-1].copy()] if kind in ("attention", "fermi_dirac") else [points]


def apply(layer: Any, inputs: list[Any]) -> Any:
    if isinstance(layer, HyperbolicAttention):
        return layer(*inputs)
    return layer(inputs if len(inputs) > 1 else inputs[0])


def some_components(dtype: str = "float32", dim: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, dim)).astype(dtype)


def shake(layer: Any) -> None:
    """Give every weight a value of its own, biases too."""
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(weight.numpy() + 0.3 * rng.standard_normal(weight.shape))


def array(x: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("space", SPACES, ids=repr)
@pytest.mark.parametrize("kind", LAYERS)
def test_what_keras_asks_of_a_layer(kind: str, space: Manifold, tmp_path: Any) -> None:
    """Symbolic shape and dtype, configuration, saving, and precision under a mixed policy."""
    layer, inputs = layer_on(kind, space), inputs_of(kind, some_components(), space)
    symbols = [keras.Input(x.shape[1:], dtype="int32" if x.dtype.kind == "i" else "float32") for x in inputs]
    symbol = apply(layer, symbols)
    shake(layer)
    out = apply(layer, [keras.ops.convert_to_tensor(x) for x in inputs])
    assert tuple(symbol.shape) == (None, *out.shape[1:])
    assert symbol.dtype == keras.backend.standardize_dtype(out.dtype) == "float32"
    shapes = [x.shape for x in inputs]
    computed = layer.compute_output_shape(
        *shapes if kind == "attention" else [shapes if len(shapes) > 1 else shapes[0]]
    )
    assert tuple(computed) == tuple(out.shape)
    if kind not in ("fermi_dirac", "from_manifold"):
        assert space.check_point(array(out))

    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.manifold == space

    keras.Model(symbols, symbol).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(loaded(inputs)), array(out))

    half = layer_on(kind, space, dtype="mixed_float16")
    rough = apply(half, inputs)
    for weight, value in zip(half.weights, layer.weights, strict=True):
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
        weight.assign(value)
    rough = apply(half, inputs)
    assert keras.backend.standardize_dtype(rough.dtype) == "float32"
    np.testing.assert_allclose(array(rough), array(out), atol=0.03)
    assert (half.compute_dtype, layer.compute_dtype) == ("float16", "float32")


@pytest.mark.parametrize("kind", LAYERS)
def test_the_same_weights_are_the_same_function_on_every_model_of_a_space(kind: str) -> None:
    results, weights = [], None
    for space in [*CURVED, Euclidean()]:
        layer = layer_on(kind, space, dtype="float64")
        inputs = inputs_of(kind, some_components("float64"), space)
        apply(layer, inputs)
        if weights is None:
            shake(layer)
            weights = layer.get_weights()
        layer.set_weights(weights)
        out = apply(layer, inputs)
        results.append(array(out if kind in ("fermi_dirac", "from_manifold") else components(space, out)))
    *others, flat = results
    for other in others[1:]:
        np.testing.assert_allclose(other, others[0], atol=1e-9)
    if kind not in ("to_manifold", "from_manifold"):
        assert np.abs(flat - others[0]).max() > 1e-3, "curvature plays no part"


@pytest.mark.parametrize("space", SPACES, ids=repr)
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_finite_at_the_origin_and_for_coincident_points(kind: str, space: Manifold) -> None:
    tangent = np.zeros((2, 5, 3), "float32")
    tangent[1] = [0.5, 0.0, -1.0]
    layer = layer_on(kind, space)
    first, *rest = inputs_of(kind, tangent, space)
    first = tf.constant(first)
    apply(layer, [first, *rest])
    with tf.GradientTape() as tape:
        tape.watch(first)
        loss = tf.reduce_sum(tf.square(apply(layer, [first, *rest]) + 0.1))
    gradients = tape.gradient(loss, [first, *(w.value for w in layer.trainable_weights)])
    for gradient in gradients:
        assert np.isfinite(array(tf.convert_to_tensor(gradient))).all()


def test_the_dense_layer_is_that_of_the_paper() -> None:
    ball = PoincareBall(0.7)
    points = ball.random(6, 3, seed=0, scale=0.8, dtype="float64")
    layer = HyperbolicDense(4, manifold=ball, activation="relu", dtype="float64")
    layer(points)
    shake(layer)
    kernel, bias = (w.numpy() for w in layer.weights)
    y = ball.mobius_add(ball.mobius_matvec(kernel.T, points), ball.expmap0(bias * 0.5))
    np.testing.assert_allclose(array(layer(points)), ball.expmap0(np.maximum(ball.logmap0(y), 0)), atol=1e-12)


def test_the_flat_dense_layer_is_that_of_keras() -> None:
    x = some_components()
    ours = HyperbolicDense(4, manifold="Euclidean", activation="tanh")
    theirs = keras.layers.Dense(4, activation="tanh")
    ours(x), theirs(x)
    shake(ours)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(array(ours(x)), array(theirs(x)), atol=1e-6)


def dense_weights(edges: np.ndarray, weights: np.ndarray, nodes: int, *, loops: bool) -> np.ndarray:
    """The matrix of weights, target by source, that the layer must never form."""
    matrix = np.eye(nodes) * loops
    np.add.at(matrix, (edges[:, 1], edges[:, 0]), weights)
    return matrix


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("aggregation", ["tangent", "midpoint"])
def test_the_flat_convolution_is_a_graph_convolution_with_mean_aggregation(
    loops: bool, aggregation: str
) -> None:
    x = some_components()[0]
    layer = HyperbolicGraphConv(
        4, manifold="Euclidean", aggregation=aggregation, self_loops=loops, activation="relu"
    )
    layer([x, EDGES[0], WEIGHTS[0]])
    shake(layer)
    kernel, bias = (w.numpy() for w in layer.weights)
    matrix = dense_weights(EDGES[0], WEIGHTS[0], 5, loops=loops)
    mean = matrix @ (x @ kernel + bias) / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(array(layer([x, EDGES[0], WEIGHTS[0]])), np.maximum(mean, 0), atol=1e-6)


def plain(space: Manifold, dim: int = 3, **options: Any) -> Any:
    """A convolution that only aggregates: the matrix is one and there is no bias."""
    return HyperbolicGraphConv(
        dim, manifold=space, use_bias=False, kernel_initializer="identity", dtype="float64", **options
    )


@pytest.mark.parametrize("space", SPACES, ids=repr)
@pytest.mark.parametrize("loops", [True, False])
def test_midpoint_aggregation_gives_the_centroid_of_each_neighbourhood(space: Manifold, loops: bool) -> None:
    points = space.random(40, space.ambient_dim(3), seed=0, scale=1.5, dtype="float64")
    rng = np.random.default_rng(0)
    edges, weights = rng.integers(0, 35, (120, 2)), rng.random(120)
    layer = plain(space, aggregation="midpoint", self_loops=loops)
    matrix = dense_weights(edges, weights, 40, loops=loops)
    expected = np.stack([space.centroid(points, row) for row in matrix])
    np.testing.assert_allclose(array(layer([points, edges, weights])), expected, atol=1e-8)
    if isinstance(space, PoincareBall):
        np.testing.assert_allclose(expected[0], poincare.centroid(points, matrix[0], c=0.7), atol=1e-12)
    if not loops:
        np.testing.assert_allclose(expected[35:], space.origin(5, space.ambient_dim(3)), atol=1e-12)


@pytest.mark.parametrize("aggregation", ["tangent", "midpoint"])
def test_what_aggregation_commutes_with(aggregation: str) -> None:
    """Rotations about the origin for both; all isometries for the midpoint only."""
    ball, rng = PoincareBall(0.7), np.random.default_rng(0)
    points = ball.random(20, 3, seed=0, scale=0.8, dtype="float64")
    graph = [rng.integers(0, 20, (60, 2)), rng.random(60)]
    layer = plain(ball, aggregation=aggregation)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    out = array(layer([points, *graph]))
    np.testing.assert_allclose(array(layer([points @ rotation, *graph])), out @ rotation, atol=1e-12)
    by = ball.random(1, 3, seed=3, scale=0.8, dtype="float64")
    apart = array(layer([ball.mobius_add(by, points), *graph])) - ball.mobius_add(by, out)
    assert (np.abs(apart).max() < 1e-9) == (aggregation == "midpoint")


@pytest.mark.parametrize("aggregation", ["tangent", "midpoint"])
def test_attention_over_edges_is_a_softmax_over_each_neighbourhood(aggregation: str) -> None:
    ball, rng = PoincareBall(0.7), np.random.default_rng(0)
    points = ball.random(20, 3, seed=0, scale=0.8, dtype="float64")
    edges, weights = np.unique(rng.integers(0, 20, (60, 2)), axis=0), None
    weights = rng.random(len(edges))
    layer = plain(ball, aggregation=aggregation, attention=True, self_loops=False)
    layer([points, edges, weights])
    shake(layer)
    kernel, *_ = (w.numpy() for w in layer.dense.weights)
    h = ball.mobius_matvec(kernel.T, points)
    v = 2.0 * ball.logmap0(h)
    asked, spoken = (v @ k.numpy() for k in (layer.target_kernel, layer.source_kernel))
    learned = asked + spoken.T
    scores = np.where(learned > 0, learned, 0.2 * learned)
    scores -= np.log1p(np.exp(layer.raw_sharpness.numpy())) * ball.pairwise_dist(h)
    matrix = dense_weights(edges, weights, 20, loops=False) * np.exp(scores)
    total = matrix.sum(axis=1, keepdims=True)
    matrix = np.divide(matrix, total, where=total > 0, out=np.zeros_like(matrix))
    expected = ball.expmap0(matrix @ ball.logmap0(h))
    if aggregation == "midpoint":
        expected = ball.centroid(h, matrix)
    np.testing.assert_allclose(array(layer([points, edges, weights])), expected, atol=1e-8)


@pytest.mark.parametrize("attention", [False, True])
def test_padding_edges_and_neighbouring_graphs_change_nothing(attention: bool) -> None:
    ball = PoincareBall(0.7)
    points = ball.random(2, 5, 3, seed=0)
    layer = HyperbolicGraphConv(3, manifold=ball, aggregation="midpoint", attention=attention)
    together = array(layer([points, EDGES, WEIGHTS]))
    for i in range(2):
        kept = WEIGHTS[i] > 0
        alone = array(layer([points[i], EDGES[i][kept], WEIGHTS[i][kept]]))
        np.testing.assert_allclose(together[i], alone, atol=1e-6)
    ones = [np.ones((2, 5), "float32")]
    np.testing.assert_array_equal(array(layer([points, EDGES])), array(layer([points, EDGES, *ones])))


def test_attention_to_edges_never_overflows() -> None:
    layer = HyperbolicGraphConv(2, manifold="Euclidean", attention=True, use_bias=False)
    points = np.array([[300.0, 0.0], [0.0, 300.0], [1.0, 1.0]], "float32")
    out = array(layer([points, np.array([[0, 2], [1, 2], [0, 1]]), np.array([1.0, 0.0, 1.0])]))
    assert np.isfinite(out).all()


@pytest.mark.slow
def test_no_graph_is_made_dense() -> None:
    """200,000 nodes and 400,000 edges: nothing in the forward pass or the gradient grows faster than the edge list."""
    nodes, edges, dim = 200_000, 400_000, 4
    for options in ({}, {"aggregation": "midpoint", "attention": True}):
        layer = HyperbolicGraphConv(dim, manifold=PoincareBall(0.7), **options)

        @tf.function
        def step(points: Any, pairs: Any, layer: Any = layer) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(points)
                loss = tf.reduce_sum(layer([points, pairs]))
            return tape.gradient(loss, [points, *(w.value for w in layer.trainable_weights)])

        spec = tf.TensorSpec((nodes, dim)), tf.TensorSpec((edges, 2), "int32")
        graph = step.get_concrete_function(*spec).graph
        sizes = [t.shape.num_elements() for op in graph.get_operations() for t in op.outputs]
        known = [size for size in sizes if size is not None]
        assert edges * dim <= max(known) <= 3 * (nodes + edges) * dim
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.1, (nodes, dim)).astype("float32")
    out = array(layer([points, rng.integers(0, nodes, (edges, 2)).astype("int32")]))
    assert np.isfinite(out).all()


def test_flat_attention_is_a_softmax_of_distances() -> None:
    x, y = some_components("float64")
    layer = HyperbolicAttention(2, 3, value_dim=4, output_dim=5, manifold="Euclidean", dtype="float64")
    layer(x[None], y[None])
    shake(layer)
    weights = {w.name: w.numpy() for w in layer.weights}

    def heads(v: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("td,dhk->htk", v, weights[f"{name}_kernel"]) + weights[f"{name}_bias"]

    q, k, v = heads(x, "query"), heads(y, "key"), heads(y, "value")
    distance = np.linalg.norm(q[:, :, None] - k[:, None], axis=-1)
    share = np.exp(-np.log1p(np.exp(weights["raw_sharpness"])) * distance)
    share /= share.sum(axis=-1, keepdims=True)
    expected = np.einsum("htv,hvo->to", share @ v, weights["output_kernel"]) + weights["output_bias"]
    np.testing.assert_allclose(array(layer(x[None], y[None]))[0], expected, atol=1e-10)


@pytest.mark.parametrize("space", CURVED, ids=repr)
def test_attention_weights_do_not_change_under_isometries(space: Manifold) -> None:
    layer = HyperbolicAttention(1, 3, manifold=space, dtype="float64")
    layer(*([np.zeros((1, 1, space.ambient_dim(3)))] * 2))
    queries, keys = space.random(2, 1, 1, 6, space.ambient_dim(3), seed=0, dtype="float64")
    by = space.random(1, space.ambient_dim(3), seed=1, dtype="float64")
    before, after = (
        array(layer.attention_weights(*(keras.ops.convert_to_tensor(p) for p in pair)))
        for pair in ((queries, keys), (space.mobius_add(by, queries), space.mobius_add(by, keys)))
    )
    np.testing.assert_allclose(after, before, atol=1e-7)
    np.testing.assert_allclose(before.sum(axis=-1), 1.0)


@pytest.mark.parametrize("space", [PoincareBall(0.7), Euclidean()], ids=repr)
def test_masks(space: Manifold) -> None:
    points = space.random(2, 5, 3, seed=0)
    layer = HyperbolicAttention(2, 3, manifold=space)
    mask = np.ones((2, 5, 5), bool)
    mask[:, :, 3:] = False
    mask[1, 4] = False
    open_, masked = array(layer(points, points)), array(layer(points, points, attention_mask=mask))
    other = points.copy()
    other[:, 3:] = 0.0
    np.testing.assert_allclose(array(layer(points, other, attention_mask=mask)), masked, atol=1e-7)
    np.testing.assert_allclose(array(layer(points, points[:, :3]))[0], masked[0], atol=1e-6)
    assert np.abs(open_ - masked).max() > 1e-3
    np.testing.assert_array_equal(masked[1, 4], 0.0)  # may look nowhere: the origin
    np.testing.assert_allclose(
        array(layer(points, points, value_mask=np.arange(5)[None] < [[3], [3]]))[0], masked[0], atol=1e-6
    )
    causal = array(layer(points, points, use_causal_mask=True))
    np.testing.assert_allclose(
        array(layer(points[:, :2], points[:, :2], use_causal_mask=True)), causal[:, :2], atol=1e-6
    )
    bias = np.where(mask[:, None], 0.0, -1e9).astype("float32")
    np.testing.assert_allclose(array(layer(points, points, score_bias=bias))[0], masked[0], atol=1e-6)


def test_the_mask_of_an_embedding_reaches_attention() -> None:
    tokens = np.array([[1, 2, 0, 0]])
    embedding = keras.layers.Embedding(4, 3, mask_zero=True)
    layer = HyperbolicAttention(1, 2, manifold="Euclidean")
    full = embedding(tokens)
    np.testing.assert_allclose(array(layer(full, full))[:, :2], array(layer(*[full[:, :2]] * 2)), atol=1e-6)


def test_fermi_dirac() -> None:
    ball = PoincareBall(0.7)
    x, y = ball.random(2, 8, 3, seed=0)
    d = ball.dist(x, y)
    for squared, power in ((True, 2), (False, 1)):
        layer = FermiDirac(1.5, 0.5, manifold=ball, squared=squared)
        logits = FermiDirac(1.5, 0.5, manifold=ball, squared=squared, return_logits=True)
        p = 1.0 / (np.exp((d**power - 1.5) / 0.5) + 1.0)
        np.testing.assert_allclose(array(layer([x, y])), p, rtol=1e-4)
        np.testing.assert_allclose(array(logits([x, y])), (1.5 - d**power) / 0.5, rtol=1e-4, atol=1e-5)
        learned = FermiDirac(1.5, 0.5, manifold=ball, squared=squared, learnable=True)
        np.testing.assert_allclose(array(learned([x, y])), p, rtol=1e-4)
        assert len(learned.trainable_weights) == 2
    assert layer.compute_output_shape([(8, 1, 3), (1, 5, 3)]) == (8, 5)
    assert tuple(layer([x[:, None], y[None, :5]]).shape) == (8, 5)


def test_a_scale_at_the_entrance_is_a_curvature() -> None:
    """Distances on the space of curvature -4 are those on the unit space of features twice as long, halved."""
    x, y = some_components("float64")
    wide, unit = PoincareBall(4.0), PoincareBall(1.0)
    enter = ToManifold(manifold=wide, dtype="float64")
    scaled = ToManifold(manifold=unit, scale=2.0, trainable_scale=True, dtype="float64")
    one = wide.dist(array(enter(x)), array(enter(y)))
    other = unit.dist(array(scaled(x)), array(scaled(y))) / 2.0
    np.testing.assert_allclose(one, other, rtol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HyperbolicDense(0), "`units` must be a positive integer"),
        (lambda: HyperbolicDense(2, manifold="Lorentz")(np.zeros((3, 1))), "known number of coordinates"),
        (lambda: HyperbolicGraphConv(2, aggregation="sum"), "`aggregation` must be one of"),
        (lambda: HyperbolicGraphConv(2)(np.zeros((3, 2))), r"a list \[points, edges\]"),
        (lambda: HyperbolicGraphConv(2)([np.zeros((3, 2)), np.zeros((2, 4))]), r"the shape \(m, 2\)"),
        (lambda: HyperbolicAttention(2, 0), "`key_dim` must be a positive integer"),
        (lambda: FermiDirac(t=0.0), "`t` must be positive"),
        (lambda: FermiDirac()(np.zeros((3, 2))), r"a list \[x, y\]"),
        (lambda: ToManifold(scale=-1.0), "`scale` must be positive"),
    ],
)
def test_mistakes_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "Received: " in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_compiles(kind: str) -> None:
    space = (
        NormalCoordinates(0.7) if kind in ("attention", "midpoint") else PoincareBall(0.7)
    )  # compile sooner
    layer, inputs = layer_on(kind, space), inputs_of(kind, some_components(), space)
    inputs = [tf.constant(x) for x in inputs]
    out = apply(layer, inputs)
    compiled = tf.function(lambda *arrays: apply(layer, arrays), jit_compile=True)
    np.testing.assert_allclose(array(compiled(*inputs)), array(out), atol=1e-5)


@pytest.mark.slow
def test_a_ring_is_learned_in_compiled_steps() -> None:
    """The losses are those of the same steps without compiling."""
    keras.utils.set_random_seed(0)
    nodes = np.arange(12, dtype="int32")
    ring = np.stack([nodes, (nodes + 1) % 12], axis=1)
    truth = tf.constant(dense_weights(ring, np.ones(12), 12, loops=False).astype("float32"))
    edges = tf.constant(np.concatenate([ring, ring[:, ::-1]]))
    space = NormalCoordinates(0.7)
    table = HyperbolicEmbedding(12, 4, manifold=space)
    convolution = HyperbolicGraphConv(4, manifold=space, aggregation="midpoint")
    decoder = FermiDirac(manifold=space, learnable=True, return_logits=True)

    def loss() -> Any:
        points = convolution([table(nodes), edges])
        logits = decoder([points[:, None], points[None]])
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))

    loss()
    variables = [w for layer in (table, convolution, decoder) for w in layer.trainable_weights]
    optimizer = RiemannianAdam(0.02)
    optimizer.build(variables)

    def step() -> Any:
        with tf.GradientTape() as tape:
            value = loss()
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
        return value

    state = [*variables, *optimizer.variables]
    start = [v.numpy() for v in state]
    eager = [float(step()) for _ in range(4)]
    for variable, value in zip(state, start, strict=True):
        variable.assign(value)
    compiled = tf.function(step, jit_compile=True)
    losses = [float(compiled()) for _ in range(60)]
    np.testing.assert_allclose(losses[:4], eager, rtol=1e-5)
    assert losses[-1] < 0.75 * losses[0]
    assert space.check_point(table.embeddings)


@pytest.mark.slow
def test_the_example_in_the_documentation_runs(root: Any) -> None:
    text = (root / "docs" / "layers.md").read_text()
    (block,) = (part.partition("```")[0] for part in text.split("```python\n")[1:])
    names: dict[str, Any] = {}
    exec(block, names)
    assert np.isfinite(names["history"].history["loss"]).all()
