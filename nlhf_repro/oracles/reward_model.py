"""A reward model: a classifier that gives a response one score, and Bradley-Terry answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Message,
    OracleCost,
    Prompt,
)
from nlhf_repro.oracles.batching import Row, in_batches, sigmoid
from nlhf_repro.oracles.guarded_tokens import (
    HOLE,
    CutWarning,
    GuardedTokenizer,
    Shield,
    chat_text,
    require_chat_template,
    without_begin,
)
from nlhf_repro.oracles.loading import Dtype, check_sizes, checkpoint_of, loaded
from nlhf_repro.weights import fingerprint

_KEPT_SCORES = 200_000  # then all are forgotten
_Key = tuple[tuple[Message, ...], str]


@final
@dataclass(frozen=True)
class RewardModel:
    """P = sigmoid(r(x, y) - r(x, y')), r the raw output of a sequence classifier with one output.

    FsfairX-LLaMA3-RM-v0.1 and its kin (arXiv:2405.07863), by hub name or folder. Its text is that
    of the model card: the prompt and the response under the tokenizer's own chat template, without
    the template's begin-of-text token (`strip_bos`), and then what the tokenizer puts around a text
    by itself. Our reading: that the classification pipeline of the card lets the tokenizer add its
    own begin-of-text token.

    The same in every world. A response that does not fit into `max_length` tokens with its prompt
    is cut at its end, with a warning; the card cuts nothing. Texts that write special tokens get
    the tokens of their characters. `batch_size` changes a score by a rounding of `dtype` and no
    more.
    """

    cost: ClassVar[OracleCost] = OracleCost(ordered_passes=0, scores=1)

    name_or_path: str
    revision: str | None
    dtype: Dtype
    device: str
    batch_size: int
    max_length: int
    strip_bos: bool
    unsafe_weights: bool

    def __post_init__(self) -> None:
        check_sizes(batch_size=self.batch_size, max_length=self.max_length)

    def fingerprint(self) -> dict[str, str]:
        """What results are kept under: SHA-256 of a folder's files, or the revision on the hub."""
        return fingerprint(self.name_or_path, self.revision, "oracle")

    def oracle(self, world: int) -> RewardOracle:
        """The oracle, loaded.

        Raises:
            ImpossibleSettingError: it cannot be loaded, has several outputs, or its tokenizer has
                no chat template.
        """
        return RewardOracle(self)


@final
class RewardOracle:
    """Scores of responses under a prompt, each computed once, and preferences from them."""

    cost: ClassVar[OracleCost] = RewardModel.cost

    def __init__(self, settings: RewardModel) -> None:
        self.settings = settings
        self._model, self._tokenizer = loaded(
            checkpoint_of(settings),
            "sequence classifier",
        )
        if self._model.config.num_labels != 1:
            raise ImpossibleSettingError(
                f"oracle.name_or_path = {settings.name_or_path} has "
                f"{self._model.config.num_labels} outputs, and a reward is one: take a reward "
                "model."
            )
        require_chat_template(self._tokenizer)
        self._guarded = GuardedTokenizer(self._tokenizer)
        self._around = _put_around(self._tokenizer)
        self._pad, self._batch_size = _padding(self._model, self._tokenizer, settings.batch_size)
        self._scores: dict[_Key, float] = {}
        self._cut = CutWarning(settings.max_length)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items]; all pairs of K responses are K scores.

        Raises:
            ImpossibleSettingError: a prompt leaves no room in `max_length`, or the chat template
                does not take it.
            ValueError: a score is not finite.
        """
        scores = self.score([*prompts, *prompts], [*first, *second])
        return sigmoid(scores[: len(prompts)] - scores[len(prompts) :])

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The raw outputs of the model, [items].

        Raises:
            ImpossibleSettingError: a prompt leaves no room in `max_length`, or the chat template
                does not take it.
            ValueError: a score is not finite.
        """
        asked = [(x.messages, response) for x, response in zip(prompts, responses, strict=True)]
        new = {key: x for key, x in zip(asked, prompts, strict=True) if key not in self._scores}
        if len(self._scores) + len(new) > _KEPT_SCORES:
            self._scores = {key: self._scores[key] for key in asked if key in self._scores}
        if new:
            rows = [self._row(prompt, response) for (_, response), prompt in new.items()]
            values = in_batches(
                rows, self._batch_size, self._pad, self.settings.device, self._forward
            )
            self._scores.update(zip(new, values.tolist(), strict=True))
        return np.array([self._scores[key] for key in asked], dtype=np.float64)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return logits[:, 0]

    def _row(self, prompt: Prompt, response: str) -> Row:
        (whole,) = self._pieces(prompt, response)
        row = self._complete(whole)
        if len(row) <= self.settings.max_length:
            return tuple(row)
        before, after = self._pieces(prompt, None)
        fixed = self._complete(before + after)
        room = self.settings.max_length - len(fixed)
        if room < 0:
            raise ImpossibleSettingError(
                f"prompt {prompt.identifier} and its chat template take {len(fixed)} of the "
                f"oracle.max_length = {self.settings.max_length} tokens, which leaves no room for "
                "a response: raise it, or take shorter prompts."
            )
        self._cut.warn()
        kept = self._guarded.text(response)[:room]
        return tuple(self._complete(before + kept + after))

    def _pieces(self, prompt: Prompt, response: str | None) -> list[list[int]]:
        """Tokens of the rendered conversation, in two pieces without the response if it is None."""

        def render(shield: Shield) -> str:
            turns = [Message(turn.role, shield(turn.content)) for turn in prompt.messages]
            answer = HOLE if response is None else shield(response)
            turns.append(Message("assistant", answer))
            return chat_text(self._tokenizer, prompt.identifier, turns, generation_prompt=False)

        return self._guarded.pieces(render)

    def _complete(self, ids: list[int]) -> list[int]:
        before, after = self._around
        return before + without_begin(ids, self._tokenizer, self.settings.strip_bos) + after


def _put_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and after a text by itself."""
    whole = list(tokenizer("x")["input_ids"])
    bare = list(tokenizer("x", add_special_tokens=False)["input_ids"])
    start = next(i for i in range(len(whole) + 1) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


def _padding(model: Any, tokenizer: Any, batch_size: int) -> tuple[int, int]:
    """The token that fills rows and the batch size, 1 where no token can fill them.

    A classifier reads the last token that is not the padding of its configuration.
    """
    config = model.config.get_text_config()
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    if config.pad_token_id is None:
        return 0, 1
    return int(config.pad_token_id), batch_size
