"""Responses by number: every response of a run is kept once, under an integer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

Tokens = NDArray[np.int64]


@final
class ResponseBank:
    """Token sequences, each belonging to a prompt, interned: the same one has the same number.

    Designs, losses and data sets then handle responses as integers, as they handle the actions of a
    game. Numbers count up from 0 and are never used again, also after `keep`.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, bytes], int] = {}
        self._held: dict[int, tuple[int, bytes]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, prompts: Sequence[int], tokens: Sequence[Sequence[int] | Tokens]) -> torch.Tensor:
        """The numbers [items] of these responses, new ones for those not yet held.

        `tokens` are all tokens of a response, the end-of-sequence token included where it ended.

        Raises:
            ValueError: A response has no token at all; an empty response is its end alone.
        """
        numbers = []
        for prompt, response in zip(prompts, tokens, strict=True):
            if len(response) == 0:
                raise ValueError("a response without tokens: an empty one has its end-of-sequence.")
            key = (int(prompt), np.asarray(response, dtype=np.int64).tobytes())
            number = self._numbers.get(key)
            if number is None:
                number = self._next
                self._next += 1
                self._numbers[key] = number
                self._held[number] = key
            numbers.append(number)
        return torch.tensor(numbers, dtype=torch.int64)

    def prompt(self, numbers: torch.Tensor) -> torch.Tensor:
        """The index of every response's prompt, of the shape of `numbers`."""
        found = [self._key(number)[0] for number in numbers.flatten().tolist()]
        return torch.tensor(found, dtype=torch.int64).view(numbers.shape)

    def tokens(self, number: int) -> Tokens:
        """All tokens of a response, read-only."""
        return np.frombuffer(self._key(number)[1], dtype=np.int64)

    def keep(self, numbers: torch.Tensor | Iterable[int]) -> None:
        """Forget every other response, which bounds the memory of a long run."""
        listed = numbers.flatten().tolist() if isinstance(numbers, torch.Tensor) else numbers
        self._held = {number: self._key(number) for number in sorted(set(listed))}
        self._numbers = {key: number for number, key in self._held.items()}

    def export(self) -> dict[str, torch.Tensor]:
        """Everything as tensors: `next` [1], `numbers`, `prompts`, `lengths` [held], `tokens`."""
        numbers = list(self._held)
        responses = [self.tokens(number) for number in numbers]
        flat = np.concatenate(responses) if responses else np.zeros(0, dtype=np.int64)
        return {
            "next": torch.tensor([self._next]),
            "numbers": torch.tensor(numbers, dtype=torch.int64),
            "prompts": self.prompt(torch.tensor(numbers, dtype=torch.int64)),
            "lengths": torch.tensor([len(each) for each in responses], dtype=torch.int64),
            "tokens": torch.from_numpy(flat.copy()),
        }

    def restore(self, exported: Mapping[str, torch.Tensor]) -> None:
        """Hold what was exported, and nothing else; numbers continue where they stood."""
        ends = exported["lengths"].cumsum(0).tolist()
        flat = exported["tokens"].numpy()
        starts = [0, *ends[:-1]]
        self._held = {
            number: (prompt, flat[start:end].tobytes())
            for number, prompt, start, end in zip(
                exported["numbers"].tolist(),
                exported["prompts"].tolist(),
                starts if ends else [],
                ends,
                strict=True,
            )
        }
        self._numbers = {key: number for number, key in self._held.items()}
        self._next = int(exported["next"][0])

    def _key(self, number: int) -> tuple[int, bytes]:
        try:
            return self._held[number]
        except KeyError:
            raise KeyError(f"response {number} is not in the bank: it was not kept.") from None
