"""Exact updates: declared fixed points, one step by hand, identities, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import cycle_game, random_game
from laboratory import ALGORITHMS, algorithm, at, bradley_terry_game, inpo, run, sppo
from scipy.optimize import root
from scipy.special import log_softmax, logsumexp, softmax

from nlhf_repro import games
from nlhf_repro.algorithms.egpo import EGPO
from nlhf_repro.algorithms.iterative_dpo import IterativeDPO
from nlhf_repro.algorithms.nash_md import NashMD
from nlhf_repro.algorithms.nash_md_pg import NashMDPG
from nlhf_repro.algorithms.online_ipo import OnlineIPO
from nlhf_repro.interfaces import Game, ImpossibleSettingError


def full_support_games():
    odd = np.full((5, 5), 0.5)
    for i in range(5):
        odd[i, [(i + 1) % 5, (i + 2) % 5]] = 0.8
        odd[[(i + 1) % 5, (i + 2) % 5], i] = 0.2
    return [cycle_game(), Game(odd[None], log_softmax(np.arange(5.0))[None])]


def mixture_point(method, game):
    """pi = softmax(log ref + P mixture / tau), solved by a general root finder for every game."""
    share, tau = method.mixture_share(0), method.regularization
    points = []
    for matrix, log_reference in zip(game.preference_matrix, game.log_reference, strict=True):

        def residual(theta, matrix=matrix, log_reference=log_reference):
            mixture = softmax((1 - share) * theta + share * log_reference)
            return theta - log_softmax(log_reference + matrix @ mixture / tau)

        solution = root(residual, log_reference, tol=1e-14)
        assert np.abs(residual(solution.x)).max() < 1e-11
        points.append(solution.x)
    return np.stack(points)


def declared_points(method):
    """(game, log-policy) at the fixed point that the algorithm declares, found by other means."""
    kind = method.fixed_point
    if kind == "regularized_nash":
        game = random_game(1, 6, 5)
        policy = games.regularized_nash_equilibrium(
            game.preference_matrix, np.exp(game.log_reference), method.regularization
        )
        yield game, np.log(policy)
    elif kind == "nash":
        for game in full_support_games():
            yield game, np.log(games.nash_equilibrium(game.preference_matrix))
    elif kind == "mixture_point":
        game = random_game(1, 6, 5)
        yield game, mixture_point(method, game)
    elif kind == "bradley_terry_optimum":
        game = bradley_terry_game()
        yield game, game.log_reference + game.scores / method.regularization
    elif kind == "best_response_to_reference":
        game = random_game(1, 6, 5)
        rates = np.einsum("gij,gj->gi", game.preference_matrix, np.exp(game.log_reference))
        yield game, game.log_reference + rates / method.regularization
    elif kind == "population_minimiser":
        game = random_game(1, 6, 5)
        yield game, method.exact_update(at(np.zeros((6, 5))), game).log_policy
    elif kind == "start":
        game = random_game(1, 6, 5)
        yield game, game.log_reference


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_declared_fixed_point_is_fixed(name):
    method = algorithm(name)
    points = list(declared_points(method))
    assert points or method.fixed_point == "none", (
        f"{name} declares {method.fixed_point}, for which there is no test"
    )
    for game, log_policy in points:
        moved = method.exact_update(at(log_policy), game).policy
        np.testing.assert_allclose(moved, softmax(log_policy, axis=-1), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_update_off_the_fixed_point_moves(name):
    game = random_game(5, 3, 4)
    method = algorithm(name)
    moved = method.exact_update(method.initial_state(game), game).policy
    if method.tie.kind == "identity":
        np.testing.assert_array_equal(moved, softmax(game.log_reference, axis=-1))
    else:
        assert np.abs(moved - np.exp(game.log_reference)).max() > 1e-3


@pytest.mark.parametrize("name", ALGORITHMS)
def test_games_do_not_influence_each_other(name):
    game, method = random_game(2, 4, 5), algorithm(name)
    together = run(method, game, 5).policy
    for index in range(4):
        alone = Game(game.preference_matrix[[index]], game.log_reference[[index]])
        np.testing.assert_allclose(run(method, alone, 5).policy[0], together[index], atol=1e-13)


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
