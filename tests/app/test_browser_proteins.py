"""Proteins on the pages: attached on Data, scored on Evaluate, predicted beside RNA."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from hyperperturb.data.network import read_network
from hyperperturb.data.proteins import compute_protein_effects
from hyperperturb.data.simulate import simulate_screen, write_simulation
from hyperperturb.evaluation.report import ProteinMetrics, RunMetrics, held_out
from hyperperturb.files import write_json
from hyperperturb.models.export import load_arrays, save_arrays
from hyperperturb.models.protein_training import train_proteins
from hyperperturb.models.strength import energy_distance
from hyperperturb.runs.datasets import confirm_controls, load_effects, register_dataset
from hyperperturb.runs.directory import PROTEIN_EFFECTS
from hyperperturb.runs.workspace import Workspace
from tests.app.test_browser_accessibility import look

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LABELS = {"column": "perturbation", "control": "non-targeting", "mode": "knockdown"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A simulated screen with antibodies, and the same counts as a table whose cells have a suffix."""
    folder = tmp_path_factory.mktemp("cite")
    sizes = {"n_genes": 120, "n_regulators": 18, "n_single": 20, "n_double": 4, "n_cells": 1500}
    paths = write_simulation(simulate_screen(seed=3, n_proteins=6, **sizes), folder / "cite.h5ad")
    counts = ad.read_h5ad(paths["proteins"])
    table = pd.DataFrame(
        counts.X.toarray().astype(int), index=[f"{c}-1" for c in counts.obs_names], columns=counts.var_names
    )
    table.to_csv(folder / "antibodies.csv")
    return paths | {"table": folder / "antibodies.csv"}


@pytest.fixture(scope="module")
def run(server, files, finished_run):
    """A finished run on that screen with a head for proteins."""
    workspace = Workspace(server.home)
    dataset = register_dataset(workspace, files["screen"], title="cite")
    confirm_controls(workspace, dataset.name, **LABELS)
    effects = load_effects(workspace, dataset.name)
    run = finished_run(
        workspace.runs_dir, effects, read_network(files["network"]), dataset=dataset.name, title="cite"
    )
    measured, report = compute_protein_effects(files["screen"], files["proteins"], **LABELS)
    points, curvature, head, cells, _ = load_arrays(run.file("arrays.npz"))
    found = train_proteins(measured, effects, head.kernels, folds=3, seed=0, report=report)
    save_arrays(
        run.file("arrays.npz"),
        points=points,
        curvature=curvature,
        head=head,
        cells=cells,
        proteins=found.head,
    )
    found.effects.save(run.file(PROTEIN_EFFECTS))
    strength = dict(zip(measured.perturbations, energy_distance(measured).tolist(), strict=True))
    scores = held_out(found.scores, strength=strength)
    proteins = ProteinMetrics(**scores.model_dump(), joined=report.sentence, n_proteins=6)
    metrics = RunMetrics.model_validate(run.metrics()).model_copy(update={"proteins": proteins})
    write_json(run.file("metrics.json"), metrics)
    return run


def test_proteins_are_attached_where_the_names_match(driver, run, files):
    driver.open("data?dataset=cite")
    driver.see("Attach antibody counts of the same cells")
    driver.page.get_by_text("Attach antibody counts of the same cells").click()
    driver.page.get_by_role("textbox", name="Or their path on the server").fill(str(files["table"]))
    driver.press("Attach proteins")
    driver.see("No cell of")
    assert "1,500 of 1,500 match: choose 'suffix' for the names" in driver.text()
    driver.page.get_by_role("combobox", name="Match the names of cells").click()
    driver.page.get_by_role("option", name="suffix: without").click()
    driver.settle()
    driver.press("Attach proteins")
    driver.see("6 antibodies in 1,500 of 1,500 cells of the screen.")
    driver.press("Remove the proteins")
    driver.see("Attach antibody counts of the same cells")
    driver.no_traceback()


def test_a_prediction_shows_proteins_beside_rna(driver, run):
    driver.open(f"predict?run={run.name}&genes=REG001")
    driver.page.locator(".st-key-protein_bars .js-plotly-plot").wait_for()
    driver.see("All response genes")
    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-save_table_proteins").get_by_role("button").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert {row["protein"] for row in rows} == set(pd.read_parquet(run.file(PROTEIN_EFFECTS)).columns[5:])
    assert max(abs(float(row["effect"])) for row in rows) > 0
    driver.no_traceback()


def test_the_report_scores_proteins_too(driver, run):
    driver.open(f"evaluate?run={run.name}")
    driver.see("On proteins")
    driver.page.locator(".st-key-protein_methods .js-plotly-plot").wait_for()
    assert "6 antibodies in 1,500 of 1,500 cells" in driver.text()
    driver.no_traceback()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_proteins_can_be_read_by_everybody(theme, driver, axe, run):
    driver.page.emulate_media(color_scheme=theme)
    pages = {
        "data?dataset=cite": "Attach antibody counts of the same cells",
        "predict?run={run}&genes=REG001": "All response genes",
        "evaluate?run={run}": "On proteins",
    }
    assert look(driver, axe, pages, run=run.name) == {}
    driver.no_traceback()
