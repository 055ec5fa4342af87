"""Files that are no screens: each ends in one clear sentence, or in a result; never in another exception."""

from __future__ import annotations

import gzip
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from hyperperturb.data import compute_effects, inspect_screen, open_screen
from hyperperturb.errors import HyperPerturbError


@pytest.fixture
def path(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    return tmp_path / "a.h5ad"


def use(path):
    """All that is done with a file."""
    report = inspect_screen(path)
    proposal = report.require_usable()
    return compute_effects(path, column=proposal.column, control=proposal.label)


def outcome(path):
    """The sentence it ends in, or the effects."""
    try:
        return "", use(path)
    except HyperPerturbError as error:
        return str(error), None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"The file '.*a\.h5ad' is empty\. Copy or download it again\."),
        (b"perturbation,G0\ncontrol,1\n", "is not an HDF5 file, so not an .h5ad file; it is a text file"),
        (gzip.compress(b"x" * 100, mtime=0), "compressed with gzip .*gunzip FILE"),
        (b"PK\x03\x04" + bytes(100), "it is a zip archive"),
        (b"PAR1" + bytes(100), "it is a parquet table"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (bytes(range(256)), r"is not an HDF5 file, so not an \.h5ad file\. Write"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "starts like an HDF5 file but cannot be opened: it is damaged"),
    ],
)
def test_not_an_h5ad_file(tmp_path, content, sentence):
    (tmp_path / "a.h5ad").write_bytes(content)
    with pytest.raises(HyperPerturbError, match=sentence):
        inspect_screen(tmp_path / "a.h5ad")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5ad"]


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        inspect_screen(tmp_path / "none.h5ad")
    with pytest.raises(HyperPerturbError, match="is not a screen: neither zarr nor"):
        inspect_screen(tmp_path)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.999])
def test_truncated(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(HyperPerturbError, match=r"is cut short: it has [\d,]+ bytes and should have [\d,]+"):
        inspect_screen(path)


def test_no_obs(path):
    with h5py.File(path, "r+") as file:
        del file["obs"]
    with pytest.raises(HyperPerturbError, match=r"HDF5 file but not a screen: it has no 'obs' table"):
        inspect_screen(path)


def test_no_matrix(path):
    with h5py.File(path, "r+") as file:
        del file["X"]
    with pytest.raises(HyperPerturbError, match="has no matrix: neither X nor layers"):
        inspect_screen(path)


def test_no_label_column(adata):
    adata.obs = adata.obs[["depth"]]
    with pytest.raises(
        HyperPerturbError, match=r"no column that names the perturbation of each cell .*: depth\)"
    ):
        inspect_screen(adata)
    adata.obs = adata.obs[[]]
    with pytest.raises(HyperPerturbError, match=r"obs columns: none\).*adata\.obs\['perturbation'\]"):
        inspect_screen(adata)


def test_a_column_of_names_is_no_label_column(adata):
    adata.obs = pd.DataFrame({"barcode": adata.obs_names.to_numpy()}, index=adata.obs_names)
    with pytest.raises(HyperPerturbError, match="no column that names the perturbation"):
        inspect_screen(adata)


def test_single_label(adata):
    adata.obs = pd.DataFrame({"perturbation": ["control"] * 240}, index=adata.obs_names)
    with pytest.raises(HyperPerturbError, match=r"a single label, 'control' \(240 cells\)"):
        inspect_screen(adata)


def test_no_control(adata):
    adata.obs["perturbation"] = adata.obs["perturbation"].cat.rename_categories({"control": "G9"})
    with pytest.raises(
        HyperPerturbError, match=r"No label looks like a control.*Choose the control label yourself"
    ):
        inspect_screen(adata).require_usable()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (-1.0, r"X of .* holds negative values \(-1 in cell 'cell9', row 9, gene 'G4'\): these are scaled"),
        (np.nan, r"X of .* a value that is not finite: nan in cell 'cell9' \(row 9\), gene 'G4'"),
        (np.inf, "a value that is not finite: inf"),
    ],
)
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_bad_counts(adata, tmp_path, make, value, sentence):
    counts = adata.X.toarray()
    counts[9, 4] = value
    adata.X = make(counts)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for source in (adata, tmp_path / "a.h5ad"):
        with pytest.raises(HyperPerturbError, match=sentence):
            inspect_screen(source)


