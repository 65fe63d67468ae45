"""Write the documents of academic_mini, the same byte for byte: python write_tasks.py [FOLDER].

Posts are those of `nlhf_repro.prompts.posts`, with facts of its evaluation split, which no world
trains on. Answers begin with a space, as they follow a chat template that ends without one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.prompts.grammar import choose, draw_facts, draw_other, write_post
from nlhf_repro.prompts.posts import SPLITS
from nlhf_repro.seeds import generator_for, seed_for
from nlhf_repro.summaries import CLOSERS, CONNECTIVES, OPENERS, SLOTS, STYLES, TOPICS, Facts, Style

DOCUMENTS = 100
FAITHLESS = 3  # summaries that are not faithful, beside the one that is
Document = dict[str, Any]


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


def summary(facts: Facts, opener: tuple[str, str], connective: str, closer: str) -> str:
    """Opener, facts in their order, a connective before the reason, a closer before the outcome."""
    who, act, thing, place, reason, outcome = facts
    words = [*opener, who, act, "the", thing, "at", place, connective, reason, closer, outcome]
    return " " + " ".join(words)


def chosen(right: str, wrong: list[str], stream: np.random.Generator) -> Document:
    """The answers in a random order, and the place of the right one."""
    place = choose(stream, range(len(wrong) + 1))
    return {"choices": [*wrong[:place], right, *wrong[place:]], "answer": place}


def faithful(facts: Facts, stream: np.random.Generator) -> Document:
    """Which of four summaries has the post's facts: the others have one, two or three of others."""
    style = choose(stream, STYLES)
    opener, connective, closer = marks(style, stream)
    wrong = []
    for inventions in range(1, FAITHLESS + 1):
        slots = set(stream.permutation(len(SLOTS))[:inventions].tolist())
        told = tuple(
            draw_other(stream, slot, fact) if number in slots else fact
            for number, (slot, fact) in enumerate(zip(SLOTS, facts, strict=True))
        )
        wrong.append(summary(told, opener, connective, closer))
    return chosen(summary(facts, opener, connective, closer), wrong, stream)


def agreement(facts: Facts, stream: np.random.Generator) -> Document:
    """Which of three summaries goes on in the style of its opener; all have the post's facts."""
    style = choose(stream, STYLES)
    opener, connective, closer = marks(style, stream)
    wrong = [
        summary(facts, opener, *marks(other, stream)[1:]) for other in STYLES if other != style
    ]
    return chosen(summary(facts, opener, connective, closer), wrong, stream)


def retold(facts: Facts, stream: np.random.Generator) -> Document:
    """The facts that an answer should name."""
    return {"facts": " ".join(facts)}


def marks(style: Style, stream: np.random.Generator) -> tuple[tuple[str, str], str, str]:
    """An opener, a connective and a closer of the style."""
    words = (OPENERS[style], CONNECTIVES[style], CLOSERS[style])
    return (choose(stream, words[0]), choose(stream, words[1]), choose(stream, words[2]))


TASKS: dict[str, Callable[[Facts, np.random.Generator], Document]] = {
    "mini_faithful": faithful,
    "mini_agreement": agreement,
    "mini_facts": retold,
}


def write_all(folder: Path) -> None:
    """A file of JSON lines for every task."""
    for task, document in TASKS.items():
        lines = []
        for (facts, post, stream), _ in zip(posts(task), range(DOCUMENTS), strict=False):
            lines.append(json.dumps({"post": post, **document(facts, stream)}))
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
