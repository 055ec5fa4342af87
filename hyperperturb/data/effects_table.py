"""Effects as a table on disk: what :meth:`Effects.save` writes, and tables of effects from elsewhere."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from hyperperturb.data.effects import Effects, Mode
from hyperperturb.data.genes import short_list
from hyperperturb.data.labels import control_stem, parse_targets
from hyperperturb.data.number_table import NumberTable, table_kind
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path

OWN_COLUMNS = ("perturbation", "targets", "mode", "n_cells", "statistic")
_GENE_HEADERS = frozenset(("gene", "genes", "gene_symbol", "gene_name", "symbol", "feature", "response_gene"))
_MODES = ("knockout", "knockdown", "activation")
_BY_PERTURBATION = ("effect", "standard_error", "detected")
_BY_CONTROL = ("control_mean", "control_variance", "control_detected")


def write_table(effects: Effects, path: Path) -> Path:
    """Write effects as one wide table; see :meth:`Effects.save` for the layout."""
    kind = table_kind(path)
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
    if not table_kind(path):
        hint = "Compute effects from a screen first: hyperperturb effects FILE OUT.parquet"
        if path.suffix.casefold() != ".h5ad":
            hint = (
                "Give a .csv or .tsv (also .gz) or .parquet table, perturbations in rows, genes in columns."
            )
        raise HyperPerturbError(f"'{path}' is not a table of effects.", hint=hint)
    table = NumberTable(path)
    if len(table.column_names) < 2:
        only = "".join(table.column_names)
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


def _rows_of(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows; without a copy where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return values[rows[0] : rows[-1] + 1]
    return values[rows]


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


def _own(path: Path, table: NumberTable, mode: Mode | None) -> Effects:
    again = "Write the table again with Effects.save, or remove the column 'statistic'."
    missing = [name for name in OWN_COLUMNS if name not in table.column_names]
    if missing:
        raise HyperPerturbError(
            f"'{path}' has a column 'statistic' but no column '{missing[0]}'.", hint=again
        )
    statistic = np.array(table.texts("statistic"), dtype=object)
    labels = table.texts("perturbation")
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
    values = table.numbers(genes)
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
    n_cells = table.counts("n_cells")
    said = table.texts("mode")[0]
    targets = table.texts("targets")
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


def _foreign(path: Path, table: NumberTable, mode: Mode | None) -> Effects:
    first = table.column_names[0]
    labels = table.texts(first)
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
    effect = table.numbers(genes)
    _refuse_missing(path, effect, genes, everything, known=True)
    n_cells = np.zeros(len(labels), dtype=np.int64)
    if "n_cells" in others:
        n_cells = table.counts("n_cells")
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
