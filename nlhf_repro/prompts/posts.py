"""Posts of six facts, to be summarized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import final, get_args

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    Demonstration,
    ImpossibleSettingError,
    Message,
    Prompt,
    Split,
)
from nlhf_repro.prompts.demonstrations import Flaws, write_demonstration
from nlhf_repro.prompts.grammar import choose, draw_facts, write_post
from nlhf_repro.seeds import generator_for, seed_for
from nlhf_repro.summaries import FACTS, STYLES, TOPICS, VOCABULARY, Facts, facts_of

SPLITS: tuple[Split, ...] = get_args(Split)
_MOST_PROMPTS = 1_000_000  # of 64 million combinations of facts, a quarter to each split


@final
@dataclass(frozen=True)
class Posts:
    """Posts of 17 to 32 words with six facts, a topic, and up to two things that are no facts.

    A post belongs to one split by a hash of its facts, so that splits share no facts, and a prompt
    is the same whatever the number of prompts. `details` holds "facts", slot to word, and "topic".

    Demonstrations go through the training prompts in order, again and again. They are summaries of
    4 to 14 words, in styles drawn from `style_mix` (formal, casual, vivid), whose entries a world
    multiplies by exp(style_spread N(0, 1)) and normalizes again. A fact is left out with
    probability `drop_rate` and else replaced by another word with `invention_rate`; an opener is
    missing with `no_opener_rate`; a marker is of another style with `wrong_marker_rate`; a fact is
    named again with `repetition_rate`.
    """

    training: int
    selection: int
    tuning: int
    evaluation: int
    demonstration_count: int
    drop_rate: float
    no_opener_rate: float
    invention_rate: float
    wrong_marker_rate: float
    repetition_rate: float
    style_mix: Sequence[float]
    style_spread: float

    def __post_init__(self) -> None:
        for split in SPLITS:
            if not 1 <= getattr(self, split) <= _MOST_PROMPTS:
                raise ImpossibleSettingError(
                    f"prompts.{split} = {getattr(self, split)} must be from 1 to {_MOST_PROMPTS}."
                )
        if not 0 <= self.demonstration_count <= _MOST_PROMPTS:
            raise ImpossibleSettingError(
                f"prompts.demonstration_count = {self.demonstration_count} must be from 0 to "
                f"{_MOST_PROMPTS}."
            )
        for key in self._rates():
            if not 0 <= getattr(self, key) <= 1:
                raise ImpossibleSettingError(
                    f"prompts.{key} = {getattr(self, key)} must be a probability, from 0 to 1."
                )
        mix = list(self.style_mix)
        if len(mix) != len(STYLES) or not min(mix) >= 0 or abs(sum(mix) - 1) > 1e-9:
            raise ImpossibleSettingError(
                f"prompts.style_mix = {mix} must be {len(STYLES)} shares, of {', '.join(STYLES)}, "
                "that are at least 0 and sum to 1."
            )
        if not 0 <= self.style_spread <= 3:
            raise ImpossibleSettingError(
                f"prompts.style_spread = {self.style_spread} must be from 0 to 3: a world "
                "multiplies a style's share by exp(style_spread N(0, 1))."
            )

    def prompts(self, split: Split, world: int) -> tuple[Prompt, ...]:
        """The posts of a split in this world, none twice.

        Raises:
            ImpossibleSettingError: there is no such split.
        """
        if split not in SPLITS:
            raise ImpossibleSettingError(
                f"{split} is no split of posts: choose from {', '.join(SPLITS)}."
            )
        return tuple(islice(_posts(split, world), getattr(self, split)))

    def demonstrations(self, world: int) -> tuple[Demonstration, ...]:
        """Summaries of training posts, `demonstration_count` of them."""
        posts = self.prompts("training", world)
        stream = generator_for("prompts", "posts", world, "demonstrations")
        mix = self.mix(world)
        flaws = Flaws(*(getattr(self, key) for key in self._rates()))
        chosen = (posts[number % len(posts)] for number in range(self.demonstration_count))
        return tuple(
            Demonstration(post, write_demonstration(facts_of(post), mix, flaws, stream))
            for post in chosen
        )

    def vocabulary(self) -> tuple[str, ...]:
        """Every word of posts and summaries, once."""
        return VOCABULARY

    @staticmethod
    def _rates() -> tuple[str, ...]:
        return tuple(f"{flaw}_rate" for flaw in Flaws._fields)

    def mix(self, world: int) -> Array:
        """The demonstrations' shares of formal, casual and vivid in this world, [3]."""
        stream = generator_for("prompts", "posts", world, "styles")
        spread = np.exp(self.style_spread * stream.standard_normal(len(STYLES)))
        mix = np.array(list(self.style_mix), dtype=np.float64) * spread
        return np.asarray(mix / mix.sum())


def _posts(split: Split, world: int) -> Iterator[Prompt]:
    """All posts of a split, without end."""
    stream = generator_for("prompts", "posts", world, split)
    topics = tuple(TOPICS)
    met: set[Facts] = set()
    while True:
        facts = draw_facts(stream)
        if facts in met or SPLITS[seed_for("prompts", "posts", *facts) % len(SPLITS)] != split:
            continue
        topic = choose(stream, topics)
        text = write_post(facts, topic, stream)
        identifier = f"posts/{world}/{split}/{len(met)}"
        met.add(facts)
        details = {"facts": dict(zip(FACTS, facts, strict=True)), "topic": topic}
        yield Prompt(identifier, (Message("user", text),), details)
