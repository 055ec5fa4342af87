"""Hostile files: seeded mutations of valid screens of every format, read as the app reads them.

Each ends in a screen that is used or in one clear sentence, within ten seconds and two gigabytes; the process that asks
goes on. What an earlier run found is a case of its own further down.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path

import h5py
import pytest

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import guarded as module
from hyperperturb.runs.guarded import MEMORY, guarded
from tests.data.conftest import small_adata
from tests.data.format_files import FORMATS, write_format
from tests.data.mutations import mutate

UNEXPECTED = ("cannot be read (", "Unexpected")
"""What the helper says about an exception that nobody has thought of."""


@pytest.fixture(scope="module")
def screens(tmp_path_factory) -> list[Path]:
    """A valid screen of every format."""
    folder = tmp_path_factory.mktemp("valid")
    return [write_format(small_adata(), folder / name.replace(".", "_"), name) for name in FORMATS]


def use(path: Path, out: Path) -> str:
    """Look at a file and compute its effects, as a registration and a confirmation do; the sentence it ends in."""
    try:
        report = guarded("inspect", about=path, path=str(path))
        proposal = report["proposal"]
        if proposal is None:
            return ""
        guarded(
            "effects",
            about=path,
            seconds=8,
            memory=MEMORY,
            path=str(path),
            target=str(out / "effects.parquet"),
            column=proposal["column"],
            control=proposal["label"],
            layer=report["layer"],
            tables=[],
            mode="knockout",
        )
    except HyperPerturbError as error:
        return str(error)
    return ""


def check(screens: list[Path], tmp_path: Path, seeds: range) -> None:
    ends: Counter[str] = Counter()
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        path, change = mutate(screens[seed % len(screens)], folder, seed)
        started = time.monotonic()
        sentence = use(path, folder)
        case = (seed, path.name, change, sentence[:300])
        assert time.monotonic() - started < 10, case
        assert "\n" not in sentence, case
        assert len(sentence) < 1200, case
        assert not any(words in sentence for words in UNEXPECTED), case
        ends["used" if not sentence else "refused"] += 1
        shutil.rmtree(folder)
    assert min(ends["used"], ends["refused"]) > len(seeds) // 20, (
        ends
    )  # the mutations are neither harmless nor blunt
    for valid in screens:  # and whoever asked goes on
        assert use(valid, tmp_path) == ""


def test_mutations(screens, tmp_path):
    check(screens, tmp_path, range(100))


@pytest.mark.slow
def test_many_more_mutations(screens, tmp_path):
    check(screens, tmp_path, range(1000, 1300))


def test_a_file_in_which_hdf5_itself_goes_round_in_circles(screens, tmp_path, monkeypatch):
    """Found by the mutations: a stretch of zeros in the structure lets the C library search for ever."""
    monkeypatch.setattr(module, "SECONDS", 1.0)
    path, _ = mutate(screens[4], tmp_path, 332)
    started = time.monotonic()
    assert use(path, tmp_path)
    assert time.monotonic() - started < 30  # for ever, without the limit; the machine may be busy


def test_a_bomb_in_the_values_meets_the_limit_of_memory(screens, tmp_path):
    """Megabytes of file that unpack to gigabytes of values in a single chunk."""
    path = tmp_path / "bomb.h5ad"
    shutil.copy(screens[0], path)
    n = 400_000_000
    with h5py.File(path, "r+") as file:
        for name, dtype in (("X/data", "f4"), ("X/indices", "i4")):
            del file[name]
            file.create_dataset(name, (n,), dtype=dtype, chunks=(n,), compression="gzip")
        file["X/indptr"][-1] = n
    sentence = use(path, tmp_path)
    assert sentence
    assert not any(words in sentence for words in UNEXPECTED), sentence
