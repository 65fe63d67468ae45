"""Families of tests: Benjamini-Hochberg, max-T, the best set, equivalence, sign flips."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    benjamini_hochberg,
    best_set,
    contrast_correlation,
    difference,
    equivalence,
    holm,
    max_t,
    sign_flip_test,
)


def crossed(rng: np.random.Generator, seeds: int, clusters: int, mean: float = 0.0) -> Array:
    noise = 0.24 * rng.normal(size=(seeds, clusters))
    return mean + 0.02 * rng.normal(size=(seeds, 1)) + noise


def test_benjamini_hochberg_by_hand_and_by_statsmodels() -> None:
    """Sorted p times m / rank, then the running minimum from the largest."""
    assert benjamini_hochberg([0.04, 0.01, 0.03, 0.5]) == pytest.approx(
        [0.16 / 3, 0.04, 0.16 / 3, 0.5], rel=1e-12
    )
    raw = np.random.default_rng(0).random(15) ** 3
    adjusted = benjamini_hochberg(raw)
    assert adjusted == pytest.approx(multipletests(raw, method="fdr_bh")[1], rel=1e-14)
    assert (adjusted >= raw).all() and (adjusted <= holm(raw)).all()
    assert (np.diff(adjusted[np.argsort(raw)]) >= 0).all()
    kept = benjamini_hochberg([0.01, math.nan, 0.04])
    assert kept == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


# --- max-T --------------------------------------------------------------------------------------


def test_max_t_of_independent_and_of_identical_tests() -> None:
    """Independent: 1 - (1 - p)^m (Sidak). Identical: no adjustment."""
    raw = [0.01, 0.04, 0.5]
    rng = np.random.default_rng(1)
    independent = max_t(raw, np.eye(3), rng, draws=400_000)
    assert independent.p_values == pytest.approx(1 - (1 - np.array(raw)) ** 3, abs=0.002)
    assert independent.pointwise_confidence == pytest.approx(0.95 ** (1 / 3), abs=0.001)
    identical = max_t(raw, np.ones((3, 3)), rng, draws=400_000)
    assert identical.p_values == pytest.approx(raw, abs=0.002)
    assert identical.critical_z == pytest.approx(1.96, abs=0.01)


def test_critical_value_of_fifteen_tests_with_correlation_one_half() -> None:
    correlation = np.full((15, 15), 0.5) + 0.5 * np.eye(15)
    found = max_t(np.linspace(0.001, 1, 15), correlation, np.random.default_rng(2))
    assert found.critical_z == pytest.approx(2.84, abs=0.015)
    assert stats.norm.isf(0.05 / 30) == pytest.approx(2.94, abs=0.005)


def test_max_t_is_monotone_between_the_raw_value_and_bonferroni() -> None:
    raw = np.sort(np.r_[0.0, 1e-9, np.random.default_rng(3).random(8) ** 4, 1.0])
    correlation = np.full((11, 11), 0.3) + 0.7 * np.eye(11)
    found = max_t(raw, correlation, np.random.default_rng(4)).p_values
    assert (np.diff(found) >= 0).all()
    assert (found >= raw).all() and (found <= np.minimum(11 * raw, 1)).all()
    assert found[:2] == pytest.approx([0, 11e-9])


def test_max_t_leaves_out_what_is_not_estimable_and_is_seeded() -> None:
    raw = [0.01, math.nan, 0.04]
    first, again = (max_t(raw, np.eye(3), np.random.default_rng(5)) for _ in range(2))
    assert math.isnan(first.p_values[1])
    assert first.p_values[[0, 2]] == pytest.approx([0.0199, 0.0784], abs=0.003)
    assert first.p_values.tobytes() == again.p_values.tobytes()
    assert math.isnan(max_t([math.nan], [[1.0]], np.random.default_rng(5)).critical_z)
    with pytest.raises(ValueError, match=r"give \[3, 3\]"):
        max_t(raw, np.eye(2), np.random.default_rng(5))


@pytest.mark.parametrize("matched", [False, True])
def test_correlation_of_contrasts_by_hand(matched: bool) -> None:
    """Three algorithms, two differences from the first; the seed part added to the prompts'."""
    rng = np.random.default_rng(6)
    shared = 0.5 * rng.normal(size=(4, 1))
    tables = [shared + crossed(rng, 4, 60) + 0.2 * rng.normal(size=(4, 1)) for _ in range(3)]
    found = contrast_correlation(tables, [[1, -1, 0], [1, 0, -1]], matched)
    columns = [tables[0].mean(axis=0) - each.mean(axis=0) for each in tables[1:]]
    joint = np.cov(columns) / 60
    if matched:
        centered = [each - each.mean(axis=1, keepdims=True) for each in tables]
        rows = [(tables[0] - each).mean(axis=1) for each in tables[1:]]
        rests = [centered[0] - each for each in centered[1:]]
        rests = [(rest - rest.mean(axis=0)).ravel() for rest in rests]
        joint = joint + np.cov(rows) / 4 - np.inner(rests, rests) / (3 * 59) / 240
    else:
        runs = []
        for each in tables:
            rest = each - each.mean(axis=1, keepdims=True) - each.mean(axis=0) + each.mean()
            noise = (rest**2).sum() / (3 * 59) / 240
            runs.append(max(each.mean(axis=1).var(ddof=1) / 4 - noise, 0))
        joint = joint + runs[0] + np.diag(runs[1:])
    assert found[0, 1] == pytest.approx(
        joint[0, 1] / math.sqrt(joint[0, 0] * joint[1, 1]), rel=1e-9
    )
    assert np.diag(found) == pytest.approx([1, 1])


