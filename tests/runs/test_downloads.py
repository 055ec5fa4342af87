"""From the catalogue into the workspace: registered once, controls proposed, networks ready to be trained with."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from hyperperturb.data.network import read_network
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.datasets import list_datasets, list_networks
from hyperperturb.runs.downloads import download, missing_files

ENTRY = """
[[entry]]
name = "{name}"
kind = "{kind}"
title = "A title"
citation = "Someone 2025"
licence = "CC BY 4.0"
{more}
"""
FILE = '[[entry.file]]\nname = "{name}"\nurl = "{url}"\n'


@pytest.fixture
def offer(file_server, tmp_path, monkeypatch):
    """Offers files under an entry of a catalogue of one's own."""

    def make(name: str, kind: str, files: dict[str, bytes], more: str = "") -> None:
        text = ENTRY.format(name=name, kind=kind, more=more)
        for file, body in files.items():
            file_server.bodies[f"/{file}"] = body
            text += FILE.format(name=file, url=f"{file_server.url}/{file}")
        own = tmp_path / "own.toml"
        own.write_text(text)
        monkeypatch.setenv("HYPERPERTURB_CATALOGUE", str(own))

    return make


@pytest.fixture(scope="module")
def two_controls(small_simulation, tmp_path_factory) -> bytes:
    """A screen with a second column that names the same controls otherwise."""
    adata: ad.AnnData = small_simulation.adata.copy()
    labels = adata.obs["perturbation"].astype(str)
    adata.obs["construct"] = labels.where(labels != "non-targeting", "scrambled_7")
    path = tmp_path_factory.mktemp("screen") / "a.h5ad"
    adata.write_h5ad(path)
    return path.read_bytes()


def test_a_screen_becomes_a_dataset_whose_controls_are_proposed_not_confirmed(ws, offer, two_controls):
    more = 'mode = "activation"\nlabel_column = "construct"\ncontrol = "scrambled_7"\nnote = "Mind the gap."'
    offer("some-screen", "screen", {"some.h5ad": two_controls}, more)
    found = download(ws, "some-screen")
    assert found.files == (ws.downloads_dir.resolve() / "some.h5ad",)
    (dataset,) = list_datasets(ws)
    assert dataset == found.dataset
    assert not dataset.confirmed
    assert dataset.mode == "activation"
    assert dataset.source == found.files[0]
    assert dataset.note == "Someone 2025, CC BY 4.0. Mind the gap."
    proposal = dataset.report.proposal
    assert (proposal.column, proposal.label) == ("construct", "scrambled_7")
    assert proposal.n_control_cells == dataset.report.label_columns["construct"]["scrambled_7"]
    assert proposal.candidates[0].label == "scrambled_7"
    assert "non-targeting" in {
        c.label for c in proposal.candidates
    }  # what the file itself suggests stays on offer


def test_a_proposal_that_the_file_does_not_have_is_dropped(ws, offer, two_controls):
    offer(
        "some-screen",
        "screen",
        {"some.h5ad": two_controls},
        'label_column = "construct"\ncontrol = "luciferase"',
    )
    proposal = download(ws, "some-screen").dataset.report.proposal
    assert (proposal.column, proposal.label) == ("perturbation", "non-targeting")


def test_a_second_download_changes_nothing(ws, offer, two_controls, file_server):
    offer("some-screen", "screen", {"some.h5ad": two_controls})
    first = download(ws, "some-screen")
    again = download(ws, "some-screen")
    assert again.dataset == first.dataset
    assert len(list_datasets(ws)) == 1
    assert len(file_server.requests) == 1


