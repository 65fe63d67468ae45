"""Prompts and responses as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, Prompt
from nlhf_repro.models.responses import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def end_of_sequence(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a response.

    Raises:
        ImpossibleSettingError: The tokenizer has none, or has no chat template.
    """
    name = tokenizer.name_or_path or type(tokenizer).__name__
    if tokenizer.eos_token_id is None:
        raise ImpossibleSettingError(
            f"the tokenizer of {name} has no end-of-sequence token, so that no response would end: "
            "set its eos_token."
        )
    if not tokenizer.chat_template:
        raise ImpossibleSettingError(
            f"the tokenizer of {name} has no chat template: take an instruction-tuned model, or "
            "save a chat_template with the tokenizer."
        )
    return int(tokenizer.eos_token_id)


def prompt_tokens(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[Tokens]:
    """Every prompt under the chat template, up to where the assistant's response begins.

    Raises:
        ImpossibleSettingError: The template leaves a prompt without tokens.
    """
    if not prompts:
        return []
    conversations = [
        [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
        for prompt in prompts
    ]
    encoded: Any = tokenizer.apply_chat_template(
        conversations, add_generation_prompt=True, tokenize=True, return_dict=True, padding=False
    )
    found = [np.asarray(ids, dtype=np.int64) for ids in encoded["input_ids"]]
    for prompt, ids in zip(prompts, found, strict=True):
        if not len(ids):
            raise ImpossibleSettingError(
                f"the chat template makes no token of prompt {prompt.identifier}: correct the "
                "tokenizer's chat_template."
            )
    return found


def response_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Tokens]:
    """Every text as a response that ended: its tokens and one end-of-sequence token."""
    if not texts:
        return []
    end = end_of_sequence(tokenizer)
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [np.asarray([*ids, end], dtype=np.int64) for ids in encoded]
