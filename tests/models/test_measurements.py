"""Leaving out in closed form, against doing it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hyperperturb.models import measurements
from hyperperturb.models.measurements import ExactPrecision, LeftOut, looked_at, solve

P, R = 30, 40
GROUPS = [np.array([0]), np.array([3, 7, 8]), np.array([7, 20])]


@pytest.fixture(scope="module")
def made():
    """A covariance, effects, a part of them that is known, and what is read off."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(P, P))
    Y = rng.normal(size=(P, R))
    known = sparse.csc_array(Y * (rng.uniform(size=Y.shape) < 0.1))
    return factor @ factor.T / P + 0.3 * np.eye(P), Y, known, rng.normal(size=(P, 4))


def test_what_is_left_out_is_predicted_as_if_it_had_never_been(made):
    C, Y, known, read = made
    precision = ExactPrecision(C)
    left = LeftOut.of(precision, GROUPS, P)
    (answer,), likely, (missed,) = solve(precision, [read], Y, known, [left])
    rest = Y - known.toarray()
    errors, squares, variances = [], [], []
    for rows in GROUPS:
        others = np.setdiff1d(np.arange(P), rows)
        back = np.linalg.solve(C[np.ix_(others, others)], C[np.ix_(others, rows)]).T
        predicted = known.toarray()[rows] + back @ rest[others]
        errors.append((Y[rows] - predicted) ** 2)
        squares.append(np.sum(predicted**2, axis=1))
        variances.append(np.diag(C[np.ix_(rows, rows)] - back @ C[np.ix_(others, rows)]))
    assert missed.errors == pytest.approx(np.concatenate(errors)[:, looked_at(R)])
    assert missed.square == pytest.approx(np.concatenate(squares))
    assert missed.variance == pytest.approx(np.concatenate(variances))
    assert missed.rows.tolist() == [0, 3, 7, 8, 7, 20]
    solved = np.linalg.solve(C, rest)
    assert answer == pytest.approx(read.T @ solved)
    assert likely == pytest.approx(np.mean(rest * solved, axis=0))


def test_some_response_genes_at_a_time_are_as_good_as_all_at_once(made, monkeypatch):
    C, Y, known, read = made
    precision = ExactPrecision(C)
    left = LeftOut.of(precision, GROUPS, P)
    at_once = solve(precision, [read], Y, known, [left])
    monkeypatch.setattr(measurements, "_AT_ONCE", 7)
    parts = solve(precision, [read], Y, known, [left])
    assert parts[0][0] == pytest.approx(at_once[0][0])
    assert parts[1] == pytest.approx(at_once[1])
    assert parts[2][0].errors == pytest.approx(at_once[2][0].errors)
    assert parts[2][0].square == pytest.approx(at_once[2][0].square)


def test_nothing_left_out_is_no_error(made):
    C, Y, known, read = made
    precision = ExactPrecision(C)
    missed = solve(precision, [read], Y, known, [LeftOut.of(precision, [], P)])[2][0]
    assert missed.rows.shape == missed.square.shape == missed.variance.shape == (0,)
    assert missed.errors.shape == (0, R)
