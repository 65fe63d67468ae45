"""Write the documents of academic_mini, the same byte for byte: python write_tasks.py [FOLDER].

Posts are those of `nlhf_repro.prompts.posts`, with facts of its evaluation split, which no world
trains on. Answers begin with a space, as they follow a chat template that ends without one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.prompts.grammar import choose, draw_facts, write_post
from nlhf_repro.prompts.posts import SPLITS
from nlhf_repro.seeds import generator_for, seed_for
from nlhf_repro.summaries import (
    CLOSERS,
    CONNECTIVES,
    FACTS,
    OPENERS,
    SLOTS,
    STYLES,
    TOPICS,
    Facts,
    Style,
)

DOCUMENTS = 100
Document = dict[str, Any]
SLOT_OF = {word: slot for slot, words in FACTS.items() for word in words}


def posts(task: str) -> Iterator[tuple[Facts, str, np.random.Generator]]:
    """Facts, the post that tells them, and the stream of its document; no facts twice."""
    met: set[Facts] = set()
    number = 0
    while True:
        stream = generator_for("academic_mini", task, number)
        number += 1
        facts = draw_facts(stream)
        if facts in met or SPLITS[seed_for("prompts", "posts", *facts) % len(SPLITS)] != (
            "evaluation"
        ):
            continue
        met.add(facts)
        yield facts, write_post(facts, choose(stream, tuple(TOPICS)), stream), stream


def summary(facts: Facts, opener: tuple[str, ...], connective: str, closer: str) -> str:
    """Opener, facts in their order, a connective before the reason, a closer before the outcome."""
    who, act, thing, place, reason, outcome = facts
    words = [*opener, who, act, "the", thing, "at", place, connective, reason, closer, outcome]
    return " " + " ".join(words)


def chosen(right: str, wrong: list[str], stream: np.random.Generator) -> Document:
    """The answers in a random order, and the place of the right one."""
    place = choose(stream, range(len(wrong) + 1))
    return {"choices": [*wrong[:place], right, *wrong[place:]], "answer": place}


def faithful(facts: Facts, post: str, stream: np.random.Generator) -> Document | None:
    """Which of four summaries has the post's facts; None for a post without two other words.

    The others take one, the other, or both of the words that the post mentions in passing.
    """
    passing = {SLOT_OF[word]: word for word in post.split() if word in {*SLOT_OF} - {*facts}}
    if len(passing) < 2:
        return None
    opener, connective, closer = marks(choose(stream, STYLES), stream)
    own = dict(zip(SLOTS, facts, strict=True))
    first, second = passing
    wrong = [
        summary(tuple({**own, **taken}.values()), opener, connective, closer)
        for taken in ({first: passing[first]}, {second: passing[second]}, passing)
    ]
    return chosen(summary(facts, opener, connective, closer), wrong, stream)


def agreement(facts: Facts, post: str, stream: np.random.Generator) -> Document:
    """Which of three summaries ends in the style in which it gives the reason.

    They have no opener and are the same up to the closer.
    """
    style = choose(stream, STYLES)
    _, connective, closer = marks(style, stream)
    others = [marks(other, stream)[2] for other in STYLES if other != style]
    wrong = [summary(facts, (), connective, other) for other in others]
    return chosen(summary(facts, (), connective, closer), wrong, stream)


def retold(facts: Facts, post: str, stream: np.random.Generator) -> Document:
    """The facts that an answer should name."""
    return {"facts": " ".join(facts)}


def marks(style: Style, stream: np.random.Generator) -> tuple[tuple[str, str], str, str]:
    """An opener, a connective and a closer of the style."""
    words = (OPENERS[style], CONNECTIVES[style], CLOSERS[style])
    return (choose(stream, words[0]), choose(stream, words[1]), choose(stream, words[2]))


TASKS: dict[str, Callable[[Facts, str, np.random.Generator], Document | None]] = {
    "mini_faithful": faithful,
    "mini_agreement": agreement,
    "mini_facts": retold,
}


def documents(task: str) -> Iterator[Document]:
    """The documents of a task, without end."""
    for facts, post, stream in posts(task):
        document = TASKS[task](facts, post, stream)
        if document is not None:
            yield {"post": post, **document}


def write_all(folder: Path) -> None:
    """A file of JSON lines for every task."""
    for task in TASKS:
        lines = [json.dumps(each) for each in islice(documents(task), DOCUMENTS)]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
