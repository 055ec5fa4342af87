"""Effects as a table on disk: what :meth:`Effects.save` writes, and tables of effects from elsewhere."""

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

from hyperperturb.data.effects import Effects, Mode
from hyperperturb.data.genes import short_list
from hyperperturb.data.h5ad import text
from hyperperturb.data.labels import control_stem, parse_targets
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path

OWN_COLUMNS = ("perturbation", "targets", "mode", "n_cells", "statistic")
_GENE_HEADERS = frozenset(("gene", "genes", "gene_symbol", "gene_name", "symbol", "feature", "response_gene"))
_MODES = ("knockout", "knockdown", "activation")
_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".tab": "tsv",
}
_COLUMNS = 256
_BY_PERTURBATION = ("effect", "standard_error", "detected")
_BY_CONTROL = ("control_mean", "control_variance", "control_detected")
_MISSING = ("", "NA", "nan", "NaN", "N/A", "null", "NULL", "<NA>", "#N/A")


def write_table(effects: Effects, path: Path) -> Path:
    """Write effects as one wide table; see :meth:`Effects.save` for the layout."""
    kind = _kind(path)
    if kind not in ("parquet", "csv"):
        raise HyperPerturbError(
            f"Effects cannot be written to '{path}'.", hint="End the name in .parquet, .csv or .csv.gz."
        )
    clash = set(OWN_COLUMNS).intersection(effects.genes)
    if clash:
        raise HyperPerturbError(
            f"A response gene is called '{clash.pop()}', as a column of the table is.",
            hint="Rename the gene.",
        )
    known = [name for name in _BY_PERTURBATION if _is_known(getattr(effects, name))]
    # the mean and variance of the control are always there: they hold its name and its number of cells
    of_control = [*_BY_CONTROL[:2], *(["control_detected"] if effects.control_detected is not None else [])]
    labels = [*effects.perturbations] * len(known) + [effects.control] * len(of_control)
    targets = ["+".join(genes) for genes in effects.targets] * len(known) + [""] * len(of_control)
    n_cells = [*effects.n_cells.tolist()] * len(known) + [effects.n_control_cells] * len(of_control)
    statistic = [name for name in known for _ in effects.perturbations] + of_control
    unknown = np.full(len(effects.genes), np.nan, dtype=np.float32)
    rows = [getattr(effects, name) for name in known]
    for name in of_control:
        value = getattr(effects, name)
        rows.append(np.atleast_2d(unknown if value is None else value))
    values = np.asfortranarray(np.concatenate(rows).astype(np.float32, copy=False))
    own = [
        pa.array(labels, pa.string()),
        pa.array(targets, pa.string()),
        pa.array([effects.mode] * len(labels), pa.string()),
        pa.array(n_cells, pa.int64()),
        pa.array(statistic, pa.string()),
    ]
    # NaN stays a number in parquet; in CSV it is an empty cell
    columns = [
        pa.array(values[:, j], pa.float32(), from_pandas=kind == "csv") for j in range(values.shape[1])
    ]
    table = pa.Table.from_arrays([*own, *columns], names=[*OWN_COLUMNS, *effects.genes])
    with atomic_path(path) as temporary:
        _write(table, temporary, kind)
    return path


def _is_known(values: np.ndarray | None) -> bool:
    return values is not None and not (values.size and np.isnan(values).all())


def _write(table: pa.Table, path: Path, kind: str) -> None:
    if kind == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
        return
    import pyarrow.csv as pc

    if path.suffix != ".gz":
        pc.write_csv(table, path)
        return
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as handle:
        pc.write_csv(table, handle)


def _kind(path: Path) -> str:
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    ending = suffixes[-1] if suffixes else ""
    return _KINDS.get(ending, "")


def read_table(path: Path, mode: Mode | None) -> Effects:
    """Read effects; see :func:`~hyperperturb.data.effects.read_effects`."""
    if mode is not None and mode not in _MODES:
        raise HyperPerturbError(
            f"'{mode}' is no mode of perturbation.", hint=f"Modes are {', '.join(_MODES)}."
        )
    if not path.exists():
        raise HyperPerturbError(f"There is no file '{path}'.", hint="Check the path.")
    if path.is_dir():
        raise HyperPerturbError(
            f"'{path}' is a folder, not a table of effects.", hint="Give the file itself."
        )
    kind = _kind(path)
    if not kind:
        hint = "Compute effects from a screen first: hyperperturb effects FILE OUT.parquet"
        if path.suffix.casefold() != ".h5ad":
            hint = (
                "Give a .csv or .tsv (also .gz) or .parquet table, perturbations in rows, genes in columns."
            )
        raise HyperPerturbError(f"'{path}' is not a table of effects.", hint=hint)
    table = _Parquet(path) if kind == "parquet" else _read_text(path, kind)
    if table.num_columns < 2:
        only = table.column_names[0] if table.num_columns else ""
        raise HyperPerturbError(
            f"'{path}' has a single column, '{only}'.",
            hint="A table of effects has perturbations in the first column and one column a response gene "
            "(separated by commas in .csv, by tabs in .tsv).",
        )
    if table.num_rows == 0:
        raise HyperPerturbError(
            f"'{path}' has a header but no rows.", hint="Each row is the effect of one perturbation."
        )
    return _own(path, table, mode) if "statistic" in table.column_names else _foreign(path, table, mode)


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
        self.num_columns, self.num_rows = len(names), self.file.metadata.num_rows

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


