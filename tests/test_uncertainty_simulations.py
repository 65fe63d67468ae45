"""Coverage and size in every setting that the documentation states; all slow.

Scores are shares: prompt SD .32, prompt x algorithm SD .14, noise SD .24, seed SD in points.
2000 simulations have a Monte-Carlo error of .5 points at 5 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    best_set,
    contrast_correlation,
    difference,
    equivalence,
    estimate,
    max_t,
    percentile_interval,
    pigeonhole_means,
    sign_flip_test,
)

pytestmark = pytest.mark.slow
SIMULATIONS = 2000
Trial = Callable[[np.random.Generator], Any]


def percentages(seed: int, trial: Trial, simulations: int = SIMULATIONS) -> Array:
    """How often, in %, each of the trial's statements is true."""
    rng = np.random.default_rng(seed)
    return 100 * np.mean([trial(rng) for _ in range(simulations)], axis=0)


def algorithms(
    rng: np.random.Generator, seeds: Sequence[int], points: Sequence[float], clusters: int
) -> list[Array]:
    """Algorithms of equal mean 0 on the same prompts, `points` being their seed SDs."""
    common = 0.32 * rng.standard_normal(clusters)
    return [
        0.24 * rng.standard_normal((count, clusters))
        + 0.01 * spread * rng.standard_normal((count, 1))
        + (common + 0.14 * rng.standard_normal(clusters))
        for count, spread in zip(seeds, points, strict=True)
    ]


@pytest.mark.parametrize("clusters", [80, 500, 805])
@pytest.mark.parametrize("points", [1.0, 2.0])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_estimate_covers(seeds: int, points: float, clusters: int) -> None:
    def covers(rng: np.random.Generator) -> bool:
        common = 0.32 * rng.standard_normal(clusters)
        runs = 0.01 * points * rng.standard_normal((seeds, 1))
        result = estimate(common + runs + 0.24 * rng.standard_normal((seeds, clusters)))
        return result.lower <= 0 <= result.upper

    assert 93.5 <= percentages(1, covers) <= {3: 99, 5: 98, 10: 97.5}[seeds]


