"""Cells that look like controls: shares that were put in come out, and where nothing can be told nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from hyperperturb.models.escapers import Axes, deal_folds, judge_escapers, split_cells


def mixed(
    share: float, distance: float, n: int = 600, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Perturbed cells with a share of unchanged ones, controls, and which are unchanged."""
    rng = np.random.default_rng(seed)
    same = np.arange(n) < round(share * n)
    return rng.normal(np.where(same, 0.0, distance), 1.0), rng.normal(size=800), same


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("distance", [2.5, 4.0])
def test_the_share_that_was_mixed_in_comes_out_within_its_error(share, distance):
    errors = []
    for seed in range(5):
        cells, controls, _ = mixed(share, distance, seed=seed)
        found = split_cells(cells, controls)
        assert abs(found.share - share) < 0.03 + 4 * found.error
        errors.append(found.share - share)
    assert abs(np.mean(errors)) < 0.06
    assert found.separation == pytest.approx(distance, abs=0.4)


def test_single_cells_are_told_apart_and_the_farther_back_the_more_like_a_control():
    cells, controls, same = mixed(0.3, 4.0)
    found = split_cells(cells, controls)
    assert found.probability[same].mean() > 0.9
    assert found.probability[~same].mean() < 0.1
    order = np.argsort(cells)
    assert (np.diff(found.probability[order]) <= 1e-12).all()


def test_places_and_units_do_not_matter():
    cells, controls, _ = mixed(0.3, 3.0)
    one, other = split_cells(cells, controls), split_cells(5 + 10 * cells, 5 + 10 * controls)
    assert one.share == pytest.approx(other.share)
    assert one.separation == pytest.approx(other.separation)


def test_folds_are_even_within_each_label_and_repeatable():
    label = np.repeat([0, 1, 2], [50, 7, 1])
    fold = deal_folds(label)
    for k in range(3):
        counts = np.bincount(fold[label == k], minlength=5)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(fold, deal_folds(label))
    assert (fold != deal_folds(label, seed=1)).any()


def axes_of(x: np.ndarray, label: np.ndarray, fold: np.ndarray) -> Axes:
    sums, counts = np.zeros((3, 5, x.shape[1])), np.zeros((3, 5), dtype=int)
    np.add.at(sums, (label, fold), x)
    np.add.at(counts, (label, fold), 1)
    return Axes.learn(sums, counts, np.eye(x.shape[1]), control=2)


def test_no_cell_has_a_part_in_its_own_axis():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], 40)
    fold = deal_folds(label)
    x = rng.normal(size=(120, 30))
    before = axes_of(x, label, fold)
    places = before.of_labelled(x[:80], label[:80], fold[:80])
    for cell in (3, 50):
        y = x.copy()
        y[cell] += 100.0
        after = axes_of(y, label, fold)
        np.testing.assert_allclose(after.direction[:, fold[cell]], before.direction[:, fold[cell]])
    # Thirty dimensions of noise and 32 cells: judged on the cells they were learned from, groups seem far apart.
    controls = before.of_controls(x[80:], fold[80:])
    assert abs(places[:40].mean() - controls[:, 0].mean()) < 0.5
    np.testing.assert_allclose(
        before.of_controls(x[:80], fold[:80])[np.arange(80), label[:80]], places, rtol=1e-4, atol=1e-4
    )


def test_what_cannot_be_told_from_controls_is_not_judged():
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1, 2], [200, 200, 10])
    place = np.concatenate([rng.normal(0.1, 1, 200), rng.normal(4, 1, 200), rng.normal(9, 1, 10)])
    table, probability = judge_escapers(place, label, rng.normal(size=(300, 3)), ("none", "strong", "rare"))
    table = table.set_index("perturbation")
    assert table["judged"].to_dict() == {"none": False, "strong": True, "rare": False}
    assert np.isnan(table.loc["none", "share"])
    assert table.loc["strong", "share"] < 0.05
    assert np.isnan(probability[label != 1]).all()
    assert np.isfinite(probability[label == 1]).all()
    assert table["cells"].tolist() == [200, 200, 10]
