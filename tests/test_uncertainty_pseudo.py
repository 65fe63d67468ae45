"""Pseudo-observations: agreement with closed forms, statsmodels and refits; invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    cluster_means,
    cluster_totals,
    estimate,
    length_controlled,
    weighted_ratio,
)


def rows(seed: int, clusters: int = 40, count: int = 300) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    places = np.concatenate([np.arange(clusters), rng.integers(0, clusters, count - clusters)])
    easy = rng.normal(size=clusters)[places]
    scores = np.asarray(rng.normal(size=count) + easy > 0, dtype=float)
    return scores, rng.choice([1.0, 3.0], count), places


def clustered_error(scores: Array, weights: Array, places: Array) -> tuple[float, float]:
    z = weighted_ratio(*cluster_totals(scores, weights, places))
    result = estimate(z[None])
    return result.estimate, result.standard_error


def test_weighted_ratio_is_statsmodels_clustered_regression() -> None:
    scores, weights, places = rows(0)
    found = clustered_error(scores, weights, places)
    fit = sm.WLS(scores, np.ones(len(scores)), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": places}
    )
    assert found == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-12)
    unweighted = clustered_error(scores, np.ones(len(scores)), places)
    fit = sm.OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": places})
    assert unweighted == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-12)


def test_tripling_every_row_and_shuffling_rows_change_nothing() -> None:
    scores, weights, places = rows(1)
    before = clustered_error(scores, weights, places)
    tripled = clustered_error(*(np.tile(each, 3) for each in (scores, weights, places)))
    assert tripled == pytest.approx(before, rel=1e-12)
    order = np.random.default_rng(2).permutation(len(scores))
    shuffled = clustered_error(scores[order], weights[order], places[order])
    assert shuffled == pytest.approx(before, rel=1e-12)
    naive = np.tile(scores, 3).std() / math.sqrt(3 * len(scores))
    assert naive < 0.75 * before[1]


def test_means_by_cluster_by_hand() -> None:
    assert cluster_means([1, 2, 4, 9], [0, 1, 1, 0]) == pytest.approx([5, 3])
    sums, weights = cluster_totals([1, 2, 4], [3, 1, 1], [0, 2, 2])
    assert (sums.tolist(), weights.tolist()) == ([3, 0, 6], [3, 0, 2])
    assert weighted_ratio(sums, weights).mean() == pytest.approx(9 / 5)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Cluster 1 has no row"):
        cluster_means([1, 2], [0, 2])
    with pytest.raises(ValueError, match="integer position"):
        cluster_totals([1, 2], [1, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match="is negative: count both from zero"):
        cluster_totals([1, 2], [1, -1], [0, 1])
    with pytest.raises(ValueError, match="scores: give a non-empty list of finite"):
        cluster_totals([1, math.nan], [1, 1], [0, 1])
    with pytest.raises(ValueError, match="all zero"):
        weighted_ratio([0, 0], [0, 0])


# --- Length-controlled win rate -----------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def fit(x: Array, y: Array, weights: Array) -> Array:
    """Unpenalised weighted logistic fit of soft labels, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(50):
        mu = sigmoid(x @ w)
        hessian = (x * (weights * mu * (1 - mu))[:, None]).T @ x
        step = np.linalg.solve(hessian, x.T @ (weights * (y - mu)))
        w = w + step
        if abs(step).max() < 1e-12:
            return np.asarray(w)
    raise AssertionError("the reference fit did not converge")


def win_rate(x: Array, w: Array) -> float:
    return float(sigmoid(x[:, 1:] @ w[1:]).mean())


