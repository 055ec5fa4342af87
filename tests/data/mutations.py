"""Valid screens made hostile: one seeded mutation at a time, on the bytes, on the structure or on the text."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Random = np.random.Generator


# --- bytes of any file -----------------------------------------------------------------------------------------


def some_file(path: Path, rng: Random) -> Path:
    """The file itself, or one of the files of a folder."""
    if path.is_file():
        return path
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return files[rng.integers(len(files))]


def flip_bits(path: Path, rng: Random) -> None:
    """Up to twenty bits, anywhere."""
    target = some_file(path, rng)
    content = bytearray(target.read_bytes())
    for at in rng.integers(max(len(content), 1), size=rng.integers(1, 21)):
        content[at] ^= 1 << int(rng.integers(8))
    target.write_bytes(content)


def flip_early_bits(path: Path, rng: Random) -> None:
    """Bits among the first two thousand bytes, where formats keep their structure."""
    target = some_file(path, rng)
    content = bytearray(target.read_bytes())
    for at in rng.integers(min(len(content), 2000), size=rng.integers(1, 6)):
        content[at] ^= 1 << int(rng.integers(8))
    target.write_bytes(content)


def overwrite(path: Path, rng: Random) -> None:
    """A stretch of zeros, of ones, or of noise."""
    target = some_file(path, rng)
    content = bytearray(target.read_bytes())
    start, n = int(rng.integers(len(content))), int(rng.integers(1, 400))
    kind = rng.integers(3)
    new = rng.bytes(n) if kind == 2 else bytes([255 * int(kind)]) * n
    content[start : start + n] = new[: len(content) - start]
    target.write_bytes(content)


def cut(path: Path, rng: Random) -> None:
    """Only the beginning."""
    target = some_file(path, rng)
    content = target.read_bytes()
    target.write_bytes(content[: int(rng.integers(len(content)))])


def shift(path: Path, rng: Random) -> None:
    """Bytes put in or taken out in the middle."""
    target = some_file(path, rng)
    content = target.read_bytes()
    at, n = int(rng.integers(len(content))), int(rng.integers(1, 30))
    target.write_bytes(
        content[:at] + rng.bytes(n) + content[at:] if rng.integers(2) else content[:at] + content[at + n :]
    )


def remove_file(path: Path, rng: Random) -> None:
    """A file of a folder is gone, or lies under another's name."""
    if path.is_file():
        return cut(path, rng)
    one, other = some_file(path, rng), some_file(path, rng)
    if rng.integers(2) or one == other:
        return one.unlink()
    other.write_bytes(one.read_bytes())
    return None


BYTES = [flip_bits, flip_early_bits, overwrite, cut, shift, remove_file]


# --- structure of HDF5 ----------------------------------------------------------------------------------------


def _objects(file: h5py.File, kind: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, kind) else None)
    return found


def _pick(file: h5py.File, rng: Random, kind: type = h5py.Dataset) -> str:
    names = _objects(file, kind)
    return names[rng.integers(len(names))]


def _replace(file: h5py.File, name: str, value: object, **options: object) -> None:
    kept = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=value, **options)
    for key, attribute in kept.items():
        file[name].attrs[key] = attribute


def _values(file: h5py.File, name: str) -> np.ndarray:
    return np.asarray(file[name][()])


def drop(file: h5py.File, rng: Random) -> None:
    """A group or an array is gone."""
    del file[
        _pick(file, rng, h5py.Group if rng.integers(3) == 0 and _objects(file, h5py.Group) else h5py.Dataset)
    ]


def other_type(file: h5py.File, rng: Random) -> None:
    """Numbers become text, text numbers, and worse."""
    name = _pick(file, rng)
    values = _values(file, name)
    n = values.shape or (1,)
    kinds: list[Callable[[], object]] = [
        lambda: np.full(n, b"text"),
        lambda: np.zeros(n, dtype="f8"),
        lambda: np.zeros(n, dtype=bool),
        lambda: np.zeros(n, dtype="c16"),
        lambda: np.zeros(n, dtype=[("a", "i4"), ("b", "S3")]),
        lambda: np.full(n, 2**63, dtype="u8"),
        lambda: np.full(n, -(2**62), dtype="i8"),
        lambda: np.full(n, 60_000, dtype="f2"),
        lambda: np.zeros((*n, 1), dtype="V7"),
    ]
    _replace(file, name, kinds[rng.integers(len(kinds))]())


