"""The page Predict in a real browser: one perturbation, many, two compared, a wanted change."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import anndata
import numpy as np
import pytest

from hyperperturb.models.inference import HyperPerturbInference
from hyperperturb.runs.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG = "ENSG00000141510_a_gene_with_a_very_long_name_indeed"


@pytest.fixture(scope="module")
def inference(server, finished_run, small_simulation) -> HyperPerturbInference:
    """A finished run in the server's workspace, one gene of which has a very long name."""
    from hyperperturb.data import compute_effects
    from hyperperturb.data.network import network_from_adjacency

    measured = compute_effects(small_simulation.adata, column="perturbation", control="non-targeting")
    network = small_simulation.network
    names = [LONG if gene == measured.genes[0] else gene for gene in network.genes]
    measured = _renamed(measured, measured.genes[0])
    run = finished_run(
        Workspace(server.home).runs_dir,
        measured,
        network_from_adjacency(network.adjacency, names, name="demo"),
        cells=True,
        title="Simulated",
    )
    return HyperPerturbInference(run.path)


def _renamed(measured, gene: str):
    from dataclasses import replace

    def of(name: str) -> str:
        return LONG if name == gene else name

    return replace(
        measured,
        genes=tuple(map(of, measured.genes)),
        targets=tuple(tuple(map(of, targets)) for targets in measured.targets),
    )


def address(driver) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlparse(driver.page.url).query).items()}


def heading(driver, text: str) -> None:
    driver.page.wait_for_function("text => document.querySelector('h1')?.innerText.includes(text)", arg=text)
    driver.settle()


def opened(driver, inference, **what: str) -> None:
    words = "&".join(f"{key}={value.replace('+', '%2B')}" for key, value in what.items())
    driver.open(f"predict?run={inference.run.name}&{words}")


def file(driver, button: str) -> Path:
    with driver.page.expect_download() as waiting:
        driver.page.get_by_test_id("stDownloadButton").get_by_role("button", name=button).click()
    return Path(waiting.value.path())


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def choose(driver, view: str) -> None:
    driver.page.get_by_test_id("stButtonGroup").get_by_text(view, exact=True).click()
    driver.settle()


def picture(driver, key: str) -> None:
    driver.page.locator(f"[class*='st-key-{key}'] .js-plotly-plot .plot-container").first.wait_for()


def test_one_gene_in_every_picture_and_both_files(driver, inference):
    gene = next(t[0] for t in inference.effects.targets if len(t) == 1 and t[0] != LONG)
    opened(driver, inference, genes=gene)
    heading(driver, gene)
    driver.see("This perturbation was measured.")
    picture(driver, "picture_certainty")
    for word, key in (
        ("Largest effects", "picture_largest"),
        ("Predicted against measured", "picture_measured_True"),  # without having seen it
        ("In the network", "network_"),
    ):
        choose(driver, word)
        picture(driver, key)
    choose(driver, "Predicted against measured")
    driver.page.get_by_text("Predicted as if it had not been measured").click()
    picture(driver, "picture_measured_False")
    driver.see("Fitted to this measurement")
    choose(driver, "In the network")
    assert address(driver)["picture"] == "network"
    driver.page.reload()
    picture(driver, "network_")
    table = rows(file(driver, "Download the prediction"))
    assert len(table) == len(inference.response_genes)
    read = anndata.read_h5ad(file(driver, "Download as AnnData"))
    expected = inference.predict_effects([gene]).table["effect"]
    np.testing.assert_allclose(read[gene].X[0], expected, rtol=1e-5, atol=1e-7)
    driver.no_traceback()


def test_a_click_on_the_network_asks_about_that_gene(driver, inference):
    hub = str(inference.genes.loc[inference.genes["degree"].idxmax(), "gene"])
    opened(driver, inference, genes=hub, picture="network")
    picture(driver, "network_")
    points = driver.page.locator("[class*='st-key-network_'] path.point")
    points.first.wait_for()
    driver.settle()
    points.last.click(force=True)
    driver.page.wait_for_function(
        "hub => !location.search.includes('genes=' + hub + '&') && !location.search.endsWith(hub)", arg=hub
    )
    driver.settle()
    asked = address(driver)["genes"]
    assert asked != hub
    assert asked in set(inference.genes["gene"])
    heading(driver, asked[:20])
    driver.no_traceback()


def test_a_combination_beside_its_genes(driver, inference):
    pair = next(t for t in inference.effects.targets if len(t) == 2)
    opened(driver, inference, genes=",".join(pair), picture="parts")
    picture(driver, "picture_parts")
    labels = driver.page.locator("[class*='st-key-picture_parts'] .ytick").all_text_contents()
    assert {*pair, "together", "measured together"} <= {label.strip() for label in labels}
    driver.see("sum over the genes")
    driver.no_traceback()


def test_a_very_long_name_and_eight_genes_stay_on_the_page(driver, inference):
    tested = [LONG, *(g for g in inference.genes["gene"] if g != LONG)]
    genes = [g for g in tested if inference.support([g]).level != "none"][:8]
    driver.page.set_viewport_size({"width": 400, "height": 900})
    opened(driver, inference, genes=",".join(genes))
    picture(driver, "picture_certainty")
    main = driver.page.get_by_test_id("stMain")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    driver.no_traceback()


