"""Gene points: what training does to them, and which pairs it sees."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

keras = pytest.importorskip("keras")

from hyperperturb.manifolds import poincare  # noqa: E402
from hyperperturb.models.gene_space import (  # noqa: E402
    curvature_interval,
    fit_gene_space,
    fit_quality,
    hub_radius,
)
from hyperperturb.models.graph_blocks import DiffusionBlocks  # noqa: E402
from hyperperturb.models.graph_fit import first_points  # noqa: E402
from hyperperturb.models.graph_points import DiffusionPoints  # noqa: E402
from hyperperturb.models.similarity import DenseSimilarity, diffusion_similarity  # noqa: E402


@pytest.fixture(scope="module")
def graph(make_graph):
    return make_graph(60)


@pytest.fixture(scope="module")
def similarity(graph):
    return diffusion_similarity(graph)


@pytest.fixture(scope="module")
def centrality(graph):
    degree = np.diff(graph.indptr)
    return (rankdata(degree) - 1) / (len(degree) - 1)


def place(similarity, centrality, **changes):
    settings = {"dim": 8, "epochs": 6, "learning_rate": 0.1, "curvature": 1.0}
    settings |= {"validation_split": 0.2, "seed": 0} | changes
    return fit_gene_space(similarity, centrality, **settings)


@pytest.fixture(scope="module")
def trained(similarity, centrality):
    space = place(similarity, centrality)
    return space, space.history.history


@pytest.mark.slow
def test_training_lowers_both_losses_also_on_pairs_it_does_not_see(trained):
    _, history = trained
    assert history["similarity_loss"][-1] < 0.7 * history["similarity_loss"][0]
    assert history["val_similarity_loss"][-1] < history["val_similarity_loss"][0]
    assert history["val_similarity_loss"][-1] < 1.0, "better than the mean similarity"


@pytest.mark.slow
def test_points_stay_in_the_ball_and_hubs_in_the_middle(trained, graph, similarity):
    space, _ = trained
    points = space.points.embeddings.numpy()
    assert np.isfinite(points).all()
    assert np.linalg.norm(points, axis=1).max() < 1.0
    rho = spearmanr(np.linalg.norm(points, axis=1), np.diff(graph.indptr)).statistic
    assert rho <= -0.8
    assert fit_quality(points, float(space.curvature), similarity) > 0.8


@pytest.mark.slow
def test_the_radius_term_is_what_puts_hubs_in_the_middle(similarity, centrality, graph):
    """With the ranks turned round the most connected genes end at the rim: the network alone does not do it."""
    space = place(similarity, 1.0 - centrality)
    radius = np.linalg.norm(space.points.embeddings.numpy(), axis=1)
    assert spearmanr(radius, np.diff(graph.indptr)).statistic > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("curvature", [0.5, 2.0])
def test_the_curvature_is_learned(similarity, centrality, curvature):
    space = DiffusionPoints(60, 4, curvature=curvature)
    assert float(space.curvature) == pytest.approx(curvature, rel=1e-5)
    trained = place(similarity, centrality, curvature=curvature, epochs=2)
    assert abs(float(trained.curvature) - curvature) > 1e-3
    assert float(trained.curvature) > 0


def test_the_curvature_has_the_gradient_of_the_loss(similarity, centrality):
    import tensorflow as tf

    space = place(similarity, centrality, epochs=1)
    genes, wanted = DiffusionBlocks(DenseSimilarity(similarity), validation_split=0.2, seed=0)[0]

    def loss():
        return space.compute_loss(x=genes, y=wanted, y_pred=space(genes))

    with tf.GradientTape() as tape:
        value = loss()
    gradient = float(tape.gradient(value, space.raw_curvature.value))
    here, step = float(space.raw_curvature), 1e-2
    numeric = []
    for moved in (here + step, here - step):
        space.raw_curvature.assign(moved)
        numeric.append(float(loss()))
    assert np.isfinite(gradient)
    assert gradient == pytest.approx((numeric[0] - numeric[1]) / (2 * step), rel=0.02, abs=1e-4)


@pytest.mark.slow
def test_placing_is_deterministic(similarity, centrality):
    first, second = (place(similarity, centrality, epochs=1) for _ in range(2))
    np.testing.assert_allclose(first.points.embeddings.numpy(), second.points.embeddings.numpy(), atol=1e-6)
    other = place(similarity, centrality, epochs=1, seed=1)
    assert np.abs(first.points.embeddings.numpy() - other.points.embeddings.numpy()).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["ring", "pairs"])
def test_a_network_without_hubs_is_placed_all_the_same(shape):
    """All degrees are equal, so all radii are wanted equal; the similarities must still be learned."""
    n = 30
    graph = np.zeros((n, n))
    if shape == "ring":
        graph[np.arange(n), (np.arange(n) + 1) % n] = 1.0
    else:
        graph[np.arange(0, n, 2), np.arange(1, n, 2)] = 1.0
    from scipy import sparse

    similarity = diffusion_similarity(sparse.csr_array(graph + graph.T))
    space = place(similarity, np.full(n, 0.5), epochs=8)
    points = space.points.embeddings.numpy()
    assert np.isfinite(points).all()
    assert fit_quality(points, float(space.curvature), similarity) > 0.6


@pytest.mark.parametrize("n", [30, 600])
def test_training_and_validation_pairs_are_disjoint_and_complete(n):
    similarity = np.random.default_rng(0).uniform(size=(n, n)).astype(np.float32)
    similarity = (similarity + similarity.T) / 2
    seen = {}
    for validation in (False, True):
        blocks = DiffusionBlocks(
            DenseSimilarity(similarity), validation_split=0.2, seed=3, validation=validation, blocks=2
        )
        seen[validation] = np.zeros((n, n), dtype=bool)
        for epoch in range(1 if validation else 3):
            blocks.set_epoch(epoch)
            for genes, values in (
                pair for step in range(len(blocks)) for pair in zip(*blocks[step], strict=True)
            ):
                assert len(np.unique(genes)) == len(genes) == min(n, 256)
                known = values >= 0
                assert (known == known.T).all()
                assert (values[known] == similarity[np.ix_(genes, genes)][known]).all()
                seen[validation][np.ix_(genes, genes)] |= known
    assert not (seen[False] & seen[True]).any()
    if n == 30:
        assert (seen[False] | seen[True]).all()
        share = seen[True].mean()
    else:
        share = seen[True].sum() / (seen[True].sum() + seen[False].sum())
        assert seen[False].mean() > 0.5, "the blocks of three epochs reach most pairs"
    assert 0.05 < share < 0.35


def test_a_fifth_of_the_pairs_is_held_out():
    eye = DenseSimilarity(np.eye(250, dtype=np.float32))
    blocks = DiffusionBlocks(eye, validation_split=0.2, seed=1, validation=True)
    assert (blocks[0][1] >= 0).mean() == pytest.approx(0.2, abs=0.03)


def test_blocks_depend_on_seed_and_epoch_alone():
    similarity = np.random.default_rng(0).uniform(size=(400, 400)).astype(np.float32)

    def genes(seed, epoch):
        blocks = DiffusionBlocks(DenseSimilarity(similarity), validation_split=0.2, seed=seed)
        blocks.set_epoch(epoch)
        return np.concatenate([blocks[i][0] for i in range(len(blocks))])

    assert (genes(0, 2) == genes(0, 2)).all()
    assert (genes(0, 2) != genes(0, 1)).any()
    assert (genes(0, 2) != genes(1, 2)).any()


def test_hub_radius_fills_the_disk_evenly():
    ranks = np.linspace(0, 1, 2001)
    radius = hub_radius(ranks)
    assert (np.diff(radius) < 0).all()
    area = np.cosh(radius) - 1
    inside = [(radius <= r).mean() for r in (0.5, 1.0, 2.0)]
    assert inside == pytest.approx([(np.cosh(r) - 1) / area.max() for r in (0.5, 1.0, 2.0)], abs=2e-3)


def test_first_points_have_the_wanted_radii(similarity, centrality):
    radius = hub_radius(centrality)
    points = first_points(DenseSimilarity(similarity), radius, 8, seed=0)
    assert poincare.dist0(points.astype(float), c=1.0) == pytest.approx(radius, abs=1e-4)
    assert first_points(DenseSimilarity(similarity), radius, 100, seed=0).shape == (60, 100), (
        "more dimensions than genes"
    )


def test_fit_quality_is_the_correlation_over_pairs(similarity):
    points = 0.5 * np.random.default_rng(0).uniform(-1, 1, size=(60, 2)).astype(np.float32)
    distance = poincare.pairwise_dist(points.astype(float), c=1.0) / np.sqrt(0.7)
    upper = np.triu_indices(60, 1)
    want = np.corrcoef(np.exp(-distance)[upper], similarity[upper])[0, 1]
    assert fit_quality(points, 0.7, similarity) == pytest.approx(want, abs=1e-6)


@pytest.mark.slow
def test_hubs_of_the_demo_network_are_in_the_middle_with_the_quick_preset():
    from hyperperturb.data.simulate import simulate_screen
    from hyperperturb.models.settings import PRESETS

    network = simulate_screen(n_cells=1200).network
    degree = np.diff(network.adjacency.indptr)
    similarity = diffusion_similarity(network.adjacency)
    quick = PRESETS["quick"]
    space = place(
        similarity,
        (rankdata(degree) - 1) / (len(degree) - 1),
        dim=quick.embedding_dim,
        epochs=quick.epochs,
        learning_rate=quick.point_learning_rate,
    )
    points = space.points.embeddings.numpy()
    connected = degree > 0
    rho = spearmanr(np.linalg.norm(points, axis=1)[connected], degree[connected]).statistic
    assert rho <= -0.8
    assert fit_quality(points, float(space.curvature), similarity) > 0.8


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_the_interval_of_the_curvature_holds_that_of_the_similarities(c):
    """Narrow where the similarities are those of the points, wide where they are noisy."""
    rng = np.random.default_rng(0)
    points = poincare.expmap0(rng.normal(scale=0.6, size=(150, 5)), c=1.0)
    exact = np.exp(-poincare.pairwise_dist(points, points, c=1.0) / np.sqrt(c))
    noise = np.exp(rng.normal(scale=0.5, size=exact.shape))
    low, high = curvature_interval(points, 1.2 * c, exact)
    noisy_low, noisy_high = curvature_interval(
        points, 1.2 * c, exact * np.sqrt(noise * noise.T) / noise.mean()
    )
    assert low == pytest.approx(c, rel=0.03)
    assert high == pytest.approx(c, rel=0.03)
    assert noisy_low < noisy_high
    assert noisy_high - noisy_low > high - low
