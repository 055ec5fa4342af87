"""The small screen of conftest in every format, and what belongs beside it."""

from __future__ import annotations

import gzip
import shutil
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

GUIDES = {"G0": ("G0-1", "G0-2"), "G1": ("G1-1", "G1-2"), "G2": ("G2-1",), "Non-Targeting": ("NT-1", "NT-2")}
GUIDE_GENES = {guide: gene for gene, guides in GUIDES.items() for guide in guides}
FORMATS = ("h5ad", "zarr", "zarr.zip", "loom", "10x.h5", "10x-v2.h5", "mtx", "mtx-v2")


def guide_calls(adata: ad.AnnData) -> pd.DataFrame:
    """Guide calls as Cell Ranger writes them; every 40th cell has none."""
    rows = []
    for i, (cell, label) in enumerate(adata.obs["perturbation"].items()):
        genes = ["Non-Targeting"] if label == "control" else str(label).split("_")
        guides = [GUIDES[gene][i // 5 % len(GUIDES[gene])] for gene in genes]
        rows.append((cell, len(guides), "|".join(guides), "|".join(str(3 + i % 90) for _ in guides)))
    table = pd.DataFrame(rows, columns=["cell_barcode", "num_features", "feature_call", "num_umis"])
    return table[np.arange(len(table)) % 40 != 7]


def write_calls(adata: ad.AnnData, folder: Path) -> None:
    """Guide calls and feature reference, where Cell Ranger puts them."""
    (folder / "crispr_analysis").mkdir(parents=True, exist_ok=True)
    guide_calls(adata).to_csv(folder / "crispr_analysis" / "protospacer_calls_per_cell.csv", index=False)
    reference = pd.DataFrame(
        {
            "id": list(GUIDE_GENES),
            "name": list(GUIDE_GENES),
            "read": "R2",
            "pattern": "(BC)GTTT",
            "sequence": "ACGT",
            "feature_type": "CRISPR Guide Capture",
            "target_gene_id": [
                gene if gene == "Non-Targeting" else f"ENSG{i:011d}"
                for i, gene in enumerate(GUIDE_GENES.values())
            ],
            "target_gene_name": list(GUIDE_GENES.values()),
        }
    )
    reference.to_csv(folder / "crispr_analysis" / "feature_reference.csv", index=False)


def features(adata: ad.AnnData, *, others: bool) -> tuple[sp.csc_matrix, pd.DataFrame]:
    """Genes x cells with, where wanted, guides and antibodies among the features."""
    counts = sp.csr_matrix(adata.X).T.tocsr()
    table = pd.DataFrame(
        {
            "id": [f"ENSG{i:011d}" for i in range(adata.n_vars)],
            "name": list(adata.var_names),
            "type": "Gene Expression",
            "target": "",
        }
    )
    if others:
        rng = np.random.default_rng(1)
        more = sp.csr_matrix(rng.poisson(50, (len(GUIDE_GENES) + 3, adata.n_obs)))
        guides = pd.DataFrame(
            {
                "id": list(GUIDE_GENES),
                "name": list(GUIDE_GENES),
                "type": "CRISPR Guide Capture",
                "target": list(GUIDE_GENES.values()),
            }
        )
        proteins = pd.DataFrame(
            {
                "id": ["CD3", "CD4", "CD8"],
                "name": ["CD3", "CD4", "CD8"],
                "type": "Antibody Capture",
                "target": "",
            }
        )
        order = np.random.default_rng(2).permutation(
            len(table) + len(more.toarray())
        )  # mixed up: harder than Cell Ranger's
        counts = sp.vstack([counts, more]).tocsr()[order]
        table = pd.concat([table, guides, proteins], ignore_index=True).iloc[order].reset_index(drop=True)
    return counts.tocsc(), table


def write_10x_h5(adata: ad.AnnData, path: Path, *, version: int = 3, others: bool = True) -> None:
    """A feature-barcode matrix as Cell Ranger 2 or 3 writes it."""
    counts, table = features(adata, others=others and version > 2)
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version > 2 else "GRCh38")
        group["barcodes"] = np.array(list(adata.obs_names), dtype="S40")
        group.create_dataset("data", data=counts.data.astype("i4"), compression="gzip", chunks=(500,))
        group.create_dataset("indices", data=counts.indices.astype("i8"), compression="gzip", chunks=(500,))
        group["indptr"] = counts.indptr.astype("i8")
        group["shape"] = np.array(counts.shape, dtype="i4")
        if version == 2:
            group["genes"], group["gene_names"] = table["id"].astype("S40"), table["name"].astype("S40")
            return
        part = group.create_group("features")
        for name, column in (
            ("id", "id"),
            ("name", "name"),
            ("feature_type", "type"),
            ("target_gene_name", "target"),
        ):
            part.create_dataset(name, data=table[column].to_numpy(dtype=object), dtype=text)


def write_mtx(adata: ad.AnnData, folder: Path, *, version: int = 3, others: bool = True) -> None:
    """A folder as Cell Ranger 2 (plain) or 3 (gzipped) writes it."""
    counts, table = features(adata, others=others and version > 2)
    folder.mkdir(parents=True)
    scipy.io.mmwrite(folder / "matrix.mtx", counts.astype(int), field="integer")
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in adata.obs_names))
    columns = ["id", "name", "type"] if version > 2 else ["id", "name"]
    name = "features.tsv" if version > 2 else "genes.tsv"
    table[columns].to_csv(folder / name, sep="\t", header=False, index=False)
    if version > 2:
        for plain in list(folder.iterdir()):
            with gzip.open(f"{plain}.gz", "wb") as packed:
                packed.write(plain.read_bytes())
            plain.unlink()


def write_loom(adata: ad.AnnData, path: Path) -> None:
    """A loom file with its labels as attributes of cells."""
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "matrix", data=sp.csr_matrix(adata.X).T.toarray(), chunks=(8, 64), compression="gzip"
        )
        for name in ("layers", "row_graphs", "col_graphs", "attrs"):
            file.create_group(name)
        text = h5py.string_dtype()
        cells, genes = file.create_group("col_attrs"), file.create_group("row_attrs")
        cells.create_dataset("CellID", data=np.array(adata.obs_names, dtype=object), dtype=text)
        cells.create_dataset(
            "perturbation", data=adata.obs["perturbation"].to_numpy(dtype=object), dtype=text
        )
        cells["batch"] = adata.obs["batch"].astype("S8").to_numpy()
        cells["depth"] = adata.obs["depth"].to_numpy()
        genes.create_dataset("Gene", data=np.array(adata.var_names, dtype=object), dtype=text)


def write_format(adata: ad.AnnData, folder: Path, name: str) -> Path:
    """Write a screen in one of `FORMATS`, with tables beside it where labels have no place in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / {"10x.h5": "matrix.h5", "10x-v2.h5": "old.h5", "mtx": "counts", "mtx-v2": "old"}.get(
        name, f"screen.{name}"
    )
    if name == "h5ad":
        adata.write_h5ad(path, compression="gzip")
    elif name.startswith("zarr"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adata.write_zarr(folder / "screen.zarr")
        if name == "zarr.zip":
            shutil.make_archive(str(folder / "screen.zarr"), "zip", folder / "screen.zarr")
    elif name == "loom":
        write_loom(adata, path)
    elif name.endswith(".h5"):
        write_10x_h5(adata, path, version=2 if "v2" in name else 3)
        write_calls(adata, folder)
    else:
        write_mtx(adata, path, version=2 if "v2" in name else 3)
        write_calls(adata, folder)
    return path
