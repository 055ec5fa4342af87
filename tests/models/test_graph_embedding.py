"""Any graph in, points out: what they reconstruct, that they repeat, resume and stay small, and what is refused."""

from __future__ import annotations

import tracemalloc

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import hyperperturb
from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.graph import distortion, reconstruction
from hyperperturb.models.graph_embedding import GraphEmbedding

pytest.importorskip("keras")

TREE = nx.balanced_tree(3, 3)


def embed(edges=TREE, **changes):
    return hyperperturb.embed_graph(edges, **({"dim": 3, "epochs": 3, "jit_compile": False} | changes))


@pytest.fixture(scope="module")
def by_edges():
    return embed(objective="edges", epochs=6)


@pytest.fixture(scope="module")
def by_diffusion():
    return embed(epochs=4, validation_split=0.1, hub_weight=0.4)


@pytest.mark.slow
def test_edges_reconstruct_a_tree(by_edges):
    rank, precision = reconstruction(by_edges, TREE)
    assert precision > 0.95
    assert rank < 1.3
    assert by_edges.manifold.check_point(by_edges.points)
    assert by_edges.history["loss"].iloc[-1] < 0.5 * by_edges.history["loss"].iloc[0]
    assert by_edges.history.index.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_diffusion_mirrors_the_walks_and_puts_hubs_inside(by_diffusion):
    from hyperperturb.models.similarity import diffusion_similarity

    wanted = diffusion_similarity(nx.to_scipy_sparse_array(TREE, dtype=float))
    upper = np.triu_indices(len(TREE), 1)
    got = np.exp(-by_diffusion.distance_matrix())
    assert np.corrcoef(got[upper], wanted[upper])[0, 1] > 0.85
    degree = np.array([TREE.degree(node) for node in by_diffusion.nodes])
    assert by_diffusion.radii[degree > 1].mean() < by_diffusion.radii[degree == 1].mean() - 0.3
    assert {"loss", "similarity_loss", "radius_loss", "val_loss"} <= set(by_diffusion.history)
    assert by_diffusion.curvature == pytest.approx(by_diffusion.manifold.c)


@pytest.mark.slow
@pytest.mark.parametrize(("manifold", "objective"), [("Lorentz", "diffusion"), ("Euclidean", "edges")])
def test_hyperboloid_and_flat_twin(objective, manifold):
    other = embed(objective=objective, manifold=manifold)
    assert other.manifold.name == manifold
    assert other.points.shape == (40, 4 if manifold == "Lorentz" else 3)
    assert other.manifold.check_point(other.points)
    assert np.isfinite(other.distance_matrix()).all()
    assert (other.curvature > 0) == (manifold == "Lorentz")
    assert reconstruction(other, TREE)[1] > 0.5
    if objective == "diffusion":  # without the hub term the centroid is the origin
        assert other.manifold.dist0(other.manifold.centroid(other.points.astype(float))) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["edges", "diffusion"])
def test_the_same_seed_gives_the_same_points_also_after_an_interruption(objective, tmp_path):
    whole = embed(objective=objective, epochs=2)

    import keras

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    kept = tmp_path / "kept.npz"
    with pytest.raises(KeyboardInterrupt):
        embed(objective=objective, epochs=2, checkpoint=kept, callbacks=[Stop()])
    resumed = embed(objective=objective, epochs=2, checkpoint=kept)
    np.testing.assert_array_equal(resumed.points, whole.points)
    assert resumed.history.equals(whole.history)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["edges", "diffusion"])
def test_small_broken_and_lonely_graphs(objective):
    one = embed([("a", "b")], objective=objective, epochs=1)
    assert np.isfinite(one.points).all()
    assert np.isfinite(one.history.to_numpy()).all()
    parts = nx.disjoint_union(nx.path_graph(5), nx.complete_graph(4))
    parts.add_node("alone")
    split = embed(parts, objective=objective, epochs=6)
    assert len(split) == 10
    assert np.isfinite(split.points).all()
    distance = split.distance_matrix()
    assert distance[5:9, 5:9].mean() < 0.7 * distance[5:9, :5].mean()


@pytest.mark.slow
def test_directed_edges_make_ancestors_near_not_descendants():
    ancestors = [
        (b, a) for a, b in nx.transitive_closure(nx.balanced_tree(2, 4, create_using=nx.DiGraph)).edges
    ]
    points = embed(ancestors, directed=True, objective="edges", epochs=6)
    assert reconstruction(points, ancestors, directed=True)[1] > 0.9


