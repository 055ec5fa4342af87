"""Pictures of cells: every cell is drawn once, what is asked about stands out, intervals stay within 0 and 100 %."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hyperperturb.plots import theme
from hyperperturb.plots.cells import (
    CONTROL,
    OTHER,
    Shade,
    cell_map,
    escaped_shares,
    shade_agreement,
    shade_labels,
    shift_and_effect,
)

LABELS = np.array(["ctrl", "A", "B", "C", "A", "ctrl"])
IS_CONTROL = LABELS == "ctrl"
PLACES = np.arange(12, dtype=float).reshape(6, 2)


def drawn(figure) -> int:
    return sum(len(trace.x) for trace in figure.data if trace.hoverinfo != "skip")


def test_controls_are_grey_the_named_in_colour_and_the_rest_pale():
    shade = shade_labels("label", LABELS, IS_CONTROL, ["B", "gone", "A"], most=2)
    assert shade.groups.tolist() == [CONTROL, "A", "B", OTHER, "A", CONTROL]
    assert shade.colours["B"] == theme.OKABE_ITO[0]
    assert shade.colours["A"] == theme.OKABE_ITO[1]
    assert len(set(shade.colours.values())) == 4
    assert list(shade_labels("label", LABELS, IS_CONTROL, ["A", "B", "C"]).colours) == [
        CONTROL,
        "A",
        "B",
        "C",
    ]


def test_label_against_model_names_the_escaped_only_where_that_can_be_told():
    shade = shade_agreement(
        LABELS,
        np.array(["A", "A", "A", "C", "A", "B"]),
        IS_CONTROL,
        np.array([np.nan, 0.1, 0.9, np.nan, 0.8, np.nan]),
    )
    assert shade.groups.tolist() == [
        CONTROL,
        "named as labelled",
        "likely escaped",
        "named as labelled",
        "likely escaped",
        CONTROL,
    ]


@pytest.mark.parametrize("chosen", [None, LABELS == "A", np.zeros(6, dtype=bool)])
def test_every_cell_is_drawn_once_and_only_the_chosen_stand_out(chosen):
    shade = shade_labels("label", LABELS, IS_CONTROL, ["A", "B", "C"])
    figure = cell_map(PLACES, shade, LABELS, chosen=chosen, rings=True)
    assert drawn(figure) == 6
    strong = sum(len(trace.x) for trace in figure.data if trace.marker.opacity > 0.3)
    assert strong == (6 if chosen is None else int(chosen.sum()))
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(named) == len(set(named)) == 4
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.shapes


def test_numbers_are_drawn_once_missing_ones_apart():
    values = np.array([0.0, 1.0, np.nan, 3.0, 2.0, np.nan])
    figure = cell_map(PLACES, Shade("gene", values=values), LABELS)
    assert drawn(figure) == 6
    ramp = next(trace for trace in figure.data if trace.marker.colorscale is not None)
    assert ramp.marker.color.tolist() == [0.0, 1.0, 2.0, 3.0], "what is high is drawn last"
    constant = cell_map(PLACES, Shade("gene", values=np.zeros(6)), LABELS)
    assert constant.data[0].marker.cmin < constant.data[0].marker.cmax


def test_the_line_around_cells_is_closed_and_names_are_text():
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    names = np.array(["<b>A</b>"] * 6)
    shade = shade_labels("label", names, np.zeros(6, dtype=bool), list(names))
    figure = cell_map(PLACES, shade, names, outline=corners)
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert len(line.x) == 4
    assert (line.x[0], line.y[0]) == (line.x[-1], line.y[-1])
    assert figure.data[0].name == "&lt;b&gt;A&lt;/b&gt;"


def test_shares_have_intervals_inside_the_axis_and_only_what_is_judged_is_drawn():
    table = pd.DataFrame(
        {
            "perturbation": ["A", "B", "C"],
            "cells": [100, 50, 30],
            "judged": [True, True, False],
            "share": [0.0, 0.95, np.nan],
            "error": [0.02, 0.1, np.nan],
            "separation": [4.0, 2.0, np.nan],
            "told": [0.9, 0.6, 0.5],
        }
    )
    figure = escaped_shares(table, chosen="A")
    points = figure.data[0]
    assert points.customdata.tolist() == ["A", "B"]
    assert (points.x - points.error_x.arrayminus >= 0).all()
    assert (points.x + points.error_x.array <= 100).all()
    assert points.error_x.color == theme.INK, "black is not seen on a dark page"
    assert not escaped_shares(table[~table["judged"]]).data


def test_the_shift_lies_across_and_the_measured_effect_upwards():
    table = pd.DataFrame(
        {"gene": ["A", "B"], "shift": [1.0, -0.5], "effect": [0.8, 0.0], "standard_error": [0.1, 0.2]}
    )
    figure = shift_and_effect(table, "STAT1")
    assert {trace.name for trace in figure.data if trace.name} == {"up", "within two standard errors"}
    assert "STAT1" in figure.layout.yaxis.title.text
