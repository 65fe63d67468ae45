"""A classifier of two responses of the PairRM kind, as probabilities of pairs or as scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, final, get_args

import numpy as np
import torch

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Message,
    OracleCost,
    Prompt,
)
from nlhf_repro.oracles.batching import Row, RowNumbers, sigmoid
from nlhf_repro.oracles.guarded_tokens import GuardedTokenizer
from nlhf_repro.oracles.loading import Dtype, check_sizes, checkpoint_of, loaded
from nlhf_repro.oracles.ordered_pairs import PositionBias, averaged, in_both_orders
from nlhf_repro.weights import fingerprint

Aggregation = Literal["pairwise", "scores"]
"""pairwise: the classifier's own probability, both orders averaged; scores: SPPO's."""

MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
_EVERY_MARK = (*MARKS, "<|candidate|>")
_KEPT_TEXTS, _KEPT_NUMBERS = 8192, 200_000  # then those not asked about are forgotten


@final
@dataclass(frozen=True)
class PairClassifier:
    """Log-odds M(y, y') that the first of two responses is preferred, by one reading of all three.

    llm-blender/PairRM-hf (arXiv:2306.02561), by hub name or folder: its architecture is rebuilt
    here (`pair_ranker`). A text is [CLS] <|source|> prompt [SEP] [CLS] <|candidate1|> first [SEP]
    [CLS] <|candidate2|> second [SEP], the prompt cut to `source_max_length` tokens, and responses
    to half of what it leaves of `source_max_length` + 2 `candidate_max_length` (its model card's
    1224 and 412). The prompt is the text of its only turn; several are written as lines `user: `,
    `assistant: `: our reading.

    `aggregation`:
    - pairwise: P = (sigmoid(M(y, y')) + 1 - sigmoid(M(y', y))) / 2, which can cycle.
    - scores: SPPO's released code (arXiv:2405.00675), a Bradley-Terry model by construction:
      P = sigmoid(s(y) - s(y')), s(y) the mean of M(y, z) - M(z, y) over the K responses z of its
      group, itself (0) included. The group are the responses that the same call compares it with
      under the same prompt: all K of them where an algorithm compares all pairs, as SPPO does, and
      those alone that are compared where it does not, so that a comparison always costs two
      readings. The answers then depend on the group, and two responses alone have twice the
      log-odds of the pair. Equal responses of a group are one.

    The same in every world. Texts that write a special token or a mark get the tokens of its
    characters.
    """

    cost: ClassVar[OracleCost] = OracleCost(ordered_passes=2)

    name_or_path: str
    revision: str | None
    dtype: Dtype
    device: str
    batch_size: int
    source_max_length: int
    candidate_max_length: int
    aggregation: Aggregation
    unsafe_weights: bool

    def __post_init__(self) -> None:
        check_sizes(batch_size=self.batch_size)
        for name in ("source_max_length", "candidate_max_length"):
            if getattr(self, name) < len(MARKS):
                raise ImpossibleSettingError(
                    f"oracle.{name} = {getattr(self, name)} leaves no room between [CLS], the mark "
                    "and [SEP]: raise it."
                )
        if self.aggregation not in get_args(Aggregation):
            raise ImpossibleSettingError(
                f"oracle.aggregation = {self.aggregation} is unknown: "
                f"choose from {', '.join(get_args(Aggregation))}."
            )

    def fingerprint(self) -> dict[str, str]:
        """What results are kept under: SHA-256 of a folder's files, or the revision on the hub."""
        return fingerprint(self.name_or_path, self.revision, "oracle")

    def oracle(self, world: int) -> PairClassifierOracle:
        """The oracle, loaded.

        Raises:
            ImpossibleSettingError: it cannot be loaded, or its tokenizer lacks the marks.
        """
        return PairClassifierOracle(self)


@final
class PairClassifierOracle:
    """Probabilities of pairs from the classifier's log-odds in both orders."""

    cost: ClassVar[OracleCost] = PairClassifier.cost

    def __init__(self, settings: PairClassifier) -> None:
        self.settings = settings
        self._model, self._tokenizer = loaded(
            checkpoint_of(settings),
            "pair ranker",
        )
        self._guarded = GuardedTokenizer(self._tokenizer, _EVERY_MARK)
        self._marks = tuple(self._guarded.single(x, "which begins a text") for x in MARKS)
        if None in (self._tokenizer.cls_token_id, self._tokenizer.sep_token_id):
            raise ImpossibleSettingError(
                f"the tokenizer of oracle.name_or_path = {settings.name_or_path} has no [CLS] or "
                "no [SEP]: take that of the model."
            )
        self._tokens = lru_cache(_KEPT_TEXTS)(self._tokens_of)
        self._numbers = RowNumbers(
            settings.batch_size,
            self._tokenizer.pad_token_id or 0,
            settings.device,
            self._forward,
            _KEPT_NUMBERS,
        )
        self.bias = PositionBias()

    @property
    def answers_depend_on_company(self) -> bool:
        """Whether the other pairs of a call change an answer: a score is a mean over a group."""
        return self.settings.aggregation == "scores"

    @property
    def position_bias(self) -> float:
        """How much the first place was preferred so far, in [-1, 1]; NaN before the first pair."""
        return self.bias.mean

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items]; exchanged responses sum to 1 within 1e-15.

        Raises:
            ValueError: an answer is not finite.
        """
        shown, exchanged = self.log_odds(prompts, first, second)
        self.bias.add(sigmoid(shown), sigmoid(exchanged))
        if self.settings.aggregation == "pairwise":
            return averaged(sigmoid(shown), sigmoid(exchanged))
        return sigmoid(score_gaps(prompts, first, second, shown - exchanged))

    def log_odds(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> tuple[Array, Array]:
        """M(first, second) and M(second, first), [items] each."""
        return in_both_orders(prompts, first, second, self._row, self._numbers)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refuses.

        Raises:
            ImpossibleSettingError: a response has a score in its group alone.
        """
        raise ImpossibleSettingError(
            "oracle=pair_classifier compares two responses and has no score of one: take "
            "oracle=reward_model, or labels other than scores."
        )

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(ids, mask, self._marks)
        return logits

    def _row(self, prompt: Prompt, first: str, second: str) -> Row:
        settings = self.settings
        source = self._part(source_of(prompt.messages), MARKS[0], settings.source_max_length)
        total = settings.source_max_length + 2 * settings.candidate_max_length
        room = (total - len(source)) // 2
        return (
            *source,
            *self._part(first, MARKS[1], room),
            *self._part(second, MARKS[2], room),
        )

    def _part(self, text: str, mark: str, most: int) -> list[int]:
        """[CLS], the mark, the text and [SEP], at most `most` tokens."""
        inner = self._tokens(text, mark)[: most - 2]
        return [self._tokenizer.cls_token_id, *inner, self._tokenizer.sep_token_id]

    def _tokens_of(self, text: str, mark: str) -> list[int]:
        most = self.settings.source_max_length + 2 * self.settings.candidate_max_length
        return self._guarded.text(text, before=mark)[:most]


def source_of(messages: Sequence[Message]) -> str:
    """The text of the only turn, or a line for every turn."""
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(f"{turn.role}: {turn.content}" for turn in messages)


def score_gaps(
    prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str], advantages: Array
) -> Array:
    """s(first) - s(second), [items], of `advantages` M(first, second) - M(second, first), [items].

    s is the mean advantage over a response's group: itself, and what it is compared with under the
    same prompt. Pairs that are asked about twice count once.
    """
    groups: dict[tuple[tuple[Message, ...], str], dict[str, float]] = {}
    for prompt, one, other, advantage in zip(prompts, first, second, advantages, strict=True):
        for own, opponent, gain in ((one, other, advantage), (other, one, -advantage)):
            groups.setdefault((prompt.messages, own), {own: 0.0})[opponent] = float(gain)
    scores = {key: sum(group.values()) / len(group) for key, group in groups.items()}
    gaps = [
        scores[prompt.messages, one] - scores[prompt.messages, other]
        for prompt, one, other in zip(prompts, first, second, strict=True)
    ]
    return np.array(gaps, dtype=np.float64)
