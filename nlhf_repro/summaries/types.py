"""Every combination of features that a summary can have and none improves for free; as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array
from nlhf_repro.summaries.features import Facts, read
from nlhf_repro.summaries.lexicon import FACTS, OPENERS, SLOTS, STYLES, markers

_MOST_MARKERS = len(markers(STYLES[0]))
_FILLER = "the"


class SummaryType(NamedTuple):
    """A summary without inventions and repetitions, up to the order and choice of its words.

    `markers` counts the distinct ones of every style. `padding` counts neutral words beyond the
    opener's own.
    """

    coverage: int
    markers: tuple[int, ...]
    opener: bool
    padding: int

    @property
    def length(self) -> int:
        """In words."""
        return self.coverage + sum(self.markers) + int(self.opener) + self.padding


def every_type(words_read: int) -> Iterator[SummaryType]:
    """Every type of at most `words_read` words.

    All texts have the features of one of these, but for inventions and repetitions: each of those
    takes a word, in whose place a neutral word makes a type of the same features.
    """
    counts = product(range(_MOST_MARKERS + 1), repeat=len(STYLES))
    for used, coverage, opener in product(counts, range(len(SLOTS) + 1), (False, True)):
        least = SummaryType(coverage, used, opener, 0)
        if opener and not sum(used):
            continue
        for padding in range(words_read - least.length + 1):
            yield least._replace(padding=padding)


def write(kind: SummaryType, facts: Facts) -> str:
    """A summary of the type: opener, facts in their order, the other markers, neutral words."""
    left = {style: list(markers(style)[:n]) for style, n in zip(STYLES, kind.markers, strict=True)}
    words: list[str] = []
    if kind.opener:
        style = max(STYLES, key=lambda each: len(left[each]))
        words += OPENERS[style][0]
        left[style].remove(OPENERS[style][0][1])
    words += facts[: kind.coverage]
    words += [word for style in STYLES for word in left[style]]
    return " ".join(words + [_FILLER] * kind.padding)


def type_features(kinds: Sequence[SummaryType], words_read: int) -> Array:
    """The features of the types, [types, features]; they are the same for every post."""
    facts: Facts = tuple(words[0] for words in FACTS.values())
    return read([facts] * len(kinds), [write(kind, facts) for kind in kinds], words_read)


def undominated(utilities: Array) -> NDArray[np.int64]:
    """The rows of `utilities` [types, groups] that no other row equals or exceeds in every group.

    Of equal rows the first stays. A preference that increases in every group's utility is largest
    on these rows, whatever it is compared with.
    """
    order = np.argsort(-utilities.sum(axis=1), kind="stable")
    kept = []
    while order.size:
        first = order[0]
        kept.append(first)
        order = order[(utilities[order] > utilities[first]).any(axis=1)]
    return np.sort(np.array(kept, dtype=np.int64))
