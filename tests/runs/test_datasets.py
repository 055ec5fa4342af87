"""Datasets in a workspace: registered, uploaded, confirmed; whole or not at all."""

from __future__ import annotations

import io
import shutil
import threading

import numpy as np
import pandas as pd
import pytest

from hyperperturb.data.effects import compute_effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs import datasets
from hyperperturb.runs.batches import batch_columns
from hyperperturb.runs.config import NetworkSource, RunConfig
from hyperperturb.runs.quality import judge_dataset, load_quality
from hyperperturb.runs.workspace import Workspace, slug


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "My effects.csv"
    frame = pd.DataFrame({"perturbation": ["JAK2", "JAK2_IRF1"], "STAT1": [0.5, 0.25], "MYC": [0.0, -1.0]})
    frame.to_csv(path, index=False)
    return path


def left_over(ws: Workspace) -> list[str]:
    return sorted(str(p.relative_to(ws.root)) for p in ws.root.rglob("*") if p.is_file())


def test_the_workspace_is_the_environments_or_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPERTURB_HOME", str(tmp_path / "lab"))
    assert Workspace().runs_dir == tmp_path / "lab" / "models" / "saved"
    monkeypatch.delenv("HYPERPERTURB_HOME")
    monkeypatch.chdir(tmp_path)
    assert Workspace().datasets_dir == tmp_path.resolve() / "data" / "datasets"


def test_a_screen_is_registered_where_it_is_and_waits_for_a_person(ws, small_screen):
    dataset = datasets.register_dataset(ws, small_screen, title="My Screen!")
    assert (dataset.name, dataset.title, dataset.kind) == ("my-screen", "My Screen!", "screen")
    assert dataset.source == small_screen
    assert dataset.report.proposal.label == "non-targeting"
    assert not dataset.confirmed
    assert left_over(ws) == ["data/datasets/my-screen/dataset.json"]
    assert datasets.get_dataset(ws, "my-screen") == dataset
    with pytest.raises(HyperPerturbError, match="not confirmed"):
        datasets.load_effects(ws, "my-screen")
    with pytest.raises(HyperPerturbError, match="not confirmed"):
        RunConfig.for_dataset(dataset)


def test_a_table_of_effects_needs_no_confirmation(ws, table):
    dataset = datasets.register_dataset(ws, table, mode="activation")
    assert (dataset.name, dataset.kind, dataset.confirmed, dataset.mode) == (
        "my-effects",
        "effects",
        True,
        "activation",
    )
    table.unlink()  # the dataset has its own copy
    assert not dataset.available
    effects = datasets.load_effects(ws, dataset.name)
    assert effects.perturbations == ("JAK2", "JAK2_IRF1")
    assert effects.mode == "activation"
    np.testing.assert_allclose(effects.effect, [[0.5, 0.0], [0.25, -1.0]])
    with pytest.raises(HyperPerturbError, match="subtracted already"):
        datasets.confirm_controls(ws, dataset.name, column="a", control="b")


def test_names_are_made_unique_and_listed_newest_first(ws, table):
    names = [datasets.register_dataset(ws, table).name for _ in range(3)]
    assert names == ["my-effects", "my-effects-2", "my-effects-3"]
    assert [d.name for d in datasets.list_datasets(ws)] == names[::-1]


def test_registering_at_once_gives_every_one_a_name(ws, table):
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(datasets.register_dataset(ws, table).name))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8
    assert {d.name for d in datasets.list_datasets(ws)} == set(found)


