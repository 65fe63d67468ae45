"""Benchmarks of sampled answers against closed forms and games that can be enumerated."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from text_games import (
    ACTIONS,
    MATRIX,
    ORACLE,
    REFERENCE,
    MatrixOracle,
    PlainOracle,
    answers,
    drawn,
    sentence,
    standard_error,
)

from nlhf_repro import games
from nlhf_repro.benchmarks.ended_share import EndedShare
from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.oracle_win_rate import OracleWinRate
from nlhf_repro.benchmarks.response_feature import ResponseFeature
from nlhf_repro.benchmarks.response_length import ResponseLength
from nlhf_repro.interfaces import ImpossibleSettingError, TextBenchmark
from nlhf_repro.uncertainty import cross_fitted_maximum

NAMES = [
    "oracle_win_rate",
    "oracle_exploitability",
    "kl_to_reference",
    "largest_log_ratio",
    "policy_entropy",
    "sampled_regularized_gap",
    "effective_reference_samples",
    "response_length",
    "ended_share",
]
FEATURES = {
    "coverage": "coverage",
    "inventions": "inventions",
    "repetitions": "repetitions",
    "formal_share": "formal",
    "casual_share": "casual",
    "vivid_share": "vivid",
}


def configured(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"benchmark/{name}", ["+algorithm.regularization=0.5"])
    return instantiate(config.benchmark[name])


# --- what is configured


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_build_benchmarks_of_samples(name):
    benchmark = configured(name)
    assert isinstance(benchmark, TextBenchmark) and benchmark.floor == 0.0
    policy = drawn(0, REFERENCE, 5, 8)
    found = benchmark.score_samples(policy, drawn(1, REFERENCE, 5, 8), ORACLE)
    assert found.shape == (5,) and found.dtype == np.float64 and np.isfinite(found).all()


@pytest.mark.parametrize("name", FEATURES)
def test_shipped_features_name_what_they_read(name):
    assert configured(name) == ResponseFeature(FEATURES[name])


# --- win rate


def test_the_win_rate_is_the_mean_over_all_pairs():
    policy, reference = answers([[0, 5], [17, 17]]), answers([[6, 7, 8], [0, 1, 2]])
    found = OracleWinRate().score_samples(policy, reference, ORACLE)
    expected = [
        np.mean([MATRIX[i, j] for i in (0, 5) for j in (6, 7, 8)]),
        np.mean([MATRIX[17, j] for j in (0, 1, 2)]),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    swapped = OracleWinRate().score_samples(reference, policy, ORACLE)
    np.testing.assert_allclose(found + swapped, 1, rtol=1e-15)


def test_a_position_bias_of_the_oracle_cancels():
    biased = MatrixOracle(0.8 * MATRIX + 0.05, first_bonus=0.04)
    policy, reference = drawn(0, REFERENCE, 4, 5), drawn(1, REFERENCE, 4, 6)
    found = OracleWinRate().score_samples(policy, reference, biased)
    plain = OracleWinRate().score_samples(policy, reference, MatrixOracle(biased.matrix))
    # The matrix itself sums to .9 with its transpose: the average of both orders repairs that too.
    fair = OracleWinRate().score_samples(policy, reference, ORACLE)
    np.testing.assert_allclose(found, plain, atol=1e-14)
    np.testing.assert_allclose(found, 0.5 + 0.8 * (fair - 0.5), atol=1e-14)


def test_the_win_rate_is_unbiased():
    other = np.eye(ACTIONS)[5] / 2 + REFERENCE / 2
    found = OracleWinRate().score_samples(
        drawn(2, other, 3000, 4), drawn(3, REFERENCE, 3000, 4), ORACLE
    )
    exact = other @ MATRIX @ REFERENCE
    assert abs(found.mean() - exact) < 4 * standard_error(found)
    assert abs(exact - 0.5) > 20 * standard_error(found)


# --- exploitability


@pytest.mark.parametrize("samples", [4, 5, 16])
def test_at_an_exact_equilibrium_the_split_estimate_is_unbiased(samples):
    """Truth 0: below .3 points where the naive maximum is above 1.5 (4 samples: 4.9)."""
    nash = games.nash_equilibrium(MATRIX)
    assert (nash > 0.2).sum() == 3
    policy = drawn(10, nash, 20_000, samples)
    found = OracleExploitability().score_samples(policy, policy, ORACLE)
    assert standard_error(found) < 0.0006
    assert abs(found.mean()) < 0.003
    chosen = np.array([[int(text[7:]) for text in row] for row in policy.responses])
    naive = MATRIX.T[chosen].mean(axis=1).max(axis=1) - 0.5
    assert naive.mean() > 0.015


def test_a_pure_policy_has_its_exact_value():
    policy = answers(np.repeat(np.arange(ACTIONS)[:, None], 4, axis=1))
    found = OracleExploitability().score_samples(policy, policy, ORACLE)
    exact = games.exploitability(MATRIX[None], np.eye(ACTIONS)[:, None])[:, 0]
    np.testing.assert_allclose(found, exact, atol=1e-15)


def test_away_from_equilibrium_the_split_estimate_is_below_the_truth_and_near():
    policy = np.repeat([0.6, 0.3, 0.1], 6) / 6
    exact = games.exploitability(MATRIX, policy)
    found = {
        samples: OracleExploitability().score_samples(
            one := drawn(4, policy, 4000, samples), one, ORACLE
        )
        for samples in (4, 64)
    }
    assert exact - 0.03 < found[4].mean() < exact < 0.5
    assert exact - 0.008 < found[64].mean() < exact + 2 * standard_error(found[64])


def test_the_cross_fitted_maximum_measures_where_it_did_not_choose():
    values = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 5.0], [0.0, 1.0], [1.0, 0.0]])
    # First half (0, 1): candidate 0, measured 1/3 on the second; second half: candidate 1, 1/2.
    np.testing.assert_allclose(cross_fitted_maximum(values), (1 / 3 + 1 / 2) / 2)
    both = cross_fitted_maximum(np.stack([values, -values]))
    np.testing.assert_allclose(both[0], cross_fitted_maximum(values))
    for broken in (values[:1], values[:, :0], values * np.nan):
        sentence(cross_fitted_maximum, broken)


def test_exploitability_needs_halves_and_types():
    benchmark = OracleExploitability()
    one = answers([[0], [1]])
    assert "needs 2" in sentence(benchmark.score_samples, one, one, ORACLE)
    two = answers([[0, 1]])
    said = sentence(benchmark.score_samples, two, two, PlainOracle(), kind=ImpossibleSettingError)
    assert "PlainOracle declares no features" in said and "enumerated" in said


# --- features, lengths, ends


def test_features_lengths_and_ends_are_means_over_answers():
    policy = answers([[0, 7, 17, 6], [5, 5, 5, 10]])
    score = lambda benchmark: benchmark.score_samples(policy, policy, ORACLE)  # noqa: E731
    np.testing.assert_array_equal(score(ResponseFeature("style")), [1.0, 0.25])
    np.testing.assert_array_equal(score(ResponseFeature("quality")), [1.5, 4.75])
    np.testing.assert_array_equal(score(ResponseFeature("letters")), [8.25, 8.25])
    np.testing.assert_array_equal(score(ResponseLength()), [4.5, 4.25])
    np.testing.assert_array_equal(score(EndedShare()), [0.5, 1.0])


def test_an_unknown_feature_is_refused_with_those_there_are():
    policy = answers([[0, 1]])
    said = sentence(ResponseFeature("length").score_samples, policy, policy, ORACLE)
    assert "'length'" in said and "style, quality, letters" in said
    said = sentence(ResponseFeature("length").score_samples, policy, policy, PlainOracle())
    assert "no answer has a length" in said


def test_the_two_estimators_bracket_the_exploitability_of_a_policy_that_mixes():
    """Split reads too low, plug-in too high; both are exact for a policy that gives one answer."""
    law = 0.5 * np.eye(ACTIONS)[0] + 0.3 * np.eye(ACTIONS)[6] + 0.2 * np.eye(ACTIONS)[12]
    truth = (MATRIX @ law).max() - 0.5
    policy = drawn(11, law, 4000, 8)
    split = OracleExploitability("split").score_samples(policy, policy, ORACLE)
    plug_in = OracleExploitability("plug_in").score_samples(policy, policy, ORACLE)
    error = plug_in.std(ddof=1) / np.sqrt(len(plug_in))
    assert split.mean() < truth + 2 * split.std(ddof=1) / np.sqrt(len(split))
    assert plug_in.mean() > truth - 2 * error
    assert plug_in.mean() - split.mean() > 5 * error
    pure = answers(np.full((40, 8), 3))
    exact = np.full(40, MATRIX[:, 3].max() - 0.5)
    for estimator in ("split", "plug_in"):
        found = OracleExploitability(estimator).score_samples(pure, pure, ORACLE)
        np.testing.assert_allclose(found, exact, atol=1e-14)
