"""What the figures show, and that odd input gives a sentence or a picture, never an exception."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from hyperperturb.data.effects import Effects
from hyperperturb.errors import HyperPerturbError
from hyperperturb.plots import theme
from hyperperturb.plots.disk import static_disk
from hyperperturb.plots.effects import (
    EFFECT,
    additive_vs_predicted,
    predicted_vs_measured,
    ranked_bars,
    volcano,
)
from hyperperturb.plots.evaluation import hub_radius, method_scores
from hyperperturb.plots.screen import cells_per_perturbation, effect_sizes
from hyperperturb.plots.training import component_curves, loss_curves


def _prediction(n: int = 50, *, measured: bool = True, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    effect = rng.normal(0, 0.3, n)
    table = pd.DataFrame(
        {"gene": [f"G{i}" for i in range(n)], "effect": effect, "standard_error": np.full(n, 0.1)}
    )
    table["measured"] = effect + rng.normal(0, 0.05, n) if measured else np.nan
    table["measured_standard_error"] = 0.05 if measured else np.nan
    return table


def _sentence(figure: go.Figure) -> str:
    assert not figure.data
    return figure.layout.annotations[0].text


# --- predictions ---------------------------------------------------------------------------------------------


def test_volcano_sorts_genes_by_direction_and_certainty():
    table = pd.DataFrame(
        {"gene": ["up", "down", "none"], "effect": [0.5, -0.5, 0.1], "standard_error": [0.1, 0.2, 0.1]}
    )
    figure = volcano(table)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["predicted up"].customdata) == ["up"]
    assert list(traces["predicted down"].customdata) == ["down"]
    assert list(traces["within two standard errors"].customdata) == ["none"]
    np.testing.assert_allclose(traces["predicted up"].y, [5])
    np.testing.assert_allclose(traces["predicted down"].y, [2.5])
    assert traces["predicted up"].marker.color == theme.UP
    assert traces["predicted down"].marker.color == theme.DOWN
    assert figure.layout.xaxis.title.text == EFFECT
    assert figure.layout.xaxis.range[0] == -figure.layout.xaxis.range[1]
    assert {note.text for note in figure.layout.annotations} == {"up", "down"}


def test_measured_is_outlined_and_predicted_solid():
    for figure in (volcano(_prediction()), ranked_bars(_prediction())):
        measured = next(trace for trace in figure.data if trace.name == "measured")
        hollow = measured.marker.color == "rgba(0,0,0,0)" or measured.marker.symbol == "circle-open"
        assert hollow
        assert measured.marker.line.width > 1
    names = [trace.name for trace in volcano(_prediction(measured=False)).data]
    assert "measured" not in names
    assert len(ranked_bars(_prediction(measured=False)).data) == 1


def test_ranked_bars_are_the_largest_effects_in_order():
    table = _prediction(200)
    bars = ranked_bars(table, n=12).data[0]
    largest = table.loc[table["effect"].abs().nlargest(12).index]
    assert set(bars.customdata) == set(largest["gene"])
    assert list(bars.x) == sorted(largest["effect"])
    assert all(
        (colour == theme.UP) == (value > 0) for colour, value in zip(bars.marker.color, bars.x, strict=True)
    )


def test_long_and_hostile_names_are_cut_and_escaped_and_whole_in_the_hover():
    name = "<b>HLA</b>-" + "A" * 60
    table = _prediction(3, measured=False).assign(gene=[name, name + "2", "C"], effect=[1.0, -1.0, 0.5])
    figure = ranked_bars(table)
    assert all("<b>HLA" not in text and len(text) < 40 for text in figure.layout.yaxis.ticktext)
    assert len(figure.data[0].y) == 3  # equal beginnings stay two bars
    assert any("&lt;b&gt;HLA&lt;/b&gt;-" + "A" * 60 in text for text in figure.data[0].text)


def test_predicted_vs_measured_has_equal_scales_and_the_diagonal():
    table = _prediction(80)
    table.loc[:9, "measured"] = np.nan
    figure = predicted_vs_measured(table)
    assert sum(len(trace.x) for trace in figure.data if trace.name) == 70
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert figure.layout.yaxis.scaleanchor == "x"
    line = figure.layout.shapes[0]
    assert (line.x0, line.x1) == (line.y0, line.y1)


def test_additive_vs_predicted_colours_clear_interactions():
    parts = pd.DataFrame(
        {
            "gene": ["A", "B", "C", "D"],
            "additive": [1.0, -2.0, 0.5, 0.0],
            "interaction": [-0.5, 0.1, 0.4, 0.0],
            "standard_error": [0.1, 0.1, 0.1, 0.0],
        }
    )
    figure = additive_vs_predicted(parts)
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert named["below the sum"].customdata.tolist() == ["A"]
    assert named["above the sum"].customdata.tolist() == ["C"]
    assert named["like the sum"].customdata.tolist() == ["B", "D"]
    assert named["below the sum"].y.tolist() == [0.5], "the prediction is the sum and the interaction"
    assert figure.layout.xaxis.range == figure.layout.yaxis.range


@pytest.mark.parametrize("picture", [volcano, ranked_bars, predicted_vs_measured])
def test_predictions_of_any_kind_are_drawn(picture):
    empty = _prediction(0)
    assert _sentence(picture(empty)).endswith(".")
    assert _sentence(picture(pd.DataFrame({"gene": ["A"], "effect": [np.nan]}))).endswith(".")
    picture(_prediction(1))
    picture(_prediction(5000))
    odd = _prediction(6)
    odd.loc[0, "standard_error"] = 0
    odd.loc[1, "effect"] = np.inf
    odd.loc[2, ["standard_error", "measured"]] = np.nan
    odd.loc[3, "effect"] = 0
    picture(odd)
    picture(odd.assign(effect=0.0, measured=0.0))


def test_a_prediction_without_errors_says_so():
    assert "no standard errors" in _sentence(volcano(pd.DataFrame({"gene": ["A"], "effect": [1.0]})))


# --- training ------------------------------------------------------------------------------------------------


def _history() -> pd.DataFrame:
    rows = [
        {
            "stage": stage,
            "epoch": e,
            "epochs": n,
            "loss": 1 / e,
            "val_loss": 1.2 / e,
            "radial": 0.1 * e,
            "curvature": 1.0,
        }
        for stage, n in (("genes", 8), ("cells", 4))
        for e in range(1, n + 1)
    ]
    return pd.DataFrame(rows)


def test_loss_curves_have_a_panel_a_stage_and_the_last_value_at_the_end():
    figure = loss_curves(_history())
    assert [(trace.name, trace.xaxis) for trace in figure.data] == [
        ("training", "x"),
        ("validation", "x"),
        ("training", "x2"),
        ("validation", "x2"),
    ]
    assert figure.layout.yaxis.type == figure.layout.yaxis2.type == "log"
    assert [note.text for note in figure.layout.annotations] == ["0.125", "0.150", "0.250", "0.300"]
    np.testing.assert_allclose(figure.layout.annotations[0].y, np.log10(0.125))
    assert figure.data[0].line.dash != figure.data[1].line.dash  # never colour alone
    assert sum(trace.showlegend is not False for trace in figure.data) == 2


def test_a_loss_that_is_not_positive_is_drawn_on_a_linear_axis():
    figure = loss_curves(_history().assign(loss=lambda h: h["loss"] - 0.5))
    assert figure.layout.yaxis.type == "linear"
    assert figure.layout.annotations[0].y == pytest.approx(0.125 - 0.5)


def test_unfinished_and_odd_histories_are_drawn():
    assert "first epoch" in _sentence(loss_curves(pd.DataFrame()))
    assert "first epoch" in _sentence(loss_curves(pd.DataFrame({"stage": ["genes"]})))
    one = loss_curves(_history().iloc[:1])
    assert one.data[0].mode == "markers"
    bare = loss_curves(pd.DataFrame({"loss": [3.0, 2.0, np.nan], "val_loss": [None, None, None]}))
    assert [trace.name for trace in bare.data] == ["training"]
    assert list(bare.data[0].x) == [1, 2]


def test_components_are_small_multiples_with_the_validation_beside_the_training():
    history = _history().assign(val_radial=lambda h: 2 * h["loss"])
    figure = component_curves(history)
    names = [trace.name for trace in figure.data]
    assert [name for name in names if "curvature" not in name] == ["radial", "radial, validation"] * 2
    assert figure.data[0].xaxis == figure.data[1].xaxis
    assert figure.data[0].line.dash != figure.data[1].line.dash
    assert [note.text for note in figure.layout.annotations][:1] == ["radial, genes"]
    early = component_curves(history.groupby("stage").head(2))
    assert {axis.dtick for axis in early.select_xaxes()} == {1}  # no half epochs
    assert "No loss components" in _sentence(component_curves(_history()[["stage", "epoch", "loss"]]))


def test_techniques_that_are_switched_on_have_panels_and_what_does_not_move_again_has_none():
    stages = ["genes"] * 3 + ["cells"] * 3
    history = pd.DataFrame(
        {
            "stage": stages,
            "epoch": [1, 2, 3] * 2,
            "loss": [3.0, 2.0, 1.0] * 2,
            "learning_rate": [0.1, 0.05, 0.01, 0.003, 0.002, 0.001],
            "curvature": [1.0, 1.5, 2.0, 2.0, 2.0, 2.0],
            "field": [0.3, 0.2, 0.1, None, None, None],
            "active": [None, None, None, 1.0, 0.8, 0.5],
            "curriculum": [None, None, None, 0.2, 0.6, 1.0],
        }
    )
    titles = [note.text for note in component_curves(history).layout.annotations]
    assert titles == [
        "learning rate, genes",
        "curvature",
        "annealing field Γ",
        "learning rate, cells",
        "weights in use",
        "perturbations admitted",
    ]


def test_losses_that_hardly_move_have_a_linear_axis_which_has_ticks():
    narrow = pd.DataFrame({"epoch": [1, 2, 3], "loss": [4.6, 4.1, 3.8]})
    assert loss_curves(narrow).layout.yaxis.type == "linear"
    assert loss_curves(narrow.assign(loss=[9.0, 4.0, 1.0])).layout.yaxis.type == "log"


# --- screens -------------------------------------------------------------------------------------------------


def _effects(p: int, r: int = 30, *, cells: bool = True) -> Effects:
    rng = np.random.default_rng(1)
    names = tuple(f"P{i}" for i in range(p))
    return Effects(
        perturbations=names,
        targets=tuple((name,) for name in names),
        genes=tuple(f"G{i}" for i in range(r)),
        effect=(rng.normal(0, 0.1, (p, r)) * (1 + np.arange(p)[:, None])).astype(np.float32),
        standard_error=np.full((p, r), 0.05 if cells else np.nan, np.float32),
        n_cells=np.arange(1, p + 1) * 10 if cells else np.zeros(p, np.int64),
        control="control",
        control_mean=None,
        control_variance=None,
        n_control_cells=0,
        mode="knockdown",
    )


def test_cells_are_sorted_with_the_median():
    figure = cells_per_perturbation({"A": 10, "B": 30, "C": 20})
    assert list(figure.data[0].y) == [30, 20, 10]
    assert list(figure.layout.xaxis.ticktext) == ["B", "C", "A"]
    assert figure.layout.annotations[0].text == "median 20"
    assert figure.layout.yaxis.type != "log"
    wide = cells_per_perturbation(pd.Series({"A": 10, "B": 3000}))
    assert wide.layout.yaxis.type == "log"
    np.testing.assert_allclose(wide.layout.annotations[0].y, np.log10(1505))


def test_effect_sizes_stand_beside_the_noise():
    effects = _effects(5)
    figure = effect_sizes(effects)
    noise, size = figure.data
    np.testing.assert_allclose(noise.y, 0.05, rtol=1e-5)
    np.testing.assert_allclose(
        size.y, np.sort(np.sqrt((effects.effect.astype(float) ** 2).mean(axis=1)))[::-1]
    )
    assert list(size.customdata) == ["P4", "P3", "P2", "P1", "P0"]
    assert size.marker.symbol == "circle-open"


@pytest.mark.parametrize("p", [0, 1, 41, 5000])
def test_screens_of_any_size_are_drawn(p):
    start = time.perf_counter()
    for cells in (True, False):
        effects = _effects(p, cells=cells)
        sizes, counts = effect_sizes(effects), cells_per_perturbation(effects)
        if p == 0:
            assert _sentence(sizes)
        else:
            assert len(sizes.data) == (2 if cells else 1)
        if p and cells:
            assert len(counts.data[0].y) == p
        else:
            assert _sentence(counts)
    assert time.perf_counter() - start < 5


# --- evaluation ----------------------------------------------------------------------------------------------

METHODS = [
    {
        "name": "none",
        "label": "No change",
        "error": 1.0,
        "error_low": 1.0,
        "error_high": 1.0,
        "pearson_mean": None,
    },
    {
        "name": "model",
        "label": "HyperPerturb",
        "error": 0.44,
        "error_low": 0.4,
        "error_high": 0.5,
        "pearson_mean": 0.3,
    },
    {
        "name": "mean",
        "label": "Training mean",
        "error": 0.51,
        "error_low": 0.5,
        "error_high": 0.6,
        "pearson_mean": 0.0,
    },
]


@pytest.mark.parametrize("metrics", [METHODS, pd.DataFrame(METHODS), {"methods": METHODS}])
def test_methods_are_ordered_and_the_model_stands_out(metrics):
    figure = method_scores(metrics)
    assert [text.strip() for text in figure.layout.yaxis.ticktext] == [
        "No change",
        "Training mean",
        "<b>HyperPerturb</b>",
    ]
    solid = [trace for trace in figure.data if trace.marker.symbol == "circle"]
    outlined = [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert [trace.xaxis for trace in solid] == ["x", "x2"]
    assert list(solid[0].x) == [0.44]
    np.testing.assert_allclose(solid[0].error_x.array, [0.06])
    np.testing.assert_allclose(solid[0].error_x.arrayminus, [0.04])
    assert list(outlined[1].x) == [0.0]  # no score, no point
    assert "lower is better" in figure.layout.xaxis.title.text


def test_no_scores_is_a_sentence():
    for nothing in ([], {}, pd.DataFrame(), [{"name": "model", "label": "M"}], None):
        assert "no held-out scores" in _sentence(method_scores(nothing))


def test_hub_radius_writes_the_rank_correlation():
    genes = pd.DataFrame(
        {"gene": list("ABCDE"), "degree": [100, 30, 10, 3, 0], "radius": [0.2, 1.0, 2.0, 3.0, 4.0]}
    )
    figure = hub_radius(genes)
    assert len(figure.data[0].x) == 4
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.annotations[-1].text == "rank correlation −1"
    assert _sentence(hub_radius(genes.iloc[:0]))
    assert "above zero" in _sentence(hub_radius(genes.assign(degree=0)))
    assert len(hub_radius(genes.iloc[:1]).data) == 1


# --- the still disk ------------------------------------------------------------------------------------------


def _genes(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    r, phi = np.sqrt(rng.random(n)) * 0.98, rng.random(n) * 2 * np.pi
    return pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(n)],
            "x": r * np.cos(phi),
            "y": r * np.sin(phi),
            "degree": np.arange(n, 0, -1),
            "community": [f"c{i % 9}" for i in range(n)],
        }
    )


def test_static_disk_has_hubs_on_top_and_rings_inside_the_rim():
    figure = static_disk(_genes())
    points = figure.data[0]
    assert len(points.x) == 60
    assert points.marker.size[-1] == max(points.marker.size)
    rim, *rings = figure.layout.shapes
    assert rim.x1 == 1
    np.testing.assert_allclose([ring.x1 for ring in rings[:2]], np.tanh([0.5, 1.0]))
    assert points.marker.showscale


def test_static_disk_draws_geodesics_that_meet_the_rim_at_right_angles():
    genes = _genes()
    near = pd.DataFrame({"gene": ["G5", "G9", "nowhere"], "weight": [1.0, 0.2, 1.0]})
    figure = static_disk(genes, color="community", selected="G0", neighbours=near)
    arcs = [shape for shape in figure.layout.shapes if shape.type == "path"]
    assert len(arcs) == 2
    points = np.array([p.split(",") for p in arcs[0].path.replace("M", "").split(" L")], float)
    np.testing.assert_allclose(points[0], genes.loc[0, ["x", "y"]].astype(float), atol=1e-4)
    np.testing.assert_allclose(points[-1], genes.loc[5, ["x", "y"]].astype(float), atol=1e-4)
    # On a circle orthogonal to the rim: |p|² + 1 = 2 p·o for one centre o.
    centre, *_ = np.linalg.lstsq(2 * points, (points**2).sum(axis=1) + 1, rcond=None)
    np.testing.assert_allclose(2 * points @ centre, (points**2).sum(axis=1) + 1, atol=1e-3)
    lit = sum(
        np.count_nonzero(np.array(trace.marker.opacity) == 1)
        for trace in figure.data
        if trace.text is not None
    )
    assert lit == 3
    assert arcs[0].line.width > arcs[1].line.width


def test_static_disk_of_nothing_and_without_columns():
    assert "no genes" in _sentence(static_disk(_genes(0)))
    with pytest.raises(HyperPerturbError, match="no column 'sensitivity'"):
        static_disk(_genes(), color="sensitivity")
    missing = static_disk(_genes().assign(level=[np.nan] * 20 + [1.0] * 40), color="level")
    assert [len(trace.x) for trace in missing.data] == [40, 20]
    assert all(colour == theme.OTHER for colour in missing.data[1].marker.color)
