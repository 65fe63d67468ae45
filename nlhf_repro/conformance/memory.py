"""What an exact state remembers is used, and no rest off the declared point hides in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nlhf_repro.conformance.fixed_points import POINTS
from nlhf_repro.conformance.laboratory import game_for, random_state, with_face
from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.variants import shortened
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Algorithm, Array, ExactState, Game

UPDATES, ALIKE = 60, 1e-9
LONG_RUN, WINDOW, STILL, NEAR, RARE = 2000, 8, 1e-13, 1e-6, 1e-3
ANYWHERE = ("start", "none")  # points that no game determines


def what_is_remembered_moves_and_matters(subject: Subject) -> None:
    """Every array of memory changes, or changes the policies; with a declared point, it changes.

    Sixty updates from random policies, with short periods. A point that a game determines is
    no fixed point of an algorithm whose policies depend on what it never changes.
    """
    algorithm: Algorithm = with_face((shortened(subject) or subject).build(), "exact")
    game = game_for(algorithm, 33, 2, 4)
    start = random_state(algorithm, game, 0)
    _require_memory(start)
    states = list(_states(algorithm, game, start, UPDATES))
    for name, array in start.memory.items():
        other = random_state(algorithm, game, 1).memory[name]
        changed = replace(start, memory={**start.memory, name: other})
        moves = any(_apart(state.memory[name], array) > ALIKE for state in states)
        pairs = zip(states, _states(algorithm, game, changed, UPDATES), strict=True)
        matters = any(_apart(one.log_policy, another.log_policy) > ALIKE for one, another in pairs)
        where = f"memory[{name!r}] stays as it is for {UPDATES} exact updates"
        require(moves or matters, f"{where}, and no policy depends on it: leave it out.")
        require(
            moves or algorithm.fixed_point in ANYWHERE,
            f"{where}, and the policies depend on it, so that {algorithm.fixed_point} cannot be "
            "where they end: does exact_update forget to move it?",
        )


def where_updates_rest_is_the_declared_point(subject: Subject) -> None:
    """From other policies and another memory, a run that comes to rest is at the point.

    It starts at random policies, and with the policy at the point and the memory elsewhere. A run
    that does not rest within 2000 updates, or rests without full support, promises nothing. Periods
    are short, so that no run rests in the middle of one.
    """
    algorithm: Algorithm = with_face((shortened(subject) or subject).build(), "exact")
    declared: str = algorithm.fixed_point
    if declared in ANYWHERE or declared not in POINTS:
        raise NotApplicableError("no fixed point is declared that a game determines")
    for game, log_policy in POINTS[declared](algorithm):
        start = random_state(algorithm, game, 0)
        _require_memory(start)
        at_point = replace(start, log_policy=log_policy, policy=np.exp(log_policy))
        for what, state in (("random policies", start), ("another memory", at_point)):
            found = _rest(algorithm, game, state)
            if found is None:
                continue
            off = {name: _apart(array, log_policy) for name, array in _arrays(found).items()}
            worst = max(off, key=lambda name: off[name])
            require(
                off[worst] < NEAR,
                f"from {what}, exact updates end at rest with {worst} {off[worst]:.1e} away from "
                f"the declared fixed point, {declared}: something that ought to move does not.",
            )


def _rest(algorithm: Algorithm, game: Game, state: ExactState) -> ExactState | None:
    """The state from which all of it stays for some updates; None where there is none."""
    for _ in range(LONG_RUN // WINDOW):
        before = _arrays(state)
        window = list(_states(algorithm, game, state, WINDOW))
        state = window[-1]
        moves = (_apart(_arrays(each)[name], before[name]) for each in window for name in before)
        if max(moves) < STILL:
            return state if min(np.exp(x).min() for x in before.values()) > RARE else None
    return None


def _states(
    algorithm: Algorithm, game: Game, state: ExactState, updates: int
) -> Iterator[ExactState]:
    for _ in range(updates):
        state = algorithm.exact_update(state, game)
        yield state


def _arrays(state: ExactState) -> dict[str, Array]:
    named = {"the policy": state.log_policy}
    named |= {f"memory[{name!r}]": array for name, array in state.memory.items()}
    return {name: log_space.log_normalize(array) for name, array in named.items()}


def _apart(one: Array, other: Array) -> float:
    """Largest difference of the probabilities."""
    ours, theirs = (np.exp(log_space.log_normalize(array)) for array in (one, other))
    return float(np.abs(ours - theirs).max())


def _require_memory(state: ExactState) -> None:
    if not state.memory:
        raise NotApplicableError("an exact state remembers nothing")