def other_shape(file: h5py.File, rng: Random) -> None:
    """One value, none, half of them, twice as many, another dimension."""
    name = _pick(file, rng)
    values = _values(file, name)
    options = [
        lambda: values.ravel()[:0],
        lambda: values.ravel()[0] if values.size else 0,
        lambda: values[: len(values) // 2] if values.shape else values,
        lambda: np.concatenate([values, values]) if values.shape else values,
        lambda: values.reshape(-1, 1),
        lambda: values.reshape(1, 1, -1),
        lambda: values[::-1] if values.shape else values,
    ]
    new = options[rng.integers(len(options))]()
    _replace(file, name, new, **({"dtype": file[name].dtype} if np.asarray(new).dtype == object else {}))


def bad_values(file: h5py.File, rng: Random) -> None:
    """Not finite, negative, huge, or out of every range."""
    name = _pick(file, rng)
    dataset = file[name]
    if dataset.dtype.kind not in "iuf" or dataset.size == 0 or not dataset.shape:
        return other_type(file, rng)
    values = dataset[()]
    at = tuple(rng.integers(n) for n in values.shape)
    if dataset.dtype.kind == "f":
        values[at] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 1e300, 1e-320, 0.5]).astype(dataset.dtype)
    else:
        limits = np.iinfo(dataset.dtype)
        values[at] = [limits.max, limits.min, 0, min(10**6, limits.max), limits.max - 1][rng.integers(5)]
    dataset[...] = values
    return None


def disorder(file: h5py.File, rng: Random) -> None:
    """Values in another order, or all the same: unsorted and repeated indices."""
    name = _pick(file, rng)
    dataset = file[name]
    if not dataset.shape or dataset.size < 2 or dataset.dtype.kind not in "iuf":
        return other_shape(file, rng)
    values = dataset[()]
    dataset[...] = rng.permutation(values) if rng.integers(2) else np.full_like(values, values.ravel()[0])
    return None


def declare_huge(file: h5py.File, rng: Random) -> None:
    """An array that says it has far more values than were ever written."""
    name = _pick(file, rng)
    dtype, n = file[name].dtype, int(rng.choice([10**8, 10**10, 10**13]))
    kept = dict(file[name].attrs)
    shape = (n,) if len(file[name].shape) < 2 else (n, file[name].shape[1])
    del file[name]
    file.create_dataset(
        name, shape, dtype=dtype, chunks=tuple(min(s, 1 << 16) for s in shape), compression="gzip"
    )
    file[name].attrs.update(kept)


def absurd_chunks(file: h5py.File, rng: Random) -> None:
    """A chunk a value, or one chunk for everything and more."""
    name = _pick(file, rng)
    values = file[name][()]
    shape = np.shape(values)
    if not shape or 0 in shape:
        return drop(file, rng)
    if rng.integers(2):
        return _replace(
            file,
            name,
            values,
            dtype=file[name].dtype,
            chunks=(1,) * len(shape),
            maxshape=(None,) * len(shape),
        )
    return _replace(
        file,
        name,
        values,
        dtype=file[name].dtype,
        chunks=(1 << 22, *(1 for _ in shape[1:])),
        maxshape=(None,) * len(shape),
        compression="gzip",
    )


def spoil_attribute(file: h5py.File, rng: Random) -> None:
    """An attribute is gone or says something else."""
    names = [
        n for n in ["/", *_objects(file, h5py.Group), *_objects(file, h5py.Dataset)] if len(file[n].attrs)
    ]
    if not names:
        return drop(file, rng)
    attributes = file[names[rng.integers(len(names))]].attrs
    key = sorted(attributes)[rng.integers(len(attributes))]
    new = [None, 7, "nonsense", [10**12, 10**9], [-1, 3], np.array([], "f4"), "x" * 60_000, b"\xff\xfe"]
    value = new[rng.integers(len(new))]
    del attributes[key]
    if value is not None:
        attributes[key] = value
    return None


def string_bomb(file: h5py.File, rng: Random) -> None:
    """Texts of megabytes, texts that are no text, and a name for every cell."""
    names = [
        n
        for n in _objects(file, h5py.Dataset)
        if h5py.check_string_dtype(file[n].dtype) or file[n].dtype.kind == "S"
    ]
    if not names:
        return other_type(file, rng)
    name = names[rng.integers(len(names))]
    n = max(int(np.prod(file[name].shape or (1,))), 1)
    long = [
        np.array([b"A_" * 2_000_000] + [b"x"] * (n - 1), dtype=object),
        np.array([b"\xff\xfe\xd8"] * n, dtype=object),
        np.array([b"+" * 50_000] * n, dtype=object),
        np.array([f"label {i}".encode() for i in range(n)], dtype=object),
        np.array([b""] * n, dtype=object),
        np.array(["\u202e\n<script>".encode()] * n, dtype=object),
    ]
    values = long[rng.integers(len(long))].reshape(file[name].shape or (1,))
    return _replace(file, name, values, dtype=h5py.special_dtype(vlen=bytes))


