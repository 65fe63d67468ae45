"""Gaps, shares, censored times and families of tests: closed forms, references, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from nlhf_repro.uncertainty import (
    CensoredTime,
    GapsRefusedError,
    bounded_interval,
    difference,
    equivalence,
    estimate,
    geometric_mean,
    holm,
    median_with_censoring,
    proportion,
    quantiles_with_censoring,
    ratio_of_gaps,
)

FLOOR = 1e-12


# --- Gaps ---------------------------------------------------------------------------------------


def test_geometric_mean_by_hand() -> None:
    """Logs to base 10 are -1, -2, -3: mean -2, standard error 1/sqrt(3), t(2)."""
    result = geometric_mean([[0.1, 0.01, 0.001]], FLOOR, deterministic=True)
    half = 10 ** (stats.t.ppf(0.975, 2) / math.sqrt(3))
    assert result.estimate == pytest.approx(0.01, rel=1e-12)
    assert (result.lower, result.upper) == pytest.approx((0.01 / half, 0.01 * half), rel=1e-9)
    assert (result.at_floor, result.level, result.note) == (0, "algorithm", "")
    assert geometric_mean([[0.1, 0.01]], FLOOR).level == "checkpoint"


def test_ratio_is_the_paired_t_test_on_logs_whatever_the_unit() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.exponential(size=(2, 1, 30))
    result = ratio_of_gaps(first, second, FLOOR, deterministic=True)
    expected = stats.ttest_rel(np.log(first[0]), np.log(second[0]))
    assert result.p_value == pytest.approx(float(expected.pvalue), rel=1e-10)
    assert result.estimate == pytest.approx(stats.gmean(first[0]) / stats.gmean(second[0]))
    swapped = ratio_of_gaps(1e-3 * second, 1e-3 * first, FLOOR, deterministic=True)
    assert swapped.estimate == pytest.approx(1 / result.estimate, rel=1e-12)
    assert (swapped.lower, swapped.upper) == pytest.approx((1 / result.upper, 1 / result.lower))


def test_gaps_at_the_floor_are_clipped_and_counted_up_to_five_percent() -> None:
    gaps = np.full((2, 20), 1e-3)
    gaps[0, 0], gaps[1, 3] = 0.0, -1e-13  # 2 of 40; rounding may leave a gap below zero
    result = geometric_mean(gaps, FLOOR)
    assert result.at_floor == 2
    assert result.estimate == pytest.approx(1e-3 ** (38 / 40) * FLOOR ** (2 / 40), rel=1e-12)
    gaps[1, 4] = FLOOR
    with pytest.raises(GapsRefusedError, match="3 of 40 gaps of gaps are at the floor 1e-12"):
        geometric_mean(gaps, FLOOR)
    fine = np.full((2, 20), 1e-2)
    for first, second, name in ((gaps, fine, "A"), (fine, gaps, "B")):
        with pytest.raises(GapsRefusedError, match=f"3 of 40 gaps of {name} .* more than 5%"):
            ratio_of_gaps(first, second, FLOOR)


def test_what_has_no_logarithm_is_refused() -> None:
    with pytest.raises(GapsRefusedError, match=r"gaps\[0, 1\] is -0.1, negative beyond rounding"):
        geometric_mean([[0.2, -0.1]], FLOOR)
    with pytest.raises(ValueError, match="floor is 0"):
        geometric_mean([[0.2, 0.1]], 0.0)
    with pytest.raises(ValueError, match=r"B\[0, 1\].* is nan"):
        ratio_of_gaps([[0.2, 0.1]], [[0.2, math.nan]], FLOOR)


def test_a_single_game_has_no_interval() -> None:
    result = ratio_of_gaps([[0.1], [0.2]], [[0.3], [0.4]], FLOOR)
    assert result.estimate == pytest.approx(math.sqrt(0.02 / 0.12))
    assert np.isnan([result.lower, result.upper, result.p_value]).all()


def test_two_games_far_apart_have_an_interval_beyond_floating_point() -> None:
    result = geometric_mean([[1e-300, 1e300]], 1e-305, deterministic=True)
    assert (result.lower, result.upper) == (0, math.inf)


# --- Shares -------------------------------------------------------------------------------------


@pytest.mark.parametrize("successes", [0, 1, 17, 29, 30])
def test_share_of_one_run_has_the_wilson_interval(successes: int) -> None:
    result = proportion(np.arange(30)[None] < successes, deterministic=True)
    expected = proportion_confint(successes, 30, method="wilson")
    assert (result.lower, result.upper) == pytest.approx(expected, abs=1e-12)
    assert result.estimate == pytest.approx(successes / 30)
    assert (result.successes, result.games, result.level) == (successes, 30, "algorithm")


@pytest.mark.parametrize("successes", [0, 30])
def test_runs_that_agree_on_a_certain_share_have_the_interval_of_one(successes: int) -> None:
    row = np.arange(30)[None] < successes
    one, five = proportion(row), proportion(np.repeat(row, 5, axis=0))
    assert (five.lower, five.upper) == pytest.approx((one.lower, one.upper), abs=1e-12)
    assert five.upper - five.lower > 0.1
    assert (one.level, five.level) == ("checkpoint", "algorithm")


@pytest.mark.parametrize("successes", [1, 10, 29])
def test_runs_that_agree_in_every_game_add_no_information(successes: int) -> None:
    row = np.arange(30)[None] < successes
    one, five = proportion(row), proportion(np.repeat(row, 5, axis=0))
    assert five.effective_count == pytest.approx(29, rel=1e-9)  # p (1 - p) / (var / n), ddof 1
    assert five.lower < one.lower
    assert one.upper < five.upper
    assert five.upper - five.lower < 1.1 * (one.upper - one.lower)


def test_share_matches_the_engine_where_it_is_far_from_the_ends() -> None:
    rng = np.random.default_rng(1)
    cells = rng.random((5, 2000)) < rng.beta(1, 1, size=(1, 2000))
    result, symmetric = proportion(cells), estimate(cells)
    ends = (symmetric.lower, symmetric.upper)
    assert (result.lower, result.upper) == pytest.approx(ends, abs=1e-4)
    assert 2000 < result.effective_count < 10000


def test_ends_of_a_share_solve_the_score_equation() -> None:
    """|share - p| = q sqrt(p (1 - p) / (share (1 - share))), q the engine's half-width."""
    cells = np.random.default_rng(2).random((4, 40)) < np.array([[0.6], [0.7], [0.8], [0.9]])
    result, symmetric = proportion(cells), estimate(cells)
    assert symmetric.degrees_of_freedom < 10
    share = symmetric.estimate
    count = share * (1 - share) / symmetric.standard_error**2
    quantile = (symmetric.upper - symmetric.estimate) / symmetric.standard_error
    for end in (result.lower, result.upper):
        distance = quantile * math.sqrt(end * (1 - end) / count)
        assert abs(share - end) == pytest.approx(distance, rel=1e-9)


