"""Preferences learned from nothing but answered comparisons of texts: a reward, or of pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from typing import Any, final

import numpy as np
import torch
from torch import nn

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.preferences.encoder import (
    EncoderSettings,
    ResponseEncoder,
    Vocabulary,
    initialize,
    row_of,
)
from nlhf_repro.preferences.fitting import fit
from nlhf_repro.preferences.records import PreferenceRecord, conversation_key
from nlhf_repro.preferences.settings import FittingSettings
from nlhf_repro.seeds import generator_for, seed_for

_READ_AT_ONCE = 256  # responses


@final
class PairHead(nn.Module):
    """A margin of two responses from numbers of each: r - r' + u(y, y') - u(y', y).

    The first number is the reward r, the others go through a layer: u = w' gelu(W [y, y'] + c).
    Exchanged responses have the opposite margin by construction, and three may cycle.
    """

    def __init__(self, numbers: int, hidden_size: int, seed: int) -> None:
        super().__init__()
        self.rise = nn.Linear(2 * numbers, hidden_size)
        self.fall = nn.Linear(hidden_size, 1, bias=False)
        initialize(self, seed)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """[items] of numbers [items, 1 + numbers]."""
        there, back = self._one_way(first, second), self._one_way(second, first)
        # The difference last: exchanged arguments then have exactly the opposite margin.
        margins: torch.Tensor = first[:, 0] - second[:, 0] + (there - back)
        return margins

    def _one_way(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        both = torch.cat([first[:, 1:], second[:, 1:]], dim=-1)
        read: torch.Tensor = self.fall(nn.functional.gelu(self.rise(both)))[:, 0]
        return read


@final
class WordLearner:
    """A learner over words: a Bradley-Terry reward, or with a head a preference between pairs."""

    reads_order = False

    def __init__(
        self, encoder: ResponseEncoder, head: PairHead | None, settings: EncoderSettings
    ) -> None:
        self.encoder, self.head, self._settings = encoder, head, settings

    def margins(self, records: Sequence[PreferenceRecord]) -> torch.Tensor:
        """Log-odds, [records]."""
        rows = [row_of(x.prompt, (x.first, x.second), self._settings) for x in records]
        numbers = self.encoder(rows)
        first, second = numbers[:, 0], numbers[:, 1]
        if self.head is not None:
            margins: torch.Tensor = self.head(first, second)
            return margins
        difference: torch.Tensor = first[:, 0] - second[:, 0]
        return difference

    def weights(self) -> list[torch.nn.Parameter]:
        """Of the encoder, and of the head."""
        own = [] if self.head is None else list(self.head.parameters())
        return [*self.encoder.parameters(), *own]

    def numbers(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
        """What the encoder says of responses, [items, outputs].

        Equal responses to equal prompts have equal numbers, bit for bit, in whatever order they are
        asked about: each is read once, in an order of its own.
        """
        keys = [(conversation_key(x), y) for x, y in zip(prompts, responses, strict=True)]
        items = {key: (x, y) for key, x, y in zip(keys, prompts, responses, strict=True)}
        rows = {key: row_of(x, (y,), self._settings) for key, (x, y) in items.items()}
        order = sorted(rows, key=lambda key: (sum(map(len, rows[key].responses)), key))
        parts = [order[at : at + _READ_AT_ONCE] for at in range(0, len(order), _READ_AT_ONCE)]
        with torch.no_grad():
            read = torch.cat([self.encoder([rows[key] for key in part])[:, 0] for part in parts])
        places = {key: place for place, key in enumerate(order)}
        return read[[places[key] for key in keys]]


def word_settings(key: str, fields: Mapping[str, Any]) -> tuple[EncoderSettings, FittingSettings]:
    """The size of the encoder and how it is fitted, from a wrapper's fields at `key`.

    Raises:
        ImpossibleSettingError: naming the field that has no meaning.
    """
    if fields["comparisons"] < 1:
        raise ImpossibleSettingError(
            f"{key}.comparisons = {fields['comparisons']} leaves nothing to learn from: give at "
            "least 1."
        )
    fixed = {"microbatch": fields["batch_size"], "check_every": None, "patience": 1}
    try:
        return (
            EncoderSettings(
                **{each.name: fields[each.name] for each in dataclass_fields(EncoderSettings)}
            ),
            FittingSettings(
                **{
                    each.name: {**fields, **fixed}[each.name]
                    for each in dataclass_fields(FittingSettings)
                }
            ),
        )
    except ImpossibleSettingError as error:
        raise ImpossibleSettingError(f"{key}.{error}") from error


def learned_from(
    prompts: Sequence[Prompt],
    first: Sequence[str],
    second: Sequence[str],
    answers: Array,
    settings: tuple[EncoderSettings, FittingSettings],
    pair: tuple[int, int] | None,
) -> WordLearner:
    """A learner fitted to comparisons; answers [comparisons] in [0, 1] are 1 for the first.

    `pair` are the numbers of a response and the hidden numbers that a preference between pairs has;
    None for a reward. All draws derive from the comparisons, so that the same ones give the same
    weights.

    Raises:
        ValueError: no answers, another number of them, or one outside of [0, 1].
    """
    given = np.asarray(answers, dtype=np.float64)
    if given.shape != (len(prompts),) or not len(prompts):
        raise ValueError(
            f"{len(prompts)} comparisons have answers of shape {given.shape}: give one each, and "
            "one comparison at least."
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("an answer is no number from 0 to 1: give 1 where first was preferred.")
    records = [
        PreferenceRecord(*x) for x in zip(prompts, first, second, given.tolist(), strict=True)
    ]
    name = _digest(records)
    texts = [turn.content for prompt in prompts for turn in prompt.messages]
    vocabulary = Vocabulary([*texts, *first, *second])
    size, fitting = settings
    outputs = 1 if pair is None else 1 + pair[0]
    learner = WordLearner(
        ResponseEncoder(vocabulary, outputs, size, seed_for("encoder", name)),
        None if pair is None else PairHead(*pair, seed_for("head", name)),
        size,
    )
    fit(learner, records, [], fitting, generator_for("preferences", "passes", name))
    return learner


def _digest(records: Sequence[PreferenceRecord]) -> str:
    found = hashlib.sha256()
    for each in records:
        item = (conversation_key(each.prompt), each.first, each.second, each.probability)
        found.update(repr(item).encode("utf-8", "surrogatepass"))
    return found.hexdigest()
