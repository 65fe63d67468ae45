"""Policies against each other and against a pool, on games that can be enumerated."""

from __future__ import annotations

import numpy as np
import pytest
from text_games import ACTIONS, MATRIX, ORACLE, MatrixOracle, answers, chosen_prompts, drawn

from nlhf_repro import games
from nlhf_repro.benchmarks.answers import UnusableAnswersError
from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.round_robin import (
    BEST_OF_REFERENCE,
    TARGETED_REFERENCE,
    halves,
    pool_exploitability,
    round_robin,
)
from nlhf_repro.interfaces import ImpossibleSettingError

UNIFORM = np.full(ACTIONS, 1 / ACTIONS)
STYLES = np.repeat(np.eye(3), 6, axis=1) / 6
# A reference that never gives the better half of the answers.
POOR = np.tile(np.r_[np.ones(3), np.zeros(3)], 3) / 9


def pure(action, prompts=40, samples=4):
    return answers(np.full((prompts, samples), action))


# --- round robin


def test_a_round_robin_is_symmetric_and_half_on_the_diagonal():
    policies = [drawn(seed, STYLES[seed % 3], 30, 5 + seed) for seed in range(4)]
    table = round_robin(policies, ORACLE)
    assert table.shape == (4, 4, 30)
    np.testing.assert_array_equal(table + np.swapaxes(table, 0, 1), 1)
    np.testing.assert_array_equal(np.diagonal(table), 0.5)
    assert ((table >= 0) & (table <= 1)).all() and table.std() > 0.05


def test_entries_are_the_means_over_pairs_of_other_numbers():
    """Answers of equal number may come from one random stream; a single pair has no other."""
    policies = [answers([[0, 5]]), answers([[7, 8, 9]]), answers([[17]])]
    table = round_robin(policies, ORACLE)[..., 0]
    asked = [(0, 8), (0, 9), (5, 7), (5, 9)]
    expected = np.mean([MATRIX[one, other] for one, other in asked])
    np.testing.assert_allclose(table[0, 1], expected, rtol=1e-14)
    np.testing.assert_allclose(table[2, 0], MATRIX[17, 5], rtol=1e-14)
    with pytest.raises(ImpossibleSettingError, match="evaluation_samples to at least 2"):
        round_robin([answers([[3]]), answers([[8]])], ORACLE)


def test_answers_from_one_stream_do_not_make_policies_look_alike():
    """Two policies that draw from equal uniforms, and an exact value away from 1/2."""
    law, tilted = UNIFORM, 0.5 * UNIFORM + 0.5 * np.eye(ACTIONS)[5]
    uniforms = np.random.default_rng(0).random((4000, 2))
    pick = [
        np.searchsorted(np.cumsum(each), uniforms).clip(max=ACTIONS - 1) for each in (law, tilted)
    ]
    values = round_robin([answers(each) for each in pick], ORACLE)[1, 0]
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - tilted @ MATRIX @ law) < 4 * error


def test_the_round_robin_is_unbiased_and_shows_the_cycle():
    full = np.eye(ACTIONS)[5::6]
    policies = [drawn(seed, 0.7 * full[seed] + 0.3 * UNIFORM, 3000, 3) for seed in range(3)]
    exact = [0.7 * one + 0.3 * UNIFORM for one in full]
    found = round_robin(policies, ORACLE)
    for row, column in ((0, 1), (1, 2), (2, 0)):
        values, truth = found[row, column], exact[row] @ MATRIX @ exact[column]
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - truth) < 4 * error
        assert truth - 0.5 > 8 * error


def test_two_draws_of_one_policy_are_even_in_expectation():
    policies = [drawn(seed, UNIFORM, 4000, 4) for seed in (0, 1)]
    values = round_robin(policies, ORACLE)[0, 1]
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(4000) < 0.01
    assert values.std() > 0.05


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ImpossibleSettingError, match="no policy"):
        round_robin([], ORACLE)
    with pytest.raises(UnusableAnswersError, match="answered 40 prompts and the other 30"):
        round_robin([pure(0), pure(1, prompts=30)], ORACLE)
    with pytest.raises(UnusableAnswersError, match="in the same order"):
        round_robin([pure(0), chosen_prompts(pure(1), np.arange(40)[::-1])], ORACLE)
    with pytest.raises(UnusableAnswersError, match=r"replies 2\.0 to a question about .*post 0"):
        round_robin([pure(0), pure(1)], MatrixOracle(np.full((18, 18), 2.0)))


# --- the pool


def test_the_best_responder_of_the_pool_is_found_and_is_never_the_policy_itself():
    """At full quality style 0 beats 1 beats 2 beats 0; the reference is poor."""
    policies = [pure(5), pure(11), pure(17)]
    found = pool_exploitability(policies, drawn(0, POOR, 40, 4), ORACLE)
    np.testing.assert_array_equal(found.chosen, [[2, 2], [0, 0], [1, 1]])
    expected = [MATRIX[17, 5], MATRIX[5, 11], MATRIX[11, 17]]
    np.testing.assert_allclose(found.values, np.array(expected)[:, None] - 0.5 + np.zeros(40))
    assert (found.values > 0).all()


