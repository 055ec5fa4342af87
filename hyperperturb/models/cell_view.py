"""The view of a run's cells: map, place in the policy head's space, named perturbation, likeness to controls.

:func:`draw_view` makes it (scanpy and umap-learn, minutes for a large screen; :mod:`hyperperturb.runs.cell_views` runs
it in a process of its own) and keeps it in one file; :class:`CellView` reads that file with h5py alone.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from scipy.special import softmax

from hyperperturb.data.cells import draw_cells
from hyperperturb.data.h5_frames import H5Frame
from hyperperturb.data.h5ad import open_h5, reading
from hyperperturb.data.labels import control_codes
from hyperperturb.data.opening import Screen, open_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.models.cell_places import flatten_around
from hyperperturb.models.cells import value_blocks
from hyperperturb.models.escapers import FOLDS, Axes, deal_folds, judge_escapers
from hyperperturb.progress import Progress, no_progress, scaled
from hyperperturb.runs.config import existing_screen
from hyperperturb.runs.inputs import check_inputs

if TYPE_CHECKING:
    from anndata import AnnData

    from hyperperturb.models.inference import HyperPerturbInference

CELLS = 5000
"""Cells that are drawn unless more are asked for."""
ABOUT = "hyperperturb"
_MOST_CONTROLS = 2000  # control cells that every perturbation is compared with
_UMAP, _PLACES = "X_umap", "X_policy"


def draw_view(
    inference: HyperPerturbInference,
    path: Path | None = None,
    *,
    max_cells: int | None = CELLS,
    seed: int = 0,
    progress: Progress | None = None,
) -> AnnData:
    """Draw the cells of a run's screen.

    Parameters
    ----------
    inference
        A run with cell heads.
    path
        Where to write the view, atomically; None writes nothing.
    max_cells
        Cells to draw, at random within each label, so that every label and the controls are there; None draws all,
        through Dask.
    seed
        Of drawing, folds and layout.
    progress
        Told what is being done; what it raises stops the work.

    Returns
    -------
    anndata.AnnData
        ``X`` log1p(CP10k) of variable and perturbed genes; ``obs``: ``row`` (cell number in the file), ``label``,
        ``batch`` (where there is one), ``total_counts``, ``predicted`` (the perturbation the policy head names),
        ``probability`` of it, ``label_probability`` of the cell's own label, ``like_control`` (probability that the
        cell looks like a control; NaN for controls and where it cannot be told); ``obsm``: ``X_pca``, ``X_umap``,
        ``X_policy`` (hyperbolic, see :func:`~hyperperturb.models.cell_places.flatten_around`);
        ``uns["hyperperturb"]`` says what was done, with the table of escapers, as JSON.

    Raises
    ------
    HyperPerturbError
        The run has no cell heads; its screen is gone, has changed or cannot be read; too few cells.

    Notes
    -----
    The axes on which cells are compared with controls are learned from *all* cells of the screen, each fold's from the
    others (:mod:`hyperperturb.models.escapers`). Names and probabilities come from a model that was trained on these
    cells, so they agree with the labels more often than they would on new cells.
    """
    heads, config = inference.cell_heads, inference.config
    if max_cells is not None and max_cells < 1:
        raise HyperPerturbError(f"{max_cells} cells cannot be drawn.", hint="Draw at least some hundred.")
    report = progress or no_progress
    from hyperperturb.data.cell_map import map_cells

    names = inference.perturbations
    report(0.0, "opening the screen")
    screen_path = existing_screen(config.screen)
    read = {str(file) for file in (screen_path, *config.tables)}
    check_inputs({name: file for name, file in config.inputs.items() if name in read})
    with open_screen(screen_path, layer=config.layer, tables=config.tables) as screen:
        labels = screen.label_codes(config.column)
        group = _groups(labels, names, config.control)
        rows = draw_cells(labels, screen.n_cells, max_cells, seed)
        targets = {gene for target in inference.effects.targets for gene in target}
        adata = map_cells(screen, rows, keep=targets, seed=seed, progress=scaled(report, 0.02, 0.6))
        with reading(screen.path, "obs"):
            adata.obs = _obs(screen, rows, labels, adata.obs.get("total_counts"))
        position = {gene: i for i, gene in enumerate(screen.genes)}
        columns = np.array([position[gene] for gene in heads.genes])
        fold = deal_folds(group, seed=seed)
        axes = _learn(inference, screen, columns, group, fold, scaled(report, 0.6, 0.8))
        found = _place(inference, screen, rows, columns, group, fold, axes, scaled(report, 0.8, 0.97))
    point, logits, place, controls = found
    chosen = group[rows]
    chance = softmax(logits.astype(np.float64), axis=1)
    first = chance.argmax(axis=1)
    adata.obs["predicted"] = pd.Categorical.from_codes(first, categories=list(names))
    adata.obs["probability"] = chance[np.arange(len(first)), first].astype(np.float32)
    perturbed = (chosen >= 0) & (chosen < len(names))
    own = np.full(len(rows), np.nan, dtype=np.float32)
    own[perturbed] = chance[perturbed, chosen[perturbed]]
    adata.obs["label_probability"] = own
    escapers, like = judge_escapers(place, chosen[perturbed], controls, names, seed)
    adata.obs["like_control"] = np.full(len(rows), np.nan, dtype=np.float32)
    adata.obs.loc[perturbed, "like_control"] = like.astype(np.float32)
    adata.obsm[_PLACES] = flatten_around(point, chosen, len(names)) / np.sqrt(inference.curvature)
    about = {
        "run": inference.run.name,
        "screen": screen.name,
        "n_cells": screen.n_cells,
        "drawn": len(rows),
        "seed": seed,
        "control": config.control,
        "control_labels": [labels.categories[i] for i in _controls(labels, config.control)],
        "escapers": json.loads(escapers.to_json(orient="records")),
    }
    adata.uns[ABOUT] = json.dumps(about)
    if path is not None:
        from hyperperturb.data.preprocess import write_h5ad

        report(0.97, "writing the view")
        write_h5ad(adata, path)
    report(1.0, "the cells are drawn")
    return adata


def _controls(labels: Any, control: str) -> np.ndarray:
    return np.flatnonzero(control_codes(labels.categories, control))


def _groups(labels: Any, names: tuple[str, ...], control: str) -> np.ndarray:
    """Number of each cell's perturbation, ``len(names)`` for controls, −1 for labels that the run does not know."""
    number = {name: i for i, name in enumerate(names)}
    of_category = np.array([number.get(str(name), -1) for name in labels.categories] + [-1])
    of_category[_controls(labels, control)] = len(names)
    return of_category[labels.codes]


