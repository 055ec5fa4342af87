"""AnnData on disk: ``.h5ad`` and ``.zarr``, which share one layout.

https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from hyperperturb.data.formats import Opened, Place
from hyperperturb.data.formats.tenx import one_kind, other_kinds
from hyperperturb.data.frames import Frame
from hyperperturb.data.h5_frames import open_frame
from hyperperturb.data.h5ad import is_group, reading, text
from hyperperturb.data.matrix import Matrix, open_matrix
from hyperperturb.errors import HyperPerturbError

PROCESSED = "log1p(CP10k)"  # uns["hyperperturb"]["x"] of what preprocess_data makes
_ZARR_MARKS = (".zgroup", "zarr.json", ".zmetadata")


def fits(file: h5py.File) -> bool:
    """Whether an HDF5 file has AnnData's table of cells."""
    return "obs" in file


def open_hdf5(path: Path, file: h5py.File) -> Opened:
    """Open an ``.h5ad`` file."""
    return _open(path, file, "AnnData (.h5ad)", file.close)


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr group."""
    return any((path / mark).is_file() for mark in _ZARR_MARKS)


def open_zarr(path: Path) -> Opened:
    """Open a ``.zarr`` folder or a zip archive of one.

    Raises
    ------
    HyperPerturbError
        It is no zarr group, holds no AnnData, or is damaged.
    """
    import zarr

    store = None
    try:
        with reading(path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns of files that are not its own
            if path.is_dir():
                group = zarr.open_group(str(path), mode="r")
            else:
                store = zarr.storage.ZipStore(path, mode="r")
                group = zarr.open_group(store, mode="r")
                inner = list(group)
                if "obs" not in inner and len(inner) == 1 and is_group(group[inner[0]]):
                    group = group[inner[0]]  # the folder itself was put into the archive
            if "obs" not in group:
                raise HyperPerturbError(
                    f"'{path}' is a zarr store without an 'obs' table, so no labels of cells.",
                    hint="Write the screen with anndata's write_zarr.",
                )
            return _open(path, group, "AnnData (.zarr)", store.close if store is not None else _nothing)
    except BaseException:
        if store is not None:
            with contextlib.suppress(
                AttributeError
            ):  # an archive that could not be opened has nothing to close
                store.close()
        raise


def _nothing() -> None:
    """A folder needs no closing."""


def _open(path: Path, root: Any, name: str, close: Callable[[], None]) -> Opened:
    obs = open_frame(root, "obs")
    if obs is None:
        raise HyperPerturbError(
            f"'{path}' has no 'obs' table, so no labels of cells.",
            hint="Write the screen with anndata's write_h5ad, with the perturbation of each cell as a column of obs.",
        )
    nodes: dict[str, Any] = {}
    if "X" in root and (is_group(root["X"]) or root["X"].shape not in (None, ())):
        nodes["X"] = root["X"]
    layers = root.get("layers")
    if layers is not None and is_group(layers):
        nodes.update({key: layers[key] for key in layers if key not in ("X", "raw")})
    raw = root.get("raw")
    if raw is not None and is_group(raw) and "X" in raw:
        nodes["raw"] = raw["X"]
    elif "raw.X" in root:  # anndata < 0.7
        nodes["raw"] = root["raw.X"]
    places: dict[str, Place] = {key: partial(_place, path, root, key, node) for key, node in nodes.items()}
    counted = next((key for key in ("counts", "X") if key in nodes), None)
    if counted is not None:
        for kind in other_kinds(open_frame(root, "var")):
            places.setdefault(kind, partial(_place, path, root, counted, nodes[counted], kind))
    return Opened(path, name, obs, places, close, processed=_is_processed(root))


def _place(path: Path, root: Any, key: str, node: Any, kind: str = "X") -> tuple[Matrix, Frame]:
    where = {"X": "X", "raw": "raw.X"}.get(key, f"layer '{key}'")
    matrix = open_matrix(node, path=path, where=where)
    var = open_frame(root, "var")
    if key == "raw":
        raw_var = open_frame(root["raw"], "var") if "raw" in root else open_frame(root, "raw.var")
        var = raw_var or var
    if var is None:
        raise HyperPerturbError(
            f"'{path}' has no 'var' table, so no names of genes.",
            hint="Write the file anew with anndata's write_h5ad.",
        )
    return one_kind(matrix, var, kind)


def _is_processed(root: Any) -> bool:
    if "uns" not in root or not is_group(root["uns"]) or "hyperperturb" not in root["uns"]:
        return False
    about = root["uns"]["hyperperturb"]
    marked = about["x"] if is_group(about) and "x" in about else None
    return (
        marked is not None and not is_group(marked) and marked.shape == () and text(marked[()]) == PROCESSED
    )
