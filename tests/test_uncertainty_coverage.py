"""Intervals cover what they claim: simulations with known truth, and the shortcuts that do not.

With 2000 simulations three Monte-Carlo standard errors are 1.5 points at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    Difference,
    difference,
    estimate,
    geometric_mean,
    median_with_censoring,
    proportion,
    ratio_of_gaps,
)

SIMULATIONS = 2000
CLUSTERS = 200


def percentage(rng: np.random.Generator, trial: Callable[[np.random.Generator], bool]) -> float:
    """How often, in %, the trial is true."""
    return 100 * sum(trial(rng) for _ in range(SIMULATIONS)) / SIMULATIONS


def crossed(
    rng: np.random.Generator, seeds: int, clusters: int, by_seed: float, common: Array
) -> Array:
    """Centered at zero; `common` is the cluster effect, [1, clusters]; noise SD .24."""
    runs = by_seed * rng.normal(size=(seeds, 1))
    return runs + common + 0.24 * rng.normal(size=(seeds, clusters))


def test_t_over_three_runs_covers_and_the_percentile_bootstrap_does_not() -> None:
    resample = np.random.default_rng(1).integers(0, 3, size=(400, 3))

    def ends(rng: np.random.Generator) -> tuple[float, float, float, float]:
        runs = rng.normal(size=(3, 1))
        result = estimate(np.repeat(runs, 10, axis=1))
        low, high = np.percentile(runs[resample, 0].mean(axis=1), [2.5, 97.5])
        return result.lower, result.upper, float(low), float(high)

    rng = np.random.default_rng(0)
    found = np.array([ends(rng) for _ in range(SIMULATIONS)])
    t_coverage, bootstrap_coverage = (
        100 * np.mean((found[:, low] <= 0) & (found[:, low + 1] >= 0)) for low in (0, 2)
    )
    assert 93.5 <= t_coverage <= 96.5
    assert bootstrap_coverage < 80


@pytest.mark.parametrize("by_seed", [0.01, 0.02])
@pytest.mark.parametrize("seeds", [3, 5])
def test_crossed_estimate_covers(seeds: int, by_seed: float) -> None:
    def covers(rng: np.random.Generator) -> bool:
        common = 0.32 * rng.normal(size=(1, CLUSTERS))
        result = estimate(crossed(rng, seeds, CLUSTERS, by_seed, common))
        return result.lower <= 0 <= result.upper

    assert 93.5 <= percentage(np.random.default_rng(2), covers) <= {3: 99, 5: 98}[seeds]


def pair(
    rng: np.random.Generator, seeds: tuple[int, int], by_seed: tuple[float, float], matched: bool
) -> tuple[Array, Array]:
    """Two algorithms of equal mean: common cluster effect .32, cluster x algorithm effect .14.

    Matched runs share a seed effect of SD .03 and noise of SD .2 besides their own.
    """
    common = 0.32 * rng.normal(size=(1, CLUSTERS))
    shared: Array | float = 0.0
    if matched:
        shared = 0.03 * rng.normal(size=(seeds[0], 1))
        shared = shared + 0.2 * rng.normal(size=(seeds[0], CLUSTERS))
    sides = [
        crossed(rng, count, CLUSTERS, spread, common + 0.14 * rng.normal(size=(1, CLUSTERS)))
        for count, spread in zip(seeds, by_seed, strict=True)
    ]
    return sides[0] + shared, sides[1] + shared


@pytest.mark.parametrize(
    ("seeds", "by_seed", "matched"),
    [
        ((3, 3), (0.01, 0.01), False),
        ((5, 5), (0.02, 0.02), False),
        ((3, 5), (0.02, 0.01), False),
        ((3, 3), (0.01, 0.01), True),
        ((5, 5), (0.02, 0.02), True),
    ],
)
def test_difference_has_its_size(
    seeds: tuple[int, int], by_seed: tuple[float, float], matched: bool
) -> None:
    def rejects(rng: np.random.Generator) -> bool:
        return difference(*pair(rng, seeds, by_seed, matched), matched).p_value < 0.05

    assert 1 <= percentage(np.random.default_rng(3), rejects) <= 6.5


def test_declaring_matched_seeds_narrows_the_interval() -> None:
    rng = np.random.default_rng(4)
    errors = np.array(
        [
            [difference(A, B, matched).standard_error for matched in (False, True)]
            for A, B in (pair(rng, (5, 5), (0.01, 0.01), True) for _ in range(200))
        ]
    )
    assert np.median(errors[:, 1] / errors[:, 0]) < 0.8


def test_checkpoint_level_test_is_no_test_of_algorithms() -> None:
    """Why one run each gets no significance mark: its type-I error is many times 5 %."""

    def result(rng: np.random.Generator) -> Difference:
        return difference(*pair(rng, (1, 1), (0.05, 0.05), False))

    rng = np.random.default_rng(5)
    results = [result(rng) for _ in range(SIMULATIONS)]
    assert {one.level for one in results} == {"checkpoint"}
    assert np.mean([one.p_value < 0.05 for one in results]) > 0.25


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_seed_deviation_interval_covers(seeds: int) -> None:
    """Seed SD .02; the row means' SD is sqrt(.02^2 + .24^2/200) = .026, noise taken off."""

    def covers(rng: np.random.Generator) -> bool:
        result = estimate(crossed(rng, seeds, CLUSTERS, 0.02, np.zeros((1, CLUSTERS))))
        return result.seed_standard_deviation_lower <= 0.02 <= result.seed_standard_deviation_upper

    assert 93.5 <= percentage(np.random.default_rng(6), covers) <= 96.5


