"""``obs`` and ``var``: tables of one row a cell or gene, on disk or in memory, without importing anndata.

The layout is anndata's on-disk format (https://anndata.readthedocs.io/en/stable/fileformat-prose.html) with the older
ones that published screens still use: ``obs`` as one compound dataset (anndata < 0.7, categories in ``uns``) and
categoricals whose categories stand in ``obs/__categories`` (anndata 0.7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import h5py
import numpy as np

from hyperperturb.data.h5ad import encoding, is_group, text
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["categorical", "string", "boolean", "integer", "float", "other"]

_MOST_NAMES = 50_000_000
_STRING_ROWS = 65_536  # rows of text read at a time: two million labels never stand in memory as objects


@dataclass(frozen=True)
class Labels:
    """One label for each cell, as codes into a short list.

    Attributes
    ----------
    codes
        ``(n_cells,)`` int32; −1 where a cell has no label.
    categories
        The labels that occur, in the order of the file.
    """

    codes: np.ndarray
    categories: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Count the cells of each label, most frequent first."""
        n = np.bincount(self.codes[self.codes >= 0], minlength=len(self.categories))
        order = np.argsort(-n, kind="stable")
        return {self.categories[i]: int(n[i]) for i in order if n[i]}

    @property
    def n_missing(self) -> int:
        """Number of cells without a label."""
        return int(np.count_nonzero(self.codes < 0))

    def values(self) -> np.ndarray:
        """The label of each cell, ``(n_cells,)`` objects of type str; ``""`` where there is none."""
        return np.array([*self.categories, ""], dtype=object)[self.codes]


class Frame(Protocol):
    """A table of one row a cell (``obs``) or gene (``var``), wherever it is kept."""

    columns: tuple[str, ...]

    def kind(self, column: str) -> Kind: ...

    def n_rows(self, column: str | None = None) -> int: ...

    def labels(self, column: str) -> Labels: ...

    def index(self) -> np.ndarray: ...

    def take(self, rows: np.ndarray) -> pd.DataFrame: ...


def factorise(values: Any, start: dict[str, int] | None = None) -> tuple[np.ndarray, dict[str, int]]:
    """Number labels in the order they first occur; what stands for nothing becomes −1.

    Parameters
    ----------
    values
        Labels, one a cell.
    start
        Numbers given so far; extended in place.

    Returns
    -------
    tuple
        Codes (int32) and the label → number dictionary.
    """
    known = {} if start is None else start
    values = np.asarray(values)
    unique, inverse = (
        np.unique(values, return_inverse=True) if values.dtype.kind in "biufSU" else (None, None)
    )
    if unique is not None:
        numbers = [_number(text(value), known) for value in unique.tolist()]
        return np.asarray(numbers, dtype=np.int32)[inverse.reshape(-1)], known
    seen: dict[Any, int] = {}
    codes = np.empty(len(values), dtype=np.int32)
    for i, value in enumerate(values.tolist()):
        code = seen.get(value)
        if code is None:
            code = seen[value] = _number(text(value), known)
        codes[i] = code
    return codes, known


def _number(label: str, known: dict[str, int]) -> int:
    return -1 if label == "" else known.setdefault(label, len(known))