def test_the_table_is_searched_and_the_file_keeps_all(driver, inference):
    gene = inference.effects.targets[0][0]
    opened(driver, inference, genes=gene)
    field = driver.page.get_by_role("textbox", name="Find genes")
    field.fill(inference.response_genes[3])
    field.press("Enter")
    driver.see(f"of {len(inference.response_genes)} genes")
    assert len(rows(file(driver, "Download the prediction"))) == len(inference.response_genes)
    driver.no_traceback()


def test_a_pasted_list_names_what_it_does_not_know(driver, inference):
    genes = [g for g in inference.genes["gene"] if inference.support([g]).level != "none" and g != LONG]
    pair = next(t for t in inference.effects.targets if len(t) == 2 and LONG not in t)
    opened(driver, inference, view="many")
    field = driver.page.get_by_role("textbox", name="Perturbations")
    field.fill(f"{genes[0].lower()}, {genes[1]}\n{'+'.join(pair)}\nNOTAGENE")
    driver.page.get_by_role("button", name="Predict all").click()
    driver.see("Not recognised")
    heading(driver, "each of these 3")
    picture(driver, "many_map_")
    assert address(driver)["genes"].split(",") == [genes[0], genes[1], "+".join(sorted(pair)), "NOTAGENE"]
    assert "NOTAGENE" in driver.text()
    table = rows(file(driver, "Download all effects"))
    assert [row["perturbation"] for row in table] == [genes[0], genes[1], "+".join(sorted(pair))]
    read = anndata.read_h5ad(file(driver, "Download as AnnData"))
    assert read.shape == (3, len(inference.response_genes))
    driver.no_traceback()


def test_rows_of_the_list_are_opened_and_compared(driver, inference):
    genes = [g for g in inference.genes["gene"] if inference.support([g]).level != "none" and g != LONG][:4]
    opened(driver, inference, genes=",".join(genes), view="many")
    rows_of_table = driver.page.locator(".st-key-table_many_table canvas").first
    rows_of_table.wait_for()
    rows_of_table.scroll_into_view_if_needed()
    box = rows_of_table.bounding_box()
    for row in (0, 1):  # the boxes at the left of the rows
        driver.page.mouse.click(box["x"] + 20, box["y"] + 35 * (row + 1) + 17)
        driver.settle()
    driver.page.get_by_role("button", name=f"Compare {genes[0]} with {genes[1]}").click()
    heading(driver, f"How do {genes[0]} and {genes[1]} differ?")
    asked = address(driver)
    assert (asked["genes"], asked["versus"], asked["view"]) == (genes[0], genes[1], "compare")
    driver.no_traceback()


def test_two_hundred_genes_by_address(driver, inference):
    genes = inference.genes["gene"].tolist()
    many = (genes * (200 // len(genes) + 1))[:200]
    opened(driver, inference, genes=",".join(many), view="many")
    n = sum(inference.support([g]).level != "none" for g in dict.fromkeys(many))
    driver.see(f"{n} prediction")
    picture(driver, "many_map_")
    choose(driver, "Strongest first")
    picture(driver, "many_map_strength")
    driver.no_traceback()


def test_two_perturbations_compared(driver, inference):
    first, second = (
        t[0] for t in [t for t in inference.effects.targets if len(t) == 1 and LONG not in t][:2]
    )
    opened(driver, inference, genes=first, versus=second, view="compare")
    heading(driver, f"How do {first} and {second} differ?")
    driver.see("Hyperbolic distance")
    picture(driver, "compare_against")
    choose(driver, "Largest differences")
    picture(driver, "compare_differences")
    table = rows(file(driver, "Download the comparison"))
    for row in table:
        assert float(row["second"]) - float(row["first"]) == pytest.approx(float(row["difference"]), abs=1e-6)
    opened(driver, inference, genes=first, versus="NOBODY", view="compare")
    driver.see("No prediction for NOBODY")
    driver.no_traceback()


def test_a_wanted_change_is_ranked_with_its_sign(driver, inference):
    opened(driver, inference, view="wanted")
    driver.see("undo what a perturbation does")
    example = driver.page.locator(".st-key-examples button").first
    name = example.inner_text()
    example.click()
    picture(driver, "wanted_bars")
    asked = address(driver)
    assert asked["up"]
    assert asked["down"]
    driver.settle()
    table = rows(file(driver, "Save"))
    ranking = inference.rank_perturbations(
        goal="target", up=asked["up"].split(","), down=asked["down"].split(",")
    )
    assert [row["target"] for row in table] == ranking["targets"].tolist()
    labelled = ranking.set_index("perturbation").loc[name]
    assert labelled["sign"] == "wrong"  # undoing it takes the opposite of what was done
    driver.page.get_by_text("Also genes that were never perturbed").click()
    driver.page.wait_for_url("**untested=yes**")
    driver.see(f"among {len(ranking) + len(inference.untested)} perturbations and as many opposites")
    driver.no_traceback()


def test_a_gene_chosen_elsewhere_is_a_question_about_one(driver, inference):
    gene = inference.effects.targets[0][0]
    opened(driver, inference, view="wanted")
    driver.see("undo what a perturbation does")
    opened(driver, inference, genes=gene)
    driver.see("Effect against certainty")
    assert address(driver).get("view", "one") == "one"
    driver.no_traceback()
