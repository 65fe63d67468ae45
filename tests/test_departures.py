"""How far practical recipes are from the updates of their theory: the docstrings' numbers."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_game
from laboratory import algorithm, run, run_of, trained
from scipy.special import softmax
from scipy.stats import multinomial

from nlhf_repro.regressions import logistic_utility


def distance(one, other):
    """Total variation, the largest over games."""
    return 0.5 * np.abs(one - other).sum(axis=-1).max()


SELECTED = [
    ("best_worst", 4, "bernoulli", 0.0083),
    ("best_worst", 4, "probability", 0.0102),
    ("tournament", 8, "bernoulli", 0.0131),
    ("tournament", 8, "probability", 0.0116),
]


@pytest.mark.parametrize(("design", "responses", "labels", "measured"), SELECTED)
def test_how_far_inpo_on_selected_pairs_is_from_equation_5(design, responses, labels, measured):
    """The docstring's numbers; the best and the worst of two drawn answers are Eq. 5 itself."""
    game = random_game(61, 1, 5)
    method = algorithm("inpo", design=design, responses=responses, labels=labels)
    assert (method.fixed_point, method.tie.kind) == ("none", "minimiser")
    equation_5 = run(algorithm("inpo"), game, 1).policy
    found = distance(run(method, game, 1).policy, equation_5)
    assert found == pytest.approx(measured, abs=5e-5)
    pair = algorithm("inpo", design="best_worst", responses=2)
    assert distance(run(pair, game, 1).policy, equation_5) < 1e-15


@pytest.mark.parametrize(("design", "responses", "labels", "measured"), SELECTED)
def test_selected_pairs_are_tied_through_several_iterations(design, responses, labels, measured):
    game = random_game(62, 2, 4)
    changes = {"design": design, "responses": responses, "labels": labels, "gradient_steps": None}
    method = algorithm("inpo", **changes)
    found = trained(method, game, face="expected", iterations=3)
    exact = run(method, game, 3).policy
    np.testing.assert_allclose(np.exp(found.last[-1]), exact, atol=3e-6)


DNO = [(1, 1.30e-3), (4, 4.49e-4), (16, 1.23e-4)]


def drawn_win_rates(game, policy, opponents):
    """E sigmoid(r^ - r'^) for every pair of a one-game batch, K shared opponents, hard answers."""
    matrix = game.preference_matrix[0]
    ahead = np.einsum("io,jo,o->ij", matrix, 1 - matrix, policy)
    outcomes = [(a, b) for a in range(opponents + 1) for b in range(opponents + 1 - a)]
    target = np.zeros_like(matrix)
    for wins, losses in outcomes:
        counts = [wins, losses, opponents - wins - losses]
        shares = np.stack([ahead, ahead.T, np.maximum(1 - ahead - ahead.T, 0)], axis=-1)
        chance = multinomial.pmf(counts, opponents, shares / shares.sum(-1, keepdims=True))
        target += chance / (1 + np.exp(-(wins - losses) / opponents))
    return target


@pytest.mark.parametrize(("opponents", "measured"), DNO)
def test_how_far_dno_with_drawn_win_rates_is_from_its_limit(opponents, measured):
    """Both responses of a pair meet the same K opponents; the answers are Bernoulli."""
    game, step = random_game(61, 1, 5), 0.3
    policy = np.exp(game.log_reference[0])
    target = drawn_win_rates(game, policy, opponents)
    utility = logistic_utility((policy[:, None] * policy[None, :] * target)[None])
    found = softmax(game.log_reference + step * utility, axis=-1)
    limit = run(algorithm("dno"), game, 1).policy
    assert distance(found, limit) == pytest.approx(measured, rel=0.02)


def test_the_sampled_targets_of_dno_are_those_enumerated():
    game = random_game(63, 1, 3)
    run_ = run_of(algorithm("dno", opponents=3), game, groups_per_iteration=400_000)
    data = run_.collector.collect(next(run_.algorithm.phases(0)), run_.slots)
    target = drawn_win_rates(game, np.exp(game.log_reference[0]), 3)
    for first in range(3):
        for second in range(3):
            chosen = (data.first[0] == first) & (data.second[0] == second)
            values = data.margin[0][chosen].sigmoid()
            error = values.std() / np.sqrt(len(values))
            assert abs(values.mean() - target[first, second]) < 5 * error
