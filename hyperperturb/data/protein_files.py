"""Files of proteins: AnnData, 10x, or a table of cells by antibodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from hyperperturb.data.formats import open_file
from hyperperturb.data.formats.tenx import ANTIBODIES
from hyperperturb.data.h5ad import reading
from hyperperturb.data.matrix import Matrix, memory_matrix
from hyperperturb.data.opening import is_anndata
from hyperperturb.data.protein_names import offers
from hyperperturb.data.text_table import open_table
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".parquet")
PROTEIN_SUFFIXES = (".h5ad", ".zarr", ".zarr.zip", ".h5", ".mtx", ".mtx.gz", *_TABLES)
"""What names of files of proteins end in; a folder of 10x text files may be called anything."""

_TABLE = "A table of proteins has the names of cells in its first column and one column an antibody."
_MOST = 2000  # antibodies; a file with more features holds RNA


@dataclass
class ProteinFile:
    """An opened file of proteins, used as a context manager.

    Attributes
    ----------
    name
        What to call it in messages.
    cells
        ``(N,)`` names of the cells.
    names
        ``(A,)`` names of the antibodies.
    matrix
        ``(N, A)`` values.
    is_counts
        Whether these are counts; otherwise somebody has normalised them.
    close
        Closes the file.
    """

    name: str
    cells: np.ndarray
    names: tuple[str, ...]
    matrix: Matrix
    is_counts: bool
    close: Callable[[], None]
    in_table: bool = False

    def __enter__(self) -> ProteinFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def turned_to(self, cells: np.ndarray) -> ProteinFile:
        """The same file with cells in rows, where a table has them in columns; checked to hold antibodies.

        Parameters
        ----------
        cells
            Names of the screen's cells.
        """
        file = self
        if self.in_table:
            rows, columns = self.cells, np.array(self.names, dtype=object)
            if not _fit(cells, rows) and _fit(cells, columns):
                turned = memory_matrix(
                    np.ascontiguousarray(self.matrix.rows(0, len(rows)).toarray().T), where="the table"
                )
                file = replace(self, cells=columns, names=tuple(map(str, rows)), matrix=turned)
        file._check()
        return file

    def _check(self) -> None:
        if len(self.names) > _MOST:
            raise HyperPerturbError(
                f"{self.name} has {len(self.names):,} features, which no panel of antibodies has: it seems "
                "to hold RNA.",
                hint="Give the file of antibody counts.",
            )
        if self.is_counts and len(self.names) < 2:
            raise HyperPerturbError(
                f"{self.name} has {len(self.names)} antibody; levels are ratios between antibodies.",
                hint="At least 2 are needed, or levels that are normalised already.",
            )
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise HyperPerturbError(
                f"{self.name} has the antibody '{sorted(twice)[0]}' more than once.",
                hint="Rename one of them.",
            )

    def blocks(self, cells: int) -> Iterator[tuple[int, np.ndarray]]:
        """Go through the file: the first cell of a block and its values, float64.

        Raises
        ------
        HyperPerturbError
            A value is not finite, or a count is negative.
        """
        step = (
            len(self.cells) if self.matrix.storage == "csc" else cells
        )  # by gene: read once, a panel is small
        for start in range(0, len(self.cells), max(step, 1)):
            stop = min(start + step, len(self.cells))
            values = self.matrix.rows(start, stop).toarray().astype(np.float64)
            bad = ~np.isfinite(values) | (values < 0 if self.is_counts else False)
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise HyperPerturbError(
                    f"{self.name} has the value {values[row, column]:g} for '{self.names[column]}' in cell "
                    f"'{self.cells[start + row]}'.",
                    hint="Give raw counts, or levels without missing values.",
                )
            yield start, values


def _fit(cells: np.ndarray, names: np.ndarray) -> bool:
    """Whether names are those of cells, perhaps after a mend."""
    return bool(set(map(str, cells)) & set(map(str, names))) or bool(offers(cells, names))


def open_proteins(source: str | Path | AnnData) -> ProteinFile:
    """Open a file of proteins.

    Parameters
    ----------
    source
        An ``.h5ad`` or ``.zarr`` whose values are proteins, or whose ``var["feature_types"]`` says which features are
        (``Antibody Capture``); a 10x ``.h5`` or folder with such features; a table (``.csv``, ``.tsv``, ``.parquet``,
        also gzipped) of cells by antibodies, or turned over; or an AnnData in memory: with ``obsm["protein"]`` as
        :func:`~hyperperturb.data.preprocess.preprocess_data` makes it, or of proteins itself.

    Returns
    -------
    ProteinFile
        To be closed, or used as a context manager. Tables are read whole, the rest in blocks.

    Raises
    ------
    HyperPerturbError
        None of these, or damaged.
    """
    if is_anndata(source):
        return _of_anndata(source)
    path = Path(source)
    if path.is_file() and path.name.lower().endswith(_TABLES):
        return _of_table(path)
    if not path.exists():
        raise HyperPerturbError(f"There is no file '{path}' (proteins).", hint="Check the path.")
    opened = open_file(path)
    try:
        with reading(opened.path, "the proteins"):
            place = ANTIBODIES if ANTIBODIES in opened.places else "X"
            if place not in opened.places:
                raise HyperPerturbError(f"'{path}' has no values in X.", hint="Put the antibody counts in X.")
            matrix, var = opened.places[place]()
            return _file(f"'{path}'", opened.obs.index(), tuple(map(str, var.index())), matrix, opened.close)
    except BaseException:
        opened.close()
        raise


def _file(
    name: str,
    cells: np.ndarray,
    names: tuple[str, ...],
    matrix: Matrix,
    close: Callable[[], None],
    *,
    in_table: bool = False,
) -> ProteinFile:
    if matrix.shape != (len(cells), len(names)):
        raise HyperPerturbError(
            f"{name} names {len(cells):,} cells and {len(names):,} antibodies, but its matrix is "
            f"{matrix.shape[0]:,} x {matrix.shape[1]:,}.",
            hint="Write the file anew.",
        )
    if not len(cells) or not names:
        raise HyperPerturbError(f"{name} has no cells or no antibodies.", hint="Check how it was made.")
    first = matrix.rows(0, min(len(cells), 512)).data
    is_counts = bool((first >= 0).all() and (first == np.round(first)).all())
    return ProteinFile(name, cells, names, matrix, is_counts, close, in_table)


def _nothing() -> None:
    """Nothing is open."""


def _of_anndata(adata: AnnData) -> ProteinFile:
    cells = np.array([str(cell) for cell in adata.obs_names], dtype=object)
    if "protein" in adata.obsm:
        levels = adata.obsm["protein"]
        named = adata.uns.get("hyperperturb", {}).get("protein_names")
        names = getattr(levels, "columns", named)
        if names is None:
            raise HyperPerturbError(
                "obsm['protein'] does not say what its columns are.",
                hint="Make it a DataFrame with the antibodies as columns.",
            )
        values = np.asarray(levels, dtype=np.float32)
        return _file(
            "obsm['protein']", cells, tuple(map(str, names)), memory_matrix(values, where="obsm"), _nothing
        )
    from hyperperturb.data.formats.tenx import one_kind, other_kinds
    from hyperperturb.data.frames import PandasFrame

    var = PandasFrame(adata.var)
    matrix = memory_matrix(adata.X, where="X")
    if ANTIBODIES in other_kinds(var):
        matrix, var = one_kind(matrix, var, ANTIBODIES)
    return _file("the AnnData of proteins", cells, tuple(map(str, var.index())), matrix, _nothing)


def _of_table(path: Path) -> ProteinFile:
    table = _read(path)
    if not len(table):
        raise HyperPerturbError(
            f"'{path}' has no rows beside its header.", hint="A table of proteins has one row a cell."
        )
    for column in table.columns:
        if table[column].dtype.kind not in "biuf":
            wrong = next((v for v in table[column] if not _is_number(v)), None)
            raise HyperPerturbError(
                f"In '{path}', the column '{column}' holds '{str(wrong)[:40]}', which is no number.",
                hint="Beside the names of the cells in its first column, a table of proteins holds counts.",
            )
    values = table.to_numpy(np.float32)
    if np.isnan(values).any():
        row, column = np.argwhere(np.isnan(values))[0]
        raise HyperPerturbError(
            f"In '{path}', the value of '{table.columns[column]}' for '{table.index[row]}' is missing.",
            hint="Write 0 where nothing was counted.",
        )
    cells = np.array([str(name) for name in table.index], dtype=object)
    names = tuple(str(name) for name in table.columns)
    return _file(f"'{path}'", cells, names, memory_matrix(values, where="the table"), _nothing, in_table=True)


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.name.lower().endswith(".parquet"):
            table = pd.read_parquet(path)
            if isinstance(table.index, pd.RangeIndex) and len(table.columns):
                table = table.set_index(table.columns[0])
            return table
        try:
            text = open_table(path, what="table of proteins")
        except HyperPerturbError as error:  # its hints are about networks
            raise HyperPerturbError(error.message, hint=_TABLE) from error
        # the first column names the cells; R leaves its header out
        return pd.read_csv(BytesIO(text.data), sep=text.delimiter, index_col=0, skiprows=text.first)
    except HyperPerturbError:
        raise
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
        raise HyperPerturbError(
            f"'{path}' cannot be read as a table ({said}).",
            hint=_TABLE,
        ) from error
