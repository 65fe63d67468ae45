"""The texts that learned oracles read, before and after they are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlhf_repro.interfaces import Message, Prompt

LABELS = ("A", "B")
MARKS = ("[CONTEXT]", "[RESPONSE A]", "[RESPONSE B]", "<turn> user", "<turn> assistant")


def response_row(tokenizer: Any, prompt: Prompt, response: str) -> list[int]:
    """Tokens of a prompt and a response under the chat template, as reward models are asked.

    The template's begin-of-text token is left out, and what the tokenizer puts around a text by
    itself is added, as oracle=reward_model does with `strip_bos`.
    """
    before, after = _put_around(tokenizer)
    turns = [*prompt.messages, Message("assistant", response)]
    return [*before, *_without_begin(tokenizer, _rendered(tokenizer, turns)), *after]


def pair_row(tokenizer: Any, prompt: Prompt, first: str, second: str) -> list[int]:
    """Tokens of a comparison: one user turn with context and responses, without begin-of-text.

    The text of RLHFlow/pair-preference-model-LLaMA3-8B (arXiv:2405.07863), as oracle=
    pair_preference_model writes it.
    """
    turns = "".join(
        f"\n<turn> {'assistant' if turn.role == 'assistant' else 'user'}\n {turn.content}"
        for turn in prompt.messages
    )
    context = f"\n{turns}\n"
    content = f"[CONTEXT] {context} [RESPONSE A] {first} [RESPONSE B] {second} \n"
    return _without_begin(tokenizer, _rendered(tokenizer, [Message("user", content)]))


def missing_tokens(tokenizer: Any) -> list[str]:
    """Labels that are no single tokens, and marks with an unknown one, under this tokenizer."""
    unknown = tokenizer.unk_token_id
    missing = []
    for text in (*LABELS, *MARKS):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if (unknown is not None and unknown in ids) or (text in LABELS and len(ids) != 1):
            missing.append(text)
    return missing


def readable(text: str) -> str:
    """The text with question marks for characters that are none (lone surrogates)."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _rendered(tokenizer: Any, turns: Sequence[Message]) -> list[int]:
    written = [{"role": turn.role, "content": readable(turn.content)} for turn in turns]
    text: str = tokenizer.apply_chat_template(written, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _without_begin(tokenizer: Any, ids: list[int]) -> list[int]:
    begin = tokenizer.bos_token_id
    return ids[1:] if begin is not None and ids[:1] == [begin] else ids


def _put_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and after a text by itself."""
    whole = list(tokenizer("x")["input_ids"])
    bare = list(tokenizer("x", add_special_tokens=False)["input_ids"])
    start = next(i for i in range(len(whole) + 1) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]
