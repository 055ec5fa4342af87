"""Many perturbations asked about at once: their effects side by side, what was refused, and an AnnData of it all."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.models.inference import HyperPerturbInference, Support
    from hyperperturb.models.proteins import Proteins

CERTAIN = 2.0
"""Standard errors beyond which an effect counts as up or down."""

_SUMMARY = (
    "perturbation",
    "support",
    "strength",
    "genes_up",
    "genes_down",
    "most_up",
    "most_down",
    "measured",
)


@dataclass(frozen=True)
class Refused:
    """A perturbation without an answer: its name, why, and the nearest genes that have one."""

    name: str
    why: str
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictions:
    """Predicted effects of Q perturbations on R response genes.

    Attributes
    ----------
    targets
        Target genes of each perturbation, sorted.
    genes
        The R response genes.
    effect, standard_error
        (Q, R), natural-log units of log1p(CP10k).
    measured, measured_standard_error
        (Q, R); NaN rows where the perturbation was not measured.
    support
        What each prediction stands on.
    points
        (Q, d) places of the perturbations in the unit ball: midpoints of their genes' points.
    refused
        What was asked and has no answer.
    """

    targets: tuple[tuple[str, ...], ...]
    genes: tuple[str, ...]
    effect: np.ndarray
    standard_error: np.ndarray
    measured: np.ndarray
    measured_standard_error: np.ndarray
    support: tuple[Support, ...]
    points: np.ndarray
    refused: tuple[Refused, ...] = ()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """The perturbations by name: the targets joined by a plus sign."""
        return tuple(perturbation_name(genes) for genes in self.targets)

    @property
    def response(self) -> np.ndarray:
        """(Q, R) effects with NaN where a gene is a target itself: what a perturbation does to others."""
        column = {gene: j for j, gene in enumerate(self.genes)}
        response = self.effect.astype(np.float64)
        for i, targets in enumerate(self.targets):
            response[i, [column[gene] for gene in targets if gene in column]] = np.nan
        return response

    def strongest_genes(self, most: int) -> np.ndarray:
        """Columns of the genes that all perturbations together move most, targets' own responses apart.

        Parameters
        ----------
        most
            How many at most; the strongest come first.
        """
        moved = np.nansum(self.response**2, axis=0)
        return np.argsort(-moved, kind="stable")[:most]

    def summary(self) -> pd.DataFrame:
        """One row a perturbation: support, strength, how many genes go up and down, and which most."""
        certain = np.abs(self.response) > CERTAIN * self.standard_error
        response = np.nan_to_num(self.response)
        order = np.argsort(response, axis=1, kind="stable")
        rows = []
        for i, name in enumerate(self.names):
            up = [self.genes[j] for j in order[i, ::-1][:3] if response[i, j] > 0]
            down = [self.genes[j] for j in order[i, :3] if response[i, j] < 0]
            rows.append(
                {
                    "perturbation": name,
                    "support": self.support[i].level,
                    "strength": float(2.0 * np.sum(self.effect[i] ** 2)),
                    "genes_up": int((certain[i] & (self.effect[i] > 0)).sum()),
                    "genes_down": int((certain[i] & (self.effect[i] < 0)).sum()),
                    "most_up": ", ".join(up),
                    "most_down": ", ".join(down),
                    "measured": bool(np.isfinite(self.measured[i]).any()),
                }
            )
        return pd.DataFrame(rows, columns=_SUMMARY)

    def table(self) -> pd.DataFrame:
        """The effects, one row a perturbation and one column a response gene."""
        return (
            pd.DataFrame(self.effect, index=self.names, columns=list(self.genes))
            .rename_axis("perturbation")
            .reset_index()
        )


def perturbation_name(targets: Iterable[str]) -> str:
    """The name of a set of target genes.

    Examples
    --------
    >>> perturbation_name(["JAK2", "IRF1"])
    'IRF1+JAK2'
    """
    return "+".join(sorted(targets))


def predict_many(inference: HyperPerturbInference, sets: Sequence[Sequence[str]]) -> Predictions:
    """Predict many perturbations at once; what has no support is listed and left out.

    Parameters
    ----------
    inference
        The run.
    sets
        Target genes of each perturbation; one asked twice is answered once.

    Returns
    -------
    Predictions

    Examples
    --------
    ::

        answer = predict_many(inference, [["JAK2"], ["STAT1"], ["IRF1", "JAK2"]])
        answer.summary()
    """
    asked = list(dict.fromkeys(tuple(sorted({g.strip() for g in genes} - {""})) for genes in sets))
    kept, support, refused = [], [], []
    for genes in asked:
        if not genes:
            continue
        found = inference.support(genes)
        if found.level == "none":
            refused.append(Refused(perturbation_name(genes), found.why, found.nearest))
        else:
            kept.append(genes)
            support.append(found)
    n, genes = len(kept), inference.response_genes
    if n:
        effect, error = inference.effects_of(kept)
        measured, measured_error = (
            np.array(part) for part in zip(*map(inference.measured, kept), strict=True)
        )
        points = inference.points_of(kept)
    else:
        effect = error = measured = measured_error = np.zeros((0, len(genes)))
        points = np.zeros((0, inference.n_dimensions))
    return Predictions(
        tuple(kept), genes, effect, error, measured, measured_error, tuple(support), points, tuple(refused)
    )


def cluster_order(values: np.ndarray) -> np.ndarray:
    """An order of rows in which like stands beside like.

    Rows are joined by average linkage of their correlation distance, and the tree is turned so that neighbours are as
    like as they can be (Bar-Joseph et al. 2001, Bioinformatics 17:S22).

    Parameters
    ----------
    values
        (n, m) numbers; missing ones count as 0.

    Returns
    -------
    numpy.ndarray
        (n,) row numbers.

    Examples
    --------
    >>> order = cluster_order(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])).tolist()
    >>> abs(order.index(0) - order.index(2))
    1
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import pdist

    values = np.nan_to_num(np.asarray(values, dtype=np.float64))
    if len(values) < 3:
        return np.arange(len(values))
    length = np.linalg.norm(values, axis=1, keepdims=True)
    unit = values / np.where(length > 0, length, 1.0)
    distance = pdist(
        unit
    )  # squared, it is twice one minus the cosine: the same order, and defined for rows of zeros
    return leaves_list(optimal_leaf_ordering(linkage(distance, "average"), distance))


