"""Annotators who abstain: at random, or where they can hardly tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Occasion, Prompt, TextOracle
from nlhf_repro.oracles.changed_answers import changed
from nlhf_repro.seeds import seed_for

_DECIMALS = 12  # so that an answer and that of the exchanged responses are on one side of a margin


@final
@dataclass(frozen=True)
class Abstaining:
    """An abstention is the answer 1/2; the comparison is paid for all the same.

    Abstained is with probability `rate`, drawn anew for every comparison of a run, and always where
    |P - 1/2| < `margin`. Outside of training nothing is drawn: the answer is the expected one,
    (1 - rate) P + rate / 2. With `labels: bernoulli` an abstention becomes a coin, so that `rate`
    alone is then noise of half that flip rate. Scores pass as they are. The wrapped oracle's
    `counts` has the comparisons `abstained` from in training, by reason.
    """

    rate: float
    margin: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ImpossibleSettingError(
                f"oracle_wrapper.abstaining.rate = {self.rate} must be in [0, 1): at 1 nothing is "
                "ever answered."
            )
        if not 0 <= self.margin < 0.5:
            raise ImpossibleSettingError(
                f"oracle_wrapper.abstaining.margin = {self.margin} must be in [0, 1/2): answers "
                "are never further than 1/2 from an even chance."
            )

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The oracle with these abstentions."""
        counts: Counter[str] = Counter()

        def abstained(
            prompts: Sequence[Prompt],
            first: Sequence[str],
            second: Sequence[str],
            answers: Array,
            occasion: Occasion | None,
        ) -> Array:
            near = np.abs(answers - 0.5).round(_DECIMALS) < self.margin
            if occasion is None:
                answered = (1 - self.rate) * answers + self.rate / 2
                return np.where(near, 0.5, answered)
            uniform = np.array([seed_for("abstaining", draw) for draw in occasion.draws]) / 2.0**63
            drawn = uniform < self.rate
            counts["within the margin"] += int(near.sum())
            counts["at random"] += int((drawn & ~near).sum())
            return np.where(near | drawn, 0.5, answers)

        return changed(oracle, abstained, draws=True, counts=counts)
