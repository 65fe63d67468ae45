"""The length-controlled fit against scikit-learn, its standard error against re-fits."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import alpaca_rows
import numpy as np
import pytest
from scipy.special import expit

from nlhf_repro.benchmarks.alpaca_eval import (
    GamedRows,
    LengthControlledWinRate,
    length_controlled_win_rate,
    read_gamed_rows,
)
from nlhf_repro.benchmarks.alpaca_eval import penalized_logistic as logistic
from nlhf_repro.benchmarks.clustered import standard_error

COUNT = 150


@pytest.fixture(scope="module")
def gamed(tmp_path_factory: pytest.TempPathFactory) -> GamedRows:
    return read_gamed_rows(alpaca_rows.write_gamed(tmp_path_factory.mktemp("g") / "g.csv", COUNT))


def arrays(seed: int = 0, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    rows = alpaca_rows.annotations(count, seed)
    lengths = [len(row["output_1"]) - len(row["output_2"]) for row in rows]
    return np.array([row["preference"] for row in rows]), np.array(lengths, dtype=float)


def problem(gamed: GamedRows, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, shares, weights of the published fit, written out again."""
    preferences, lengths = arrays(seed)
    own = [np.tanh(lengths / lengths.std(ddof=1)), alpaca_rows.difficulties(COUNT), np.ones(COUNT)]
    above = [np.tanh(gamed.scaled_length_differences), gamed.difficulties, np.zeros(2 * COUNT)]
    features = np.vstack([np.column_stack(above), np.column_stack(own)])
    shares = np.concatenate([gamed.shares, preferences - 1])
    return features, shares, np.repeat([0.1, 1.0], [2 * COUNT, COUNT])


def scored(gamed: GamedRows | None, seed: int = 0, **settings: float) -> LengthControlledWinRate:
    difficulties = None if gamed is None else alpaca_rows.difficulties(COUNT)
    return length_controlled_win_rate(*arrays(seed), difficulties, gamed, **settings)


