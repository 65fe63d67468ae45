"""Bootstraps over clusters, and the exploitability that a split sample measures."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    bootstrap_bradley_terry,
    bootstrap_ratios,
    bradley_terry,
    estimate,
    percentile_interval,
    pigeonhole_means,
    split_sample_exploitability,
    weighted_ratio,
)


def questions(seed: int, clusters: int, models: int) -> tuple[Array, Array]:
    """Sums of weight * score and of weight; models share the questions' difficulty."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(2, 7, (clusters, models)).astype(float)
    easy = 0.2 * rng.normal(size=(clusters, 1))
    scores = np.clip(0.5 + easy + 0.1 * rng.normal(size=(clusters, models)), 0, 1)
    return weights * scores, weights


def test_rounds_are_weighted_means_of_drawn_questions() -> None:
    """Two questions: rounds are the first, the second (1/4 each) or both (1/2)."""
    scores, weights = np.array([[1.0], [6.0]]), np.array([[2.0], [3.0]])
    found = bootstrap_ratios(scores, weights, np.random.default_rng(0), 40_000)[:, 0]
    values, counts = np.unique(found.round(12), return_counts=True)
    assert values == pytest.approx([0.5, 1.4, 2.0])
    assert counts / 40_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_ten_thousand_rounds_over_a_leaderboard_take_less_than_a_second() -> None:
    """20 models, 500 questions, processor time: `benchmarks/speed/bootstrap.py` has the others'."""
    scores, weights = questions(8, 500, 20)

    def seconds() -> float:
        start = time.process_time()
        bootstrap_ratios(scores, weights, np.random.default_rng(0), 10_000)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 1


def test_error_and_interval_agree_with_pseudo_observations() -> None:
    scores, weights = questions(1, 400, 3)
    rounds = bootstrap_ratios(scores, weights, np.random.default_rng(2))
    for model in range(3):
        z = weighted_ratio(scores[:, model], weights[:, model])
        expected = estimate(z[None])
        found = percentile_interval(expected.estimate, rounds[:, model], 400, "checkpoint")
        assert found.standard_error == pytest.approx(expected.standard_error, rel=0.03)
        assert found.lower == pytest.approx(expected.lower, abs=0.2 * expected.standard_error)
        assert found.upper == pytest.approx(expected.upper, abs=0.2 * expected.standard_error)
    z = [weighted_ratio(scores[:, model], weights[:, model]) for model in (0, 1)]
    paired = (rounds[:, 0] - rounds[:, 1]).std(ddof=1)
    assert paired == pytest.approx(stats.sem(z[0] - z[1]), rel=0.03)
    assert paired < 0.9 * math.hypot(*rounds[:, :2].std(axis=0))


def test_rounds_of_bradley_terry_are_its_fits() -> None:
    rng = np.random.default_rng(3)
    wins = rng.integers(0, 3, (30, 3, 3)).astype(float)
    rounds = bootstrap_bradley_terry(wins, np.random.default_rng(4), 50)
    # The same stream draws the same questions.
    drawn = np.random.default_rng(4).integers(0, 30, (50, 30))
    expected = [bradley_terry(wins[draw]).strengths for draw in drawn]
    assert rounds == pytest.approx(np.array(expected), abs=1e-8)


def test_same_stream_same_bytes_and_another_stream_moves_the_ends_little() -> None:
    scores, weights = questions(5, 300, 1)

    def interval(seed: int) -> tuple[float, float, float]:
        rounds = bootstrap_ratios(scores, weights, np.random.default_rng(seed))[:, 0]
        found = percentile_interval(0.5, rounds, 300, "checkpoint")
        return found.lower, found.upper, found.standard_error

    assert interval(6) == interval(6)
    first, other = interval(6), interval(7)
    assert first[:2] == pytest.approx(other[:2], abs=0.1 * first[2])


def test_pigeonhole_by_hand() -> None:
    """Var = sum of the seeds', the clusters' and (twice over) the cells' parts, with ddof 0."""
    rng = np.random.default_rng(8)
    matrix = rng.normal(size=(6, 1)) + 2 * rng.normal(size=(1, 9))
    rounds = pigeonhole_means([matrix, matrix], np.random.default_rng(9), 40_000)
    variance = matrix.mean(axis=1).var() / 6 + matrix.mean(axis=0).var() / 9
    assert rounds.mean(axis=0) == pytest.approx([matrix.mean()] * 2, abs=0.03)
    assert rounds.var(axis=0) == pytest.approx([variance] * 2, rel=0.03)
    difference = (rounds[:, 0] - rounds[:, 1]).var()  # clusters are shared, seeds are not
    assert difference == pytest.approx(2 * matrix.mean(axis=1).var() / 6, rel=0.03)