def to_anndata(inference: HyperPerturbInference, predictions: Predictions) -> AnnData:
    """Predictions as an AnnData: perturbations by response genes.

    Parameters
    ----------
    inference
        The run they come from.
    predictions
        Of :func:`predict_many`.

    Returns
    -------
    anndata.AnnData
        ``X`` the predicted effects (natural-log units); layers ``standard_error``, ``measured`` and
        ``measured_standard_error``; ``obs`` targets, support and strength; ``obsm["X_poincare"]`` the perturbations'
        points in the unit ball, and where the run knows proteins ``obsm["protein_effect"]`` and
        ``obsm["protein_standard_error"]`` (DataFrames, centred log-ratios; NaN without ground);
        ``uns["hyperperturb"]`` what the run is and says of itself; ``uns["refused"]`` what has no answer.
    """
    from anndata import AnnData

    from hyperperturb import __version__

    summary = predictions.summary()
    obs = pd.DataFrame(
        {
            "targets": [" + ".join(genes) for genes in predictions.targets],
            "n_targets": [len(genes) for genes in predictions.targets],
            "support": pd.Categorical(
                [s.level for s in predictions.support], categories=["measured", "supported", "weak"]
            ),
            "support_score": [float(s.score) for s in predictions.support],
            "strength": summary["strength"].to_numpy(dtype=np.float64),
        },
        index=pd.Index(predictions.names, dtype=object, name="perturbation"),
    )
    var = pd.DataFrame(index=pd.Index(predictions.genes, dtype=object, name="gene"))
    if inference.effects.control_mean is not None:
        var["control_mean"] = np.asarray(inference.effects.control_mean, dtype=np.float32)
    layers = {
        name: np.asarray(getattr(predictions, name), dtype=np.float32)
        for name in ("standard_error", "measured", "measured_standard_error")
    }
    config = inference.config
    facts = {
        "version": __version__,
        "run": inference.run.name,
        "title": config.title or "",
        "dataset": config.dataset or "",
        "mode": config.mode,
        "control": inference.effects.control,
        "verdict": inference.verdict,
        "ahead": inference.ahead,
        "curvature": float(inference.curvature),
        "units": "natural log of counts per 10,000 plus 1, against control",
        "card": inference.run.file("card.md").read_text(encoding="utf-8"),
    }
    on_proteins = {} if inference.proteins is None else _on_proteins(inference.proteins, predictions)
    return AnnData(
        X=np.asarray(predictions.effect, dtype=np.float32),
        obs=obs,
        var=var,
        layers=layers,
        obsm={"X_poincare": np.asarray(predictions.points, dtype=np.float64), **on_proteins},
        uns={"hyperperturb": facts, "refused": _refused(predictions.refused)},
    )


def _on_proteins(proteins: Proteins, predictions: Predictions) -> dict[str, pd.DataFrame]:
    """Effects on proteins and their standard errors, perturbations by antibodies."""
    table = proteins.table(predictions.targets)
    return {
        f"protein_{name}": table.pivot(index="perturbation", columns="protein", values=name)
        .reindex(index=list(predictions.names), columns=list(proteins.names))
        .astype(np.float64)
        for name in ("effect", "standard_error")
    }


def _refused(refused: Sequence[Refused]) -> dict[str, np.ndarray]:
    """As arrays of text, which HDF5 takes also when there are none."""
    return {
        "perturbation": np.array([r.name for r in refused], dtype=str),
        "why": np.array([r.why for r in refused], dtype=str),
        "nearest": np.array([", ".join(r.nearest) for r in refused], dtype=str),
    }


def write_predictions(inference: HyperPerturbInference, predictions: Predictions, path: str | Path) -> None:
    """Write predictions as an ``.h5ad`` file, whole or not at all; see :func:`to_anndata`.

    Raises
    ------
    HyperPerturbError
        When there is no prediction, or the file cannot be written.
    """
    if not len(predictions):
        raise HyperPerturbError(
            "None of the perturbations can be predicted, so there is nothing to write.",
            hint="Ask about genes that have support.",
        )
    made = to_anndata(inference, predictions)
    with atomic_path(path, room=sys.getsizeof(made)) as temporary:
        made.write_h5ad(temporary, compression="gzip")