def test_a_policy_that_beats_the_whole_pool_reads_below_zero():
    weak = pure(0)
    found = pool_exploitability([pure(5), weak], drawn(0, POOR, 40, 4), ORACLE)
    assert (found.values[0] < 0).all()
    # The weak policy's best opponent is the strong one.
    np.testing.assert_allclose(found.values[1], MATRIX[5, 0] - 0.5)


def test_the_targeted_best_of_the_reference_is_the_best_response_where_it_holds_every_answer():
    """A pure policy is the whole pool; the reference gave all 18 answers to every prompt."""
    reference = answers(np.tile(np.arange(ACTIONS), (40, 1)))
    for action in range(ACTIONS):
        found = pool_exploitability([pure(action)], reference, ORACLE)
        exact = games.exploitability(MATRIX, np.eye(ACTIONS)[action])
        np.testing.assert_allclose(found.values, exact, atol=1e-14)
        assert set(found.chosen.ravel()) <= {BEST_OF_REFERENCE, TARGETED_REFERENCE}
    # What beats the others of the reference most often is one answer, whatever the policy.
    best = (MATRIX.sum(axis=1) - 0.5).argmax()
    found = pool_exploitability([pure(best)], reference, ORACLE)
    assert (found.chosen == TARGETED_REFERENCE).all()


def test_the_bound_is_below_the_truth_and_not_biased_upward_at_an_equilibrium():
    """Five draws of the equilibrium, and the reference is the equilibrium too: truth 0.

    The naive best of the pool, chosen on the prompts that measure it, is above 0 there.
    """
    nash = games.nash_equilibrium(MATRIX)
    bounds, naive = [], []
    for trial in range(120):
        policies = [drawn(100 * trial + seed, nash, 24, 4) for seed in range(5)]
        reference = drawn(100 * trial + 50, nash, 24, 6)
        bounds.append(pool_exploitability(policies, reference, ORACLE).values[0].mean())
        table = round_robin([*policies, reference], ORACLE)[:, 0].mean(axis=-1)
        naive.append(np.sort(table[1:])[-1] - 0.5)
    error, naive_error = (np.std(x, ddof=1) / np.sqrt(120) for x in (bounds, naive))
    assert abs(np.mean(bounds)) < 3 * error < 0.003
    assert np.mean(naive) > 6 * naive_error


def test_the_bound_is_not_above_the_enumerated_truth():
    policies = [drawn(seed, style, 600, 8) for seed, style in enumerate(STYLES)]
    reference = drawn(9, UNIFORM, 600, 8)
    bound = pool_exploitability(policies, reference, ORACLE).values
    for policy, values, style in zip(policies, bound, STYLES, strict=True):
        truth = float(games.exploitability(MATRIX, style))
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert values.mean() < truth + 2 * error
        enumerated = OracleExploitability().score_samples(policy, reference, ORACLE)
        assert 0.05 < values.mean() < enumerated.mean() + 2 * error


def test_halves_follow_the_prompts():
    policies = [drawn(seed, style, 21, 4) for seed, style in enumerate(STYLES)]
    reference = drawn(9, UNIFORM, 21, 4)
    plain = pool_exploitability(policies, reference, ORACLE)
    order = np.random.default_rng(0).permutation(21)
    moved = pool_exploitability(
        [chosen_prompts(one, order) for one in policies], chosen_prompts(reference, order), ORACLE
    )
    np.testing.assert_array_equal(moved.half, plain.half[order])
    np.testing.assert_allclose(moved.values, plain.values[:, order], atol=1e-15)
    assert sorted(np.bincount(plain.half)) == [10, 11]
    assert (np.diff(halves(policies[0].prompts)) != 0).sum() > 3


def test_a_half_is_measured_with_what_the_other_half_chose():
    """Prompts of the two halves play different games: each half's own best is the other's worst."""

    policies = [pure(0, 20), pure(5, 20), pure(1, 20)]
    half = halves(policies[0].prompts)

    class ByHalf(MatrixOracle):
        def preference(self, prompts, first, second):
            sides = np.array([half[int(prompt.identifier.split()[1])] for prompt in prompts])
            own = super().preference(prompts, first, second)
            return np.where(sides == 0, own, 1 - own)

    found = pool_exploitability(policies, pure(0, 20), ByHalf(MATRIX))

    # Against policy 0, answer 5 is best in the first half; in the second it is the worst, and an
    # even game against the reference, which gives answer 0 as well, is the best.
    assert found.chosen[0, 1] == 1 and found.chosen[0, 0] in (BEST_OF_REFERENCE, TARGETED_REFERENCE)
    np.testing.assert_allclose(found.values[0, half == 1], 0.5 - MATRIX[5, 0])
    np.testing.assert_allclose(found.values[0, half == 0], 0, atol=1e-15)


def test_a_pool_needs_two_prompts_and_two_answers():
    with pytest.raises(ImpossibleSettingError, match="there is one prompt"):
        pool_exploitability([pure(0, 1)], pure(1, 1), ORACLE)
    for policy, reference in ((pure(0, samples=1), pure(1)), (pure(0), pure(1, samples=1))):
        with pytest.raises(ImpossibleSettingError, match="needs 2"):
            pool_exploitability([policy], reference, ORACLE)
