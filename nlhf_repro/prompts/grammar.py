"""How a post is written: facts in sentences of several shapes, among things that are no facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nlhf_repro.summaries import ADJECTIVES, FACTS, SLOTS, TOPICS, Facts, Topic

T = TypeVar("T")

BEGINNINGS = (
    "{topic} story",
    "more {topic} trouble",
    "this was {topic} news",
    "i heard {topic} news",
)
SENTENCES = (
    "my {who} {act} the {object} at the {place}",
    "my {who} {act} a {adjective} {object} at the {place}",
    "at the {place} my {adjective} {who} {act} the {object}",
    "the {object} which a {who} {act} was at the {place}",
    "in the {place} that {adjective} {who} {act} my {adjective} {object}",
)
REASONS = ("because of {reason}", "after the {reason}", "behind it was {reason}", "it was {reason}")
OUTCOMES = (
    "and then came the {outcome}",
    "and it led to {outcome}",
    "it ended in {outcome}",
    "so the {outcome} came",
)
DISTRACTORS = (
    "while my {who} watched",
    "not the {object}",
    "unlike at the {place}",
    "near a {adjective} {object}",
    "not because of {reason}",
    "last week it was {outcome}",
)
"""Clauses with a word of another post's facts: to repeat it in a summary is to invent."""

_MOST_DISTRACTORS = 2


def choose(stream: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, uniformly, from one uniform draw in [0, 1)."""
    return options[int(stream.random() * len(options))]


def draw_facts(stream: np.random.Generator) -> Facts:
    """A uniform word for every slot."""
    return tuple(choose(stream, words) for words in FACTS.values())


def draw_other(stream: np.random.Generator, slot: str, fact: str) -> str:
    """A uniform word of the slot that is not the fact."""
    words = FACTS[slot]
    further = 1 + int(stream.random() * (len(words) - 1))
    return words[(words.index(fact) + further) % len(words)]


def write_post(
    facts: Facts,
    topic: Topic,
    stream: np.random.Generator,
    sentences: Sequence[str] = SENTENCES,
    distractors: Sequence[int] = range(_MOST_DISTRACTORS + 1),
) -> str:
    """A post in one line: the topic, the facts, and a drawn number of `distractors`.

    Who did what is told by one of the `sentences`. At the defaults a post has 17 to 32 words.
    """
    own = dict(zip(SLOTS, facts, strict=True))
    beginning = choose(stream, BEGINNINGS).format(topic=choose(stream, TOPICS[topic]))
    told = [
        _filled(stream, choose(stream, clauses), own) for clauses in (sentences, REASONS, OUTCOMES)
    ]
    others = {slot: draw_other(stream, slot, fact) for slot, fact in own.items()}
    left = list(DISTRACTORS)
    for _ in range(choose(stream, distractors)):
        distractor = choose(stream, left)
        left.remove(distractor)
        told.insert(choose(stream, range(1, len(told) + 1)), _filled(stream, distractor, others))
    return " ".join([beginning, *told])


def _filled(stream: np.random.Generator, template: str, words: dict[str, str]) -> str:
    """The template with its words, and every adjective drawn for itself."""
    return " ".join(
        choose(stream, ADJECTIVES) if word == "{adjective}" else word.format(**words)
        for word in template.split()
    )
