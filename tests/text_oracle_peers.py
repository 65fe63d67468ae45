"""Oracles of texts that answer as they are told, and count what they are asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlhf_repro.interfaces import Message, Occasion, OracleCost, Prompt
from nlhf_repro.seeds import seed_for


def prompts_of(count: int, details: dict[str, Any] | None = None) -> list[Prompt]:
    return [
        Prompt(f"p{number}", (Message("user", f"question {number}"),), details or {})
        for number in range(count)
    ]


ASKED = (prompts_of(6), ["a", "b a a", "c", "", "a b", "d"], ["b", "a", "c", "a", "b a", "e e"])


class Fixed:
    """Answers one number, or one an item; `asked` counts items."""

    def __init__(self, answer: Any, score: float = 0.0) -> None:
        self.answer, self.value, self.asked = answer, score, 0

    def preference(self, prompts, first, second):
        self.asked += len(prompts)
        return np.broadcast_to(np.asarray(self.answer, dtype=np.float64), (len(prompts),))

    def score(self, prompts, responses):
        return np.full(len(prompts), self.value)


class Costly(Fixed):
    """Two passes, a score, three calls, and answers that are draws."""

    @property
    def cost(self) -> OracleCost:
        return OracleCost(2, 1, 3, bernoulli=True)


class Drawing(Fixed):
    """A fair coin an item, by the name of the comparison; 1/2 outside of training."""

    def __init__(self) -> None:
        super().__init__(0.5)
        self.occasions: list[Occasion] = []

    def preference_on(self, prompts, first, second, occasion):
        self.asked += len(prompts)
        self.occasions.append(occasion)
        return np.array([float(seed_for("coin", name) % 2) for name in occasion.draws])


class Drifting(Fixed):
    """From .2 to .8 in the course of training."""

    def __init__(self) -> None:
        super().__init__(0.8)

    def preference_on(self, prompts, first, second, occasion):
        return self.at(occasion.progress).preference(prompts, first, second)

    def at(self, progress):
        return Fixed(0.2 + 0.6 * progress)


def prefer_longer(prompts, first, second):
    """For conf/oracle/callable: the sigmoid of a hundredth of the difference in length."""
    gaps = length(prompts, first) - length(prompts, second)
    return 0.5 + np.tanh(gaps / 2) / 2


def length(prompts, responses):
    """In hundreds of characters."""
    return np.array([len(response) for response in responses]) / 100
