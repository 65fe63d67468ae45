"""Population minimisers of pair losses against a general-purpose optimiser, and their refusals."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CYCLE, random_game
from laboratory import bradley_terry_game
from scipy.optimize import minimize
from scipy.special import softmax

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.oracles.annotator_types import AnnotatorTypes
from nlhf_repro.regressions import logistic_utility, squared_utility
from nlhf_repro.updates import independent_wins


def random_law(seed, games=3, actions=5):
    rng = np.random.default_rng(seed)
    law = rng.random((games, actions, actions)) ** 3
    return law, rng.standard_normal((games, actions, actions))


def minimised(loss, actions):
    """The minimiser with mean 0; the loss is blind to constants."""
    found = minimize(
        lambda u: loss(u) + u.mean() ** 2,
        np.zeros(actions),
        method="BFGS",
        options={"gtol": 1e-9},
    )
    return found.x


def test_squared_utility_is_the_minimiser():
    law, target = random_law(0)
    found = squared_utility(law, target)
    for game in range(3):

        def loss(u, game=game):
            gap = u[:, None] - u[None, :]
            return (law[game] * (gap - target[game]) ** 2).sum()

        np.testing.assert_allclose(found[game], minimised(loss, 5), atol=1e-6)


@pytest.mark.parametrize("margin", [0.0, 1.3])
def test_logistic_utility_is_the_minimiser(margin):
    law, _ = random_law(1)
    found = logistic_utility(law, margin)
    for game in range(3):

        def loss(u, game=game):
            gap = u[:, None] - u[None, :]
            return (law[game] * np.logaddexp(0, margin - gap)).sum()

        np.testing.assert_allclose(found[game], minimised(loss, 5), atol=2e-6)


def test_squared_utility_of_independent_pairs_is_the_win_rate():
    """IPO, Proposition 6 of INPO: the regression of answers from pi is on P(y > pi)."""
    game = random_game(2, 3, 6)
    policy = np.exp(game.log_reference)
    wins = independent_wins(game, policy)
    rates = np.einsum("gij,gj->gi", game.preference_matrix, policy)
    expected = rates - rates.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(squared_utility(wins, 0.5), expected, atol=1e-13)


def test_rare_responses_keep_their_precision():
    """Weights of 1e-60 beside weights of 1 give the same utility as equal weights would."""
    scores = np.array([[0.3, -0.2, 0.9, 0.1]])
    matrix = 1 / (1 + np.exp(scores[:, None, :] - scores[:, :, None]))
    policy = np.array([[1.0, 1e-20, 1e-40, 1e-60]])
    wins = policy[..., :, None] * policy[..., None, :] * matrix
    expected = scores - scores.mean()
    np.testing.assert_allclose(logistic_utility(wins), expected, atol=1e-12)
    gaps = scores[:, :, None] - scores[:, None, :]
    np.testing.assert_allclose(squared_utility(wins, gaps), expected, atol=1e-13)


def test_logistic_utility_recovers_scores_and_solves_a_cycle_of_certain_answers():
    game = bradley_terry_game()
    sampler = softmax(np.random.default_rng(5).standard_normal((4, 6)), axis=-1)
    found = logistic_utility(independent_wins(game, sampler))
    expected = game.scores - game.scores.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    certain = np.array([[[0, 1, 0], [0, 0, 1], [1, 0, 0]]], dtype=float)
    np.testing.assert_allclose(logistic_utility(certain), 0, atol=1e-12)


def test_theorem_2_of_munos_the_fitted_reward_depends_on_the_sampler():
    best = []
    for favoured in range(3):
        policy = np.full(3, 0.01)
        policy[favoured] = 0.98
        law = policy[:, None] * policy[None, :] * CYCLE
        best.append(int(logistic_utility(law[None]).argmax()))
    assert best == [1, 2, 0]


@pytest.mark.parametrize(("share", "best"), [(-0.1, 1), (-0.01, 1), (0.01, 0), (0.1, 0), (0.3, 0)])
def test_the_jump_of_unregularized_rlhf(share, best):
    """Section 3.2 of Munos et al.: uniform pairs pick y1 for epsilon > 0 and y2 below."""
    matrix = AnnotatorTypes(1, share, "uniform").game(0).preference_matrix
    assert int(logistic_utility(matrix).argmax()) == best


def test_one_sided_wins_are_refused_in_words():
    law = np.triu(np.ones((1, 3, 3)), 1)
    with pytest.raises(ImpossibleSettingError, match="game 0 are one-sided.*infinity"):
        logistic_utility(law)
    chain = np.array([[[0, 1, 0], [1, 0, 1], [0, 0, 0]]], dtype=float)
    with pytest.raises(ImpossibleSettingError, match="response 0 to 2"):
        logistic_utility(chain)


@pytest.mark.parametrize("utility", [lambda law: squared_utility(law, 0.5), logistic_utility])
def test_unconnected_pairs_are_refused_in_words(utility):
    law = np.ones((2, 4, 4))
    law[1, :2, 2:] = law[1, 2:, :2] = 0
    with pytest.raises(ImpossibleSettingError, match="game 1 do not connect its responses 0 and 2"):
        utility(law)
