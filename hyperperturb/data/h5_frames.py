"""``obs`` and ``var`` of files: tables of one row a cell or gene, read from disk without importing anndata.

The layout is anndata's on-disk format (https://anndata.readthedocs.io/en/stable/fileformat-prose.html) with the older
ones that published screens still use: ``obs`` as one compound dataset (anndata < 0.7, categories in ``uns``) and
categoricals whose categories stand in ``obs/__categories`` (anndata 0.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hyperperturb.data.frames import (
    Frame,
    Kind,
    Labels,
    as_categories,
    dtype_kind,
    factorise,
    from_categories,
    row_name,
)
from hyperperturb.data.h5ad import encoding, is_group, text
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMES = 50_000_000
_STRING_ROWS = 65_536  # rows of text read at a time: two million labels never stand in memory as objects


class H5Frame:
    """``obs`` or ``var`` kept as a group of columns (anndata ≥ 0.7, loom).

    Parameters
    ----------
    group
        The HDF5 or zarr group.
    index, rows
        For groups that are not anndata's: the column of row names (None numbers the rows), the number of rows.
    """

    def __init__(self, group: Any, *, index: str | None = None, rows: int | None = None) -> None:
        self.group = group
        self.rows = rows
        name = text(group.attrs.get("_index", "")) or ("_index" if "_index" in group else "index")
        if rows is not None:
            name = index or ""
        self.index_name = name
        order = [text(column) for column in np.atleast_1d(group.attrs.get("column-order", []))]
        names = order or [key for key in group if not key.startswith("__")]
        self.columns = tuple(column for column in names if column != name and column in group)

    def kind(self, column: str) -> Kind:
        """Say what a column holds."""
        node = self.group[column]
        if is_group(node):
            parts = {
                "categorical": "categorical",
                "nullable-boolean": "boolean",
                "nullable-integer": "integer",
                "nullable-string-array": "string",
            }
            return parts.get(encoding(node), "other")
        if "categories" in node.attrs:
            return "categorical"
        return dtype_kind(node.dtype) if node.ndim == 1 else "other"

    def n_rows(self, column: str | None = None) -> int:
        """Count the rows a column declares (the row names for None), without reading it."""
        if not (column or self.index_name):
            return self.rows or 0
        node = self.group[column or self.index_name]
        if is_group(node):
            node = node["codes"] if "codes" in node else node["values"]
        return int(node.shape[0])

    def labels(self, column: str) -> Labels:
        """Read one column as labels."""
        node = self.group[column]
        if is_group(node):
            if "codes" in node:
                return from_categories(node["codes"][:], _all_text(node["categories"]))
            labels = _factorise_dataset(node["values"])
            if "mask" in node:
                labels.codes[node["mask"][:].astype(bool)] = -1
            return labels
        categories = node.attrs.get("categories")
        if categories is not None:  # anndata 0.7: a reference to obs/__categories/NAME
            if isinstance(categories, h5py.Reference):
                categories = _all_text(self.group.file[categories])
            return from_categories(node[:], categories)
        return _factorise_dataset(node)

    def index(self) -> np.ndarray:
        """Read the row names, objects of type str."""
        if not self.index_name:
            return np.array([str(row) for row in range(self.rows or 0)], dtype=object)
        return _all_text(self.group[self.index_name])

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Read some rows with all columns."""
        import pandas as pd

        if encoding(self.group) == "dataframe" and "__categories" not in self.group:
            from anndata.io import read_elem

            frame = read_elem(self.group)
            if isinstance(frame, pd.DataFrame):
                return frame.iloc[rows].copy()
        return as_categories(self, rows)


class H5CompoundFrame:
    """``obs`` or ``var`` kept as one compound dataset (anndata < 0.7).

    Parameters
    ----------
    dataset
        The compound dataset.
    uns
        The file's ``uns`` group, where the categories are kept as ``NAME_categories``.
    """

    def __init__(self, dataset: h5py.Dataset, uns: h5py.Group | None) -> None:
        self.dataset = dataset
        self.uns = uns
        names = list(dataset.dtype.names or ())
        self.index_name = next(
            (name for name in ("index", "_index") if name in names), names[0] if names else ""
        )
        self.columns = tuple(name for name in names if name != self.index_name)

    def _categories(self, column: str) -> np.ndarray | None:
        key = f"{column}_categories"
        if self.uns is None or key not in self.uns:
            return None
        return _all_text(self.uns[key])

    def kind(self, column: str) -> Kind:
        """Say what a column holds."""
        return (
            "categorical" if self._categories(column) is not None else dtype_kind(self.dataset.dtype[column])
        )

    def n_rows(self, column: str | None = None) -> int:
        """Count the rows."""
        return int(self.dataset.shape[0])

    def labels(self, column: str) -> Labels:
        """Read one column as labels."""
        categories = self._categories(column)
        values = self.dataset[column]
        if categories is not None:
            return from_categories(values, categories)
        codes, known = factorise(values)
        return Labels(codes, tuple(known))

    def index(self) -> np.ndarray:
        """Read the row names, objects of type str."""
        return np.array([row_name(value) for value in self.dataset[self.index_name].tolist()], dtype=object)

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Read some rows with all columns."""
        return as_categories(self, rows)


def open_frame(parent: Any, name: str) -> Frame | None:
    """Open ``obs`` or ``var`` of an open file or store, whichever way it is kept.

    Parameters
    ----------
    parent
        The file, or its ``raw`` group.
    name
        ``"obs"`` or ``"var"``.

    Returns
    -------
    Frame or None
        None when there is no such table.
    """
    node = parent.get(name)
    if node is not None and is_group(node):
        return H5Frame(node)
    if isinstance(node, h5py.Dataset) and node.dtype.names:
        uns = parent.file.get("uns")
        return H5CompoundFrame(node, uns if isinstance(uns, h5py.Group) else None)
    return None


def _factorise_dataset(node: h5py.Dataset) -> Labels:
    """Number the labels of a dataset in pieces, so that text never stands in memory whole."""
    codes = np.empty(node.shape[0], dtype=np.int32)
    known: dict[str, int] = {}
    for start in range(0, node.shape[0], _STRING_ROWS):
        codes[start : start + _STRING_ROWS], known = factorise(node[start : start + _STRING_ROWS], known)
    return Labels(codes, tuple(known))


def read_names(node: h5py.Dataset, n: int, what: str) -> np.ndarray:
    """Read a list of names that must be `n` long.

    Parameters
    ----------
    node
        The dataset.
    n
        How many there must be.
    what
        What they name, for the sentence.

    Returns
    -------
    np.ndarray
        ``(n,)`` objects of type str.

    Raises
    ------
    HyperPerturbError
        There are more or fewer.
    """
    if node.shape != (n,):  # before reading: a damaged file may declare any length
        raise HyperPerturbError(
            f"'{node.name}' has the shape {tuple(node.shape)}, but the matrix has {n:,} {what}.",
            hint="Copy or download the file again.",
        )
    return _all_text(node)


def _all_text(node: Any) -> np.ndarray:
    if is_group(node):  # nullable-string-array
        node = node["values"]
    if node.shape[0] > _MOST_NAMES:  # a damaged file may declare any length
        raise HyperPerturbError(
            f"'{node.name}' declares {node.shape[0]:,} names.", hint="Copy or download the file again."
        )
    return np.array([row_name(value) for value in node[:].tolist()], dtype=object)
