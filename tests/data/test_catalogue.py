"""The catalogue: every entry is complete and consistent, and a person's own file is read with care."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperperturb.data.catalogue import catalogue, find_entry, read_catalogue
from hyperperturb.errors import HyperPerturbError

OWN = """
[[entry]]
name = "our-screen"
kind = "screen"
title = "Ours"
[[entry.file]]
name = "ours.h5ad"
url = "https://data.example.org/ours.h5ad"
"""


def test_it_has_what_the_field_uses():
    names = {entry.name for entry in catalogue()}
    wanted = """
        frangieh-2021 frangieh-2021-protein norman-2019 adamson-2016 dixit-2016-7-days datlinger-2017 papalexi-2021
        replogle-2022-k562-essential replogle-2022-rpe1 replogle-2022-k562-gwps tian-2021-crispri gasperini-2019
        schraivogel-2020-chr8 string-human string-mouse collectri-human dorothea-human trrust-human reactome-human
        go-human go-mouse
    """
    assert set(wanted.split()) <= names


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_entries_are_complete(entry):
    assert entry.title
    assert entry.citation
    assert entry.doi
    assert entry.archive
    assert entry.species
    assert all(file.url.startswith("https://") for file in entry.files)
    if entry.kind == "network":
        assert entry.mode is None
        assert entry.control is None
    else:
        assert entry.mode
        assert entry.label_column
        assert entry.files[0].name.endswith(".h5ad")
    for file in entry.files:  # a rounded size beside an exact one would only be wrong
        assert file.size is None or file.size_about is None


def test_files_of_one_name_are_one_dataset():
    """Files share a folder: two entries may name the same file only as copies of one another."""
    by_file = {}
    for entry in catalogue():
        for file in entry.files:
            by_file.setdefault(file.name, []).append(entry)
    for entries in by_file.values():
        assert len({(entry.doi, entry.kind) for entry in entries}) == 1


def test_a_file_of_ones_own_adds_and_replaces(tmp_path, monkeypatch):
    own = tmp_path / "own.toml"
    own.write_text(OWN + OWN.replace("our-screen", "norman-2019"))
    monkeypatch.setenv("HYPERPERTURB_CATALOGUE", str(own))
    assert find_entry("our-screen").title == "Ours"
    assert find_entry("norman-2019").title == "Ours"
    assert find_entry("adamson-2016").cells == 65_337


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("https://", "ftp://"), "'our-screen' .* is wrong at 'file.0.url'"),
        (('"ours.h5ad"', '"../ours.h5ad"'), "is wrong at 'file.0.name'"),
        (('kind = "screen"', 'kind = "film"'), "is wrong at 'kind'"),
        (('title = "Ours"', "titel = 'Ours'"), "is wrong at 'title'"),
        (('kind = "screen"', 'kind = "screen"\ncolour = "red"'), "is wrong at 'colour'"),
        (("url =", 'checksum = "md5:12"\nurl ='), "is wrong at 'file.0.checksum'"),
        (("[[entry]]", "[[entry"), "is not TOML"),
        (("[[entry]]", "entry = 3\n[x]"), "has no list of entries|is not TOML"),
    ],
)
def test_what_is_wrong_with_it_is_named(tmp_path, change, said):
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace(*change))
    with pytest.raises(HyperPerturbError, match=said):
        read_catalogue(own)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(OWN + OWN)
    with pytest.raises(HyperPerturbError, match="two entries 'our-screen'"):
        read_catalogue(own)


def test_a_catalogue_that_is_missing_is_told(monkeypatch):
    monkeypatch.setenv("HYPERPERTURB_CATALOGUE", str(Path("/nowhere/own.toml")))
    with pytest.raises(HyperPerturbError, match="cannot be read"):
        catalogue()


@pytest.mark.parametrize(
    ("name", "similar"), [("replogle", "replogle-2022-k562-essential"), ("norman2019", "norman-2019")]
)
def test_similar_names_are_told(name, similar):
    with pytest.raises(HyperPerturbError, match=similar):
        find_entry(name)
