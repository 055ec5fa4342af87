"""10x folders: ``matrix.mtx``, ``barcodes.tsv``, ``features.tsv`` (or ``genes.tsv``), gzipped or not.

The matrix is text in no order that could be relied on, so it is read whole: 8 bytes a stored value.
"""

from __future__ import annotations

import gzip
import re
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.formats import Opened, Place
from hyperperturb.data.formats.tenx import feature_places, tables_beside
from hyperperturb.data.frames import Frame, MemoryFrame
from hyperperturb.data.h5ad import reading
from hyperperturb.data.matrix import Matrix, memory_matrix
from hyperperturb.errors import HyperPerturbError

_NAME = re.compile(r"(?P<prefix>.*?)(?:matrix|counts|)\.mtx(?:\.gz)?", re.IGNORECASE)
_BLOCK = 32 << 20  # bytes of text parsed at a time
_LONGEST_NAME = 10_000  # characters


def open_folder(path: Path) -> Opened:
    """Open a folder of 10x text files, or the matrix file in it.

    Raises
    ------
    HyperPerturbError
        The folder has no matrix or several, a part is missing, or the parts do not fit together.
    """
    matrix = _matrix_file(path) if path.is_dir() else path
    folder = matrix.parent
    found = _NAME.fullmatch(matrix.name)
    prefix = found["prefix"] if found else ""
    barcodes = _lines(_beside(folder, prefix, ("barcodes.tsv", "cells.tsv"), matrix), 1)[0]
    features = _lines(_beside(folder, prefix, ("features.tsv", "genes.tsv"), matrix), 3)
    ids = features[0]
    symbols = features[1] if len(features) > 1 else ids
    kinds = features[2] if len(features) > 2 else None
    counts = _read_matrix(matrix, n_cells=len(barcodes), n_genes=len(ids))
    places: dict[str, Place] = {}
    for name, chosen in feature_places(kinds, len(ids)).items():
        var = MemoryFrame(symbols[chosen], {"gene_ids": ids[chosen]})
        places[name] = partial(_place, counts, chosen, var, name)
    obs = MemoryFrame(barcodes, {})
    return Opened(path, "10x .mtx", obs, places, lambda: None, tables=tables_beside(folder))


def _place(counts: sp.csr_matrix, chosen: np.ndarray, var: Frame, name: str) -> tuple[Matrix, Frame]:
    where = "the matrix" if name == "X" else f"'{name}'"
    return memory_matrix(counts if chosen.all() else counts[:, chosen], where=where), var


def _matrix_file(folder: Path) -> Path:
    with reading(folder):
        found = sorted(p for p in folder.iterdir() if p.name.lower().endswith((".mtx", ".mtx.gz")))
    if not found:
        raise HyperPerturbError(
            f"The folder '{folder}' is not a screen: neither zarr nor a matrix.mtx.",
            hint="Give a .zarr folder, a 10x folder (matrix.mtx, barcodes.tsv, features.tsv), or the file itself.",
        )
    named = [p for p in found if p.name.lower().split(".mtx")[0] == "matrix"]
    found = named or found
    if len(found) > 1:
        raise HyperPerturbError(
            f"The folder '{folder}' holds {len(found)} matrices ({', '.join(p.name for p in found[:4])}).",
            hint="Give the one you mean.",
        )
    return found[0]


def _beside(folder: Path, prefix: str, names: tuple[str, ...], matrix: Path) -> Path:
    for start in dict.fromkeys((prefix, "")):
        for name in names:
            for end in ("", ".gz"):
                if (folder / f"{start}{name}{end}").is_file():
                    return folder / f"{start}{name}{end}"
    raise HyperPerturbError(
        f"There is no {prefix}{names[0]} (or .gz) beside '{matrix}'.",
        hint="A 10x folder has matrix.mtx, barcodes.tsv and features.tsv (genes.tsv in old versions).",
    )


