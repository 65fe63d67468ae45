"""Wrappers of oracles that read text: sound answers, and everything else passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.text_oracles import (
    HOSTILE,
    POSTS,
    RESPONSES,
    material,
    require_swaps,
)
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Occasion,
    OracleCost,
    Prompt,
    TextOracle,
    asked_on,
    cost_of,
    oracle_at,
)
from nlhf_repro.oracles.annotators import AnnotatorGroups
from nlhf_repro.seeds import generator_for

ROUNDING = 1e-12
COST = OracleCost(ordered_passes=2, scores=3, paid_calls=5, bernoulli=True)


@final
@dataclass(frozen=True)
class ProbeOracle:
    """Drifts from .3 to .7 for every pair, costs what nothing else costs, and notes its occasions.

    `towards` is the answer's distance from 1/2 for the alphabetically first response.
    """

    towards: float = 0.2
    occasions: list[Occasion] = field(default_factory=list)

    @property
    def cost(self) -> OracleCost:
        """Unlike that of any oracle."""
        return COST

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """1/2 +- `towards`, [items]."""
        signs = [(one < other) - (one > other) for one, other in zip(first, second, strict=True)]
        return 0.5 + self.towards * np.array(signs, dtype=np.float64)

    def preference_on(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        occasion: Occasion,
    ) -> Array:
        """The answers of the time, [items]."""
        self.occasions.append(occasion)
        return self.at(occasion.progress).preference(prompts, first, second)

    def at(self, progress: float) -> ProbeOracle:
        """The oracle at a share of the iterations."""
        return ProbeOracle(0.4 * progress - 0.2, self.occasions)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused."""
        raise ImpossibleSettingError("The probe has no scores: ask it for preferences.")


def wrapped_texts_have_probabilities(subject: Subject) -> None:
    """P in [0, 1], [items], 1 - P for exchanged responses and 1/2 of a response against itself.

    A wrapper that favors a position says so (`favors_a_position`): then equal responses must not be
    at 1/2, and exchanged ones must not sum to 1.
    """
    prompts, responses = material()
    _require_sound(subject, prompts, responses, responses[POSTS:] + responses[:POSTS])


def wrapped_hostile_texts_are_answered(subject: Subject) -> None:
    """Empty, huge and undecodable responses have probabilities as all others have."""
    prompts, responses = material()
    pairs = [(x, y) for x in HOSTILE for y in (*HOSTILE, responses[1])]
    first, second = (list(column) for column in zip(*pairs, strict=True))
    _require_sound(subject, [prompts[1]] * len(pairs), first, second)


def wrapped_items_are_answered_apart(subject: Subject) -> None:
    """An answer is the same alone and in another order, drawn or not."""
    prompts, responses = material()
    second = responses[POSTS:] + responses[:POSTS]
    occasion = _occasion(RESPONSES)
    together = asked_on(_wrapped(subject), prompts, responses, second, occasion)
    fresh = _wrapped(subject)
    order = generator_for("conformance", "order").permutation(RESPONSES)
    for rows in (order, *order[:6, None]):
        some = asked_on(
            fresh,
            [prompts[i] for i in rows],
            [responses[i] for i in rows],
            [second[i] for i in rows],
            Occasion(occasion.progress, tuple(occasion.draws[i] for i in rows)),
        )
        off = float(np.abs(some - together[rows]).max())
        require(
            off < ROUNDING,
            f"an answer is {off:.1e} different alone or in another order: items are mixed, or a "
            "draw does not belong to the comparison's name.",
        )


def wrapped_scores_are_finite_or_refused(subject: Subject) -> None:
    """Scores of one group, which has a reward, stay finite; ImpossibleSettingError otherwise."""
    prompts, responses = material()
    try:
        scores = subject.build().wrap_text(_annotators([1, 0, 0])).score(prompts, responses)
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"it has no scores: {error}") from error
    sound = scores.shape == (RESPONSES,) and bool(np.isfinite(scores).all())
    require(sound, "the wrapped scores are not [items] finite numbers.")


def occasions_are_passed_on(subject: Subject) -> None:
    """The oracle is told of every comparison's name and time, and equal ones are answered alike."""
    probe = ProbeOracle()
    wrapped = subject.build().wrap_text(probe)
    prompts, responses = material()
    asked = (prompts, responses, responses[POSTS:] + responses[:POSTS])
    occasion = _occasion(RESPONSES)
    one, again = (asked_on(wrapped, *asked, occasion) for _ in range(2))
    names = {name for each in probe.occasions for name in each.draws}
    require(
        names == set(occasion.draws) and {x.progress for x in probe.occasions} == {0.25},
        "the oracle is asked without the occasion: ask it through interfaces.asked_on.",
    )
    require(one.tobytes() == again.tobytes(), "one comparison is answered in two ways.")


def costs_are_passed_on(subject: Subject) -> None:
    """A wrapper changes answers, and what they cost stays what the oracle says."""
    found = cost_of(subject.build().wrap_text(ProbeOracle()))
    require(
        found == COST,
        f"an answer costs {found} after wrapping, and {COST} before: return interfaces.cost_of of "
        "the oracle.",
    )


def drift_is_passed_on(subject: Subject) -> None:
    """The wrapped oracle at a time is the wrapped oracle of that time."""
    prompts, responses = material()
    asked = (prompts, responses, responses[POSTS:] + responses[:POSTS])
    wrapped = subject.build().wrap_text(ProbeOracle())
    for progress in (0.0, 0.5, 1.0):
        expected = subject.build().wrap_text(ProbeOracle().at(progress)).preference(*asked)
        found = oracle_at(wrapped, progress).preference(*asked)
        off = float(np.abs(found - expected).max())
        require(
            off < ROUNDING,
            f"at {progress:g} of the iterations an answer is {off:.1e} away from the wrapped "
            "answer of that time: give the wrapped oracle a method `at`.",
        )


def _require_sound(
    subject: Subject, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
) -> None:
    oracle = _wrapped(subject)
    if not getattr(subject.build(), "favors_a_position", False):
        require_swaps(oracle, prompts, first, second)
        return
    answers, swapped, equal = (
        oracle.preference(prompts, x, y)
        for x, y in ((first, second), (second, first), (first, first))
    )
    sound = all(
        each.shape == (len(prompts),) and bool(((each >= 0) & (each <= 1)).all())
        for each in (answers, swapped, equal)
    )
    require(sound, "the wrapped answers are not [items] probabilities.")
    favored = bool((equal != 0.5).all()) and bool((answers + swapped != 1).any())
    require(
        favored,
        "it says favors_a_position, and equal responses are even, or exchanged ones sum to 1: let "
        "it say so only where a position is favored.",
    )


def _wrapped(subject: Subject) -> TextOracle:
    wrapped: TextOracle = subject.build().wrap_text(_annotators([0.36, 0.34, 0.30]))
    return wrapped


def _annotators(weights: Sequence[float]) -> TextOracle:
    return AnnotatorGroups(2.5, 1.5, 1.0, 0.0, weights, "fixed", 0.0, 16).oracle(0)


def _occasion(comparisons: int) -> Occasion:
    return Occasion(0.25, tuple(f"conformance/{number}" for number in range(comparisons)))
