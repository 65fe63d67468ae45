"""The exact face of an algorithm: its policies, games apart, nothing hidden, its promises."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import numpy as np

from nlhf_repro.conformance.laboratory import (
    bradley_terry_game,
    circle,
    comal_cycle,
    exact_states,
    game_for,
    needs_scores,
    probabilities,
    random_game,
    some_of,
    with_face,
)
from nlhf_repro.conformance.outcomes import AdviceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Algorithm, Array, ExactState, Game

UPDATES = 5


def it_is_built_and_has_every_method(subject: Subject) -> None:
    """The class has what the protocol lists, and the node builds it."""
    built = subject.build()
    needed = [name for name in vars(Algorithm) if not name.startswith("_")]
    lacking = [name for name in needed if not hasattr(built, name)]
    require(
        not lacking,
        f"{type(built).__name__} lacks {', '.join(lacking)}, which every algorithm has: see "
        "nlhf_repro/interfaces/protocols.py.",
    )


def the_docstring_says_guarantee_and_departures(subject: Subject) -> None:
    """What is proven and what differs from the paper; advice for an algorithm of the user's."""
    text = inspect.getdoc(subject.kind) or ""
    lacking = [word for word in ("Guarantee", "Departures") if word not in text]
    sentence = (
        f"the docstring of {subject.kind.__name__} does not say its {' and '.join(lacking)}: add a "
        "paragraph, 'none known' where that is so."
    )
    if not subject.shipped and lacking:
        raise AdviceError(sentence)
    require(not lacking, sentence)


def exact_policies_are_finite_and_normalized(subject: Subject) -> None:
    """`policy` is the softmax of `log_policy`, and `updates` counts."""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    game = game_for(algorithm, 2, 4, 5)
    states = [algorithm.initial_state(game), *exact_states(algorithm, game, UPDATES)]
    for update, state in enumerate(states):
        shapes = {state.log_policy.shape, state.policy.shape, game.log_reference.shape}
        require(len(shapes) == 1, f"update {update} has policies of shapes {sorted(shapes)}.")
        finite = bool(np.isfinite(state.log_policy).all())
        require(finite, f"the policy after update {update} is not finite.")
        worst = float(np.abs(state.policy - probabilities(state)).max())
        require(
            worst < 1e-12,
            f"after update {update} policy and softmax(log_policy) differ by {worst:.1e}: "
            "exact_update has to return both of one policy.",
        )
        require(
            state.updates == update,
            f"after update {update} the state counts {state.updates} updates: add 1 to each.",
        )


def exact_updates_keep_games_apart(subject: Subject) -> None:
    """A game of a batch goes as it goes alone, to 1e-13."""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    game = game_for(algorithm, 2, 4, 5)
    together = _last(algorithm, game).policy
    for index in range(game.games):
        alone = _last(algorithm, some_of(game, [index])).policy
        worst = float(np.abs(alone[0] - together[index]).max())
        require(
            worst < 1e-13,
            f"game {index} of a batch ends {worst:.1e} away from where it ends alone: something in "
            "exact_update mixes the games.",
        )


def exact_updates_leave_their_arguments_alone_and_repeat(subject: Subject) -> None:
    """The same state and game give the same bytes, and neither is written to."""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    game = game_for(algorithm, 3, 3, 4)
    state = _last(algorithm, game)
    given = _arrays(state, game)
    before = [array.tobytes() for array in given]
    one, other = (_arrays(algorithm.exact_update(state, game), game) for _ in range(2))
    require(
        before == [array.tobytes() for array in given],
        "exact_update writes into the state or the game that it is given: copy first.",
    )
    require(
        [array.tobytes() for array in one] == [array.tobytes() for array in other],
        "two exact updates of the same state differ: exact_update may use nothing but its "
        "arguments.",
    )


def exact_updates_move_off_the_fixed_point(subject: Subject) -> None:
    """One update from the reference moves some probability by more than 1e-6."""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    game = game_for(algorithm, 5, 3, 4)
    start = algorithm.initial_state(game)
    moved = np.abs(algorithm.exact_update(start, game).policy - start.policy)
    if algorithm.tie.kind == "identity":
        require(bool((moved == 0).all()), "the tie is identity, but an exact update moves.")
        return
    still = np.argwhere(moved.max(axis=-1) <= 1e-6)
    require(
        still.size == 0,
        f"one exact update moves the reference policy of a random game by {moved.max():.1e} at "
        "most: is the step used?",
    )


def one_update_improves_on_the_reference(subject: Subject) -> None:
    """P(first update over reference) >= 1/2 where the docstring promises it, or play seeks a Nash.

    A method that seeks an equilibrium and yet loses at first says "Improvement: none" and why; a
    wrong sign in both faces is seen nowhere else.
    """
    text = inspect.getdoc(subject.kind) or ""
    algorithm: Algorithm = with_face(subject.build(), "exact")
    promised = re.search(r"^\s*Improvement:\s*(\w*)", text, re.MULTILINE)
    if promised and promised[1] == "none":
        raise NotApplicableError("the docstring says why the first update may lose")
    if not promised and algorithm.fixed_point not in ("nash", "regularized_nash"):
        raise NotApplicableError("the docstring promises no improvement")
    for game in _games(algorithm):
        reference = np.exp(game.log_reference)
        moved = next(exact_states(algorithm, game, 1)).policy
        wins = np.einsum("gi,gij,gj->g", moved, game.preference_matrix, reference)
        require(
            bool((wins >= 0.5 - 1e-12).all()),
            f"one exact update is preferred to the reference with probability {wins.min():.6g} in "
            f"a game of {game.actions} actions: is a sign wrong? Where that is as it should be, "
            "write a paragraph Improvement: none, and why.",
        )


def _games(algorithm: Algorithm) -> Iterator[Game]:
    scored = needs_scores(algorithm)
    for actions in (2, 3, 5, 10):
        yield (bradley_terry_game if scored else random_game)(6, 50, actions)
    if not scored:
        yield from (comal_cycle(50), circle(5, 0.4, 50))


def _last(algorithm: Algorithm, game: Game) -> ExactState:
    return list(exact_states(algorithm, game, UPDATES))[-1]


def _arrays(state: ExactState, game: Game) -> list[Array]:
    scores = [] if game.scores is None else [game.scores]
    given = [game.preference_matrix, game.log_reference, *scores]
    return [state.log_policy, state.policy, *state.memory.values(), *given]