def _obs(screen: Screen, rows: np.ndarray, labels: Any, totals: Any) -> pd.DataFrame:
    from hyperperturb.data.screen import count_labels, find_batch_column

    obs = pd.DataFrame(index=screen.cell_names()[rows].astype(str))
    obs["row"] = rows
    obs["label"] = pd.Categorical(np.asarray(labels.values())[rows].astype(str))
    batch = find_batch_column(screen, count_labels(screen)[0])
    if batch is not None:
        obs["batch"] = pd.Categorical(np.asarray(screen.labels(batch))[rows].astype(str))
    if totals is not None:
        obs["total_counts"] = np.asarray(totals, dtype=np.float32)
    return obs


def _learn(
    inference: HyperPerturbInference,
    screen: Screen,
    columns: np.ndarray,
    group: np.ndarray,
    fold: np.ndarray,
    report: Progress,
) -> Axes:
    """The axes from the controls to each perturbation, in one pass over all cells that the run knows."""
    heads, n = inference.cell_heads, len(inference.perturbations)
    known = np.flatnonzero(group >= 0)
    cell = group[known] * FOLDS + fold[known]
    sums = np.zeros(((n + 1) * FOLDS, len(columns)), dtype=np.float64)
    for here, values in value_blocks(screen, known, columns):
        report(here.start / len(known), f"comparing perturbations with controls: {here.start:,} cells")
        np.add.at(sums, cell[here], heads.inputs(values))
    counts = np.bincount(cell, minlength=len(sums)).reshape(n + 1, FOLDS)
    precision = heads.directions.rule.precision.astype(np.float64)
    return Axes.learn(sums.reshape(n + 1, FOLDS, -1), counts, precision, control=n)


