"""Benchmarks of policies on games."""

from __future__ import annotations

import numpy as np

from nlhf_repro.conformance.laboratory import bradley_terry_game, comal_cycle, some_of
from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.games import log_regularized_nash_equilibrium, log_space, nash_equilibrium
from nlhf_repro.interfaces import Array, Benchmark, Game
from nlhf_repro.seeds import generator_for

POINTS, GAMES, ACTIONS = 4, 3, 6
GAME = bradley_terry_game(40, GAMES, ACTIONS)


def scores_have_a_shape_and_a_floor(subject: Subject) -> None:
    """[points, games], finite; the floor is at least 0, and what is given is not written to."""
    benchmark: Benchmark = subject.build()
    require(benchmark.floor >= 0, f"the floor is {benchmark.floor}: it is at least 0.")
    policies = _policies()
    before = policies.tobytes()
    scores = np.asarray(benchmark.score(GAME, policies))
    require(
        scores.shape == (POINTS, GAMES),
        f"{POINTS} points of {GAMES} games are scored with the shape {scores.shape}: return "
        "[points, games].",
    )
    require(bool(np.isfinite(scores).all()), "a score of a policy of full support is not finite.")
    require(before == policies.tobytes(), "score writes into the policies that it is given.")


def games_and_points_are_scored_apart(subject: Subject) -> None:
    """A game, and a point, has the same score alone."""
    benchmark: Benchmark = subject.build()
    policies = _policies()
    together = benchmark.score(GAME, policies)
    for index in range(GAMES):
        alone = benchmark.score(some_of(GAME, [index]), policies[:, [index]])
        off = float(np.abs(alone[:, 0] - together[:, index]).max())
        require(off < 1e-13, f"game {index} scores {off:.1e} differently alone: games are mixed.")
    for point in range(POINTS):
        off = float(np.abs(benchmark.score(GAME, policies[[point]])[0] - together[point]).max())
        require(off < 1e-13, f"point {point} scores {off:.1e} differently alone: points are mixed.")


def a_gap_is_zero_at_an_equilibrium_alone(subject: Subject) -> None:
    """A benchmark with a floor above 0 is a gap: under it at an equilibrium, over it elsewhere."""
    benchmark: Benchmark = subject.build()
    if benchmark.floor == 0:
        raise NotApplicableError("its floor is 0, so that it is no gap")
    game = comal_cycle(3)
    value = float(benchmark.score(game, _equilibrium(benchmark, game)[None]).max())
    require(
        value <= benchmark.floor,
        f"at an equilibrium the score is {value:.1e}, above its floor of {benchmark.floor:g}: set "
        "floor = 0 if it is no gap.",
    )
    lowest = float(benchmark.score(GAME, _policies()).min())
    require(
        lowest > benchmark.floor, f"a random policy scores {lowest:.1e}, at or below the floor."
    )


def the_order_of_actions_changes_nothing(subject: Subject) -> None:
    """The score of a policy is the same whatever its actions are called.

    A benchmark with a setting `action` is about the action of that name.
    """
    benchmark: Benchmark = subject.build()
    if "action" in subject.arguments:
        raise NotApplicableError("it scores an action that its settings name")
    order = generator_for("conformance", "order").permutation(ACTIONS)
    assert GAME.scores is not None
    renamed = Game(
        GAME.preference_matrix[:, order][:, :, order],
        GAME.log_reference[:, order],
        GAME.scores[:, order],
    )
    policies = _policies()
    first, second = benchmark.score(GAME, policies), benchmark.score(renamed, policies[..., order])
    off = float(np.abs(first - second).max())
    require(
        off < 1e-12, f"with its actions in another order a policy scores {off:.1e} differently."
    )


def _policies() -> Array:
    logits = generator_for("conformance", "policies").standard_normal((POINTS, GAMES, ACTIONS))
    return log_space.log_normalize(logits)


def _equilibrium(benchmark: Benchmark, game: Game) -> Array:
    regularization = getattr(benchmark, "regularization", 0.0)
    if not regularization:
        return np.log(nash_equilibrium(game.preference_matrix))
    return log_regularized_nash_equilibrium(
        game.preference_matrix, game.log_reference, regularization
    )
