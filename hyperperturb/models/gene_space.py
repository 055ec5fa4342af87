"""The space of genes: a hyperbolic point per gene, placed so that exp(−distance) mirrors the networks.

The points live on the unit ball and distances are divided by √c, which is the ball of curvature −c up to the scaling
x = u/√c; so the curvature can be learned without moving a point off its manifold.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from scipy.sparse.linalg import eigsh

from hyperperturb.manifolds import PoincareBall, poincare
from hyperperturb.nn import HyperbolicEmbedding, RiemannianAdam

BLOCK = 256
STEPS_PER_EPOCH = 40
_HELD_OUT = -1.0
_RADIUS_WEIGHT = 0.4
_DISK_RADIUS = 2.5
_RELATIVES = 20


@keras.saving.register_keras_serializable(package="hyperperturb")
class GeneSpace(keras.Model):
    """Gene points with a learnable curvature, trained on blocks of genes.

    The loss of a block of B genes is the unexplained share of the variance of their diffusion similarity under
    exp(−distance), plus 0.4 times the same for :func:`hub_radius`: hubs are pulled inwards.

    Parameters
    ----------
    n_genes, dim
        Number of points and dimensions.
    curvature
        Curvature magnitude that learning starts from.

    Input shape
    -----------
    ``(B,)`` gene numbers.

    Output shape
    ------------
    ``(B, B)`` similarities exp(−d) and ``(B,)`` radii.
    """

    def __init__(self, n_genes: int, dim: int, *, curvature: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.n_genes, self.dim, self.start_curvature = n_genes, dim, curvature
        self.points = HyperbolicEmbedding(n_genes, dim, manifold=PoincareBall(1.0), name="points")
        self.points.build((None,))
        self.raw_curvature = self.add_weight(
            name="raw_curvature",
            shape=(),
            initializer=keras.initializers.Constant(float(np.log(np.expm1(curvature)))),
        )
        self.target_radius = self.add_weight(
            name="target_radius", shape=(n_genes,), initializer="zeros", trainable=False
        )
        # Variances of the similarities and of the wanted radii: both losses are unexplained shares of them.
        self.variances = self.add_weight(name="variances", shape=(2,), initializer="ones", trainable=False)
        self.total_loss = keras.metrics.Mean(name="loss")
        self.similarity_loss = keras.metrics.Mean(name="similarity_loss")
        self.radius_loss = keras.metrics.Mean(name="radius_loss")
        self.built = True

    @property
    def curvature(self):
        """Curvature magnitude c > 0, a scalar tensor."""
        return ops.softplus(self.raw_curvature)

    @property
    def metrics(self) -> list:
        """The running means of a fit."""
        return [self.total_loss, self.similarity_loss, self.radius_loss]

    def call(self, genes):
        """Similarities and radii of a block of genes."""
        points = self.points(genes)
        scale = ops.rsqrt(self.curvature)
        return ops.exp(-scale * poincare.pairwise_dist(points, c=1.0)), scale * poincare.dist0(points, c=1.0)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Unexplained variance of the similarities that are not held out, plus the hub-radius term."""
        similarity, radius = y_pred
        known = ops.cast(y >= 0, similarity.dtype)
        miss = ops.sum(known * ops.square(similarity - y)) / ops.maximum(ops.sum(known), 1.0)
        unexplained = miss / self.variances[0]
        wanted = ops.take(self.target_radius, x)
        # Radii are wanted in the ball's own units (1/√c), so the curvature stays free to set the distances.
        own_units = radius * ops.sqrt(self.curvature)
        hubs = ops.mean(ops.square(own_units - wanted)) / self.variances[1]
        self.similarity_loss.update_state(unexplained)
        self.radius_loss.update_state(hubs)
        total = unexplained + _RADIUS_WEIGHT * hubs
        self.total_loss.update_state(total)
        return total

    def get_config(self) -> dict:
        """What :meth:`from_config` needs."""
        return super().get_config() | {
            "n_genes": self.n_genes,
            "dim": self.dim,
            "curvature": self.start_curvature,
        }


