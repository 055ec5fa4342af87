"""Screens of the size of the largest published ones, written block by block, and the plain reading of their arrays."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import h5py
import numba
import numpy as np

N_GENES = 23_712
N_LABELS = 249
DEPTH = 2_600  # counts of a typical cell: 1,650 genes
CHUNK = 1 << 18
_BLOCK = 2_000


@numba.njit(cache=True)
def _draw(cumulative, guide, totals, seed, values, indices, indptr):
    """Deal out the counts of each cell to genes, and lay them out as CSR."""
    np.random.seed(seed)  # noqa: NPY002 - numba compiles this one
    counts = np.zeros(cumulative.shape[0], np.int32)
    at = 0
    for cell in range(totals.shape[0]):
        for _ in range(totals[cell]):
            u = np.random.random()  # noqa: NPY002
            gene = guide[int(u * (guide.shape[0] - 1))]
            while cumulative[gene] < u:
                gene += 1
            counts[gene] += 1
        for gene in range(counts.shape[0]):
            if counts[gene]:
                values[at] = counts[gene]
                indices[at] = gene
                counts[gene] = 0
                at += 1
        indptr[cell + 1] = at


def make_screen(path: Path, n_cells: int, *, seed: int = 0) -> None:
    """Write raw counts of `n_cells` cells, 23,712 genes and 249 labels (15 % controls) as CSR in an ``.h5ad``.

    Cells differ in size (log-normal, 0.4), genes in expression (log-normal, 2.0); perturbations do nothing: what they
    do has no part in how long it takes to add them up.
    """
    import pandas as pd
    from anndata.io import write_elem

    rng = np.random.default_rng(seed)
    level = rng.lognormal(0.0, 2.0, N_GENES)
    cumulative = np.cumsum(level) / level.sum()
    cumulative[-1] = 1.0
    guide = np.searchsorted(cumulative, np.linspace(0, 1, 1 << 16)).astype(np.int32)
    genes = [f"G{gene:05d}" for gene in range(N_GENES)]
    names = np.array(["control", *rng.choice(genes, N_LABELS - 1, replace=False)])
    share = np.append(0.15, np.full(N_LABELS - 1, 0.85 / (N_LABELS - 1)))
    labels = pd.Categorical.from_codes(rng.choice(N_LABELS, n_cells, p=share), names)
    batches = pd.Categorical.from_codes(rng.integers(4, size=n_cells), [f"lane{k}" for k in range(4)])
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        index = pd.Index([f"cell{cell}" for cell in range(n_cells)])
        write_elem(file, "obs", pd.DataFrame({"perturbation": labels, "batch": batches}, index=index))
        write_elem(file, "var", pd.DataFrame(index=pd.Index(genes)))
        group = file.create_group("X")
        group.attrs.update(
            {
                "encoding-type": "csr_matrix",
                "encoding-version": "0.1.0",
                "shape": np.array([n_cells, N_GENES]),
            }
        )
        options = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK,), "compression": "lzf"}
        stored = {
            name: group.create_dataset(name, dtype=kind, **options)
            for name, kind in (("data", "f4"), ("indices", "i4"))
        }
        pointers = [np.zeros(1, dtype=np.int64)]
        for start in range(0, n_cells, _BLOCK):
            n = min(_BLOCK, n_cells - start)
            totals = rng.poisson(DEPTH * rng.lognormal(0.0, 0.4, n))
            most = int(totals.sum())
            parts = {"data": np.empty(most, np.float32), "indices": np.empty(most, np.int32)}
            indptr = np.zeros(n + 1, dtype=np.int64)
            _draw(cumulative, guide, totals, seed + start, parts["data"], parts["indices"], indptr)
            before = stored["data"].shape[0]
            for name, array in stored.items():
                array.resize((before + int(indptr[-1]),))
                array[before:] = parts[name][: indptr[-1]]
            pointers.append(indptr[1:] + pointers[-1][-1])
        group.create_dataset("indptr", data=np.concatenate(pointers))


def convert(source: Path, out: Path, storage: str, compression: str) -> None:
    """Write a screen once more, as anndata writes it: ``csr``, ``csc`` or ``dense``; ``lzf``, ``gzip`` or ``none``."""
    import anndata

    warnings.simplefilter("ignore")  # what the next versions of zarr will do by default
    anndata.settings.zarr_write_format = 3
    adata = anndata.read_h5ad(source)
    adata.X = {"csr": adata.X.tocsr, "csc": adata.X.tocsc, "dense": adata.X.toarray}[storage]()
    if out.suffix == ".zarr":
        adata.write_zarr(out)
    else:
        adata.write_h5ad(out, compression=None if compression == "none" else compression)


def decode(path: Path) -> int:
    """Read the arrays of ``X`` one after the other, in blocks, and do nothing with them; gives their bytes."""
    if path.suffix == ".zarr":
        import zarr

        file = zarr.open_group(path, mode="r")
    else:
        file = h5py.File(path, "r")
    matrix = file["X"]
    n_bytes = 0
    if hasattr(matrix, "shape"):
        chunks = matrix.chunks or (1, matrix.shape[1])
        rows = max(chunks[0], (1 << 24) // matrix.shape[1] // chunks[0] * chunks[0])
        for start in range(0, matrix.shape[0], rows):
            n_bytes += np.asarray(matrix[start : start + rows]).nbytes
        return n_bytes
    for start in range(0, matrix["data"].shape[0], 1 << 24):
        for name in ("data", "indices"):
            n_bytes += np.asarray(matrix[name][start : start + (1 << 24)]).nbytes
    return n_bytes


def in_memory(path: Path) -> None:
    """Compute the same statistics with scanpy, the matrix in memory; print the seconds of each step."""
    import scanpy as sc

    started = time.perf_counter()

    def step(name: str) -> None:
        nonlocal started
        now = time.perf_counter()
        print(f"{name} {now - started:.0f} s", end=", ", flush=True)
        started = now

    adata = sc.read_h5ad(path)
    step("read")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    step("normalise")
    sc.pp.highly_variable_genes(adata, n_top_genes=2000)
    step("variable genes")
    sc.get.aggregate(adata, by="perturbation", func=["mean", "var", "count_nonzero"])
    step("aggregate")


def streamed(path: Path) -> None:
    """Compute them with the package."""
    from hyperperturb.data import compute_effects

    compute_effects(path, column="perturbation", control="control")


def on_cluster(path: Path, n_workers: int) -> None:
    """Compute them on a Dask cluster of this machine, a process and a thread a worker."""
    from distributed import LocalCluster

    from hyperperturb.data import compute_effects

    with LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        compute_effects(path, column="perturbation", control="control", scheduler=address)


if __name__ == "__main__":
    task, target, *more = sys.argv[1:]
    if task == "make":
        make_screen(Path(target), int(more[0]))
    elif task == "cluster":
        on_cluster(Path(target), int(more[0]))
    elif task == "convert":
        convert(Path(target), Path(more[0]), *more[1:])
    else:
        {"decode": decode, "scanpy": in_memory, "effects": streamed}[task](Path(target))
