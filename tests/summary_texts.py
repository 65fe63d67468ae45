"""The shipped prompts and annotators, and texts that nobody wrote to be summaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import yaml
from conftest import CONF

from nlhf_repro.interfaces import Message, Prompt
from nlhf_repro.oracles.annotators import AnnotatorGroups, AnnotatorOracle
from nlhf_repro.prompts.posts import Posts
from nlhf_repro.summaries import SLOTS, VOCABULARY

HAND_FACTS = ("neighbor", "borrowed", "ladder", "garage", "jealousy", "argument")


FORMAL, CASUAL, VIVID = (
    " ".join([*opener.split(), *HAND_FACTS])
    for opener in ("in summary", "so basically", "just picture")
)
STYLES = (FORMAL, CASUAL, VIVID)


def defaults(path: str) -> dict[str, Any]:
    """The fields of a shipped file."""
    node = yaml.safe_load((CONF / f"{path}.yaml").read_text())
    return {key: value for key, value in node.items() if key != "_target_"}


def posts(**changes: Any) -> Posts:
    return Posts(**{**defaults("prompts/posts"), **changes})


def annotators(world: int = 0, **changes: Any) -> AnnotatorOracle:
    return AnnotatorGroups(**{**defaults("oracle/annotators"), **changes}).oracle(world)


def post(name: str = "by hand", topic: str = "work", **details: Any) -> Prompt:
    """A prompt with the facts of HAND_FACTS."""
    own: Mapping[str, Any] = {"facts": dict(zip(SLOTS, HAND_FACTS, strict=True)), "topic": topic}
    return Prompt(name, (Message("user", "what happened"),), {**own, **details})


def matrix(oracle: AnnotatorOracle, prompt: Prompt, texts: tuple[str, ...]) -> np.ndarray:
    pairs = list(product(texts, texts))
    first, second = zip(*pairs, strict=True)
    answers = oracle.preference([prompt] * len(pairs), first, second)
    return answers.reshape(len(texts), len(texts))


def strange_texts(prompt: Prompt, number: int, stream: np.random.Generator) -> Iterator[str]:
    """Mutated perfect summaries and random words, half of each."""
    facts = list(prompt.details["facts"].values())
    for index in range(number):
        if index % 2:
            yield " ".join(stream.choice(VOCABULARY, stream.integers(0, 20)))
            continue
        words = [*("in summary", "so yeah", "just imagine")[index % 3].split(), *facts]
        for _ in range(stream.integers(1, 6)):
            place = int(stream.integers(len(words) + 1))
            if stream.random() < 0.4 and words:
                words.pop(min(place, len(words) - 1))
            else:
                words.insert(place, str(stream.choice([*VOCABULARY, *facts, "unheard"])))
        yield " ".join(words)
