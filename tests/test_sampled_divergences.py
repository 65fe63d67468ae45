"""Divergences and the regularized gap from samples, against games that can be enumerated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from text_games import (
    ACTIONS,
    MATRIX,
    ORACLE,
    REFERENCE,
    MatrixOracle,
    answers,
    drawn,
    sentence,
    standard_error,
)

from nlhf_repro import games
from nlhf_repro.benchmarks.kl_to_reference import KLToReference
from nlhf_repro.benchmarks.largest_log_ratio import LargestLogRatio
from nlhf_repro.benchmarks.policy_entropy import PolicyEntropy
from nlhf_repro.benchmarks.sampled_regularized_gap import (
    SampledRegularizedGap,
    jackknifed_soft_maximum,
    soft_maximum,
)
from nlhf_repro.interfaces import ImpossibleSettingError

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
