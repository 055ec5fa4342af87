"""The whole model as one Keras object: gene points, effect head, policy and value heads.

What a query needs is exported as arrays too (:mod:`hyperperturb.models.inference` uses those, without Keras); a test
holds the two paths together.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from scipy import sparse

from hyperperturb.manifolds import PoincareBall, poincare
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.gene_kernels import KernelParameters
from hyperperturb.models.interactions import COMMON_LIKENESS
from hyperperturb.nn import STDP, HyperbolicEmbedding, PlasticDense


@keras.saving.register_keras_serializable(package="hyperperturb")
class EffectLayer(keras.layers.Layer):
    """The effect head over gene points: memberships of target genes to effects.

    Parameters
    ----------
    n_genes, n_targets, n_response
        Genes of the universe, target genes of the training perturbations, response genes.
    parameters
        The kernel's parameters (:class:`~hyperperturb.models.effect_head.KernelParameters` as a dictionary).
    own_slope
        What a perturbation does to its own target, per unit of the target's control level.
    n_pairs
        Pairs of targets whose interactions are known; 0 for an additive head.
    n_edges
        Edges from genes to response genes that say something (:mod:`hyperperturb.models.links`).
    tabulated
        Keep the mean effect of every gene of the universe instead of a kernel, which is larger with very many targets.

    Input shape
    -----------
    ``(Q, n_genes)`` memberships (1 where a gene is a target) and ``(n_genes, dim)`` unit-ball points.

    Output shape
    ------------
    ``(Q, n_response)`` effects.
    """

    def __init__(
        self,
        n_genes: int,
        n_targets: int,
        n_response: int,
        *,
        parameters: dict,
        own_slope: float,
        n_pairs: int = 0,
        n_edges: int = 0,
        tabulated: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = (n_genes, n_targets, n_response)
        self.parameters = KernelParameters(**parameters)
        self.own_slope = own_slope
        self.n_pairs, self.n_edges, self.tabulated = n_pairs, n_edges, tabulated
        fixed = {"initializer": "zeros", "trainable": False}
        if tabulated:
            self.table = self.add_weight(name="table", shape=(n_genes, n_response), **fixed)
        else:
            self.diffusion = self.add_weight(name="diffusion", shape=(n_genes, n_targets), **fixed)
            self.coefficients = self.add_weight(name="coefficients", shape=(n_targets, n_response), **fixed)
            self.target_index = self.add_weight(
                name="target_index", shape=(n_targets,), dtype="int32", **fixed
            )
        self.own_level = self.add_weight(name="own_level", shape=(n_response,), **fixed)
        self.own_index = self.add_weight(name="own_index", shape=(n_response,), dtype="int32", **fixed)
        if n_pairs:
            self.pair_index = self.add_weight(name="pair_index", shape=(2, n_pairs), dtype="int32", **fixed)
            self.pair_coefficients = self.add_weight(
                name="pair_coefficients", shape=(n_pairs, n_response), **fixed
            )
        if n_edges:
            self.edge_index = self.add_weight(name="edge_index", shape=(2, n_edges), dtype="int32", **fixed)
            self.edge_effect = self.add_weight(name="edge_effect", shape=(n_edges,), **fixed)

    def call(self, membership, points, curvature):
        """Mean effects; the same sum as ``EffectHead.predict``."""
        several = ops.sum(membership, axis=-1, keepdims=True) > 1
        weight = ops.where(several, self.parameters.factor * membership, membership)
        if self.tabulated:
            mean = ops.matmul(weight, self.table)
        else:
            kernel = self._kernel(points, curvature)
            mean = ops.matmul(ops.matmul(weight, kernel), self.coefficients)
            if self.n_pairs:
                mean = mean + self._interaction(membership, several, kernel)
        if self.n_edges:
            along = ops.transpose(ops.take(weight, self.edge_index[0], axis=1) * self.edge_effect)
            mean = mean + ops.transpose(
                ops.segment_sum(along, self.edge_index[1], num_segments=self.sizes[2])
            )
        if self.own_slope == 0:
            return mean
        hit = ops.take(membership, ops.maximum(self.own_index, 0), axis=1) > 0
        hit = ops.logical_and(hit, ops.logical_and(self.own_index >= 0, self.own_level > 0))
        return ops.where(hit, self.own_slope * self.own_level, mean)

    def _kernel(self, points, curvature):
        """Covariance of all genes with the targets, (n_genes, n_targets)."""
        p = self.parameters
        targets = ops.take(points, self.target_index, axis=0)
        hyperbolic = ops.exp(-poincare.pairwise_dist(points, targets, c=1.0) * ops.rsqrt(curvature))
        own = ops.one_hot(self.target_index, self.sizes[0], axis=0)
        return p.mean + p.diffusion * self.diffusion + p.hyperbolic * hyperbolic + p.own * own

    def _interaction(self, membership, several, kernel):
        """The same as in :mod:`hyperperturb.models.interactions`, with memberships in place of lists of genes."""
        p = self.parameters
        like = (kernel - p.mean) / (p.diffusion + p.hyperbolic + p.own)
        like = COMMON_LIKENESS + (1.0 - COMMON_LIKENESS) * like
        first, second = (ops.take(like, self.pair_index[end], axis=1) for end in (0, 1))
        sums = ops.matmul(membership, first) * ops.matmul(membership, second)
        shared = 0.5 * (sums - ops.matmul(membership, first * second))
        hit = ops.take(membership, self.target_index, axis=1)
        own = ops.take(hit, self.pair_index[0], axis=1) * ops.take(hit, self.pair_index[1], axis=1)
        covariance = p.pair * ((1.0 - p.pair_own) * shared + p.pair_own * own)
        return ops.matmul(ops.where(several, covariance, 0.0), self.pair_coefficients)

    def get_config(self) -> dict:
        """What :meth:`from_config` needs."""
        n_genes, n_targets, n_response = self.sizes
        return super().get_config() | {
            "n_genes": n_genes,
            "n_targets": n_targets,
            "n_response": n_response,
            "parameters": dict(vars(self.parameters)),
            "own_slope": self.own_slope,
            "n_pairs": self.n_pairs,
            "n_edges": self.n_edges,
            "tabulated": self.tabulated,
        }


@keras.saving.register_keras_serializable(package="hyperperturb")
class CellHeads(keras.Model):
    """Policy and value heads: which perturbation a cell's shift from control speaks of, and how strongly.

    The encoder maps a shift to a tangent vector at the origin and on to a point of the ball. The policy scores each
    perturbation by the negative distance to its point. Once that is trained, the evidence of linear rules
    (:mod:`hyperperturb.models.cell_evidence`) is added; its weights and the temperature come from held-out cells,
    because those rules know the training cells by heart. The value is the strength (square root of the energy
    distance).

    Parameters
    ----------
    n_inputs, hidden_dim, dim
        Genes of a shift, width of the encoder, dimensions of the space.
    n_perturbations
        Perturbations the policy scores.
    curvature
        Curvature magnitude of the space.
    stdp
        :class:`~hyperperturb.nn.STDP` rule that thins the hidden layer's weights in training, or None.

    Input shape
    -----------
    ``(B, n_inputs)``: :class:`~hyperperturb.models.cell_evidence.CellInputs` of cells.

    Output shape
    ------------
    ``(B, n_perturbations)`` logits and ``(B,)`` strengths.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden_dim: int,
        dim: int,
        n_perturbations: int,
        *,
        curvature: float,
        stdp: STDP | dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes = {
            "n_inputs": n_inputs,
            "hidden_dim": hidden_dim,
            "dim": dim,
            "n_perturbations": n_perturbations,
        }
        self.curvature = curvature
        self.hidden = PlasticDense(hidden_dim, activation="tanh", stdp=stdp, name="hidden")
        self.tangent = keras.layers.Dense(dim, name="tangent")
        self.value = keras.layers.Dense(1, activation="softplus", name="value")
        self.sharpness = self.add_weight(
            name="sharpness", shape=(), initializer=keras.initializers.Constant(1.0)
        )
        self.evidence_kernel = self.add_weight(
            name="evidence_kernel", shape=(n_inputs, n_perturbations), initializer="zeros", trainable=False
        )
        self.evidence_bias = self.add_weight(
            name="evidence_bias", shape=(n_perturbations,), initializer="zeros", trainable=False
        )
        self.offset = self.add_weight(name="offset", shape=(n_perturbations,), initializer="zeros")
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones", trainable=False)
        self.perturbation_points = self.add_weight(
            name="perturbation_points", shape=(n_perturbations, dim), initializer="zeros", trainable=False
        )
        self.hidden.build((None, n_inputs))
        self.tangent.build((None, hidden_dim))
        self.value.build((None, hidden_dim))
        self.built = True

    def call(self, shift, training=False):
        """Logits of the perturbations and strengths."""
        hidden = self.hidden(shift, training=training)
        point = poincare.expmap0(self.tangent(hidden), c=1.0)
        distance = poincare.pairwise_dist(point, self.perturbation_points, c=1.0)
        scale = ops.softplus(self.sharpness) / np.sqrt(self.curvature)
        logits = (self.offset - scale * distance) / self.temperature
        if not training:  # what linear rules say of the cells they were made from teaches nothing
            logits = logits + ops.matmul(shift, self.evidence_kernel) + self.evidence_bias
        return {"policy": logits, "value": ops.squeeze(self.value(hidden), -1)}

    def compile(self, optimizer="rmsprop", **kwargs) -> None:
        """As ``keras.Model.compile``; the hidden layer's threshold follows the optimizer's learning rate."""
        super().compile(optimizer=optimizer, **kwargs)
        self.hidden.follow(self.optimizer)

    def get_config(self) -> dict:
        """What :meth:`from_config` needs."""
        rule = self.hidden.stdp
        return (
            super().get_config()
            | self.sizes
            | {
                "curvature": self.curvature,
                "stdp": None if rule is None else keras.saving.serialize_keras_object(rule),
            }
        )


