"""Write the questions of the mini benchmarks: `python benchmarks/mini/make.py`.

Every turn is a post of the mini world (`nlhf_repro/prompts/grammar.py`) to be summarized. Its facts
belong to the evaluation split, so that no post of the training, selection and tuning prompts of any
world has the same six, and no two turns of these files have more than four facts in common.

alpaca_eval: 100 posts from 5 sources; a source is how the post tells who did what.
arena_hard: 60 posts with 2, 3 and 4 clauses that are no facts, which is a category each; posts that
a model is trained on have at most 2.
mt_bench: 40 questions of two turns, 10 of each topic; the second turn is another post of the topic
that shares no fact with the first. Money and travel have answers of reference, as half of the
categories of the original would.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nlhf_repro.interfaces import Question
from nlhf_repro.prompts.grammar import SENTENCES, choose, draw_facts, write_post
from nlhf_repro.prompts.posts import SPLITS
from nlhf_repro.questions import written_question
from nlhf_repro.seeds import generator_for, seed_for
from nlhf_repro.summaries import CLOSERS, CONNECTIVES, FACTS, OPENERS, STYLES, TOPICS, Facts

SOURCES = ("plain", "described", "place_first", "object_first", "all_described")
DISTRACTED = {2: "two_distractors", 3: "three_distractors", 4: "four_distractors"}
REFERENCED = ("money", "travel")
MOST_COMMON = 4  # facts of two posts


class Posts:
    """Posts of one stream, no two of which are alike."""

    def __init__(self) -> None:
        self.stream = generator_for("benchmarks", "mini")
        self.met: list[Facts] = []

    def facts(self) -> Facts:
        """Facts of the evaluation split that have few in common with all before."""
        while True:
            facts = draw_facts(self.stream)
            split = SPLITS[seed_for("prompts", "posts", *facts) % len(SPLITS)]
            if split == "evaluation" and all(common(facts, x) <= MOST_COMMON for x in self.met):
                self.met.append(facts)
                return facts

    def apart_from(self, others: Facts) -> Facts:
        """Facts of which none is among the others."""
        while True:
            facts = self.facts()
            if not common(facts, others):
                return facts
            self.met.pop()


def common(first: Facts, second: Facts) -> int:
    """How many facts two posts share."""
    return sum(one == other for one, other in zip(first, second, strict=True))


def details(facts: Facts, topic: str) -> dict[str, object]:
    """What the annotators read, as in the details of prompts."""
    return {"facts": dict(zip(FACTS, facts, strict=True)), "topic": topic}


def alpaca_eval(posts: Posts) -> Iterator[Question]:
    """20 posts of each source, five of each topic."""
    for source, sentence in zip(SOURCES, SENTENCES, strict=True):
        for number in range(20):
            topic, facts = tuple(TOPICS)[number % 4], posts.facts()
            text = write_post(facts, topic, posts.stream, (sentence,))
            name = f"mini/alpaca_eval/{source}/{number}"
            yield Question(name, (text,), source, (details(facts, topic),))


def arena_hard(posts: Posts) -> Iterator[Question]:
    """20 posts of each number of distractors, five of each topic."""
    for distractors, category in DISTRACTED.items():
        for number in range(20):
            topic, facts = tuple(TOPICS)[number % 4], posts.facts()
            text = write_post(facts, topic, posts.stream, distractors=(distractors,))
            name = f"mini/arena_hard/{category}/{number}"
            yield Question(name, (text,), category, (details(facts, topic),))


def mt_bench(posts: Posts) -> Iterator[Question]:
    """Ten questions of each topic."""
    for topic in TOPICS:
        for number in range(10):
            first = posts.facts()
            both = (first, posts.apart_from(first))
            turns = tuple(write_post(facts, topic, posts.stream) for facts in both)
            reference = tuple(summary(facts, posts.stream) for facts in both)
            yield Question(
                f"mini/mt_bench/{topic}/{number}",
                turns,
                topic,
                tuple(details(facts, topic) for facts in both),
                reference if topic in REFERENCED else (),
            )


def summary(facts: Facts, stream: np.random.Generator) -> str:
    """A flawless summary of all facts in one style, of 12 words."""
    style = choose(stream, STYLES)
    who, act, thing, place, reason, outcome = facts
    told = [*choose(stream, OPENERS[style]), who, act, "the", thing, "at", place]
    causes = [choose(stream, CONNECTIVES[style]), reason, choose(stream, CLOSERS[style]), outcome]
    return " ".join([*told, *causes])


def texts() -> dict[str, str]:
    """What each file holds; posts are drawn in the order of the files."""
    posts = Posts()
    makers = {"alpaca_eval": alpaca_eval, "arena_hard": arena_hard, "mt_bench": mt_bench}
    return {
        f"{name}.jsonl": "".join(f"{written_question(x)}\n" for x in make(posts))
        for name, make in makers.items()
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
