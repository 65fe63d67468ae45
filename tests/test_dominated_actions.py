"""The games whose reference hardly plays the equilibrium's support, and what is measured there."""

from __future__ import annotations

import numpy as np
import pytest

from nlhf_repro import games
from nlhf_repro.benchmarks.action_probability import ActionProbability
from nlhf_repro.benchmarks.regularized_duality_gap import RegularizedDualityGap
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.oracles.dominated_actions import DominatedActions
from nlhf_repro.oracles.random_games import RandomGames


def drawn(**changes: object) -> DominatedActions:
    fields = {
        "games": 5, "actions": 6, "dominance": 0.2, "support_exponent": None,
        "reference": "normal_logits",
    }  # fmt: skip
    return DominatedActions(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_equilibrium_is_the_cycles_in_closed_form() -> None:
    game = drawn().game(0)
    cycle = game.preference_matrix[:, [1, 2, 0], [2, 0, 1]] - 0.5
    assert (cycle > 0.1).all() and (cycle < 0.4).all()
    expected = np.zeros((5, 6))
    expected[:, :3] = cycle / cycle.sum(axis=-1, keepdims=True)
    for matrix, policy in zip(game.preference_matrix, expected, strict=True):
        np.testing.assert_allclose(games.nash_equilibrium(matrix), policy, rtol=0, atol=1e-12)
        advantage = matrix @ policy - 0.5
        np.testing.assert_allclose(advantage[:3], 0, rtol=0, atol=1e-15)
        np.testing.assert_allclose(advantage[3:], -0.2, rtol=0, atol=1e-15)
    assert (game.preference_matrix[:, 3:, 3:] == 0.5).all()


@pytest.mark.parametrize("exponent", [0.01, 1.0, 20.0, 600.0])
def test_the_references_mass_on_the_cycle_is_what_was_asked(exponent: float) -> None:
    plain, moved = drawn().game(0), drawn(support_exponent=exponent).game(0)
    log_mass = np.logaddexp.reduce(moved.log_reference[:, :3], axis=-1)
    np.testing.assert_allclose(log_mass, -exponent, rtol=1e-13)
    np.testing.assert_allclose(np.exp(moved.log_reference).sum(-1), 1, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(moved.preference_matrix, plain.preference_matrix)
    for part in (slice(0, 3), slice(3, 6)):
        gap = moved.log_reference[:, part] - plain.log_reference[:, part]
        np.testing.assert_allclose(gap - gap[:, :1], 0, rtol=0, atol=1e-12 * max(1, exponent))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"actions": 3}, "leaves no action to dominate"),
        ({"dominance": 0.0}, "oracle.dominance = 0.0 must be in"),
        ({"support_exponent": -1.0}, "oracle.support_exponent = -1.0 must be in"),
    ],
)
def test_games_that_mean_nothing_are_refused(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=sentence):
        drawn(**changes)


def test_the_probability_of_an_action() -> None:
    game = drawn().game(0)
    policies = game.log_reference[None]
    found = ActionProbability(2).score(game, policies)
    np.testing.assert_array_equal(found, np.exp(game.log_reference[:, 2])[None])
    with pytest.raises(ImpossibleSettingError, match="is not among the 6 actions"):
        ActionProbability(6).score(game, policies)
    with pytest.raises(ImpossibleSettingError, match="count from 0"):
        ActionProbability(-1)


def test_flipped_answers_regularize_more() -> None:
    """The equilibrium of P' at tau is that of P at tau / (1 - 2 e)."""
    game = RandomGames(games=4, actions=6, reference="normal_logits").game(0)
    target = games.log_regularized_nash_equilibrium(
        game.preference_matrix, game.log_reference, 0.05 / (1 - 2 * 0.3)
    )[None]
    assert RegularizedDualityGap(0.05, 0.3).score(game, target).max() < 1e-25
    assert RegularizedDualityGap(0.05).score(game, target).min() > 1e-4
    flipped = Game(0.4 * game.preference_matrix + 0.3, game.log_reference)
    np.testing.assert_allclose(
        RegularizedDualityGap(0.05, 0.3).score(game, game.log_reference[None]),
        RegularizedDualityGap(0.05).score(flipped, game.log_reference[None]),
        rtol=1e-12,
    )
    plain = log_space.duality_gap(game.preference_matrix, game.log_reference)
    np.testing.assert_allclose(
        log_space.duality_gap(flipped.preference_matrix, game.log_reference), 0.4 * plain
    )
    with pytest.raises(ImpossibleSettingError, match="the answers say nothing"):
        RegularizedDualityGap(0.05, 0.5)
