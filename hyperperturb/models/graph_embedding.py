"""Hyperbolic embedding of any graph: ``hyperperturb.embed_graph``. The model's gene space uses the same code."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.manifolds import Lorentz, PoincareBall, spaces
from hyperperturb.manifolds.base import Manifold
from hyperperturb.models.graph_input import Graph, read_graph

if TYPE_CHECKING:
    import keras

    from hyperperturb.models.graph_points import GraphPoints

Objective = Literal["diffusion", "edges"]

_MANIFOLDS = ("PoincareBall", "Lorentz", "Euclidean")
_EPOCHS = {"diffusion": 30, "edges": 50}


@dataclass(frozen=True)
class GraphEmbedding:
    """A point for each node of a graph.

    Attributes
    ----------
    nodes
        The N node names.
    points
        ``(N, D)`` float64 points of ``manifold``, in the order of ``nodes``.
    manifold
        Where they live, with the curvature that was learned.
    objective
        What they were fitted to.
    history
        One row an epoch, with the losses.
    """

    nodes: tuple[Hashable, ...]
    points: np.ndarray
    manifold: Manifold
    objective: str
    history: pd.DataFrame = field(repr=False)
    _row: dict[Hashable, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {node: i for i, node in enumerate(self.nodes)})

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def curvature(self) -> float:
        """Curvature magnitude c (space has −c); 0 in flat space."""
        return float(getattr(self.manifold, "c", 0.0))

    @property
    def radii(self) -> np.ndarray:
        """Distances from the origin, (N,) float64."""
        return np.asarray(self.manifold.dist0(self.points.astype(np.float64)))

    def rows(self, nodes: Hashable | Sequence[Hashable]) -> np.ndarray:
        """Row numbers of one node or of several.

        Raises
        ------
        HyperPerturbError
            When a node is not in the graph.
        """
        alone = isinstance(nodes, str) or not isinstance(nodes, Sequence | np.ndarray | pd.Index | pd.Series)
        names = [nodes] if alone or (isinstance(nodes, tuple) and nodes in self._row) else list(nodes)
        missing = [name for name in names if name not in self._row]
        if missing:
            raise HyperPerturbError(
                f"The node '{missing[0]}' is not in the graph ({len(missing):,} of {len(names):,} are not).",
                hint=f"Nodes are such as {', '.join(map(str, self.nodes[:3]))}.",
            )
        return np.array([self._row[name] for name in names], dtype=np.int64)

    def distances(self, a: Hashable | Sequence[Hashable], b: Hashable | Sequence[Hashable]) -> np.ndarray:
        """Distances of the nodes ``a`` to the nodes ``b``, pair by pair; one of them may be a single node.

        Parameters
        ----------
        a, b
            Node names, as many in ``a`` as in ``b``, or one.

        Returns
        -------
        numpy.ndarray
            ``(n,)`` float64.

        Raises
        ------
        HyperPerturbError
            When a node is not in the graph, or the numbers differ.
        """
        first, second = self.rows(a), self.rows(b)
        if len(first) != len(second) and 1 not in (len(first), len(second)):
            raise HyperPerturbError(
                f"Distances go pair by pair, but {len(first):,} and {len(second):,} nodes were given.",
                hint="Use distance_matrix for all pairs.",
            )
        points = self.points.astype(np.float64)
        return np.asarray(self.manifold.dist(points[first], points[second]))

    def distance_matrix(
        self, a: Sequence[Hashable] | None = None, b: Sequence[Hashable] | None = None
    ) -> np.ndarray:
        """Distances of all nodes ``a`` to all nodes ``b`` (all nodes where not given), float64."""
        rows = np.arange(len(self)) if a is None else self.rows(a)
        columns = np.arange(len(self)) if b is None else self.rows(b)
        points = self.points.astype(np.float64)
        return np.asarray(self.manifold.pairwise_dist(points[rows], points[columns]))

    def nearest(self, node: Hashable, k: int = 10) -> pd.Series:
        """The k nearest other nodes of a node with their distances, nearest first."""
        distance = self.distance_matrix([node])[0]
        distance[self.rows([node])[0]] = np.inf
        order = np.argsort(distance, kind="stable")[: min(k, len(self) - 1)]
        return pd.Series(distance[order], index=[self.nodes[i] for i in order], name="distance")

    def to_frame(self) -> pd.DataFrame:
        """One row a node: ``radius`` and the coordinates ``x0``, ``x1``, …; the names are the index."""
        names = [f"x{i}" for i in range(self.points.shape[1])]
        index = pd.Index(np.array(self.nodes, dtype=object), name="node", tupleize_cols=False)
        frame = pd.DataFrame(self.points, columns=names, index=index)
        frame.insert(0, "radius", self.radii)
        return frame

    def save(self, path: str | Path) -> None:
        """Write everything into one file (``.npz``), replaced atomically.

        Raises
        ------
        HyperPerturbError
            When node names are neither texts nor whole numbers.
        """
        plain = [int(n) if isinstance(n, np.integer) else n for n in self.nodes]
        if not all(isinstance(n, str | int) for n in plain):
            raise HyperPerturbError("Only nodes that are named by texts or whole numbers can be saved.")
        about = {
            "nodes": plain,
            "manifold": spaces.serialize(self.manifold),
            "objective": self.objective,
            "history": self.history.to_dict(orient="list"),
        }
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), points=self.points)

    @classmethod
    def load(cls, path: str | Path) -> GraphEmbedding:
        """Read what :meth:`save` wrote.

        Raises
        ------
        HyperPerturbError
            When the file is missing or damaged.
        """
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                about, points = json.loads(str(file["about"])), file["points"]
            return cls(
                nodes=tuple(about["nodes"]),
                points=points,
                manifold=spaces.get(about["manifold"]),
                objective=about["objective"],
                history=pd.DataFrame(about["history"]),
            )
        except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise HyperPerturbError(
                f"The graph embedding '{path}' is missing or damaged ({error})."
            ) from error


def embed_graph(
    edges: Any,
    *,
    dim: int = 16,
    manifold: str | Manifold = "PoincareBall",
    objective: Objective = "diffusion",
    nodes: Sequence[Hashable] | None = None,
    directed: bool | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    curvature: float = 1.0,
    learn_curvature: bool = True,
    hub_weight: float = 0.0,
    validation_split: float = 0.0,
    seed: int = 0,
    annealing: float = 0.0,
    jit_compile: bool | None = None,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> GraphEmbedding:
    """Place the nodes of a graph in hyperbolic (or flat) space.

    Memory grows with nodes and edges; beyond 4,096 nodes nothing of the size nodes × nodes is made.

    Parameters
    ----------
    edges
        A table of edges, pairs or triples, a sparse matrix, a networkx graph or a
        :class:`~hyperperturb.data.network.Network`; see :func:`hyperperturb.models.graph_input.read_graph`.
    dim
        Dimensions.
    manifold
        ``"PoincareBall"``, ``"Lorentz"`` or ``"Euclidean"``, the flat twin.
    objective
        ``"diffusion"``: exp(−distance) mirrors how alike random walks from two nodes are, which a whole
        neighbourhood decides. ``"edges"``: the neighbours of a node are its nearest (Nickel & Kiela 2017), which
        reconstructs the given edges.
    nodes
        Names of a matrix's rows, or further nodes that may have no edge.
    directed
        Keep directions (``"edges"`` only): b is a neighbour of a, and a is not one of b. By default only those of a
        directed networkx graph.
    epochs
        Of at least 40 steps and at least a pass over the nodes each; by default 30 for diffusion, 50 for edges
        and 20 for edges in two dimensions.
    learning_rate
        Step size in units of distance; by default 0.1, or 0.01 for edges in two dimensions, whose points start from
        a drawing (:mod:`hyperperturb.models.graph_layout`) that longer steps would undo.
    curvature, learn_curvature
        Curvature magnitude c that learning starts from, and whether it is learned.
    hub_weight
        Weight of a term that pulls nodes of high degree to the middle (``"diffusion"`` only); the gene space has 0.4.
        With 0 the degree plays no part and the points' centroid becomes the origin.
    validation_split
        Share of the pairs of nodes that the diffusion objective does not see and whose loss is reported.
    seed
        Of every random choice; the same seed gives the same points.
    annealing
        Initial field of :class:`hyperperturb.nn.QuantumAnnealing` (``"diffusion"`` only); 0 is off.
    jit_compile
        Compile the steps with XLA; by default for edges only, where it pays.
    checkpoint
        File that an interrupted training goes on from; removed by nobody.
    callbacks
        Keras callbacks.

    Returns
    -------
    GraphEmbedding

    Raises
    ------
    HyperPerturbError
        When there is no graph in ``edges``, or a setting is impossible; the sentence says which.
    """
    graph = read_graph(edges, nodes=nodes, directed=directed)
    space = _manifold(manifold)
    drawn = objective == "edges" and dim == 2  # starts from a drawing, which long steps would undo
    if learning_rate is None:
        learning_rate = 0.01 if drawn else 0.1
    if epochs is None:
        epochs = 20 if drawn else _EPOCHS.get(objective)
    _check(
        graph,
        space,
        dim,
        objective,
        epochs,
        learning_rate,
        curvature,
        hub_weight,
        validation_split,
        annealing,
    )
    from hyperperturb.models import graph_fit
    from hyperperturb.models.gene_space import hub_radius
    from hyperperturb.models.similarity import network_similarity

    options = {
        "dim": dim,
        # The two models are isometric, and float32 is more exact on the hyperboloid than in the ball.
        "manifold": Lorentz() if objective == "edges" and space.name == "PoincareBall" else space,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "curvature": curvature,
        "learn_curvature": learn_curvature,
        "seed": seed,
        "jit_compile": objective == "edges" if jit_compile is None else jit_compile,
        "checkpoint": checkpoint,
        "callbacks": callbacks,
    }
    if objective == "edges":
        model = graph_fit.fit_edges(graph.adjacency, **options)
    else:
        degree = np.diff(graph.adjacency.indptr)
        centrality = (rankdata(degree) - 1.0) / (len(degree) - 1)
        model = graph_fit.fit_diffusion(
            network_similarity([graph.adjacency]),
            radius=hub_radius(centrality) if hub_weight > 0 else None,
            radius_weight=hub_weight,
            validation_split=validation_split,
            annealing=annealing,
            **options,
        )
    return _result(graph, model, objective, space.name)


def _manifold(manifold: str | Manifold) -> Manifold:
    """The manifold of curvature −1 (or flat) of that name."""
    name = manifold.name if isinstance(manifold, Manifold) else str(manifold)
    if name not in _MANIFOLDS:
        raise HyperPerturbError(
            f"There is no manifold '{name}' to embed a graph in.", hint=f"Choose {', '.join(_MANIFOLDS)}."
        )
    return spaces.get(name)


def _check(
    graph: Graph,
    space: Manifold,
    dim: int,
    objective: str,
    epochs: int | None,
    learning_rate: float,
    curvature: float,
    hub_weight: float,
    validation_split: float,
    annealing: float,
) -> None:
    """Refuse what cannot be done, in a sentence."""

    def refuse(message: str, hint: str = "") -> None:
        raise HyperPerturbError(message, hint=hint)

    if objective not in _EPOCHS:
        refuse(f"There is no objective '{objective}'.", "Choose diffusion or edges.")
    if not isinstance(dim, int | np.integer) or dim < 1:
        refuse(f"The number of dimensions must be a whole number from 1 upwards, not {dim!r}.")
    if epochs is not None and (not isinstance(epochs, int | np.integer) or epochs < 1):
        refuse(f"The number of epochs must be a whole number from 1 upwards, not {epochs!r}.")
    for name, value in (("learning rate", learning_rate), ("curvature", curvature)):
        if not (_is_number(value) and value > 0):
            refuse(f"The {name} must be a number above 0, not {value!r}.")
    if not (_is_number(validation_split) and 0 <= validation_split < 0.9):
        refuse(f"The validation split must lie between 0 and 0.9, not {validation_split!r}.")
    for name, value in (("hub weight", hub_weight), ("annealing field", annealing)):
        if not (_is_number(value) and value >= 0):
            refuse(f"The {name} must be a number from 0 upwards, not {value!r}.")
    if objective == "diffusion":
        if graph.directed:
            refuse(
                "The diffusion objective compares undirected walks, but the graph is directed.",
                "Set directed=False, or choose the edges objective.",
            )
    elif hub_weight or validation_split or annealing:
        refuse(
            "hub_weight, validation_split and annealing belong to the diffusion objective.",
            "Leave them out, or choose the diffusion objective.",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))


def _result(graph: Graph, model: GraphPoints, objective: str, name: str) -> GraphEmbedding:
    """The points scaled to the curvature that was learned, in the model of hyperbolic space that was asked for."""
    curvature = 1.0 if model.flat else float(model.curvature)
    space = model.manifold if model.flat else type(model.manifold)(curvature)
    points = np.asarray(space.projx(model.all_positions() / np.sqrt(curvature)))
    if name == "PoincareBall" and space.name == "Lorentz":
        points, space = np.asarray(space.to_poincare(points)), PoincareBall(curvature)
    history = pd.DataFrame(model.history.history)
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return GraphEmbedding(graph.nodes, points, space, objective, history)
