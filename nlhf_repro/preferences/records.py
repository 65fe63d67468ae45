"""Answered comparisons, and their parts: some are learned from, some choose, some test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from nlhf_repro.interfaces import ImpossibleSettingError, Prompt


@final
@dataclass(frozen=True)
class PreferenceRecord:
    """Two responses to a prompt; `probability` in [0, 1] is how often the first is preferred.

    1 and 0 are single answers, numbers between them shares of answers or a judge's probability.
    """

    prompt: Prompt
    first: str
    second: str
    probability: float

    def swapped(self) -> PreferenceRecord:
        """The same answer with the responses exchanged."""
        return replace(
            self, first=self.second, second=self.first, probability=1.0 - self.probability
        )


def conversation_key(prompt: Prompt) -> str:
    """SHA-256 of a prompt's messages: what makes two prompts one, whatever they are called."""
    text = repr([(turn.role, turn.content) for turn in prompt.messages])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def split_by_prompt(
    records: Sequence[PreferenceRecord], shares: Sequence[float], name: str
) -> tuple[tuple[PreferenceRecord, ...], ...]:
    """The records in parts whose prompts are disjoint; the last part takes what is left.

    Prompts are ordered by the SHA-256 of `name` and their messages, and the first ones go to the
    first part: neither the order of the records nor another prompt's name moves a prompt. A part
    has round(share * prompts) prompts.

    Raises:
        ImpossibleSettingError: a share is no number in (0, 1), or leaves a part without a prompt.
    """
    keys = [conversation_key(record.prompt) for record in records]
    ordered = sorted(
        set(keys), key=lambda key: hashlib.sha256(f"{name} {key}".encode()).hexdigest()
    )
    sizes = [round(share * len(ordered)) for share in shares]
    sizes.append(len(ordered) - sum(sizes))
    if min(sizes) < 1 or not all(0 < share < 1 for share in shares):
        raise ImpossibleSettingError(
            f"parts of {', '.join(f'{share:g}' for share in shares)} of {len(ordered)} different "
            f"prompts, and the rest, have {', '.join(map(str, sizes))} prompts: give shares that "
            "leave every part one at least, or more data."
        )
    part_of: dict[str, int] = {}
    for part, size in enumerate(sizes):
        start = len(part_of)
        part_of |= dict.fromkeys(ordered[start : start + size], part)
    return tuple(
        tuple(x for x, key in zip(records, keys, strict=True) if part_of[key] == part)
        for part in range(len(sizes))
    )
