"""RLHF: the oracle's reward is tied exactly, the fitted one is tested by what it should find."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_game
from laboratory import algorithm, bradley_terry_game, run, run_of, trained
from scipy.special import log_softmax, softmax

from nlhf_repro.interfaces import Collect, Responder
from nlhf_repro.oracles.annotator_types import AnnotatorTypes


def test_the_step_on_the_oracles_reward_is_the_expected_gradient():
    game = bradley_terry_game()
    method = algorithm("rlhf", reward="oracle")
    found = trained(method, game, face="expected", learning_rate=None, iterations=10)
    np.testing.assert_allclose(np.exp(found.last[-1]), run(method, game, 10).policy, atol=1e-13)
    theta, rate = game.log_reference, 0.3 * 6
    for _ in range(10):
        policy = softmax(theta, axis=-1)
        value = game.scores - 0.1 * (log_softmax(theta, axis=-1) - game.log_reference)
        theta = theta + rate * policy * (value - (policy * value).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(run(method, game, 10).policy, softmax(theta, axis=-1), atol=1e-13)


@pytest.mark.parametrize("regularization", [0.3, 0.0])
def test_the_step_on_a_converged_fit_is_the_exact_update(regularization):
    """The reward slot is solved to the solver's tolerance, so the path is that of the exact face."""
    game = random_game(91, 2, 4)
    method = algorithm("rlhf", regularization=regularization, reward_steps=None)
    found = trained(method, game, face="expected", learning_rate=None, iterations=20)
    exact = run(method, game, 20).policy
    np.testing.assert_allclose(np.exp(found.last[-1]), exact, atol=1e-6)
    assert np.abs(exact - np.exp(game.log_reference)).max() > 0.05


def test_the_reward_is_the_log_ratio_of_its_slot():
    game = bradley_terry_game()
    method = algorithm("rlhf", reward_steps=None)
    run_ = run_of(method, game, face="expected", learning_rate=None)
    run_.advance()
    slot = run_.tabular_policy.frozen_log_policy(run_.slots["reward"]).numpy()
    reward = slot - game.log_reference
    expected = game.scores - game.scores.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(reward - reward.mean(axis=-1, keepdims=True), expected, atol=1e-5)


def test_rlhf_on_other_preferences_ends_where_dpo_is():
    """The KL-regularized optimum of the reward fitted under the reference is DPO's minimiser."""
    game = random_game(92, 3, 4)
    found = run(algorithm("rlhf", regularization=0.5, step_size=1.0), game, 3000).policy
    np.testing.assert_allclose(found, run(algorithm("dpo"), game, 1).policy, atol=1e-9)


@pytest.mark.parametrize(("epsilon", "best"), [(-0.1, 1), (0.1, 0)])
def test_unregularized_rlhf_jumps_between_the_annotator_types_answers(epsilon, best):
    game = AnnotatorTypes(1, epsilon, "uniform").game(0)
    method = algorithm("rlhf", regularization=0.0, step_size=1.0)
    assert method.fixed_point == "none"
    assert run(method, game, 5000).policy[0, best] > 0.9


@pytest.mark.parametrize("labels", ["bernoulli", "probability"])
def test_the_fitted_reward_pays_once_and_the_oracles_for_every_response(labels):
    game = bradley_terry_game()
    found = trained(algorithm("rlhf", labels=labels), game, budget=7, iterations=5)
    ledger = found.ledger
    assert (ledger.comparisons, ledger.scores, ledger.responses) == (7, 0, 14 + 5 * 7)
    assert (ledger.bernoulli_answers, ledger.probability_answers) == (
        (7, 0) if labels == "bernoulli" else (0, 7)
    )
    assert ledger.gradient_steps == 100 + 5
    ledger = trained(algorithm("rlhf", reward="oracle"), game, iterations=5).ledger
    assert (ledger.comparisons, ledger.scores, ledger.responses) == (0, 35, 35)


def test_sampled_rlhf_approaches_the_bradley_terry_optimum():
    game = bradley_terry_game()
    method = algorithm("rlhf", regularization=1.0, labels="probability", reward_steps=3000)
    settings = {"groups_per_iteration": 3000, "iterations": 300, "learning_rate": None}
    found = np.exp(trained(method, game, record_points=5, **settings).last[-1])
    expected = softmax(game.log_reference + game.scores, axis=-1)
    start = np.abs(np.exp(game.log_reference) - expected).max()
    assert np.abs(found - expected).max() < 0.05 < start / 4


def test_labels_none_ask_nothing_and_fit_win_rates_only():
    game = random_game(93, 2, 4)
    collect = Collect("x", Responder({"current": 1.0}), 1, "win_rate", "none")
    for face in ("sampled", "expected"):
        run_ = run_of(algorithm("rlhf"), game, face=face)
        data = run_.collector.collect(collect, run_.slots)
        assert (data.value == 0).all()
        ledger = run_.count()
        assert ledger.comparisons == ledger.scores == ledger.preference_evaluations == 0
    assert ledger.bernoulli_answers == ledger.probability_answers == 0