@pytest.mark.parametrize(("rows", "columns", "sentence"), [(0, 30, "has no cells"), (240, 0, "has no genes")])
def test_empty_matrices(adata, tmp_path, rows, columns, sentence):
    part = adata[:rows, :columns].copy()
    part.write_h5ad(tmp_path / "a.h5ad")
    for source in (part, tmp_path / "a.h5ad"):
        with pytest.raises(HyperPerturbError, match=sentence):
            inspect_screen(source)


def test_text_in_the_matrix(path):
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = np.full((240, 30), b"one")
    with pytest.raises(HyperPerturbError, match=r"X of .* is not a table of numbers"):
        inspect_screen(path)


def replace(file, name, value, **attributes):
    kept = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=value)
    file[name].attrs.update({**kept, **attributes})


def grow(file, name, shape):
    """Declare a huge shape without writing anything."""
    dtype = file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype=dtype, chunks=(1 << 20,), maxshape=(None,))


MUTATIONS = {
    "index outside": lambda f: f["X/indices"].__setitem__(5, 30),
    "index negative": lambda f: f["X/indices"].__setitem__(5, -1),
    "indptr falls": lambda f: f["X/indptr"].__setitem__(100, 2),
    "indptr negative": lambda f: f["X/indptr"].__setitem__(0, -4),
    "indptr too far": lambda f: f["X/indptr"].__setitem__(240, 10**6),
    "indptr short": lambda f: replace(f, "X/indptr", f["X/indptr"][:-1]),
    "indptr of text": lambda f: replace(f, "X/indptr", np.full(241, b"x")),
    "indptr two-dimensional": lambda f: replace(f, "X/indptr", np.zeros((241, 2))),
    "indptr scalar": lambda f: replace(f, "X/indptr", 3),
    "data short": lambda f: replace(f, "X/data", f["X/data"][:-1]),
    "data of text": lambda f: replace(f, "X/data", np.full(f["X/data"].shape, b"x")),
    "data complex": lambda f: replace(f, "X/data", f["X/data"][:].astype(complex)),
    "data two-dimensional": lambda f: replace(f, "X/data", np.zeros((f["X/data"].shape[0], 2))),
    "data missing": lambda f: f["X"].__delitem__("data"),
    "indices missing": lambda f: f["X"].__delitem__("indices"),
    "indices of floats": lambda f: replace(f, "X/indices", f["X/indices"][:].astype(float)),
    "indices too large for 32 bits": lambda f: replace(
        f, "X/indices", f["X/indices"][:].astype(np.int64) + 2**40
    ),
    "shape wrong": lambda f: f["X"].attrs.__setitem__("shape", (241, 30)),
    "shape huge": lambda f: f["X"].attrs.__setitem__("shape", (10**12, 10**9)),
    "shape negative": lambda f: f["X"].attrs.__setitem__("shape", (-1, 30)),
    "shape of one": lambda f: f["X"].attrs.__setitem__("shape", (240,)),
    "shape of text": lambda f: f["X"].attrs.__setitem__("shape", "many"),
    "shape missing": lambda f: f["X"].attrs.__delitem__("shape"),
    "encoding unknown": lambda f: f["X"].attrs.__setitem__("encoding-type", "coo_matrix"),
    "encoding missing": lambda f: f["X"].attrs.__delitem__("encoding-type"),
    "encoding a number": lambda f: f["X"].attrs.__setitem__("encoding-type", 7),
    "X a scalar": lambda f: (f.__delitem__("X"), f.__setitem__("X", 3.0)),
    "X three-dimensional": lambda f: (f.__delitem__("X"), f.__setitem__("X", np.zeros((240, 30, 2)))),
    "X in too few rows": lambda f: (f.__delitem__("X"), f.__setitem__("X", np.ones((200, 30)))),
    "X in too few columns": lambda f: (f.__delitem__("X"), f.__setitem__("X", np.ones((240, 29)))),
    "X an empty group": lambda f: (f.__delitem__("X"), f.create_group("X")),
    "obs an empty group": lambda f: (f.__delitem__("obs"), f.create_group("obs")),
    "obs a number": lambda f: (f.__delitem__("obs"), f.__setitem__("obs", 3)),
    "obs an array": lambda f: (f.__delitem__("obs"), f.__setitem__("obs", np.arange(240))),
    "var missing": lambda f: f.__delitem__("var"),
    "var too short": lambda f: replace(f, "var/_index", f["var/_index"][:20]),
    "var index missing": lambda f: f["var"].__delitem__("_index"),
    "obs index missing": lambda f: f["obs"].__delitem__("_index"),
    "codes outside": lambda f: f["obs/perturbation/codes"].__setitem__(3, 100),
    "codes negative": lambda f: f["obs/perturbation/codes"].__setitem__(3, -2),
    "codes missing": lambda f: f["obs/perturbation"].__delitem__("codes"),
    "codes of floats": lambda f: replace(f, "obs/perturbation/codes", np.zeros(240)),
    "codes short": lambda f: replace(f, "obs/perturbation/codes", f["obs/perturbation/codes"][:100]),
    "codes two-dimensional": lambda f: replace(f, "obs/perturbation/codes", np.zeros((240, 2), dtype="i1")),
    "categories missing": lambda f: f["obs/perturbation"].__delitem__("categories"),
    "categories numbers": lambda f: replace(f, "obs/perturbation/categories", np.arange(5)),
    "categories empty": lambda f: replace(f, "obs/perturbation/categories", np.array([], dtype="S1")),
    "categories equal": lambda f: replace(f, "obs/perturbation/categories", np.full(5, b"control")),
    "categories bad text": lambda f: replace(
        f, "obs/perturbation/categories", np.array([b"\xff\xfe", b"control", b"a\x01", b"c", b"\xe9"])
    ),
    "categories long": lambda f: replace(
        f,
        "obs/perturbation/categories",
        np.array([b"A" * 100_000, b"control", b"_" * 100_000, b"+" * 9, b"1" * 9_999]),
    ),
    "column-order wrong": lambda f: f["obs"].attrs.__setitem__("column-order", ["nothing", "perturbation"]),
    "column-order a number": lambda f: f["obs"].attrs.__setitem__("column-order", 3.0),
    "column two-dimensional": lambda f: f["obs"].create_dataset("more", data=np.zeros((240, 2), dtype="i1")),
    "column compound": lambda f: f["obs"].create_dataset(
        "more", data=np.zeros(240, dtype=[("a", "i4"), ("b", "f4")])
    ),
    "values huge": lambda f: replace(f, "X/data", np.full(f["X/data"].shape, 1e300)),
    "values denormal": lambda f: replace(f, "X/data", np.full(f["X/data"].shape, 1e-44, dtype="f4")),
    "data declared huge": lambda f: grow(f, "X/data", (10**12,)),
    "obs index declared huge": lambda f: grow(f, "obs/batch/codes", (10**9,)),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutations_end_in_a_sentence_or_a_result(path, mutation):
    with h5py.File(path, "r+") as file:
        MUTATIONS[mutation](file)
    started = time.monotonic()
    sentence, effects = outcome(path)
    assert time.monotonic() - started < 10
    if effects is None:
        assert len(sentence) < 1200, "a sentence, not a dump"
        assert "\n" not in sentence
    else:
        assert np.isfinite(effects.effect).all()
        assert len(effects.genes) == 30


def test_flipped_bytes(path):
    """Bytes flipped anywhere in the arrays. (In the structure of the file they can end HDF5's own C library.)"""
    with h5py.File(path) as file:
        names = ("X/data", "X/indices", "X/indptr", "obs/perturbation/codes")
        chunks = [file[name].id.get_chunk_info(0) for name in names]
    places = np.concatenate([chunk.byte_offset + np.arange(chunk.size) for chunk in chunks])
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {"result": 0, "sentence": 0}
    for position in rng.choice(places, 120, replace=False).tolist():
        broken = bytearray(content)
        broken[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        sentence, effects = outcome(path)
        outcomes["result" if effects is not None else "sentence"] += 1
        assert effects is not None or "\n" not in sentence
    assert outcomes["sentence"] > 0


def test_damaged_chunk_is_named(adata, tmp_path):
    path = tmp_path / "a.h5ad"
    adata.write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        info = file["X/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[info.byte_offset + 10 : info.byte_offset + 60] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(
        HyperPerturbError, match=r"Cannot read X, values 0 to [\d,]+, of .*damaged.*Copy or download"
    ):
        open_screen(path)