def from_categories(codes: np.ndarray, categories: Any) -> Labels:
    """Make labels from stored codes and categories, cleaning both.

    Parameters
    ----------
    codes
        Stored codes, −1 for missing.
    categories
        Stored categories.

    Returns
    -------
    Labels
        With categories as text; equal ones merged, missing ones coded −1.

    Raises
    ------
    HyperPerturbError
        A code lies outside the categories.
    """
    numbers, known = factorise(categories)
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise HyperPerturbError("The codes of a categorical column are not whole numbers.")
    if codes.size and (codes.max() >= len(numbers) or codes.min() < -1):
        raise HyperPerturbError(f"A code of a categorical column lies outside its {len(numbers)} categories.")
    lookup = np.append(numbers, -1).astype(np.int32)
    return Labels(lookup[codes], tuple(known))


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
        return _dtype_kind(node.dtype) if node.ndim == 1 else "other"

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
        return _as_categories(self, rows)


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
            "categorical" if self._categories(column) is not None else _dtype_kind(self.dataset.dtype[column])
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
        return np.array([_name(value) for value in self.dataset[self.index_name].tolist()], dtype=object)

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Read some rows with all columns."""
        return _as_categories(self, rows)


class PandasFrame:
    """``obs`` or ``var`` of an AnnData in memory.

    Parameters
    ----------
    frame
        A pandas DataFrame.
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.columns = tuple(str(column) for column in frame.columns)

    def _series(self, column: str) -> Any:
        return self.frame.iloc[:, self.columns.index(column)]

    def kind(self, column: str) -> Kind:
        """Say what a column holds."""
        dtype = self._series(column).dtype
        if hasattr(dtype, "categories"):
            return "categorical"
        if str(dtype) in ("boolean", "string", "str"):
            return "boolean" if str(dtype) == "boolean" else "string"
        numpy_dtype = getattr(dtype, "numpy_dtype", dtype)
        return _dtype_kind(numpy_dtype) if isinstance(numpy_dtype, np.dtype) else "other"

    def n_rows(self, column: str | None = None) -> int:
        """Count the rows."""
        return len(self.frame)

    def labels(self, column: str) -> Labels:
        """Read one column as labels."""
        series = self._series(column)
        if hasattr(series.dtype, "categories"):
            categories = np.array([text(value) for value in series.cat.categories], dtype=object)
            return from_categories(series.cat.codes.to_numpy(), categories)
        missing = series.isna().to_numpy()
        values = np.where(missing, "", series.astype(object).to_numpy())
        codes, known = factorise(values)
        return Labels(codes, tuple(known))

    def index(self) -> np.ndarray:
        """Read the row names, objects of type str."""
        return np.array([_name(value) for value in self.frame.index.tolist()], dtype=object)

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Give some rows with all columns."""
        return self.frame.iloc[rows].copy()


class MemoryFrame:
    """A table of names and columns of text, as small text files give them.

    Parameters
    ----------
    names
        Row names, objects of type str.
    columns
        Column → labels, or text (``""`` where there is none).
    """

    def __init__(self, names: np.ndarray, columns: Mapping[str, np.ndarray | Labels]) -> None:
        self.names = names
        self.values = dict(columns)
        self.columns = tuple(self.values)

    def kind(self, column: str) -> Kind:
        """Say what a column holds."""
        return "string" if column in self.values else "other"

    def n_rows(self, column: str | None = None) -> int:
        """Count the rows."""
        return len(self.names)

    def labels(self, column: str) -> Labels:
        """Give one column as labels."""
        values = self.values[column]
        if isinstance(values, Labels):
            return values
        codes, known = factorise(values)
        return Labels(codes, tuple(known))

    def index(self) -> np.ndarray:
        """Give the row names."""
        return self.names

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Give some rows with all columns."""
        return _as_categories(self, rows)


class WiderFrame:
    """A table with further columns, which hide columns of the same name.

    Parameters
    ----------
    frame
        The table.
    more
        Further columns of as many rows.
    """

    def __init__(self, frame: Frame, more: MemoryFrame) -> None:
        self.frame, self.more = frame, more
        self.columns = (*more.columns, *(column for column in frame.columns if column not in more.columns))

    def _of(self, column: str | None) -> Frame:
        return self.more if column in self.more.columns else self.frame

    def kind(self, column: str) -> Kind:
        """Say what a column holds."""
        return self._of(column).kind(column)

    def n_rows(self, column: str | None = None) -> int:
        """Count the rows."""
        return self._of(column).n_rows(column)

    def labels(self, column: str) -> Labels:
        """Read one column as labels."""
        return self._of(column).labels(column)

    def index(self) -> np.ndarray:
        """Read the row names."""
        return self.frame.index()

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """Read some rows with all columns."""
        out = self.frame.take(rows)
        more = self.more.take(rows)
        for column in self.more.columns:
            out[column] = more[column].to_numpy()
        return out


def _as_categories(frame: Frame, rows: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    out = {
        column: pd.Categorical(frame.labels(column).values()[rows])
        for column in frame.columns
        if frame.kind(column) != "other"
    }
    return pd.DataFrame(out, index=pd.Index(frame.index()[rows]))


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


def _dtype_kind(dtype: np.dtype) -> Kind:
    kinds: dict[str, Kind] = {
        "b": "boolean",
        "i": "integer",
        "u": "integer",
        "f": "float",
        "S": "string",
        "U": "string",
        "O": "string",
        "T": "string",
    }
    enum = h5py.check_enum_dtype(dtype)
    if enum is not None and set(enum) == {"FALSE", "TRUE"}:
        return "boolean"
    return kinds.get(dtype.kind, "other")


def _factorise_dataset(node: h5py.Dataset) -> Labels:
    """Number the labels of a dataset in pieces, so that text never stands in memory whole."""
    codes = np.empty(node.shape[0], dtype=np.int32)
    known: dict[str, int] = {}
    for start in range(0, node.shape[0], _STRING_ROWS):
        codes[start : start + _STRING_ROWS], known = factorise(node[start : start + _STRING_ROWS], known)
    return Labels(codes, tuple(known))


def _name(value: Any) -> str:
    """Give a row name as text: unlike a label, a gene may be called ``NA``."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


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
    return np.array([_name(value) for value in node[:].tolist()], dtype=object)