def test_a_step_on_twenty_thousand_nodes_looks_at_blocks_only():
    """Where points start and what a step sees of a large graph: nothing of the size nodes × nodes."""
    from hyperperturb.models.graph_blocks import DiffusionBlocks, EdgeBlocks
    from hyperperturb.models.graph_fit import first_points
    from hyperperturb.models.similarity import network_similarity

    n = 20_000
    rng = np.random.default_rng(0)
    ends = np.arange(1, n)
    tree = sparse.csr_array((np.ones(n - 1, np.float32), (ends, rng.integers(ends))), shape=(n, n))
    graph = sparse.csr_array(tree + tree.T)
    similarity = network_similarity([graph], keep=32)
    tracemalloc.start()
    (edges,) = EdgeBlocks(graph, seed=0)[0]
    nodes, values = DiffusionBlocks(similarity, validation_split=0.1, seed=0)[0]
    points = first_points(similarity, np.ones(n), 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6 < 4 * n * n / 10
    assert max(array.size for array in edges.values()) <= 256 * 2048
    assert values.shape == (1, 256, 256)
    assert nodes.shape == (1, 256)
    assert points.shape == (n, 2)
    anchors, candidates = edges["anchor"][0], edges["candidate"][0]
    linked = graph[anchors][:, candidates].toarray() > 0
    np.testing.assert_array_equal(edges["excluded"][0], linked | (anchors[:, None] == candidates))
    taken = edges["weight"][0] > 0
    of = np.repeat(anchors, taken.sum(axis=1))
    assert (graph[of, edges["neighbour"][0][taken]] > 0).all()
    assert taken.sum(axis=1).tolist() == np.minimum(np.diff(graph.indptr)[anchors], 32).tolist()


def test_reconstruction_and_distortion_of_points_on_a_line():
    line = nx.path_graph(5)
    points = np.arange(5.0)[:, None].astype(np.float32)
    placed = GraphEmbedding(
        tuple(line), points, hyperperturb.manifolds.Euclidean(), "edges", pd.DataFrame({"loss": [0.0]})
    )
    assert reconstruction(placed, line) == (1.0, 1.0)
    assert distortion(placed, line) == pytest.approx(0.0)
    turned = GraphEmbedding(
        tuple(line), points[::-1][[0, 2, 1, 3, 4]], placed.manifold, "edges", placed.history
    )
    # Points 4 2 3 1 0 for nodes 0 … 4: one edge of each of the nodes 0 and 1, 2 and 3 has one node in between.
    assert reconstruction(turned, line)[0] > 1.0
    assert distortion(turned, line) > 0.1


def test_what_an_embedding_can_be_asked(tmp_path):
    space = hyperperturb.manifolds.PoincareBall(2.0)
    points = np.array([[0.0, 0.0], [0.3, 0.0], [0.0, -0.6]], np.float32)
    made = GraphEmbedding(
        ("a", "b", ("c", 1)), points, space, "diffusion", pd.DataFrame({"loss": [1.0, 0.5]})
    )
    assert made.distances("a", ["b", ("c", 1)]) == pytest.approx(made.radii[1:], rel=1e-6)
    assert made.distances([("c", 1)], "b")[0] == pytest.approx(made.distance_matrix()[2, 1])
    assert made.distances(("c", 1), "b").shape == (1,)
    assert made.nearest("b", 5).index.tolist() == ["a", ("c", 1)]
    frame = made.to_frame()
    assert frame.columns.tolist() == ["radius", "x0", "x1"]
    assert frame.loc["b", "radius"] == pytest.approx(made.radii[1])
    with pytest.raises(HyperPerturbError, match="'z' is not in the graph"):
        made.distances("z", "a")
    with pytest.raises(HyperPerturbError, match="pair by pair, but 2 and 3"):
        made.distances(["a", "b"], ["a", "b", "a"])
    with pytest.raises(HyperPerturbError, match="named by texts or whole numbers"):
        made.save(tmp_path / "x.npz")
    plain = GraphEmbedding(("a", 7, "c"), points, space, "diffusion", made.history)
    plain.save(tmp_path / "x.npz")
    again = GraphEmbedding.load(tmp_path / "x.npz")
    assert again.nodes == plain.nodes
    assert again.manifold == space
    assert again.history.equals(plain.history)
    np.testing.assert_array_equal(again.points, points)
    (tmp_path / "x.npz").write_bytes(b"PK broken")
    with pytest.raises(HyperPerturbError, match="missing or damaged"):
        GraphEmbedding.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objective": "links"}, "no objective 'links'"),
        ({"manifold": "Sphere"}, "no manifold 'Sphere'"),
        ({"dim": 0}, "number of dimensions"),
        ({"epochs": 2.5}, "number of epochs"),
        ({"learning_rate": -1.0}, "learning rate must be a number above 0"),
        ({"curvature": float("nan")}, "curvature must be a number above 0"),
        ({"validation_split": 0.95}, "validation split"),
        ({"hub_weight": -1.0}, "hub weight"),
        ({"directed": True}, "diffusion objective compares undirected walks"),
        ({"objective": "edges", "hub_weight": 0.4}, "belong to the diffusion objective"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(options, says):
    with pytest.raises(HyperPerturbError, match=says):
        hyperperturb.embed_graph([("a", "b")], **options)
