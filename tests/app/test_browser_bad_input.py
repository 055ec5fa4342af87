"""Bad input in a real browser: a clear sentence each time, no traceback, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GENES = [f"GENE{i}" for i in range(20)]


def screen(
    labels: list[str] | None = None, *, genes: list[str] | None = None, column: str = "perturbation"
) -> ad.AnnData:
    """A small good screen."""
    labels = labels or ["non-targeting"] * 30 + ["GENE1"] * 30 + ["GENE2"] * 30
    genes = genes or GENES
    counts = np.random.default_rng(0).poisson(3.0, size=(len(labels), len(genes))).astype(np.float32)
    cells = [f"cell{i}" for i in range(len(labels))]
    return ad.AnnData(
        sp.csr_matrix(counts), obs=pd.DataFrame({column: labels}, index=cells), var=pd.DataFrame(index=genes)
    )


def not_hdf5(path: Path) -> None:
    path.write_text("cell,gene\n")


def truncated(path: Path) -> None:
    screen().write_h5ad(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_obs(path: Path) -> None:
    screen().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file["obs"]


def no_labels(path: Path) -> None:
    adata = screen()
    adata.obs = pd.DataFrame({"depth": np.linspace(1.0, 2.0, adata.n_obs)}, index=adata.obs_names)
    adata.write_h5ad(path)


def single_label(path: Path) -> None:
    screen(["GENE1"] * 60).write_h5ad(path)


def negative(path: Path) -> None:
    adata = screen()
    adata.X = adata.X.toarray() - 2
    adata.write_h5ad(path)


def not_finite(path: Path) -> None:
    adata = screen()
    dense = adata.X.toarray()
    dense[3, 4] = np.nan
    adata.X = dense
    adata.write_h5ad(path)


def three_cells(path: Path) -> None:
    screen(["non-targeting", "GENE1", "GENE2"]).write_h5ad(path)


def bad_table(path: Path) -> None:
    path.with_suffix(".csv").write_text("perturbation,GENE1\nA,much\n")


REFUSED: dict[str, Callable[[Path], None]] = {
    "not HDF5": not_hdf5,
    "truncated": truncated,
    "no obs": no_obs,
    "no labels": no_labels,
    "single label": single_label,
    "negative": negative,
    "not finite": not_finite,
    "text in a table": bad_table,
}


def refused_or_warned(driver, path: Path) -> str:
    """Register a file; what the page says about it."""
    driver.open("data")
    driver.register(path)
    return " ".join(driver.alerts())


def test_files_that_cannot_be_used_are_refused_with_a_sentence(driver, server, tmp_path):
    said = {}
    for name, make in REFUSED.items():
        path = tmp_path / f"{name.replace(' ', '_')}.h5ad"
        make(path)
        if not path.exists():
            path = path.with_suffix(".csv")
        said[name] = refused_or_warned(driver, path)
        driver.no_traceback()
    for name, sentence in said.items():
        assert sentence.strip().endswith("."), (name, sentence)
        assert "unexpected" not in sentence, (name, sentence)
    assert len(set(said.values())) == len(said)  # each says what is wrong with it
    datasets = server.home / "data" / "datasets"
    assert not datasets.exists() or not list(datasets.iterdir())


def test_an_upload_is_refused_with_a_sentence(driver, tmp_path):
    path = tmp_path / "notes.h5ad"
    path.write_text("not a screen")
    driver.open("data")
    driver.page.locator("input[type=file]").first.set_input_files(str(path))
    driver.see("is not an HDF5 file")
    driver.no_traceback()


def test_a_screen_without_control_asks_a_person(driver, tmp_path):
    path = tmp_path / "uncontrolled.h5ad"
    screen(["GENE1"] * 40 + ["GENE2"] * 40).write_h5ad(path)
    driver.open("data")
    driver.register(path)
    driver.no_traceback()
    if driver.alerts():  # refused with a sentence: that is an answer too
        assert "control" in " ".join(driver.alerts()).lower()
        return
    driver.visit("Controls")
    assert "looks like a control" in driver.text()
    assert driver.page.get_by_role("button", name="Confirm controls").is_disabled()
    driver.no_traceback()


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        (
            "logged",
            lambda: _logged(),
            "log",
        ),
        ("twice", lambda: screen(genes=[*GENES[:-1], GENES[0]]), "GENE0"),
        ("ensembl", lambda: screen(genes=[f"ENSG{i:011d}" for i in range(20)]), "Ensembl"),
    ],
)
def test_what_can_be_mended_is_in_the_repair_list(driver, tmp_path, name, make, said):
    path = tmp_path / f"{name}.h5ad"
    with pytest.warns() if name == "twice" else _quiet():
        make().write_h5ad(path)
    driver.open("data")
    driver.register(path)
    driver.see("Repair list")
    assert said.lower() in driver.text().lower()
    driver.no_traceback()


def test_networks_that_do_not_fit_are_refused(driver, tmp_path):
    path = tmp_path / "good.h5ad"
    screen().write_h5ad(path)
    driver.open("data")
    driver.register(path)
    driver.press("Confirm controls")
    driver.see("Which cells are the controls?")
    driver.press("Confirm controls")
    driver.see("Controls confirmed.", seconds=60)
    driver.press("Train a model")
    driver.see("Start training")

    strangers, column = tmp_path / "strangers.csv", tmp_path / "column.csv"
    strangers.write_text("source,target\nAA,BB\nBB,CC\n")
    column.write_text("gene\nGENE1\nGENE2\n")
    for network, said in ((column, "column"), (strangers, "none of")):
        driver.page.get_by_role("button", name="Add a network").click()
        driver.page.get_by_role("textbox", name="Or a path on the server", exact=True).fill(str(network))
        driver.page.get_by_role("button", name="Use this file").click()
        driver.page.get_by_test_id("stAlert").filter(has_text=said).first.wait_for()
        driver.page.keyboard.press("Escape")
        driver.settle()
    assert driver.page.get_by_role("button", name="Start training").is_disabled()
    driver.no_traceback()


def _logged() -> ad.AnnData:
    adata = screen()
    adata.X = adata.X.log1p()
    return adata


def _quiet():
    from contextlib import nullcontext

    return nullcontext()
