"""The variance engine: hand examples, agreement with statsmodels, invariances, refusals."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formula
from scipy import stats
from statsmodels.stats.anova import anova_lm

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import Difference, Estimate, difference, estimate
from nlhf_repro.uncertainty.error_law import Component, ErrorLaw, MeanSquare

HAND = [[0.0, 2.0], [2.0, 8.0]]


def crossed(seed: int, seeds: int, clusters: int, by_seed: float = 0.2) -> Array:
    rng = np.random.default_rng(seed)
    shape = (seeds, clusters)
    return (
        0.5
        + by_seed * rng.normal(size=(seeds, 1))
        + 0.3 * rng.normal(size=(1, clusters))
        + 0.2 * rng.normal(size=shape)
    )


def long_form(matrix: Array) -> pd.DataFrame:
    seed, cluster = np.indices(matrix.shape)
    return pd.DataFrame({"z": matrix.ravel(), "seed": seed.ravel(), "cluster": cluster.ravel()})


def interval(result: Estimate | Difference) -> tuple[float, float, float, float]:
    return result.estimate, result.standard_error, result.lower, result.upper


def test_one_matrix_by_hand() -> None:
    """Column means 1, 5 and row means 1, 5: V_prompt = V_runs = 8/2; residuals +-1: MS_int = 4."""
    result = estimate(HAND)
    assert result.estimate == 3
    assert result.standard_error == pytest.approx(math.sqrt(4 + (4 - 1)), rel=1e-14)
    assert result.degrees_of_freedom == pytest.approx(49 / (16 + 16), rel=1e-14)
    law = ErrorLaw(MeanSquare(4, 1), (Component((MeanSquare(4, 1),), noise=1),))
    half = law.quantile(0.975)
    assert half > stats.t.ppf(0.975, 49 / 32) * math.sqrt(7)
    assert result.upper - result.estimate == pytest.approx(half, rel=1e-10)
    assert result.estimate - result.lower == pytest.approx(half, rel=1e-10)
    components = (result.seed_variance, result.cluster_variance, result.noise_variance)
    assert components == pytest.approx((8 - 4 / 2, 8 - 4 / 2, 4), rel=1e-14)
    assert (result.seeds, result.clusters, result.level) == (2, 2, "algorithm")
    assert result.note == ""


def test_difference_with_unequal_seeds_by_hand() -> None:
    """D = (0, 4); V_prompt = 4, V_a = 4, V_b = (1)/3, V_noise = 4/(2 * 2) + 0."""
    result = difference(HAND, [[0, 0], [1, 1], [2, 2]])
    variance = 4 + (4 + 1 / 3 - 1)
    assert result.estimate == 2
    assert result.standard_error == pytest.approx(math.sqrt(variance), rel=1e-14)
    freedom = variance**2 / (16 / 1 + (1 / 9) / 2 + 16 / 1)
    assert result.degrees_of_freedom == pytest.approx(freedom, rel=1e-14)
    apart = (MeanSquare(4, 1), MeanSquare(1 / 3, 2))
    law = ErrorLaw(MeanSquare(4, 1), (Component(apart, noise=1),))
    assert result.p_value == pytest.approx(2 * law.tail(2), rel=1e-10)
    components = (result.seed_variance, result.cluster_variance, result.noise_variance)
    assert components == pytest.approx((8 + 1 - 4 / 2, 8 - 4 / 2, 4), rel=1e-14)
    assert result.seeds == (2, 3)
    assert result.note == ""


def test_degrees_of_freedom_have_a_floor() -> None:
    """Equal column means: V = 4 - 1, and V^2 / V_runs^2 = 9/16 is raised to 1."""
    result = estimate([[3, 1], [5, 7]])
    assert result.standard_error == pytest.approx(math.sqrt(3), rel=1e-14)
    assert result.degrees_of_freedom == 1


def test_many_seeds_do_not_lend_degrees_of_freedom_to_few_clusters() -> None:
    matrix = np.array([[-10.0, 10.0]]) + 0.1 * np.arange(5)[:, None]
    result = estimate(matrix)
    assert 1 <= result.degrees_of_freedom < 1.01


def test_without_seed_variance_the_degrees_are_those_of_the_clusters() -> None:
    matrix = crossed(0, 4, 12)
    centered = matrix - matrix.mean(axis=1, keepdims=True)
    result = estimate(centered)
    assert result.degrees_of_freedom == 11
    assert result.seed_variance == 0
    assert result.seed_standard_deviation_lower == 0


@pytest.mark.parametrize("clusters", [12, 80])
def test_clustered_standard_error_equals_statsmodels(clusters: int) -> None:
    matrix = crossed(1, 4, clusters)
    centered = matrix - matrix.mean(axis=1, keepdims=True)  # leaves V_prompt alone
    data = long_form(centered)
    fit = formula.ols("z ~ 1", data).fit(cov_type="cluster", cov_kwds={"groups": data["cluster"]})
    result = estimate(centered)
    assert result.standard_error == pytest.approx(float(fit.bse["Intercept"]), abs=1e-15)
    spread = centered.mean(axis=0).std(ddof=1) / math.sqrt(clusters)
    assert result.standard_error == pytest.approx(spread, rel=1e-14)


def test_components_equal_the_two_way_analysis_of_variance() -> None:
    matrix = crossed(2, 5, 40)
    table = anova_lm(formula.ols("z ~ C(seed) + C(cluster)", long_form(matrix)).fit())
    square = table["mean_sq"]
    result = estimate(matrix)
    assert result.noise_variance == pytest.approx(square["Residual"], rel=1e-10)
    assert result.seed_variance == pytest.approx(
        (square["C(seed)"] - square["Residual"]) / 40, rel=1e-10
    )
    assert result.cluster_variance == pytest.approx(
        (square["C(cluster)"] - square["Residual"]) / 5, rel=1e-10
    )


@pytest.mark.parametrize(
    ("seeds", "low", "high"), [(3, 0.52, 6.3), (5, 0.60, 2.9), (10, 0.69, 1.8)]
)
def test_seed_deviation_interval_without_noise(seeds: int, low: float, high: float) -> None:
    """The factors of the chi-square interval, rounded as they are tabled."""
    runs = np.random.default_rng(3).normal(size=(seeds, 1))
    result = estimate(np.repeat(runs, 50, axis=1))
    deviation = result.seed_standard_deviation
    assert deviation == pytest.approx(runs.std(ddof=1), rel=1e-12)
    assert result.seed_standard_deviation_lower / deviation == pytest.approx(low, abs=0.005)
    assert result.seed_standard_deviation_upper / deviation == pytest.approx(high, abs=0.05)


def test_runs_alone_give_the_textbook_t_interval() -> None:
    runs = np.array([0.31, 0.38, 0.29, 0.44])
    result = estimate(np.repeat(runs[:, None], 30, axis=1))
    expected = stats.t.interval(0.9, 3, runs.mean(), stats.sem(runs))
    result = estimate(np.repeat(runs[:, None], 30, axis=1), confidence=0.9)
    assert (result.lower, result.upper) == pytest.approx(expected, rel=1e-10)
    assert result.degrees_of_freedom == pytest.approx(3, rel=1e-10)


def test_one_deterministic_run_each_is_the_paired_t_test() -> None:
    first, second = crossed(4, 1, 25), crossed(5, 1, 25)
    result = difference(first, second, deterministic=True)
    expected = stats.ttest_rel(first[0], second[0])
    assert result.p_value == pytest.approx(float(expected.pvalue), rel=1e-10)
    ends = expected.confidence_interval(0.95)
    assert (result.lower, result.upper) == pytest.approx((ends.low, ends.high), rel=1e-10)
    assert (result.level, result.note, result.seed_variance) == ("algorithm", "", 0)


def test_matched_difference_is_the_estimate_of_the_paired_matrix() -> None:
    first, second = crossed(6, 4, 30), crossed(7, 4, 30)
    paired, alone = difference(first, second, matched=True), estimate(first - second)
    words = ("level", "note")
    assert [getattr(paired, name) for name in words] == [getattr(alone, name) for name in words]
    numbers = [name for name in asdict(alone) if name not in (*words, "law", "seeds")]
    expected = [getattr(alone, name) for name in numbers]
    assert [getattr(paired, name) for name in numbers] == pytest.approx(expected, rel=1e-12)
    assert paired.seeds == (4, 4)


# --- Invariances --------------------------------------------------------------------------------


def test_copies_of_the_rows_of_a_cluster_add_no_information() -> None:
    """Cluster means are the engine's unit: the naive error falls by sqrt(3), the engine's stays."""
    rows = np.random.default_rng(8).normal(size=(80, 2))
    copies = np.tile(rows, (1, 3))
    error, with_copies = (
        estimate(data.mean(axis=1)[None], deterministic=True).standard_error
        for data in (rows, copies)
    )
    assert with_copies == pytest.approx(error, rel=1e-12)
    naive = stats.sem(rows, axis=None) / stats.sem(copies, axis=None)
    assert naive == pytest.approx(math.sqrt(3), rel=0.01)


@pytest.mark.parametrize("matched", [False, True])
def test_order_of_clusters_and_seeds_is_irrelevant(matched: bool) -> None:
    first, second = crossed(9, 3, 40), crossed(10, 3, 40)
    rng = np.random.default_rng(11)
    columns, rows = rng.permutation(40), rng.permutation(3)
    before = difference(first, second, matched)
    after = difference(first[rows][:, columns], second[rows][:, columns], matched)
    assert interval(after) == pytest.approx(interval(before), rel=1e-12)
    assert after.p_value == pytest.approx(before.p_value, rel=1e-10)


@pytest.mark.parametrize("matched", [False, True])
def test_swapping_the_sides_flips_the_difference_and_keeps_p(matched: bool) -> None:
    first, second = crossed(12, 3, 40), crossed(13, 3 if matched else 5, 40)
    forward, backward = difference(first, second, matched), difference(second, first, matched)
    assert backward.estimate == pytest.approx(-forward.estimate, rel=1e-12)
    assert (backward.lower, backward.upper) == pytest.approx((-forward.upper, -forward.lower))
    assert backward.p_value == pytest.approx(forward.p_value, rel=1e-12)


def test_constants_and_common_cluster_effects_cancel() -> None:
    first, second = crossed(14, 3, 40), crossed(15, 5, 40)
    before = difference(first, second)
    effect = np.random.default_rng(16).normal(size=(1, 40))
    for shift in (7.0, effect):
        after = difference(first + shift, second + shift)
        assert interval(after) == pytest.approx(interval(before), rel=1e-10)
        assert after.degrees_of_freedom == pytest.approx(before.degrees_of_freedom, rel=1e-10)
    shifted, alone = estimate(first + 7), estimate(first)
    assert shifted.estimate - 7 == pytest.approx(alone.estimate, rel=1e-10)
    assert shifted.standard_error == pytest.approx(alone.standard_error, rel=1e-10)


@pytest.mark.parametrize("unit", [1e-12, 100.0, 1e9])
def test_the_unit_is_irrelevant(unit: float) -> None:
    matrix = crossed(17, 3, 40)
    expected = [unit * value for value in interval(estimate(matrix))]
    assert interval(estimate(unit * matrix)) == pytest.approx(expected, rel=1e-10)


def test_same_data_give_the_same_bytes_and_draw_nothing() -> None:
    first, second = crossed(18, 3, 40), crossed(19, 5, 40)
    state = str(np.random.get_state())  # noqa: NPY002
    results = [repr(difference(first.copy(), second.copy())) for _ in range(3)]
    assert len(set(results)) == 1
    assert str(np.random.get_state()) == state  # noqa: NPY002
