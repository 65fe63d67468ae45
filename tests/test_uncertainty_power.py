"""Planning: the table of effects, and that plans do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.uncertainty import (
    Components,
    clusters_needed,
    components_from_pilot,
    difference,
    minimum_detectable_effect,
    seeds_needed,
)


def planned(seed: float) -> Components:
    return Components(seed=seed, prompt_by_algorithm=14, run_by_prompt=24, repeat=0)


@pytest.mark.parametrize(
    ("clusters", "seed", "effects"),
    [
        (805, 0.0, (3.9, 3.7, 2.7, 2.3)),
        (805, 0.5, (4.4, 4.2, 2.9, 2.4)),
        (805, 1.0, (5.6, 5.3, 3.4, 2.6)),
        (805, 2.0, (8.8, 8.5, 5.1, 3.5)),
        (500, 1.0, (6.3, 6.1, 4.0, 3.2)),
        (500, 2.0, (9.3, 9.0, 5.5, 3.9)),
    ],
)
def test_table_of_detectable_effects(
    clusters: int, seed: float, effects: tuple[float, ...]
) -> None:
    found = [minimum_detectable_effect(planned(seed), K, clusters) for K in (1, 3, 5, 10)]
    assert tuple(round(effect, 1) for effect in found) == effects


@pytest.mark.parametrize("seed", [0.0, 2.0])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_planned_effect_is_found_with_the_power_of_the_plan(seeds: int, seed: float) -> None:
    """500 rounds: three Monte-Carlo standard errors are 5.4 points."""
    rng, clusters, rounds = np.random.default_rng(3), 100, 500
    effect = minimum_detectable_effect(planned(seed), seeds, clusters)

    def side() -> np.ndarray:
        runs = seed * rng.normal(size=(seeds, 1)) + 24 * rng.normal(size=(seeds, clusters))
        return np.asarray(runs + 14 * rng.normal(size=(1, clusters)))

    found = [difference(side() + effect, side()).p_value < 0.05 for _ in range(rounds)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.054)


def test_detectable_effects_in_a_family_of_fifteen() -> None:
    found = [
        minimum_detectable_effect(planned(1), K, 805, significance=0.05 / 15) for K in (3, 5, 10)
    ]
    assert [round(effect, 1) for effect in found] == [15.7, 5.6, 3.6]


def test_repeats_divide_their_own_part_only() -> None:
    components = Components(seed=0, prompt_by_algorithm=3, run_by_prompt=4, repeat=12)
    one, four = (minimum_detectable_effect(components, 1, 101, repeats) for repeats in (1, 4))
    quantiles = stats.t.ppf([0.975, 0.8], 100).sum()
    assert one == pytest.approx(quantiles * math.sqrt(2 * (9 + 16 + 144) / 101), rel=1e-9)
    assert four == pytest.approx(quantiles * math.sqrt(2 * (9 + 16 + 36) / 101), rel=1e-9)


def test_needed_counts_are_the_fewest_that_suffice() -> None:
    seeds = seeds_needed(planned(1), 3.5, 805)
    assert seeds == 5
    assert minimum_detectable_effect(planned(1), 4, 805) > 3.5
    clusters = clusters_needed(planned(1), 3.5, 5)
    assert clusters is not None
    assert minimum_detectable_effect(planned(1), 5, clusters) <= 3.5
    assert minimum_detectable_effect(planned(1), 5, clusters - 1) > 3.5
    assert seeds_needed(planned(0), 90, 805) == 2


def test_effects_that_no_number_can_find() -> None:
    """Seeds do not average out the algorithm's taste in questions, nor questions the seeds."""
    assert clusters_needed(planned(2), 3.0, 3) is None
    assert seeds_needed(planned(2), 1.0, 805) is None
    assert minimum_detectable_effect(planned(0), 10**7, 805) > 1.0


def test_a_single_question_and_impossible_plans() -> None:
    assert math.isnan(minimum_detectable_effect(planned(1), 3, 1))
    with pytest.raises(ValueError, match="count each from 1"):
        minimum_detectable_effect(planned(1), 0, 805)
    with pytest.raises(ValueError, match="power is 80"):
        minimum_detectable_effect(planned(1), 3, 805, power=80)
    with pytest.raises(ValueError, match="effect is 0"):
        seeds_needed(planned(1), 0, 805)
    with pytest.raises(ValueError, match="seed is -1"):
        planned(-1)


def test_a_pilot_finds_the_components_it_was_drawn_from() -> None:
    rng = np.random.default_rng(0)

    def draw(seeds: int) -> np.ndarray:
        shape = (seeds, 400, 3)
        by_seed = 0.5 * rng.normal(size=(seeds, 1, 1))
        by_prompt = 1.5 * rng.normal(size=(1, 400, 1)) + difficulty
        by_cell = 2 * rng.normal(size=(seeds, 400, 1))
        return np.asarray(by_seed + by_prompt + by_cell + 3 * rng.normal(size=shape))

    difficulty = 5 * rng.normal(size=(1, 400, 1))
    found = components_from_pilot(draw(40), draw(40))
    parts = found.components
    assert parts.seed == pytest.approx(0.5, rel=0.2)
    assert parts.prompt_by_algorithm == pytest.approx(1.5, rel=0.1)
    assert parts.run_by_prompt == pytest.approx(2, rel=0.05)
    assert parts.repeat == pytest.approx(3, rel=0.02)
    assert found.seed_lower < 0.5 < found.seed_upper
    small = components_from_pilot(draw(3)[:, :, :1], draw(3)[:, :, :1])
    assert small.components.repeat == 0
    assert small.components.run_by_prompt == pytest.approx(math.hypot(2, 3), rel=0.1)
    assert small.note == "pilot of 3 and 3 seeds: plan with the upper end too"


def test_pilots_that_measure_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        components_from_pilot(np.zeros((1, 5, 1)), np.zeros((3, 5, 1)))
    with pytest.raises(ValueError, match="second algorithm has one seed"):
        components_from_pilot(np.zeros((3, 5, 1)), np.zeros((1, 5, 1)))
    with pytest.raises(ValueError, match="same clusters"):
        components_from_pilot(np.zeros((3, 5, 1)), np.zeros((3, 6, 1)))
