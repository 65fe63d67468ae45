"""Equilibria against goldens (the cycle of arXiv:2410.23223), closed forms and other solvers."""

from __future__ import annotations

import nashpy
import numpy as np
import pytest

from nlhf_repro import games
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Array

CYCLE = np.array([[0.5, 0.1, 0.8], [0.9, 0.5, 0.1], [0.2, 0.9, 0.5]])
UNIFORM = np.full(3, 1 / 3)
# regularization: equilibrium with a uniform reference, duality gap of the equilibrium, regularized
# duality gap of the uniform policy, KL(equilibrium || uniform)
GOLDEN = {
    1.0: (
        [0.324035374408, 0.330622037984, 0.345342587608],
        7.0076405743e-2,
        7.406722e-4,
        3.5574e-4,
    ),
    0.1: (
        [0.337135850066, 0.283464109099, 0.379400040835],
        2.4489777240e-2,
        7.339901e-3,
        6.99929e-3,
    ),
    0.01: (
        [0.360962045802, 0.272857752279, 0.366180201919],
        1.7089743417e-3,
        4.5420030e-2,
        8.53386e-3,
    ),
}


def random_games(count: int, actions: int, seed: int = 0) -> Array:
    return games.complete_preferences(np.random.default_rng(seed).random((count, actions, actions)))


def random_policies(*shape: int, scale: float = 1.0, seed: int = 1) -> Array:
    logits = scale * np.random.default_rng(seed).standard_normal(shape)
    return np.exp(log_space.log_normalize(logits))


