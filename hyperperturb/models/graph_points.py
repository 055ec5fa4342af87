"""Points of a graph's nodes as Keras models: what they have in common, and the two things they can be fitted to.

The points live on the manifold of curvature −1 and distances are divided by √c, which is the space of curvature −c up
to the scaling x = u/√c; so the curvature can be learned without moving a point off its manifold.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hyperperturb.manifolds import Euclidean, spaces
from hyperperturb.nn import HyperbolicEmbedding, distribution

HELD_OUT = -1.0
_NEVER = -1e9


class GraphPoints(keras.Model):
    """A point for each node and a learnable curvature.

    Parameters
    ----------
    n_nodes, dim
        Number of points and dimensions.
    manifold
        A :class:`~hyperperturb.manifolds.Manifold` of curvature −1 or flat, its name, or its serialised data.
    curvature
        Curvature magnitude c that learning starts from; without meaning in flat space.
    learn_curvature
        Whether c is trained. In flat space it is not.
    tangent
        Keep the points as tangent vectors at the origin, in flat coordinates that ordinary Adam moves, instead of as
        points that Riemannian Adam moves.
    """

    def __init__(
        self,
        n_nodes: int,
        dim: int,
        *,
        manifold: Any = "PoincareBall",
        curvature: float = 1.0,
        learn_curvature: bool = True,
        tangent: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_nodes, self.dim, self.start_curvature = n_nodes, dim, curvature
        self.manifold = spaces.get(manifold)
        self.flat = isinstance(self.manifold, Euclidean)
        self.learn_curvature, self.tangent = learn_curvature, tangent
        self.points = HyperbolicEmbedding(
            n_nodes, dim, manifold=Euclidean() if tangent else self.manifold, name="points"
        )
        self.points.build((None,))
        self.raw_curvature = self.add_weight(
            name="raw_curvature",
            shape=(),
            initializer=keras.initializers.Constant(float(np.log(np.expm1(curvature)))),
            trainable=learn_curvature and not self.flat,
        )

    @property
    def curvature(self) -> Any:
        """Curvature magnitude c > 0, a scalar tensor (1 in flat space: the unit of length)."""
        return ops.ones(()) if self.flat else ops.softplus(self.raw_curvature)

    @property
    def scale(self) -> Any:
        """What distances on the manifold of curvature −1 are multiplied by, 1/√c."""
        return ops.rsqrt(self.curvature)

    def positions(self, nodes: Any) -> Any:
        """Points of the manifold of curvature −1, ``(..., D)``, of node numbers ``(...)``."""
        table = self.points(nodes)
        return self.manifold.expmap0(self.manifold.from_space(table)) if self.tangent else table

    def set_positions(self, points: np.ndarray) -> None:
        """Move all points to ``(N, D)`` points of the manifold of curvature −1."""
        if self.tangent:
            points = self.manifold.logmap0(np.asarray(points, np.float64))
            points = points[..., self.manifold.ambient_dim(1) - 1 :]
        self.points.embeddings.assign(np.asarray(points, np.float32))

    def all_positions(self) -> np.ndarray:
        """All points of the manifold of curvature −1, ``(N, D)`` float64."""
        table = self.points.embeddings.numpy().astype(np.float64)
        return np.asarray(self.manifold.expmap0(self.manifold.from_space(table)) if self.tangent else table)

    def get_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs."""
        return super().get_config() | {
            "n_nodes": self.n_nodes,
            "dim": self.dim,
            "manifold": spaces.serialize(self.manifold),
            "curvature": self.start_curvature,
            "learn_curvature": self.learn_curvature,
            "tangent": self.tangent,
        }


