"""Wrappers that learn an oracle from answered comparisons of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.conformance.laboratory import random_game
from nlhf_repro.conformance.outcomes import ConformanceError, NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.text_oracles import POSTS, RESPONSES, material, require_swaps
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    LearnedOracleWrapper,
    Prompt,
    TextOracle,
)
from nlhf_repro.oracles.annotators import AnnotatorGroups
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.seeds import generator_for

COMPARISONS, HELD_OUT = 2000, 1000
LEAST_AGREEMENT = 0.9
Pairs = tuple[list[Prompt], list[str], list[str]]


def it_learns_a_reward(subject: Subject) -> None:
    """From the answers of one group, which a reward explains, it predicts the group's others."""
    wrapper: LearnedOracleWrapper = subject.build()
    require(wrapper.comparisons >= 1, f"comparisons is {wrapper.comparisons}: it is at least 1.")
    truth = _one_group()
    learned = _learned(wrapper)
    held_out = _pairs("held out", HELD_OUT)
    expected, found = truth.preference(*held_out), learned.preference(*held_out)
    agreement = float(np.mean((expected > 0.5) == (found > 0.5)))
    require(
        agreement >= LEAST_AGREEMENT,
        f"after {COMPARISONS} comparisons it agrees with {agreement:.0%} of the preferences of a "
        f"group that has a reward: {LEAST_AGREEMENT:.0%} are needed.",
    )


def learned_answers_sum_to_one(subject: Subject) -> None:
    """The learned P is in [0, 1], 1 - P for exchanged responses, and explained by its scores."""
    learned = _learned(subject.build())
    prompts, responses = material()
    second = responses[POSTS:] + responses[:POSTS]
    require_swaps(learned, prompts, responses, second)
    try:
        gaps = learned.score(prompts, responses) - learned.score(prompts, second)
    except ImpossibleSettingError:
        return
    off = float(np.abs(learned.preference(prompts, responses, second) - _sigmoid(gaps)).max())
    require(off < 1e-12, f"its scores do not explain its answers: sigmoid is {off:.1e} away.")


def the_answers_decide_what_is_learned(subject: Subject) -> None:
    """The same answers give the same oracle, and opposite answers another one."""
    prompts, responses = material()
    asked = (prompts, responses, responses[POSTS:] + responses[:POSTS])
    one, again, other = (
        _learned(subject.build(), opposite).preference(*asked) for opposite in (False, False, True)
    )
    require(one.tobytes() == again.tobytes(), "two fits to the same answers differ.")
    require(
        float(np.abs(one - other).max()) > 0.1, "opposite answers teach the same: are they read?"
    )


def what_cannot_be_learned_is_refused(subject: Subject) -> None:
    """A game, and an oracle without features: refused in a sentence, or learned from."""
    wrapper = subject.build()
    pairs = _pairs("comparisons", COMPARISONS)
    answers = np.ones(COMPARISONS)
    try:
        wrapper.learn(_Plain(), *pairs, answers)
    except ImpossibleSettingError:
        pass
    except Exception as error:
        raise ConformanceError(
            f"an oracle without features is met by {type(error).__name__}: learn from its answers "
            "or raise ImpossibleSettingError."
        ) from error
    if not hasattr(wrapper, "wrap"):
        raise NotApplicableError("it has no method wrap that a game could meet")
    try:
        wrapper.wrap(MatrixOracle(random_game(1, 2, 3)))
    except ImpossibleSettingError:
        return
    raise ConformanceError(
        "wrap accepts a game, which learns nothing: raise ImpossibleSettingError."
    )


def _learned(wrapper: LearnedOracleWrapper, opposite: bool = False) -> TextOracle:
    truth = _one_group()
    pairs = _pairs("comparisons", COMPARISONS)
    draws = generator_for("conformance", "answers").random(COMPARISONS)
    answers = (draws < truth.preference(*pairs)).astype(np.float64)
    return wrapper.learn(truth, *pairs, 1 - answers if opposite else answers)


def _one_group() -> TextOracle:
    return AnnotatorGroups(2.5, 1.5, 1.0, 0.0, [1, 0, 0], "fixed", 0.0, 16).oracle(0)


def _pairs(name: str, number: int) -> Pairs:
    """Pairs of responses to one post each, at random."""
    prompts, responses = material()
    stream = generator_for("conformance", name)
    rows = stream.integers(RESPONSES, size=number)
    others = (rows + POSTS * stream.integers(1, RESPONSES // POSTS, size=number)) % RESPONSES
    return (
        [prompts[i] for i in rows],
        [responses[i] for i in rows],
        [responses[i] for i in others],
    )


def _sigmoid(gaps: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-gaps)))


@final
@dataclass(frozen=True)
class _Plain:
    """Prefers nothing to anything, and has no features."""

    def preference(self, prompts: object, first: list[str], second: list[str]) -> Array:
        return np.full(len(first), 0.5)

    def score(self, prompts: object, responses: list[str]) -> Array:
        return np.zeros(len(responses))