class GeneBlocks(keras.utils.PyDataset):
    """Blocks of genes with their similarities, the held-out pairs marked.

    Half of a block is drawn at random, the other half from the twenty nearest relatives of those, because among
    thousands of genes a random pair is hardly ever alike. The order depends on (seed, epoch) only.

    Parameters
    ----------
    similarity
        (N, N) float32 in [0, 1].
    validation_split
        Share of pairs that training does not see.
    validation
        Yield the held-out pairs instead of the training pairs.
    """

    def __init__(
        self, similarity: np.ndarray, *, validation_split: float, seed: int, validation: bool = False
    ) -> None:
        super().__init__()
        self.similarity, self.seed, self.validation = similarity, seed, validation
        self.threshold = int(validation_split * 1000)
        self.block = min(BLOCK, len(similarity))
        nearest = min(_RELATIVES, len(similarity) - 1)
        self.relatives = np.argpartition(-similarity, nearest, axis=1)[:, : nearest + 1]
        self.epoch = 0
        self.steps = STEPS_PER_EPOCH if not validation else max(1, STEPS_PER_EPOCH // 10)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch = 0 if self.validation else self.epoch + 1
        rng = np.random.default_rng((self.seed, epoch, step))
        n = len(self.similarity)
        if self.block == n:
            genes = rng.permutation(n)
        else:
            genes = rng.choice(n, self.block // 2, replace=False)
            relatives = self.relatives[genes, rng.integers(self.relatives.shape[1], size=len(genes))]
            genes = np.unique(np.concatenate([genes, relatives]))
            rest = np.setdiff1d(
                rng.choice(n, min(n, 2 * self.block), replace=False), genes, assume_unique=True
            )
            genes = np.concatenate([genes, rest])[: self.block]
        genes = genes.astype(np.int32)
        values = self.similarity[np.ix_(genes, genes)].copy()
        held_out = _pair_hash(genes, self.seed) < self.threshold
        values[held_out if not self.validation else ~held_out] = _HELD_OUT
        return genes, values

    def on_epoch_end(self) -> None:
        """Count the epochs, so that each has an order of its own."""
        self.epoch += 1


def _pair_hash(genes: np.ndarray, seed: int) -> np.ndarray:
    """A number in 0..999 for each unordered pair of gene numbers, the same in every block."""
    a = np.minimum(genes[:, None], genes[None]).astype(np.uint32)
    b = np.maximum(genes[:, None], genes[None]).astype(np.uint32)
    mixed = a * np.uint32(0x9E3779B1) + b * np.uint32(0x85EBCA77) + np.uint32((seed * 0xC2B2AE3D) % 2**32)
    mixed ^= mixed >> np.uint32(15)
    return (mixed * np.uint32(0x27D4EB2F) >> np.uint32(10)) % np.uint32(1000)


def hub_radius(centrality: np.ndarray) -> np.ndarray:
    """The radius, in units of 1/√c, that a gene of this centrality is pulled to.

    Genes ranked by centrality fill a hyperbolic disk of radius 2.5 evenly, the most central first: the area within r
    grows as cosh r − 1, which is why there is room for few hubs in the middle and for many genes at the rim
    (Krioukov et al. 2010, eq. 7, uniform case).

    Parameters
    ----------
    centrality
        (N,) ranks scaled to [0, 1], 1 the most central.

    Examples
    --------
    >>> hub_radius(np.array([1.0, 0.0])).tolist()
    [0.0, 2.5]
    """
    return np.arccosh(1.0 + (1.0 - np.asarray(centrality)) * (np.cosh(_DISK_RADIUS) - 1.0))


def first_points(similarity: np.ndarray, radius: np.ndarray, dim: int, *, seed: int) -> np.ndarray:
    """Where the points start, (N, dim) in the unit ball: spectral directions at the wanted radii.

    The directions are the leading eigenvectors of the similarity after the first (which is what all genes share).
    """
    n = len(similarity)
    k = min(dim + 1, n - 1)
    start = np.random.default_rng(seed).standard_normal(n)
    values, vectors = eigsh(similarity.astype(np.float64), k=k, v0=start)
    order = np.argsort(-values)[1:]
    direction = np.zeros((n, dim))
    direction[:, : len(order)] = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    # Genes without a network have no direction; a small random one keeps them apart.
    direction += 1e-3 * np.random.default_rng(seed + 1).standard_normal(direction.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return (np.tanh(radius / 2.0)[:, None] * direction).astype(np.float32)


def fit_gene_space(
    similarity: np.ndarray,
    centrality: np.ndarray,
    *,
    dim: int,
    epochs: int,
    learning_rate: float,
    curvature: float,
    validation_split: float,
    seed: int,
    callbacks: list | None = None,
) -> GeneSpace:
    """Place the genes.

    Parameters
    ----------
    similarity
        (N, N) diffusion similarity, float32.
    centrality
        (N,) ranks scaled to [0, 1], 1 the most central.
    dim, epochs, learning_rate, curvature, validation_split, seed
        See :class:`hyperperturb.models.settings.TrainingSettings`.
    callbacks
        Keras callbacks of the fit.

    Returns
    -------
    GeneSpace
        Trained.
    """
    keras.utils.set_random_seed(seed)
    space = GeneSpace(len(similarity), dim, curvature=curvature)
    radius = hub_radius(centrality)
    space.points.embeddings.assign(first_points(similarity, radius, dim, seed=seed))
    space.target_radius.assign(radius.astype(np.float32))
    off_diagonal = similarity[~np.eye(len(similarity), dtype=bool)]
    space.variances.assign([max(float(np.var(off_diagonal)), 1e-8), max(float(np.var(radius)), 1e-8)])
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * STEPS_PER_EPOCH, alpha=0.01)
    space.compile(optimizer=RiemannianAdam(learning_rate=schedule), jit_compile=False)
    space.fit(
        GeneBlocks(similarity, validation_split=validation_split, seed=seed),
        validation_data=GeneBlocks(similarity, validation_split=validation_split, seed=seed, validation=True),
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
    )
    return space


def fit_quality(points: np.ndarray, curvature: float, similarity: np.ndarray) -> float:
    """Pearson correlation of exp(−distance) with the diffusion similarity over all pairs of genes."""
    n = len(points)
    total = np.zeros(5)
    for start in range(0, n, 1024):
        rows = slice(start, min(start + 1024, n))
        a = np.exp(
            -poincare.pairwise_dist(points[rows].astype(np.float64), points.astype(np.float64), c=1.0)
            / np.sqrt(curvature)
        )
        off = np.arange(n)[None] > np.arange(n)[rows, None]
        a, b = a[off], similarity[rows][off].astype(np.float64)
        total += [a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()]
    pairs = n * (n - 1) / 2
    mean_a, mean_b = total[0] / pairs, total[1] / pairs
    covariance = total[4] / pairs - mean_a * mean_b
    return float(covariance / np.sqrt((total[2] / pairs - mean_a**2) * (total[3] / pairs - mean_b**2)))