def _unpacked(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _lines(path: Path, most: int) -> list[np.ndarray]:
    """The first columns of a table of names, all text; one array a column that every line has."""
    rows: list[list[str]] = []
    with reading(path, "the names"), _unpacked(path) as handle:
        while line := handle.readline(_LONGEST_NAME):
            if len(line) >= _LONGEST_NAME:
                raise HyperPerturbError(
                    f"Line {len(rows) + 1:,} of '{path}' is longer than {_LONGEST_NAME:,} characters.",
                    hint="Copy or download the file again.",
                )
            fields = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
            rows.append([field.strip().strip('"') for field in fields[:most]])
    width = min((len(row) for row in rows), default=0)
    if not rows or width == 0:
        raise HyperPerturbError(f"'{path}' is empty.", hint="Copy or download it again.")
    return [np.array([row[column] for row in rows], dtype=object) for column in range(width)]


def _read_matrix(path: Path, *, n_cells: int, n_genes: int) -> sp.csr_matrix:
    """Read a matrix in coordinate form as cells x genes, float32."""
    import pyarrow as pa
    import pyarrow.csv

    with reading(path, "the matrix"):
        n_lines, size, stored = _header(path)
        if size not in ((n_genes, n_cells), (n_cells, n_genes)):
            raise HyperPerturbError(
                f"The matrix of '{path}' is {size[0]:,} x {size[1]:,}, but beside it are {n_genes:,} features and "
                f"{n_cells:,} barcodes.",
                hint="Take the three files from the same folder of Cell Ranger's output.",
            )
        gene, cell = (0, 1) if size == (n_genes, n_cells) else (1, 0)
        options = {
            "read_options": pa.csv.ReadOptions(
                skip_rows=n_lines, column_names=["a", "b", "value"], block_size=_BLOCK
            ),
            "parse_options": pa.csv.ParseOptions(delimiter=" "),
            "convert_options": pa.csv.ConvertOptions(
                column_types={"a": pa.int32(), "b": pa.int32(), "value": pa.float32()}, null_values=[]
            ),
        }
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        if stored:
            with (
                _unpacked(path) as handle,
                pa.csv.open_csv(pa.PythonFile(handle, mode="r"), **options) as reader,
            ):
                parts.extend(_part(batch, gene, cell, n_genes, n_cells, path) for batch in reader)
        read = sum(len(part[1]) for part in parts)
        if read != stored:
            raise HyperPerturbError(
                f"The matrix of '{path}' has {read:,} values and should have {stored:,}: it is cut short or damaged.",
                hint="Copy or download it again.",
            )
    return _assemble(parts, n_cells, n_genes)


def _header(path: Path) -> tuple[int, tuple[int, int], int]:
    """Lines before the first value, size, number of values."""
    with _unpacked(path) as handle:
        first = handle.readline(_LONGEST_NAME).decode("utf-8", "replace").lower().split()
        if first[:3] != ["%%matrixmarket", "matrix", "coordinate"] or first[3:] not in (
            ["integer", "general"],
            ["real", "general"],
        ):
            raise HyperPerturbError(
                f"'{path}' is not a MatrixMarket file of counts (its first line is '{' '.join(first)[:80]}').",
                hint="It should begin with: %%MatrixMarket matrix coordinate integer general",
            )
        n_lines = 1
        while line := handle.readline(_LONGEST_NAME):
            n_lines += 1
            if not line.startswith(b"%") and line.strip():
                numbers = [int(part) for part in line.split()]
                if len(numbers) != 3 or min(numbers) < 0:
                    raise HyperPerturbError(
                        f"Line {n_lines} of '{path}' should give rows, columns and values."
                    )
                return n_lines, (numbers[0], numbers[1]), numbers[2]
    raise HyperPerturbError(f"'{path}' ends before its size is given.", hint="Copy or download it again.")


def _part(
    batch: object, gene: int, cell: int, n_genes: int, n_cells: int, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells (rising) with their number of values, genes and values of one block."""
    columns = [batch.column(i) for i in range(3)]  # type: ignore[attr-defined]
    if any(column.null_count for column in columns):
        raise HyperPerturbError(f"A line of '{path}' lacks a number.", hint="Copy or download it again.")
    arrays = [column.to_numpy(zero_copy_only=False) for column in columns]
    genes, cells, values = arrays[gene] - 1, arrays[cell] - 1, arrays[2]
    if len(values) and (
        min(genes.min(), cells.min()) < 0 or genes.max() >= n_genes or cells.max() >= n_cells
    ):
        raise HyperPerturbError(
            f"An index in '{path}' lies outside its {n_genes:,} genes x {n_cells:,} cells.",
            hint="Copy or download the file again.",
        )
    if (np.diff(cells) < 0).any():
        order = np.argsort(cells, kind="stable")
        genes, cells, values = genes[order], cells[order], values[order]
    return cells, genes, values


def _assemble(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], n_cells: int, n_genes: int
) -> sp.csr_matrix:
    """Put blocks together as CSR, without a second copy where the file goes cell by cell."""
    rising = all(a[0][-1] <= b[0][0] for a, b in pairwise(parts))
    per_cell = np.zeros(n_cells, dtype=np.int64)
    for cells, _, _ in parts:
        per_cell += np.bincount(cells, minlength=n_cells)
    indptr = np.concatenate(([0], np.cumsum(per_cell)))
    values = np.empty(int(indptr[-1]), dtype=np.float32)
    indices = np.empty(len(values), dtype=np.int32)
    free = indptr[:-1].copy()
    done = 0
    while parts:
        cells, genes, numbers = parts.pop(0)
        if rising:
            at: np.ndarray | slice = slice(done, done + len(cells))
            done += len(cells)
        else:  # within a block cells rise: the n-th value of a cell goes to its n-th free place
            first = np.searchsorted(cells, cells, side="left")
            at = free[cells] + np.arange(len(cells)) - first
            free += np.bincount(cells, minlength=n_cells)
        values[at], indices[at] = numbers, genes
    counts = sp.csr_matrix((values, indices, indptr), shape=(n_cells, n_genes))
    counts.sum_duplicates()
    return counts
