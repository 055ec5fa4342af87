"""One reading tells the sizes of cells and keeps a sample; a second places cells on components, from every storage."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.opening import open_screen
from hyperperturb.data.placing import place_cells, sampled_values
from hyperperturb.data.quality_measures import principal_components
from hyperperturb.data.statistics import CellTally, label_sums

STORAGES = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}
ROWS, SAMPLE, GENES = np.arange(3, 230, 2), np.arange(5, 205, 4), np.array([1, 4, 5, 9, 20, 29])


def check(path, adata, *, logs: bool = False) -> None:
    counts = sp.csr_matrix(adata.X)
    values = counts if logs else log_normalise(counts)
    with open_screen(path) as screen:
        tally = CellTally.of(screen, SAMPLE)
        codes = np.zeros(screen.n_cells, dtype=np.int32)
        plain = label_sums(screen, codes, 1)
        np.testing.assert_array_equal(label_sums(screen, codes, 1, tally=tally), plain)
        np.testing.assert_allclose(tally.depth, np.asarray(counts.sum(axis=1)).ravel(), rtol=1e-6)
        np.testing.assert_array_equal(tally.n_detected, np.diff(counts.indptr))
        kept = sampled_values(screen, tally, GENES)
        np.testing.assert_allclose(kept.toarray(), values[SAMPLE][:, GENES].toarray(), rtol=1e-5)
        components = principal_components(kept, GENES, k=3)
        done = []
        found = place_cells(screen, ROWS, tally, components, progress=lambda f, m: done.append(f))
    want = values[ROWS][:, GENES].toarray() @ components.axes - components.centre
    np.testing.assert_allclose(found, want, atol=1e-4)
    assert done[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("storage", STORAGES)
def test_from_every_storage_in_blocks_of_every_size(adata, tmp_path, monkeypatch, storage):
    counts = adata.X.copy()
    adata.X = STORAGES[storage](counts)
    adata.write_h5ad(tmp_path / "a.h5ad")
    if storage == "dense":  # chunks taller than a block: read in pieces of columns
        with h5py.File(tmp_path / "a.h5ad", "r+") as file:
            del file["X"]
            file.create_dataset("X", data=adata.X, chunks=(200, 1), compression="lzf")
            file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    check(tmp_path / "a.h5ad", adata)
    for target in (64, 500):
        monkeypatch.setattr("hyperperturb.data.matrix.BLOCK_VALUES", target)
        monkeypatch.setattr("hyperperturb.data.matrix.TILE_VALUES", target)
        check(tmp_path / "a.h5ad", adata)


@pytest.mark.parametrize("storage", ["csr", "csc"])
def test_values_stored_twice_and_out_of_order_count_once(adata, tmp_path, storage):
    whole = STORAGES[storage](adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    once = sp.csr_matrix(adata.X)
    halves = [whole.copy(), whole.copy()]
    halves[0].data = np.floor(whole.data / 2).astype(np.float32)
    halves[1].data = whole.data - halves[0].data
    data, indices, pointers = [], [], [0]
    for a, b in zip(whole.indptr[:-1], whole.indptr[1:], strict=True):
        data += [*halves[0].data[a:b][::-1], *halves[1].data[a:b]]
        indices += [*whole.indices[a:b][::-1], *whole.indices[a:b]]
        pointers.append(len(data))
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["X"]
        group = file.create_group("X")
        group.attrs.update({"encoding-type": f"{storage}_matrix", "encoding-version": "0.1.0"})
        group.attrs["shape"] = np.array(whole.shape)
        group["data"], group["indices"] = np.array(data, np.float32), np.array(indices, np.int32)
        group["indptr"] = np.array(pointers)
    adata.X = once
    check(tmp_path / "a.h5ad", adata)


@pytest.mark.parametrize("storage", STORAGES)
def test_log_normalised_values_are_used_as_they_are(adata, tmp_path, storage):
    adata.X = STORAGES[storage](log_normalise(sp.csr_matrix(adata.X)))
    adata.write_h5ad(tmp_path / "a.h5ad")
    check(tmp_path / "a.h5ad", adata, logs=True)
