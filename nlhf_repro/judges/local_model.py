"""A language model in memory as judge."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
import torch

from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    JudgeReply,
    JudgeRequest,
    JudgeUsage,
    Message,
    OnReply,
)
from nlhf_repro.interfaces.lacking import LackingError
from nlhf_repro.judges.decoding import Asked, Decoded, decode
from nlhf_repro.seeds import generator_for
from nlhf_repro.weights import fingerprint, located


@final
@dataclass(frozen=True)
class LocalModel:
    """A causal language model by hub name or folder, asked through its tokenizer's chat template.

    Weights come from safetensors only, and no code of theirs is run. `revision` is a commit of the
    hub, which a run needs; null for a folder. `batch_size` requests are answered at once, of like
    lengths; a reply does not depend on its company, up to float rounding. Special tokens inside of
    a message are taken apart, so that an answer cannot end its own turn and speak for others.

    At temperature 0 the likeliest token is taken, above it one is drawn from the whole
    distribution; the model's own settings for generation (penalties, top-p) are not used. First
    tokens have the log-probabilities of the model at temperature 1, whatever the temperature.
    """

    name_or_path: str
    revision: str | None
    dtype: Literal["float32", "bfloat16"]
    device: str
    batch_size: int

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ImpossibleSettingError(
                f"judge.batch_size = {self.batch_size} answers nothing: give at least 1."
            )

    def judge(self, world: int) -> LocalModelJudge:
        """The same judge for every world; its weights are loaded with the first request.

        Raises:
            LackingError: the model's files are not there or not told apart.
            ImpossibleSettingError: its tokenizer cannot be loaded or has no chat template.
        """
        told = fingerprint(self.name_or_path, self.revision, "judge")
        return LocalModelJudge(self, told, self.load_tokenizer())

    def load_tokenizer(self) -> Any:
        """The tokenizer, which has a chat template."""
        from transformers import AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                located(self.name_or_path, "judge"),
                revision=self.revision,
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError) as error:
            raise self._refusal(error) from error
        if not tokenizer.chat_template:
            raise ImpossibleSettingError(
                f"judge.name_or_path = {self.name_or_path} has no chat template, so that it cannot "
                "be asked: take an instruction-tuned model, or save a chat_template with the "
                "tokenizer."
            )
        return tokenizer

    def load_model(self) -> Any:
        """The model, without randomness, on its device."""
        from transformers import AutoModelForCausalLM

        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                located(self.name_or_path, "judge"),
                revision=self.revision,
                dtype=getattr(torch, self.dtype),
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError) as error:
            raise self._refusal(error) from error
        return model.to(self.device).train(False)

    def _refusal(self, error: Exception) -> ImpossibleSettingError:
        said = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
        kind = LackingError if isinstance(error, OSError) else ImpossibleSettingError
        return kind(
            f"judge.name_or_path = {self.name_or_path} cannot be loaded ({said}): give a folder "
            "with config.json, tokenizer and safetensors weights, or a name on the hub."
        )


@final
class LocalModelJudge:
    """The judge: tokenizes every request, and answers those of like lengths together."""

    def __init__(self, settings: LocalModel, told: Mapping[str, str], tokenizer: Any) -> None:
        self.settings, self.told, self.tokenizer = settings, told, tokenizer
        self.usage = JudgeUsage()
        added = (str(x) for x in tokenizer.added_tokens_decoder.values() if x.special)
        special = sorted({*map(str, tokenizer.all_special_tokens), *added}, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or "(?!)")

    @property
    def name(self) -> str:
        """The model's name, or that of its folder."""
        return self.settings.name_or_path.rstrip("/").rpartition("/")[2]

    @property
    def identity(self) -> Mapping[str, Any]:
        """The digests of a folder's files, or name and revision on the hub; what is computed with.

        How requests are batched is no part of it.
        """
        weights = dict(self.told)
        if set(weights) == {"revision"}:
            weights["name"] = self.settings.name_or_path
        computed = {"dtype": self.settings.dtype, "device": self.settings.device}
        return {"judge": "local_model", "weights": weights, **computed}

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply to every request, in the order of their lengths.

        A request that does not fit the model's context, or that the chat template refuses, has the
        finish `error: ...`.

        Raises:
            ImpossibleSettingError: the weights cannot be loaded.
        """
        prompts: dict[int, list[int]] = {}
        for position, request in enumerate(requests):
            tokens = self._tokens(request.messages)
            if isinstance(tokens, str):
                on_reply(position, self._counted(JudgeReply("", {}, 0, 0, f"error: {tokens}")))
            else:
                prompts[position] = tokens
        for batch in self._batches(requests, prompts):
            asked = [self._asked(requests[x], prompts[x]) for x in batch]
            for position, decoded in zip(
                batch, decode(self._model, asked, self._ends), strict=True
            ):
                reply = self._reply(len(prompts[position]), decoded)
                on_reply(position, self._counted(reply))

    @cached_property
    def _model(self) -> Any:
        return self.settings.load_model()

    @cached_property
    def _ends(self) -> frozenset[int]:
        """Every token that ends a reply: the tokenizer's, and those that the model's files add."""
        own = getattr(self._model.generation_config, "eos_token_id", None)
        ends = own if isinstance(own, list) else [own]
        return frozenset(x for x in [*ends, self.tokenizer.eos_token_id] if x is not None)

    @cached_property
    def _context(self) -> int | None:
        """How many tokens the model takes; None where its configuration does not say."""
        text = self._model.config.get_text_config(decoder=True)
        return getattr(text, "max_position_embeddings", None)

    def _room(self, wanted: int, taken: int) -> int:
        return wanted if self._context is None else min(wanted, self._context - taken)

    def _batches(
        self, requests: Sequence[JudgeRequest], prompts: Mapping[int, Sequence[int]]
    ) -> Iterator[list[int]]:
        """Positions of requests of like lengths, at most `batch_size` of them."""
        ordered = sorted(prompts, key=lambda x: (requests[x].max_tokens, len(prompts[x]), x))
        for start in range(0, len(ordered), self.settings.batch_size):
            yield ordered[start : start + self.settings.batch_size]

    def _tokens(self, messages: Sequence[Message]) -> list[int] | str:
        """The conversation up to where the judge speaks; or why it cannot be asked."""
        from jinja2.exceptions import TemplateError

        turns = [{"role": x.role, "content": self._plain(x.content)} for x in messages]
        try:
            encoded: Any = self.tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=True
            )
        except TemplateError as error:
            return f"the chat template refuses the conversation ({error})"
        tokens: list[int] = encoded["input_ids"]
        if not tokens:
            return "the chat template makes no token of the conversation"
        if self._room(1, len(tokens)) < 1:
            return f"the conversation has {len(tokens)} tokens, and the model takes {self._context}"
        return tokens

    def _plain(self, text: str) -> str:
        """The text as it can be tokenized, without special tokens."""
        sound = text.encode("utf-8", "replace").decode("utf-8")
        return self._special.sub(_apart, sound)

    def _asked(self, request: JudgeRequest, tokens: Sequence[int]) -> Asked:
        stream = generator_for("judge", "local_model", request.draw, repr(request.messages))
        room = self._room(request.max_tokens, len(tokens))
        return Asked(tokens, room, request.temperature, stream, request.top_logprobs)

    def _reply(self, asked: int, decoded: Decoded) -> JudgeReply:
        first: dict[str, float] = {}
        for token, log_prob in decoded.first:
            name = self.tokenizer.decode([token])
            first[name] = float(np.logaddexp(first.get(name, -np.inf), log_prob))
        text = self.tokenizer.decode(decoded.tokens, skip_special_tokens=True)
        said = len(decoded.tokens) + decoded.ended
        return JudgeReply(text, first, asked, said, "stop" if decoded.ended else "length")

    def _counted(self, reply: JudgeReply) -> JudgeReply:
        used = self.usage
        self.usage = dataclasses.replace(
            used,
            calls=used.calls + 1,
            prompt_tokens=used.prompt_tokens + reply.prompt_tokens,
            completion_tokens=used.completion_tokens + reply.completion_tokens,
        )
        return reply


def _apart(found: re.Match[str]) -> str:
    token = found[0]
    return f"{token[0]} {token[1:]}" if len(token) > 1 else " "