def test_a_cell_counts_at_most_once() -> None:
    """Runs that fail in different games look surer than independent cells; they are not."""
    board = np.indices((2, 8)).sum(axis=0) % 2 == 0
    board[0, 0] = False
    assert estimate(board).standard_error ** 2 < (7 / 16) * (9 / 16) / 16
    assert proportion(board).effective_count == 16


def test_shares_that_vary_nowhere_still_have_a_width() -> None:
    board = np.indices((2, 8)).sum(axis=0) % 2 == 0
    result = proportion(board)
    assert result.estimate == 0.5
    assert (result.lower, result.upper) == pytest.approx(
        proportion_confint(4, 8, method="wilson"), abs=1e-12
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_share_of_a_single_game_has_no_interval(seeds: int) -> None:
    result = proportion(np.ones((seeds, 1), dtype=bool))
    assert np.isnan([result.lower, result.upper, result.effective_count]).all()


def test_shares_need_booleans() -> None:
    with pytest.raises(ValueError, match="type float64: give booleans"):
        proportion([[0.0, 1.0]])


# --- Censored times -----------------------------------------------------------------------------


def test_quantiles_with_censoring_by_hand() -> None:
    times = [math.inf, 3, 5, math.inf, 8, 2, 13, 1, 21, math.inf]  # 1 2 3 5 8 13 21 > > >
    found = quantiles_with_censoring(times, 100, (0.1, 0.25, 0.5, 0.7, 0.71, 0.9))
    assert [one.value for one in found] == [1, 3, 8, 21, math.inf, math.inf]
    assert [str(one) for one in found] == ["1", "3", "8", "21", "> 100", "> 100"]
    assert [one.censored for one in found] == [False] * 4 + [True] * 2


def test_quantiles_are_those_of_numpy_and_immune_to_rounding() -> None:
    times = np.random.default_rng(2).permutation(np.arange(1.0, 101.0))
    probabilities = (0.07, 0.14, 0.28, 0.29, 0.55, 0.56, 0.57, 1.0)
    found = quantiles_with_censoring(times, 100, probabilities)
    assert [one.value for one in found] == [7, 14, 28, 29, 55, 56, 57, 100]
    expected = np.quantile(times, [0.333, 0.666], method="inverted_cdf")
    assert [one.value for one in quantiles_with_censoring(times, 100, (0.333, 0.666))] == list(
        expected
    )


def test_median_interval_by_hand() -> None:
    """20 items: P(Bin(20, 1/2) <= 5) = .0207, so the 6th and the 15th; coverage .9586."""
    times = np.r_[np.arange(1.0, 13.0), np.full(8, np.inf)]
    result = median_with_censoring(times, 50)
    assert (result.estimate.value, result.lower.value) == (10, 6)
    assert result.upper == CensoredTime(math.inf, 50)
    assert str(result.upper) == "> 50"
    assert result.coverage == pytest.approx(0.9586, abs=5e-5)
    assert (result.items, result.censored) == (20, 8)


def test_five_items_have_no_median_interval_and_six_have() -> None:
    """The widest interval of n items covers 1 - 2^(1 - n): .9375 and .96875."""
    five, six = (median_with_censoring(np.arange(1.0, n + 1), 10) for n in (5, 6))
    assert np.isnan([five.lower.value, five.upper.value, five.coverage]).all()
    assert str(five.lower) == "nan"
    assert (six.lower.value, six.upper.value, six.coverage) == (1, 6, 0.96875)
    assert median_with_censoring(np.arange(1.0, 6.0), 10, confidence=0.9).coverage == 0.9375


def test_all_censored() -> None:
    result = median_with_censoring(np.full(9, np.inf), 50)
    assert all(end.censored for end in (result.estimate, result.lower, result.upper))


@pytest.mark.parametrize("time", [math.nan, 51.0, -math.inf])
def test_times_that_were_not_observed_are_refused(time: float) -> None:
    with pytest.raises(ValueError, match=r"times\[1\]"):
        quantiles_with_censoring([1.0, time], 50, (0.5,))


def test_malformed_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="probability 0"):
        quantiles_with_censoring([1.0], 50, (0.0,))
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        median_with_censoring([[1.0, 2.0]], 50)
    with pytest.raises(ValueError, match="censored_at is inf"):
        median_with_censoring([1.0, 2.0], math.inf)


