"""Delimited text as people have it: read fast, and with the number of the row that is wrong.

Tabs, commas, semicolons or spaces; gzipped or not; with or without a header, a byte order mark, comment lines, quotes,
Windows line ends. What is found is told apart by looking at the first rows, the rest is parsed by pyarrow.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from hyperperturb.errors import HyperPerturbError

_LOOK = 200  # rows that decide on delimiter and header
_LIMIT = 4 << 30  # bytes of text: a small file that unpacks to more is a mistake or an attack
_GZIP = b"\x1f\x8b"
_SIGNATURES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x89HDF": "an HDF5 file",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy file",
    b"%PDF": "a PDF document",
    b"\xff\xfe": "text in the UTF-16 encoding",
    b"\xfe\xff": "text in the UTF-16 encoding",
}
_MISSING = frozenset({"na", "nan", "n/a", "none", "null", "<na>"})


@dataclass(frozen=True)
class TextTable:
    """A text file whose delimiter is known, not yet parsed as a whole.

    Parameters
    ----------
    path
        The file.
    what
        What to call it in messages, for example ``edge list``.
    data
        Its text as UTF-8, without byte order mark.
    delimiter
        One character; runs of spaces have been replaced by tabs.
    rows
        The first rows, split, with their row number in the file (from 1).
    first
        Number of lines before the first row (comments, blank lines).
    commented
        The last comment line before the first row, split the same way: in some files it is the header.
    """

    path: Path
    what: str
    data: bytes
    delimiter: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    first: int
    commented: tuple[str, ...]

    @property
    def n_columns(self) -> int:
        """Number of columns that most of the first rows have."""
        return Counter(len(cells) for _, cells in self.rows).most_common(1)[0][0]

    def error(self, sentence: str, *, hint: str) -> HyperPerturbError:
        """An error that ends with the name of the file."""
        return HyperPerturbError(f"{sentence.rstrip('.')} (file '{self.path.name}').", hint=hint)

    def lines(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Every row, split, with its number in the file; blank lines left out. Slow: for the finding of errors."""
        text = self.data.decode("utf-8", errors="replace")
        for number, line in enumerate(_lines(text), start=1):
            if number > self.first and line.strip():
                yield number, _split(line, self.delimiter)

    def row_number(self, index: int, *, header: bool) -> int:
        """The number in the file of the `index`-th data row."""
        for k, (number, _) in enumerate(self.lines()):
            if k == index + header:
                return number
        return index + 1

    def columns(self, which: Sequence[int], *, header: bool) -> list[np.ndarray]:
        """Parse the file and return some of its columns as arrays of str objects, blanks around them removed.

        Parameters
        ----------
        which
            Positions of the columns.
        header
            Whether the first row is a header.

        Raises
        ------
        HyperPerturbError
            For a row with another number of columns, and for a file without a data row.
        """
        return [column.to_numpy(zero_copy_only=False) for column in self.arrow_columns(which, header=header)]

    def arrow_columns(self, which: Sequence[int], *, header: bool) -> list:
        """The same as :meth:`columns`, as pyarrow string arrays (for tables of millions of rows)."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import csv as arrow_csv

        names = [f"c{k}" for k in range(self.n_columns)]
        wanted = [names[k] for k in which]
        odd: list[str] = []

        def remember(row: arrow_csv.InvalidRow) -> str:
            odd.append(row.text or "")
            return "skip"

        skip = self.first + (self.rows[0][0] - self.first if header else 0)
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(self.data),
                read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=skip, block_size=8 << 20),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, invalid_row_handler=remember, ignore_empty_lines=True
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise self._no_rows(header=header) from error
            raise self.error(
                f"The {self.what} cannot be read as a table of {len(names)} columns: {error}",
                hint="Save it as CSV or TSV with one edge a row.",
            ) from error
        if any(text.strip(self.delimiter + ' \t\r"') for text in odd):
            raise self._odd_row()
        if table.num_rows == 0:
            raise self._no_rows(header=header)
        return [pc.utf8_trim_whitespace(table[name].combine_chunks()) for name in wanted]

    def _no_rows(self, *, header: bool) -> HyperPerturbError:
        return self.error(
            f"The {self.what} has {'a header but no rows' if header else 'no rows'}",
            hint="Give one pair of names a row.",
        )

    def _odd_row(self) -> HyperPerturbError:
        usual = self.n_columns
        for number, cells in self.lines():
            if len(cells) == 1:
                return self.one_column(number)
            if len(cells) != usual:
                return self.error(
                    f"Row {number} of the {self.what} has {len(cells)} columns, the other rows have {usual}",
                    hint="Every row must have the same columns.",
                )
        return self.error(f"The {self.what} has rows of different length", hint="Make them equal.")

    def one_column(self, number: int) -> HyperPerturbError:
        """The error for a row that holds one name instead of two."""
        return self.error(
            f"Row {number} of the {self.what} has one column; two gene names are needed.",
            hint="Separate the two names with a comma, a tab or a space.",
        )


def read_text(path: Path, *, what: str) -> bytes:
    """The text of a file as UTF-8 bytes, unpacked, without byte order mark.

    Raises
    ------
    HyperPerturbError
        For a missing, empty, truncated or binary file.
    """
    if path.is_dir():
        raise HyperPerturbError(f"'{path}' is a folder.", hint=f"Give the file of the {what}.")
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
            raw.seek(0)
            if start.startswith(_GZIP):
                with gzip.open(raw) as unpacked:
                    data = _read_most(unpacked)
            else:
                data = _read_most(raw)
    except FileNotFoundError as error:
        raise HyperPerturbError(f"There is no file '{path}'.", hint="Check the path.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HyperPerturbError(
            f"The gzipped {what} '{path.name}' is damaged or was cut short.", hint="Download it again."
        ) from error
    except OSError as error:
        raise HyperPerturbError(
            f"The {what} '{path.name}' cannot be read: {error.strerror}.", hint="Check its permissions."
        ) from error
    if len(data) > _LIMIT:
        raise HyperPerturbError(
            f"The {what} '{path.name}' holds more than 4 GB of text.", hint="Filter it first."
        )
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise _not_text(path, what, f"it is {kind}")
    if b"\0" in data[: 1 << 20]:
        raise _not_text(path, what, "it is a binary file")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise HyperPerturbError(f"The {what} '{path.name}' is empty.", hint="Give one pair of names a row.")
    try:
        data[: 1 << 20].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 1 << 20) - 4:
            raise _not_text(path, what, "it is not UTF-8 text") from error
    return data


def _read_most(handle: IO[bytes]) -> bytes:
    """All bytes, or a little more than the limit, in pieces: asking for them at once would reserve the limit."""
    whole = io.BytesIO()
    while whole.tell() <= _LIMIT and (piece := handle.read(1 << 20)):
        whole.write(piece)
    return whole.getvalue()


def _not_text(path: Path, what: str, why: str) -> HyperPerturbError:
    return HyperPerturbError(
        f"'{path.name}' cannot be read as the text of the {what}: {why}.",
        hint="Give a CSV or TSV file in UTF-8, gzipped or not.",
    )


def open_table(path: Path, *, what: str) -> TextTable:
    """Look at the first rows of a text file and find its delimiter.

    Parameters
    ----------
    path
        The file.
    what
        What to call it in messages.

    Raises
    ------
    HyperPerturbError
        For a file that is no text, or has one column only.
    """
    data = read_text(path, what=what)
    lines, first, comment = _first_lines(data)
    if not lines:
        raise HyperPerturbError(f"The {what} '{path.name}' is empty.", hint="Give one pair of names a row.")
    delimiter = _delimiter([line for _, line in lines])
    if delimiter == " ":
        # columns aligned with runs of spaces; also tabs and spaces mixed
        data = re.sub(rb"[ \t]+", b"\t", re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", data))
        lines, first, comment = _first_lines(data)
        delimiter = "\t"
    rows = tuple((number, _split(line, delimiter)) for number, line in lines)
    table = TextTable(path, what, data, delimiter, rows, first, _split(comment, delimiter))
    if table.n_columns < 2:
        raise table.one_column(next(number for number, cells in rows if len(cells) < 2))
    return table


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=None):
        yield line.rstrip("\n")


def _first_lines(data: bytes) -> tuple[list[tuple[int, str]], int, str]:
    """The first rows with their numbers, the number of lines before them, the last comment among those."""
    text = data[: 1 << 20].decode("utf-8", errors="replace")
    rows: list[tuple[int, str]] = []
    first, comment = 0, ""
    for number, line in enumerate(_lines(text), start=1):
        if not rows and (line.startswith("#") or not line.strip()):
            first = number
            comment = line.lstrip("# ") if line.strip() else comment
        elif line.strip():
            rows.append((number, line))
        if len(rows) == _LOOK:
            break
    if len(data) > 1 << 20 and 1 < len(rows) < _LOOK:
        rows.pop()  # the last line was cut by the look-ahead
    return rows, first, comment


def _delimiter(lines: Sequence[str]) -> str:
    """The separator that most rows have the same number of, tab before comma before semicolon before space."""
    best, best_share = " ", 0.0
    for candidate in ("\t", ",", ";", " "):
        counts = Counter(len(_split(line, candidate)) for line in lines)
        columns, n_rows = max(counts.items(), key=lambda item: (item[0] > 1, item[1]))
        if columns > 1 and n_rows / len(lines) > best_share + 1e-9:
            best, best_share = candidate, n_rows / len(lines)
    return best


def _split(line: str, delimiter: str) -> tuple[str, ...]:
    if delimiter == " ":
        return tuple(line.split())
    if '"' in line:
        return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter)))
    return tuple(cell.strip() for cell in line.rstrip("\r").split(delimiter))


def is_number(text: str) -> bool:
    """Whether a cell is a number (``nan`` and ``inf`` are).

    Examples
    --------
    >>> is_number("1e-3"), is_number("TP53"), is_number("")
    (True, False, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


def numbers(table: TextTable, cells: Sequence[str] | np.ndarray, *, header: bool, signed: bool) -> np.ndarray:
    """A column of weights as float64.

    Parameters
    ----------
    table
        Where the cells come from, for the messages.
    cells
        Text of one column.
    header
        Whether the file has a header.
    signed
        Whether negative weights are allowed.

    Raises
    ------
    HyperPerturbError
        For the first weight that is missing, no number, infinite, or negative where that is not allowed.
    """
    import pandas as pd

    values = pd.to_numeric(pd.Series(cells), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(values)
    if not signed:
        bad |= values < 0
    if not bad.any():
        return values
    index = int(np.flatnonzero(bad)[0])
    cell, where = str(cells[index]), table.row_number(index, header=header)
    row = f"Row {where} of the {table.what}"
    if not cell or cell.lower() in _MISSING:
        raise table.error(
            f"{row} has no weight", hint="Give every edge a weight, or remove the weight column."
        )
    if not is_number(cell):
        raise table.error(
            f"{row} has the weight '{cell}', which is not a number",
            hint="Give numbers with a decimal point, or two columns of names only.",
        )
    if not np.isfinite(values[index]):
        raise table.error(f"{row} has the weight '{cell}', which is not finite", hint="Give finite weights.")
    raise table.error(
        f"{row} has the negative weight {cell}",
        hint="Weights must be at least 0; read a signed network as regulons (kind='regulons').",
    )


def is_missing(names: np.ndarray) -> np.ndarray:
    """Which names are spellings of a missing value (``NA``, ``nan`` …)."""
    return np.array([name.lower() in _MISSING for name in names], dtype=bool)
