"""Opening a screen: uniform access to its cells, wherever and however they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import scipy.sparse as sp

from hyperperturb.data.frames import Frame, Labels, PandasFrame, open_frame
from hyperperturb.data.genes import GeneNames, read_gene_names
from hyperperturb.data.h5ad import open_h5, reading, text
from hyperperturb.data.matrix import Matrix, memory_matrix, open_matrix
from hyperperturb.data.values import Values, look, refuse_bad_values
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

PROCESSED = "log1p(CP10k)"  # uns["hyperperturb"]["x"] of what preprocess_data makes
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
    file
        The open h5py file, None for an object in memory.
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
        file: Any,
    ) -> None:
        self.path = path
        self.obs = obs
        self.names = names
        self.genes = names.genes
        self.matrix = matrix
        self.layer = layer
        self.values = values
        self.n_cells, self.n_genes = matrix.shape
        self.file = file

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None

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


def open_screen(source: str | Path | AnnData, *, layer: str | None = None) -> Screen:
    """Open a screen for reading.

    Parameters
    ----------
    source
        An ``.h5ad`` file, or an AnnData in memory or backed.
    layer
        The layer to take values from; ``"X"`` and ``"raw"`` name those. None takes ``X`` when it holds counts, else a
        layer (or ``raw``) that does, else ``X``.

    Returns
    -------
    Screen
        To be closed, or used as a context manager. Only names, row pointers and a sample of values are read.

    Raises
    ------
    HyperPerturbError
        Not an HDF5 file, cut short, damaged; no ``obs``, no cells or genes, no such layer; values that are negative
        or not finite.
    """
    if isinstance(source, str | Path):
        return _open_file(Path(source), layer)
    if is_anndata(source):
        return _open_memory(source, layer)
    raise HyperPerturbError(
        f"A screen is a path to an .h5ad file or an AnnData object, not {type(source).__name__}."
    )


def _open_file(path: Path, layer: str | None) -> Screen:
    file = open_h5(path)
    try:
        with reading(path):
            return _screen_of_file(path, file, layer)
    except BaseException:
        file.close()
        raise


def _screen_of_file(path: Path, file: h5py.File, layer: str | None) -> Screen:
    obs = open_frame(file, "obs")
    if obs is None:
        other = (
            "it is a 10x .h5 file: cells x genes without labels"
            if "matrix" in file
            else "not an AnnData file"
        )
        raise HyperPerturbError(
            f"'{path}' has no 'obs' table, so no labels of cells ({other}).",
            hint="Write the screen with anndata's write_h5ad, with the perturbation of each cell as a column of obs.",
        )
    nodes: dict[str, Any] = {}
    if "X" in file and not (isinstance(file["X"], h5py.Dataset) and file["X"].shape in (None, ())):
        nodes["X"] = file["X"]
    if isinstance(file.get("layers"), h5py.Group):
        nodes.update({name: node for name, node in file["layers"].items() if name not in ("X", "raw")})
    raw = file.get("raw")
    if isinstance(raw, h5py.Group) and "X" in raw:
        nodes["raw"] = raw["X"]
    elif "raw.X" in file:  # anndata < 0.7
        nodes["raw"] = file["raw.X"]

    def opener(name: str) -> tuple[Matrix, Frame | None]:
        where = {"X": "X", "raw": "raw.X"}.get(name, f"layer '{name}'")
        var = open_frame(file, "var")
        if name == "raw":
            raw_var = open_frame(raw, "var") if isinstance(raw, h5py.Group) else _legacy_raw_var(file)
            var = raw_var or var
        return open_matrix(nodes[name], path=path, where=where), var

    marked = file.get("uns/hyperperturb/x")
    processed = isinstance(marked, h5py.Dataset) and marked.shape == () and text(marked[()]) == PROCESSED
    return _choose(path, obs, nodes, opener, layer, file, processed)


def _legacy_raw_var(file: h5py.File) -> Frame | None:
    return open_frame({"raw.var": file.get("raw.var")}, "raw.var") if "raw.var" in file else None  # type: ignore[arg-type]


def _open_memory(adata: AnnData, layer: str | None) -> Screen:
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

    def opener(name: str) -> tuple[Matrix, Frame | None]:
        where = {"X": "X", "raw": "raw.X"}.get(name, f"layer '{name}'")
        var = PandasFrame(adata.raw.var if name == "raw" else adata.var)
        array = getattr(arrays[name], "group", arrays[name])  # a backed sparse matrix wraps its HDF5 group
        if isinstance(array, h5py.Group | h5py.Dataset):
            return open_matrix(array, path=path, where=where), var
        return memory_matrix(array, where=where), var

    about = adata.uns.get("hyperperturb")
    processed = isinstance(about, Mapping) and about.get("x") == PROCESSED
    return _choose(None, PandasFrame(adata.obs), arrays, opener, layer, None, processed)


def _choose(
    path: Path | None,
    obs: Frame,
    nodes: dict[str, Any],
    opener: Any,
    layer: str | None,
    file: Any,
    processed: bool,
) -> Screen:
    """Choose where the values are taken from: X if it holds counts, else a layer that does, else X."""
    name = f"'{path}'" if path is not None else "the AnnData object"
    if layer is not None and layer not in nodes:
        have = ", ".join(repr(key) for key in nodes if key not in ("X", "raw")) or "none"
        raise HyperPerturbError(f"{name} has no layer '{layer}'.", hint=f"Its layers are: {have}.")
    if not nodes:
        raise HyperPerturbError(
            f"{name} has no matrix: neither X nor layers.", hint="Put the raw counts in X."
        )
    first: tuple[str, Matrix, Frame | None, Values] | None = None
    chosen = None
    for key in _places(nodes, layer):
        try:
            matrix, var = opener(key)
            _check_size(name, matrix)
            values = look(matrix)
        except HyperPerturbError:
            if first is None:  # what X (or the layer that was named) suffers from is what must be said
                raise
            continue
        if processed and key == "X" and values.bad is None:
            values = replace(
                values, kind="log-normalised", log_base=float(np.e), target_sum=1e4, processed=True
            )
            first = (key, matrix, var, values)
            break
        if first is None:
            first = (key, matrix, var, values)
            if values.bad is None and values.kind == "fractional":
                break  # estimated counts: what else is there holds whole numbers of something else
        if values.bad is None and values.kind == "counts":
            chosen = (key, matrix, var, values)
            break
    key, matrix, var, values = chosen or first  # type: ignore[misc]
    n_rows = var.n_rows() if var is not None else matrix.shape[1]
    if n_rows != matrix.shape[1]:
        raise HyperPerturbError(
            f"The matrix of {name} has {matrix.shape[1]:,} genes, but its var table has {n_rows:,} rows.",
            hint="Write the file anew with anndata's write_h5ad.",
        )
    names = read_gene_names(var) if var is not None else GeneNames(tuple(f"gene {i}" for i in range(n_rows)))
    screen = Screen(
        path=path,
        obs=obs,
        names=names,
        matrix=matrix,
        layer=None if key == "X" else key,
        values=values,
        file=file,
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


def _places(nodes: dict[str, Any], layer: str | None) -> list[str]:
    """Where values may be taken from, in order."""
    if layer is not None:
        return [layer]
    rest = [key for key in nodes if key != "X" and key.casefold() not in _PART_LAYERS]
    rank = {name: i for i, name in enumerate(_COUNT_LAYERS)}
    rest.sort(key=lambda key: rank.get(key.casefold(), len(rank)))
    return [*(["X"] if "X" in nodes else []), *rest] or list(nodes)


def _check_size(name: str, matrix: Matrix) -> None:
    n_cells, n_genes = matrix.shape
    if n_cells == 0:
        raise HyperPerturbError(f"{name} has no cells.", hint="Check how it was filtered.")
    if n_genes == 0:
        raise HyperPerturbError(f"{name} has no genes.", hint="Check how it was filtered.")
