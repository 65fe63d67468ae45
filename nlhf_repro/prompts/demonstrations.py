"""How a summary to imitate is written: in a style, and not as well as it could be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array
from nlhf_repro.prompts.grammar import choose, draw_other
from nlhf_repro.summaries import (
    ADJECTIVES,
    CLOSERS,
    CONNECTIVES,
    OPENERS,
    SLOTS,
    STYLES,
    Facts,
    Style,
)

_LEAST_FACTS = 2  # and one more where there is no opener, so that no summary is below 4 words


class Flaws(NamedTuple):
    """How often a demonstration is imperfect, as probabilities in [0, 1].

    drop: of a fact, to be left out, though two facts stay. no_opener: of a summary, to begin with
    its facts, of which three stay. invention: of a fact that stays, to be replaced by another word
    of its slot. wrong_marker: of an opener, connective or closer, to be of another style.
    repetition: of a summary, to name one fact again at its end.
    """

    drop: float
    no_opener: float
    invention: float
    wrong_marker: float
    repetition: float


def write_demonstration(
    facts: Facts, style_mix: Array, flaws: Flaws, stream: np.random.Generator
) -> str:
    """A summary of 4 to 14 words: opener, facts in order, a connective and a closer among them."""
    style = STYLES[int(np.searchsorted(np.cumsum(style_mix)[:-1], stream.random(), side="right"))]
    opened = stream.random() >= flaws.no_opener
    kept = _kept(flaws.drop, _LEAST_FACTS + (not opened), stream)
    named = {slot: fact for slot, fact, stays in zip(SLOTS, facts, kept, strict=True) if stays}
    for slot, fact in named.items():
        if stream.random() < flaws.invention:
            named[slot] = draw_other(stream, slot, fact)
    words = list(choose(stream, OPENERS[_style(style, flaws, stream)])) if opened else []
    for slot, fact in named.items():
        words += [*_before(slot, style, flaws, stream), fact]
    if stream.random() < flaws.repetition:
        words.append(choose(stream, list(named.values())))
    return " ".join(words)


def _kept(drop: float, least: int, stream: np.random.Generator) -> NDArray[np.bool_]:
    """Which facts stay: independently, but for those hardest to drop, which always do."""
    chances = stream.random(len(SLOTS))
    kept = chances >= drop
    kept[np.argsort(chances)[-least:]] = True
    return kept


def _before(slot: str, style: Style, flaws: Flaws, stream: np.random.Generator) -> list[str]:
    """What leads to a fact of the slot."""
    if slot == "who":
        return ["my"] if stream.random() < 0.5 else []
    if slot == "object":
        return [choose(stream, ("the", "a", choose(stream, ADJECTIVES)))]
    if slot == "place":
        return ["at"]
    if slot == "reason":
        return [choose(stream, CONNECTIVES[_style(style, flaws, stream)])]
    if slot == "outcome":
        return [choose(stream, CLOSERS[_style(style, flaws, stream)])]
    return []


def _style(style: Style, flaws: Flaws, stream: np.random.Generator) -> Style:
    """The style of the next marker: the summary's, or another by mistake."""
    if stream.random() >= flaws.wrong_marker:
        return style
    return choose(stream, tuple(other for other in STYLES if other != style))
