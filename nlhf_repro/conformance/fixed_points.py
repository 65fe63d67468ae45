"""The declared fixed point stays where it is; the points are found by other means than updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from scipy.optimize import root

from nlhf_repro.conformance.laboratory import (
    bradley_terry_game,
    circle,
    comal_cycle,
    game_for,
    needs_scores,
    probabilities,
    random_game,
    random_state,
    with_face,
)
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.variants import with_short_periods_too
from nlhf_repro.games import (
    log_regularized_nash_equilibrium,
    log_space,
    nash_equilibrium,
)
from nlhf_repro.interfaces import Algorithm, Array, ExactState, Game

TOLERANCE, UPDATES = 1e-10, 4
Point = tuple[Game, Array]


@with_short_periods_too
def the_declared_fixed_point_is_fixed(subject: Subject) -> None:
    """Four updates with all of the state at the declared point leave it there, to 1e-10."""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    declared: str = algorithm.fixed_point
    if declared == "none":
        raise NotApplicableError("no fixed point is declared")
    if declared == "population_minimiser":
        _is_one_point_from_everywhere(algorithm)
        return
    if declared not in POINTS:
        raise ConformanceError(
            f"the fixed point {declared} is none that can be checked: declare one of "
            f"{', '.join([*POINTS, 'population_minimiser', 'none'])}."
        )
    for game, log_policy in POINTS[declared](algorithm):
        _stays(algorithm, game, log_policy, declared)


def _stays(algorithm: Algorithm, game: Game, log_policy: Array, declared: str) -> None:
    state, expected = _at(algorithm, game, log_policy), np.exp(log_policy)
    for update in range(1, UPDATES + 1):
        state = algorithm.exact_update(state, game)
        worst = float(np.abs(probabilities(state) - expected).max())
        require(
            worst < TOLERANCE,
            f"the declared fixed point, {declared}, has moved by {worst:.1e} after {update} exact "
            "updates: is it another point, or does exact_update miss a term?",
        )


def _at(algorithm: Algorithm, game: Game, log_policy: Array) -> ExactState:
    """The first state with its policy and all that it remembers at the point."""
    state = random_state(algorithm, game, 0)
    memory = {name: log_policy.copy() for name in state.memory}
    return replace(state, log_policy=log_policy, policy=np.exp(log_policy), memory=memory)


def _is_one_point_from_everywhere(algorithm: Algorithm) -> None:
    game = game_for(algorithm, 1, 6, 5)
    first, state = algorithm.initial_state(game), algorithm.initial_state(game)
    other = game_for(algorithm, 7, 6, 5).log_reference
    elsewhere = replace(first, log_policy=other, policy=np.exp(other))
    reached = [algorithm.exact_update(start, game) for start in (state, elsewhere)]
    again = algorithm.exact_update(reached[0], game)
    for what, found in (("another start", reached[1]), ("a second update", again)):
        worst = float(np.abs(probabilities(found) - probabilities(reached[0])).max())
        require(
            worst < TOLERANCE,
            f"the declared fixed point, population_minimiser, does not depend on the policy, but "
            f"{what} ends {worst:.1e} away.",
        )


def _start(algorithm: Algorithm) -> Iterator[Point]:
    game = game_for(algorithm, 1, 6, 5)
    yield game, game.log_reference


def _nash(algorithm: Algorithm) -> Iterator[Point]:
    """Equilibria of full support: where an action is missing, more points are fixed."""
    if needs_scores(algorithm):
        raise ConformanceError("a Nash equilibrium of a Bradley-Terry game has no full support.")
    for game in (comal_cycle(3), circle(5, 0.3, 3)):
        yield game, np.log(nash_equilibrium(game.preference_matrix))


def _regularized_nash(algorithm: Algorithm) -> Iterator[Point]:
    for game in (game_for(algorithm, 1, 6, 5), game_for(algorithm, 8, 3, 3)):
        yield (
            game,
            log_regularized_nash_equilibrium(
                game.preference_matrix, game.log_reference, algorithm.regularization
            ),
        )


def _best_response_to_reference(algorithm: Algorithm) -> Iterator[Point]:
    game = game_for(algorithm, 1, 6, 5)
    rates = (game.preference_matrix @ np.exp(game.log_reference)[..., None])[..., 0]
    yield game, log_space.log_normalize(game.log_reference + rates / algorithm.regularization)


def _bradley_terry_optimum(algorithm: Algorithm) -> Iterator[Point]:
    game = bradley_terry_game(1, 6, 5)
    assert game.scores is not None
    tilted = game.log_reference + game.scores / algorithm.regularization
    yield game, log_space.log_normalize(tilted)


def _mixture_point(algorithm: Algorithm) -> Iterator[Point]:
    """Log pi = log ref + P mixture / tau + const, by a general root finder, game by game."""
    share_of = getattr(algorithm, "mixture_share", None)
    if share_of is None:
        raise ConformanceError(
            "an algorithm whose fixed point is mixture_point needs a method mixture_share(update), "
            "the reference's share of the mixture."
        )
    share, tau = share_of(0), algorithm.regularization
    game = random_game(1, 6, 5)
    points = []
    for matrix, log_reference in zip(game.preference_matrix, game.log_reference, strict=True):

        def residual(
            theta: Array, matrix: Array = matrix, log_reference: Array = log_reference
        ) -> Array:
            mixture = np.exp(log_space.log_normalize((1 - share) * theta + share * log_reference))
            return theta - log_space.log_normalize(log_reference + matrix @ mixture / tau)

        solution = root(residual, log_reference, tol=1e-14)
        worst = np.abs(residual(solution.x)).max()
        require(bool(worst < 1e-11), f"the mixture point was not found: residual {worst:.1e}.")
        points.append(solution.x)
    yield game, log_space.log_normalize(np.stack(points))


POINTS: dict[str, Callable[[Algorithm], Iterator[Point]]] = {
    "start": _start,
    "nash": _nash,
    "regularized_nash": _regularized_nash,
    "best_response_to_reference": _best_response_to_reference,
    "bradley_terry_optimum": _bradley_terry_optimum,
    "mixture_point": _mixture_point,
}
