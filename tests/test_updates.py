"""Exact updates: one step by hand, identities, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import cycle_game, random_game
from laboratory import algorithm, at, bradley_terry_game, inpo, run, sppo
from scipy.special import log_softmax, logsumexp, softmax

from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.iterative_dpo import IterativeDPO
from nlhf_repro.algorithms.nash_md import NashMD
from nlhf_repro.algorithms.nash_md_pg import NashMDPG
from nlhf_repro.algorithms.online_ipo import OnlineIPO
from nlhf_repro.interfaces import ImpossibleSettingError


def test_one_inpo_step_by_hand():
    game = random_game(7, 1, 3)
    theta = np.array([[0.2, -0.4, 0.1]])
    pi, ref, win = softmax(theta), np.exp(game.log_reference), 0.0
    win = pi @ game.preference_matrix[0].T
    eta, tau = 2.0, 0.6
    expected = np.exp(win / eta) * ref ** (tau / eta) * pi ** (1 - tau / eta)
    moved = inpo(1 / eta, tau).exact_update(at(theta), game).policy
    np.testing.assert_allclose(moved, expected / expected.sum(), atol=1e-15)


def test_one_egpo_step_by_hand():
    game = random_game(8, 1, 3)
    theta, alpha, tau = np.array([[0.3, 0.0, -0.7]]), 0.5, 0.2
    matrix, ref = game.preference_matrix[0], game.log_reference
    half = (1 - alpha * tau) * theta + alpha * tau * ref + alpha * softmax(theta) @ matrix.T
    full = (1 - alpha * tau) * theta + alpha * tau * ref + alpha * softmax(half) @ matrix.T
    moved = EGPO(alpha, tau, "probability", 1).exact_update(at(theta), game).policy
    np.testing.assert_allclose(moved, softmax(full), atol=1e-15)


def test_on_policy_ipo_and_nash_md_pg_steps_are_the_gradients_of_their_losses():
    game = random_game(9, 1, 4)
    theta, tau, rate = np.array([0.3, 0.0, -0.7, 0.5]), 0.3, 0.01
    matrix, ref = game.preference_matrix[0], game.log_reference[0]
    frozen = softmax(theta)

    def ipo(values):
        ratio = values - ref
        target = (matrix - 0.5) / tau
        return frozen @ ((ratio[:, None] - ratio[None, :] - target) ** 2) @ frozen

    def gradient(loss, h=1e-6):
        return np.array([(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(4)])

    alpha = 4 * rate / (tau * 4)
    moved = OnlineIPO(alpha, tau, "on_policy", "probability", 2, "unfiltered", 1).exact_update(
        at(theta[None]), game
    )
    np.testing.assert_allclose(
        moved.policy[0], softmax(theta - rate * gradient(ipo)), atol=1e-10, rtol=0
    )
    mixture = softmax(0.875 * theta + 0.125 * ref)
    value = matrix @ mixture - tau * (log_softmax(theta) - ref)
    expected = theta + rate * (frozen * (value - frozen @ value))
    moved = NashMDPG(rate / 4, tau, 0.125, 0.5, "probability", 1).exact_update(
        at(theta[None]), game
    )
    np.testing.assert_allclose(moved.policy[0], softmax(expected), atol=1e-15)


def test_uniform_online_ipo_and_inpo_are_the_same_exact_update():
    game = random_game(4, 5, 6)
    one = run(OnlineIPO(0.4, 0.2, "uniform", "probability", 2, "unfiltered", 1), game, 50).policy
    np.testing.assert_allclose(one, run(inpo(0.4, 0.2), game, 50).policy, atol=1e-14)


def test_inpo_without_regularization_is_multiplicative_weights():
    game = random_game(4, 5, 6)
    one = run(inpo(0.4, 0.0), game, 50).policy
    np.testing.assert_allclose(one, run(sppo(0.4), game, 50).policy, atol=1e-14)


def test_nash_md_with_no_mixture_is_inpo():
    game = random_game(4, 5, 6)
    one = run(NashMD(0.4, 0.2, 0.0, "probability", 1), game, 50).policy
    np.testing.assert_allclose(one, run(inpo(0.4, 0.2), game, 50).policy, atol=1e-14)


@pytest.mark.parametrize(
    ("step", "low", "high"), [(0.1, 1e-9, 1e-6), (1, 1e-6, 1e-3), (5, 1e-3, 5e-2)]
)
def test_the_constant_one_half_departs_from_the_normalizer_as_the_step_grows(step, low, high):
    game = cycle_game(log_softmax(np.array([0.5, -0.5, 0.2])))
    exact = run(sppo(step), game, 1).policy
    half = run(sppo(step, "half"), game, 1).policy
    assert low < np.abs(exact - half).max() < high


@pytest.mark.parametrize("step", [0.1, 1.0, 5.0, 100.0, 1000.0])
def test_the_half_normalized_update_is_the_constrained_minimiser(step):
    """Stationarity of E[(r - c)^2] with E[exp r] = 1: c - r is proportional to exp r."""
    game = random_game(6, 3, 5)
    start = game.log_reference
    state = run(sppo(step, "half"), game, 1)
    ratio = log_softmax(state.log_policy, axis=-1) - start
    target = step * (np.einsum("gij,gj->gi", game.preference_matrix, np.exp(start)) - 0.5)
    np.testing.assert_allclose(logsumexp(ratio + start, axis=-1), 0, atol=1e-12)
    slack, top = target - ratio, ratio.argmax(axis=-1)[:, None]
    proportional = np.exp(ratio - np.take_along_axis(ratio, top, -1))
    expected = np.take_along_axis(slack, top, -1) * proportional
    np.testing.assert_allclose(slack, expected, atol=1e-13 * max(step, 1), rtol=0)
    assert (np.diff(np.take_along_axis(ratio, target.argsort(axis=-1), -1), axis=-1) > 0).all()


def test_self_comparison_shrinks_the_step():
    game = random_game(6, 3, 5)
    shrunk = run(sppo(0.5, responses=5, self_comparison=True), game, 3).policy
    np.testing.assert_allclose(shrunk, run(sppo(0.4), game, 3).policy, atol=1e-14)
    frozen = run(sppo(0.5, responses=1, self_comparison=True), game, 3).policy
    np.testing.assert_allclose(frozen, np.exp(game.log_reference), atol=1e-15)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("inpo", {"step_size": 20.0}, "exceeds 1"),
        ("inpo", {"step_size": "harmonic", "regularization": 0.0}, "divides by"),
        ("inpo", {"design": "best_worst", "responses": 1}, "algorithm.responses = 1"),
        ("inpo", {"design": "tournament"}, "takes 8"),
        ("egpo", {"regularization": 0.0}, "must be positive"),
        ("nash_md", {"regularization": 0.0}, "must be positive"),
        ("nash_md", {"mixture_weight": 1.5}, "outside"),
        ("online_ipo", {"regularization": 0.0}, "must be positive"),
        ("iterative_dpo", {"regularization": 0.0}, "must be"),
        ("iterative_dpo", {"labels": "score"}, "design to best_worst"),
        ("sppo", {"responses": 0}, "at least 1"),
        ("sppo", {"regularization": 0.1}, "no meaning"),
        ("sppo", {"step_size": 0.0}, "must be positive"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(name, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        algorithm(name, **changes)
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, ImpossibleSettingError)
    assert "\n" not in str(cause)


def test_the_iterative_dpo_optimum_does_not_depend_on_where_it_starts():
    game = bradley_terry_game()
    method = IterativeDPO(0.5, 2, "unfiltered", "probability", "reference", None)
    other = at(np.random.default_rng(1).standard_normal((4, 6)))
    one = method.exact_update(other, game).policy
    np.testing.assert_allclose(one, run(method, game, 1).policy, atol=1e-11)