# --- Families of tests --------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    """Sorted .01, .02, .03, .4 times 4, 3, 2, 1, then the running maximum."""
    assert holm([0.02, 0.4, 0.01, 0.03]) == pytest.approx([0.06, 0.4, 0.04, 0.06], rel=1e-12)


def test_holm_equals_statsmodels_is_monotone_and_not_below_the_raw_values() -> None:
    raw = np.random.default_rng(3).random(15) ** 3
    adjusted = holm(raw)
    assert adjusted == pytest.approx(multipletests(raw, method="holm")[1], rel=1e-14)
    assert (adjusted >= raw).all()
    assert (np.diff(adjusted[np.argsort(raw)]) >= 0).all()
    assert adjusted.max() <= 1


def test_holm_keeps_what_is_not_estimable_out_of_the_family() -> None:
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04], rel=1e-12)
    assert math.isnan(adjusted[1])
    assert np.isnan(holm([math.nan, math.nan])).all()
    assert holm([]).shape == (0,)


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ValueError, match=r"p_values\[1\] is 1.2"):
        holm([0.1, 1.2])
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        holm([[0.1]])


def test_differences_without_spread_are_not_called_equivalent() -> None:
    found = difference(np.full((1, 4), 0.75), np.full((1, 4), 0.5))
    unknown = replace(found, standard_error=math.nan, lower=math.nan, upper=math.nan)
    result = equivalence(unknown, 0.5)
    assert result.verdict == "inconclusive" and math.isnan(result.p_value)
    assert math.isnan(result.lower)


def test_a_share_whose_runs_show_no_variance_keeps_its_interval_in_range() -> None:
    """V is 0, as the rows differ by no more than noise; two runs may differ all the same."""
    wins = np.array([[True, True, False], [False, False, True]])
    result = proportion(wins)
    alone = proportion(wins[:1])
    assert 0 <= result.lower < alone.lower and alone.upper < 1 and result.upper <= 1
    found = estimate(wins.astype(float))
    assert found.standard_error == 0 and found.has_interval
    lower, upper = bounded_interval(found, 0, 1)
    assert 0 <= lower < found.estimate < upper <= 1
