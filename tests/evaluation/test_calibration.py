"""Standard errors that are right, too small, and of the wrong perturbations, and what the judge says of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.calibration import inside, measurement_variance
from hyperperturb.evaluation.cross_validation import cross_validate
from hyperperturb.evaluation.resampling import Resampling
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.evaluation.verdict import MODEL

P, R = 60, 80


@pytest.fixture(scope="module")
def noisy():
    """Single perturbations whose truth is zero up to a spread of their own, measured with a known error."""
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.2, 2.0, P)
    noise = np.full((P, R), 0.3, dtype=np.float32)
    effect = rng.normal(size=(P, R)) * np.hypot(spread[:, None], noise)
    names = tuple(f"G{i:02d}" for i in range(P))
    effects = Effects(
        perturbations=names,
        targets=tuple((g,) for g in names),
        genes=tuple(f"R{i}" for i in range(R)),
        effect=effect.astype(np.float32),
        standard_error=noise,
        n_cells=np.full(P, 50),
        control="control",
    )
    return effects, dict(zip(names, spread, strict=True))


def scored(effects, errors, *, size=0.0, folds=5):
    """One value everywhere with standard errors by gene; NaN for a gene that ``errors`` lacks."""

    def predict(training, targets):
        error = np.array([errors.get(t[0], np.nan) for t in targets])
        return np.full((len(targets), R), size), np.repeat(error[:, None], R, axis=1)

    return cross_validate(effects, {MODEL: predict}, folds=folds)


def test_right_errors_cover_ninety_percent_and_rank_the_perturbations(noisy):
    effects, spread = noisy
    scores = scored(effects, spread)
    found = scores.calibration()
    assert found.coverage == pytest.approx(0.9, abs=0.01)
    assert found.coverage_low < 0.9 < found.coverage_high
    assert found.rank_correlation_low > 0.85
    assert found.gain_low > 0
    assert found.relative_error_kept == pytest.approx(1.0)  # zeros are no change
    assert found.perturbation_coverage[2] == pytest.approx(0.9, abs=0.03)
    assert found.gene_coverage[2] == pytest.approx(0.9, abs=0.03)
    assert "90 % intervals" in found.sentence
    assert "30 % least certain the error falls clearly" in found.sentence


def by_fold(effects):
    """Perturbations of each fold of :func:`scored`."""
    return [np.array(effects.perturbations)[s.test] for s in gene_folds(effects.targets, folds=5, seed=0)]


def test_errors_are_ranked_and_refused_within_a_fold(noisy):
    effects, spread = noisy
    scores = scored(effects, spread)
    table, found = scores.table(MODEL), scores.calibration()
    a, b = (
        np.concatenate([rankdata(table.loc[f, name]) - 0.5 * (len(f) + 1) for f in by_fold(effects)])
        for name in ("predicted_error", "actual_error")
    )
    assert found.rank_correlation == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
    least = [table.loc[f].sort_values("predicted_error") for f in by_fold(effects)]
    certain = [fold.iloc[:8]["actual_error"].sum() + 0.4 * fold.iloc[8]["actual_error"] for fold in least]
    assert found.error_kept == pytest.approx(sum(certain) / (0.7 * P))
    assert found.error_all == pytest.approx(table["actual_error"].mean())
    assert found.gain == pytest.approx(found.error_all - found.error_kept)


def test_a_scale_that_differs_between_folds_does_not_spoil_the_ranking(noisy):
    """As with a predictor that thinks itself better where the worst perturbation is held out."""
    effects, spread = noisy
    scaled = {g: spread[g] * 10.0**number for number, fold in enumerate(by_fold(effects)) for g in fold}
    assert scored(effects, scaled).calibration().rank_correlation_low > 0.85


def test_perturbations_held_out_one_by_one_are_ranked_together(noisy):
    effects, spread = noisy
    scores = scored(effects, spread, folds=P)
    table = scores.table(MODEL)
    expected = spearmanr(table["predicted_error"], table["actual_error"])[0]
    assert scores.calibration().rank_correlation == pytest.approx(expected, abs=1e-12)


def test_the_least_supported_are_those_whose_error_is_most_of_what_is_expected(noisy):
    """A prediction that is right for half of the perturbations, and knows which."""
    effects, spread = noisy
    known = {g for i, g in enumerate(spread) if i % 2}
    right = np.array([1.0 if g in known else 0.0 for g in effects.perturbations])
    effects = replace(effects, effect=(effects.effect + right[:, None]).astype(np.float32))
    honest = scored(effects, {g: 0.3 if g in known else 2.0 for g in spread}, size=1.0).calibration()
    assert honest.relative_error_kept < honest.relative_error_all
    assert honest.relative_gain == pytest.approx(honest.relative_error_all - honest.relative_error_kept)
    assert honest.relative_gain_low > 0
    assert "error relative to no change falls clearly" in honest.sentence
    vain = scored(effects, {g: 2.0 if g in known else 0.3 for g in spread}, size=1.0).calibration()
    assert vain.relative_gain_high < 0


def test_the_expected_error_is_that_of_prediction_and_measurement(noisy):
    effects, spread = noisy
    table = scored(effects, spread).table(MODEL)
    wanted = np.hypot([spread[g] for g in table.index], 0.3)
    assert table["predicted_error"].to_numpy() == pytest.approx(wanted, rel=1e-5)


def test_the_error_of_a_measurement_is_known_from_its_number_of_cells(noisy):
    effects, _ = noisy
    rows = np.array([0, 3])
    assert measurement_variance(effects, rows) == pytest.approx(np.full((2, R), 0.09), rel=1e-5)
    screen = replace(
        effects,
        control_variance=np.linspace(0.1, 1.0, R),
        n_control_cells=200,
        n_cells=np.full(P, 50) + np.arange(P),
    )
    wanted = np.linspace(0.1, 1.0, R) * np.array([[1 / 50 + 1 / 200], [1 / 53 + 1 / 200]])
    assert measurement_variance(screen, rows) == pytest.approx(wanted)
    unknown = replace(effects, standard_error=np.full((P, R), np.nan, np.float32))
    assert not measurement_variance(unknown, rows).any()


def test_errors_half_as_large_cover_too_little(noisy):
    effects, spread = noisy
    found = scored(effects, {g: 0.3 * s for g, s in spread.items()}).calibration()
    assert found.coverage_high < 0.75


def test_errors_of_other_perturbations_do_not_help(noisy):
    effects, spread = noisy
    values = np.random.default_rng(3).permutation(list(spread.values()))
    found = scored(effects, dict(zip(spread, values, strict=True))).calibration()
    assert found.rank_correlation_low < 0 < found.rank_correlation_high
    assert found.gain_low < 0
    assert "least certain the error does not clearly change" in found.sentence


def test_the_error_of_the_measurement_is_added_where_it_is_known():
    zero, one = np.zeros((1, 2)), np.full((1, 2), 1.7)
    assert inside(zero, zero + 1.0, one, zero).tolist() == [[False, False]]
    assert inside(zero, zero + 1.0, one, np.array([[0.5, np.nan]])).tolist() == [[True, False]]


def test_perturbations_without_a_standard_error_do_not_count(noisy):
    effects, spread = noisy
    some = dict(list(spread.items())[:40])
    assert scored(effects, some).calibration().n_perturbations == 40
    assert scored(effects, dict(list(spread.items())[:3])).calibration() is None


def test_predictors_without_errors_have_no_calibration(noisy):
    effects, _ = noisy
    scores = cross_validate(effects, {MODEL: lambda training, targets: np.zeros((len(targets), R))})
    assert scores.calibration() is None


def test_resampling_by_gene_is_the_ordinary_bootstrap_for_single_genes():
    values = np.random.default_rng(0).normal(size=(200, 1))
    value, low, high = Resampling([(f"G{i}",) for i in range(200)]).ratio(values, np.ones_like(values))
    assert value[0] == pytest.approx(values.mean())
    assert (high - low)[0] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.1)


def test_resampling_knows_that_combinations_share_genes():
    """Effects that belong to genes: intervals that take the pairs for independent miss their spread."""
    rng = np.random.default_rng(0)
    part = rng.normal(size=20)
    pairs = [(a, b) for a in range(20) for b in range(a)]
    values = np.array([[part[a] + part[b]] for a, b in pairs])
    targets = [(f"G{a}", f"G{b}") for a, b in pairs]
    _, low, high = Resampling(targets).ratio(values, np.ones_like(values))
    truth = 2 * 1.96 * 2 * part.std() / np.sqrt(20)  # of twice the mean of the genes' parts
    assert (high - low)[0] == pytest.approx(truth, rel=0.35)
    independent = 2 * 1.96 * values.std() / np.sqrt(len(values))
    assert (high - low)[0] > 2 * independent


def test_a_ratio_without_a_denominator_has_no_value():
    value, low, high = Resampling([("A",), ("B",)]).ratio(np.zeros((2, 1)), np.zeros((2, 1)))
    assert np.isnan([value, low, high]).all()


def test_memory_stays_bounded_for_many_perturbations():
    many = Resampling([(f"G{i}",) for i in range(30_000)])
    assert many.draws * many.n < 2e7
    assert max(w.size for w in many._chunks()) <= 4_000_000