@keras.saving.register_keras_serializable(package="hyperperturb")
class HyperPerturbModel(keras.Model):
    """Gene points, effect head and cell heads of one training.

    Parameters
    ----------
    n_genes, dim
        Size of the gene space.
    effect
        Configuration of :class:`EffectLayer`.
    cells
        Configuration of :class:`CellHeads`, or None without cell heads.

    Input shape
    -----------
    ``{"targets": (Q, n_genes)}`` memberships, or ``{"cells": (B, n_inputs)}`` shifts, or both.

    Output shape
    ------------
    ``{"effects": (Q, n_response)}`` and ``{"policy": (B, P), "value": (B,)}`` accordingly.
    """

    def __init__(self, n_genes: int, dim: int, *, effect: dict, cells: dict | None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.arguments = {"n_genes": n_genes, "dim": dim, "effect": effect, "cells": cells}
        self.points = HyperbolicEmbedding(n_genes, dim, manifold=PoincareBall(1.0), name="points")
        self.points.build((None,))
        self.curvature = self.add_weight(name="curvature", shape=(), initializer="ones", trainable=False)
        self.effect = EffectLayer(**effect, name="effect")
        self.cells = None if cells is None else CellHeads(**cells, name="cells")
        self.built = True

    def call(self, inputs, training=False):
        """Effects of target memberships, policy and value of cells: whichever is asked for."""
        out = {}
        if "targets" in inputs:
            out["effects"] = self.effect(inputs["targets"], self.points.embeddings, self.curvature)
        if "cells" in inputs:
            out |= self.cells(inputs["cells"], training=training)
        return out

    def get_config(self) -> dict:
        """What :meth:`from_config` needs."""
        return super().get_config() | self.arguments


def assemble(
    points: np.ndarray, curvature: float, head: EffectHead, heads: CellHeads | None
) -> HyperPerturbModel:
    """Put the trained parts into one model that saves and loads as ``.keras``.

    Parameters
    ----------
    points
        (N, d) unit-ball gene points, in the order of ``head.kernels.genes``.
    curvature
        Learned curvature magnitude.
    head
        The fitted effect head.
    heads
        The trained cell heads, or None.
    """
    row = {g: i for i, g in enumerate(head.kernels.genes)}
    edges = _edges(head)
    model = HyperPerturbModel(
        len(points),
        points.shape[1],
        effect={
            "n_genes": len(points),
            "n_targets": len(head.target_genes),
            "n_response": len(head.response_genes),
            "parameters": dict(vars(head.parameters)),
            "own_slope": head.own_slope,
            "n_pairs": 0 if head.interactions is None else len(head.interactions.pairs),
            "n_edges": edges.nnz,
            "tabulated": head.local is not None,
        },
        cells=None
        if heads is None
        else {k: v for k, v in heads.get_config().items() if k not in ("name", "trainable", "dtype")},
    )
    model.points.embeddings.assign(points)
    model.curvature.assign(curvature)
    layer = model.effect
    if head.local is not None:
        table = np.empty((len(points), len(head.response_genes)), np.float32)
        for part, mean in head.means(head.kernels.genes):
            table[part] = mean
        layer.table.assign(table)
    else:
        layer.diffusion.assign(head.kernels.diffusion)
        layer.coefficients.assign(head.coefficients.astype(np.float32))
        layer.target_index.assign(np.array([row[g] for g in head.target_genes], dtype=np.int32))
    layer.own_level.assign(head.own_level.astype(np.float32))
    layer.own_index.assign(np.array([row.get(g, -1) for g in head.response_genes], dtype=np.int32))
    if head.interactions is not None:
        column = {g: i for i, g in enumerate(head.target_genes)}
        ends = [[column[pair[end]] for pair in head.interactions.pairs] for end in (0, 1)]
        layer.pair_index.assign(np.array(ends, dtype=np.int32))
        layer.pair_coefficients.assign(head.interactions.coefficients.astype(np.float32))
    if edges.nnz:
        layer.edge_index.assign(np.array([edges.row, edges.col], dtype=np.int32))
        layer.edge_effect.assign(edges.data.astype(np.float32))
    if heads is not None:
        for mine, theirs in zip(model.cells.weights, heads.weights, strict=True):
            mine.assign(theirs)
    return model


def _edges(head: EffectHead) -> sparse.coo_array:
    """What each gene does to the response genes it is joined with, (n_genes, n_response); tables have it in them."""
    shape = len(head.kernels.genes), len(head.response_genes)
    if head.local is not None or not any(head.link_strengths):
        return sparse.coo_array(shape)
    kinds = head.kernels.links.of(head.kernels.genes, head.response_genes)
    return sparse.coo_array(sum(s * kind for s, kind in zip(head.link_strengths, kinds, strict=True)))