def swap_kinds(file: h5py.File, rng: Random) -> None:
    """A group where an array was, an array where a group was, links to nowhere and in circles."""
    name = _pick(file, rng, h5py.Group if rng.integers(2) and _objects(file, h5py.Group) else h5py.Dataset)
    del file[name]
    kinds = [
        lambda: file.create_group(name),
        lambda: file.create_dataset(name, data=3.0),
        lambda: file.__setitem__(name, h5py.SoftLink("/nowhere")),
        lambda: file.__setitem__(name, h5py.SoftLink("/" + name)),
        lambda: file.__setitem__(name, h5py.ExternalLink("/etc/hostname", "/")),
        lambda: file.__setitem__(name, file["/"]),
    ]
    kinds[rng.integers(len(kinds))]()


STRUCTURE = [
    drop,
    other_type,
    other_shape,
    bad_values,
    disorder,
    declare_huge,
    absurd_chunks,
    spoil_attribute,
    string_bomb,
    swap_kinds,
]


# --- zarr and matrix.mtx --------------------------------------------------------------------------------------


def spoil_json(path: Path, rng: Random) -> None:
    """A description of a zarr array or group says something else."""
    found = sorted(f for f in path.rglob("*") if f.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup"))
    target = found[rng.integers(len(found))]
    content = json.loads(target.read_text())
    node, key = content, None
    while isinstance(node, dict) and node:
        key = sorted(node)[rng.integers(len(node))]
        if not isinstance(node[key], dict) or not node[key] or rng.integers(3) == 0:
            break
        node = node[key]
    new: list[object] = [
        None,
        -1,
        0,
        10**15,
        "nonsense",
        [],
        [10**12],
        [0],
        [-5, 3],
        {},
        {"a": [1]},
        True,
        1.5,
        "|O8",
    ]
    if key is not None:
        if rng.integers(4) == 0:
            del node[key]
        else:
            node[key] = new[rng.integers(len(new))]
    target.write_text(json.dumps(content))


def spoil_text(path: Path, rng: Random) -> None:
    """Lines of a matrix, of barcodes or of features that say something else."""
    target = some_file(path, rng)
    packed = target.suffix == ".gz"
    lines = (gzip.decompress(target.read_bytes()) if packed else target.read_bytes()).split(b"\n")
    at = int(rng.integers(min(len(lines), 6))) if rng.integers(2) else int(rng.integers(len(lines)))
    new = [
        b"",
        b"999999999999 999999999999 999999999999999",
        b"-1 -1 -1",
        b"0 0 1",
        b"1 1 nan",
        b"1 1 1e400",
        b"1 1",
        b"one two three",
        b"%%MatrixMarket matrix array real general",
        b"%%MatrixMarket matrix coordinate pattern symmetric",
        b"\xff\xfe\x00",
        b"A" * 3_000_000,
        b"1 1 1 1 1",
        lines[at] * 2,
    ]
    choice = int(rng.integers(len(new) + 2))
    if choice == len(new):
        del lines[at]
    elif choice == len(new) + 1:
        lines.insert(at, lines[at])
    else:
        lines[at] = new[choice]
    content = b"\n".join(lines)
    target.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def mutate(base: Path, folder: Path, seed: int) -> tuple[Path, str]:
    """Copy a valid screen and spoil the copy.

    Parameters
    ----------
    base
        The valid screen, a file or a folder.
    folder
        An empty folder for the copy.
    seed
        Of the mutation: the same seed spoils the same way.

    Returns
    -------
    tuple
        The spoilt copy, and what was done.
    """
    rng = np.random.default_rng(seed)
    path = folder / base.name
    if base.is_dir():
        shutil.copytree(base, path)
    else:
        shutil.copy(base, path)
    special: list[Callable[..., None]] = []
    if path.is_dir():
        special = [spoil_json] if path.suffix == ".zarr" else [spoil_text]
    elif path.suffix in (".h5ad", ".h5", ".loom"):
        special = STRUCTURE
    pool = BYTES if not special or rng.random() < 0.35 else special
    change = pool[rng.integers(len(pool))]
    if pool is STRUCTURE:
        with h5py.File(path, "r+") as file:
            change(file, rng)
    else:
        change(path, rng)
    return path, change.__name__