@keras.saving.register_keras_serializable(package="hyperperturb")
class DiffusionPoints(GraphPoints):
    """Points whose exp(−distance) mirrors a similarity of the nodes.

    The loss of a block of B nodes is the unexplained share of the variance of their similarity under exp(−distance),
    plus ``radius_weight`` times the same for the radii that are wanted of the points.

    Parameters
    ----------
    radius_weight
        Weight of the radii; 0 leaves them free.
    n_nodes, dim, manifold, curvature, learn_curvature
        See :class:`GraphPoints`.

    Input shape
    -----------
    ``(S, B)`` node numbers: S blocks.

    Output shape
    ------------
    ``(S, B, B)`` similarities exp(−d) and ``(S, B)`` radii.
    """

    def __init__(self, n_nodes: int, dim: int, *, radius_weight: float = 0.0, **kwargs: Any) -> None:
        super().__init__(n_nodes, dim, **kwargs)
        self.radius_weight = radius_weight
        self.target_radius = self.add_weight(
            name="target_radius", shape=(n_nodes,), initializer="zeros", trainable=False
        )
        # Variances of the similarities and of the wanted radii: both losses are unexplained shares of them.
        self.variances = self.add_weight(name="variances", shape=(2,), initializer="ones", trainable=False)
        self.total_loss = keras.metrics.Mean(name="loss")
        self.similarity_loss = keras.metrics.Mean(name="similarity_loss")
        self.radius_loss = keras.metrics.Mean(name="radius_loss")
        self.built = True

    @property
    def metrics(self) -> list:
        """The running means of a fit."""
        means = [self.total_loss, self.similarity_loss]
        return [*means, self.radius_loss] if self.radius_weight > 0 else means

    def call(self, nodes: Any) -> tuple[Any, Any]:
        """Similarities and radii of blocks of nodes."""
        points = self.positions(nodes)
        distance = self.scale * self.manifold.pairwise_dist(points)
        return ops.exp(-distance), self.scale * self.manifold.dist0(points)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Unexplained variance of the similarities that are not held out, plus the radius term."""
        similarity, radius = y_pred
        known = ops.cast(y >= 0, similarity.dtype)
        count = ops.maximum(ops.sum(known, axis=(1, 2)), 1.0)
        miss = ops.sum(known * ops.square(similarity - y), axis=(1, 2)) / count
        total = unexplained = ops.mean(miss) / self.variances[0]
        if self.radius_weight > 0:
            wanted = ops.take(self.target_radius, x)
            # Radii are wanted in the manifold's own units (1/√c), so the curvature stays free to set the distances.
            own_units = radius * ops.sqrt(self.curvature)
            hubs = ops.mean(ops.square(own_units - wanted)) / self.variances[1]
            self.radius_loss.update_state(hubs)
            total = unexplained + self.radius_weight * hubs
        self.similarity_loss.update_state(unexplained)
        self.total_loss.update_state(total)
        return distribution.share(total)

    def get_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs."""
        return super().get_config() | {"radius_weight": self.radius_weight}


@keras.saving.register_keras_serializable(package="hyperperturb")
class EdgePoints(GraphPoints):
    """Points among which a node's neighbours are its nearest.

    The loss of an edge (a, b) is the softmax of Nickel & Kiela 2017, eq. 5: the negative logarithm of
    exp(−d(a, b)) / (exp(−d(a, b)) + Σ exp(−d(a, n))) over the nodes n that are not neighbours of a. A step looks at
    B nodes a, at K neighbours of each, and at M candidates n: all nodes of a small graph, a sample of a large one.

    Parameters
    ----------
    n_nodes, dim, manifold, curvature, learn_curvature, tangent
        See :class:`GraphPoints`. The points are kept as tangent vectors by default: to turn by an angle far from the
        origin is then a short step, while on the manifold its length grows exponentially with the radius, and points
        that began in a wrong branch stay there.

    Input shape
    -----------
    A dictionary: ``anchor`` ``(S, B)`` and ``candidate`` ``(S, M)`` node numbers, ``neighbour`` ``(S, B, K)`` node
    numbers with ``weight`` ``(S, B, K)`` (0 where there are fewer than K), ``excluded`` ``(S, B, M)`` true where a
    candidate is the anchor or one of its neighbours, ``correction`` ``(S, B)`` logarithms of how many non-neighbours
    a candidate stands for.

    Output shape
    ------------
    ``(S, B, K)`` negative logarithms of the softmax.
    """

    def __init__(self, n_nodes: int, dim: int, *, tangent: bool = True, **kwargs: Any) -> None:
        super().__init__(n_nodes, dim, tangent=tangent, **kwargs)
        self.total_loss = keras.metrics.Mean(name="loss")
        self.built = True

    @property
    def metrics(self) -> list:
        """The running mean of a fit."""
        return [self.total_loss]

    def call(self, inputs: dict[str, Any]) -> Any:
        """Negative log softmax of each neighbour of each anchor."""
        anchor = self.positions(inputs["anchor"])
        candidate = self.positions(inputs["candidate"])
        neighbour = self.positions(inputs["neighbour"])
        near = self.scale * self.manifold.dist(anchor[..., None, :], neighbour)
        far = -self.scale * self.manifold.pairwise_dist(anchor, candidate)
        far = ops.where(inputs["excluded"], ops.full_like(far, _NEVER), far)
        others = ops.logsumexp(far, axis=-1) + inputs["correction"]
        return ops.softplus(near + others[..., None])

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Weighted mean of the neighbours' negative log softmax."""
        weight = x["weight"]
        loss = ops.mean(
            ops.sum(weight * y_pred, axis=(1, 2)) / ops.maximum(ops.sum(weight, axis=(1, 2)), 1e-9)
        )
        self.total_loss.update_state(loss)
        return distribution.share(loss)