def _place(
    inference: HyperPerturbInference,
    screen: Screen,
    rows: np.ndarray,
    columns: np.ndarray,
    group: np.ndarray,
    fold: np.ndarray,
    axes: Axes,
    report: Progress,
) -> tuple[np.ndarray, ...]:
    """Points, logits, places of perturbed cells on their own axes, and of controls on all."""
    heads, n = inference.cell_heads, len(inference.perturbations)
    points, logits, places, controls = [], [], [], []
    left = _MOST_CONTROLS
    for here, values in value_blocks(screen, rows, columns):
        report(here.start / len(rows), f"placing cells: {here.start:,} of {len(rows):,}")
        inputs = heads.inputs(values).astype(np.float32)
        score, _, point = heads.encode(inputs)
        points.append(point.astype(np.float64))
        logits.append(score.astype(np.float32))
        label, deal = group[rows[here]], fold[rows[here]]
        own = (label >= 0) & (label < n)
        places.append(axes.of_labelled(inputs[own], label[own], deal[own]))
        control = np.flatnonzero(label == n)[:left]
        left -= len(control)
        controls.append(axes.of_controls(inputs[control], deal[control]))
    return tuple(np.concatenate(part) for part in (points, logits, places, controls))


class CellView:
    """A view that was drawn, read from its file as it is needed.

    Parameters
    ----------
    path
        What :func:`draw_view` wrote.

    Raises
    ------
    HyperPerturbError
        The file is missing or damaged, or of another kind.

    Examples
    --------
    ::

        view = CellView(run.file("cells.h5ad"))
        view.cells.groupby("label")["like_control"].mean()
        view.gene("STAT1")
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with open_h5(self.path) as file, reading(self.path, "the view of the cells"):
            self.about: dict[str, Any] = json.loads(file["uns"][ABOUT].asstr()[()])
            self.cells = _cells(file)
            names = file["var"][file["var"].attrs["_index"]].asstr()[:]
            self._column = {str(name): i for i, name in enumerate(names)}

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes whose values are kept."""
        return tuple(self._column)

    @cached_property
    def is_control(self) -> np.ndarray:
        """(n,) whether each cell is a control."""
        return self.cells["label"].isin(self.about["control_labels"]).to_numpy()

    @property
    def escapers(self) -> pd.DataFrame:
        """Which part of each perturbation's cells looks like controls: see :func:`judge_escapers`."""
        table = pd.DataFrame(self.about["escapers"])
        numbers = ["told", "separation", "share", "error"]
        table[numbers] = table[numbers].astype(float)
        return table

    def gene(self, name: str) -> np.ndarray:
        """(n,) log1p(CP10k) of a gene.

        Raises
        ------
        HyperPerturbError
            The view does not hold it.
        """
        if name not in self._column:
            raise HyperPerturbError(
                f"The view does not hold the values of {name}.",
                hint="It keeps the variable and the perturbed genes.",
            )
        column = self._column[name]
        out = np.zeros(len(self.cells), dtype=np.float32)
        with open_h5(self.path) as file, reading(self.path, "X"):
            start, stop = file["X/indptr"][column : column + 2]
            out[file["X/indices"][start:stop]] = file["X/data"][start:stop]
        return out


def _cells(file: h5py.File) -> pd.DataFrame:
    """One row a cell: its name, what ``obs`` says, and its places on the two pictures."""
    obs = H5Frame(file["obs"])
    out = {"cell": obs.index().astype(str)}
    for name in obs.columns:
        categorical = obs.kind(name) == "categorical"
        out[name] = obs.labels(name).values().astype(str) if categorical else file["obs"][name][:]
    for key, names in ((_UMAP, ("umap_1", "umap_2")), (_PLACES, ("policy_1", "policy_2"))):
        values = file["obsm"][key][:, :2]
        out |= dict(zip(names, values.T, strict=True))
    return pd.DataFrame(out)
