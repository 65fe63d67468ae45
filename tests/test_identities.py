"""Methods in other letters, both faces of what takes several phases, and fixed points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import cycle_game, random_game
from laboratory import algorithm, at, inpo, run, sppo, trained
from scipy.optimize import root
from scipy.special import log_softmax, softmax

from nlhf_repro import games

EXACT = 1e-14
UNEVEN = log_softmax(np.array([0.9, -0.6, -0.3]))


def same(one, other, game, updates=50, tolerance=EXACT):
    first, second = one.initial_state(game), other.initial_state(game)
    for _ in range(updates):
        first, second = one.exact_update(first, game), other.exact_update(second, game)
        np.testing.assert_allclose(first.policy, second.policy, atol=tolerance, rtol=0)
    assert np.abs(first.policy - np.exp(game.log_reference)).max() > 1e-2


def rates(game, log_policy):
    return np.einsum("gij,gj->gi", game.preference_matrix, softmax(log_policy, -1))


# --- Identities of exact updates ---


@pytest.mark.parametrize(("eta", "tau"), [(0.3, 0.1), (2.0, 0.5)])
def test_magnetic_mirror_descent_is_inpo(eta, tau):
    method = algorithm("mmd", proximal_step=eta, regularization=tau)
    same(method, inpo(eta / (1 + eta * tau), tau), random_game(61, 5, 6))


@pytest.mark.parametrize(("eta", "tau"), [(0.2, 0.1), (0.7, 0.5)])
def test_mirror_prox_is_extragradient(eta, tau):
    alpha = eta / (tau * (1 + eta))
    method = algorithm("nash_mp", proximal_step=eta, regularization=tau)
    other = algorithm("egpo", step_size=alpha, regularization=tau)
    same(method, other, random_game(61, 5, 6))


@pytest.mark.parametrize("period", [1, 3])
def test_mpo_is_comal_and_with_period_one_multiplicative_weights(period):
    game = random_game(62, 5, 6)
    comal = algorithm("comal", step_size=0.4 / 1.08, regularization=0.2, period=period)
    mpo = algorithm("mpo", proximal_step=0.4, regularization=0.2, period=period)
    same(mpo, comal, game)
    if period == 1:
        same(comal, algorithm("mwu", step_size=0.4 / 1.08), game, tolerance=1e-12)


def test_multiplicative_weights_are_sppos_and_written_out():
    game, weights = random_game(63, 5, 6), algorithm("mwu", step_size=0.4)
    same(weights, sppo(0.4), game)
    theta = game.log_reference
    for _ in range(5):
        theta = theta + 0.4 * rates(game, theta)
    np.testing.assert_allclose(run(weights, game, 5).policy, softmax(theta, -1), atol=EXACT)


def test_onpo_is_optimistic_multiplicative_weights_whose_first_step_is_double():
    game, alpha = random_game(64, 5, 6), 0.5
    method = algorithm("onpo", step_size=alpha)
    state, theta, previous = method.initial_state(game), game.log_reference, 0.0
    for _ in range(60):
        reward = rates(game, theta)
        theta, previous = theta + alpha * (2 * reward - previous), reward
        state = method.exact_update(state, game)
        np.testing.assert_allclose(state.policy, softmax(theta, -1), atol=1e-12)


def test_an_average_of_share_one_is_the_policy_itself():
    game = random_game(65, 4, 5)
    same(algorithm("nash_ema", averaging_share=1.0), algorithm("inpo"), game)
    same(algorithm("nash_ema_pg", averaging_share=1.0), algorithm("self_play"), game)
    slow = run(algorithm("nash_ema"), game, 50).policy
    assert np.abs(slow - run(algorithm("inpo"), game, 50).policy).max() > 1e-3


def test_the_average_policy_follows_its_recursion():
    game, alpha, tau, share = random_game(65, 4, 5), 0.5, 0.3, 0.25
    method = algorithm("nash_ema", step_size=alpha, regularization=tau, averaging_share=share)
    state, theta, average = method.initial_state(game), game.log_reference, game.log_reference
    for _ in range(6):
        theta = (1 - alpha * tau) * theta + alpha * tau * game.log_reference
        theta = theta + alpha * rates(game, average)
        average = (1 - share) * log_softmax(average, -1) + share * log_softmax(theta, -1)
        state = method.exact_update(state, game)
        np.testing.assert_allclose(state.policy, softmax(theta, -1), atol=EXACT)


def test_ipo_md_without_a_mixture_is_online_ipo_on_every_face():
    game = random_game(66, 4, 5)
    one, other = algorithm("ipo_md", mixture_weight=0.0), algorithm("online_ipo")
    same(one, other, game)
    for face in ("expected", "sampled"):
        paths = [trained(each, game, face=face, learning_rate=None).last for each in (one, other)]
        np.testing.assert_allclose(*paths, atol=1e-13, rtol=0)


def test_spo_is_unregularized_self_play_and_its_natural_gradient_multiplicative_weights():
    game, alpha = random_game(67, 1, 5), 0.3
    spo = algorithm("spo", step_size=alpha)
    same(spo, algorithm("self_play", step_size=alpha, regularization=0.0), game)
    theta = game.log_reference + np.array([0.4, -0.2, 0.9, 0.0, -0.7])
    policy = softmax(theta[0])
    moved = spo.exact_update(at(theta), game).log_policy - theta
    gradient = moved[0] / (alpha * 5)
    fisher = np.diag(policy) - np.outer(policy, policy)
    natural = softmax(theta[0] + alpha * np.linalg.pinv(fisher) @ gradient)
    weights = algorithm("mwu", step_size=alpha).exact_update(at(theta), game).policy[0]
    np.testing.assert_allclose(natural, weights, atol=1e-12)


# --- Proposition 5.1 of IPO-MD's paper, by enumeration ---


def gradients(game, logits, tau, weight):
    """IPO-MD's (autograd of every pair and answer), and E_policy[score (A - baseline)]'s."""
    matrix, ref = game.preference_matrix[0], game.log_reference[0]
    theta = torch.tensor(logits, requires_grad=True)
    policy, q = softmax(logits), softmax((1 - weight) * logits + weight * ref)
    log_ratio = torch.log_softmax(theta, -1) - torch.tensor(ref)
    gap, wins = log_ratio[:, None] - log_ratio[None, :], torch.tensor(matrix)
    squares = wins * (gap - 0.5 / tau) ** 2 + (1 - wins) * (gap + 0.5 / tau) ** 2
    (torch.tensor(np.outer(q, q)) * squares).sum().backward()
    value = matrix @ q - tau * (np.log(policy) - ref)

    def estimator(sampler, baseline):
        return -((sampler * (value - baseline)) @ (np.eye(5) - policy))

    nash_md_pg = estimator(policy, 0.5)
    return theta.grad.numpy(), estimator(q, q @ value), estimator(q, 0.5), nash_md_pg


def test_the_gradient_of_ipo_md_is_four_over_tau_times_that_of_nash_md_pg_under_the_mixture():
    """The factor is 4 / tau, not 2 / tau, and A's mean under the mixture belongs into it."""
    game, tau = random_game(68, 1, 5), 0.3
    away = game.log_reference[0] + np.array([0.4, -0.2, 0.9, 0.0, -0.7])
    found, centred, _, nash_md_pg = gradients(game, away, tau, 0.25)
    np.testing.assert_allclose(found, 4 / tau * centred, atol=1e-13)
    assert np.abs(found - 4 / tau * nash_md_pg).max() > 0.02, "another sampler, another gradient"
    found, _, _, nash_md_pg = gradients(game, away, tau, 0.0)
    np.testing.assert_allclose(found, 4 / tau * nash_md_pg, atol=1e-13)
    method = algorithm("ipo_md", regularization=tau, mixture_weight=0.25)
    found, _, uncentred, _ = gradients(game, declared(method, game)[0], tau, 0.25)
    assert np.abs(found).max() < 1e-11
    assert np.abs(4 / tau * uncentred).max() > 0.01, "without the mean the point is not fixed"


