"""Figures of several predictions: a map, two against each other, a network, a ranking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hyperperturb.plots import theme
from hyperperturb.plots.network import layout, response_graph
from hyperperturb.plots.predictions import effect_map, effects_compared, interventions, largest_differences


def test_the_map_is_symmetric_about_zero_and_leaves_targets_out():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 12))
    values[0, 0], values[1, 1] = np.nan, 100.0
    table = pd.DataFrame(values, index=[f"P{i}" for i in range(30)], columns=[f"G{i}" for i in range(12)])
    figure = effect_map(table, table.abs())
    heat = figure.data[0]
    assert heat.zmin == -heat.zmax
    assert heat.zmax < 20  # one outlier does not bleach the rest
    assert np.isnan(heat.z[0][0])
    assert heat.y[0] == "P0"
    assert figure.layout.yaxis.autorange == "reversed"
    assert "±" in heat.customdata[2][2]
    assert [colour for _, colour in heat.colorscale][1].endswith("0.06)")
    tall = effect_map(
        pd.DataFrame(np.ones((500, 2)), index=[f"P{i}" for i in range(500)], columns=["A", "B"])
    )
    assert tall.layout.height == 900
    assert not effect_map(table.iloc[:0]).data
    assert effect_map(table * 0).data[0].zmax == 1


def _compared() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": ["A", "B<i>", "C"],
            "first": [0.1, 0.4, 0.0],
            "first_standard_error": [0.05] * 3,
            "second": [0.6, -0.4, 0.05],
            "second_standard_error": [0.05] * 3,
            "difference": [0.5, -0.8, 0.05],
            "standard_error": [0.07] * 3,
            "clear": [True, True, False],
        }
    )


def test_two_perturbations_are_coloured_by_where_they_differ():
    figure = effects_compared(_compared(), ("JAK2", "STAT1"))
    traces = {trace.name: trace for trace in figure.data if trace.name}
    assert list(traces["higher under STAT1"].customdata) == ["A"]
    assert list(traces["lower under STAT1"].customdata) == ["B<i>"]
    assert list(traces["no clear difference"].customdata) == ["C"]
    assert traces["higher under STAT1"].marker.color == theme.UP
    assert "STAT1" in figure.layout.yaxis.title.text
    assert "<b>B&lt;i&gt;</b>" in traces["lower under STAT1"].text[0]
    bars = largest_differences(_compared(), ("JAK2", "STAT1"))
    assert list(bars.data[0].customdata) == ["B<i>", "C", "A"]
    assert list(bars.data[0].marker.color) == [theme.DOWN, theme.OTHER, theme.UP]
    np.testing.assert_allclose(bars.data[0].error_x.array, 0.14)
    assert not effects_compared(_compared().iloc[:0], ("A", "B")).data
    assert not largest_differences(_compared().iloc[:0], ("A", "B")).data


def _graph() -> tuple[pd.DataFrame, pd.DataFrame]:
    nodes = pd.DataFrame(
        {
            "gene": ["T", "A", "B", "M", "Z", "a_gene_with_a_very_long_name"],
            "role": ["target", "neighbour", "neighbour", "between", "beyond", "neighbour"],
            "effect": [-3.0, 0.5, -0.25, np.nan, 0.1, 0.0],
            "standard_error": [0.2, 0.1, 0.1, np.nan, 0.1, np.nan],
        }
    )
    links = pd.DataFrame(
        [
            ("T", "A", 1.0),
            ("T", "B", 0.5),
            ("T", "M", 0.3),
            ("M", "Z", 0.1),
            ("T", "a_gene_with_a_very_long_name", 0.9),
        ],
        columns=["first", "second", "weight"],
    )
    return nodes, links


def test_the_network_is_coloured_by_effect_and_its_points_say_their_gene():
    figure = response_graph(*_graph())
    points = {trace.name: trace for trace in figure.data if trace.mode == "markers+text"}
    assert list(points["perturbed"].customdata) == ["T"]
    assert points["perturbed"].marker.symbol == "diamond"
    assert list(points["not measured"].customdata) == ["M"]
    responding = points["responding"]
    assert (responding.marker.cmin, responding.marker.cmax) == (-0.5, 0.5)  # not those of the target itself
    sizes = dict(zip(responding.customdata, responding.marker.size, strict=True))
    assert sizes["A"] > sizes["B"] > sizes["Z"]
    assert "a_gene_with_a…" in responding.text
    assert "not measured" in points["not measured"].hovertext[0]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(np.isnan(np.array(line.x, float)).sum() for line in lines) == 5
    assert [line.line.width for line in lines] == sorted((line.line.width for line in lines), reverse=True)


def test_the_layout_keeps_linked_genes_near_and_parts_apart():
    nodes, links = _graph()
    place = layout(nodes, links)
    np.testing.assert_array_equal(place, layout(nodes, links))
    at = dict(zip(nodes["gene"], place, strict=True))
    assert np.linalg.norm(at["T"] - at["A"]) < np.linalg.norm(at["T"] - at["Z"])
    alone = layout(nodes, links.iloc[:0])
    assert np.isfinite(alone).all()
    assert layout(nodes.iloc[:1], links.iloc[:0]).shape == (1, 2)


def test_a_network_without_links_or_genes():
    nodes, links = _graph()
    assert len(response_graph(nodes.iloc[:1], links.iloc[:0]).data) == 1
    assert "knows none" in response_graph(nodes.iloc[:0], links.iloc[:0]).layout.annotations[0].text
    unknown = response_graph(nodes.iloc[3:4], links.iloc[:0])
    assert unknown.data[0].name == "not measured"


@pytest.mark.parametrize("sign", ["right", "wrong"])
def test_interventions_show_their_sign(sign):
    ranking = pd.DataFrame(
        {
            "perturbation": ["JAK2", "IRF1_STAT1"],
            "targets": ["JAK2", "IRF1 + STAT1"],
            "sign": [sign, "right"],
            "intervention": ["knockdown" if sign == "right" else "activation", "knockdown"],
            "score": [0.8 if sign == "right" else -0.8, 0.2],
            "probability": [0.7, 0.004],
        }
    )
    figure = interventions(ranking)
    by = {trace.name: trace for trace in figure.data}
    if sign == "wrong":
        assert list(by["turned up"].x) == [-0.8]
        assert by["turned up"].marker.color == theme.UP
        assert figure.layout.xaxis.range[0] < -0.8
    else:
        assert set(by) == {"turned down or cut"}
        assert figure.layout.xaxis.range[0] == 0
    assert "0.4 %" in by["turned down or cut"].text
    assert list(figure.layout.yaxis.ticktext)[-1].strip() == "JAK2"  # the best on top
    assert not interventions(ranking.iloc[:0]).data
