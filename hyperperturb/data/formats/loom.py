"""Loom files: genes x cells, attributes of both, layers (https://linnarssonlab.org/loompy/format)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import h5py

from hyperperturb.data.formats import Opened, Place
from hyperperturb.data.frames import Frame
from hyperperturb.data.h5_frames import H5Frame
from hyperperturb.data.matrix import DenseMatrix, Matrix, TransposedArray
from hyperperturb.errors import HyperPerturbError

CELL_NAMES = ("CellID", "obs_names", "cell_names", "Barcode", "barcode", "cell_id")
GENE_NAMES = ("Gene", "var_names", "gene_names", "GeneName", "gene_symbols", "Accession")


def fits(file: h5py.File) -> bool:
    """Whether an HDF5 file is laid out as loom."""
    return "row_attrs" in file and "col_attrs" in file


def open_hdf5(path: Path, file: h5py.File) -> Opened:
    """Open a loom file.

    Raises
    ------
    HyperPerturbError
        It has no matrix.
    """
    if not isinstance(file.get("matrix"), h5py.Dataset):
        raise HyperPerturbError(
            f"'{path}' is laid out as a loom file but has no matrix.", hint="Copy or download it again."
        )
    cells = file["matrix"].shape[1] if file["matrix"].ndim == 2 else 0
    obs = _attributes(file["col_attrs"], CELL_NAMES, cells)
    nodes = {"X": file["matrix"]}
    layers = file.get("layers")
    if isinstance(layers, h5py.Group):
        nodes.update({key: node for key, node in layers.items() if key and key not in ("X", "raw")})
    places: dict[str, Place] = {key: partial(_place, path, file, key, node) for key, node in nodes.items()}
    return Opened(path, "loom", obs, places, file.close)


def _place(path: Path, file: h5py.File, key: str, node: h5py.Dataset) -> tuple[Matrix, Frame]:
    where = "the matrix" if key == "X" else f"layer '{key}'"
    if not isinstance(node, h5py.Dataset) or node.ndim != 2:
        raise HyperPerturbError(
            f"{where} of '{path}' is not a table of genes x cells.", hint="Copy or download the file again."
        )
    matrix = DenseMatrix(TransposedArray(node), path=path, where=where)
    return matrix, _attributes(file["row_attrs"], GENE_NAMES, node.shape[0])


def _attributes(group: h5py.Group, names: tuple[str, ...], n_rows: int) -> H5Frame:
    index = next((name for name in names if isinstance(group.get(name), h5py.Dataset)), None)
    return H5Frame(group, index=index, rows=n_rows)