# --- Direct optimisation of the mirror-descent objective ---


def test_direct_omd_is_inpo_in_the_limit_of_inner_steps():
    game = random_game(69, 2, 4)
    changes = {"step_size": 0.5, "regularization": 0.4}
    same(algorithm("direct_omd", **changes), algorithm("inpo", **changes), game)
    exact = run(algorithm("inpo", **changes), game, 3).policy
    errors = []
    for inner in (25, 100, 400):
        method = algorithm("direct_omd", inner_steps=inner, **changes)
        found = trained(method, game, face="expected", iterations=3, learning_rate=0.5)
        errors.append(np.abs(np.exp(found.last[-1]) - exact).max())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-8
    with pytest.raises(ValueError, match=r"so set training\.learning_rate"):
        trained(algorithm("direct_omd"), game, learning_rate=None)


# --- Both faces ---

REGRESSIONS = [
    ("mwu", {}),
    ("mmd", {}),
    ("nash_mp", {"proximal_step": 0.6, "regularization": 0.5}),
    ("comal", {"period": 2, "regularization": 0.5}),
    ("mpo", {"period": 2, "regularization": 0.5}),
    ("onpo", {}),
    ("mnpo", {"players": 2}),
    ("mnpo", {"players": 3}),
    ("td_mnpo", {"history_weights": [0.5, 0.3, 0.2], "regularization": 0.5}),
]
STEPS = ["nash_ema", "nash_ema_pg", "self_play", "best_response", "ipo_md", "spo"]


