"""A judge's own variance: by hand, against an analysis of variance, and covered by simulation."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formula
from scipy import stats
from statsmodels.stats.anova import anova_lm

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import Difference, Estimate, difference, estimate, judge_note
from nlhf_repro.uncertainty.error_law import Component, ErrorLaw, MeanSquare

SIMULATIONS = 1000
MONTE_CARLO = 3 * 100 * sqrt(0.05 * 0.95 / SIMULATIONS)  # three standard errors, points


def judged(
    rng: np.random.Generator, seeds: int, draws: int, clusters: int, by_draw: float
) -> Array:
    """Scores [seeds, draws, clusters] of mean zero with every interaction of the model."""
    normal = rng.normal
    return np.asarray(
        (0.03 * normal(size=(seeds, 1, 1)) if seeds > 1 else 0.0)
        + by_draw * normal(size=(1, draws, 1))
        + 0.3 * by_draw * normal(size=(seeds, draws, 1))
        + 0.3 * normal(size=(1, 1, clusters))
        + 0.2 * normal(size=(seeds, 1, clusters))
        + 0.2 * normal(size=(1, draws, clusters))
        + 0.2 * normal(size=(seeds, draws, clusters))
    )


def mean_of(scores: Array) -> Estimate:
    return estimate(scores.mean(axis=1), judge_draws=scores)


def difference_of(first: Array, second: Array, matched: bool = False) -> Difference:
    draws = (first, second)
    return difference(first.mean(axis=1), second.mean(axis=1), matched, judge_draws=draws)


def interval(result: Estimate | Difference) -> tuple[float, float, float, float]:
    return result.standard_error, result.degrees_of_freedom, result.lower, result.upper


def test_one_checkpoint_and_two_draws_by_hand() -> None:
    """V_prompt = var(2, 6)/2 = 4. Means of the draws 1 and 7: spread 18. Residuals +-1: MS_int 4,
    counted 4/2 = 2; J = 16, V_judge = 8, V = 12; df = 12^2 / (9^2 / 1 + 4^2 / 1) = 144/97.
    """
    result = mean_of(np.array([[[0.0, 2.0], [4.0, 10.0]]]))
    assert result.estimate == 4
    assert result.judge_variance == pytest.approx(16, rel=1e-12)
    assert result.standard_error == pytest.approx(sqrt(12), rel=1e-12)
    assert result.degrees_of_freedom == pytest.approx(144 / 97, rel=1e-12)
    half = ErrorLaw(MeanSquare(4, 1), (Component((MeanSquare(9, 1),), noise=1),)).quantile(0.975)
    assert half > stats.t.ppf(0.975, 144 / 97) * sqrt(12)
    assert (result.lower, result.upper) == pytest.approx((4 - half, 4 + half), rel=1e-9)
    assert result.level == "checkpoint"
    assert result.note == (
        "checkpoint level: no training variance; 2 judge draws, whose variance is in the interval"
    )


def test_component_is_that_of_the_three_way_analysis_of_variance() -> None:
    """J = (MS_draw - MS_draw:cluster - MS_seed:draw + MS_rest) / (seeds clusters)."""
    scores = judged(np.random.default_rng(0), 3, 4, 6, by_draw=1.0)
    seed, draw, cluster = np.indices(scores.shape)
    frame = pd.DataFrame(
        {"y": scores.ravel(), "a": seed.ravel(), "j": draw.ravel(), "b": cluster.ravel()}
    )
    fit = formula.ols("y ~ (C(a) + C(j) + C(b)) ** 2", frame).fit()
    table = anova_lm(fit)
    squares = table["sum_sq"] / table["df"]
    expected = (
        squares["C(j)"] - squares["C(j):C(b)"] - squares["C(a):C(j)"] + squares["Residual"]
    ) / (3 * 6)
    result = mean_of(scores)
    assert result.judge_variance == pytest.approx(expected, rel=1e-9)
    plain = estimate(scores.mean(axis=1))
    added = result.standard_error**2 - plain.standard_error**2
    assert added == pytest.approx(expected / 4, rel=1e-9)
    assert (result.seed_variance, result.noise_variance) == (
        plain.seed_variance,
        plain.noise_variance,
    )


def test_strata_count_alike_in_the_draws_too() -> None:
    """Two strata of 4 and 2 clusters: spread of means of stratum means, MS_int by stratum."""
    scores = judged(np.random.default_rng(1), 1, 3, 6, by_draw=1.0)
    strata = ["a", "a", "b", "a", "b", "a"]
    table = scores[0]
    parts = [table[:, [label == name for label in strata]] for name in "ab"]
    spread = np.mean([part.mean(axis=1) for part in parts], axis=0).var(ddof=1)
    noise = 0.0
    for part in parts:
        residual = part - part.mean(axis=1)[:, None] - part.mean(axis=0) + part.mean()
        noise += (residual**2).sum() / (2 * (part.shape[1] - 1)) / part.shape[1] / 4
    result = estimate(scores.mean(axis=1), strata=strata, judge_draws=scores)
    assert result.judge_variance == pytest.approx(spread - noise, rel=1e-12)


def test_clusters_that_share_nothing_but_the_judges() -> None:
    """`nested`: V_prompt and V_judge alone, whatever the number of seeds."""
    scores = judged(np.random.default_rng(2), 3, 4, 8, by_draw=1.0)
    result = estimate(scores.mean(axis=1), nested=True, judge_draws=scores)
    once = mean_of(scores.mean(axis=0, keepdims=True))
    assert interval(result) == pytest.approx(interval(once), rel=1e-12)
    assert (result.level, once.level) == ("algorithm", "checkpoint")


def test_what_a_draw_adds_to_both_sides_cancels() -> None:
    rng = np.random.default_rng(30)
    first, second = judged(rng, 3, 5, 10, 0.5), judged(rng, 2, 5, 10, 0.5)
    taste = rng.normal(size=(1, 5, 10)) + 3 * rng.normal(size=(1, 5, 1))
    before, after = difference_of(first, second), difference_of(first + taste, second + taste)
    assert before.judge_variance > 0
    assert before.seed_variance > 0
    assert interval(after) == pytest.approx(interval(before), rel=1e-9)
    assert mean_of(first + taste).judge_variance > 4 * mean_of(first).judge_variance


def test_sides_that_change_places_and_draws_that_are_renumbered() -> None:
    rng = np.random.default_rng(4)
    first, second = judged(rng, 3, 5, 10, 0.3), judged(rng, 2, 5, 10, 0.3)
    found, turned = difference_of(first, second), difference_of(second, first)
    assert (turned.estimate, turned.p_value) == pytest.approx((-found.estimate, found.p_value))
    order = rng.permutation(5)
    again = difference_of(first[:, order], second[:, order])
    assert interval(again) == pytest.approx(interval(found), rel=1e-9)


def test_matched_runs_are_the_estimate_of_their_differences() -> None:
    rng = np.random.default_rng(5)
    first, second = judged(rng, 3, 4, 10, 0.3), judged(rng, 3, 4, 10, 0.3)
    paired = difference_of(first, second, matched=True)
    assert interval(paired) == pytest.approx(interval(mean_of(first - second)), rel=1e-12)
    assert paired.judge_variance == pytest.approx(mean_of(first - second).judge_variance)


def test_one_draw_claims_nothing_and_equal_draws_add_nothing() -> None:
    scores = judged(np.random.default_rng(6), 3, 1, 10, 0.3)
    plain = estimate(scores[:, 0])
    one = estimate(scores[:, 0], judge_draws=scores)
    assert interval(one) == interval(plain)
    assert isnan(one.judge_variance)
    assert one.judge_draws == 1
    assert one.note == judge_note(1, alike=True)
    assert "says nothing about other draws of the judge" in one.note
    same = estimate(scores[:, 0], judge_draws=np.repeat(scores, 5, axis=1))
    assert interval(same) == interval(plain)
    assert same.judge_variance == 0
    unmeasured = "the judge answered alike in all 5 draws: its variance was not measured"
    assert (same.judge_alike, same.note) == (True, unmeasured)
    other = judged(np.random.default_rng(7), 3, 1, 10, 0.3)
    repeated, again = (np.repeat(x, 5, axis=1) for x in (scores, other))
    assert difference_of(repeated, again).note == unmeasured
    again[0, 0, 0] += 1e-9  # one score of one side that differs has been measured
    measured = difference_of(repeated, again)
    assert not measured.judge_alike
    assert measured.note == "5 judge draws, whose variance is in the interval"
    assert (plain.judge_draws, plain.note) == (0, "")


def test_one_cluster_has_no_interval_whatever_the_draws() -> None:
    result = mean_of(np.array([[[1.0], [2.0], [4.0]]]))
    assert isnan(result.standard_error)
    assert result.note == "not estimable: a single cluster"


def test_draws_that_do_not_belong_to_the_scores_are_refused() -> None:
    scores = judged(np.random.default_rng(7), 3, 4, 10, 0.3)
    mean = scores.mean(axis=1)
    with pytest.raises(ValueError, match=r"give \[seeds, draws, clusters\]"):
        estimate(mean, judge_draws=scores[:, :, :9])
    with pytest.raises(ValueError, match="is not the matrix beside it"):
        estimate(mean + 0.01, judge_draws=scores)
    broken = scores.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="an entry that is not finite"):
        estimate(mean, judge_draws=broken)
    fewer = scores[:, :3]
    with pytest.raises(ValueError, match="A has 4 judge draws and B has 3"):
        difference(mean, fewer.mean(axis=1), judge_draws=(scores, fewer))


# --- Coverage: draws that move everything, with 0.14 and more of every interaction ---------------


def coverage(
    seeds: int, draws: int, clusters: int, by_draw: float, seed: int
) -> tuple[float, float]:
    """In %, of the interval with the draws and of the one that ignores them."""
    rng, found = np.random.default_rng(seed), np.zeros(2)
    for _ in range(SIMULATIONS):
        scores = judged(rng, seeds, draws, clusters, by_draw)
        for place, each in enumerate((mean_of(scores), estimate(scores.mean(axis=1)))):
            found[place] += each.lower <= 0 <= each.upper
    return tuple(100 * found / SIMULATIONS)


@pytest.mark.parametrize(
    ("seeds", "draws", "clusters", "by_draw"),
    [(1, 5, 100, 0.1), (3, 5, 40, 0.1), (5, 10, 100, 0.1), (3, 10, 40, 0.0)],
)
def test_mean_covers(seeds: int, draws: int, clusters: int, by_draw: float) -> None:
    covered, ignored = coverage(seeds, draws, clusters, by_draw, seed=8)
    assert covered >= 95 - MONTE_CARLO
    assert ignored < covered - 2 if by_draw else covered >= ignored


@pytest.mark.parametrize(("seeds", "draws"), [(3, 2), (5, 3)])
def test_few_draws_cover_too(seeds: int, draws: int) -> None:
    covered, ignored = coverage(seeds, draws, 40, 0.1, seed=9)
    assert covered >= 95 - MONTE_CARLO
    assert ignored < 90


@pytest.mark.parametrize(
    ("seeds", "draws", "matched"), [((3, 3), 5, False), ((3, 5), 10, False), ((3, 3), 5, True)]
)
def test_difference_has_its_size(seeds: tuple[int, int], draws: int, matched: bool) -> None:
    """Every draw has a liking of .3 for all, which cancels, and one of .05 for either side."""
    rng, rejected, ignored = np.random.default_rng(10), 0, 0
    for _ in range(SIMULATIONS):
        common = 0.3 * rng.normal(size=(1, draws, 1)) + 0.3 * rng.normal(size=(1, 1, 40))
        first, second = (judged(rng, count, draws, 40, 0.05) + common for count in seeds)
        rejected += difference_of(first, second, matched).p_value < 0.05
        plain = difference(first.mean(axis=1), second.mean(axis=1), matched)
        ignored += plain.p_value < 0.05
    assert 0.5 <= 100 * rejected / SIMULATIONS <= 5 + MONTE_CARLO
    assert ignored > rejected


def test_two_rows_of_the_same_values_differ_by_nothing() -> None:
    """Both sides' draws are equal, so that every mean square of the difference is 0."""
    for seed in range(20):
        scores = judged(np.random.default_rng(seed), 2, 2, 30, 0.01)
        result = difference(scores.mean(axis=1), scores.mean(axis=1), judge_draws=(scores, scores))
        assert result.estimate == 0 and result.degrees_of_freedom >= 1
        assert result.lower <= 0 <= result.upper
        assert isnan(result.p_value) or result.p_value == pytest.approx(1, rel=1e-12)