@pytest.mark.parametrize("clusters", [80, 500, 805])
@pytest.mark.parametrize("points", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_difference_has_its_size(seeds: int, points: float, clusters: int) -> None:
    def rejects(rng: np.random.Generator) -> bool:
        return difference(*algorithms(rng, [seeds] * 2, [points] * 2, clusters)).p_value < 0.05

    rate = percentages(2, rejects)
    assert {3: 0.5, 5: 2, 10: 3}[seeds] <= rate <= 6.5


@pytest.mark.parametrize("points", [(1.0, 2.0), (2.0, 1.0)])
@pytest.mark.parametrize("seeds", [(2, 2), (3, 5), (5, 10)])
def test_difference_of_unequal_seeds_has_its_size(
    seeds: tuple[int, int], points: tuple[float, float]
) -> None:
    def rejects(rng: np.random.Generator) -> bool:
        return difference(*algorithms(rng, seeds, points, 500)).p_value < 0.05

    assert 0.3 <= percentages(3, rejects, 4000) <= 6.5


def test_two_seeds_that_vary_more_than_five_others_reject_no_more_than_they_say() -> None:
    def rejects(rng: np.random.Generator) -> bool:
        return difference(*algorithms(rng, (2, 5), (2.0, 1.0), 805)).p_value < 0.05

    assert 0.5 <= percentages(11, rejects) <= 6.5


# --- Strata and macro-averages ------------------------------------------------------------------


def test_strata_cover_where_their_means_differ() -> None:
    """8 x 10 questions, categories 1.2 points apart: without strata the interval is too wide."""
    labels = np.repeat(np.arange(8), 10).tolist()
    means = np.repeat(np.linspace(-1.2, 1.2, 8), 10)

    def covers(rng: np.random.Generator) -> tuple[bool, bool]:
        row = (means + 1.8 * rng.standard_normal(80))[None]
        found = estimate(row, strata=labels), estimate(row)
        return found[0].lower <= 0 <= found[0].upper, found[1].lower <= 0 <= found[1].upper

    stratified, plain = percentages(4, covers, 4000)
    assert 93.5 <= stratified <= 96.5
    assert plain > 96.5


@pytest.mark.parametrize(("seeds", "correlation"), [(3, 0.5), (5, 0.0), (5, 1.0)])
def test_macro_average_covers_with_seed_effects_in_common(seeds: int, correlation: float) -> None:
    """Six benchmarks of 60 items; a seed moves them all together, in part or not at all."""
    labels = np.repeat(np.arange(6), 60)

    def rejects(rng: np.random.Generator) -> bool:
        def side() -> Array:
            own = rng.standard_normal((seeds, 6)) * np.sqrt(1 - correlation)
            runs = 0.02 * (own + np.sqrt(correlation) * rng.standard_normal((seeds, 1)))
            return np.asarray(runs[:, labels] + 0.24 * rng.standard_normal((seeds, 360)) + common)

        common = 0.4 * rng.standard_normal(360)
        return difference(side(), side(), strata=labels.tolist()).p_value < 0.05

    assert 1 <= percentages(5, rejects, 4000) <= 6.5


# --- Bootstrap ----------------------------------------------------------------------------------


def test_pigeonhole_covers_from_five_seeds() -> None:
    def covers(rng: np.random.Generator) -> bool:
        table = algorithms(rng, [5], [1.0], 200)[0]
        rounds = pigeonhole_means([table], rng, 500)[:, 0]
        found = percentile_interval(float(table.mean()), rounds, 200, "algorithm")
        return found.lower <= 0 <= found.upper

    assert 93.5 <= percentages(6, covers) <= 96.5


# --- Families -----------------------------------------------------------------------------------


def test_max_t_has_its_family_wise_size_where_unadjusted_tests_have_several_times_it() -> None:
    """Five methods against one baseline of the same mean, five seeds each."""
    contrasts = np.column_stack([-np.ones(5), np.eye(5)])

    def rejects(rng: np.random.Generator) -> tuple[bool, bool]:
        tables = algorithms(rng, [5] * 6, [1.0] * 6, 300)
        raw = [difference(each, tables[0]).p_value for each in tables[1:]]
        found = max_t(raw, contrast_correlation(tables, contrasts), rng, draws=5000)
        return bool(found.p_values.min() < 0.05), min(raw) < 0.05

    adjusted, unadjusted = percentages(7, rejects, 1500)
    assert 1 <= adjusted <= 6.5
    assert unadjusted > 9


def test_no_equal_algorithm_is_left_out_of_the_best_too_often() -> None:
    def leaves_out(rng: np.random.Generator) -> bool:
        tables = algorithms(rng, [5] * 4, [1.0] * 4, 200)
        return not all(best_set(tables, rng).members)

    assert 1 <= percentages(8, leaves_out, 600) <= 7


def test_verdicts_of_equivalence_are_wrong_at_most_as_often_as_declared() -> None:
    """The difference lies exactly on the margin of 3 points, or is zero."""

    def wrong(rng: np.random.Generator) -> tuple[bool, bool]:
        first, second = algorithms(rng, [5, 5], [1.0, 1.0], 805)
        at_margin = equivalence(difference(first + 0.03, second), 0.03).verdict
        at_zero = equivalence(difference(first, second), 0.03).verdict
        return at_margin == "equivalent", at_zero == "different"

    on_margin, at_zero = percentages(9, wrong)
    assert 2.5 <= on_margin <= 6.5
    assert at_zero <= 5.5


def test_sign_flips_have_their_size_over_games() -> None:
    def rejects(rng: np.random.Generator) -> bool:
        return sign_flip_test(rng.laplace(size=10), rng, 1024).p_value < 0.05

    assert 3.5 <= percentages(10, rejects) <= 6.5