@pytest.mark.parametrize(("name", "changes"), REGRESSIONS)
def test_solved_regressions_are_the_exact_iterates(name, changes):
    game, method = random_game(71, 2, 4), algorithm(name, gradient_steps=None, **changes)
    assert method.tie.kind == "minimiser"
    found = trained(method, game, face="expected", iterations=5).last
    exact = trained(method, game, face="exact", iterations=5).last
    np.testing.assert_allclose(np.exp(found), np.exp(exact), atol=3e-6, rtol=0)
    assert np.abs(np.exp(exact[1]) - np.exp(exact[0])).max() > 5e-3


@pytest.mark.parametrize("name", STEPS)
def test_gradient_steps_are_the_exact_iterates(name):
    game, method = random_game(72, 3, 4), algorithm(name)
    assert method.tie.kind == "gradient_step"
    found = trained(method, game, face="expected", iterations=10, learning_rate=None).last
    exact = trained(method, game, face="exact", iterations=10).last
    np.testing.assert_allclose(np.exp(found), np.exp(exact), atol=1e-13, rtol=0)


COSTS = {  # comparisons and responses of one group
    "mwu": (1, 2),
    "mmd": (1, 2),
    "nash_mp": (4, 6),
    "comal": (1, 2),
    "mpo": (1, 2),
    "onpo": (1, 2),
    "mnpo": (12, 12),
    "td_mnpo": (1, 2),
    "nash_ema": (2, 3),
    "nash_ema_pg": (1, 2),
    "self_play": (1, 2),
    "best_response": (1, 2),
    "ipo_md": (1, 2),
    "spo": (6, 4),
    "direct_omd": (60, 80),
}


@pytest.mark.parametrize("name", COSTS)
def test_sampled_training_follows_the_expected_one_and_counts_its_cost(name):
    """Many groups leave the sampled path within 0.01 of the expected one, which moves further."""
    game = cycle_game(UNEVEN)
    step = "proximal_step" if name in ("mmd", "mpo", "nash_mp") else "step_size"
    changes = {step: 0.2 if name == "nash_mp" else 1.0}
    rate, groups = None if name in STEPS else 0.1, 40_000
    if name == "direct_omd":
        changes, rate, groups = changes | {"opponents": 3}, 0.3, 5_000
    method = algorithm(name, **changes)
    options = {"iterations": 3, "learning_rate": rate, "groups_per_iteration": groups}
    expected = trained(method, game, face="expected", **options)
    sampled = trained(method, game, face="sampled", **options)
    np.testing.assert_allclose(np.exp(sampled.last), np.exp(expected.last), atol=0.01, rtol=0)
    assert np.abs(np.exp(expected.last[-1]) - np.exp(expected.last[0])).max() > 0.04
    comparisons, responses = COSTS[name]
    assert sampled.ledger.comparisons == 3 * groups * comparisons
    assert sampled.ledger.responses == 3 * groups * responses


# --- Fixed points, with all of the state at them ---


def declared(method, game):
    """The declared point as log-probabilities, by other means than the update."""
    ref, tau, matrix = game.log_reference, method.regularization, game.preference_matrix
    if method.fixed_point == "nash":
        return np.log(games.nash_equilibrium(matrix))
    if method.fixed_point == "regularized_nash":
        return np.log(games.regularized_nash_equilibrium(matrix, np.exp(ref), tau))
    if method.fixed_point == "best_response_to_reference":
        return log_softmax(ref + rates(game, ref) / tau, -1)
    assert method.fixed_point == "mixture_point"
    share = method.mixture_weight

    def residual(theta):
        mixture = softmax((1 - share) * theta + share * ref[0])
        return theta - log_softmax(ref[0] + matrix[0] @ mixture / tau)

    solution = root(residual, ref[0], tol=1e-14)
    assert np.abs(residual(solution.x)).max() < 1e-11
    return solution.x[None]


MIXTURES = [(name, w) for name in ("ipo_md", "nash_md_pg") for w in (0, 0.5, 1)]
POINTS = [(name, {}) for name in COSTS] + [(name, {"mixture_weight": w}) for name, w in MIXTURES]
POINTS += [(name, {"regularization": 0.0}) for name in ("td_mnpo", "direct_omd", "self_play")]


@pytest.mark.parametrize(("name", "changes"), POINTS)
def test_the_declared_fixed_point_is_fixed_with_all_of_the_state_at_it(name, changes):
    game, method = cycle_game(UNEVEN), algorithm(name, **changes)
    point = declared(method, game)
    for updates in (0, 7):
        state = method.initial_state(game)
        memory = dict.fromkeys(state.memory, point)
        state = replace(state, log_policy=point, policy=np.exp(point), updates=updates)
        moved = method.exact_update(replace(state, memory=memory), game)
        np.testing.assert_allclose(moved.policy, np.exp(point), atol=1e-10, rtol=0)
        for each in moved.memory.values():
            np.testing.assert_allclose(softmax(each, -1), np.exp(point), atol=1e-10, rtol=0)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_an_unregularized_mixture_has_no_declared_point(weight):
    method = algorithm("nash_md_pg", regularization=0.0, mixture_weight=weight)
    assert method.fixed_point == "none"
