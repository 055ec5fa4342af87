"""Tables of labelled numbers, as text or Parquet; what is wrong with a cell is said with its place."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hyperperturb.data.h5ad import text
from hyperperturb.errors import HyperPerturbError

_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".tab": "tsv",
}
_COLUMNS = 256  # read at a time
_MISSING = ("", "NA", "nan", "NaN", "N/A", "null", "NULL", "<NA>", "#N/A")


def table_kind(path: Path) -> str:
    """``parquet``, ``csv`` or ``tsv`` by the name of a file, also gzipped; ``""`` where it is none of these.

    Examples
    --------
    >>> table_kind(Path("effects.TSV.gz")), table_kind(Path("screen.h5ad"))
    ('tsv', '')
    """
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    ending = suffixes[-1] if suffixes else ""
    return _KINDS.get(ending, "")


class NumberTable:
    """A table with labels in some columns and numbers in the others.

    Parameters
    ----------
    path
        A file that :func:`table_kind` knows.

    Raises
    ------
    HyperPerturbError
        It cannot be read, or names a column twice; the methods also where a cell is no number.
    """

    def __init__(self, path: Path) -> None:
        kind = table_kind(path)
        self.path = path
        self._table = _Parquet(path) if kind == "parquet" else _read_text(path, kind)

    @property
    def column_names(self) -> list[str]:
        """The header."""
        return self._table.column_names

    @property
    def num_rows(self) -> int:
        """Rows below the header."""
        return self._table.num_rows

    def texts(self, name: str) -> list[str]:
        """A column as text; ``""`` where nothing is there."""
        return [text(cell) for cell in self._table.column(name).to_pylist()]

    def counts(self, name: str) -> np.ndarray:
        """A column as whole numbers, int64; 0 where nothing is there."""
        values = self._table.column(name).to_pylist()
        cells = [_number(self.path, cell, row, name) for row, cell in enumerate(values)]
        return np.nan_to_num(np.array(cells), posinf=0, neginf=0).astype(np.int64)

    def numbers(self, names: list[str]) -> np.ndarray:
        """Some columns as numbers, (rows, columns) float32; NaN where nothing is there."""
        out = np.empty((self.num_rows, len(names)), dtype=np.float32)
        for start in range(0, len(names), _COLUMNS):
            some = names[start : start + _COLUMNS]
            part = self._table.select(some)
            block = np.empty((len(some), self.num_rows), dtype=np.float32)
            for j, name in enumerate(some):
                column = part.column(name)
                kind = column.type
                if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
                    block[j] = (
                        column.cast(pa.float64()).to_numpy(zero_copy_only=False)
                        if column.null_count
                        else column
                    )
                else:
                    block[j] = [
                        _number(self.path, cell, row, name) for row, cell in enumerate(column.to_pylist())
                    ]
            out[:, start : start + len(some)] = block.T
        return out


class _Parquet:
    """A parquet file with the face of a table, of which a few columns at a time are in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        with self._refusing():
            self.file = pq.ParquetFile(path, memory_map=False)
            schema = self.file.schema_arrow
        names = [str(name) for name in schema.names]
        _refuse_duplicates(path, names)
        stored = (schema.pandas_metadata or {}).get("index_columns", [])
        index = [name for name in stored if isinstance(name, str) and name in names]
        # pandas keeps the labels, its index, behind the columns
        front = index if index and names[0] not in index else []
        self.column_names = [*front, *(name for name in names if name not in front)]
        self.num_rows = self.file.metadata.num_rows

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise HyperPerturbError(
                f"'{self.path}' is not a parquet file, or is damaged ({_first_line(error)}).",
                hint="Copy or write the file again.",
            ) from error

    def select(self, names: list[str]) -> pa.Table:
        """Some columns."""
        with self._refusing():
            # one thread: thousands of small columns cost more to hand out than to decode
            return self.file.read(columns=names, use_threads=False)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column."""
        return self.select([name]).column(name)


def _read_text(path: Path, kind: str) -> pa.Table:
    import pyarrow.csv as pc

    separator = "\t" if kind == "tsv" else ","
    opener = gzip.open if path.suffix.casefold() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle, delimiter=separator), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, gzip.zlib.error) as error:
        raise HyperPerturbError(
            f"'{path}' cannot be read as text ({_first_line(error)}).", hint="Copy or write it again."
        ) from error
    if not any(cell.strip() for cell in header):
        raise HyperPerturbError(
            f"'{path}' is empty.", hint="A table of effects has a header and one row a perturbation."
        )
    header = [cell.strip() for cell in header]
    _refuse_duplicates(path, header)
    texts = [
        header[0],
        *(name for name in ("perturbation", "targets", "mode", "statistic") if name in header),
    ]
    try:
        with pa.input_stream(str(path), compression="gzip" if opener is gzip.open else None) as stream:
            return pc.read_csv(
                stream,
                # one block: the type of a column is judged from all of it, and rows are thousands of cells long
                read_options=pc.ReadOptions(
                    column_names=header, skip_rows=1, block_size=min(1 << 30, _length(path, opener))
                ),
                parse_options=pc.ParseOptions(delimiter=separator),
                convert_options=pc.ConvertOptions(
                    column_types={name: pa.string() for name in texts},
                    null_values=list(_MISSING),
                    strings_can_be_null=False,
                ),
            )
    except (pa.ArrowException, OSError, EOFError) as error:
        if "Empty CSV" in str(error):
            return pa.table({name: pa.array([], pa.string()) for name in header})
        raise HyperPerturbError(
            f"'{path}' cannot be read as a table ({_first_line(error)}).",
            hint=f"Every row must have as many cells as the header, {len(header):,}.",
        ) from error


def _length(path: Path, opener: Any) -> int:
    """Length of the text in bytes, unpacked."""
    if opener is not gzip.open:
        return path.stat().st_size + 16
    with gzip.open(path, "rb") as handle:
        return handle.seek(0, 2) + 16


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:150] if lines else type(error).__name__


def _refuse_duplicates(path: Path, names: list[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        where = [position + 1 for position, name in enumerate(names) if name == twice[0]]
        raise HyperPerturbError(
            f"'{path}' has {len(twice)} column name{'s' if len(twice) > 1 else ''} more than once "
            f"('{twice[0]}' in columns {where[0]:,} and {where[1]:,}).",
            hint="Each response gene may stand once: rename or average the columns.",
        )


def _number(path: Path, cell: Any, row: int, column: str) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip() in _MISSING):
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError):
        pass
    hint = "Every cell beside the labels must be a number."
    if isinstance(cell, str) and "," in cell:
        hint = "Write decimals with a point, not a comma."
    raise HyperPerturbError(
        f"In '{path}', row {row + 2:,}, column '{column}': '{str(cell)[:40]}' is not a number.", hint=hint
    )
