"""Replies of a causal language model to conversations of several lengths, token by token."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

OPEN_SHARE = 0.5  # of a batch: when so few replies go on, they go on by themselves


@final
@dataclass(frozen=True)
class Asked:
    """A conversation as tokens, and how it is replied to; `stream` has a uniform for every token.

    At temperature 0 nothing is drawn. `top` is how many alternatives of the first token are wanted.
    """

    tokens: Sequence[int]
    room: int  # tokens of the reply, an end included; at least 1
    temperature: float
    stream: np.random.Generator
    top: int


@final
@dataclass(frozen=True)
class Decoded:
    """A reply's tokens, without the end that it has if it `ended`.

    `first` are the likeliest first tokens with their log-probabilities under the model.
    """

    tokens: tuple[int, ...]
    ended: bool
    first: tuple[tuple[int, float], ...]


def decode(model: Any, asked: Sequence[Asked], ends: Collection[int]) -> list[Decoded]:
    """A reply to each; which others are in the batch changes it by float rounding alone."""
    drafts: list[list[int]] = [[] for _ in asked]
    with torch.no_grad():
        batch = _Batch(model, asked)
        first = _likeliest(batch.logits, [each.top for each in asked])
        running = list(range(len(asked)))  # the row of the batch is the place in this list
        while True:
            chosen = _next(batch.logits, [asked[row] for row in running])
            for row, token in zip(running, chosen, strict=True):
                if not _is_over(drafts[row], asked[row], ends):
                    drafts[row].append(token)
            kept = [n for n, r in enumerate(running) if not _is_over(drafts[r], asked[r], ends)]
            if not kept:
                break
            if len(kept) <= OPEN_SHARE * len(running):
                batch.select(kept)
                running, chosen = [running[n] for n in kept], [chosen[n] for n in kept]
            batch.advance(chosen)
    return [
        Decoded(tuple(x for x in draft if x not in ends), bool(draft) and draft[-1] in ends, top)
        for draft, top in zip(drafts, first, strict=True)
    ]


def _is_over(draft: Sequence[int], asked: Asked, ends: Collection[int]) -> bool:
    return len(draft) >= asked.room or (bool(draft) and draft[-1] in ends)


def _next(logits: torch.Tensor, asked: Sequence[Asked]) -> list[int]:
    """The next token of every row: the likeliest, or one drawn by inverting the distribution."""
    chosen: list[int] = logits.argmax(dim=-1).tolist()
    for row, each in enumerate(asked):
        if each.temperature > 0:
            law = torch.softmax(logits[row].double() / each.temperature, dim=-1).cumsum(dim=-1)
            sought = each.stream.random() * float(law[-1]) * (1 - 2.0**-52)
            chosen[row] = int(torch.searchsorted(law, torch.tensor(sought).to(law), right=True))
    return chosen


def _likeliest(logits: torch.Tensor, tops: Sequence[int]) -> list[tuple[tuple[int, float], ...]]:
    log_prob = torch.log_softmax(logits, dim=-1)
    most = min(max(tops, default=0), logits.shape[-1])
    values, tokens = log_prob.topk(most, dim=-1)
    rows = zip(tokens.tolist(), values.tolist(), tops, strict=True)
    return [tuple(zip(t[:top], v[:top], strict=True)) for t, v, top in rows]


@final
class _Batch:
    """Conversations padded on their left, with a cache; `logits` [rows, vocabulary] in float32."""

    def __init__(self, model: Any, asked: Sequence[Asked]) -> None:
        self.model = model
        taken = inspect.signature(model.forward).parameters
        self._takes = {name for name in ("position_ids", "logits_to_keep") if name in taken}
        width = max(len(each.tokens) for each in asked)
        ids = torch.zeros(len(asked), width, dtype=torch.int64)
        self.mask = torch.zeros(len(asked), width, dtype=torch.int64)
        for row, each in enumerate(asked):
            ids[row, width - len(each.tokens) :] = torch.tensor(each.tokens)
            self.mask[row, width - len(each.tokens) :] = 1
        self.past: Any = None
        self._forward(ids, (self.mask.cumsum(dim=1) - 1).clamp_min(0))

    def advance(self, tokens: Sequence[int]) -> None:
        """Append a token to every row."""
        positions = self.mask.sum(dim=1, keepdim=True)
        self.mask = torch.cat([self.mask, torch.ones_like(positions)], dim=1)
        self._forward(torch.tensor(tokens)[:, None], positions)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self.past.reorder_cache(torch.tensor(rows, device=self.model.device))
        self.mask = self.mask[rows]

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> None:
        device = self.model.device
        arguments: dict[str, Any] = {
            "input_ids": ids.to(device),
            "attention_mask": self.mask.to(device),
            "past_key_values": self.past,
            "use_cache": True,
        }
        extra = {"position_ids": positions.to(device), "logits_to_keep": 1}
        output = self.model(**arguments, **{name: extra[name] for name in self._takes})
        self.past = output.past_key_values
        self.logits: torch.Tensor = output.logits[:, -1].float()
