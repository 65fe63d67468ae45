"""Fixed strata of equal weight, and macro-averages: the same engine within strata."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import difference, estimate

CATEGORIES = [category for category in range(8) for _ in range(10)]


def crossed(seed: int, seeds: int, clusters: int) -> Array:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(seeds, clusters))
    return 5 + 0.3 * rng.normal(size=(seeds, 1)) + rng.normal(size=(1, clusters)) + noise


def test_one_run_over_equal_strata_by_hand() -> None:
    """SE = sqrt(sum_c s_c^2 / 10) / 8."""
    row = crossed(0, 1, 80) + np.repeat(np.arange(8.0), 10)
    result = estimate(row, strata=CATEGORIES)
    spreads = row.reshape(8, 10).var(axis=1, ddof=1)
    assert result.estimate == pytest.approx(row.mean(), rel=1e-14)
    assert result.standard_error == pytest.approx(math.sqrt(spreads.sum() / 10) / 8, rel=1e-13)
    freedom = 9 * spreads.sum() ** 2 / (spreads**2).sum()
    assert result.degrees_of_freedom == pytest.approx(freedom, rel=1e-12)
    assert result.note == "8 fixed strata of equal weight; checkpoint level: no training variance"
    assert result.standard_error < 0.5 * estimate(row).standard_error


def test_strata_of_two_sizes_weigh_the_same_and_seeds_keep_what_they_share() -> None:
    """The formulas of a macro-average written out once more, benchmark by benchmark."""
    shared = np.array([[-1.0], [0.0], [1.0]])
    parts = [shared + crossed(1, 3, 7), shared + crossed(2, 3, 30)]
    result = estimate(np.hstack(parts), strata=["a"] * 7 + ["b"] * 30)
    means = [part.mean(axis=0) for part in parts]
    prompt = sum(mean.var(ddof=1) / len(mean) for mean in means) / 4
    rows = np.mean([part.mean(axis=1) for part in parts], axis=0)
    noise = 0.0
    for part in parts:
        centered = part - part.mean(axis=1, keepdims=True) - part.mean(axis=0) + part.mean()
        squares = (centered**2).sum() / (2 * (part.shape[1] - 1))
        noise += squares / (part.shape[1] * 3) / 4
    variance = prompt + max(rows.var(ddof=1) / 3 - noise, 0)
    assert result.estimate == pytest.approx(rows.mean(), rel=1e-14)
    assert result.standard_error == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert result.seed_variance == pytest.approx(rows.var(ddof=1) - 3 * noise, rel=1e-10)
    assert (result.clusters, result.level) == (37, "algorithm")


def test_seed_effects_that_benchmarks_share_are_not_averaged_away() -> None:
    """Four copies of one seed effect: a quarter of the variance would be claimed without them."""
    effect = np.array([[-1.0], [0.0], [1.0]])
    noise = 1e-3 * np.random.default_rng(3).normal(size=(3, 40))
    labels = [column // 10 for column in range(40)]
    shared = estimate(effect + noise, strata=labels)
    assert shared.standard_error == pytest.approx(math.sqrt(1 / 3), rel=0.01)
    rolled = np.hstack([np.roll(effect, turn, axis=0) + np.zeros((3, 10)) for turn in (0, 1, 2)])
    opposite = estimate(rolled + noise[:, :30], strata=labels[:30])
    assert opposite.standard_error < 0.01


def test_one_stratum_is_no_stratum() -> None:
    first, second = crossed(4, 3, 20), crossed(5, 4, 20)
    assert difference(first, second, strata=["x"] * 20) == difference(first, second)
    assert estimate(first, strata=["x"] * 20) == estimate(first)


def test_order_of_clusters_within_and_between_strata_is_irrelevant() -> None:
    first, second = crossed(6, 3, 80), crossed(7, 3, 80)
    order = np.random.default_rng(8).permutation(80)
    shuffled = [CATEGORIES[column] for column in order]
    before = difference(first, second, strata=CATEGORIES)
    after = difference(first[:, order], second[:, order], strata=shuffled)
    for name in ("estimate", "standard_error", "degrees_of_freedom", "p_value", "noise_variance"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-10)


def test_paired_difference_of_two_strata_is_two_paired_tests() -> None:
    first, second = crossed(9, 1, 24), crossed(10, 1, 24)
    labels = [0] * 12 + [1] * 12
    result = difference(first, second, deterministic=True, strata=labels)
    errors = [stats.sem((first - second)[0, part]) for part in (slice(12), slice(12, None))]
    assert result.standard_error == pytest.approx(math.hypot(*errors) / 2, rel=1e-12)
    assert result.note == "2 fixed strata of equal weight"


def test_a_stratum_with_a_single_cluster_is_not_estimable() -> None:
    result = difference(crossed(11, 3, 5), crossed(12, 3, 5), strata=[0, 0, 0, 0, 1])
    assert result.note == "not estimable: a stratum with a single cluster"
    assert np.isnan([result.standard_error, result.lower, result.upper, result.p_value]).all()
    assert math.isnan(result.degrees_of_freedom)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels for 5 clusters"):
        estimate(crossed(13, 3, 5), strata=["a", "b", "b"])
