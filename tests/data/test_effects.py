"""Effects are those of scanpy, over all cells, from every storage; bad values and damage are refused."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from hyperperturb.data.effects import Effects, compute_effects
from hyperperturb.data.opening import open_screen
from hyperperturb.data.prefetch import prefetch
from hyperperturb.errors import HyperPerturbError
from tests.data.conftest import assert_same, moderated_variance, small_adata

STORAGES = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}
BY = {"column": "perturbation", "control": "control"}
MEAN, VARIANCE, SEEN = (
    lambda x: x.mean(axis=0),
    lambda x: x.var(axis=0, ddof=1),
    lambda x: (x > 0).mean(axis=0),
)


def reference(adata, column="perturbation"):
    """Mean, unbiased variance and share of cells above zero of log1p(CP10k) by label, with scanpy."""
    adata = adata.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    table = sc.get.aggregate(adata, by=column, func=["mean", "var", "count_nonzero"])
    n = adata.obs[column].value_counts()
    seen = table.to_df("count_nonzero")
    return table.to_df("mean"), table.to_df("var"), seen.div(n[seen.index], axis=0)


def assert_like_scanpy(effects, adata, column="perturbation", control="control"):
    mean, variance, seen = reference(adata, column)
    n = adata.obs[column].value_counts()
    assert effects.perturbations == tuple(sorted(label for label in mean.index if label != control))
    assert effects.n_cells.tolist() == [n[label] for label in effects.perturbations]
    assert effects.n_control_cells == n[control]
    rows = list(effects.perturbations)
    np.testing.assert_allclose(effects.effect, mean.loc[rows] - mean.loc[control], atol=1e-5)
    np.testing.assert_allclose(effects.mean, mean.loc[rows], atol=1e-5)
    np.testing.assert_allclose(effects.control_mean, mean.loc[control], atol=1e-5)
    np.testing.assert_allclose(effects.control_variance, variance.loc[control], atol=1e-5)
    everything = [control, *rows]
    moderated = moderated_variance(
        *(x.loc[everything].to_numpy() for x in (mean, variance, seen)), n[everything]
    )
    parts = moderated / n[everything].to_numpy()[:, None]
    np.testing.assert_allclose(effects.standard_error, np.sqrt(parts[1:] + parts[0]), atol=1e-5)
    np.testing.assert_allclose(effects.detected, seen.loc[rows], atol=1e-6)
    np.testing.assert_allclose(effects.control_detected, seen.loc[control], atol=1e-6)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint16"])
def test_like_scanpy_from_every_storage(adata, tmp_path, storage, dtype):
    expected = adata.copy()
    adata.X = STORAGES[storage](adata.X).astype(dtype)
    adata.write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    on_disk = compute_effects(tmp_path / "a.h5ad", **BY)
    assert_like_scanpy(on_disk, expected)
    assert on_disk.targets == (("G0",), ("G0", "G1"), ("G1",), ("G2",))
    assert on_disk.genes == tuple(adata.var_names)
    assert_same(on_disk, compute_effects(adata, **BY))
    with open_screen(tmp_path / "a.h5ad") as screen:
        assert_same(on_disk, compute_effects(screen, **BY))


def test_like_scanpy_on_the_real_screen(papalexi):
    import anndata as ad

    adata = ad.read_h5ad(papalexi)
    effects = compute_effects(papalexi, column="perturbation", control="non-targeting", mode="knockout")
    assert effects.effect.dtype == effects.standard_error.dtype == np.float32
    assert_like_scanpy(effects, adata, control="non-targeting")
    guides = compute_effects(papalexi, column="guide", control="NT")
    assert guides.n_control_cells == 2386
    np.testing.assert_allclose(guides.control_mean, effects.control_mean, atol=1e-6)
    assert guides.targets[guides.index("STAT1g2")] == ("STAT1",)


@pytest.mark.parametrize("storage", STORAGES)
def test_blocks_do_not_show(adata, tmp_path, monkeypatch, storage):
    whole = compute_effects(adata, **BY)
    adata.X = STORAGES[storage](adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        if storage == "dense":  # chunks taller than a block: read in column pieces, twice
            del file["X"]
            file.create_dataset("X", data=adata.X, chunks=(200, 1), compression="lzf")
            file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    for target in (1, 64, 500):
        monkeypatch.setattr("hyperperturb.data.matrix.BLOCK_VALUES", target)
        monkeypatch.setattr("hyperperturb.data.matrix.TILE_VALUES", target)
        effects = compute_effects(tmp_path / "a.h5ad", **BY)
        np.testing.assert_allclose(effects.effect, whole.effect, atol=1e-6)
        np.testing.assert_allclose(effects.standard_error, whole.standard_error, atol=1e-6)


@pytest.mark.parametrize("storage", ["csr", "csc"])
def test_unsorted_and_repeated_indices(adata, tmp_path, storage):
    """Values stored twice for one cell and gene are added before the logarithm, as scipy would."""
    whole = compute_effects(adata, **BY)
    matrix = STORAGES[storage](adata.X)
    data, indices, indptr = [], [], [0]
    rng = np.random.default_rng(0)
    for row in range(matrix.shape[0 if storage == "csr" else 1]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values, where = matrix.data[part], matrix.indices[part]
        values, where = np.concatenate([values - 1, np.ones_like(values)]), np.concatenate([where, where])
        order = rng.permutation(len(values))
        data.append(values[order])
        indices.append(where[order])
        indptr.append(indptr[-1] + len(values))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["X"]
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": f"{storage}_matrix", "encoding-version": "0.1.0", "shape": adata.shape}
        )
        group["data"], group["indices"], group["indptr"] = (
            np.concatenate(data),
            np.concatenate(indices),
            indptr,
        )
    effects = compute_effects(tmp_path / "a.h5ad", **BY)
    np.testing.assert_allclose(effects.effect, whole.effect, atol=1e-6)


def test_stored_zeros_and_large_counts(adata):
    counts = adata.X.toarray()
    counts[3, 4] = 70_000
    matrix = sp.csr_matrix(np.where(counts == 0, -1, counts))
    matrix.data[matrix.data == -1] = 0
    adata.X = matrix
    effects = compute_effects(adata, **BY)
    adata.X = sp.csr_matrix(counts)
    assert_like_scanpy(effects, adata)


@pytest.mark.parametrize("base", [None, 2, 10])
@pytest.mark.parametrize("storage", STORAGES)
def test_log_normalised_values_are_not_normalised_again(adata, storage, base):
    counts = compute_effects(adata, **BY)
    dense = adata.X.toarray()
    logs = np.log1p(dense / dense.sum(axis=1, keepdims=True) * 1e4) / (np.log(base) if base else 1.0)
    adata.X = STORAGES[storage](sp.csr_matrix(logs.astype(np.float32)))
    effects = compute_effects(adata, **BY)
    np.testing.assert_allclose(effects.effect, counts.effect, atol=1e-5)
    np.testing.assert_allclose(effects.standard_error, counts.standard_error, atol=1e-5)
    np.testing.assert_array_equal(effects.detected, counts.detected)
    np.testing.assert_array_equal(effects.control_detected, counts.control_detected)


def test_counts_are_taken_from_the_layer(adata):
    whole = compute_effects(adata, **BY)
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray()) - 0.5
    assert_same(compute_effects(adata, **BY), whole)
    assert_same(compute_effects(adata, layer="counts", **BY), whole)
    with (
        open_screen(adata) as screen,
        pytest.raises(HyperPerturbError, match="reads layer 'counts', not 'x'"),
    ):
        compute_effects(screen, layer="x", **BY)


def test_cells_left_out(adata):
    """Unlabelled and unassigned cells count for nobody; cells without counts are silent cells."""
    labels = adata.obs["perturbation"].astype(object)
    labels.iloc[:20] = None
    labels.iloc[20:25] = "unassigned"
    labels.iloc[25:30] = "NTC"
    counts = adata.X.toarray()
    counts[100:110] = 0
    adata.X = sp.csr_matrix(counts)
    adata.obs["perturbation"] = pd.Categorical(labels)
    effects = compute_effects(adata, **BY)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some cells have zero counts")  # they are the point
        assert_like_scanpy(effects, adata[30:].copy())


def test_perturbation_of_one_cell(adata):
    labels = adata.obs["perturbation"].astype(str)
    labels.iloc[1] = "G9"
    adata.obs["perturbation"] = labels.to_numpy()
    effects = compute_effects(adata, **BY)
    row = effects.index("G9")
    assert effects.n_cells[row] == 1
    assert np.isfinite(effects.effect[row]).all()
    assert np.isfinite(effects.standard_error).all()
    several = effects.standard_error[effects.n_cells > 1]
    assert (effects.standard_error[row] > 1.5 * several.max(axis=0)).mean() > 0.9


def test_numbered_guides_of_the_control(adata):
    labels = adata.obs["perturbation"].astype(str)
    guides = labels.where(
        labels != "control", "NTC_" + pd.Series(np.arange(240) % 3, labels.index).astype(str)
    )
    whole = compute_effects(adata, **BY)
    adata.obs["perturbation"] = guides.to_numpy()
    effects = compute_effects(adata, column="perturbation", control="NTC")
    assert_same(replace(effects, control="control"), whole)
    one = compute_effects(adata, column="perturbation", control="NTC_1")
    assert one.n_control_cells == (guides == "NTC_1").sum()
    assert one.perturbations == whole.perturbations


@pytest.mark.parametrize("storage", STORAGES)
def test_every_batch_against_its_own_controls(adata, storage):
    rng = np.random.default_rng(1)
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    first = rng.random(adata.n_obs) < np.where(labels == "G1", 0.9, 0.3)
    counts = adata.X.toarray()
    counts[first, 10:20] *= 3
    adata.X = STORAGES[storage](sp.csr_matrix(counts))
    adata.obs["batch"] = pd.Categorical(np.where(first, "b1", "b2"), ["unused", "b1", "b2"])
    found = compute_effects(adata, batch_column="batch", **BY)

    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    groups = [first & (labels == "control"), ~first & (labels == "control")]
    groups += [labels == label for label in found.perturbations]
    moderated = moderated_variance(
        *(np.array([of(logs[group]) for group in groups]) for of in (MEAN, VARIANCE, SEEN)),
        [g.sum() for g in groups],
    )
    for row, label in enumerate(found.perturbations):
        mine = labels == label
        reference, spread = 0.0, moderated[2 + row] / mine.sum()
        for number, batch in enumerate((first, ~first)):
            there = logs[batch & (labels == "control")]
            share = (mine & batch).sum() / mine.sum()
            reference = reference + share * there.mean(axis=0)
            spread = spread + share**2 * moderated[number] / len(there)
        np.testing.assert_allclose(found.effect[row], logs[mine].mean(axis=0) - reference, atol=1e-5)
        np.testing.assert_allclose(found.standard_error[row], np.sqrt(spread), atol=1e-5)
    plain = compute_effects(adata, **BY)
    np.testing.assert_allclose(found.control_mean, plain.control_mean, atol=1e-6)
    np.testing.assert_allclose(found.control_detected, plain.control_detected, atol=1e-6)
    np.testing.assert_array_equal(found.n_cells, plain.n_cells)


def test_batches_that_differ_do_not_look_like_effects():
    adata = small_adata(3000)
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    first = np.random.default_rng(1).random(adata.n_obs) < np.where(labels == "G1", 0.9, 0.2)
    counts = adata.X.toarray()
    counts[first, 10:20] *= 5
    adata.X = sp.csr_matrix(counts)
    adata.obs["batch"] = np.where(first, "b1", "b2")
    plain, found = compute_effects(adata, **BY), compute_effects(adata, batch_column="batch", **BY)
    before, after = (x.effect[x.index("G1"), 10:20] for x in (plain, found))
    assert np.median(before) > 0.3
    assert abs(np.median(after)) < 0.1


def test_a_batch_without_controls(adata):
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    batch = np.where(np.arange(adata.n_obs) % 3 == 0, "b1", "b2").astype(object)
    batch[np.flatnonzero(labels == "G2")[:4]] = "b3"
    adata.obs["batch"] = batch
    with pytest.raises(HyperPerturbError, match=r"column 'batch' of .*, b3 has perturbed cells \(4\)"):
        compute_effects(adata, batch_column="batch", **BY)
    batch[np.flatnonzero(labels == "G2")[:4]] = None
    adata.obs["batch"] = batch
    with pytest.raises(HyperPerturbError, match="without a label has perturbed cells"):
        compute_effects(adata, batch_column="batch", **BY)
    batch[np.flatnonzero(labels == "control")[:1]] = "b4"  # controls alone need no company
    adata.obs["batch"] = np.where([label is None for label in batch], "b1", batch)
    found = compute_effects(adata, batch_column="batch", **BY)
    assert np.isfinite(found.standard_error).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"control": "nobody"},
            r"No cell of the AnnData object has the control label 'nobody'",
        ),
        ({"column": "nothing"}, "no obs column 'nothing'"),
        ({"layer": "nothing"}, "no layer 'nothing'"),
        ({"batch_column": "nothing"}, "no obs column 'nothing'"),
    ],
)
def test_wrong_choice(adata, arguments, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        compute_effects(adata, **{**BY, **arguments})


def test_no_perturbation_beside_the_control(adata):
    adata.obs["perturbation"] = ["control", "unassigned"] * 120
    with pytest.raises(HyperPerturbError, match="no perturbation beside the control"):
        compute_effects(adata, **BY)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("value", "sentence"),
    [(np.nan, "not finite: nan"), (np.inf, "not finite: inf"), (-3.0, r"negative values \(-3")],
)
def test_bad_values_that_the_sample_missed(adata, tmp_path, monkeypatch, storage, value, sentence):
    counts = adata.X.toarray()
    counts[133, 17] = value
    adata.X = STORAGES[storage](sp.csr_matrix(counts))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(HyperPerturbError, match=sentence):  # seen at once in a small file
        open_screen(tmp_path / "a.h5ad")
    monkeypatch.setattr("hyperperturb.data.values.WHOLE", 10)
    monkeypatch.setattr("hyperperturb.data.values._STRETCHES", 1)
    monkeypatch.setattr("hyperperturb.data.values._CSC_COLUMNS", 1)
    with pytest.raises(HyperPerturbError, match=sentence) as caught:
        compute_effects(tmp_path / "a.h5ad", **BY)
    assert "cell 'cell133'" in str(caught.value)
    assert "gene 'G17'" in str(caught.value)
    assert "row 133" in str(caught.value)


def test_progress_and_cancelling(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    seen = []
    compute_effects(
        tmp_path / "a.h5ad", progress=lambda fraction, message: seen.append((fraction, message)), **BY
    )
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("240 of 240 cells" in message for _, message in seen)

    class Cancelled(Exception):  # noqa: N818 - what a caller raises is its own
        pass

    def cancel(fraction, message):
        if fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        compute_effects(tmp_path / "a.h5ad", progress=cancel, **BY)
    assert not [thread for thread in threading.enumerate() if thread.name == "hyperperturb-reader"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5ad"]
    with h5py.File(tmp_path / "a.h5ad", "r+"):  # closed: it can be opened for writing
        pass


def test_prefetch_keeps_order_and_passes_errors_on():
    assert list(prefetch(iter([lambda i=i: i for i in range(20)]))) == list(range(20))

    def broken():
        raise OSError("damaged")

    with pytest.raises(OSError, match="damaged"):
        list(prefetch(iter([lambda: 1, broken, lambda: 2])))


@pytest.mark.slow
def test_memory_does_not_grow_with_cells(tmp_path):
    """Peak memory of a process that reads 4 times the cells stays within what codes and row pointers need."""
    import subprocess
    import sys

    code = (
        "import resource, sys; from hyperperturb.data import compute_effects\n"
        "compute_effects(sys.argv[1], column='perturbation', control='control')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    rng = np.random.default_rng(0)
    for n_cells in (60_000, 180_000):
        path = tmp_path / f"{n_cells}.h5ad"
        with h5py.File(path, "w") as file:
            group = file.create_group("X")
            group.attrs.update({"encoding-type": "csr_matrix", "shape": (n_cells, 1000)})
            group.create_dataset("indptr", data=np.arange(n_cells + 1) * 420)
            block = np.tile(np.arange(420, dtype=np.int32) * 2, 1000)
            for name, dtype in (("data", "f4"), ("indices", "i4")):
                node = group.create_dataset(
                    name, (n_cells * 420,), dtype=dtype, chunks=(1 << 18,), compression="lzf"
                )
                for start in range(0, n_cells, 1000):
                    values = block if name == "indices" else rng.poisson(1.0, 420_000)
                    node[start * 420 : (start + 1000) * 420] = values
            labels = np.array([b"control", b"A", b"B"])[np.arange(n_cells) % 3]
            file["obs/_index"] = np.arange(n_cells).astype("S8")
            file["obs/perturbation"] = labels
            file["obs"].attrs["_index"] = "_index"
            file["var/_index"] = np.array([f"G{i}" for i in range(1000)], dtype="S8")
            file["var"].attrs["_index"] = "_index"
        out = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        peaks.append(int(out.stdout))
    assert (
        peaks[1] < peaks[0] + 100_000
    )  # kilobytes, HDF5 caches filling up; the values themselves take 400 MB more


def make(**changes):
    base = {
        "perturbations": ("A", "B"),
        "targets": (("A",), ("B",)),
        "genes": ("x", "y", "z"),
        "effect": np.arange(6, dtype=np.float32).reshape(2, 3),
        "standard_error": np.ones((2, 3), dtype=np.float32),
        "n_cells": np.array([5, 6]),
        "control": "control",
        "control_mean": np.array([1, 2, 3], dtype=np.float32),
        "control_variance": None,
    }
    return Effects(**{**base, **changes})


def test_effects_methods():
    effects = make()
    assert effects.index("B") == 1
    assert effects.mean[1].tolist() == [4.0, 6.0, 8.0]
    turned = effects.select(["B", "A"]).restrict_genes(["z", "x"])
    assert turned.effect.tolist() == [[5.0, 3.0], [2.0, 0.0]]
    assert turned.control_mean.tolist() == [3.0, 1.0]
    assert (turned.perturbations, turned.targets, turned.n_cells.tolist()) == (
        ("B", "A"),
        (("B",), ("A",)),
        [6, 5],
    )
    assert effects.select([]).effect.shape == (0, 3)
    frame = effects.to_frame()
    assert frame.index.name == "perturbation"
    assert frame.loc["B", "y"] == 4.0
    assert effects.to_frame("mean").loc["A", "z"] == 5.0


def test_effects_errors():
    effects = make(perturbations=("STAT1", "JAK2"))
    with pytest.raises(HyperPerturbError, match=r"no perturbation 'STAT2'.*Did you mean STAT1"):
        effects.index("STAT2")
    with pytest.raises(HyperPerturbError, match="no perturbation 'Q'"):
        effects.select(["Q"])
    with pytest.raises(HyperPerturbError, match="no response gene 'Q'"):
        effects.restrict_genes(["Q"])
    with pytest.raises(HyperPerturbError, match="without the mean of the control"):
        _ = make(control_mean=None).mean
    with pytest.raises(HyperPerturbError, match="do not fit together"):
        make(n_cells=np.array([1]))
