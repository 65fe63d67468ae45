"""A preference model of pairs that is trained from nothing on the comparisons asked."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import torch

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    PreferenceOracle,
    Prompt,
    TextOracle,
)

if TYPE_CHECKING:
    from nlhf_repro.preferences.word_models import WordLearner

_KEY = "oracle_wrapper.preference_model_fit"


@final
@dataclass(frozen=True)
class PreferenceModelFit:
    """P = sigmoid(r(y) - r(y') + u(y, y') - u(y', y)): a small transformer reads both responses.

    Each response has `pair_numbers` numbers beside a reward r, and u is a network with one layer of
    `pair_hidden_size` over the numbers of both. Exchanged responses sum to 1 by construction, and
    three responses may beat each other in turn, which no reward says: a general preference that is
    learned (as in arXiv:2312.00886 and arXiv:2410.02197, with another form of the pair's term).
    Trained as `reward_model_fit`, on the same comparisons. It has no scores.
    """

    comparisons: int
    labels: Literal["probability", "bernoulli"]
    pair_numbers: int
    pair_hidden_size: int
    hidden_size: int
    layers: int
    heads: int
    prompt_words: int
    response_words: int
    word_dropout: float
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None

    def __post_init__(self) -> None:
        from nlhf_repro.preferences.word_models import word_settings

        word_settings(_KEY, vars(self))
        for name in ("pair_numbers", "pair_hidden_size"):
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"{_KEY}.{name} = {getattr(self, name)} must be "
                    "at least 1: raise it, or take oracle_wrapper=[reward_model_fit]."
                )

    def learn(
        self,
        oracle: TextOracle,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
    ) -> LearnedPreference:
        """The preference fitted to these comparisons; `oracle` is not asked.

        Answers between 0 and 1 are shares of the answers. The same comparisons teach the same
        weights, bit for bit on one thread.

        Raises:
            ValueError: no answers, another number of them, or one outside of [0, 1].
        """
        from nlhf_repro.preferences.word_models import learned_from, word_settings

        pair = (self.pair_numbers, self.pair_hidden_size)
        return LearnedPreference(
            learned_from(prompts, first, second, answers, word_settings(_KEY, vars(self)), pair)
        )

    def wrap(self, oracle: PreferenceOracle) -> PreferenceOracle:
        """Refused: responses of a game have no words.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            f"{_KEY} reads the words of texts, and the responses of a game have none: take "
            "oracle=annotators, or drop the wrapper (algorithm=rlhf fits rewards of games)."
        )


@final
@dataclass(frozen=True)
class LearnedPreference:
    """What the learned model prefers."""

    learner: WordLearner

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Probabilities, [items]; exchanged responses sum to 1 within 1e-15."""
        assert self.learner.head is not None
        numbers = self.learner.numbers([*prompts, *prompts], [*first, *second]).double()
        head = deepcopy(self.learner.head).double()
        with torch.no_grad():
            margins = head(numbers[: len(prompts)], numbers[len(prompts) :]).numpy()
        return np.asarray(0.5 + np.tanh(margins / 2) / 2)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused: a general preference has no scores.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "a learned preference between pairs has no scores: take "
            "oracle_wrapper=[reward_model_fit], or labels probability or bernoulli."
        )
