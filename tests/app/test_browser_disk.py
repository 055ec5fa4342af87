"""The page of the disk in a browser: measuring, colours, a gene set and its terms, and the address that keeps it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from hyperperturb.evaluation.fidelity import Fidelity
from hyperperturb.files import write_json
from hyperperturb.models.inference import HyperPerturbInference
from hyperperturb.runs.datasets import add_network
from hyperperturb.runs.fidelity import FILE, DiskFidelity
from hyperperturb.runs.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def inference(server, finished_run, small_simulation) -> HyperPerturbInference:
    """A finished run, and a file of gene sets in which the network's first hub and its neighbours share a set."""
    from hyperperturb.data import compute_effects

    measured = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    workspace = Workspace(server.home)
    run = finished_run(workspace.runs_dir, measured, small_simulation.network, title="Simulated")
    found = DiskFidelity(
        n_genes=100, neighbours=15, disk=Fidelity(0.71, 0.82, 0.33), umap=Fidelity(0.44, 0.95, 0.55)
    )
    write_json(run.file(FILE), found)
    inference = HyperPerturbInference(run.path)
    names = inference.genes["gene"].tolist()
    sets = [("Around the hub", around(inference)), ("Everyone else", names[::3]), ("Some", names[1::4])]
    file = server.home / "sets.gmt"
    file.write_text("".join(f"{name}\tmade\t" + "\t".join(genes) + "\n" for name, genes in sets))
    add_network(workspace, file)
    return inference


def hub(inference: HyperPerturbInference) -> str:
    return str(inference.genes.loc[inference.genes["degree"].idxmax(), "gene"])


def around(inference: HyperPerturbInference) -> list[str]:
    return [hub(inference), *inference.neighbours(hub(inference), k=6)["gene"]]


def address(driver) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlparse(driver.page.url).query).items()}


def pick(driver, box: str, option: str) -> None:
    driver.page.get_by_role("combobox", name=box).click()
    driver.page.keyboard.type(option)
    driver.page.get_by_role("option", name=option, exact=True).click()
    driver.settle()


def test_a_second_gene_is_measured_and_the_address_keeps_it(driver, inference):
    gene, second = hub(inference), str(inference.genes["gene"].iloc[-1])
    driver.open(f"disk?run={inference.run.name}&gene={gene}")
    driver.see("Outward")
    pick(driver, "Measure to", second)
    told = f"{inference.distance(gene, second):.3g} to {second}"
    driver.see(told)
    assert address(driver)["second"] == second
    driver.open(f"disk?{urlparse(driver.page.url).query}")
    driver.see(told)
    driver.page.locator(".st-key-chips_nearest").get_by_role("button").nth(1).click()
    driver.settle()
    assert address(driver)["gene"] != gene
    driver.no_traceback()


def test_what_colours_and_names_the_genes_is_in_the_address(driver, inference):
    driver.open(f"disk?run={inference.run.name}")
    driver.see("The six largest by number of links")
    pick(driver, "Colour", "sensitivity")
    driver.page.locator("canvas.view").and_(
        driver.page.locator("[aria-label*='coloured by sensitivity']")
    ).wait_for()
    driver.page.get_by_role("button", name="More").click()
    pick(driver, "Hubs are named by", "PageRank")
    driver.see("The six largest by PageRank")
    kept = address(driver)
    assert (kept["colour"], kept["hubs"]) == ("sensitivity", "pagerank")
    driver.open(f"disk?{urlparse(driver.page.url).query}")
    driver.see("The six largest by PageRank")
    driver.page.locator("[aria-label*='coloured by sensitivity']").wait_for()
    driver.open(f"disk?run={inference.run.name}&colour=nonsense&hubs=&second=NOBODY")
    driver.see("The six largest by number of links")
    driver.no_traceback()


def test_how_true_the_picture_is_stands_under_it(driver, inference):
    driver.open(f"disk?run={inference.run.name}")
    driver.see(
        "Rank correlation 0.71 (UMAP 0.44), trustworthiness 0.82 (UMAP 0.95), neighbours kept 0.33 (UMAP 0.55)"
    )


def test_all_genes_are_a_table_that_saves_with_the_models_coordinates(driver, inference):
    driver.open(f"disk?run={inference.run.name}&hubs=pagerank")
    driver.page.get_by_test_id("stCheckbox").get_by_text("Show the genes as a table").click()
    driver.settle()
    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-table_menu_genes").get_by_role("button").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert len(rows) == len(inference.genes)
    assert rows[0]["gene"] == inference.genes.loc[inference.genes["pagerank"].idxmax(), "gene"]
    assert {"x", "y", "radius", "sensitivity", "support"} <= set(rows[0])


def test_a_set_has_its_terms_and_leads_to_all_predictions(driver, inference):
    genes = around(inference)
    driver.open(f"disk?run={inference.run.name}")
    driver.page.get_by_text("Work with a set of genes").click()
    box = driver.page.get_by_role("textbox", name="Genes, separated by commas, spaces or lines")
    box.fill(" ".join([*genes, "NOBODY"]).lower())
    box.press("Control+Enter")
    driver.see("Not in the universe of this run, and left out: nobody.")
    driver.see(f"{len(genes)} genes:")
    driver.see("What do they have in common?")
    driver.see("Fisher’s exact test")
    driver.settle()
    assert address(driver)["set"].split(",") == genes
    with driver.page.expect_download() as waiting:
        driver.page.locator(".st-key-table_menu_set_table").get_by_role("button").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert rows[0]["term"] == "Around the hub"
    assert int(rows[0]["in_set"]) == len(genes)
    assert float(rows[0]["q_value"]) < 0.001
    driver.press("Predict all of them")
    driver.page.wait_for_url("**/predict?*")
    driver.settle()
    asked = address(driver)
    assert asked["view"] == "many"
    assert asked["genes"].split(",") == genes
    driver.no_traceback()


def test_the_lasso_makes_a_set(driver, inference):
    driver.open(f"disk?run={inference.run.name}")
    canvas = driver.page.locator("canvas.view")
    canvas.focus()
    driver.page.keyboard.press("l")
    for _ in range(6):
        driver.page.keyboard.press("]")
    driver.page.keyboard.press("Enter")
    driver.see("The gene set")
    driver.settle()
    chosen = address(driver)["set"].split(",")
    assert set(chosen) == set(canvas.evaluate("c => c.__gathered()"))
    driver.press("Clear the set")
    driver.see("Work with a set of genes")
    assert "set" not in address(driver)
    driver.no_traceback()
