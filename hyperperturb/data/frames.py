"""``obs`` and ``var``: tables of one row a cell or gene, in memory; those of files are in :mod:`h5_frames`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import h5py
import numpy as np

from hyperperturb.data.h5ad import text
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["categorical", "string", "boolean", "integer", "float", "other"]


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
        return dtype_kind(numpy_dtype) if isinstance(numpy_dtype, np.dtype) else "other"

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
        return np.array([row_name(value) for value in self.frame.index.tolist()], dtype=object)

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
        return as_categories(self, rows)


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


def as_categories(frame: Frame, rows: np.ndarray) -> pd.DataFrame:
    """Some rows of a table as text categories, without the columns that hold neither text nor numbers."""
    import pandas as pd

    out = {
        column: pd.Categorical(frame.labels(column).values()[rows])
        for column in frame.columns
        if frame.kind(column) != "other"
    }
    return pd.DataFrame(out, index=pd.Index(frame.index()[rows]))


def dtype_kind(dtype: np.dtype) -> Kind:
    """What values of a type are to a reader of labels."""
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


def row_name(value: Any) -> str:
    """Give a row name as text: unlike a label, a gene may be called ``NA``."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
