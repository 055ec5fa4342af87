"""Opening a screen: uniform access to its cells, wherever and however they are stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import scipy.sparse as sp

from hyperperturb.data.formats import Opened, open_file
from hyperperturb.data.formats.anndata_layout import PROCESSED
from hyperperturb.data.formats.tenx import OTHER_KINDS, one_kind, other_kinds
from hyperperturb.data.frames import Frame, Labels, PandasFrame
from hyperperturb.data.genes import GeneNames, read_gene_names
from hyperperturb.data.h5ad import reading
from hyperperturb.data.matrix import Matrix, memory_matrix, open_matrix
from hyperperturb.data.tables import Tables, join_tables, read_tables
from hyperperturb.data.values import Values, look, refuse_bad_values
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

_COUNT_LAYERS = ("counts", "raw_counts", "count", "raw_count", "umi", "umis", "umi_counts", "raw", "matrix")
_PART_LAYERS = frozenset(
    ("spliced", "unspliced", "ambiguous")
)  # whole numbers, but only a part of the counts


class Screen:
    """An opened screen; made by :func:`open_screen`, used as a context manager.

    Attributes
    ----------
    path
        The file, None for an object in memory.
    genes
        ``(n_genes,)`` unique gene names as they are used (see :class:`~hyperperturb.data.genes.GeneNames`).
    n_cells, n_genes
        Size.
    layer
        Where the values are taken from; None is ``X``.
    matrix
        The values.
    values
        What they are.
    format
        The format of the file in words.
    other_features
        Feature types beside the genes: places of their own in the file.
    table_columns
        Columns of ``obs`` that come from tables beside the file: labels are looked for there first.
    """

    def __init__(
        self,
        *,
        path: Path | None,
        obs: Frame,
        names: GeneNames,
        matrix: Matrix,
        layer: str | None,
        values: Values,
        close: Callable[[], None],
        file_format: str,
        table_columns: tuple[str, ...],
        other_features: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.obs = obs
        self.names = names
        self.genes = names.genes
        self.matrix = matrix
        self.layer = layer
        self.values = values
        self.n_cells, self.n_genes = matrix.shape
        self.format = file_format
        self.table_columns = table_columns
        self.other_features = other_features
        self._close = close

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._close()

    @property
    def name(self) -> str:
        """The screen in words, for messages."""
        return f"'{self.path}'" if self.path is not None else "the AnnData object"

    @property
    def where(self) -> str:
        """The place of the values in words."""
        return {None: "X", "raw": "raw.X"}.get(self.layer, f"layer '{self.layer}'")

    @property
    def storage(self) -> Literal["csr", "csc", "dense"]:
        """How the values are stored."""
        return self.matrix.storage

    @property
    def is_log(self) -> bool:
        """Whether the values are log-normalised already."""
        return self.values.kind == "log-normalised"

    @property
    def log_factor(self) -> float:
        """What log-normalised values are multiplied with to be natural logarithms."""
        return float(np.log(self.values.log_base)) if self.is_log and self.values.log_base else 1.0

    @property
    def obs_columns(self) -> tuple[str, ...]:
        """The columns of ``obs``."""
        return self.obs.columns

    def cell_names(self) -> np.ndarray:
        """Read the names of the cells, objects of type str."""
        with reading(self.path, "the cell names"):
            if self.obs.n_rows() != self.n_cells:
                raise HyperPerturbError(
                    f"{self.name} names {self.obs.n_rows():,} cells, but its matrix has {self.n_cells:,}.",
                    hint="Write the file anew with anndata's write_h5ad.",
                )
            return self.obs.index()

    def label_codes(self, column: str) -> Labels:
        """Read a column of ``obs`` as codes and categories.

        Parameters
        ----------
        column
            A column of ``obs``.

        Returns
        -------
        Labels
            ``codes`` (−1 where a cell has no label) and ``categories``.

        Raises
        ------
        HyperPerturbError
            There is no such column, or it is damaged.
        """
        if column not in self.obs.columns:
            listed = ", ".join(self.obs.columns[:20])
            raise HyperPerturbError(
                f"{self.name} has no obs column '{column}'.", hint=f"Its columns are: {listed or 'none'}."
            )
        with reading(self.path, f"obs column '{column}'"):
            n_rows = self.obs.n_rows(column)  # before reading: a damaged file may declare any length
            if n_rows != self.n_cells:
                raise HyperPerturbError(
                    f"Column '{column}' of {self.name} has {n_rows:,} rows, but the matrix has {self.n_cells:,} cells.",
                    hint="Write the file anew with anndata's write_h5ad.",
                )
            labels = self.obs.labels(column)
        if labels.codes.shape != (self.n_cells,):
            raise HyperPerturbError(
                f"Column '{column}' of {self.name} is not one value a cell.",
                hint="Write the file anew with anndata's write_h5ad.",
            )
        return labels

    def labels(self, column: str) -> np.ndarray:
        """Read a column of ``obs`` as text.

        Parameters
        ----------
        column
            A column of ``obs``.

        Returns
        -------
        np.ndarray
            ``(n_cells,)`` objects of type str; ``""`` where a cell has no label.

        Raises
        ------
        HyperPerturbError
            There is no such column, or it is damaged.
        """
        return self.label_codes(column).values()

    def take(self, cells: np.ndarray) -> AnnData:
        """Read some cells into memory.

        Parameters
        ----------
        cells
            Rising cell numbers.

        Returns
        -------
        anndata.AnnData
            ``X`` CSR float32: counts, or natural logarithms where the values are log-normalised.

        Raises
        ------
        HyperPerturbError
            The file is damaged.
        """
        import pandas as pd
        from anndata import AnnData

        values = self.matrix.take(cells)
        if self.is_log:
            values = (values * np.float32(self.log_factor)).tocsr()
        with reading(self.path, "obs"):
            obs = self.obs.take(cells)
        return AnnData(values, obs=obs, var=pd.DataFrame(index=list(self.genes)))

    def blocks(self, rows: int = 4096) -> Iterator[tuple[slice, sp.csr_matrix]]:
        """Go through the cells in blocks.

        Parameters
        ----------
        rows
            Cells a block.

        Yields
        ------
        tuple
            The cells (a slice) and their stored values ``(cells, n_genes)``, CSR, float32: counts or log-normalised
            values as in the file, not normalised. CSC files are read once for every 256 MB of values.

        Raises
        ------
        HyperPerturbError
            The file is damaged.
        """
        window = rows
        if self.storage == "csc":  # rows of a CSC file are scattered: take as many at a time as memory allows
            per_cell = max(8 * self.matrix.nnz // max(self.n_cells, 1), 1)
            window = max(rows, (256 << 20) // per_cell // rows * rows)
        for first in range(0, self.n_cells, window):
            last = min(first + window, self.n_cells)
            part = self.matrix.rows(first, last)
            for start in range(first, last, rows):
                stop = min(start + rows, last)
                yield slice(start, stop), part[start - first : stop - first] if window != rows else part


def is_anndata(source: object) -> bool:
    """Say whether an object is an AnnData, without importing anndata."""
    return all(hasattr(source, name) for name in ("obs", "var", "X", "layers", "obs_names"))


def open_screen(
    source: str | Path | AnnData, *, layer: str | None = None, tables: Sequence[str | Path] = ()
) -> Screen:
    """Open a screen for reading.

    Parameters
    ----------
    source
        A file or folder of any format of :mod:`hyperperturb.data.formats`, or an AnnData in memory or backed.
    layer
        The layer to take values from; ``"X"`` and ``"raw"`` name those. None takes ``X`` when it holds counts, else a
        layer (or ``raw``) that does, else ``X``.
    tables
        Tables that belong to the screen (guides of cells, genes of guides, symbols of genes), as in
        :func:`~hyperperturb.data.tables.read_tables`. Cell Ranger's, beside a 10x file, are found without being named.

    Returns
    -------
    Screen
        To be closed, or used as a context manager. Only names, row pointers and a sample of values are read (a
        ``matrix.mtx`` is read whole).

    Raises
    ------
    HyperPerturbError
        None of the formats, cut short, damaged; no ``obs``, no cells or genes, no such layer; values that are negative
        or not finite; a table that does not belong.
    """
    if isinstance(source, str | Path):
        opened = open_file(Path(source))
    elif is_anndata(source):
        opened = _open_memory(source)
    else:
        raise HyperPerturbError(
            f"A screen is the path of a file or an AnnData object, not {type(source).__name__}."
        )
    try:
        with reading(opened.path):
            return _screen(opened, layer, [Path(table) for table in tables])
    except BaseException:
        opened.close()
        raise


def _open_memory(adata: AnnData) -> Opened:
    backed = bool(getattr(adata, "isbacked", False))
    if backed and adata.is_view:
        adata, backed = adata.to_memory(), False  # only what the view shows
    path = adata.filename if backed else None
    arrays: dict[str, Any] = {}
    if adata.X is not None:
        arrays["X"] = adata.X
    arrays.update({name: adata.layers[name] for name in adata.layers if name not in ("X", "raw")})
    if adata.raw is not None:
        arrays["raw"] = adata.raw.X

    def place(name: str, kind: str = "X") -> tuple[Matrix, Frame]:
        where = {"X": "X", "raw": "raw.X"}.get(name, f"layer '{name}'")
        var = PandasFrame(adata.raw.var if name == "raw" else adata.var)
        array = getattr(arrays[name], "group", arrays[name])  # a backed sparse matrix wraps its HDF5 group
        if isinstance(array, h5py.Group | h5py.Dataset):
            return one_kind(open_matrix(array, path=path, where=where), var, kind)
        return one_kind(memory_matrix(array, where=where), var, kind)

    about = adata.uns.get("hyperperturb")
    processed = isinstance(about, Mapping) and about.get("x") == PROCESSED
    places = {name: partial(place, name) for name in arrays}
    counted = next((name for name in ("counts", "X") if name in arrays), None)
    if counted is not None:
        for kind in other_kinds(PandasFrame(adata.var)):
            places.setdefault(kind, partial(place, counted, kind))
    return Opened(None, "AnnData", PandasFrame(adata.obs), places, lambda: None, processed)


def _screen(opened: Opened, layer: str | None, paths: list[Path]) -> Screen:
    """Choose where the values are taken from, and name cells and genes with the help of the tables."""
    name = f"'{opened.path}'" if opened.path is not None else "the AnnData object"
    key, matrix, var, values = _choose(opened, name, layer)
    n_rows = var.n_rows()
    if n_rows != matrix.shape[1]:
        raise HyperPerturbError(
            f"The matrix of {name} has {matrix.shape[1]:,} genes, but its var table has {n_rows:,} rows.",
            hint="Write the file anew with anndata's write_h5ad.",
        )
    tables = _read_tables(opened, paths)
    names = read_gene_names(var, tables.symbols, tables.names.get("symbols"))
    obs, table_columns = opened.obs, ()
    if tables.cells is not None or tables.guide_genes or opened.guide_genes:
        obs, table_columns = join_tables(obs, tables, opened.guide_genes, name=name)
    screen = Screen(
        path=opened.path,
        obs=obs,
        names=names,
        matrix=matrix,
        layer=None if key == "X" else key,
        values=values,
        close=opened.close,
        file_format=opened.format,
        table_columns=table_columns,
        other_features=tuple(key for key in opened.places if key in OTHER_KINDS),
    )
    worst = values.bad or values.negative
    if worst is not None:
        refuse_bad_values(
            values,
            where=screen.where,
            name=name,
            cell=str(screen.cell_names()[worst[0]]),
            gene=names.genes[worst[1]],
        )
    return screen


def _read_tables(opened: Opened, paths: list[Path]) -> Tables:
    """The tables a person named, and those beside the file that say something else."""
    given = read_tables(paths)
    for path in opened.tables:
        found = read_tables([path])
        role = next(iter(found.names))
        if role not in given.names:
            given.names.update(found.names)
            given.cells = given.cells or found.cells
            given.guide_genes = given.guide_genes or found.guide_genes
    return given


def _choose(opened: Opened, name: str, layer: str | None) -> tuple[str, Matrix, Frame, Values]:
    """Choose where the values are taken from: X if it holds counts, else a layer that does, else X."""
    places = opened.places
    if layer is not None and layer not in places:
        have = ", ".join(repr(key) for key in places if key not in ("X", "raw")) or "none"
        raise HyperPerturbError(f"{name} has no layer '{layer}'.", hint=f"Its layers are: {have}.")
    if not places:
        raise HyperPerturbError(
            f"{name} has no matrix: neither X nor layers.", hint="Put the raw counts in X."
        )
    first: tuple[str, Matrix, Frame, Values] | None = None
    for key in _places(places, layer):
        try:
            matrix, var = places[key]()
            _check_size(name, matrix)
            values = look(matrix)
        except HyperPerturbError:
            if first is None:  # what X (or the layer that was named) suffers from is what must be said
                raise
            continue
        if opened.processed and key == "X" and values.bad is None:
            values = replace(
                values, kind="log-normalised", log_base=float(np.e), target_sum=1e4, processed=True
            )
            return key, matrix, var, values
        if values.bad is None and values.kind == "counts":
            return key, matrix, var, values
        if first is None:
            first = (key, matrix, var, values)
            if values.bad is None and values.kind == "fractional":
                break  # estimated counts: what else is there holds whole numbers of something else
    assert first is not None  # there is at least one place
    return first


def _places(nodes: Collection[str], layer: str | None) -> list[str]:
    """Where values may be taken from, in order."""
    if layer is not None:
        return [layer]
    rest = [
        key for key in nodes if key != "X" and key.casefold() not in _PART_LAYERS and key not in OTHER_KINDS
    ]
    rank = {name: i for i, name in enumerate(_COUNT_LAYERS)}
    rest.sort(key=lambda key: rank.get(key.casefold(), len(rank)))
    return [*(["X"] if "X" in nodes else []), *rest] or list(nodes)


def _check_size(name: str, matrix: Matrix) -> None:
    n_cells, n_genes = matrix.shape
    if n_cells == 0:
        raise HyperPerturbError(f"{name} has no cells.", hint="Check how it was filtered.")
    if n_genes == 0:
        raise HyperPerturbError(f"{name} has no genes.", hint="Check how it was filtered.")