def items(seed: int, count: int) -> tuple[Array, Array]:
    """Features (length, difficulty, 1) and soft labels that are mostly near 0 or 1."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.tanh(rng.normal(size=count)), rng.normal(size=count), np.ones(count)])
    logit = 1.2 * x[:, 0] + 0.8 * x[:, 1] - 0.3
    return x, sigmoid(4 * (logit + rng.logistic(size=count)))


def gamed(seed: int, count: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.tanh(2 * rng.normal(size=count)), rng.normal(size=count)])
    x = np.column_stack([x, np.zeros(count)])
    return x, sigmoid(x @ [1.0, 0.6, 0.0] + rng.normal(size=count)), np.full(count, 0.1)


def refit(x: Array, y: Array, extra: tuple[Array, Array, Array]) -> Array:
    weights = np.concatenate([np.ones(len(x)), extra[2]])
    return fit(np.vstack([x, extra[0]]), np.concatenate([y, extra[1]]), weights)


def test_influence_on_the_length_controlled_win_rate_is_that_of_leaving_a_row_out() -> None:
    """The jackknife's pseudo-value n LC - (n - 1) LC without i, up to second order."""
    x, y = items(3, 400)
    extra = gamed(4, 800)
    w = refit(x, y, extra)
    z = length_controlled(x, y, w, extra[0], extra[2])
    jackknife = []
    for row in range(len(x)):
        keep = np.arange(len(x)) != row
        left = win_rate(x[keep], refit(x[keep], y[keep], extra))
        jackknife.append(400 * win_rate(x, w) - 399 * left)
    assert z.mean() == pytest.approx(win_rate(x, w), abs=1e-12)
    # mean(u) is not zero with gamed rows: leaving a row out also makes theirs weigh more.
    assert np.std(z - jackknife) < 0.02 * np.std(z)
    assert np.corrcoef(z, jackknife)[0, 1] > 0.999


def test_length_controlled_without_gamed_rows_or_length_is_the_win_rate() -> None:
    """All outputs equally long: the logistic fit reproduces mean(y), and z is y itself."""
    x, y = items(5, 200)
    x[:, 0] = 0
    w = np.concatenate([[0.0], fit(x[:, 1:], y, np.ones(200))])
    z = length_controlled(x, y, w)
    assert z.mean() == pytest.approx(y.mean(), abs=1e-10)
    assert z == pytest.approx(y, abs=1e-8)


def test_order_of_instructions_and_of_gamed_rows_is_irrelevant() -> None:
    x, y = items(6, 100)
    extra = gamed(7, 60)
    w = refit(x, y, extra)
    order, other = np.random.default_rng(8).permutation(100), np.arange(60)[::-1]
    before = length_controlled(x, y, w, extra[0], extra[2])
    after = length_controlled(x[order], y[order], w, extra[0][other], extra[2][other])
    assert after == pytest.approx(before[order], rel=1e-10)


def test_features_that_do_not_fit_are_refused() -> None:
    x, y = items(9, 50)
    with pytest.raises(ValueError, match="rows and terms must agree"):
        length_controlled(x, y, [0.0, 1.0])
    with pytest.raises(ValueError, match="outside"):
        length_controlled(x, 1 + y, np.zeros(3))
    x[3, 1] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        length_controlled(x, y, np.zeros(3))


def test_a_single_instruction_has_no_error() -> None:
    z = length_controlled([[0.0, 1.0]], [0.7], [0.0, math.log(7 / 3)])
    result = estimate(z[None])
    assert result.estimate == pytest.approx(0.7)
    assert math.isnan(result.standard_error)
    assert result.note == "not estimable: a single cluster"


@pytest.mark.slow
def test_length_controlled_error_agrees_with_refits_and_the_published_one_does_not() -> None:
    """Resamples of 805 instructions, each refitted; the truth is the 805's own value."""
    x, y = items(10, 805)
    extra = gamed(11, 1610)
    w = refit(x, y, extra)
    truth, z = win_rate(x, w), length_controlled(x, y, w, extra[0], extra[2])
    error = estimate(z[None]).standard_error
    rng = np.random.default_rng(12)
    values, covered = [], []
    for _ in range(1000):
        drawn = rng.integers(0, 805, 805)
        again = refit(x[drawn], y[drawn], extra)
        value = win_rate(x[drawn], again)
        own = estimate(length_controlled(x[drawn], y[drawn], again, extra[0], extra[2])[None])
        published = sigmoid(x[drawn, 1:] @ again[1:]).std(ddof=1) / math.sqrt(805)
        values.append(value)
        covered.append([own.lower <= truth <= own.upper, abs(value - truth) <= 1.96 * published])
    ours, upstream = 100 * np.mean(covered, axis=0)
    assert 0.93 <= error / np.std(values, ddof=1) <= 1.07
    assert 93 <= ours <= 97
    assert upstream < 75