def test_linear_program_golden() -> None:
    np.testing.assert_allclose(
        games.nash_equilibrium(CYCLE), [4 / 11, 3 / 11, 4 / 11], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("regularization", GOLDEN)
def test_regularized_equilibrium_golden(regularization: float) -> None:
    expected, gap, uniform_gap, divergence = GOLDEN[regularization]
    found = games.regularized_nash_equilibrium(CYCLE, UNIFORM, regularization)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(games.duality_gap(CYCLE, found), gap, rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        games.regularized_duality_gap(CYCLE, UNIFORM, UNIFORM, regularization),
        uniform_gap,
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        games.kl_to_equilibrium(found, UNIFORM), divergence, rtol=0, atol=5e-9
    )


def test_gap_of_uniform_policy_golden() -> None:
    np.testing.assert_allclose(games.duality_gap(CYCLE, UNIFORM), 1 / 15, rtol=0, atol=1e-15)
    np.testing.assert_allclose(games.exploitability(CYCLE, UNIFORM), 1 / 30, rtol=0, atol=1e-15)


def test_two_actions_closed_form() -> None:
    """IPO (arXiv:2310.12036), y1 always preferred: pi(y1) = sigmoid(1 / (2 tau))."""
    for regularization, expected in ((0.1, 0.993307), (0.5, 0.731059), (1.0, 0.622459)):
        found = games.regularized_nash_equilibrium(
            [[0.5, 1.0], [0.0, 0.5]], [0.5, 0.5], regularization
        )
        assert abs(found[0] - 1 / (1 + np.exp(-0.5 / regularization))) < 1e-14
        assert abs(found[0] - expected) < 1e-6


def test_condorcet_winner_takes_all() -> None:
    matrix = games.complete_preferences(np.array([[0, 0, 0], [0.7, 0, 0], [0.4, 0.2, 0]]))
    np.testing.assert_array_equal(games.nash_equilibrium(matrix), [0.0, 1.0, 0.0])


def test_equilibrium_of_a_huge_regularization() -> None:
    """For a huge tau the equilibrium is reference x exp(P reference / tau), to O(1/tau^2)."""
    matrix, reference = random_games(1, 5)[0], random_policies(5)
    first_order = reference * np.exp(matrix @ reference / 1e4)
    found = games.regularized_nash_equilibrium(matrix, reference, 1e4)
    np.testing.assert_allclose(found, first_order / first_order.sum(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("actions", [2, 3, 5, 10, 30, 100])
def test_linear_program_gap(actions: int) -> None:
    count = 3 if actions == 100 else 10
    for matrix in (random_games(count, actions), np.round(random_games(count, actions, 3))):
        complete = games.complete_preferences(matrix)
        gaps = games.duality_gap(complete, games.nash_equilibrium(complete))
        assert gaps.max() <= 1e-14


def test_linear_program_of_nearly_tied_games() -> None:
    """A program solved to an absolute tolerance would accept any policy here."""
    matrix = 0.5 + 1e-8 * (random_games(10, 30) - 0.5)
    matrix = games.complete_preferences(matrix)
    gaps = games.duality_gap(matrix, games.nash_equilibrium(matrix))
    assert gaps.max() <= 1e-15


@pytest.mark.parametrize("actions", [3, 5, 10])
def test_linear_program_against_nashpy(actions: int) -> None:
    for matrix in random_games(5, actions, seed=actions):
        row, _ = nashpy.Game(matrix - 0.5).linear_program()
        np.testing.assert_allclose(games.nash_equilibrium(matrix), row, rtol=0, atol=1e-9)


@pytest.mark.parametrize("regularization", [10.0, 1.0, 0.1, 0.01, 1e-3])
@pytest.mark.parametrize("actions", [2, 3, 10, 100])
def test_newton_residual(actions: int, regularization: float) -> None:
    count = 3 if actions == 100 else 20
    matrix = random_games(count, actions, seed=actions)
    for scale in (0.0, 1.0, 10.0, 300.0):
        noise = np.random.default_rng(2).standard_normal((count, actions))
        log_reference = log_space.log_normalize(scale * noise)
        found = games.log_regularized_nash_equilibrium(matrix, log_reference, regularization)
        gap = log_space.regularized_duality_gap(matrix, found, log_reference, regularization)
        assert gap.max() <= 1e-20
        fixed = log_reference + (matrix @ np.exp(found)[..., None])[..., 0] / regularization
        difference = found - log_space.log_normalize(fixed)
        assert np.abs(difference).max() <= 1e-10


def test_newton_on_games_of_certainty() -> None:
    matrix = games.complete_preferences(np.round(random_games(20, 10)))
    reference = np.full((20, 10), 0.1)
    found = games.regularized_nash_equilibrium(matrix, reference, 1e-3)
    assert games.regularized_duality_gap(matrix, found, reference, 1e-3).max() <= 1e-20


def test_regularized_equilibrium_tends_to_the_linear_program() -> None:
    limit = games.nash_equilibrium(CYCLE)
    distances = [
        np.abs(games.regularized_nash_equilibrium(CYCLE, UNIFORM, tau) - limit).max()
        for tau in (1e-2, 1e-3, 1e-4)
    ]
    ratios = np.divide(distances[:-1], distances[1:])
    np.testing.assert_allclose(ratios, 10, rtol=0.05)


def test_unreachable_regularization_is_refused_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nlhf_repro.games.equilibria._NEWTON_STEPS", 0)
    with pytest.raises(games.EquilibriumError, match=r"gap of .* at regularization = 0\.01"):
        games.regularized_nash_equilibrium(random_games(1, 10)[0], random_policies(10), 0.01)


# --- invariances


def test_equilibrium_of_permuted_actions() -> None:
    matrix, reference = random_games(1, 6)[0], random_policies(6)
    order = np.array([3, 1, 5, 0, 2, 4])
    found = games.regularized_nash_equilibrium(matrix, reference, 0.05)
    permuted = games.regularized_nash_equilibrium(
        matrix[np.ix_(order, order)], reference[order], 0.05
    )
    np.testing.assert_allclose(permuted, found[order], rtol=0, atol=1e-13)


@pytest.mark.parametrize("flip_rate", [0.05, 0.1, 0.3])
def test_flips_change_the_target(flip_rate: float) -> None:
    """(1 - 2e) P + e has the equilibrium of P, and at tau that of P at tau / (1 - 2e)."""
    matrix, reference = random_games(4, 6), random_policies(4, 6)
    flipped = (1 - 2 * flip_rate) * matrix + flip_rate
    np.testing.assert_allclose(
        games.regularized_nash_equilibrium(flipped, reference, 0.1),
        games.regularized_nash_equilibrium(matrix, reference, 0.1 / (1 - 2 * flip_rate)),
        rtol=0,
        atol=1e-13,
    )
    np.testing.assert_allclose(
        games.nash_equilibrium(flipped), games.nash_equilibrium(matrix), rtol=0, atol=1e-12
    )


def test_single_and_batch_agree_to_the_bit() -> None:
    matrix, reference, policy = (
        random_games(4, 7),
        random_policies(4, 7),
        random_policies(4, 7, seed=5),
    )
    both = (
        (games.preference, (matrix, policy, reference), ()),
        (games.best_response, (matrix, policy), ()),
        (games.regularized_best_response, (matrix, policy, reference), (0.1,)),
        (games.nash_equilibrium, (matrix,), ()),
        (games.regularized_nash_equilibrium, (matrix, reference), (0.02,)),
        (games.duality_gap, (matrix, policy), ()),
        (games.exploitability, (matrix, policy), ()),
        (games.regularized_duality_gap, (matrix, policy, reference), (0.1,)),
        (games.regularized_exploitability, (matrix, policy, reference), (0.1,)),
        (games.kl_to_equilibrium, (reference, policy), ()),
        (games.cycle_share, (matrix,), ()),
    )
    for function, arrays, rest in both:
        batch = function(*arrays, *rest)
        for index in range(4):
            single = function(*(array[index] for array in arrays), *rest)
            np.testing.assert_array_equal(batch[index], single, err_msg=function.__name__)
            assert single.shape == batch.shape[1:]


def test_trajectories_broadcast() -> None:
    matrix, reference = random_games(4, 7), random_policies(4, 7)
    points = random_policies(5, 4, 7, seed=9)
    gaps = games.regularized_duality_gap(matrix, points, reference, 0.3)
    assert gaps.shape == (5, 4)
    for index, policy in enumerate(points):
        np.testing.assert_array_equal(
            gaps[index], games.regularized_duality_gap(matrix, policy, reference, 0.3)
        )
