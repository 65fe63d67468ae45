"""Faces without a tie move the same way at least."""

from __future__ import annotations

from dataclasses import replace

from nlhf_repro.conformance import transplants
from nlhf_repro.conformance.laboratory import (
    game_for,
    random_state,
    settings_for,
    softmax_of,
    started,
    with_face,
)
from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import (
    Advance,
    Algorithm,
    Array,
    ExactState,
    Fit,
    Game,
    ImpossibleSettingError,
    Phase,
)
from nlhf_repro.pipeline.sampled import SampledRun

GAMES, ACTIONS, LATER = 20, 4, 99


def an_untied_fit_moves_as_the_exact_update(subject: Subject) -> None:
    """The first descent on the way to `current` ascends the exact move, in every random game.

    That is the inner product of the negative expected gradient in the logits with the exact change
    of the log-policy, from the reference, and from a random policy where a state says all of the
    run's. Fits of other policies before it, such as a reward, are solved first. A convex loss
    passes wherever its minimiser is the exact update: it descends towards it from everywhere.
    """
    algorithm: Algorithm = subject.build()
    if algorithm.tie.kind != "none":
        raise NotApplicableError(f"the tie is {algorithm.tie.kind}, which says more")
    with_face(with_face(algorithm, "exact"), "sampled")
    game = game_for(algorithm, 34, GAMES, ACTIONS)
    try:
        run = started(algorithm, game, settings_for(algorithm, face="expected"))
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"the expectation cannot be enumerated: {error}") from error
    _moves_alike(algorithm, game, run, algorithm.initial_state(game))
    later = random_state(algorithm, game, 0, LATER)
    if transplants.says_all(algorithm, later, LATER):
        transplants.put(run, later)
        _moves_alike(algorithm, game, run, later)


def _moves_alike(algorithm: Algorithm, game: Game, run: SampledRun, state: ExactState) -> None:
    phases = list(algorithm.phases(state.updates))
    place = _first_fit_of_current(phases)
    descent = _descent(run, phases, place)
    moved = algorithm.exact_update(state, game).log_policy - state.log_policy
    products = (descent * moved).sum(axis=-1)
    wrong = int((products <= 0).sum())
    require(
        wrong == 0,
        f"in {wrong} of {game.games} random games the first fit of iteration {state.updates} "
        "descends away from the exact update: is a sign of the loss or of its labels wrong?",
    )


def _first_fit_of_current(phases: list[Phase]) -> int:
    """The place of the earliest fit whose result trains on until it is `current`."""
    first: dict[str, int] = {}  # by policy, the earliest fit on its way
    for place, phase in enumerate(phases):
        if isinstance(phase, Fit):
            first[phase.produces] = first.get(phase.start, place)
        elif isinstance(phase, Advance):
            found = [first[name] for name in _sources(phase) if name in first]
            first.pop(phase.target, None)
            first |= {phase.target: min(found)} if found else {}
    if "current" not in first:
        raise NotApplicableError("the first iteration does not train the current policy")
    return first["current"]


def _sources(phase: Advance) -> tuple[str, ...]:
    return (phase.source,) if phase.share == 1.0 else (phase.source, phase.target)


def _descent(run: SampledRun, phases: list[Phase], place: int) -> Array:
    """Minus the expected gradient of the fit in this place, where it starts: [games, actions]."""
    fit = phases[place]
    assert isinstance(fit, Fit)
    for phase in phases[:place]:
        run.perform(replace(phase, gradient_steps=None) if isinstance(phase, Fit) else phase)
    softmax_of(run).load(run.slots[fit.start])
    return -transplants.gradient(run, fit)