@pytest.mark.parametrize("matched", [False, True])
def test_correlation_agrees_with_the_errors_of_the_differences(matched: bool) -> None:
    """Var(a - b) of `difference`, within strata, is the diagonal: (a - b) + (b - c) is (a - c)."""
    rng = np.random.default_rng(7)
    strata = [0] * 20 + [1] * 30
    tables = [crossed(rng, 4, 50) + rng.normal(size=(4, 1)) for _ in range(3)]
    correlation = contrast_correlation(
        tables, [[1, -1, 0], [0, 1, -1]], matched=matched, strata=strata
    )
    ab, bc, ac = (
        difference(tables[i], tables[j], matched, strata=strata).standard_error
        for i, j in ((0, 1), (1, 2), (0, 2))
    )
    assert correlation[0, 1] == pytest.approx((ac**2 - ab**2 - bc**2) / (2 * ab * bc), rel=1e-9)


def test_contrasts_that_do_not_fit_are_refused() -> None:
    tables = [np.zeros((2, 3)), np.zeros((3, 3))]
    with pytest.raises(ValueError, match="2 algorithms"):
        contrast_correlation(tables, [[1, -1, 0]])
    with pytest.raises(ValueError, match="as many rows"):
        contrast_correlation(tables, [[1, -1]], matched=True)
    with pytest.raises(ValueError, match="same clusters"):
        contrast_correlation([np.zeros((2, 3)), np.zeros((2, 4))], [[1, -1]])
    assert contrast_correlation(tables, [[1, -1], [-1, 1]]).tolist() == [[1, 0], [0, 1]]


# --- Bold face ----------------------------------------------------------------------------------


def test_bold_are_the_best_and_what_cannot_be_told_from_it() -> None:
    rng = np.random.default_rng(8)
    tables = [crossed(rng, 5, 500, mean) for mean in (0.5, 0.505, 0.3, 0.499)]
    found = best_set(tables, np.random.default_rng(9))
    assert found.members == (True, True, False, True)
    assert found.p_values[found.best] == 1
    assert found.p_values[2] < 1e-3
    assert (found.level, found.note) == ("algorithm", "")
    turned = best_set(tables[::-1], np.random.default_rng(9))
    assert turned.members == found.members[::-1]
    assert turned.best == 3 - found.best


def test_two_algorithms_are_judged_by_their_difference() -> None:
    rng = np.random.default_rng(10)
    first, second = crossed(rng, 4, 100, 0.1), crossed(rng, 4, 100)
    found = best_set([first, second], np.random.default_rng(11))
    expected = difference(first, second).p_value
    assert found.p_values == pytest.approx((1, expected), abs=0.003)