def _texts(table: _Parquet | pa.Table, name: str) -> list[str]:
    return [text(cell) for cell in table.column(name).to_pylist()]


def _counts(path: Path, table: _Parquet | pa.Table, name: str) -> np.ndarray:
    cells = [_number(path, cell, row, name) for row, cell in enumerate(table.column(name).to_pylist())]
    return np.nan_to_num(np.array(cells), posinf=0, neginf=0).astype(np.int64)


def _numbers(path: Path, table: _Parquet | pa.Table, names: list[str]) -> np.ndarray:
    """Take the numbers of some columns, float32, NaN where missing; a cell that is no number is named."""
    out = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for start in range(0, len(names), _COLUMNS):
        some = names[start : start + _COLUMNS]
        part = table.select(some)
        block = np.empty((len(some), table.num_rows), dtype=np.float32)
        for j, name in enumerate(some):
            column = part.column(name)
            kind = column.type
            if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
                block[j] = (
                    column.cast(pa.float64()).to_numpy(zero_copy_only=False) if column.null_count else column
                )
            else:
                block[j] = [_number(path, cell, row, name) for row, cell in enumerate(column.to_pylist())]
        out[:, start : start + len(some)] = block.T
    return out


def _rows_of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows; without a copy where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


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


def _refuse_missing(
    path: Path, values: np.ndarray, names: list[str], rows: np.ndarray, *, known: bool
) -> None:
    """Refuse cells without a finite number; where not `known`, NaN may stand for what is not known."""
    bad = ~np.isfinite(values) if known else np.isinf(values)
    if bad.any():
        i, j = np.argwhere(bad)[0]
        value = "is missing" if np.isnan(values[i, j]) else f"is {values[i, j]}, not a finite number"
        raise HyperPerturbError(
            f"In '{path}', row {rows[i] + 2:,}, column '{names[j]}': the value {value} "
            f"({int(bad.sum()):,} such cell{'s' if bad.sum() > 1 else ''}).",
            hint="Fill or remove those rows or columns: every effect must be a number.",
        )


def _own(path: Path, table: _Parquet | pa.Table, mode: Mode | None) -> Effects:
    again = "Write the table again with Effects.save, or remove the column 'statistic'."
    missing = [name for name in OWN_COLUMNS if name not in table.column_names]
    if missing:
        raise HyperPerturbError(
            f"'{path}' has a column 'statistic' but no column '{missing[0]}'.", hint=again
        )
    statistic = np.array(_texts(table, "statistic"), dtype=object)
    labels = _texts(table, "perturbation")
    rows = {name: np.flatnonzero(statistic == name) for name in (*_BY_PERTURBATION, *_BY_CONTROL)}
    unknown = sorted(set(statistic.tolist()) - set(rows))
    if unknown:
        raise HyperPerturbError(f"'{path}' has the unknown statistic '{unknown[0]}'.", hint=again)
    if (
        len(rows["effect"]) == 0
        or len(rows["control_mean"]) != 1
        or any(len(rows[c]) > 1 for c in _BY_CONTROL)
    ):
        raise HyperPerturbError(
            f"'{path}' has {len(rows['effect'])} rows 'effect' and {len(rows['control_mean'])} rows 'control_mean' "
            "in column 'statistic'; it needs at least one and exactly one.",
            hint=again,
        )
    genes = [name for name in table.column_names if name not in OWN_COLUMNS]
    values = _numbers(path, table, genes)
    perturbations = [labels[row] for row in rows["effect"]]
    _refuse_twice(path, perturbations, rows["effect"])
    effect = _rows_of(values, rows["effect"])
    _refuse_missing(path, effect, genes, rows["effect"], known=True)
    others: dict[str, np.ndarray | None] = {}
    for name in ("standard_error", "detected"):
        others[name] = None
        if len(rows[name]):
            if [labels[row] for row in rows[name]] != perturbations:
                raise HyperPerturbError(
                    f"'{path}' has rows '{name}' for other perturbations than 'effect'.", hint=again
                )
            part = _rows_of(values, rows[name])
            _refuse_missing(path, part, genes, rows[name], known=False)
            others[name] = part
    error = others["standard_error"]
    control: dict[str, np.ndarray | None] = {}
    for name in _BY_CONTROL:
        part = values[rows[name]]
        _refuse_missing(path, part, genes, rows[name], known=False)
        control[name] = None if np.isnan(part).all() else part[0]
    n_cells = _counts(path, table, "n_cells")
    said = _texts(table, "mode")[0]
    targets = _texts(table, "targets")
    return Effects(
        perturbations=tuple(perturbations),
        targets=tuple(tuple(targets[row].split("+")) if targets[row] else () for row in rows["effect"]),
        genes=tuple(genes),
        effect=effect,
        standard_error=np.full_like(effect, np.nan) if error is None else error,
        n_cells=n_cells[rows["effect"]],
        control=labels[rows["control_mean"][0]],
        n_control_cells=int(n_cells[rows["control_mean"][0]]),
        mode=mode or (said if said in _MODES else "knockout"),  # type: ignore[arg-type]
        detected=others["detected"],
        **control,
    )


