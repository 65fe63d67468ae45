"""Several players, players of the past, moving references and optimism: goldens and rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import CYCLE, cycle_game, random_game
from laboratory import algorithm, run, trained
from scipy.special import log_softmax, softmax, xlogy

from nlhf_repro import games
from nlhf_repro.interfaces import ImpossibleSettingError

UNEVEN = log_softmax(np.array([0.9, -0.6, -0.3]))


def players(state):
    return [softmax(each, -1) for each in (state.log_policy, *state.memory.values())]


def rates(game, log_policy):
    return np.einsum("gij,gj->gi", game.preference_matrix, softmax(log_policy, -1))


# --- MNPO ---


@pytest.mark.parametrize("count", [2, 3, 4])
def test_identical_players_stay_identical_and_are_multiplicative_weights(count):
    game, method = random_game(51, 4, 5), algorithm("mnpo", players=count)
    state, weights = method.initial_state(game), algorithm("mwu")
    expected = weights.initial_state(game)
    for _ in range(30):
        state = method.exact_update(state, game)
        expected = weights.exact_update(expected, game)
        for policy in players(state):
            np.testing.assert_allclose(policy, expected.policy, atol=1e-12, rtol=0)


def test_two_players_exchange_their_places():
    game, alpha = random_game(52, 3, 4), 0.2
    method = algorithm("mnpo", players=2, start_spread=0.8, step_size=alpha)
    state = method.initial_state(game)
    first, second = 0.6 * game.log_reference, 1.4 * game.log_reference
    for _ in range(5):
        np.testing.assert_allclose(state.policy, softmax(first, -1), atol=1e-14)
        np.testing.assert_allclose(players(state)[1], softmax(second, -1), atol=1e-14)
        first, second = (
            second + alpha * rates(game, second),
            first + alpha * rates(game, first),
        )
        state = method.exact_update(state, game)
    without_play = replace(game, preference_matrix=np.full((3, 4, 4), 0.5))
    moved = run(method, without_play, 1)
    start = method.initial_state(without_play)
    np.testing.assert_allclose(moved.policy, players(start)[1], atol=1e-15)
    np.testing.assert_allclose(players(moved)[1], start.policy, atol=1e-15)


def test_three_players_move_as_written_and_merge_to_three_digits_in_ten_steps():
    game = cycle_game(UNEVEN)
    method = algorithm("mnpo", players=3, start_spread=1.0, step_size=0.1)
    state = method.initial_state(game)
    start = players(state)
    for scale, policy in zip((0.0, 1.0, 2.0), start, strict=True):
        np.testing.assert_allclose(policy, softmax(scale * game.log_reference, -1), atol=1e-15)
    moved = players(method.exact_update(state, game))
    for index in range(3):
        others = [start[other] for other in range(3) if other != index]
        mean = sum(np.log(each) + 0.1 * each @ CYCLE.T for each in others) / 2
        np.testing.assert_allclose(moved[index], softmax(mean, -1), atol=1e-15)
    final = players(run(method, game, 10))
    spread = max(np.abs(one - other).max() for one in final for other in final)
    assert np.abs(start[0] - start[2]).max() > 0.3
    assert spread < 1e-3


@pytest.mark.parametrize("count", [3, 4])
def test_differences_of_players_shrink_by_one_over_the_number_of_others(count):
    still = replace(random_game(58, 2, 4), preference_matrix=np.full((2, 4, 4), 0.5))
    method = algorithm("mnpo", players=count, start_spread=0.5)
    state = method.initial_state(still)
    for _ in range(3):
        before, state = np.log(players(state)), method.exact_update(state, still)
        after = np.log(players(state))
        shrunk = -(before[0] - before[-1]) / (count - 1)
        np.testing.assert_allclose(
            log_softmax(after[0] - after[-1], -1), log_softmax(shrunk, -1), atol=1e-13
        )


def test_different_starts_are_refused_where_policies_are_trained():
    for face in ("sampled", "expected"):
        with pytest.raises(ImpossibleSettingError, match=r"to 0 or training\.face=exact"):
            trained(algorithm("mnpo", start_spread=0.5), random_game(53, 1, 3), face=face)


# --- TD-MNPO ---


def test_with_one_weight_td_mnpo_is_inpo_to_the_bit_on_every_face():
    game = random_game(54, 3, 4)
    one = algorithm("td_mnpo", history_weights=[2.5])
    other = algorithm("inpo")
    for changes in (
        {"face": "exact"},
        {"face": "expected", "learning_rate": 0.1},
        {"face": "sampled", "learning_rate": 0.1, "optimizer": "adam", "minibatch_size": 3},
    ):
        found = [trained(method, game, iterations=5, **changes).last for method in (one, other)]
        assert found[0].tobytes() == found[1].tobytes()
    padded = run(algorithm("td_mnpo", history_weights=[1.0, 0.0]), game, 9).policy
    np.testing.assert_allclose(padded, run(other, game, 9).policy, atol=1e-15)


def test_td_mnpo_normalizes_over_the_policies_that_exist():
    game, alpha, tau = random_game(55, 3, 4), 0.5, 0.4
    weights = [0.6, 0.3, 0.3]
    method = algorithm("td_mnpo", step_size=alpha, regularization=tau, history_weights=weights)
    ref, state = game.log_reference, method.initial_state(game)
    path = [ref]
    for shares in ([1.0], [2 / 3, 1 / 3], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]):
        past = path[::-1][: len(shares)]
        centre = sum(share * each for share, each in zip(shares, past, strict=True))
        path.append((1 - alpha * tau) * centre + alpha * tau * ref + alpha * rates(game, path[-1]))
        state = method.exact_update(state, game)
        np.testing.assert_allclose(state.policy, softmax(path[-1], -1), atol=1e-14)


# --- Rates on random games ---


def kl_to_nash(method, game, updates):
    """KL(pi*, pi_t) to the regularized Nash for t = 0..updates, [updates + 1, games]."""
    tau, reference = method.regularization, np.exp(game.log_reference)
    nash = games.regularized_nash_equilibrium(game.preference_matrix, reference, tau)
    state, values = method.initial_state(game), []
    for _ in range(updates + 1):
        values.append((nash * (np.log(nash) - log_softmax(state.log_policy, -1))).sum(-1))
        state = method.exact_update(state, game)
    return np.array(values)


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.5])
@pytest.mark.parametrize(("name", "factor"), [("nash_mp", 2), ("mmd", 1), ("mmd", 4)])
def test_proximal_steps_contract_at_their_rates(name, factor, tau):
    """Nash-MP: (1 + 2 tau)^-k at eta = 2 tau; MMD: (1 + eta a)^-t at eta = a and 4 a, a = tau."""
    game, eta = random_game(59, 10, 10), factor * tau
    kl = kl_to_nash(algorithm(name, proximal_step=eta, regularization=tau), game, 200)
    rate = 1 + eta if name == "nash_mp" else 1 + eta * tau
    bound = kl[0] * rate ** -np.arange(201.0)[:, None]
    assert (kl <= bound + 1e-14).all()
    assert (kl[1] > 0.4 * bound[1]).any(), "a bound far above would not tell rates apart"


def test_a_period_of_comal_contracts_as_its_theorem_says():
    for tau, alpha in ((0.1, 0.1), (0.1, 0.3), (0.05, 0.1)):
        method = algorithm("comal", regularization=tau, step_size=alpha, period=10_000)
        kl = kl_to_nash(method, random_game(57, 6, 10), 300)
        assert (kl <= kl[0] * (1 - alpha * tau / 2) ** np.arange(301)[:, None] + 1e-14).all()


# --- Moving references and optimism on the cycle ---


def gap_after(method, game, updates):
    return float(games.duality_gap(CYCLE, run(method, game, updates).policy[0]))


STARTS = [None, UNEVEN]


@pytest.mark.parametrize("start", STARTS, ids=["uniform", "uneven"])
def test_comal_reaches_the_equilibrium_of_the_cycle_as_expected(start):
    game = cycle_game(start)
    often = algorithm("comal", period=50)
    assert gap_after(often, game, 1000) < 1e-6
    assert gap_after(often, game, 5000) < 1e-14
    seldom = algorithm("comal", period=200)
    assert gap_after(seldom, game, 1000) < 1.2e-2
    assert gap_after(seldom, game, 5000) < 1e-9
    assert gap_after(seldom, game, 20_000) < 1e-13


def test_comal_with_larger_steps_is_exact_after_24000_updates():
    game = cycle_game(UNEVEN)
    method = algorithm("comal", regularization=0.2, step_size=1.0, period=60)
    state = run(method, game, 24_000)
    assert games.duality_gap(CYCLE, state.policy[0]) < 1e-13
    np.testing.assert_allclose(state.policy[0], np.array([4, 3, 4]) / 11, atol=1e-13)


def test_where_inpo_stops_comal_goes_on():
    stopped = gap_after(algorithm("inpo"), cycle_game(), 5000)
    assert stopped == pytest.approx(2.4489777240e-2, abs=1e-11)


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_the_divergence_of_comals_references_never_rises(tau):
    """Lemma 4, with periods that solve their regularized games."""
    for game in (cycle_game(UNEVEN), random_game(56, 6, 5)):
        nash = games.nash_equilibrium(game.preference_matrix)
        method = algorithm("comal", regularization=tau, step_size=0.3, period=400)
        state, values = method.initial_state(game), []
        for _ in range(8):
            log_policy = log_softmax(state.log_policy, -1)
            values.append((xlogy(nash, nash) - nash * log_policy).sum(-1))
            state = run(method, game, 400, state)
        assert (np.diff(values, axis=0) <= 1e-12).all()
        assert (values[0] - values[-1] > 1e-3).all()


@pytest.mark.parametrize("start", STARTS, ids=["uniform", "uneven"])
def test_onpo_reaches_the_equilibrium_of_the_cycle_as_expected(start):
    game = cycle_game(start)
    slow, fast = algorithm("onpo", step_size=0.3), algorithm("onpo", step_size=1.0)
    assert gap_after(slow, game, 5000) < 1e-4
    assert gap_after(slow, game, 20_000) < 1e-14
    assert gap_after(fast, game, 1000) < 1e-9


def test_onpo_converges_linearly_at_a_step_of_its_theorem():
    game, nash = cycle_game(UNEVEN), np.array([4, 3, 4]) / 11
    method = algorithm("onpo", step_size=0.125)
    state, values = method.initial_state(game), []
    for _ in range(12):
        values.append((nash * (np.log(nash) - log_softmax(state.log_policy[0]))).sum())
        state = run(method, game, 2000, state)
    drops = -np.diff(np.log(values))
    assert values[-1] < 1e-6 * values[0]
    assert (drops > 0.5).all()
    assert drops[3:].std() < 0.05 * drops[3:].mean(), "a straight line on a log scale"
