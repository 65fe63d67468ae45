"""Settings besides the given ones that a check tries: long periods made short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import wraps

import numpy as np

from nlhf_repro.conformance.laboratory import exact_states, game_for
from nlhf_repro.conformance.outcomes import Check, ConformanceError, NotApplicableError
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Algorithm, Collect, ExactState, Fit, ImpossibleSettingError, Phase

LONG, SHORT, ITERATIONS = 4, 2, 6


def with_short_periods_too(check: Check) -> Check:
    """The check, on the given settings and then on those of `shortened`, where there are any."""

    @wraps(check)
    def both(subject: Subject) -> None:
        check(subject)
        short = shortened(subject)
        if short is None:
            return
        try:
            check(short)
        except NotApplicableError:
            return
        except ConformanceError as error:
            own, given = short.arguments, subject.arguments
            changed = ", ".join(
                f"{subject.key}.{name} = {own[name]}" for name in own if own[name] != given[name]
            )
            raise ConformanceError(f"with {changed}: {error}") from error

    return both


def shortened(subject: Subject) -> Subject | None:
    """The subject with every integer field of 4 and more at 2, so that periods end soon.

    Fields whose class refuses 2 stay, and fields that change nothing else than the number of
    responses, opponents or gradient steps. None where all stay.
    """
    own = subject.build()
    short = subject
    for name in subject.integer_fields():
        value = subject.arguments.get(name)
        if type(value) is not int or value < LONG:
            continue
        alone = replace(subject, node={**subject.node, name: SHORT})
        together = replace(short, node={**short.node, name: SHORT})
        if _is_built(together) and not (_is_built(alone) and _does_the_same(own, alone.build())):
            short = together
    return None if short is subject else short


def _is_built(subject: Subject) -> bool:
    try:
        algorithm: Algorithm = subject.build()
        _states(algorithm)
        list(_rhythm(algorithm))
    except ImpossibleSettingError:
        return False
    return True


def _does_the_same(one: Algorithm, other: Algorithm) -> bool:
    pairs = zip(_states(one), _states(other), strict=True)
    if any(not np.array_equal(a.log_policy, b.log_policy) for a, b in pairs):
        return False
    return list(_rhythm(one)) == list(_rhythm(other))


def _states(algorithm: Algorithm) -> list[ExactState]:
    """Of the first updates; none where the settings have no exact face."""
    game = game_for(algorithm, 32, 1, 3)
    try:
        return list(exact_states(algorithm, game, ITERATIONS))
    except ImpossibleSettingError:
        return []


def _rhythm(algorithm: Algorithm) -> Iterator[list[Phase] | str]:
    """The phases of the first iterations, whatever the amount of their data and their steps."""
    for iteration in range(ITERATIONS):
        try:
            yield [_bare(phase) for phase in algorithm.phases(iteration)]
        except ImpossibleSettingError as error:
            yield str(error)


def _bare(phase: Phase) -> Phase:
    if isinstance(phase, Collect):
        return replace(phase, responses=0, opponents=0)
    return replace(phase, gradient_steps=None) if isinstance(phase, Fit) else phase