def test_another_folder_and_progress_to_the_end(ws, offer, two_controls, tmp_path):
    offer("some-screen", "screen", {"some.h5ad": two_controls})
    seen = []
    found = download(ws, "some-screen", to=tmp_path / "big disk", progress=lambda f, m: seen.append(f))
    assert found.files[0].parent == (tmp_path / "big disk").resolve()
    assert found.dataset.source == found.files[0]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_what_is_no_screen_is_refused_and_not_registered(ws, offer, tmp_path):
    import h5py

    with h5py.File(tmp_path / "no.h5ad", "w") as file:
        file["x"] = 1
    offer("some-screen", "screen", {"some.h5ad": (tmp_path / "no.h5ad").read_bytes()})
    with pytest.raises(HyperPerturbError):
        download(ws, "some-screen")
    assert list_datasets(ws) == []


def string_files(score: int = 900) -> dict[str, bytes]:
    links = (
        f"protein1 protein2 combined_score\n9606.ENSP1 9606.ENSP2 {score}\n9606.ENSP2 9606.ENSP1 {score}\n"
    )
    info = "#string_protein_id\tpreferred_name\n9606.ENSP1\tJAK2\n9606.ENSP2\tSTAT1\n"
    return {
        "9606.protein.links.v12.0.txt.gz": gzip.compress(links.encode()),
        "9606.protein.info.v12.0.txt.gz": gzip.compress(info.encode()),
    }


def test_a_network_of_two_files_becomes_one_of_the_workspace(ws, offer):
    offer("string-toy", "network", string_files())
    found = download(ws, "string-toy")
    assert list_networks(ws) == [found.network] == [ws.networks_dir / "string-toy.npz"]
    network = read_network(found.network)
    assert network.genes == ("JAK2", "STAT1")
    assert network.name == "string-toy"
    assert network.provenance[0].path == str(found.files[0])
    before = Path(found.network).stat().st_mtime_ns
    assert download(ws, "string-toy").network.stat().st_mtime_ns == before


def test_proteins_are_kept_for_their_screen(ws, offer, two_controls):
    offer("some-protein", "protein", {"protein.h5ad": two_controls})
    found = download(ws, "some-protein")
    assert found.dataset is None
    assert found.network is None
    assert list_datasets(ws) == []


def test_proteins_are_attached_to_their_screen_where_it_is_there(ws, offer, two_controls, tmp_path):
    cells = ad.read_h5ad(io.BytesIO(two_controls))
    offer("some", "screen", {"some.h5ad": two_controls})
    screen, first = download(ws, "some").dataset, (tmp_path / "own.toml").read_text()
    counts = np.ones((cells.n_obs, 3), dtype=np.float32)
    ad.AnnData(counts, obs=cells.obs[[]]).write_h5ad(tmp_path / "p.h5ad")
    offer("some-protein", "protein", {"p.h5ad": (tmp_path / "p.h5ad").read_bytes()}, more='of = "some"')
    assert download(ws, "some-protein").dataset is None  # a catalogue that does not know the screen
    with (tmp_path / "own.toml").open("a") as catalogue:
        catalogue.write(first)
    found = download(ws, "some-protein").dataset
    assert found.name == screen.name
    assert found.protein_report.n_matched == cells.n_obs


def test_it_is_known_what_is_there(ws, offer):
    from hyperperturb.data.catalogue import find_entry

    offer("string-toy", "network", string_files())
    entry = find_entry("string-toy")
    assert len(missing_files(ws, entry)) == 2
    download(ws, "string-toy")
    assert missing_files(ws, entry) == ()


def test_stopping_registers_nothing(ws, offer, two_controls, file_server):
    class Stopped(Exception):  # noqa: N818
        pass

    def stop(fraction: float, message: str) -> None:
        if "Downloading" in message:
            raise Stopped

    offer("some-screen", "screen", {"some.h5ad": two_controls})
    with pytest.raises(Stopped):
        download(ws, "some-screen", progress=stop)
    assert list_datasets(ws) == []
    assert [p.name for p in ws.downloads_dir.iterdir()] == [".some.h5ad.download"]
    download(ws, "some-screen")
    assert [p.name for p in ws.downloads_dir.iterdir()] == ["some.h5ad"]
