"""A text oracle whose answers are changed by a function: what wrappers have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    Occasion,
    OccasionalOracle,
    OracleCost,
    Prompt,
    TextOracle,
    asked_on,
    cost_of,
    depends_on_company,
    oracle_at,
)

Texts = Sequence[str]
Change = Callable[[Sequence[Prompt], Texts, Texts, Array, Occasion | None], Array]
"""Of prompts, first and second responses, the oracle's answers [items], and when they were asked:
the answers in their place, [items]."""
Rescore = Callable[[Sequence[Prompt], Texts, Array], Array]
"""Of prompts, responses and the oracle's scores [items]: the scores in their place, [items]."""


def scores_as_they_are(prompts: Sequence[Prompt], responses: Texts, scores: Array) -> Array:
    """The `Rescore` of a wrapper that changes preferences alone."""
    return scores


def changed(
    oracle: TextOracle,
    change: Change,
    rescore: Rescore = scores_as_they_are,
    draws: bool = False,
    counts: Counter[str] | None = None,
) -> TextOracle:
    """The oracle with changed answers, of the same cost, on the same occasions, with its drift.

    `draws`: the change reads the occasion, so that answers are draws whatever the oracle's are.
    """
    made = ChangedAnswers(oracle, change, rescore, Counter() if counts is None else counts)
    occasional = draws or isinstance(oracle, OccasionalOracle)
    return ChangedOnOccasions(made) if occasional else made


@final
@dataclass(frozen=True)
class ChangedAnswers:
    """Answers that depend on prompt and responses alone."""

    oracle: TextOracle
    change: Change
    rescore: Rescore
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def cost(self) -> OracleCost:
        """The oracle's."""
        return cost_of(self.oracle)

    @property
    def answers_depend_on_company(self) -> bool:
        """As the oracle's do."""
        return depends_on_company(self.oracle)

    def preference(self, prompts: Sequence[Prompt], first: Texts, second: Texts) -> Array:
        """The changed answers, [items]."""
        return self.asked(prompts, first, second, None)

    def asked(
        self, prompts: Sequence[Prompt], first: Texts, second: Texts, occasion: Occasion | None
    ) -> Array:
        """The changed answers on an occasion, or outside of training, [items]."""
        answers = np.asarray(asked_on(self.oracle, prompts, first, second, occasion), np.float64)
        return self.change(prompts, first, second, answers, occasion)

    def score(self, prompts: Sequence[Prompt], responses: Texts) -> Array:
        """The scores, [items]."""
        return self.rescore(prompts, responses, self.oracle.score(prompts, responses))


@final
@dataclass(frozen=True)
class ChangedOnOccasions:
    """Answers that are draws, or change in the course of training."""

    made: ChangedAnswers

    @property
    def counts(self) -> Counter[str]:
        """What the change has counted."""
        return self.made.counts

    @property
    def cost(self) -> OracleCost:
        """The oracle's."""
        return self.made.cost

    @property
    def answers_depend_on_company(self) -> bool:
        """As the oracle's do."""
        return self.made.answers_depend_on_company

    def preference(self, prompts: Sequence[Prompt], first: Texts, second: Texts) -> Array:
        """The changed answers outside of training, [items]."""
        return self.made.preference(prompts, first, second)

    def preference_on(
        self, prompts: Sequence[Prompt], first: Texts, second: Texts, occasion: Occasion
    ) -> Array:
        """The changed answers on the occasion, [items]."""
        return self.made.asked(prompts, first, second, occasion)

    def score(self, prompts: Sequence[Prompt], responses: Texts) -> Array:
        """The scores, [items]."""
        return self.made.score(prompts, responses)

    def at(self, progress: float) -> TextOracle:
        """The change of the oracle as it is at a share of the iterations."""
        return ChangedOnOccasions(replace(self.made, oracle=oracle_at(self.made.oracle, progress)))
