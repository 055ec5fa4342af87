"""A map of the cells: variable genes, principal components, neighbours, UMAP.

scanpy does the work, in memory for a sample, on Dask arrays of the file's own blocks for all cells.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Collection
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.opening import Screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress, no_progress

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST = 10
"""Cells that a map takes at least."""

_TARGET = 1e4
_ROWS = 8192  # cells in a Dask block
_EXACT = 50_000  # cells whose neighbours are found by comparing all with all
_NEIGHBOURS, _COMPONENTS, _VARIABLE = 15, 50, 2000


def map_cells(
    screen: Screen,
    rows: np.ndarray,
    *,
    keep: Collection[str] = (),
    n_top_genes: int = _VARIABLE,
    n_pcs: int = _COMPONENTS,
    n_neighbors: int = _NEIGHBOURS,
    seed: int = 0,
    progress: Progress | None = None,
) -> AnnData:
    """Lay out cells in two dimensions so that cells of like expression lie together.

    Parameters
    ----------
    screen
        An open screen; it must stay open until this returns.
    rows
        Rising numbers of the cells to draw. All of them are read through Dask, block by block, and never held in
        memory at once with all their genes.
    keep
        Genes to keep beside the variable ones, where they are measured.
    n_top_genes
        Variable genes (scanpy's, on log1p(CP10k)); the components are theirs.
    n_pcs, n_neighbors
        Principal components, not scaled; neighbours of each cell.
    seed
        Of UMAP and of the components.
    progress
        Told what is being done.

    Returns
    -------
    anndata.AnnData
        ``X`` log1p(CP10k), CSC float32, normalised over all genes, of the variable and the kept genes;
        ``obs["total_counts"]`` (counts only); ``obsm["X_pca"]``, ``obsm["X_umap"]``; ``obsp`` as scanpy makes them.

    Raises
    ------
    HyperPerturbError
        Too few cells; the file is damaged.

    Notes
    -----
    Importing umap-learn imports TensorFlow where that is installed, which is kept from happening here; a process that
    must not know umap calls this in another one (:mod:`hyperperturb.runs.cell_views`).
    """
    report = progress or no_progress
    if len(rows) < FEWEST:
        raise HyperPerturbError(
            f"A map takes at least {FEWEST} cells, and there are {len(rows):,}.", hint="Draw more cells."
        )
    report(0.0, "loading scanpy")
    with quiet():
        import scanpy as sc

        if len(rows) == screen.n_cells:
            adata = _lazy(screen)
        else:
            report(0.05, f"reading {len(rows):,} cells")
            adata = screen.take(rows)
        report(0.15, "normalising and choosing variable genes")
        if not screen.is_log:
            adata.obs["total_counts"] = _totals(adata.X)
            sc.pp.normalize_total(adata, target_sum=_TARGET)
            sc.pp.log1p(adata)
        variable = _variable(sc, adata, n_top_genes)
        kept = variable | np.isin(adata.var_names, list(keep))
        adata.var["highly_variable"] = variable
        adata = adata[:, kept].copy()
        report(0.3, "finding principal components")
        n_pcs = min(n_pcs, adata.n_obs - 1, int(adata.var["highly_variable"].sum()) - 1)
        if n_pcs < 1:
            raise HyperPerturbError(
                "The cells do not vary, so there is no map of them.", hint="Look at the counts of the file."
            )
        sc.pp.pca(adata, n_comps=n_pcs, mask_var="highly_variable", random_state=seed)
        adata.obsm["X_pca"] = np.ascontiguousarray(_compute(adata.obsm["X_pca"]), dtype=np.float32)
        report(0.5, f"keeping the values of {adata.n_vars:,} genes")
        adata.X = sp.csc_matrix(_compute(adata.X), dtype=np.float32)
        report(0.55, "loading umap-learn")
        import_umap()
        report(0.6, f"finding the neighbours of {adata.n_obs:,} cells")
        n_neighbors = min(n_neighbors, adata.n_obs - 1)
        sc.pp.neighbors(
            adata,
            n_neighbors=n_neighbors,
            use_rep="X_pca",
            random_state=seed,
            transformer=_transformer(adata.n_obs, n_neighbors, seed),
        )
        report(0.7, f"laying out {adata.n_obs:,} cells with UMAP")
        sc.tl.umap(adata, random_state=seed)
    report(1.0, "the map is drawn")
    return adata


def import_umap() -> None:
    """Import umap-learn without the TensorFlow that its parametric variant would bring."""
    if "umap" in sys.modules or "tensorflow" in sys.modules:
        return
    sys.modules["tensorflow"] = None  # what makes an import of it fail
    try:
        with quiet():
            import umap  # noqa: F401
    finally:
        del sys.modules["tensorflow"]


@contextmanager
def quiet() -> Any:
    """Keep what the libraries warn their own developers of from the people who wait."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _lazy(screen: Screen) -> AnnData:
    """All cells of a screen as a Dask array of CSR blocks, read when they are needed."""
    import anndata
    import dask
    import dask.array as da
    import pandas as pd

    lock = threading.Lock()  # a file of a screen has one reader

    def block(start: int, stop: int) -> sp.csr_matrix:
        with lock:
            part = screen.matrix.rows(start, stop).astype(np.float32)
        return part * np.float32(screen.log_factor) if screen.is_log else part

    size = window(screen)
    meta = sp.csr_matrix((0, 0), dtype=np.float32)
    pieces = [
        da.from_delayed(
            dask.delayed(block)(start, min(start + size, screen.n_cells)),
            shape=(min(size, screen.n_cells - start), screen.n_genes),
            dtype=np.float32,
            meta=meta,
        )
        for start in range(0, screen.n_cells, size)
    ]
    obs = pd.DataFrame(index=np.arange(screen.n_cells).astype(str))
    return anndata.AnnData(
        da.concatenate(pieces, axis=0), obs=obs, var=pd.DataFrame(index=list(screen.genes))
    )


def window(screen: Screen) -> int:
    """Cells in a block: the rows of a CSC file are scattered over it, so there a block is as large as memory allows."""
    if screen.storage != "csc":
        return _ROWS
    per_cell = max(8 * screen.matrix.nnz // max(screen.n_cells, 1), 1)
    return max(_ROWS, (1 << 30) // per_cell)


def _compute(values: Any) -> Any:
    return values.compute() if hasattr(values, "compute") else values


def _transformer(n_cells: int, n_neighbors: int, seed: int) -> Any:
    """What finds neighbours: exactly, or beyond fifty thousand cells nearly so."""
    if n_cells <= _EXACT:
        return "sklearn"
    from pynndescent import PyNNDescentTransformer

    class Transformer(PyNNDescentTransformer):
        """Since pynndescent 0.7 the graph is a sparse array; scanpy 1.11 reads a sparse matrix."""

        def fit_transform(self, *args: Any, **options: Any) -> sp.csr_matrix:
            return sp.csr_matrix(super().fit_transform(*args, **options))

    return Transformer(n_neighbors=n_neighbors, metric="euclidean", random_state=seed)


def _totals(values: Any) -> np.ndarray:
    """Counts of each cell."""
    if hasattr(values, "map_blocks"):  # Dask cannot add up sparse blocks by itself
        values = values.map_blocks(
            lambda block: np.asarray(block.sum(axis=1)),
            dtype=np.float32,
            chunks=(values.chunks[0], (1,)),
            meta=np.zeros((0, 0), dtype=np.float32),
        ).compute()
        return values.ravel()
    return np.asarray(values.sum(axis=1)).ravel()


def _variable(sc: Any, adata: AnnData, n_top_genes: int) -> np.ndarray:
    if adata.n_vars <= n_top_genes:
        return np.ones(adata.n_vars, dtype=bool)
    table = sc.pp.highly_variable_genes(adata, n_top_genes=n_top_genes, inplace=False)
    return table["highly_variable"].to_numpy(dtype=bool)