def test_effects_within_batches_are_kept_with_the_choice_and_told_to_the_training(ws, small_screen):
    name = datasets.register_dataset(ws, small_screen).name
    by = {"column": "perturbation", "control": "non-targeting", "mode": "knockdown"}
    (found,) = batch_columns(datasets.get_dataset(ws, name), "perturbation", "non-targeting")
    assert (found.column, found.usable) == ("batch", True)
    dataset = datasets.confirm_controls(ws, name, **by, batch_column="batch")
    assert datasets.get_dataset(ws, name).batch_column == "batch"
    want = compute_effects(small_screen, **by, batch_column="batch")
    np.testing.assert_array_equal(datasets.load_effects(ws, name).effect, want.effect)
    assert RunConfig.for_dataset(dataset).batch_column == "batch"
    quality = load_quality(judge_dataset(ws, name))
    assert quality.batch_column == "batch"
    again = datasets.confirm_controls(ws, name, **by)
    assert (again.batch_column, again.quality_path) == (None, None)
    plain = datasets.load_effects(ws, name).effect
    np.testing.assert_array_equal(plain, compute_effects(small_screen, **by).effect)
    assert np.abs(plain - want.effect).max() > 1e-4


def test_confirming_computes_the_effects_and_keeps_them_with_the_choice(ws, small_screen):
    name = datasets.register_dataset(ws, small_screen).name
    seen: list[float] = []
    dataset = datasets.confirm_controls(
        ws,
        name,
        column="perturbation",
        control="non-targeting",
        mode="knockdown",
        progress=lambda f, m: seen.append(f),
    )
    assert dataset.confirmed
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    effects = datasets.load_effects(ws, name)
    assert len(effects.perturbations) == 24
    assert effects.control == "non-targeting"
    config = RunConfig.for_dataset(datasets.get_dataset(ws, name)).checked()
    assert (config.screen, config.effects) == (small_screen, dataset.effects_path)
    assert (config.column, config.control, config.mode) == ("perturbation", "non-targeting", "knockdown")
    assert config.coexpression
    first = dataset.effects_path
    again = datasets.confirm_controls(ws, name, column="perturbation", control="non-targeting")
    assert again.effects_path != first
    assert not first.exists(), "the effects of the earlier choice are gone"


def test_a_confirmation_that_fails_or_is_cancelled_leaves_the_dataset_as_it_was(ws, small_screen):
    dataset = datasets.register_dataset(ws, small_screen)
    before = left_over(ws)
    with pytest.raises(HyperPerturbError, match="martians"):
        datasets.confirm_controls(ws, dataset.name, column="perturbation", control="martians")

    class StopNowError(Exception):
        pass

    def stop(fraction, message):
        raise StopNowError

    with pytest.raises(StopNowError):
        datasets.confirm_controls(
            ws, dataset.name, column="perturbation", control="non-targeting", progress=stop
        )
    assert datasets.get_dataset(ws, dataset.name) == dataset
    assert left_over(ws) == before


def test_an_upload_is_copied_whole(ws, small_screen):
    upload = io.BytesIO(small_screen.read_bytes())
    upload.seek(100)  # a page may have looked into it
    dataset = datasets.add_upload(ws, upload, "C:\\Users\\me\\THP-1 screen.h5ad")
    assert (dataset.title, dataset.name) == ("THP-1 screen", "thp-1-screen")
    assert dataset.source.read_bytes() == small_screen.read_bytes()
    assert dataset.report.path == str(dataset.source)
    shutil.move(ws.root, ws.root.with_name("moved"))
    moved = datasets.get_dataset(Workspace(ws.root.with_name("moved")), "thp-1-screen")
    assert moved.available, "a workspace can be moved"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", b"hello", "neither a screen nor a table"),
        ("screen.h5ad", b"this is not HDF5 at all", "HDF5"),
        ("screen.h5ad", b"", "empty"),
        ("effects.csv", b"perturbation\nJAK2\n", "effects.csv|table"),
        ("effects.parquet", b"PAR0", "parquet|table"),
        ("../../evil.h5ad", b"x", "HDF5"),
    ],
)
def test_an_upload_that_is_refused_leaves_nothing(ws, name, content, says):
    with pytest.raises(HyperPerturbError, match=says):
        datasets.add_upload(ws, io.BytesIO(content), name)
    assert left_over(ws) == []
    assert datasets.list_datasets(ws) == []


