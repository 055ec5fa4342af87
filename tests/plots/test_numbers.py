"""The numbers of a figure are those of the table it was drawn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from hyperperturb.plots.effects import ranked_bars, volcano
from hyperperturb.plots.evaluation import method_scores
from hyperperturb.plots.held_out import perturbation_errors
from hyperperturb.plots.numbers import figure_numbers

GENES = ["STAT1", "IRF1", "JAK2", "SPI1"]


@pytest.fixture
def prediction() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": GENES,
            "effect": [-0.8, 0.4, -0.2, 0.01],
            "standard_error": [0.1, 0.1, 0.05, 0.1],
            "measured": [-0.7, 0.5, np.nan, 0.0],
            "measured_standard_error": [0.1, 0.1, np.nan, 0.1],
        }
    )


def test_a_point_keeps_its_gene_and_its_coordinates(prediction):
    table = figure_numbers(volcano(prediction))
    predicted = table[table["series"] != "measured"].set_index("name")
    effect = next(name for name in table.columns if name.startswith("effect"))
    assert predicted[effect].to_dict() == dict(zip(GENES, prediction["effect"], strict=True))


def test_bars_come_with_the_ends_of_their_intervals(prediction):
    figure = ranked_bars(prediction, n=4)
    table = figure_numbers(figure)
    bars = table[table["series"] == "predicted"].set_index("name")
    effect = next(name for name in table.columns if name.startswith("effect"))
    drawn = dict(zip(figure.data[0].customdata, figure.data[0].error_x.array, strict=True))
    for gene in GENES:
        width = bars.loc[gene, f"{effect} high"] - bars.loc[gene, f"{effect} low"]
        assert width == pytest.approx(2 * drawn[gene])
        assert bars.loc[gene, effect] == prediction.set_index("gene").loc[gene, "effect"]


def test_panels_are_told_apart():
    methods = pd.DataFrame(
        {
            "name": ["model", "mean"],
            "label": ["HyperPerturb", "Mean"],
            "error": [0.5, 0.9],
            "error_low": [0.4, 0.8],
            "error_high": [0.7, 1.0],
            "pearson_mean": [0.6, 0.1],
            "pearson_mean_low": [0.5, 0.0],
            "pearson_mean_high": [0.7, 0.2],
        }
    )
    table = figure_numbers(method_scores(methods, model="model"))
    error = table[table["panel"].str.startswith("squared error")].set_index("name")
    assert error.loc["HyperPerturb", ["x", "x low", "x high"]].tolist() == pytest.approx([0.5, 0.4, 0.7])
    assert len(table) == 4


def test_what_guides_the_eye_is_left_out():
    rows = pd.DataFrame(
        {
            "perturbation": GENES,
            "error": [0.3, 0.9, 0.5, 1.2],
            "baseline_error": [0.6, 0.8, 0.9, 1.1],
            "strength": [9.0, 2.0, 4.0, 1.0],
        }
    )
    table = figure_numbers(perturbation_errors(rows, chosen="STAT1", baseline="mean"))
    assert sorted(table["name"]) == sorted(GENES)  # the ring around the chosen one is no fifth point


def test_axes_of_one_title_and_figures_without_points():
    both = {"title": {"text": "error"}}
    figure = go.Figure(go.Scatter(x=[1.0], y=[2.0]), layout={"xaxis": both, "yaxis": both})
    assert figure_numbers(figure).to_dict("list") == {"error (x)": [1.0], "error (y)": [2.0]}
    assert figure_numbers(go.Figure()).empty


def test_a_heat_map_is_a_row_a_cell_and_colours_are_numbers():
    map_ = go.Heatmap(
        z=[[1.0, 2.0], [3.0, 4.0]], x=["G1", "G2"], y=["P1", "P2"], colorbar={"title": {"text": "effect"}}
    )
    table = figure_numbers(go.Figure(map_))
    assert table.to_dict("list") == {
        "row": ["P1", "P1", "P2", "P2"],
        "column": ["G1", "G2", "G1", "G2"],
        "effect": [1.0, 2.0, 3.0, 4.0],
    }
    points = go.Scatter(
        x=[0, 1], y=[0, 1], marker={"color": [0.5, -0.5], "colorbar": {"title": {"text": "effect"}}}
    )
    assert figure_numbers(go.Figure(points))["effect"].tolist() == [0.5, -0.5]