def test_bold_of_single_runs_is_about_checkpoints_and_unknown_leaves_nobody_out() -> None:
    rng = np.random.default_rng(12)
    single = best_set([crossed(rng, 1, 90), crossed(rng, 1, 90, 0.5)], rng)
    assert (single.best, single.members, single.level) == (1, (False, True), "checkpoint")
    assert single.note == "checkpoint level: no training variance"
    unknown = best_set([crossed(rng, 3, 1), crossed(rng, 3, 1, 9.0)], rng)
    assert (unknown.members, unknown.best) == ((True, True), 1)
    assert unknown.note == "not estimable: nobody is left out"
    same = np.tile(crossed(rng, 1, 30), (3, 1))
    assert best_set([same, same], rng).members == (True, True)
    with pytest.raises(ValueError, match="at least two"):
        best_set([same], rng)


# --- Equivalence --------------------------------------------------------------------------------


def test_equivalence_is_that_of_statsmodels_and_has_three_verdicts() -> None:
    rng = np.random.default_rng(13)
    first, second = rng.normal(size=(2, 1, 50))
    found = difference(first, second, deterministic=True)
    for margin in (0.1, 0.4, 1.0):
        expected = ttost_paired(first[0], second[0], -margin, margin)[0]
        assert equivalence(found, margin).p_value == pytest.approx(float(expected), rel=1e-9)
    wide, narrow = equivalence(found, 1.0), equivalence(found, 0.1)
    ninety = difference(first, second, deterministic=True, confidence=0.9)
    assert (wide.lower, wide.upper) == pytest.approx((ninety.lower, ninety.upper), rel=1e-12)
    assert (wide.verdict, narrow.verdict) == ("equivalent", "inconclusive")
    assert -1 < wide.lower < wide.upper < 1
    assert narrow.lower <= -0.1 or narrow.upper >= 0.1
    apart = difference(first + 3, second, deterministic=True)
    assert equivalence(apart, 1.0).verdict == "different"
    # Surely not zero, and surely too small to matter.
    assert equivalence(apart, 5.0).verdict == "equivalent"
    assert apart.p_value < 0.05


def test_verdicts_on_what_does_not_vary_or_is_not_estimable() -> None:
    ones = np.ones((3, 4))
    assert equivalence(difference(ones, ones), 0.1).verdict == "equivalent"
    assert equivalence(difference(2 * ones, ones), 0.1).verdict == "different"
    unknown = equivalence(difference([[1.0]], [[2.0]]), 5.0)
    assert (unknown.verdict, unknown.note) == ("inconclusive", "not estimable: a single cluster")
    assert math.isnan(unknown.p_value)
    with pytest.raises(ValueError, match="positive margin"):
        equivalence(difference(ones, ones), 0.0)


# --- Sign flips ---------------------------------------------------------------------------------


def test_sign_flips_are_counted_exactly_where_they_can_be() -> None:
    values = np.random.default_rng(14).normal(size=8) + 0.5
    found = sign_flip_test(values, np.random.default_rng(15))
    means = np.abs([np.mean(values * signs) for signs in product([1, -1], repeat=8)])
    assert found.p_value == pytest.approx(np.mean(means >= abs(values.mean()) - 1e-12))
    assert (found.exact, found.smallest_p_value, found.note) == (True, 2 / 256, "")
    few = sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0], np.random.default_rng(15))
    assert few.p_value == few.smallest_p_value == 1 / 16
    assert few.note == "5 clusters cannot reach p = .05"


def test_random_sign_flips_agree_with_the_t_test_and_one_cluster_has_none() -> None:
    values = np.random.default_rng(16).normal(size=200) + 0.13
    found = sign_flip_test(values, np.random.default_rng(17))
    assert not found.exact
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert found == sign_flip_test(values, np.random.default_rng(17))
    single = sign_flip_test([3.0], np.random.default_rng(17))
    assert math.isnan(single.p_value)
    assert single.note == "not estimable: a single cluster"
