"""The interval of one new run on the same clusters: by hand, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.uncertainty import estimate, prediction_interval

SIMULATIONS = 2000
HAND = np.array([[1.0, 3.0], [2.0, 6.0], [4.0, 8.0]])  # row means 2, 4, 6: their variance is 4


def test_three_runs_by_hand() -> None:
    result = prediction_interval(HAND)
    half = stats.t.ppf(0.975, 2) * math.sqrt(4 * (1 + 1 / 3))
    assert result.estimate == 4 and result.degrees_of_freedom == 2
    assert (result.lower, result.upper) == pytest.approx((4 - half, 4 + half), rel=1e-12)
    assert result.note == ""


def test_its_variance_is_that_of_the_engines_components_without_the_clusters() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 1)) + 3 * rng.normal(size=(1, 30)) + rng.normal(size=(5, 30))
    found = estimate(values)
    assert found.seed_variance > 0
    one_run = found.seed_variance + found.noise_variance / 30
    result = prediction_interval(values)
    assert result.standard_deviation**2 == pytest.approx(one_run * (1 + 1 / 5), rel=1e-9)


def test_a_shift_of_the_clusters_does_not_matter() -> None:
    shifted = prediction_interval(HAND + np.array([[-50.0, 50.0]]))
    assert shifted == prediction_interval(HAND)


def test_strata_weigh_equally() -> None:
    wide = np.array([[1.0, 3.0, 3.0, 3.0], [2.0, 6.0, 6.0, 6.0], [4.0, 8.0, 8.0, 8.0]])
    by_strata = prediction_interval(wide, strata=["a", "b", "b", "b"])
    assert by_strata.lower == pytest.approx(prediction_interval(HAND).lower, rel=1e-12)


def test_one_run_says_nothing_about_another() -> None:
    result = prediction_interval(HAND[:1])
    assert math.isnan(result.lower) and math.isnan(result.upper) and result.estimate == 2
    assert result.note == "one training run: nothing is known about another"


def test_exact_training_leaves_the_judge_alone() -> None:
    exact = prediction_interval(HAND[:1], deterministic=True)
    assert (exact.lower, exact.upper, exact.note) == (2, 2, "")
    draws = np.array([[[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]]])  # means 1, 2, 3
    judged = prediction_interval(draws.mean(axis=1), True, judge_draws=draws)
    half = stats.t.ppf(0.975, 2) * math.sqrt(1 + 1 / 3)
    assert judged.upper == pytest.approx(2 + half, rel=1e-12)


def test_two_runs_by_two_draws_by_hand() -> None:
    # Run means [[0, 3], [5, 6]]: M_K = var(1.5, 5.5) = 8, M_D = var(2.5, 4.5) = 2, E = 1.
    draws = np.array([[[0.0], [3.0]], [[5.0], [6.0]]])
    result = prediction_interval(draws.mean(axis=1), judge_draws=draws)
    assert result.standard_deviation**2 == pytest.approx(7.5 * 1.5 + 1.5 * 1.5 + 1.25, rel=1e-12)
    parts = (12.0, 3.0, -0.25)  # of 14.75, a degree of freedom each
    assert result.degrees_of_freedom == pytest.approx(14.75**2 / sum(x * x for x in parts))


def test_a_truncated_draw_effect_is_not_counted() -> None:
    # Means over seeds are equal: M_D = 0 < E/K, so that V = (M_K - E/D) 3/2 + E 5/4.
    draws = np.array([[[0.0], [2.0]], [[6.0], [4.0]]])  # M_K = 8, M_D = 0, E = 4
    result = prediction_interval(draws.mean(axis=1), judge_draws=draws)
    assert result.standard_deviation**2 == pytest.approx(6 * 1.5 + 4 * 1.25, rel=1e-12)


def test_one_draw_is_said() -> None:
    result = prediction_interval(HAND, judge_draws=HAND[:, None])
    assert result.upper == prediction_interval(HAND).upper
    assert result.note.startswith("1 judge draw: what other draws add is not in the prediction")


@pytest.mark.parametrize("wrong", [0.0, 1.0, 95])
def test_a_confidence_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="give a probability between 0 and 1"):
        prediction_interval(HAND, confidence=wrong)


@pytest.mark.parametrize(("seeds", "by_seed"), [(2, 0.02), (3, 0.0), (5, 0.05)])
def test_a_new_run_falls_into_it_as_often_as_it_says(seeds: int, by_seed: float) -> None:
    rng = np.random.default_rng(seeds)
    hits = wide = 0
    for _ in range(SIMULATIONS):
        clusters = rng.normal(size=(1, 50))  # far larger than what runs differ by
        runs = clusters + by_seed * rng.normal(size=(seeds + 1, 1))
        runs = runs + 0.2 * rng.normal(size=(seeds + 1, 50))
        result, new = prediction_interval(runs[1:]), runs[0].mean()
        hits += result.lower <= new <= result.upper
        # Adding V_prompt, which a new run on the same clusters does not feel, covers too much.
        prompts = runs[1:].mean(axis=0).var(ddof=1) / 50
        half = result.upper - result.estimate
        half *= math.sqrt(1 + prompts / result.standard_deviation**2)
        wide += abs(new - result.estimate) <= half
    assert 93.5 <= 100 * hits / SIMULATIONS <= 96.5
    assert 100 * wide / SIMULATIONS > 98


@pytest.mark.parametrize(("seeds", "draws"), [(3, 3), (5, 4)])
def test_a_new_run_before_a_new_judge_falls_into_it(seeds: int, draws: int) -> None:
    rng = np.random.default_rng(10 * seeds + draws)
    hits = 0
    for _ in range(SIMULATIONS):
        y = 0.03 * rng.normal(size=(seeds + 1, 1, 1)) + 0.03 * rng.normal(size=(1, draws + 1, 1))
        y = y + rng.normal(size=(1, 1, 20)) + 0.1 * rng.normal(size=(seeds + 1, draws + 1, 20))
        ours, new = y[1:, 1:], y[0, 0].mean()
        result = prediction_interval(ours.mean(axis=1), judge_draws=ours)
        hits += result.lower <= new <= result.upper
    assert 93 <= 100 * hits / SIMULATIONS <= 97.5
