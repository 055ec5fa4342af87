"""Several runs on one picture."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hyperperturb.plots.comparison import compared_losses, compared_scores


def history(n: int, scale: float = 1.0) -> pd.DataFrame:
    rows = [
        {"stage": stage, "epoch": e, "loss": scale / e, "val_loss": 2 * scale / e}
        for stage in ("genes", "cells")
        for e in range(1, n + 1)
    ]
    return pd.DataFrame(rows)


def test_runs_keep_colour_and_dash_in_every_panel_and_are_named_once():
    figure = compared_losses({"A": history(9), "B": history(3, 2.0), "C": history(0)})
    drawn = [(trace.name, trace.xaxis, len(trace.x)) for trace in figure.data]
    assert drawn == [("A", "x", 9), ("B", "x", 3), ("A", "x2", 9), ("B", "x2", 3)]
    looks = {trace.name: (trace.line.color, trace.line.dash) for trace in figure.data}
    assert all(looks[trace.name] == (trace.line.color, trace.line.dash) for trace in figure.data)
    assert len({colour for colour, _ in looks.values()}) == len({dash for _, dash in looks.values()}) == 2
    assert sum(trace.showlegend for trace in figure.data) == 2
    assert list(figure.data[0].y)[:2] == [2.0, 1.0]  # the validation
    assert figure.layout.yaxis.type == "log"


def test_without_a_validation_the_training_loss_is_drawn_and_without_a_loss_a_sentence():
    figure = compared_losses({"A": history(3).drop(columns="val_loss")})
    assert list(figure.data[0].y)[:2] == [1.0, 0.5]
    assert "None of these runs" in compared_losses({"A": pd.DataFrame()}).layout.annotations[0].text


def test_scores_stand_in_the_given_order_with_their_intervals_and_baselines():
    def scores(error: float, label: str) -> dict:
        return {
            "label": label,
            "error": error,
            "error_low": error - 0.1,
            "error_high": error + 0.2,
            "pearson_mean": None,
        }

    rows = [
        {"run": "A", "model": scores(0.6, "HyperPerturb"), "baseline": scores(0.8, "Ridge")},
        {"run": "B", "model": scores(0.7, "HyperPerturb"), "baseline": None},
    ]
    figure = compared_scores(rows, shown=("error", "pearson_mean"))
    assert [(trace.name, trace.x[0]) for trace in figure.data] == [
        ("Ridge of A", 0.8),
        ("A", 0.6),
        ("B", 0.7),
    ]
    assert figure.data[1].y[0] > figure.data[2].y[0]  # the first is on top
    assert list(figure.layout.yaxis.ticktext) == ["B", "A"]
    np.testing.assert_allclose(figure.data[1].error_x.array, [0.2])
    assert "0.600 (0.500 to 0.800)" in figure.data[1].hovertemplate
    assert figure.data[1].marker.symbol != figure.data[2].marker.symbol  # never colour alone
    assert "no" in compared_scores([]).layout.annotations[0].text.lower()
