"""Benchmarks of sampled answers against closed forms and games that can be enumerated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from text_games import MatrixOracle, PlainOracle, answers, cyclic_matrix, drawn, prompts

from nlhf_repro import games
from nlhf_repro.benchmarks.answers import UnusableAnswersError
from nlhf_repro.benchmarks.ended_share import EndedShare
from nlhf_repro.benchmarks.kl_to_reference import KLToReference
from nlhf_repro.benchmarks.largest_log_ratio import LargestLogRatio
from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.oracle_win_rate import OracleWinRate
from nlhf_repro.benchmarks.policy_entropy import PolicyEntropy
from nlhf_repro.benchmarks.response_feature import ResponseFeature
from nlhf_repro.benchmarks.response_length import ResponseLength
from nlhf_repro.benchmarks.sampled_regularized_gap import (
    SampledRegularizedGap,
    jackknifed_soft_maximum,
    soft_maximum,
)
from nlhf_repro.interfaces import ImpossibleSettingError, TextBenchmark
from nlhf_repro.uncertainty import cross_fitted_maximum

MATRIX = cyclic_matrix()
ORACLE = MatrixOracle(MATRIX)
ACTIONS = len(MATRIX)
REFERENCE = np.random.default_rng(7).dirichlet(np.full(ACTIONS, 2.0))
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


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def sentence(call, *arguments, kind=ValueError):
    with pytest.raises(kind) as caught:
        call(*arguments)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said


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


# --- divergences


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_both_estimators_of_the_divergence_are_unbiased(estimator):
    policy = REFERENCE * np.exp(0.3 * np.random.default_rng(1).standard_normal(ACTIONS))
    policy /= policy.sum()
    exact = float((policy * np.log(policy / REFERENCE)).sum())
    samples = drawn(5, policy, 100_000, 2, REFERENCE)
    found = KLToReference(estimator).score_samples(samples, samples, ORACLE)
    assert abs(found.mean() - exact) < 4 * standard_error(found) < exact / 8


def test_k3_varies_less_near_the_reference_and_never_turns_negative():
    policy = REFERENCE * np.exp(0.3 * np.random.default_rng(1).standard_normal(ACTIONS))
    samples = drawn(5, policy / policy.sum(), 4000, 2, REFERENCE)
    first, third = (
        KLToReference(name).score_samples(samples, samples, ORACLE) for name in ("k1", "k3")
    )
    assert third.std() < 0.5 * first.std()
    assert first.min() < 0 <= third.min()


def test_divergences_of_hand_made_answers():
    policy, reference = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    samples = answers([[0, 1, 2, 2], [0, 0, 0, 1]], policy, reference)
    none, two = np.log(1.0), np.log(2.0)
    first = KLToReference("k1").score_samples(samples, samples, ORACLE)
    np.testing.assert_allclose(first, [-two / 4, 3 * two / 4], atol=1e-15)
    third = KLToReference("k3").score_samples(samples, samples, ORACLE)
    half, double = two + 0.5 - 1, -two + 2 - 1
    np.testing.assert_allclose(third, [(half + none + 2 * double) / 4, 3 * half / 4], atol=1e-15)
    largest = LargestLogRatio().score_samples(samples, samples, ORACLE)
    np.testing.assert_allclose(largest, [two, two], rtol=1e-15)
    moved = replace(samples, log_prob=samples.log_prob - np.array([[0.0, 0, 0, 9], [0, 0, 0, 0]]))
    largest = LargestLogRatio().score_samples(moved, samples, ORACLE)
    np.testing.assert_allclose(largest, [two + 9, two], rtol=1e-15)
    entropy = PolicyEntropy().score_samples(samples, samples, ORACLE)
    np.testing.assert_allclose(entropy, [7 * two / 4, 5 * two / 4], rtol=1e-15)


def test_the_entropy_is_unbiased():
    samples = drawn(6, REFERENCE, 20_000, 2)
    found = PolicyEntropy().score_samples(samples, samples, ORACLE)
    exact = float(-(REFERENCE * np.log(REFERENCE)).sum())
    assert abs(found.mean() - exact) < 4 * standard_error(found) < 0.02


def test_single_precision_log_probabilities_are_summed_in_double():
    samples = drawn(6, REFERENCE, 3, 1000)
    single = replace(samples, log_prob=samples.log_prob.astype(np.float32))
    found = PolicyEntropy().score_samples(single, samples, ORACLE)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, -single.log_prob.astype(np.float64).mean(axis=1), rtol=1e-14)


def test_unknown_estimators_are_refused():
    assert "choose k1 or k3" in sentence(KLToReference, "k2", kind=ImpossibleSettingError)


# --- the regularized gap


def gap_bias(policy, regularization, samples, count, seed=11):
    """(estimates, naive estimates, exact gap) of `count` prompts."""
    own = drawn(seed, policy, count, samples, REFERENCE)
    reference = drawn(seed + 1, REFERENCE, count, samples)
    benchmark = SampledRegularizedGap(regularization, 1.0, "gap")
    found = benchmark.score_samples(own, reference, ORACLE)
    rows, columns = (
        np.array([[int(text[7:]) for text in row] for row in one.responses])
        for one in (reference, own)
    )
    means = MATRIX[rows[:, :, None], columns[:, None, :]].mean(axis=2)
    divergence = (own.log_prob - own.reference_log_prob).mean(axis=1)
    naive = 2 * (soft_maximum(means, regularization) + regularization * divergence) - 1
    exact = float(games.regularized_duality_gap(MATRIX, policy, REFERENCE, regularization))
    return found, naive, exact


@pytest.mark.parametrize("start", ["equilibrium", "reference", "between"])
def test_with_many_samples_the_gap_is_the_enumerated_one(start):
    tau = 0.3
    equilibrium = games.regularized_nash_equilibrium(MATRIX, REFERENCE, tau)
    share = {"equilibrium": 1.0, "between": 0.5, "reference": 0.0}[start]
    found, _, exact = gap_bias(share * equilibrium + (1 - share) * REFERENCE, tau, 64, 300)
    assert abs(found.mean() - exact) < 4 * standard_error(found) < 0.03
    assert (exact < 1e-12) == (start == "equilibrium")


@pytest.mark.slow
@pytest.mark.parametrize("start", ["equilibrium", "reference"])
def test_the_jackknife_takes_out_the_bias_of_few_samples(start):
    """8 answers of either policy at tau = .3: the naive estimate is off by many standard errors."""
    tau = 0.3
    policy = REFERENCE
    if start == "equilibrium":
        policy = games.regularized_nash_equilibrium(MATRIX, REFERENCE, tau)
    found, naive, exact = gap_bias(policy, tau, 8, 30_000)
    assert naive.mean() - exact < -7 * standard_error(naive)
    assert abs(found.mean() - exact) < 0.3 * abs(naive.mean() - exact)


@pytest.mark.parametrize(
    ("candidates", "opponents", "spread", "prompts", "sign"),
    [(8, 4, 0.02, 12_000, -1), (100, 6, 0.3, 800, 1)],
)
def test_the_jackknife_corrects_either_number_of_samples(
    candidates, opponents, spread, prompts, sign
):
    """Few candidates make the naive estimate too low, few opponents too high."""
    rng = np.random.default_rng(3)
    tau, worth = 0.2, MATRIX @ REFERENCE
    truth = tau * np.log(REFERENCE @ np.exp(worth / tau))
    chosen = rng.choice(ACTIONS, size=(prompts, candidates), p=REFERENCE)
    noise = rng.standard_normal((prompts, ACTIONS, opponents)) * spread
    table = np.take_along_axis(worth[:, None] + noise, chosen[..., None], axis=1)
    naive, found = soft_maximum(table.mean(axis=2), tau), jackknifed_soft_maximum(table, tau)
    assert sign * (naive.mean() - truth) > 8 * standard_error(naive)
    assert abs(found.mean() - truth) < 0.25 * abs(naive.mean() - truth)


def test_the_jackknife_is_the_leave_one_out_formula():
    table = np.random.default_rng(0).random((3, 5, 4))
    plain = soft_maximum(table.mean(axis=2), 0.2)
    opponents = [soft_maximum(np.delete(table, i, 2).mean(axis=2), 0.2) for i in range(4)]
    candidates = [soft_maximum(np.delete(table, j, 1).mean(axis=2), 0.2) for j in range(5)]
    expected = (
        plain - 3 * (np.mean(opponents, axis=0) - plain) - 4 * (np.mean(candidates, axis=0) - plain)
    )
    np.testing.assert_allclose(jackknifed_soft_maximum(table, 0.2), expected, rtol=1e-12)


def test_too_few_effective_samples_give_no_value_at_all():
    own, reference = drawn(0, REFERENCE, 6, 8), drawn(1, REFERENCE, 6, 8)
    sizes = SampledRegularizedGap(0.01, 1.0, "effective_samples").score_samples(
        own, reference, ORACLE
    )
    assert ((sizes >= 1) & (sizes <= 8)).all()
    harmonic = 1 / (1 / sizes).mean()
    below = SampledRegularizedGap(0.01, harmonic * 1.01, "gap")
    above = SampledRegularizedGap(0.01, harmonic * 0.99, "gap")
    assert np.isnan(below.score_samples(own, reference, ORACLE)).all()
    assert np.isfinite(above.score_samples(own, reference, ORACLE)).all()


def test_effective_samples_of_known_weights():
    """Answers worth the same count all; of weights 1 and e, (m + n e)^2 / (m + n e^2)."""
    flat = MatrixOracle(np.full((2, 2), 0.5))
    benchmark = SampledRegularizedGap(0.1, 1.0, "effective_samples")
    reference = answers([[0, 0, 1, 1, 1]])
    own = answers([[0, 0]], np.array([0.5, 0.5]))
    np.testing.assert_allclose(benchmark.score_samples(own, reference, flat), 5)
    steep = MatrixOracle(np.array([[0.5, 0.4], [0.6, 0.5]]))
    expected = (2 + 3 * np.e) ** 2 / (2 + 3 * np.e**2)
    np.testing.assert_allclose(benchmark.score_samples(own, reference, steep), expected)


def test_gap_settings_without_meaning_are_refused():
    for arguments, key in (
        ((0.0, 4.0, "gap"), "regularization"),
        ((float("nan"), 4.0, "gap"), "regularization"),
        ((0.1, 0.5, "gap"), "minimum_effective_samples"),
        ((0.1, float("nan"), "gap"), "minimum_effective_samples"),
    ):
        said = sentence(SampledRegularizedGap, *arguments, kind=ImpossibleSettingError)
        assert f"benchmark.sampled_regularized_gap.{key} = " in said
    one, two = answers([[0]]), answers([[0, 1]])
    benchmark = SampledRegularizedGap(0.1, 1.0, "gap")
    for pair in ((one, two), (two, one)):
        assert "needs 2" in sentence(benchmark.score_samples, *pair, ORACLE)


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


# --- what is refused


class Replying(MatrixOracle):
    """Gives one wrong reply, to the question about the third prompt."""

    wrong = float("nan")

    def _broken(self, values, prompts):
        values = np.array(values)
        values[[prompt.identifier for prompt in prompts].index("post 2")] = self.wrong
        return values

    def preference(self, prompts, first, second):
        return self._broken(super().preference(prompts, first, second), prompts)

    def responder_preference(self, prompts, responses):
        return self._broken(super().responder_preference(prompts, responses), prompts)

    def features(self, prompts, responses):
        return self._broken(super().features(prompts, responses), prompts)


ASKING = [
    OracleWinRate(),
    OracleExploitability(),
    SampledRegularizedGap(0.5, 1.0, "gap"),
]


@pytest.mark.parametrize("benchmark", ASKING, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("wrong", [float("nan"), 1.001, -0.001, float("inf")])
def test_replies_that_are_no_probability_are_refused_by_prompt(benchmark, wrong):
    class Wrong(Replying):
        pass

    Wrong.wrong = wrong
    policy, reference = drawn(0, REFERENCE, 4, 3), drawn(1, REFERENCE, 4, 3)
    said = sentence(
        benchmark.score_samples, policy, reference, Wrong(MATRIX), kind=UnusableAnswersError
    )
    assert f"{wrong} to a question about the prompt 'post 2'" in said


def test_features_that_are_no_number_are_refused_by_prompt():
    policy = drawn(0, REFERENCE, 4, 3)
    benchmark = ResponseFeature("quality")
    said = sentence(benchmark.score_samples, policy, policy, Replying(MATRIX))
    assert "quality nan" in said and "'post 2'" in said


def test_replies_of_another_shape_are_refused():
    class Short(MatrixOracle):
        def preference(self, prompts, first, second):
            return super().preference(prompts, first, second)[1:]

        def features(self, prompts, responses):
            return super().features(prompts, responses)[:, :2]

        def responder_preference(self, prompts, responses):
            return super().responder_preference(prompts, responses)[:, :0]

    policy, oracle = drawn(0, REFERENCE, 3, 2), Short(MATRIX)
    for benchmark in (*ASKING, ResponseFeature("style")):
        assert "shape" in sentence(benchmark.score_samples, policy, policy, oracle)


EVERY = [*ASKING, KLToReference("k1"), LargestLogRatio(), PolicyEntropy(), EndedShare()]
EVERY += [ResponseLength(), ResponseFeature("style")]


@pytest.mark.parametrize("benchmark", EVERY, ids=lambda one: type(one).__name__)
def test_answers_that_do_not_belong_together_are_refused(benchmark):
    good = drawn(0, REFERENCE, 3, 4)

    def said(policy, reference=good):
        return sentence(benchmark.score_samples, policy, reference, ORACLE)

    assert "at least one prompt" in said(replace(good, prompts=(), responses=()))
    empty = answers(np.empty((3, 0), dtype=int), np.ones(1), np.ones(1))
    assert "has 0 answers" in said(empty)
    ragged = replace(good, responses=(*good.responses[:2], good.responses[2][:3]))
    assert "'post 2' has 3 answers" in said(ragged)
    assert "log_prob has the shape (3, 3)" in said(replace(good, log_prob=good.log_prob[:, :3]))
    cost = good.reference_log_prob.copy()
    cost[1, 2] = -np.inf
    assert "answer 2 to the prompt 'post 1' is -inf" in said(replace(good, reference_log_prob=cost))


@pytest.mark.parametrize("benchmark", [ASKING[0], ASKING[2]], ids=lambda one: type(one).__name__)
def test_other_prompts_of_the_reference_are_refused(benchmark):
    good = drawn(0, REFERENCE, 3, 4)
    other = replace(good, prompts=(*good.prompts[:2], prompts(5)[4]))
    said = sentence(benchmark.score_samples, good, other, ORACLE)
    assert "'post 2'" in said and "'post 4'" in said
    fewer = drawn(0, REFERENCE, 2, 4)
    assert "answered 3 prompts" in sentence(benchmark.score_samples, good, fewer, ORACLE)