def test_an_upload_over_the_limit_is_refused_before_it_fills_the_disk(ws):
    class Endless(io.RawIOBase):
        given = 0

        def seekable(self):
            return False

        def read(self, size=-1):
            self.given += size
            return b"x" * size

    upload = Endless()
    with pytest.raises(HyperPerturbError, match="larger than 3 MB"):
        datasets.add_upload(ws, upload, "big.h5ad", limit=3 << 20)
    assert upload.given <= 5 << 20
    assert left_over(ws) == []


def test_a_truncated_screen_is_refused(ws, small_screen, tmp_path):
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes(small_screen.read_bytes()[: small_screen.stat().st_size // 2])
    with pytest.raises(HyperPerturbError, match="cut"):
        datasets.register_dataset(ws, cut)
    assert datasets.list_datasets(ws) == []


def test_the_demo_is_loaded_once_with_its_network_and_its_truth(ws, monkeypatch, small_simulation):
    calls = []

    def simulate(*, seed):
        calls.append(seed)
        return small_simulation

    monkeypatch.setattr("hyperperturb.data.simulate.simulate_screen", simulate)
    demo = datasets.add_demo(ws)
    assert (demo.name, demo.mode, demo.confirmed) == ("demo", "knockdown", False)
    assert demo.networks[0].is_file()
    assert demo.true_effects_path.is_file()
    assert datasets.add_demo(ws) == demo
    assert datasets.add_demo(ws, seed=4).name == "demo-4"
    assert calls == [0, 4]


def test_deleting_a_dataset_leaves_the_registered_file(ws, small_screen):
    name = datasets.register_dataset(ws, small_screen).name
    datasets.delete_dataset(ws, name)
    assert small_screen.exists()
    assert datasets.list_datasets(ws) == []
    with pytest.raises(HyperPerturbError, match="no dataset"):
        datasets.delete_dataset(ws, name)


@pytest.mark.parametrize("name", ["", "..", "../runs", ".hidden", "a/b", "a\\b"])
def test_a_name_cannot_leave_the_workspace(ws, name):
    with pytest.raises(HyperPerturbError, match="not the name of a dataset"):
        datasets.delete_dataset(ws, name)


def test_junk_among_the_datasets_is_passed_over(ws, table):
    datasets.register_dataset(ws, table)
    (ws.datasets_dir / "a file").write_text("x")
    (ws.datasets_dir / "empty").mkdir()
    (ws.datasets_dir / "half").mkdir()
    (ws.datasets_dir / "half" / "dataset.json").write_text('{"title": "ha')
    (ws.datasets_dir / "other").mkdir()
    (ws.datasets_dir / "other" / "dataset.json").write_text("[1]")
    (ws.datasets_dir / "strange").mkdir()
    (ws.datasets_dir / "strange" / "dataset.json").write_text('{"source": 3, "networks": 5}')
    assert [d.name for d in datasets.list_datasets(ws)] == ["my-effects"]


def test_networks_are_checked_copied_and_stored_once(ws, tmp_path):
    edges = tmp_path / "My edges.csv"
    edges.write_text("source,target\nJAK2,STAT1\nSTAT1,IRF1\n")
    stored = datasets.add_network(ws, edges)
    assert stored == ws.networks_dir / "my-edges.csv"
    assert datasets.add_network(ws, io.BytesIO(edges.read_bytes()), "My edges.csv") == stored
    edges.write_text("source,target\nJAK2,STAT1\n")
    assert datasets.add_network(ws, edges).name == "my-edges-2.csv"
    assert len(datasets.list_networks(ws)) == 2
    assert NetworkSource.from_path(stored).read().genes == ("IRF1", "JAK2", "STAT1")
    before = left_over(ws)
    for content in (b"gene\nJAK2\nSTAT1\n", b""):
        with pytest.raises(HyperPerturbError):
            datasets.add_network(ws, io.BytesIO(content), "one column.csv")
    with pytest.raises(HyperPerturbError, match="no file"):
        datasets.add_network(ws, tmp_path / "nowhere.csv")
    assert left_over(ws) == before


def test_strings_table_of_names_is_found_beside_its_links(tmp_path):
    links = tmp_path / "9606.protein.links.full.v11.5.txt.gz"
    info = tmp_path / "9606.protein.info.v11.5.txt"
    links.touch()
    assert NetworkSource.from_path(links).info is None
    info.touch()
    assert NetworkSource.from_path(links).info == info


def test_a_config_that_points_nowhere_is_refused_before_training(tmp_path, small_screen):
    with pytest.raises(HyperPerturbError, match="nothing to train on"):
        RunConfig().checked()
    with pytest.raises(HyperPerturbError, match="controls"):
        RunConfig(screen=small_screen).checked()
    with pytest.raises(HyperPerturbError, match="no network"):
        RunConfig(effects=small_screen).checked()
    with pytest.raises(HyperPerturbError, match="no file"):
        RunConfig(screen=tmp_path / "x.h5ad", column="a", control="b").checked()


@pytest.mark.parametrize(
    "text", ["", "..", "/", "a/../../b", "Ünïcode only: 日本", "x" * 300, ".hidden", "con:*?"]
)
def test_a_slug_is_always_safe(text):
    name = slug(text)
    assert name
    assert len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not name.startswith(".")
    assert ".." not in name


def packed(folder):
    """The files of a folder as a browser sends them."""
    return [
        (io.BytesIO(path.read_bytes()), path.name) for path in sorted(folder.rglob("*")) if path.is_file()
    ]


def test_files_that_belong_together_are_uploaded_together(ws, tmp_path):
    from tests.data.conftest import small_adata
    from tests.data.format_files import write_format

    path = write_format(small_adata(), tmp_path / "here", "mtx")
    files = packed(tmp_path / "here")
    assert len(files) == 5, "matrix, barcodes, features, guide calls, feature reference"
    dataset = datasets.add_upload(ws, *files[0], beside=files[1:], title="Ten x")
    shutil.rmtree(tmp_path / "here")
    assert dataset.report.proposal.label == "Non-Targeting"
    assert [table.name for table in dataset.tables] == [
        "feature_reference.csv",
        "protospacer_calls_per_cell.csv",
    ]
    confirmed = datasets.confirm_controls(ws, dataset.name, column="gene_target", control="Non-Targeting")
    assert datasets.load_effects(ws, dataset.name).targets == (("G0",), ("G0", "G1"), ("G1",), ("G2",))
    config = RunConfig.for_dataset(confirmed)
    assert config.tables == dataset.tables
    assert all(file.exists() for file in config.files())
    assert not path.exists()
    with pytest.raises(HyperPerturbError, match="several screens"):
        datasets.add_upload(ws, io.BytesIO(b"a"), "a.h5ad", beside=[(io.BytesIO(b"b"), "b.loom")])
    with pytest.raises(HyperPerturbError, match="without its barcodes"):
        datasets.add_upload(ws, io.BytesIO(b"a"), "matrix.mtx")
    with pytest.raises(HyperPerturbError, match="several tables of effects"):
        datasets.add_upload(ws, io.BytesIO(b"a"), "a.csv", beside=[(io.BytesIO(b"b"), "b.csv")])
    assert [d.name for d in datasets.list_datasets(ws)] == ["ten-x"]


def test_a_folder_is_registered_and_known_again(ws, tmp_path):
    from hyperperturb.runs.inputs import InputFile
    from tests.data.conftest import small_adata
    from tests.data.format_files import write_format

    path = write_format(small_adata(), tmp_path, "zarr")
    dataset = datasets.register_dataset(ws, path)
    assert (dataset.title, dataset.kind, dataset.available) == ("screen", "screen", True)
    before = InputFile.of(path)
    shutil.copytree(path, tmp_path / "copy.zarr")
    assert before.same(tmp_path / "copy.zarr")
    part = next(p for p in (tmp_path / "copy.zarr" / "X").rglob("*") if p.is_file() and p.stat().st_size > 40)
    part.write_bytes(part.read_bytes()[::-1])
    assert not before.same(tmp_path / "copy.zarr")
