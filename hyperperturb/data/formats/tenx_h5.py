"""10x ``.h5`` files: feature-barcode matrices of Cell Ranger 2 (a group a genome) and of version 3 and later.

https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-outputs-h5-matrices
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hyperperturb.data.formats import Opened, Place
from hyperperturb.data.formats.tenx import EXPRESSION, feature_places, tables_beside
from hyperperturb.data.frames import Frame, MemoryFrame
from hyperperturb.data.h5_frames import read_names
from hyperperturb.data.matrix import Matrix, SparseMatrix
from hyperperturb.data.selected import SelectedMatrix
from hyperperturb.errors import HyperPerturbError

_ARRAYS = ("barcodes", "data", "indices", "indptr", "shape")


def _groups(file: h5py.File) -> list[str]:
    return [
        key
        for key in file
        if isinstance(file.get(key), h5py.Group) and all(name in file[key] for name in _ARRAYS)
    ]


def fits(file: h5py.File) -> bool:
    """Whether an HDF5 file holds a feature-barcode matrix."""
    return bool(_groups(file))


def open_hdf5(path: Path, file: h5py.File) -> Opened:
    """Open a 10x ``.h5`` file; guide calls that Cell Ranger left beside it belong to it.

    Raises
    ------
    HyperPerturbError
        It holds several genomes, or its parts do not fit together.
    """
    groups = _groups(file)
    if len(groups) > 1:
        raise HyperPerturbError(
            f"'{path}' holds {len(groups)} genomes ({', '.join(groups[:5])}), so cells of two species.",
            hint="Write one of them with anndata's write_h5ad: sc.read_10x_h5(FILE, genome='…').",
        )
    group = file[groups[0]]
    shape = np.asarray(group["shape"][:]).reshape(-1)
    if shape.size != 2:
        raise HyperPerturbError(f"The shape of the matrix in '{path}' is not two numbers.")
    n_genes, n_cells = (int(n) for n in shape)
    barcodes = read_names(group["barcodes"], n_cells, "barcodes")
    features = group.get("features")
    kinds: np.ndarray | None = None
    if isinstance(features, h5py.Group):
        ids, symbols = (read_names(features[key], n_genes, key) for key in ("id", "name"))
        if "feature_type" in features:
            kinds = read_names(features["feature_type"], n_genes, "feature types")
    else:  # Cell Ranger 2
        ids, symbols = (read_names(group[key], n_genes, key) for key in ("genes", "gene_names"))
    places: dict[str, Place] = {}
    for name, chosen in feature_places(kinds, n_genes).items():
        var = MemoryFrame(symbols[chosen], {"gene_ids": ids[chosen]})
        places[name] = partial(_place, path, group, (n_cells, n_genes), chosen, var, name)
    return Opened(
        path,
        "10x .h5",
        MemoryFrame(barcodes, {}),
        places,
        file.close,
        tables=tables_beside(path.parent),
        guide_genes=_guide_genes(features, kinds, ids, symbols),
    )


def _place(
    path: Path, group: h5py.Group, shape: tuple[int, int], chosen: np.ndarray, var: Frame, name: str
) -> tuple[Matrix, Frame]:
    where = "the matrix" if name == "X" else f"'{name}'"
    arrays = (
        group["data"],
        group["indices"],
        group["indptr"],
    )  # columns of genes x cells are rows of cells x genes
    if chosen.all():
        return SparseMatrix(*arrays, shape, "csr", path=path, where=where), var
    return SelectedMatrix(*arrays, shape, columns=chosen, path=path, where=where), var


def _guide_genes(
    features: Any, kinds: np.ndarray | None, ids: np.ndarray, symbols: np.ndarray
) -> dict[str, str]:
    """What guides target, as the feature reference that Cell Ranger was given says."""
    if not isinstance(features, h5py.Group) or "target_gene_name" not in features or kinds is None:
        return {}
    genes = read_names(features["target_gene_name"], len(ids), "target genes")
    out: dict[str, str] = {}
    for row in np.flatnonzero(kinds != EXPRESSION).tolist():
        if genes[row]:
            out[ids[row]] = out[symbols[row]] = genes[row]
    return out