# --- Gaps: exponential within games, E[log] = -0.5772 (Euler), skewness -1.14 -------------------


@pytest.mark.parametrize(("seeds", "games"), [(1, 50), (3, 50), (5, 200)])
def test_geometric_mean_covers_on_skewed_gaps(seeds: int, games: int) -> None:
    def covers(rng: np.random.Generator) -> bool:
        gaps = rng.exponential(size=(1, games)) * np.exp(0.3 * rng.normal(size=(seeds, games)))
        if seeds > 1:
            gaps = gaps * np.exp(0.1 * rng.normal(size=(seeds, 1)))
        result = geometric_mean(1e-4 * gaps, 1e-12, deterministic=seeds == 1)
        return result.lower <= 1e-4 * math.exp(-np.euler_gamma) <= result.upper

    assert 93.5 <= percentage(np.random.default_rng(7), covers) <= {1: 96.5, 3: 99, 5: 98}[seeds]


def test_ratio_of_gaps_covers_where_raw_differences_do_not() -> None:
    """The gaps of B are 3 times those of A in expectation of the log, over lognormal games."""
    found = []
    rng = np.random.default_rng(8)
    for _ in range(SIMULATIONS):
        common = 2 * rng.normal(size=(1, 50))
        noise = rng.normal(size=(2, 1, 50))
        first, second = np.exp(common + noise[0]), 3 * np.exp(common + noise[1])
        ratio = ratio_of_gaps(first, second, 1e-9, deterministic=True)
        raw = difference(first, second, deterministic=True)
        truth = -2 * np.exp(2 + 0.5)
        found.append([ratio.lower <= 1 / 3 <= ratio.upper, raw.lower <= truth <= raw.upper])
    ratio_coverage, raw_coverage = 100 * np.mean(found, axis=0)
    assert 93.5 <= ratio_coverage <= 96.5
    assert raw_coverage < 85


# --- Shares -------------------------------------------------------------------------------------


def cells(rng: np.random.Generator, share: float, seeds: int, games: int, alike: bool) -> Array:
    """Successes; `alike`: a game is easy or hard for all seeds, by a beta distribution."""
    if alike:
        chance = rng.beta(0.5 * share / (1 - share), 0.5, size=(1, games))
        return np.asarray(rng.random((seeds, games)) < chance)
    return np.asarray(rng.random((seeds, games)) < share)


@pytest.mark.parametrize("share", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize(("seeds", "games"), [(2, 50), (3, 20), (5, 50)])
def test_share_covers(seeds: int, games: int, alike: bool, share: float) -> None:
    """At least the nominal level; Wilson's interval near 1 errs on the wide side."""

    def covers(rng: np.random.Generator) -> bool:
        result = proportion(cells(rng, share, seeds, games, alike))
        return result.lower <= share <= result.upper

    assert percentage(np.random.default_rng(9), covers) >= 93.5


def test_symmetric_interval_of_a_high_share_does_not_cover() -> None:
    def covers(rng: np.random.Generator) -> bool:
        result = estimate(cells(rng, 0.99, 3, 20, alike=True))
        return result.lower <= 0.99 <= result.upper

    assert percentage(np.random.default_rng(10), covers) < 60


# --- Medians ------------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [6, 20, 50])
def test_interval_of_a_censored_median_covers(items: int) -> None:
    """Exponential times, 45 % of them beyond the end of observation."""
    end = -math.log(0.45)

    def covers(rng: np.random.Generator) -> bool:
        times = rng.exponential(size=items)
        result = median_with_censoring(np.where(times <= end, times, np.inf), end)
        return result.lower.value <= math.log(2) <= result.upper.value

    assert percentage(np.random.default_rng(11), covers) >= 93.5


@pytest.mark.parametrize(("seeds", "games"), [(1, 50), (5, 50), (5, 10)])
def test_nested_seeds_cover_exactly_where_the_crossed_engine_is_wide(seeds, games):
    """Games that share nothing: V_prompt alone is right, the truncated rest is too wide."""
    rng = np.random.default_rng(seeds * 100 + games)
    nested, crossed, experiments = 0, 0, 4000
    for _ in range(experiments):
        game = rng.standard_normal((1, games))
        matrix = game + rng.standard_normal((seeds, games))
        for flag in (True, False):
            result = estimate(matrix, nested=flag)
            covered = result.lower <= 0 <= result.upper
            nested, crossed = nested + (covered and flag), crossed + (covered and not flag)
        assert estimate(matrix, nested=True).level == "algorithm"
    assert abs(nested / experiments - 0.95) < 3 * 0.0035
    if seeds > 1:
        assert crossed > nested


def test_a_nested_difference_is_the_paired_t_interval_of_the_means_over_seeds():
    rng = np.random.default_rng(8)
    first, second = rng.standard_normal((3, 12)), rng.standard_normal((5, 12))
    found = difference(first, second, nested=True)
    expected = stats.ttest_rel(first.mean(axis=0), second.mean(axis=0))
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-12)
    np.testing.assert_allclose([found.lower, found.upper], [interval.low, interval.high])