def test_what_is_not_estimable_is_said() -> None:
    single = percentile_interval(0.4, [0.4, 0.4], 1, "checkpoint")
    assert np.isnan([single.lower, single.upper, single.standard_error]).all()
    assert single.note == "not estimable: a single cluster"
    undefined = percentile_interval(0.4, [0.4, math.nan, 0.5], 90, "checkpoint")
    assert math.isnan(undefined.upper)
    assert "1 of 3 bootstrap rounds" in undefined.note
    assert "fewer than 80" in percentile_interval(0.4, [0.4, 0.5], 79, "checkpoint").note
    assert percentile_interval(0.4, [0.4, 0.5], 80, "algorithm").note == ""
    empty = bootstrap_ratios([[0.0], [1.0]], [[0.0], [1.0]], np.random.default_rng(0), 200)
    assert np.isnan(empty).any()


def test_misuse_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="has 4 seeds: resampling fewer than 5"):
        pigeonhole_means([np.zeros((5, 3)), np.zeros((4, 3))], rng)
    with pytest.raises(ValueError, match="has 4 clusters and the first 3"):
        pigeonhole_means([np.zeros((5, 3)), np.zeros((5, 4))], rng)
    with pytest.raises(ValueError, match="rounds is 0"):
        bootstrap_ratios([[1.0]], [[1.0]], rng, 0)
    with pytest.raises(ValueError, match="weights"):
        bootstrap_ratios([[1.0]], [[1.0, 2.0]], rng)
    with pytest.raises(ValueError, match="one number a round"):
        percentile_interval(0.5, [], 100, "checkpoint")


# --- Exploitability -----------------------------------------------------------------------------


def test_the_choice_and_the_measurement_use_different_halves() -> None:
    """Two candidates, each perfect on one half and useless on the other: nothing is found."""
    rng = np.random.default_rng(10)
    second = np.random.default_rng(11).permutation(100) >= 50
    margins = np.where(second, -0.5, 0.5)[:, None] * [1, -1] + 1e-3 * rng.normal(size=(100, 2))
    found = split_sample_exploitability(margins, np.random.default_rng(11))
    assert found.best_responses == (0, 1)
    assert found.estimate == pytest.approx(-0.5, abs=1e-3)
    assert found.p_value > 0.99
    halves = [margins[second, 0], margins[~second, 1]]
    assert found.estimate == pytest.approx(np.mean([half.mean() for half in halves]))
    error = np.mean([stats.sem(half) for half in halves])
    assert found.standard_error == pytest.approx(error, rel=1e-12)


def test_a_clear_best_response_is_found_by_both_halves() -> None:
    margins = 0.3 * np.random.default_rng(12).normal(size=(400, 5)) + 0.1 * np.eye(5)[2]
    found = split_sample_exploitability(margins, np.random.default_rng(13))
    assert found.best_responses == (2, 2)
    assert found.estimate == pytest.approx(margins[:, 2].mean(), rel=1e-12)
    assert 0 < found.lower < found.estimate
    assert found.p_value < 0.001
    assert found.note == "lower bound: the best of 5 candidates; checkpoint level"


def test_halves_of_one_question_have_no_error_and_one_question_no_halves() -> None:
    found = split_sample_exploitability([[0.1], [0.2]], np.random.default_rng(0))
    assert np.isnan([found.standard_error, found.lower, found.p_value]).all()
    assert found.note == "not estimable: a half with a single question"
    with pytest.raises(ValueError, match="at least two"):
        split_sample_exploitability([[0.1]], np.random.default_rng(0))


@pytest.mark.slow
def test_split_halves_are_unbiased_where_the_maximum_is_not() -> None:
    """20 candidates as good as the policy, 805 questions: truth 0, in points of 100."""
    rng = np.random.default_rng(14)
    naive, split = [], []
    for _ in range(2000):
        margins = 50 * np.sign(rng.normal(size=(805, 20)))
        naive.append(margins.mean(axis=0).max())
        split.append(split_sample_exploitability(margins, rng).estimate)
    assert abs(np.mean(split)) < 0.3
    assert np.mean(naive) > 1.5


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [1, 2, 5, 20])
def test_split_halves_have_at_most_their_size(candidates: int) -> None:
    """Taking the two halves as independent does not, with five equal candidates."""
    rng = np.random.default_rng(15)
    ours, independent = [], []
    for _ in range(2000):
        found = split_sample_exploitability(rng.normal(size=(200, candidates)), rng)
        ours.append(found.p_value < 0.05)
        independent.append(found.estimate > 1.65 * found.standard_error / math.sqrt(2))
    assert 100 * np.mean(ours) <= 6.5
    if candidates == 5:
        assert 100 * np.mean(independent) > 8