def _refuse_twice(path: Path, labels: list[str], rows: np.ndarray) -> None:
    twice = [label for label, n in Counter(labels).items() if n > 1]
    if twice:
        first, second = [int(row) + 2 for row, label in zip(rows, labels, strict=True) if label == twice[0]][
            :2
        ]
        raise HyperPerturbError(
            f"'{path}' has the perturbation '{twice[0]}' in rows {first:,} and {second:,} "
            f"({len(twice)} label{'s' if len(twice) > 1 else ''} more than once).",
            hint="Each perturbation may stand in one row: rename or average them.",
        )


def _foreign(path: Path, table: _Parquet | pa.Table, mode: Mode | None) -> Effects:
    first = table.column_names[0]
    labels = _texts(table, first)
    others = table.column_names[1:]
    for row, label in enumerate(labels):
        if not label:
            raise HyperPerturbError(
                f"In '{path}', row {row + 2:,} has no label in its first column.",
                hint="Name the perturbation.",
            )
    _refuse_gene_rows(path, first, labels, others)
    everything = np.arange(len(labels))
    _refuse_twice(path, labels, everything)
    if len(labels) > 1 and all(_is_number(label) for label in labels):
        raise HyperPerturbError(
            f"The first column of '{path}', '{first}', holds numbers only; it should name the perturbations.",
            hint="Put the labels in the first column, for example frame.to_csv(path, index=True).",
        )
    genes = [name for name in others if name not in ("n_cells", "targets", "mode")]
    if not genes:
        raise HyperPerturbError(
            f"'{path}' has no response genes beside the labels.", hint="Add one column a response gene."
        )
    effect = _numbers(path, table, genes)
    _refuse_missing(path, effect, genes, everything, known=True)
    n_cells = np.zeros(len(labels), dtype=np.int64)
    if "n_cells" in others:
        n_cells = _counts(path, table, "n_cells")
    controls = _control_rows(path, labels, effect)
    keep = np.setdiff1d(everything, controls)
    if not keep.size:
        raise HyperPerturbError(
            f"'{path}' holds no perturbation beside the control.", hint="Each row is one perturbation."
        )
    control = labels[controls[0]] if controls else "control"
    known = frozenset(genes) | {label for label in labels if "_" not in label}
    parsed = (parse_targets(labels[row], control=control, known_genes=known) for row in keep)
    return Effects(
        perturbations=tuple(labels[row] for row in keep),
        targets=tuple(found or (labels[row],) for row, found in zip(keep, parsed, strict=True)),
        genes=tuple(genes),
        effect=effect[keep],
        standard_error=np.full((len(keep), len(genes)), np.nan, dtype=np.float32),
        n_cells=n_cells[keep],
        control=control,
        n_control_cells=int(n_cells[controls].sum()) if controls else 0,
        mode=mode or "knockout",
    )


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _control_rows(path: Path, labels: list[str], effect: np.ndarray) -> list[int]:
    """Rows of the control: called so, or the only row of zeros."""
    zero = ~effect.any(axis=1)
    controls = [row for row, label in enumerate(labels) if control_stem(label) is not None]
    for row in controls:
        if not zero[row]:
            raise HyperPerturbError(
                f"In '{path}', row {row + 2:,}, the control '{labels[row]}' is not all zeros: the table seems to hold "
                "expression, not effects.",
                hint="Subtract the control's row from every row, or give the screen itself.",
            )
    return controls if controls or zero.sum() != 1 else np.flatnonzero(zero).tolist()


def _refuse_gene_rows(path: Path, first: str, labels: list[str], columns: list[str]) -> None:
    """Refuse a table that lies on its side: genes in rows, perturbations in columns."""
    control = next((name for name in columns if control_stem(name) is not None), None)
    reason = None
    if first.casefold() in _GENE_HEADERS:
        reason = f"its first column is called '{first}'"
    elif control is not None:
        reason = f"it has a column for the control, '{control}'"
    elif len(labels) > len(columns):
        rows = set(labels)
        pairs = [
            name
            for name in columns
            if name not in rows and len(_targets(name)) > 1 and _targets(name) <= rows
        ]
        if len(pairs) > max(2, len(columns) // 20):
            reason = f"its columns are called after pairs of its rows, such as '{pairs[0]}'"
    if reason is not None:
        raise HyperPerturbError(
            f"'{path}' seems to have genes in rows and perturbations in columns "
            f"({reason}; rows {short_list(labels, 3)}).",
            hint="Turn it over: perturbations in rows, response genes in columns (in pandas: frame.T).",
        )


def _targets(label: str) -> set[str]:
    return set(parse_targets(label, control=""))
