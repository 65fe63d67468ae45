"""A Bradley-Terry reward model that is trained from nothing on the comparisons asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    PreferenceOracle,
    Prompt,
    TextOracle,
)

if TYPE_CHECKING:
    from nlhf_repro.preferences.word_models import WordLearner

_KEY = "oracle_wrapper.reward_model_fit"


@final
@dataclass(frozen=True)
class RewardModelFit:
    """r(prompt, response) of a small transformer over words; P = sigmoid(r(first) - r(second)).

    Trained on the mean log-loss of the answers, AdamW for `steps` steps of `batch_size` comparisons
    with a linear warm-up and a cosine to 0 (`preferences.fitting`). It reads texts, no oracle's
    features, so that its errors are those of Bradley and Terry's model and those of learning it. It
    ranks: no cycle of the true preference is in what it answers. `comparisons` are asked before
    training; `labels` says whether an answer is drawn or the probability itself.
    """

    comparisons: int
    labels: Literal["probability", "bernoulli"]
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

    def learn(
        self,
        oracle: TextOracle,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
    ) -> LearnedReward:
        """The reward fitted to these comparisons; `oracle` is not asked.

        Answers between 0 and 1 are shares of the answers. The same comparisons teach the same
        weights, bit for bit on one thread.

        Raises:
            ValueError: no answers, another number of them, or one outside of [0, 1].
        """
        from nlhf_repro.preferences.word_models import learned_from, word_settings

        return LearnedReward(
            learned_from(prompts, first, second, answers, word_settings(_KEY, vars(self)), None)
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
class LearnedReward:
    """What the learned reward prefers."""

    learner: WordLearner

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Probabilities, [items]; exchanged responses sum to 1 within 1e-15."""
        scores = self.score([*prompts, *prompts], [*first, *second])
        gaps = scores[: len(prompts)] - scores[len(prompts) :]
        return np.asarray(0.5 + np.tanh(gaps / 2) / 2)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The rewards, [items]."""
        numbers: Array = self.learner.numbers(prompts, responses)[:, 0].double().numpy()
        return numbers