@pytest.mark.parametrize("columns", [[0, 1, 2], [0, 2], [2]])
def test_the_fit_is_scikit_learns(gamed: GamedRows, columns: list[int]) -> None:
    from sklearn.linear_model import LogisticRegression

    features, shares, weights = problem(gamed)
    grid = logistic.INVERSE_PENALTIES
    found = logistic.fit(features[:, columns], shares, np.tile(weights, (len(grid), 1)), grid)
    for penalty, coefficients in zip(grid, found, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = LogisticRegression(
                C=penalty, penalty="l1", solver="liblinear", fit_intercept=False, tol=1e-13,
                max_iter=1_000_000, random_state=123,
            ).fit(
                np.tile(features[:, columns], (2, 1)),
                np.repeat([1, 0], len(shares)),
                sample_weight=np.concatenate([shares, 1 - shares]) * np.tile(weights, 2),
            )  # fmt: skip
        np.testing.assert_allclose(coefficients, theirs.coef_[0], rtol=0, atol=1e-6)
    assert (found[0] == 0).all(), "the strongest penalty leaves nothing"


def test_the_chosen_penalty_is_scikit_learns(gamed: GamedRows) -> None:
    """Its folds, its log-loss, its grid, with its solver run to convergence."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    features, shares, weights = problem(gamed, seed=1)
    scores = np.zeros(len(logistic.INVERSE_PENALTIES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for train, test in GroupKFold(5).split(features, groups=np.arange(len(features))):
            for place, penalty in enumerate(logistic.INVERSE_PENALTIES):
                model = LogisticRegression(
                    C=penalty, penalty="l1", solver="liblinear", fit_intercept=False, tol=1e-10,
                    max_iter=100_000, random_state=1,
                ).fit(
                    np.tile(features[train], (2, 1)),
                    np.repeat([1, 0], len(train)),
                    sample_weight=np.concatenate([shares[train], 1 - shares[train]])
                    * np.tile(weights[train], 2),
                )  # fmt: skip
                predicted = model.predict_proba(features[test])[:, 1]
                loss = shares[test] * np.log(predicted)
                loss += (1 - shares[test]) * np.log(1 - predicted)
                scores[place] -= np.mean(weights[test] * loss)
    best = logistic.INVERSE_PENALTIES[np.argmin(scores)]
    assert logistic.choose_inverse_penalty(features, shares, weights) == best


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_fit_satisfies_its_optimality_conditions(scale: float) -> None:
    """The gradient equals -sign(w)/C where w is not 0, and is at most 1/C where it is."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(40, 3)) * [scale, 1, 1]
    shares = rng.random(40).round(1)
    penalties = np.logspace(-2, 6, 9)
    weights = rng.random((9, 40))
    found = logistic.fit(features, shares, weights, penalties)
    gradient = (weights * (expit(found @ features.T) - shares)) @ features * penalties[:, None]
    size = np.maximum(1, penalties[:, None] * np.abs(features).sum(0))
    np.testing.assert_array_less(np.abs(np.where(found, gradient + np.sign(found), 0)), 1e-7 * size)
    assert (np.abs(gradient)[found == 0] <= 1).all()


def test_the_estimate_is_the_prediction_at_equal_lengths(gamed: GamedRows) -> None:
    found = scored(gamed, inverse_penalty=2.5)
    features, shares, weights = problem(gamed)
    coefficients = logistic.fit(features, shares, weights[None], np.array([2.5]))[0]
    predicted = expit(features[2 * COUNT :, 1:] @ coefficients[1:])
    assert found.estimate == pytest.approx(100 * predicted.mean(), abs=1e-9)
    assert found.pseudo_observations.mean() == pytest.approx(found.estimate, abs=1e-9)
    assert found.standard_error == standard_error(found.pseudo_observations)


def test_pseudo_observations_are_the_derivative_of_the_estimate(gamed: GamedRows) -> None:
    """Give one question a little more weight, re-fit without a penalty, and compare."""
    features, shares, weights = problem(gamed)
    step = 1e-4
    own = np.ones((2, COUNT, COUNT)) + np.array([step, -step])[:, None, None] * np.eye(COUNT)
    own *= COUNT / own.sum(-1, keepdims=True)
    own = own.reshape(2 * COUNT, COUNT)
    rows = np.hstack([np.tile(weights[: 2 * COUNT], (2 * COUNT, 1)), own])
    found = logistic.fit(features, shares, rows, np.full(2 * COUNT, 1e9))
    estimates = (own * expit(found[:, 1:] @ features[2 * COUNT :, 1:].T)).mean(-1)
    derivative = COUNT * 100 * (estimates[:COUNT] - estimates[COUNT:]) / (2 * step)
    unpenalised = scored(gamed, inverse_penalty=1e9)
    influence = unpenalised.pseudo_observations - unpenalised.estimate
    np.testing.assert_allclose(derivative, influence, rtol=0, atol=2e-3)
    assert np.abs(influence).max() > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_standard_error_is_that_of_a_bootstrap_with_refits(gamed: GamedRows, seed: int) -> None:
    features, shares, weights = problem(gamed, seed)
    rounds = 1000
    own = np.random.default_rng(seed).multinomial(COUNT, np.full(COUNT, 1 / COUNT), rounds)
    rows = np.hstack([np.tile(weights[: 2 * COUNT], (rounds, 1)), own])
    found = logistic.fit(features, shares, rows, np.full(rounds, 166.8))
    estimates = (own * expit(found[:, 1:] @ features[2 * COUNT :, 1:].T)).mean(-1)
    ratio = scored(gamed, seed).standard_error / (100 * estimates.std(ddof=1))
    assert ratio == pytest.approx(1, abs=0.1)


def test_equal_lengths_leave_out_the_length_term(gamed: GamedRows) -> None:
    preferences, _ = arrays()
    for difficulties, rows in ((alpaca_rows.difficulties(COUNT), gamed), (None, None)):
        found = length_controlled_win_rate(preferences, np.full(COUNT, 7.0), difficulties, rows)
        assert "no length term" in found.notes[0]
        assert found.estimate == pytest.approx(100 * (preferences - 1).mean(), abs=1)
        assert found.standard_error == pytest.approx(standard_error(100 * preferences), rel=0.05)


@pytest.mark.parametrize(("preference", "estimate"), [(2.0, 100.0), (1.0, 0.0)])
def test_nothing_but_wins_is_100_without_an_interval(
    gamed: GamedRows, preference: float, estimate: float
) -> None:
    _, lengths = arrays()
    everything = np.full(COUNT, preference)
    found = length_controlled_win_rate(everything, lengths, alpaca_rows.difficulties(COUNT), gamed)
    assert found.estimate == estimate
    assert math.isnan(found.standard_error)
    assert found.coefficients is None
    assert "no interval" in found.notes[0]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("with_reference", [False, True])
def test_a_handful_of_questions_has_a_defined_estimate(
    gamed: GamedRows, count: int, with_reference: bool
) -> None:
    preferences, lengths = (array[:count] for array in arrays())
    difficulties = alpaca_rows.difficulties(COUNT)[:count] if with_reference else None
    found = length_controlled_win_rate(
        preferences, lengths, difficulties, gamed if with_reference else None
    )
    assert 0 <= found.estimate <= 100
    saturated = count <= (1 if with_reference else 2)
    assert math.isnan(found.standard_error) == saturated
    if count == 1 and not with_reference:
        assert found.estimate == pytest.approx(100 * (preferences[0] - 1), abs=0.1)


def test_a_judge_of_draws_only_has_no_interval() -> None:
    found = length_controlled_win_rate(np.full(30, 1.5), np.arange(30.0))
    assert found.estimate == 50
    assert math.isnan(found.standard_error)
    assert "coefficient to 0" in found.notes[0]


def test_one_loss_among_wins_is_fitted(gamed: GamedRows) -> None:
    """Leaving it out, a fold sees wins only, and the fit's digits lie near 1."""
    preferences = np.where(np.arange(20) == 7, 1.0, 2.0)
    for lengths in (np.full(20, 3.0), arrays(3, 20)[1]):
        found = length_controlled_win_rate(preferences, lengths)
        assert 80 < found.estimate < 100
        assert found.standard_error > 2


def test_separated_judgments_have_no_interval() -> None:
    """The longer answer always wins: equal lengths were never seen."""
    lengths = np.repeat([-700.0, 900.0], 10)
    for preferences, differences in [
        (1.5 - np.sign(lengths) / 2, lengths),
        (np.array([1.0, 2.0]), np.array([-228.0, -230.0])),
    ]:
        found = length_controlled_win_rate(preferences, differences)
        assert math.isnan(found.standard_error)
        assert "no interval" in found.notes[-1]


def test_impossible_arguments_are_named(gamed: GamedRows) -> None:
    preferences, lengths = arrays()
    for arguments, sentence in [
        ((preferences, lengths[1:]), "one of each"),
        ((preferences[:0], lengths[:0]), "one of each"),
        ((preferences, lengths * np.nan), "finite"),
        ((preferences - 1, lengths), "outside 1 to 2"),
        ((preferences, lengths, None, gamed), "together"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            length_controlled_win_rate(*arguments)
    with pytest.raises(ValueError, match="5 folds"):
        logistic.choose_inverse_penalty(np.ones((4, 1)), np.ones(4), np.ones(4))


def test_gamed_rows_without_a_preference_are_left_out(gamed: GamedRows, tmp_path: Path) -> None:
    kept = np.arange(2 * COUNT) % 7 > 0
    shares = np.where(kept, gamed.shares, np.nan)
    holes = GamedRows(gamed.indices, gamed.scaled_length_differences, gamed.difficulties, shares)
    fewer = GamedRows(
        tuple(np.array(gamed.indices)[kept]), gamed.scaled_length_differences[kept],
        gamed.difficulties[kept], gamed.shares[kept],
    )  # fmt: skip
    assert (
        scored(holes, inverse_penalty=3.0).estimate == scored(fewer, inverse_penalty=3.0).estimate
    )


@pytest.mark.slow
def test_intervals_cover_where_alpaca_evals_do_not(gamed: GamedRows) -> None:
    """Samples of 300 questions out of 3000; the truth is the fit to all, gamed rows in proportion.

    alpaca-eval's `lc_standard_error` is the spread of predictions at equal lengths.
    """
    size, rounds = 300, 400
    preferences, lengths = arrays(7, 3000)
    difficulties = alpaca_rows.difficulties(3000)
    above = np.column_stack(
        [np.tanh(gamed.scaled_length_differences), gamed.difficulties, np.zeros(2 * COUNT)]
    )
    own = np.column_stack([np.tanh(lengths / lengths.std()), difficulties, np.ones(3000)])
    weights = np.repeat([0.1, size / 3000], [2 * COUNT, 3000])
    shares = np.concatenate([gamed.shares, preferences - 1])
    features = np.vstack([above, own])
    whole = logistic.fit(features, shares, weights[None], np.array([1e4]))[0]
    truth = 100 * expit(own[:, 1:] @ whole[1:]).mean()
    covered = np.zeros((rounds, 2))
    for round_, rng in enumerate(np.random.default_rng(8).spawn(rounds)):
        drawn = rng.integers(0, 3000, size)
        found = length_controlled_win_rate(
            preferences[drawn], lengths[drawn], difficulties[drawn], gamed, 1e4
        )
        assert found.coefficients is not None
        predicted = 100 * expit(own[drawn, 1:] @ found.coefficients[1:])
        errors = np.array([found.standard_error, standard_error(predicted)])
        covered[round_] = abs(found.estimate - truth) <= 1.96 * errors
    ours, theirs = covered.mean(0)
    assert abs(ours - 0.95) < 3 * np.sqrt(0.95 * 0.05 / rounds)
    assert theirs < 0.8
