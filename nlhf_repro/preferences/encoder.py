"""A small transformer made from nothing that reads a prompt and responses to it, word by word."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from nlhf_repro.interfaces import ImpossibleSettingError, Prompt
from nlhf_repro.seeds import seed_for

PAD, UNKNOWN = 0, 1
_PLACES = 0.3  # how much places weigh beside words, at first
_MATCHING = 1.5  # a query in keys, at first: words attend to equal words
PADDING, PROMPT, RESPONSE = -1, 0, 1  # segments; those of a row's responses count from RESPONSE on


@final
@dataclass(frozen=True)
class EncoderSettings:
    """The size of the encoder.

    Of a prompt the last `prompt_words` words are read, of a response the first `response_words`. In
    training every word is the unknown one with probability `word_dropout`: that word is learned
    too, and single words are not learned by heart.
    """

    hidden_size: int
    layers: int
    heads: int
    prompt_words: int
    response_words: int
    word_dropout: float

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "heads", "prompt_words", "response_words"):
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"{name} = {getattr(self, name)} must be at least 1: raise it."
                )
        if not 0 <= self.word_dropout < 1:
            raise ImpossibleSettingError(
                f"word_dropout = {self.word_dropout} must be a share below 1: lower it."
            )
        if self.hidden_size % self.heads:
            raise ImpossibleSettingError(
                f"hidden_size = {self.hidden_size} must be a multiple of heads = {self.heads}: "
                "change one."
            )


@final
class Vocabulary:
    """The words of some texts as numbers, in alphabetical order; all others are one unknown word.

    A word is what stands between white space.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        words = sorted({word for text in texts for word in text.split()})
        self._numbers = {word: number for number, word in enumerate(words, UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self._numbers) + UNKNOWN + 1

    def __getitem__(self, word: str) -> int:
        return self._numbers.get(word, UNKNOWN)


class Row(NamedTuple):
    """A prompt and responses to it as words."""

    prompt: list[str]
    responses: tuple[list[str], ...]


def row_of(prompt: Prompt, responses: Sequence[str], settings: EncoderSettings) -> Row:
    """The words that are read."""
    words = [word for turn in prompt.messages for word in turn.content.split()]
    most = settings.response_words
    return Row(
        words[-settings.prompt_words :],
        tuple(text.split(maxsplit=most)[:most] for text in responses),
    )


@final
class ResponseEncoder(nn.Module):
    """Numbers [rows, responses, outputs] of responses to a prompt, one prompt a row.

    A pre-norm transformer. The words of a prompt attend to each other, those of a response to the
    prompt and to their own response, never to another's, so that a response's numbers depend on
    nothing else. Two features of a response's word are told: whether the prompt has it, and whether
    the response had it before (the exact match of DrQA, arXiv:1704.00051), which words outside of
    the vocabulary have too; a model of this size does not find them in some thousand comparisons.
    The numbers are sums over a response's words, since what is good and bad of them adds up.
    """

    def __init__(
        self, vocabulary: Vocabulary, outputs: int, settings: EncoderSettings, seed: int
    ) -> None:
        super().__init__()
        size = settings.hidden_size
        self._vocabulary, self._offset = vocabulary, settings.prompt_words
        self._scale = 1.0 / math.sqrt(settings.response_words)
        self.words = nn.Embedding(len(vocabulary), size)
        self.places = nn.Embedding(settings.prompt_words + settings.response_words, size)
        self.segments = nn.Embedding(2, size)
        self.matches = nn.Embedding(4, size)
        self.layers = nn.ModuleList(_Layer(size, settings.heads) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(size)
        self.readout = nn.Linear(size, outputs, bias=False)
        initialize(self, seed)
        self._dropout = settings.word_dropout
        self._drops = torch.Generator()
        self._drops.manual_seed(seed_for("preferences", "dropout", seed))
        with torch.no_grad():
            self.places.weight.mul_(_PLACES)
            self.readout.weight[0].zero_()  # a reward starts at 0 for all
            for layer in self.layers:
                assert isinstance(layer, _Layer)
                layer.query.weight.copy_(_MATCHING * layer.key.weight)

    def forward(self, rows: Sequence[Row]) -> torch.Tensor:
        """All rows have the same number of responses."""
        words, places, segments, matches = self._columns(rows)
        if torch.is_grad_enabled():
            dropped = torch.rand(words.shape, generator=self._drops) < self._dropout
            words = words.masked_fill(dropped, UNKNOWN)
        own = segments[:, None, :] == segments[:, :, None]
        seen = (segments == PROMPT)[:, None, :] | own  # padding sees the prompt, and padding
        state = self.words(words) + self.places(places) + self.matches(matches)
        state = state + self.segments((segments > PROMPT).long())
        for layer in self.layers:
            state = layer(state, seen[:, None])
        numbers = self.readout(self.norm(state)) * self._scale
        count = len(rows[0].responses)
        members = torch.stack([segments == RESPONSE + k for k in range(count)], dim=1)
        sums: torch.Tensor = members.to(numbers) @ numbers
        return sums

    def _columns(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """Words, places, segments and matches [rows, columns], padded at the end."""
        columns = [list(zip(*self._row(row), strict=True)) or [(), (), (), ()] for row in rows]
        width = max(1, *(len(row[0]) for row in columns))
        return [
            torch.tensor([[*row[part], *[fill] * (width - len(row[part]))] for row in columns])
            for part, fill in enumerate((PAD, 0, PADDING, 0))
        ]

    def _row(self, row: Row) -> list[tuple[int, int, int, int]]:
        number, offset, there = self._vocabulary, self._offset, set(row.prompt)
        columns = [(number[word], place, PROMPT, 0) for place, word in enumerate(row.prompt)]
        for segment, response in enumerate(row.responses, RESPONSE):
            before: set[str] = set()
            for place, word in enumerate(response, offset):
                match = (word in there) + 2 * (word in before)
                columns.append((number[word], place, segment, match))
                before.add(word)
        return columns


@final
class _Layer(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key, self.value, self.output = (
            nn.Linear(size, size, bias=False) for _ in range(4)
        )
        self.rise, self.fall = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, state: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        rows, columns, size = state.shape
        normal = self.attention_norm(state)
        query, key, value = (
            each(normal).view(rows, columns, self.heads, -1).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        read = scaled_dot_product_attention(query, key, value, attn_mask=seen)
        state = state + self.output(read.transpose(1, 2).reshape(rows, columns, size))
        change: torch.Tensor = self.fall(gelu(self.rise(self.norm(state))))
        return state + change


def initialize(model: nn.Module, seed: int) -> None:
    """Draw every matrix from N(0, 1 / inputs), in the order of the names; biases are 0."""
    generator = torch.Generator()
    generator.manual_seed(seed_for("preferences", "weights", seed))
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if value.dim() > 1:
                draws = torch.randn(value.shape, generator=generator)
                value.copy_(draws / math.sqrt(value.shape[-1]))
            elif name.endswith("bias"):
                value.zero_()
