"""Figures of held-out perturbations: what they show, for none, one and thousands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from hyperperturb.plots.document import CAPTIONS, figures_page, report_figures
from hyperperturb.plots.evaluation import method_scores, paired_leads
from hyperperturb.plots.held_out import (
    correlation,
    coverage_shares,
    error_calibration,
    left_out_scatter,
    perturbation_errors,
)

PICTURES = [perturbation_errors, error_calibration, coverage_shares]


def _rows(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "perturbation": [f"P{i}" for i in range(n)],
            "error": rng.lognormal(-0.5, 0.5, n),
            "baseline_error": rng.lognormal(-0.4, 0.5, n),
            "strength": rng.lognormal(0, 1, n),
            "predicted_error": rng.lognormal(-3, 0.4, n),
            "actual_error": rng.lognormal(-3, 0.4, n),
            "covered": rng.beta(18, 2, n),
        }
    )


def _sentence(figure: go.Figure) -> str:
    assert not figure.data
    return figure.layout.annotations[0].text


def test_perturbations_are_sorted_by_who_is_nearer():
    rows = pd.DataFrame(
        {"perturbation": ["A", "B", "C"], "error": [0.5, 0.9, 0.7], "baseline_error": [0.8, 0.6, 0.71]}
    )
    figure = perturbation_errors(rows, chosen="B", baseline="the mean")
    found = {trace.name: list(trace.customdata) for trace in figure.data if trace.name}
    assert found == {"HyperPerturb is nearer (2)": ["A", "C"], "the mean is nearer (1)": ["B"]}
    ring = figure.data[-1]
    assert (ring.x[0], ring.y[0]) == (0.6, 0.9)
    note = figure.layout.annotations[-1]
    assert "B" in note.text
    np.testing.assert_allclose([note.x, note.y], np.log10([0.6, 0.9]))
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert len(perturbation_errors(rows, chosen="none of them").data) == 2


def test_stronger_perturbations_are_larger():
    rows = _rows(50)
    sizes = {}
    for trace in perturbation_errors(rows).data:
        sizes |= dict(zip(trace.customdata, trace.marker.size, strict=True))
    order = sorted(sizes, key=sizes.get)
    assert order == rows.sort_values("strength")["perturbation"].tolist()


@pytest.mark.parametrize("n", [1, 5000])
@pytest.mark.parametrize("picture", PICTURES)
def test_one_and_thousands_are_drawn(picture, n):
    figure = picture(_rows(n))
    points = sum(sum(trace.y) if picture is coverage_shares else len(trace.x) for trace in figure.data)
    assert points == n
    if picture is not coverage_shares:
        assert {type(trace) for trace in figure.data} == {go.Scatter if n == 1 else go.Scattergl}


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_is_a_sentence(picture):
    unknown = _rows(3).assign(covered=None, predicted_error=np.nan, error=np.nan)
    for nothing in (None, [], pd.DataFrame(), pd.DataFrame({"perturbation": ["A"]}), unknown):
        assert _sentence(picture(nothing)).endswith(".")


def _table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    effect = rng.normal(0, 0.3, n)
    measured = effect + rng.normal(0, 0.1, n)
    own = np.arange(n) == 0
    return pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(n)],
            "effect": effect,
            "standard_error": 0.06,
            "measured": np.where(own, 9.0, measured),
            "measured_standard_error": 0.08,
            "own": own,
            "inside": np.abs(measured - effect) < 1.6449 * 0.1,
        }
    )


def test_a_left_out_perturbation_is_drawn_without_its_targets_and_with_its_intervals():
    table = _table()
    figure = left_out_scatter(table)
    inside, outside, intervals = figure.data
    rest = table[~table["own"]]
    assert set(inside.customdata) == set(rest.loc[rest["inside"], "gene"])
    assert set(outside.customdata) == set(rest.loc[~rest["inside"], "gene"])
    assert inside.marker.symbol != outside.marker.symbol  # never colour alone
    np.testing.assert_allclose(intervals.error_x.array, 1.6449 * 0.1, rtol=1e-4)
    corner = figure.layout.annotations[-1].text
    r = np.corrcoef(rest["effect"], rest["measured"])[0, 1]
    assert correlation(table) == pytest.approx(r)
    assert f"{r:.3f}" in corner
    assert f"inside {100 * rest['inside'].mean():.0f} %" in corner
    assert figure.layout.xaxis.range == figure.layout.yaxis.range


def test_odd_left_out_perturbations_are_drawn():
    assert "measured here" in _sentence(left_out_scatter(_table().iloc[:1]))
    assert "measured here" in _sentence(left_out_scatter(_table().assign(measured=np.nan)))
    bare = left_out_scatter(_table().assign(measured_standard_error=np.nan, standard_error=0.0))
    assert not np.any(bare.data[-1].error_x.array)
    assert np.isnan(correlation(_table().assign(effect=0.0)))
    assert "–" in left_out_scatter(_table().assign(effect=0.0)).layout.annotations[-1].text
    assert type(left_out_scatter(_table(6000)).data[0]) is go.Scattergl


def test_calibration_rings_the_chosen_one_and_coverage_tells_its_mean():
    rows = _rows(40)
    points = error_calibration(rows, chosen="P7").data[0]
    assert np.argmax(points.marker.size) == list(points.customdata).index("P7")
    np.testing.assert_allclose(points.y, rows["actual_error"])
    assert coverage_shares(rows.assign(covered=1.0)).data[0].y[-1] == 40  # all of it in the last bin
    shown = {note.text for note in coverage_shares(rows.assign(covered=0.82)).layout.annotations}
    assert shown == {"asked for 90 %", "mean 82 %"}


def test_a_lead_is_claimed_only_where_its_interval_excludes_zero():
    leads = [
        {"name": "a", "label": "A", "metric": "error", "lead": 0.1, "low": 0.05, "high": 0.2},
        {"name": "b", "label": "B", "metric": "error", "lead": 0.01, "low": -0.02, "high": 0.04},
        {"name": "c", "label": "C", "metric": "error", "lead": -0.1, "low": -0.2, "high": -0.05},
        {"name": "a", "label": "A", "metric": "pearson_mean", "lead": 0.3, "low": 0.2, "high": 0.4},
    ]
    figure = paired_leads(leads)
    found = {trace.name: list(trace.x) for trace in figure.data}
    assert found == {
        "HyperPerturb is better": [0.1],
        "no clear difference": [0.01],
        "HyperPerturb is worse": [-0.1],
    }
    assert [text.strip() for text in figure.layout.yaxis.ticktext] == ["A", "B", "C"]
    assert len({trace.marker.symbol for trace in figure.data}) == 3
    assert list(paired_leads(leads, metric="pearson_mean").data[0].x) == [0.3]
    assert _sentence(paired_leads([]))
    assert "not defined" in _sentence(paired_leads(leads, metric="energy_distance"))


def test_ceiling_and_variants_are_told_from_baselines():
    names = ("hyperperturb", "training_mean", "flat_twin", "ceiling")
    rows = [{"name": name, "label": name, "error": 0.5 + i} for i, name in enumerate(names)]
    figure = method_scores(rows, model="hyperperturb")
    symbols = {float(trace.x[0]): trace.marker.symbol for trace in figure.data}
    assert symbols == {0.5: "circle", 1.5: "circle-open", 2.5: "square-open", 3.5: "diamond-open"}


def test_a_report_has_every_figure_even_of_scores_that_lack_something():
    methods = [{"name": "hyperperturb", "label": "HyperPerturb", "error": 0.5, "centroid_accuracy": 0.7}]
    rows = _rows(5).to_dict("records")
    figures = report_figures({"methods": methods, "per_perturbation": rows, "best_baseline": "training_mean"})
    assert set(figures) == set(CAPTIONS)
    assert "mean of the training perturbations" in figures["perturbations"].layout.xaxis.title.text
    assert all(not figure.data for figure in report_figures({}).values())


def test_the_page_of_figures_is_whole_and_escaped():
    page = figures_page("A < B", "Yes & no.", [("First", go.Figure()), ("Second", go.Figure())])
    assert "A &lt; B" in page
    assert "Yes &amp; no." in page
    assert page.count("<script src=") == 0  # no connection is needed
    assert page.count("Plotly.newPlot(") >= 2
    assert page.index("First") < page.index("Second")
